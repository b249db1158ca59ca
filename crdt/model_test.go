package crdt_test

import (
	"fmt"
	"maps"
	"slices"

	. "github.com/anabranchdb/anabranch/crdt"
)

// unit is what one transaction of the model did. It is applied whole.
type unit struct {
	origin      ReplicaID
	first, last uint64
	deps        VersionVector
	add         []Entry
	kill        []Dot
	prefixes    []prefixKill
	known       events // what its writer knew when it was done
}

// prefixKill kills what lies under a prefix and is covered by a clock, if its kind allows it.
type prefixKill struct {
	prefix Path
	clock  VersionVector
}

func (k prefixKill) hits(e Entry) bool {
	return k.prefix.Contains(e.Path) && k.clock.Covers(e.Dot) && !e.Kind.NamedOnly()
}

// replica is a State with the operations of the package applied to it. It holds what the store
// would hold, in the plainest way.
type replica struct {
	id    ReplicaID
	state State
	units []unit // own
	known events // what the reference says has been heard of here
}

func newReplica(id ReplicaID) *replica { return &replica{id: id, state: NewState(), known: events{}} }

// tx applies edits to a replica and gathers them in a unit.
type tx struct {
	r *replica
	u unit
}

func (r *replica) begin() *tx {
	next := r.state.Clock[r.id] + 1
	return &tx{r, unit{origin: r.id, first: next, last: next - 1, deps: r.state.Clock.Clone()}}
}

func (t *tx) next() Dot { return Dot{Replica: t.r.id, Seq: t.u.last + 1} }

func (t *tx) apply(e Edit) {
	if e.Empty() {
		return
	}
	t.u.last += uint64(max(1, len(e.Add)))
	for _, d := range e.Kill {
		if _, live := t.r.state.Live[d]; !live {
			panic(fmt.Sprintf("kill of %v, which is not live", d))
		}
		delete(t.r.state.Live, d)
		if d.Replica == t.r.id && d.Seq >= t.u.first { // never seen outside
			t.u.add = slices.DeleteFunc(t.u.add, func(e Entry) bool { return e.Dot == d })
			continue
		}
		t.u.kill = append(t.u.kill, d)
	}
	for _, a := range e.Add {
		t.r.state.Live[a.Dot] = a
		t.u.add = append(t.u.add, a)
	}
	t.r.state.Clock[t.r.id] = t.u.last
}

func (t *tx) commit() {
	if t.u.last >= t.u.first {
		t.u.known = t.r.known.clone()
		t.r.units = append(t.r.units, t.u)
	}
}

// under returns the paths with live entries under a prefix, ascending.
func (r *replica) under(prefix Path) []Path {
	set := map[Path]bool{}
	for _, e := range r.state.Live {
		if prefix.Contains(e.Path) {
			set[e.Path] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// delete removes what is under a prefix and was seen. With byPrefix the unit does not name what
// it kills, but for the kills of Reset.
func (t *tx) delete(prefix Path, ts Timestamp, seen VersionVector, byPrefix bool) {
	named := t.u.kill
	for _, p := range t.r.under(prefix) {
		if p.LeafType() == Counter {
			continue
		}
		t.apply(Remove(t.r.state.At(p), seen))
	}
	if byPrefix && len(t.u.kill) > len(named) {
		t.u.kill = named
		clock := t.u.deps
		if seen != nil {
			clock = clock.Min(seen)
		}
		t.u.prefixes = append(t.u.prefixes, prefixKill{prefix, clock})
	}
	for _, p := range t.r.under(prefix) {
		if p.LeafType() != Counter {
			continue
		}
		e, err := Reset(t.r.state.At(p), p, t.r.id, t.next(), ts, seen)
		if err != nil {
			panic(err)
		}
		t.apply(e)
	}
}

// purge does what every replica does after it has applied something.
func (r *replica) purge() bool {
	t := r.begin()
	for _, p := range r.under("") {
		if Settles(p.LeafType()) {
			t.apply(Settle(r.state.At(p), p, t.next(), 1))
		}
	}
	t.commit()
	return t.u.last >= t.u.first
}

// canApply says whether u is new here and all its causes are here.
func (r *replica) canApply(u unit) bool {
	return r.state.Clock[u.origin] == u.first-1 && r.state.Clock.CoversAll(u.deps)
}

func (r *replica) applyUnit(u unit) {
	for _, d := range u.kill {
		delete(r.state.Live, d)
	}
	for _, k := range u.prefixes {
		maps.DeleteFunc(r.state.Live, func(_ Dot, e Entry) bool { return k.hits(e) })
	}
	for _, e := range u.add {
		r.state.Live[e.Dot] = e
	}
	r.state.Clock[u.origin] = u.last
	maps.Copy(r.known, u.known)
}

// settle lets everybody hear of everything, and purge, until nothing happens any more.
func settle(rs []*replica) {
	for again := true; again; {
		again = false
		for _, a := range rs {
			for _, b := range rs {
				a.join(b)
			}
			again = a.purge() || again
		}
	}
	for _, a := range rs {
		for _, b := range rs {
			a.join(b)
		}
	}
}

func (r *replica) join(o *replica) {
	r.state = Join(r.state, o.state)
	maps.Copy(r.known, o.known)
}
