package delta

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/anabranchdb/anabranch/crdt"
)

// How the seqs of a chunk are written: whichever form is shortest, on a tie the first of them.
const (
	chunkRuns  = iota // first and length−1 of every run of seqs, 2 bytes each, little-endian
	chunkList         // the seqs, 2 bytes each, little-endian
	chunkDense        // 65,536 bits, as 64-bit little-endian words
)

const denseBytes = chunkSeqs / 8

// AppendDotSet appends s: a map from replica id, ascending, to an array that alternates the gap
// to the chunk before and the bytes of the chunk.
func AppendDotSet(b []byte, s *DotSet) []byte {
	w := appendTo(b)
	w.mapLen(len(s.seqs))
	for _, r := range s.Replicas() {
		chunks := s.seqs[r].chunks
		w.uint(uint64(r))
		w.arrayLen(2 * len(chunks))
		var next uint64
		for _, c := range chunks {
			w.uint(c.key - next)
			w.chunk(c.bits)
			next = c.key + 1
		}
	}
	b, _ = w.done()
	return b
}

// DecodeDotSet reads what AppendDotSet wrote and returns the bytes behind it. What is not
// canonical is ErrMalformed.
func DecodeDotSet(b []byte) (*DotSet, []byte, error) {
	r := reader{b: b}
	s := NewDotSet()
	var last crdt.ReplicaID
	for n := r.mapLen(6); n > 0 && r.err == nil; n-- {
		id := crdt.ReplicaID(r.uint())
		if id <= last {
			r.fail("dot set: want ascending replica ids")
			break
		}
		last = id
		s.seqs[id] = r.seqSet()
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return s, b[r.pos:], nil
}

func (r *reader) seqSet() *seqSet {
	n := r.arrayLen(3)
	if n == 0 || n%2 != 0 {
		r.fail("dot set: want pairs of a gap and a chunk")
	}
	q := &seqSet{}
	var next uint64
	for ; n > 0 && r.err == nil; n -= 2 {
		key := next + r.uint()
		if key < next || key > ^uint64(0)>>chunkBits {
			r.fail("dot set: chunk out of range")
		}
		next = key + 1
		bm := r.chunkBits()
		if bm == nil {
			break
		}
		if key == 0 && bm.Contains(0) {
			r.fail("dot set: seq 0")
			break
		}
		q.share(chunk{key: key, bits: bm})
	}
	return q
}

// chunkBits reads the bytes of one chunk. It returns nil after an error.
func (r *reader) chunkBits() *roaring.Bitmap {
	p := r.bin()
	if len(p) == 0 || len(p) > 1+denseBytes {
		r.fail("dot set: a chunk of %d bytes", len(p))
		return nil
	}
	var bm *roaring.Bitmap
	n, runs := 0, 0
	form, p := p[0], p[1:]
	switch {
	case form == chunkRuns && len(p)%4 == 0:
		bm, n, runs = parseRuns(p)
	case form == chunkList && len(p)%2 == 0:
		bm, n, runs = parseList(p)
	case form == chunkDense && len(p) == denseBytes:
		bm, n, runs = parseDense(p)
	}
	if want, _ := chunkForm(n, runs); bm == nil || n == 0 || form != want {
		r.fail("dot set: a chunk that is empty, out of order or not in its shortest form")
		return nil
	}
	return bm
}

// parseRuns returns the seqs, their number and that of their runs, or nil for runs that touch
// or are out of order. Memory stays in proportion to p: the bitmap holds runs as well.
func parseRuns(p []byte) (bm *roaring.Bitmap, n, runs int) {
	next := 0
	for q := p; len(q) > 0; q = q[4:] {
		first := int(binary.LittleEndian.Uint16(q))
		end := first + int(binary.LittleEndian.Uint16(q[2:])) + 1
		if first < next || end > chunkSeqs {
			return nil, 0, 0
		}
		n, runs, next = n+end-first, runs+1, end+1
	}
	if n == 0 {
		return nil, 0, 0
	}
	bm = roaring.New()
	if err := bm.UnmarshalBinary(portableRuns(p, n)); err != nil { // copies, unlike FromBuffer
		return nil, 0, 0
	}
	return bm, n, runs
}

// portableRuns returns the runs p with n seqs as a bitmap in the library's portable format: one
// run container under key 0. Adding the runs one by one would take quadratic time.
func portableRuns(p []byte, n int) []byte {
	const cookie, header = 12347, 11
	b := make([]byte, 0, header+len(p))
	b = binary.LittleEndian.AppendUint32(b, cookie)      // upper half: number of containers − 1
	b = append(b, 1)                                     // container 0 holds runs
	b = binary.LittleEndian.AppendUint16(b, 0)           // its key
	b = binary.LittleEndian.AppendUint16(b, uint16(n-1)) // its cardinality − 1
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p)/4))
	return append(b, p...)
}

func parseList(p []byte) (bm *roaring.Bitmap, n, runs int) {
	seqs := make([]uint32, len(p)/2)
	for i := range seqs {
		seqs[i] = uint32(binary.LittleEndian.Uint16(p[2*i:]))
		if i > 0 && seqs[i] <= seqs[i-1] {
			return nil, 0, 0
		}
		runs += one(i == 0 || seqs[i] != seqs[i-1]+1)
	}
	bm = roaring.New()
	bm.AddMany(seqs)
	return bm, len(seqs), runs
}

func parseDense(p []byte) (bm *roaring.Bitmap, n, runs int) {
	var words [chunkWords]uint64
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
	n, runs = countBits(words[:])
	return roaring.FromDense(words[:], true), n, runs
}

// countBits returns the number of bits that are set and that of their runs.
func countBits(words []uint64) (n, runs int) {
	var carry uint64
	for _, w := range words {
		n += bits.OnesCount64(w)
		runs += bits.OnesCount64(w &^ (w<<1 | carry)) // those with no bit below them
		carry = w >> 63
	}
	return n, runs
}

// chunkForm returns the form in which n seqs in so many runs are written, and its size.
func chunkForm(n, runs int) (form byte, size int) {
	form, size = chunkRuns, 4*runs
	if 2*n < size {
		form, size = chunkList, 2*n
	}
	if denseBytes < size {
		form, size = chunkDense, denseBytes
	}
	return form, size
}

func (w *writer) chunk(b *roaring.Bitmap) {
	var words [chunkWords]uint64
	b.WriteDenseTo(words[:])
	form, size := chunkForm(countBits(words[:]))
	_ = w.enc.EncodeBytesLen(1 + size)
	w.buf = append(slices.Grow(w.buf, 1+size), form)
	switch form {
	case chunkDense:
		for _, x := range words {
			w.buf = binary.LittleEndian.AppendUint64(w.buf, x)
		}
	case chunkList:
		for i, x := range words {
			for ; x != 0; x &= x - 1 {
				w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(64*i+bits.TrailingZeros64(x)))
			}
		}
	default:
		w.buf = appendRuns(w.buf, words[:])
	}
}

func appendRuns(b []byte, words []uint64) []byte {
	first := nextBit(words, 0, 0)
	for first < chunkSeqs {
		end := nextBit(words, first, ^uint64(0))
		b = binary.LittleEndian.AppendUint16(b, uint16(first))
		b = binary.LittleEndian.AppendUint16(b, uint16(end-first-1))
		first = nextBit(words, end, 0)
	}
	return b
}

// nextBit returns the position of the first bit from at on that is set in words ^ flip, or
// chunkSeqs.
func nextBit(words []uint64, at int, flip uint64) int {
	for i := at / 64; i < len(words); i++ {
		w := words[i] ^ flip
		if i == at/64 {
			w &= ^uint64(0) << (at % 64)
		}
		if w != 0 {
			return 64*i + bits.TrailingZeros64(w)
		}
	}
	return chunkSeqs
}
