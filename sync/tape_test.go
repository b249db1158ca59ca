package sync

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A tape is the bytes of a fuzzer, read as decisions. At its end it says 0 for ever.
type tape struct{ b []byte }

func (t *tape) next() int {
	if len(t.b) == 0 {
		return 0
	}
	n := t.b[0]
	t.b = t.b[1:]
	return int(n)
}

func (t *tape) intN(n int) int { return t.next() % n }

func (t *tape) bytes(most int) []byte {
	n := min(t.intN(most+1), len(t.b))
	b := t.b[:n:n]
	t.b = t.b[n:]
	return b
}

// replica is one of those that the copies of pair know, or not.
func (t *tape) replica() crdt.ReplicaID {
	return []crdt.ReplicaID{idA, idB, idC, 1, ^crdt.ReplicaID(0)}[t.intN(5)]
}

// seq is a small one, or one at which sums and shifts go wrong.
func (t *tape) seq() uint64 {
	switch n := t.next(); {
	case n < 200:
		return uint64(n % 64)
	case n < 230:
		return uint64(n)<<8 | uint64(t.next())
	default:
		return []uint64{maxSeq, maxSeq - 1, maxSeq + 1, 1 << 61, 1<<63 - 1, 1<<64 - 1, 1 << 32, leafSeqs}[n%8]
	}
}

func (t *tape) clock() crdt.VersionVector {
	v := crdt.VersionVector{}
	for range t.intN(4) {
		if s := t.seq(); s > 0 {
			v[t.replica()] = s
		}
	}
	return v
}

func (t *tape) components() (cs []component) {
	for range t.intN(5) {
		cs = append(cs, component{Replica: t.replica(), Seq: t.seq()})
	}
	return cs
}

func (t *tape) runs() (ts []told) {
	for range t.intN(3) {
		ts = append(ts, told{Replica: t.replica(), Run: delta.Run{First: t.seq(), Nonce: uint64(t.next())}})
	}
	return ts
}

func (t *tape) dots() *delta.DotSet {
	set := delta.NewDotSet()
	for range t.intN(6) {
		if d := (crdt.Dot{Replica: t.replica(), Seq: t.seq()}); d.Seq > 0 {
			set.Add(d)
		}
	}
	return set
}

func (t *tape) entry(d crdt.Dot) crdt.Entry {
	e := newEntry(d.Replica, d.Seq, t.intN(6))
	switch t.intN(4) {
	case 0:
		e.Kind, e.Value = crdt.Kind(t.next()), t.bytes(12)
	case 1:
		e.Path = []crdt.Path{"", "x", crdt.Object(crdt.Register, "r"), crdt.Object(crdt.Register, "r").Leaf(crdt.Register),
			crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)}[t.intN(5)]
		e.Kind, e.Value, e.Expires = []crdt.Kind{crdt.KindValue, crdt.KindCell, crdt.KindReset}[t.intN(3)], t.bytes(12), crdt.Deadline(t.seq())
	}
	return e
}

func (t *tape) unit() delta.Unit {
	u := delta.Unit{Origin: t.replica(), First: t.seq(), Deps: t.clock()}
	u.Last = u.First + uint64(t.intN(4))
	for s := u.First; s < u.Last; s++ {
		if t.intN(2) == 0 {
			u.Entries = append(u.Entries, t.entry(crdt.Dot{Replica: u.Origin, Seq: s}))
		}
	}
	for range t.intN(3) {
		if t.intN(2) == 0 {
			var k delta.Kill
			for d := range t.dots().All() {
				k.Dots = append(k.Dots, d)
			}
			u.Kills = append(u.Kills, k)
		} else {
			u.Kills = append(u.Kills, delta.Kill{Prefix: crdt.Object(crdt.Set, fmt.Sprint("s", t.intN(2))), Clock: t.clock()})
		}
	}
	return u
}

// items are those of a stream, well formed most of the time.
func (t *tape) items() (b []byte) {
	for range 1 + t.intN(4) {
		var item []byte
		switch t.intN(6) {
		case 0:
			item = delta.AppendEntry([]byte{itemEntry}, t.entry(crdt.Dot{Replica: t.replica(), Seq: t.seq()}))
		case 1:
			item = delta.AppendDotSet([]byte{itemDots}, t.dots())
		case 2, 3:
			item = delta.AppendUnit([]byte{itemUnit}, t.unit())
		case 4:
			runs := delta.Runs{}
			for _, r := range t.runs() {
				if r.Run.First > 0 {
					runs[r.Replica] = r.Run
				}
			}
			item = delta.AppendRuns([]byte{itemRuns}, runs)
		case 5:
			item = t.bytes(20)
		}
		b = appendItem(b, item)
	}
	return b
}

// answers are about n nodes or less: hashes that equal nothing, runs, bits.
func (t *tape) answers(n int) (b []byte) {
	for range min(n, 64) {
		switch t.intN(3) {
		case 0:
			mask := uint16(t.next())<<8 | uint16(t.next())
			b = binary.LittleEndian.AppendUint16(append(b, formHashes), mask)
			for ; mask != 0; mask &= mask - 1 {
				b = binary.LittleEndian.AppendUint64(b, uint64(t.next()))
			}
		case 1:
			b = append(b, formRuns, byte(t.intN(3)))
			b = append(b, t.bytes(6)...)
		case 2:
			b = append(append(b, formBits), bytes.Repeat([]byte{byte(t.next())}, leafSeqs/8)...)
		}
	}
	return b
}

// message is any: bytes, or fields that fit their kind or another one. asked is how many nodes the
// other side has asked for.
func (t *tape) message(asked int) []byte {
	kinds := []kind{kindHello, kindAsk, kindClock, kindTell, kindAnnounce, kindRequest, kindWant, kindNodes, kindCredit, kindDone,
		kindSame, kindOffer, kindMode, kindRoots, kindHashes, kindChunk, kindEnd, kindFail, firstSkippable, 0}
	m := &message{kind: kinds[t.intN(len(kinds))]}
	if t.intN(4) == 0 {
		m.flags = uint64(t.next())
	}
	hash := func() []byte { return bytes.Repeat([]byte{byte(t.next())}, hashBytes) }
	switch m.kind {
	case kindHello, kindRequest:
		m.clockHash, m.runsHash, m.number = hash(), hash(), uint64(t.next())
		m.digest = make([]byte, len(delta.Digest{}))
		if t.intN(4) == 0 {
			m.unit = []uint64{uint64(t.replica()), t.seq(), 0, 0}
		}
		m.credit = t.seq()
	case kindAsk:
		if t.intN(2) == 0 {
			m.buckets = make([]byte, buckets*shortHashBytes)
		}
	case kindClock, kindTell, kindOffer:
		m.clock, m.runs = t.components(), t.runs()
		if t.intN(3) == 0 {
			m.past = t.runs()
		}
		if t.intN(3) == 0 {
			m.mask = bytes.Repeat([]byte{byte(t.next())}, buckets/8)
		}
	case kindAnnounce:
		m.unit = []uint64{uint64(t.replica()), t.seq(), t.seq(), t.seq()}
	case kindWant:
		m.clock, m.runs, m.credit, m.mode = t.components(), t.runs(), t.seq(), uint64(t.intN(5))
		if t.intN(2) == 0 {
			m.cached = delta.AppendDotSet(nil, t.dots())
		}
	case kindNodes:
		for range t.intN(8) {
			m.nodes = append(m.nodes, node{replica: t.replica(), level: uint8(t.intN(maxLevel + 1)), index: t.seq()})
		}
	case kindCredit:
		m.credit = t.seq()
	case kindMode, kindFail:
		m.mode = uint64(t.intN(5))
	case kindRoots:
		for range t.intN(4) {
			m.hashes = binary.LittleEndian.AppendUint64(m.hashes, uint64(t.replica()))
			m.hashes = binary.LittleEndian.AppendUint64(m.hashes, uint64(t.next()))
		}
	case kindHashes:
		m.hashes = t.answers(asked)
	case kindChunk:
		b := t.items()
		*m = *pack(b)
		if t.intN(8) == 0 {
			m.size = t.seq()
		}
	case kindEnd:
		m.size = uint64(t.intN(8))
	}
	b := m.encode()
	switch t.intN(16) {
	case 0:
		b = b[:t.next()*len(b)/256]
	case 1:
		b = bytes.Clone(b)
		b[t.next()*len(b)/256] ^= 1 << t.intN(8)
	case 2:
		b = t.bytes(64)
	}
	return b
}

// small returns bounds that a short session reaches.
func (t *tape) small() Config {
	cfg := DefaultConfig()
	cfg.MaxReplicas = 8
	cfg.Window = 2 + t.intN(2)
	cfg.ChunkBytes = []int{20, 200, maxChunkBytes}[t.intN(3)]
	cfg.LogMaxDots = []uint64{1, 1000}[t.intN(2)]
	return cfg
}
