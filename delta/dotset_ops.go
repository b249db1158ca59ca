package delta

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/anabranchdb/anabranch/crdt"
)

// CutAt returns the dots that v covers, as a set of its own.
func (s *DotSet) CutAt(v crdt.VersionVector) *DotSet {
	return s.derive(func(r crdt.ReplicaID, q *seqSet, out *seqSet) {
		for _, c := range q.chunks {
			switch last := v[r]; {
			case c.key < last>>chunkBits:
				out.share(c)
			case c.key == last>>chunkBits:
				b := c.bits.Clone()
				b.RemoveRange(last&chunkMask+1, chunkSeqs)
				out.own(c.key, b)
			default:
				return
			}
		}
	})
}

// Uncovered returns the dots that v does not cover, as a set of its own.
func (s *DotSet) Uncovered(v crdt.VersionVector) *DotSet {
	return s.derive(func(r crdt.ReplicaID, q *seqSet, out *seqSet) {
		i, ok := q.find(v[r] >> chunkBits)
		if ok {
			b := q.chunks[i].bits.Clone()
			b.RemoveRange(0, v[r]&chunkMask+1)
			out.own(q.chunks[i].key, b)
			i++
		}
		for _, c := range q.chunks[i:] {
			out.share(c)
		}
	})
}

// And returns the dots that are in both sets, as a set of its own.
func (s *DotSet) And(o *DotSet) *DotSet {
	return s.derive(func(r crdt.ReplicaID, q *seqSet, out *seqSet) {
		p := o.seqs[r]
		if p == nil {
			return
		}
		for _, c := range q.chunks {
			i, ok := p.find(c.key)
			switch {
			case ok && p.chunks[i].bits == c.bits:
				out.share(c)
			case ok:
				out.own(c.key, roaring.And(c.bits, p.chunks[i].bits))
			}
		}
	})
}

// AndNot returns the dots that are in s and not in o, as a set of its own.
func (s *DotSet) AndNot(o *DotSet) *DotSet {
	return s.derive(func(r crdt.ReplicaID, q *seqSet, out *seqSet) {
		p := o.seqs[r]
		for _, c := range q.chunks {
			i, ok := 0, false
			if p != nil {
				i, ok = p.find(c.key)
			}
			switch {
			case !ok:
				out.share(c)
			case p.chunks[i].bits != c.bits:
				out.own(c.key, roaring.AndNot(c.bits, p.chunks[i].bits))
			}
		}
	})
}

// Or returns the dots that are in either set, as a set of its own.
func (s *DotSet) Or(o *DotSet) *DotSet {
	o.disown()
	u := s.Clone()
	for r, p := range o.seqs {
		q := u.writable(r)
		if len(q.chunks) == 0 {
			q.n, q.chunks = p.n, append(q.chunks, p.chunks...)
			continue
		}
		q.merge(p)
	}
	return u
}

// merge adds the chunks of p to q.
func (q *seqSet) merge(p *seqSet) {
	var out seqSet
	i, j := 0, 0
	for i < len(q.chunks) && j < len(p.chunks) {
		a, b := q.chunks[i], p.chunks[j]
		switch {
		case a.key < b.key:
			out.share(a)
			i++
		case a.key > b.key:
			out.share(b)
			j++
		default:
			if a.bits == b.bits {
				out.share(a)
			} else {
				out.own(a.key, roaring.Or(a.bits, b.bits))
			}
			i++
			j++
		}
	}
	for ; i < len(q.chunks); i++ {
		out.share(q.chunks[i])
	}
	for ; j < len(p.chunks); j++ {
		out.share(p.chunks[j])
	}
	q.n, q.chunks = out.n, out.chunks
}

// derive builds a set replica by replica. What pick shares of s becomes shared.
func (s *DotSet) derive(pick func(r crdt.ReplicaID, q, out *seqSet)) *DotSet {
	s.disown()
	d := NewDotSet()
	for r, q := range s.seqs {
		out := &seqSet{edit: d.mapEdit}
		if pick(r, q, out); out.n > 0 {
			d.seqs[r] = out
		}
	}
	return d
}

// share appends a chunk that somebody else may hold too.
func (q *seqSet) share(c chunk) {
	q.chunks = append(q.chunks, chunk{key: c.key, bits: c.bits})
	q.n += c.bits.GetCardinality()
}

// own appends a chunk with bits that nobody else holds, unless it is empty. It is marked as
// shared all the same: the first write copies it.
func (q *seqSet) own(key uint64, b *roaring.Bitmap) {
	if !b.IsEmpty() {
		q.share(chunk{key: key, bits: b})
	}
}
