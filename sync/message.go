package sync

import (
	"bytes"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/vmihailenco/msgpack/v5"
)

// A message is a msgpack array [version, kind, fields], fields being a map from small integers
// to an unsigned integer, an array of unsigned integers, or bytes. What a later version adds
// under a kind or field below firstSkippable must be understood and is refused here; the rest
// is skipped.
const firstSkippable = 64

type kind uint8

const (
	// Between engines.
	kindHello kind = 1 // hashes of clock and runs, digest
	kindAsk   kind = 2 // for the clock; with bucket hashes only for what differs
	kindClock kind = 3 // answers ask, in pages
	kindTell  kind = 4 // components that changed
	// In gossip, next to frames.
	kindAnnounce kind = 8 // a unit too large for a frame
	// About rights to bounded counters.
	kindRightsAsk   kind = 9  // key as text, amount as number
	kindRightsGrant kind = 10 // amount as number, one component
	// From the side that pulls.
	kindRequest kind = 16
	kindWant    kind = 17 // clock and runs where they differ from the offer; credit
	kindNodes   kind = 18 // tree nodes to expand
	kindCredit  kind = 19
	kindDone    kind = 20
	// From the side that serves.
	kindSame   kind = 32
	kindOffer  kind = 33 // clock and runs, in pages
	kindMode   kind = 34 // how the rest will go
	kindRoots  kind = 35 // a hash per replica, in pages
	kindHashes kind = 36 // children of nodes, or bitmaps of leaves
	kindChunk  kind = 37
	kindEnd    kind = 38
	kindFail   kind = 39
)

// Fields of messages. One struct serves all kinds: a kind uses a few of them, and a zero field
// is not sent.
type message struct {
	kind      kind
	flags     uint64      // 1
	clockHash []byte      // 2: hash16
	runsHash  []byte      // 3: hash16
	digest    []byte      // 4: delta.Digest
	clock     []component // 5: pairs
	runs      []told      // 6: triples
	buckets   []byte      // 7: shortHash per bucket
	mask      []byte      // 8: one bit per bucket
	credit    uint64      // 9
	cached    []byte      // 10: delta.DotSet
	nodes     []node      // 11: triples
	hashes    []byte      // 12
	data      []byte      // 13: zstd
	size      uint64      // 14: of data, unpacked
	unit      []uint64    // 15: origin, first, last, size
	mode      uint64      // 16
	text      []byte      // 17
	number    uint64      // 18: of a hello that wants an answer, or which it answers
	past      []told      // 64: runs before those of runs, triples
}

// keyPast is skipped by who does not know it: without the past, healing a fork knows less.
const keyPast = firstSkippable

// Bits of message.flags.
const (
	flagMore   = 1 << iota // more pages of this kind follow
	flagFirst              // hello: the stream is new, forget what was said before
	flagReply              // hello: answer with one
	flagAnswer             // hello: it is one
)

func (m *message) has(flag uint64) bool { return m.flags&flag != 0 }

type component struct {
	Replica crdt.ReplicaID
	Seq     uint64 // 0 in a want: the component is missing
}

type told struct {
	Replica crdt.ReplicaID
	Run     delta.Run
}

// maxSeq bounds every seq that is believed, so that sums of two of them do not overflow, and a tree of
// maxLevel stands for all of them.
const maxSeq = 1<<62 - 1

// encode returns the message as bytes.
func (m *message) encode() []byte {
	var b bytes.Buffer
	b.Grow(64 + len(m.data) + len(m.hashes) + len(m.cached) + 12*(len(m.clock)+2*len(m.runs)))
	w := fieldWriter{enc: msgpack.NewEncoder(&b)}
	n := 0
	m.fields(func(int, any) { n++ })
	w.open(m.kind, n)
	m.fields(w.field)
	return b.Bytes()
}

// fields calls f with every field that is set, ascending.
func (m *message) fields(f func(key int, v any)) {
	num := func(key int, v uint64) {
		if v != 0 {
			f(key, v)
		}
	}
	raw := func(key int, v []byte) {
		if len(v) != 0 {
			f(key, v)
		}
	}
	list := func(key int, v []uint64) {
		if len(v) != 0 {
			f(key, v)
		}
	}
	num(1, m.flags)
	raw(2, m.clockHash)
	raw(3, m.runsHash)
	raw(4, m.digest)
	list(5, flatClock(m.clock))
	list(6, flatRuns(m.runs))
	raw(7, m.buckets)
	raw(8, m.mask)
	num(9, m.credit)
	raw(10, m.cached)
	list(11, flatNodes(m.nodes))
	raw(12, m.hashes)
	raw(13, m.data)
	num(14, m.size)
	list(15, m.unit)
	num(16, m.mode)
	raw(17, m.text)
	num(18, m.number)
	list(keyPast, flatRuns(m.past))
}

// take stores one decoded field and reports whether the key is known. Values of another shape
// than the field's arrive as nil or 0 and are refused by decode.
func (m *message) take(key uint64, v fieldValue) (known bool, err error) {
	switch key {
	case 1:
		m.flags, err = v.number()
	case 2:
		m.clockHash, err = v.raw(hashBytes)
	case 3:
		m.runsHash, err = v.raw(hashBytes)
	case 4:
		m.digest, err = v.raw(len(delta.Digest{}))
	case 5:
		m.clock, err = v.clock()
	case 6:
		m.runs, err = v.runs()
	case 7:
		m.buckets, err = v.raw(buckets * shortHashBytes)
	case 8:
		m.mask, err = v.raw(buckets / 8)
	case 9:
		m.credit, err = v.number()
	case 10:
		m.cached, err = v.raw(-1)
	case 11:
		m.nodes, err = v.nodes()
	case 12:
		m.hashes, err = v.raw(-1)
	case 13:
		m.data, err = v.raw(-1)
	case 14:
		m.size, err = v.number()
	case 15:
		m.unit, err = v.list(4)
	case 16:
		m.mode, err = v.number()
	case 17:
		m.text, err = v.raw(-1)
	case 18:
		m.number, err = v.number()
	case keyPast:
		m.past, err = v.runs()
	default:
		return false, nil
	}
	if err != nil {
		err = fmt.Errorf("field %d: %w", key, err)
	}
	return true, err
}

func flatClock(cs []component) []uint64 {
	a := make([]uint64, 0, 2*len(cs))
	for _, c := range cs {
		a = append(a, uint64(c.Replica), c.Seq)
	}
	return a
}

func flatRuns(rs []told) []uint64 {
	a := make([]uint64, 0, 3*len(rs))
	for _, r := range rs {
		a = append(a, uint64(r.Replica), r.Run.First, r.Run.Nonce)
	}
	return a
}

func flatNodes(ns []node) []uint64 {
	a := make([]uint64, 0, 3*len(ns))
	for _, n := range ns {
		a = append(a, uint64(n.replica), uint64(n.level), n.index)
	}
	return a
}
