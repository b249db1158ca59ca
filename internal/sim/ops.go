package sim

import (
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Few places, so that concurrent operations meet.
var (
	counters = []crdt.Path{
		crdt.Object(crdt.Counter, "visits").Leaf(crdt.Counter),
		crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Counter),
		crdt.Object(crdt.Map, "m").Fields("a", "n").Leaf(crdt.Counter),
	}
	registers = []crdt.Path{
		crdt.Object(crdt.Register, "r").Leaf(crdt.Register),
		crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Register),
		crdt.Object(crdt.Map, "m").Fields("a", "v").Leaf(crdt.Register),
	}
	sets = []crdt.Path{
		crdt.Object(crdt.Set, "s").Leaf(crdt.Set),
		crdt.Object(crdt.Map, "m").Fields("a", "tags").Leaf(crdt.Set),
	}
	subtrees = []crdt.Path{
		crdt.Object(crdt.Counter, "visits"),
		crdt.Object(crdt.Set, "s"),
		crdt.Object(crdt.Map, "m"),
		crdt.Object(crdt.Map, "m").Field("a"),
	}
)

// op does one random operation.
func (w *World) op(t *store.Tx) error {
	pick := func(ps []crdt.Path) crdt.Path { return ps[w.rng.IntN(len(ps))] }
	member := func() crdt.Path { return pick(sets).Member(fmt.Sprint(w.rng.IntN(10))) }
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		_, err := t.Add(member())
		return err
	case 3:
		_, err := t.Remove(member(), w.seen(t))
		return err
	case 4:
		// More members than a delete spells out one by one.
		set := pick(sets)
		for i := range 70 {
			if _, err := t.Add(set.Member(fmt.Sprint("bulk", i))); err != nil {
				return err
			}
		}
		return nil
	case 5, 6, 7:
		return t.Increment(pick(counters), int64(w.rng.IntN(21)-10))
	case 8:
		_, err := t.Reset(pick(counters), w.seen(t))
		return err
	case 9, 10:
		return t.Assign(pick(registers), fmt.Append(nil, w.rng.IntN(1000)), w.seen(t))
	default:
		_, err := t.Delete(pick(subtrees), w.seen(t))
		return err
	}
}

// seen is what an author may have seen: all, or an earlier clock.
func (w *World) seen(t *store.Tx) crdt.VersionVector {
	if w.rng.IntN(2) == 0 {
		return nil
	}
	v := crdt.VersionVector{}
	for _, r := range t.Clock().Replicas() {
		if s := w.rng.Uint64N(t.Clock()[r] + 1); s > 0 {
			v[r] = s
		}
	}
	return v
}
