package delta

import (
	"iter"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/anabranchdb/anabranch/crdt"
)

// DotSet is a compressed set of dots, whose seqs count from 1. Clones are made in constant time and share memory with
// the original until one of them is written.
//
// One goroutine at a time may write a set, and none may read it meanwhile; any number may read
// and clone it together. Sets that share memory are independent of each other in this: a clone
// may be read while the original is written.
//
// The library's own copy-on-write is not used: its marks stand in the shared bitmaps, so that
// cloning a clone writes to what other goroutines read.
type DotSet struct {
	// edit is the mark of what this set may write in place. Nothing else carries it: a clone
	// gives both sides a fresh one.
	edit    atomic.Uint64
	mapEdit uint64
	seqs    map[crdt.ReplicaID]*seqSet
}

// seqSet holds the seqs of one replica, in chunks of chunkSeqs. It is never empty.
type seqSet struct {
	edit   uint64
	n      uint64
	chunks []chunk // ascending, none empty
}

// chunk holds the seqs s with s>>chunkBits == key as s&chunkMask: one container of a bitmap, so
// that the first write after a clone copies no more than 8 KiB.
type chunk struct {
	key  uint64
	edit uint64
	bits *roaring.Bitmap
}

const (
	chunkBits = 16
	chunkSeqs = 1 << chunkBits
	chunkMask = chunkSeqs - 1
)

// edits numbers the marks. 0 is nobody's.
var edits atomic.Uint64

// NewDotSet returns an empty set.
func NewDotSet() *DotSet {
	s := &DotSet{seqs: map[crdt.ReplicaID]*seqSet{}}
	s.mapEdit = s.disown()
	return s
}

// disown makes all that s holds shared, and returns its new mark.
func (s *DotSet) disown() uint64 {
	m := edits.Add(1)
	s.edit.Store(m)
	return m
}

// Clone returns a set that can be read and written independently of s.
func (s *DotSet) Clone() *DotSet {
	s.disown()
	c := &DotSet{seqs: s.seqs}
	c.disown()
	return c
}

// Len returns the number of dots.
func (s *DotSet) Len() uint64 {
	var n uint64
	for _, q := range s.seqs {
		n += q.n
	}
	return n
}

// Replicas returns the replicas that have a dot in the set, ascending.
func (s *DotSet) Replicas() []crdt.ReplicaID { return slices.Sorted(maps.Keys(s.seqs)) }

// Contains reports whether d is in the set.
func (s *DotSet) Contains(d crdt.Dot) bool {
	q := s.seqs[d.Replica]
	if q == nil {
		return false
	}
	i, ok := q.find(d.Seq >> chunkBits)
	return ok && q.chunks[i].bits.Contains(uint32(d.Seq&chunkMask))
}

// Add puts d into the set and reports whether it was not there before.
func (s *DotSet) Add(d crdt.Dot) bool {
	q := s.writable(d.Replica)
	if !q.writable(d.Seq>>chunkBits, s.edit.Load()).bits.CheckedAdd(uint32(d.Seq & chunkMask)) {
		return false
	}
	q.n++
	return true
}

// AddRange puts the dots of r from first to last, both included, into the set.
func (s *DotSet) AddRange(r crdt.ReplicaID, first, last uint64) {
	if first > last {
		return
	}
	q := s.writable(r)
	for key := first >> chunkBits; key <= last>>chunkBits; key++ {
		lo, hi := clip(key, first, last)
		c := q.writable(key, s.edit.Load())
		before := c.bits.GetCardinality()
		c.bits.AddRange(lo, hi+1)
		q.n += c.bits.GetCardinality() - before
	}
}

// Remove takes d out of the set and reports whether it was there.
func (s *DotSet) Remove(d crdt.Dot) bool {
	if !s.Contains(d) {
		return false
	}
	q := s.writable(d.Replica)
	key := d.Seq >> chunkBits
	c := q.writable(key, s.edit.Load())
	c.bits.Remove(uint32(d.Seq & chunkMask))
	if q.n--; q.n == 0 {
		delete(s.seqs, d.Replica)
	} else if c.bits.IsEmpty() {
		i, _ := q.find(key)
		q.chunks = slices.Delete(q.chunks, i, i+1)
	}
	return true
}

// Range returns the seqs of r from first to last, both included, ascending. The set must not be
// written meanwhile.
func (s *DotSet) Range(r crdt.ReplicaID, first, last uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for c, lo := range s.chunksIn(r, first, last) {
			it := c.bits.Iterator()
			for it.AdvanceIfNeeded(uint32(lo)); it.HasNext(); {
				seq := c.key<<chunkBits | uint64(it.Next())
				if seq > last || !yield(seq) {
					return
				}
			}
		}
	}
}

// All returns the dots in ascending order. The set must not be written meanwhile.
func (s *DotSet) All() iter.Seq[crdt.Dot] {
	return func(yield func(crdt.Dot) bool) {
		for _, r := range s.Replicas() {
			for seq := range s.Range(r, 0, ^uint64(0)) {
				if !yield(crdt.Dot{Replica: r, Seq: seq}) {
					return
				}
			}
		}
	}
}

// Equal reports whether both sets hold the same dots.
func (s *DotSet) Equal(o *DotSet) bool {
	if len(s.seqs) != len(o.seqs) {
		return false
	}
	for r, q := range s.seqs {
		if p := o.seqs[r]; p != q && (p == nil || !q.equal(p)) {
			return false
		}
	}
	return true
}

func (q *seqSet) equal(p *seqSet) bool {
	return q.n == p.n && slices.EqualFunc(q.chunks, p.chunks, func(a, b chunk) bool {
		return a.key == b.key && (a.bits == b.bits || a.bits.Equals(b.bits))
	})
}

// chunksIn returns the chunks of r that meet [first, last], each with the first seq of the
// interval in it, relative to the chunk.
func (s *DotSet) chunksIn(r crdt.ReplicaID, first, last uint64) iter.Seq2[chunk, uint64] {
	return func(yield func(chunk, uint64) bool) {
		q := s.seqs[r]
		if q == nil || first > last {
			return
		}
		for i, _ := q.find(first >> chunkBits); i < len(q.chunks) && q.chunks[i].key <= last>>chunkBits; i++ {
			lo, _ := clip(q.chunks[i].key, first, last)
			if !yield(q.chunks[i], lo) {
				return
			}
		}
	}
}

// clip returns the part of [first, last] in chunk key, relative to it. They must meet.
func clip(key, first, last uint64) (lo, hi uint64) {
	hi = chunkMask
	if first>>chunkBits == key {
		lo = first & chunkMask
	}
	if last>>chunkBits == key {
		hi = last & chunkMask
	}
	return lo, hi
}

// find returns where the chunk is or would be. Most often it is the last one.
func (q *seqSet) find(key uint64) (int, bool) {
	if n := len(q.chunks); n > 0 && q.chunks[n-1].key <= key {
		if q.chunks[n-1].key == key {
			return n - 1, true
		}
		return n, false
	}
	return slices.BinarySearchFunc(q.chunks, key, func(c chunk, key uint64) int {
		switch {
		case c.key < key:
			return -1
		case c.key > key:
			return 1
		}
		return 0
	})
}

// writable returns the seqs of r for writing in place: copied if they are shared, made if there
// are none yet.
func (s *DotSet) writable(r crdt.ReplicaID) *seqSet {
	edit := s.edit.Load()
	switch {
	case s.seqs == nil: // the zero value
		edit = s.disown()
		s.seqs, s.mapEdit = map[crdt.ReplicaID]*seqSet{}, edit
	case s.mapEdit != edit:
		s.seqs, s.mapEdit = maps.Clone(s.seqs), edit
	}
	q := s.seqs[r]
	switch {
	case q == nil:
		q = &seqSet{edit: edit}
		s.seqs[r] = q
	case q.edit != edit:
		q = &seqSet{edit: edit, n: q.n, chunks: slices.Clone(q.chunks)}
		s.seqs[r] = q
	}
	return q
}

// writable returns the chunk for writing in place: copied if it is shared, made if there is
// none yet. q must be writable itself. The chunk must not be left empty. Runs are dissolved: the
// library never does that on removal, and a container of many runs is slow and large.
func (q *seqSet) writable(key, edit uint64) *chunk {
	i, ok := q.find(key)
	if !ok {
		q.chunks = slices.Insert(q.chunks, i, chunk{key: key, edit: edit, bits: roaring.New()})
	}
	c := &q.chunks[i]
	switch {
	case c.bits.HasRunCompression():
		c.bits = withoutRuns(c.bits)
	case c.edit != edit:
		c.bits = c.bits.Clone()
	}
	c.edit = edit
	return c
}

func withoutRuns(b *roaring.Bitmap) *roaring.Bitmap {
	var words [chunkWords]uint64
	b.WriteDenseTo(words[:])
	return roaring.FromDense(words[:], true)
}
