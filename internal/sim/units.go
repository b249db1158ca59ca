package sim

import (
	"context"
	"errors"
	"slices"

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
func (us *units) at(d crdt.Dot) (delta.Unit, bool) { return unitAt(us.of[d.Replica], d) }

func unitAt(units []delta.Unit, d crdt.Dot) (delta.Unit, bool) {
	for _, u := range units {
		if u.First <= d.Seq && d.Seq <= u.Last {
			return u, true
		}
	}
	return delta.Unit{}, false
}

// record takes units that a node has just written, or was found to hold, into what is known.
func (w *World) record(n *node, written []delta.Unit) {
	for _, u := range written {
		if w.res.Strays > 0 {
			return
		}
		w.must(delta.Validate(u), "unit %v:%d", u.Origin, u.First)
		if u.First != n.next(u.Origin) {
			w.fail("units of %v have a gap before %d, or one seq was used twice", u.Origin, u.First)
		}
		if b := n.alone(); b != nil && b.id == u.Origin {
			b.units = append(b.units, u)
			continue
		}
		for _, e := range u.Entries {
			if w.units.dots[e.Dot] {
				w.fail("I1: dot %v was used twice", e.Dot)
			}
			w.units.dots[e.Dot] = true
		}
		w.units.of[u.Origin] = append(w.units.of[u.Origin], u)
		n.reissues(u)
	}
}

// learn takes units into what is known that a crash has left on the disk of a node and that were
// not announced before it.
func (w *World) learn(n *node) {
	if n.ns.Err() != nil || w.res.Strays > 0 {
		return
	}
	s, err := n.ns.Source(context.Background())
	w.must(err, "source of %s", n.id)
	defer s.Close()
	clock := n.ns.Clock()
	for _, r := range clock.Replicas() {
		for next := n.next(r); next <= clock[r]; next = n.next(r) {
			u, ok, err := s.Unit(r, next)
			w.must(err, "log of %s", n.id)
			if !ok {
				w.fail("%s: the log lacks the unit with the seq %d of %v, which nobody announced", n.id, next, r)
			}
			n.checkStamps([]delta.Unit{u.Unit}, true)
			w.record(n, []delta.Unit{u.Unit})
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

// next is the first seq of a replica that is not known, in the history that the node is in.
func (n *node) next(r crdt.ReplicaID) uint64 {
	b := n.alone()
	switch {
	case b == nil || b.id != r:
		return n.w.units.next(r)
	case len(b.units) == 0:
		return b.fork
	}
	return b.units[len(b.units)-1].Last + 1
}

// unitsOf are the units of a replica in the history that the node is in.
func (n *node) unitsOf(r crdt.ReplicaID) []delta.Unit {
	b, all := n.alone(), n.w.units.of[r]
	if b == nil || b.id != r {
		return all
	}
	shared := slices.IndexFunc(all, func(u delta.Unit) bool { return u.First >= b.fork })
	if shared < 0 {
		shared = len(all)
	}
	return slices.Concat(all[:shared], b.units)
}

// advance has what a node must hold follow its clock.
func (w *World) advance(n *node, to crdt.VersionVector) {
	s := &n.oracle
	var taken []delta.Unit
	for again := true; again; {
		again = false
		for _, r := range to.Replicas() {
			if s.Clock[r] == to[r] {
				continue
			}
			for _, u := range n.unitsOf(r) {
				if u.Last > to[r] || u.Last <= s.Clock[r] {
					continue
				}
				err := delta.Apply(s, u)
				if errors.Is(err, delta.ErrGap) {
					break
				}
				w.must(err, "reference")
				again, taken = true, append(taken, u)
			}
		}
	}
	n.sawStamps(taken)
}
