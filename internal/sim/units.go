package sim

import (
	"context"
	"errors"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// units is every unit that was ever written, by origin and in order: what a clock stands for.
type units struct {
	of   map[crdt.ReplicaID][]delta.Unit
	dots map[crdt.Dot]bool
}

func newUnits() *units {
	return &units{of: map[crdt.ReplicaID][]delta.Unit{}, dots: map[crdt.Dot]bool{}}
}

// at returns the unit that holds a dot.
func (us *units) at(d crdt.Dot) (delta.Unit, bool) {
	for _, u := range us.of[d.Replica] {
		if u.First <= d.Seq && d.Seq <= u.Last {
			return u, true
		}
	}
	return delta.Unit{}, false
}

// record takes units that were just written into what is known.
func (w *World) record(written []delta.Unit) {
	for _, u := range written {
		w.must(delta.Validate(u), "unit %v:%d", u.Origin, u.First)
		if u.First != w.units.next(u.Origin) {
			w.fail("units of %v have a gap before %d, or one seq was used twice", u.Origin, u.First)
		}
		for _, e := range u.Entries {
			if w.units.dots[e.Dot] {
				w.fail("I1: dot %v was used twice", e.Dot)
			}
			w.units.dots[e.Dot] = true
		}
		w.units.of[u.Origin] = append(w.units.of[u.Origin], u)
	}
}

// learn takes units into what is known that a crash has left on the disk of a node and that were
// not announced before it.
func (w *World) learn(n *node) {
	if n.ns.Err() != nil {
		return
	}
	s, err := n.ns.Source(context.Background())
	w.must(err, "source of %s", n.id)
	defer s.Close()
	clock := n.ns.Clock()
	for _, r := range clock.Replicas() {
		for next := w.units.next(r); next <= clock[r]; next = w.units.next(r) {
			u, ok, err := s.Unit(r, next)
			w.must(err, "log of %s", n.id)
			if !ok {
				w.fail("%s: the log lacks the unit with the seq %d of %v, which nobody announced", n.id, next, r)
			}
			w.record([]delta.Unit{u.Unit})
		}
	}
	for _, o := range w.nodes {
		w.resolve(o)
	}
}

// next is the first seq of a replica that is not known.
func (us *units) next(r crdt.ReplicaID) uint64 {
	known := us.of[r]
	if len(known) == 0 {
		return 1
	}
	return known[len(known)-1].Last + 1
}

// advance applies all units up to a clock to a state.
func (w *World) advance(s *crdt.State, to crdt.VersionVector) {
	for again := true; again; {
		again = false
		for _, r := range to.Replicas() {
			for _, u := range w.units.of[r] {
				if u.Last > to[r] || u.Last <= s.Clock[r] {
					continue
				}
				err := delta.Apply(s, u)
				if errors.Is(err, delta.ErrGap) {
					break
				}
				w.must(err, "reference")
				again = true
			}
		}
	}
}
