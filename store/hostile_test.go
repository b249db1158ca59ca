package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// FuzzHostileUnits lets a member say well-formed units that no daemon would write: kinds at paths of other
// types, values from elsewhere, times and deadlines of any year, kills of anything. The copy takes them or
// refuses them as delta.Apply does, all that it derives stays right, every object can be read, and
// what is written locally meanwhile fails for the reasons of its operation alone.
func FuzzHostileUnits(f *testing.F) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 8))
		b := make([]byte, 60+rng.IntN(200))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func(n int) int {
			if len(b) == 0 {
				return 0
			}
			k := int(b[0]) % n
			b = b[1:]
			return k
		}
		c := newCluster(t, uint64(next(64)), 2, []int{2, 4096}[next(2)])
		ctx := context.Background()
		victim, liar := c.nodes[0], c.nodes[1]
		ref := crdt.NewState()
		var entries []crdt.Entry // seen so far, to take kinds and values from
		// own takes over what the victim has written: it purges its cells after units of others, too.
		own := func() {
			for _, u := range c.units {
				if entries = append(entries, u.Entries...); u.Origin == victim.ns.Replica() {
					if err := delta.Apply(&ref, u); err != nil {
						t.Fatalf("own unit: %v", err)
					}
				}
			}
			c.units = nil
		}
		for n := 0; n < 60 && len(b) > 0; n++ {
			if next(3) == 0 {
				c.writeAmongLies(victim)
				own()
				continue
			}
			c.write(liar)
			said := c.units
			own()
			for _, u := range said {
				lie := u
				if lie.Entries = slices.Clone(u.Entries); next(3) > 0 {
					tell(&lie, entries, ref, next)
				}
				err := victim.ns.Apply(ctx, []delta.Unit{lie}, nil)
				want := expected(&ref, lie)
				if errors.Is(err, delta.ErrMalformed) != errors.Is(want, delta.ErrMalformed) || (err == nil) != (want == nil) {
					t.Fatalf("%+v: %v, want %v", lie, err, want)
				}
				if want != nil { // the next one is to follow on something
					if err := errors.Join(victim.ns.Apply(ctx, []delta.Unit{u}, nil), delta.Apply(&ref, u)); err != nil {
						t.Fatal(err)
					}
				}
				own()
			}
		}
		got := checkConsistency(t, victim.ns)
		if own(); !got.Equal(ref) {
			t.Fatalf("the copy is not what its units say: %v, %v", got.Clock, ref.Clock)
		}
		if _, err := victim.ns.Reap(ctx); err != nil {
			t.Fatalf("reap: %v", err)
		}
		readAll(t, victim.ns)
	})
}

// expected is what delta.Apply says, and that values of known kinds are looked at too.
func expected(ref *crdt.State, u delta.Unit) error {
	for _, e := range u.Entries {
		if err := delta.ValidateValue(e); err != nil {
			return err
		}
	}
	return delta.Apply(ref, u)
}

// tell makes a lie of a unit.
func tell(u *delta.Unit, entries []crdt.Entry, ref crdt.State, next func(int) int) {
	for i := range u.Entries {
		e, other := &u.Entries[i], entries[next(len(entries))]
		switch next(7) {
		case 0:
			e.Path = other.Path
		case 1:
			e.Kind, e.Value, e.Expires = other.Kind, other.Value, other.Expires
		case 2:
			e.Kind = crdt.Kind(next(256))
		case 3:
			e.Value = slices.Clone(e.Value)
			if len(e.Value) > 0 {
				e.Value[next(len(e.Value))] ^= 1 << next(8)
			}
		case 4:
			e.Time = crdt.Timestamp(1<<62 + uint64(next(256))<<54)
		case 5:
			if e.Kind.MayExpire() {
				e.Expires = []crdt.Deadline{1, crdt.MaxDeadline, 1_700_000_005_000}[next(3)]
			}
		}
	}
	switch next(6) {
	case 0:
		var dots []crdt.Dot
		for d := range ref.Live {
			dots = append(dots, d)
		}
		if slices.SortFunc(dots, crdt.Dot.Compare); len(dots) > 0 {
			at := next(len(dots))
			u.Kills = append(slices.Clone(u.Kills), delta.Kill{Dots: dots[at : at+1+next(len(dots)-at)]})
		}
	case 1:
		u.Kills = append(slices.Clone(u.Kills), delta.Kill{Prefix: modelPrefixes[next(len(modelPrefixes))], Clock: ref.Clock.Clone()})
	case 2:
		u.Deps = u.Deps.Clone()
		u.Deps[crdt.ReplicaID(1+next(3))] = uint64(next(3))
	}
}

// writeAmongLies does a random transaction. What others have made up may leave no room for an amount or an
// item, and nothing else may go wrong.
func (c *cluster) writeAmongLies(m *member) {
	_, err := m.ns.Commit(context.Background(), func(t *Tx) error {
		for range 1 + c.rng.IntN(4) {
			t.Until(c.deadline())
			if err := c.op(t); err != nil {
				return err
			}
		}
		c.headsOfTx(t)
		return nil
	})
	if !errors.Is(err, crdt.ErrOverflow) && !errors.Is(err, crdt.ErrNoPosition) {
		c.check(err, "commit")
	}
}

// readAll reads every object as all types do.
func readAll(t *testing.T, n *Namespace) {
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for o, err := range v.Objects("", "") {
		if err != nil {
			t.Fatal(err)
		}
		for it, err := range v.Scan(o.Path, "") {
			if err != nil {
				t.Fatal(err)
			}
			if err := read(it); err != nil {
				t.Fatalf("%q: %v", it.Path, err)
			}
		}
	}
}

func read(it Item) (err error) {
	switch it.Path.LeafType() {
	case crdt.Counter:
		_, err = crdt.CounterValue(it.Entries)
	case crdt.Bounded:
		_, err = crdt.ReadEscrow(it.Entries)
	case crdt.List:
		var id crdt.Position
		if id, _, err = positionOf(it.Path); err == nil {
			_, _, err = crdt.ReadItem(id, it.Entries)
		}
	case crdt.Register:
		crdt.RegisterValues(it.Entries)
	}
	return err
}
