package delta

import (
	"maps"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// mapHint bounds what is allocated for a map before its items have been seen.
const mapHint = 1 << 10

// AppendClock appends v: a map from replica id to seq, ascending by id.
func AppendClock(b []byte, v crdt.VersionVector) []byte {
	w := appendTo(b)
	w.clock(v)
	b, _ = w.done()
	return b
}

// DecodeClock reads what AppendClock wrote and returns the bytes behind it. Components of
// replica 0 or seq 0 are ErrMalformed.
func DecodeClock(b []byte) (crdt.VersionVector, []byte, error) {
	r := reader{b: b}
	v := r.clock()
	if r.err != nil {
		return nil, nil, r.err
	}
	return v, b[r.pos:], nil
}

// AppendRuns appends rs: a map from replica id to [first seq, nonce], ascending by id.
func AppendRuns(b []byte, rs Runs) []byte {
	w := appendTo(b)
	w.runs(rs)
	b, _ = w.done()
	return b
}

// DecodeRuns reads what AppendRuns wrote and returns the bytes behind it. A run of replica 0 or
// from seq 0 is ErrMalformed.
func DecodeRuns(b []byte) (Runs, []byte, error) {
	r := reader{b: b}
	rs := r.runs()
	if r.err != nil {
		return nil, nil, r.err
	}
	return rs, b[r.pos:], nil
}

func (w *writer) clock(v crdt.VersionVector) {
	w.mapLen(len(v))
	if len(v) == 1 { // the common case, without sorting
		for id, seq := range v {
			w.field(uint64(id), seq)
		}
		return
	}
	for _, id := range v.Replicas() {
		w.field(uint64(id), v[id])
	}
}

func (r *reader) clock() crdt.VersionVector {
	n := r.mapLen(2)
	v := make(crdt.VersionVector, min(n, mapHint))
	var last crdt.ReplicaID
	for ; n > 0 && r.err == nil; n-- {
		id, seq := crdt.ReplicaID(r.uint()), r.uint()
		if id <= last || seq == 0 {
			r.fail("clock: want ascending replica ids and seqs from 1")
		}
		v[id], last = seq, id
	}
	return v
}

func (w *writer) runs(rs Runs) {
	w.mapLen(len(rs))
	if len(rs) == 1 {
		for id, run := range rs {
			w.run(id, run)
		}
		return
	}
	for _, id := range slices.Sorted(maps.Keys(rs)) {
		w.run(id, rs[id])
	}
}

func (w *writer) run(id crdt.ReplicaID, run Run) {
	w.uint(uint64(id))
	w.arrayLen(2)
	w.field(run.First, run.Nonce)
}

func (r *reader) runs() Runs {
	n := r.mapLen(4)
	rs := make(Runs, min(n, mapHint))
	var last crdt.ReplicaID
	for ; n > 0 && r.err == nil; n-- {
		id, two := crdt.ReplicaID(r.uint()), r.arrayLen(1)
		run := Run{First: r.uint(), Nonce: r.uint()}
		if id <= last || two != 2 || run.First == 0 {
			r.fail("runs: want ascending replica ids, each with a first seq from 1 and a nonce")
		}
		rs[id], last = run, id
	}
	return rs
}
