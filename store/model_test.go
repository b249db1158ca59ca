package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// seeded is a source of ids that a seed repeats.
type seeded struct{ *rand.Rand }

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.Uint32())
	}
	return len(p), nil
}

// cluster runs stores side by side with every unit that was ever made, and the pure reference
// state of each.
type cluster struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Time
	nodes []*member
	units []delta.Unit
	runs  delta.Runs
	quiet bool // nobody writes while a pull runs
}

type member struct {
	store *Store
	ns    *Namespace
	ref   crdt.State
}

func newCluster(t *testing.T, seed uint64, size, large int) *cluster {
	c := &cluster{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0), runs: delta.Runs{}}
	for range size {
		opts := MemoryOptions()
		opts.Now = func() time.Time { return c.now }
		opts.Rand = seeded{rand.New(rand.NewPCG(c.rng.Uint64(), 2))}
		opts.LargeEntries = large
		opts.ReapEvery = -1
		opts.MaxLogBytes = 2000
		s, err := Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		ns, err := s.Namespace(Default)
		if err != nil {
			t.Fatal(err)
		}
		m := &member{store: s, ns: ns, ref: crdt.NewState()}
		ns.Subscribe(func(k Commit) {
			for _, u := range k.Units {
				if u.Origin == k.Status.Replica {
					c.units = append(c.units, u)
					if err := delta.Validate(u); err != nil {
						t.Errorf("own unit %+v: %v", u, err)
					}
				}
			}
		})
		c.nodes = append(c.nodes, m)
	}
	return c
}

func (c *cluster) check(err error, format string, args ...any) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

var modelPaths = []crdt.Path{
	tBounded,
	crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter),
	crdt.Object(crdt.Register, "r/").Leaf(crdt.Register),
	crdt.Object(crdt.Flag, "f").Leaf(crdt.Flag),
	crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Counter),
	crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Register),
	crdt.Object(crdt.Map, "m").Fields("a", "b").Leaf(crdt.Register),
	crdt.Object(crdt.Map, "m").Fields("a", "c").Leaf(crdt.Counter),
}

var modelPrefixes = []crdt.Path{
	tBounded.ObjectPath(),
	crdt.Object(crdt.Counter, "c"),
	crdt.Object(crdt.Register, "r/"),
	crdt.Object(crdt.Set, "s"),
	crdt.Object(crdt.List, "l"),
	crdt.Object(crdt.Map, "m"),
	crdt.Object(crdt.Map, "m").Field("a"),
	crdt.Object(crdt.Map, "m").Fields("a", "t"),
}

func (c *cluster) members() crdt.Path {
	if c.rng.IntN(2) == 0 {
		return crdt.Object(crdt.Set, "s").Leaf(crdt.Set)
	}
	return crdt.Object(crdt.Map, "m").Fields("a", "t").Leaf(crdt.Set)
}

// seen is nil, the present clock or an older one.
func (c *cluster) seen(t *Tx) crdt.VersionVector {
	switch c.rng.IntN(3) {
	case 0:
		return nil
	case 1:
		return t.Clock()
	}
	v := t.Clock().Clone()
	for r := range v {
		if v[r] = c.rng.Uint64N(v[r] + 1); v[r] == 0 {
			delete(v, r)
		}
	}
	return v
}

var errAbort = errors.New("abort")

// write does one random transaction on m.
func (c *cluster) write(m *member) {
	ops := 1 + c.rng.IntN(4)
	_, err := m.ns.Commit(context.Background(), func(t *Tx) error {
		for range ops {
			t.Until(c.deadline())
			if err := c.op(t); err != nil {
				return err
			}
		}
		c.headsOfTx(t)
		if c.rng.IntN(10) == 0 {
			return errAbort
		}
		return nil
	})
	if !errors.Is(err, errAbort) {
		c.check(err, "commit")
	}
}

// deadline is none in two of three cases, else soon.
func (c *cluster) deadline() crdt.Deadline {
	if c.rng.IntN(3) > 0 {
		return 0
	}
	return crdt.DeadlineOf(c.now.Add(time.Duration(c.rng.IntN(20_000)) * time.Millisecond))
}

// headsOfTx compares what a transaction knows of places with what it can see there.
func (c *cluster) headsOfTx(t *Tx) {
	c.t.Helper()
	for _, place := range modelPrefixes {
		if place != place.ObjectPath() {
			place = place.Leaf(crdt.Set)
			if place != crdt.Object(crdt.Map, "m").Fields("a", "t").Leaf(crdt.Set) {
				continue
			}
		}
		var want Head
		for it, err := range t.Scan(place, "") {
			c.check(err, "scan of %q", place)
			want.count(it.Path, it.Entries)
		}
		h, err := t.Head(place)
		c.check(err, "head of %q", place)
		if h.Entries != want.Entries || h.Visible != want.Visible || h.Timed != want.Timed {
			c.t.Fatalf("head of %q in a transaction: %+v, want %+v", place, h, want)
		}
	}
}

// count adds what is live at a path to a head.
func (h *Head) count(p crdt.Path, es []crdt.Entry) {
	h.Entries += uint64(len(es))
	h.Visible += count(crdt.Visible(p.LeafType(), es))
	h.Timed += withDeadline(es)
}

func (c *cluster) op(t *Tx) error {
	p := modelPaths[c.rng.IntN(len(modelPaths))]
	switch k := c.rng.IntN(13); {
	case k >= 10:
		return c.listOp(t)
	case k < 4:
		for range c.rng.IntN(5) + 1 {
			if _, err := t.Add(c.members().Member(fmt.Sprint(c.rng.IntN(12)))); err != nil {
				return err
			}
		}
		return nil
	case k < 5:
		_, err := t.Remove(c.members().Member(fmt.Sprint(c.rng.IntN(12))), c.seen(t))
		return err
	case k < 8:
		if p.LeafType() == crdt.Bounded {
			return c.stock(t)
		}
		if p.LeafType() == crdt.Counter {
			if c.rng.IntN(4) == 0 {
				_, err := t.Reset(p, c.seen(t))
				return err
			}
			return t.Increment(p, int64(c.rng.IntN(21)-10))
		}
		if c.rng.IntN(4) == 0 {
			_, err := t.Remove(p, c.seen(t))
			return err
		}
		if p.LeafType() == crdt.Flag {
			return t.Enable(p)
		}
		return t.Assign(p, fmt.Appendf(nil, "%d", c.rng.IntN(100)), c.seen(t))
	default:
		_, err := t.Delete(modelPrefixes[c.rng.IntN(len(modelPrefixes))], c.seen(t))
		return unlessRefused(err)
	}
}

// stock adds to a bounded counter, takes from it or gives rights to another member.
func (c *cluster) stock(t *Tx) error {
	switch c.rng.IntN(4) {
	case 0:
		return t.Stock(tBounded, 1+c.rng.Int64N(9))
	case 1:
		_, err := t.Give(tBounded, c.nodes[c.rng.IntN(len(c.nodes))].ns.Replica(), 1+c.rng.Int64N(9))
		return err
	}
	return unlessRefused(t.Stock(tBounded, -1-c.rng.Int64N(5)))
}

// unlessRefused passes over the lack of rights: nothing has been changed then.
func unlessRefused(err error) error {
	if errors.Is(err, crdt.ErrRights) {
		return nil
	}
	return err
}

// listOp does something to a list.
func (c *cluster) listOp(t *Tx) error {
	leaf := []crdt.Path{crdt.Object(crdt.List, "l"), crdt.Object(crdt.Map, "m").Field("a")}[c.rng.IntN(2)].Leaf(crdt.List)
	var ids []crdt.Position
	for item, err := range t.Scan(leaf, "") {
		if err != nil {
			return err
		}
		if id, ok, err := positionOf(item.Path); err != nil || !ok {
			return fmt.Errorf("%q: %w", item.Path, err)
		} else if crdt.Visible(crdt.List, item.Entries) {
			ids = append(ids, id)
		}
	}
	place := Place{Start: c.rng.IntN(4) == 0}
	if len(ids) == 0 || c.rng.IntN(3) == 0 {
		_, err := t.Insert(leaf, place, [][]byte{[]byte("1"), []byte("2")})
		return err
	}
	id, other := ids[c.rng.IntN(len(ids))], ids[c.rng.IntN(len(ids))]
	switch c.rng.IntN(5) {
	case 0:
		return t.SetItem(leaf, id, fmt.Appendf(nil, "%d", c.rng.IntN(100)), c.seen(t))
	case 1:
		_, err := t.RemoveItem(leaf, id, c.seen(t))
		return err
	case 2:
		return t.MoveItem(leaf, id, Place{After: other})
	case 3:
		return t.MoveItem(leaf, id, Place{Before: other})
	}
	_, err := t.Insert(leaf, Place{Before: other}, [][]byte{[]byte("3")})
	return err
}

// pull brings a to what b has, by units, by the log or by a whole state.
func (c *cluster) pull(a, b *member) {
	ctx := context.Background()
	src, err := b.ns.Source(ctx)
	c.check(err, "source")
	defer src.Close()
	from, to := a.ns.Clock(), src.Status().Clock
	if units, ok, err := src.Log(from); ok && c.rng.IntN(2) == 0 {
		c.check(err, "log")
		var us []delta.Unit
		for u, err := range units {
			c.check(err, "log")
			us = append(us, u.Unit)
		}
		c.check(a.ns.Apply(ctx, us, src.Status().Runs), "apply")
	} else {
		c.state(a, src, from, to)
	}
	c.equal(a)
}

// state pulls a whole state while a goes on writing.
func (c *cluster) state(a *member, src *Source, from, to crdt.VersionVector) {
	ctx := context.Background()
	asked, err := a.ns.Source(ctx)
	c.check(err, "source")
	j := StateJoin{From: from, To: to, Runs: src.Status().Runs, Streamed: delta.NewDotSet()}
	cut := from.Min(to)
	j.Killed = asked.Live().CutAt(cut).AndNot(src.Live())
	c.check(asked.Close(), "close")
	var es []crdt.Entry
	for e, err := range src.Entries(from) {
		c.check(err, "entries")
		es = append(es, e)
		j.Streamed.Add(e.Dot)
	}
	if len(es) > 0 {
		c.check(errors.Join(a.ns.Stage(es[:len(es)/2]), a.ns.Stage(es[len(es)/2:])), "stage")
	}
	for range c.rng.IntN(3) {
		if c.quiet {
			break
		}
		c.write(a)
	}
	c.check(a.ns.Join(ctx, j), "join")
}

// reference applies all units up to a clock to a copy of s.
func (c *cluster) reference(s crdt.State, to crdt.VersionVector) crdt.State {
	s = s.Clone()
	for again := true; again; {
		again = false
		for _, u := range c.units {
			if u.Last > to[u.Origin] || s.Clock[u.Origin] >= u.Last {
				continue
			}
			if err := delta.Apply(&s, u); err == nil {
				again = true
			} else if !errors.Is(err, delta.ErrGap) {
				c.t.Fatal(err)
			}
		}
	}
	return s
}

// caughtUp waits until the purges after a join are through and in the reference.
func (c *cluster) caughtUp(m *member) {
	_, err := m.ns.Commit(context.Background(), func(t *Tx) error { return nil })
	c.check(err, "commit")
}

// equal compares the store with its reference in everything.
func (c *cluster) equal(m *member) {
	c.t.Helper()
	c.caughtUp(m)
	m.ref = c.reference(m.ref, m.ns.Clock())
	src, err := m.ns.Source(context.Background())
	c.check(err, "source")
	defer src.Close()
	got := crdt.NewState()
	got.Clock = src.Status().Clock
	var digest delta.Digest
	for e, err := range src.Entries(nil) {
		c.check(err, "entries")
		got.Live[e.Dot] = e
		digest.Add(e)
		if !src.Live().Contains(e.Dot) {
			c.t.Fatalf("live entry %v has no live bit", e.Dot)
		}
		if f, err := src.entry(e.Dot); err != nil || !f.Equal(e) {
			c.t.Fatalf("index of %v: %v %v", e.Dot, f, err)
		}
	}
	escrow, err := crdt.ReadEscrow(got.At(tBounded))
	c.check(err, "bounded counter")
	for id, n := range escrow.Rights {
		if n.Cmp(crdt.Int128{}) < 0 {
			c.t.Fatalf("%v has rights to %v", id, n)
		}
	}
	if !got.Equal(m.ref) {
		c.t.Fatalf("store and reference differ:\n%v\n%v", describe(got), describe(m.ref))
	}
	if digest != src.Status().Digest || src.Live().Len() != uint64(len(got.Live)) {
		c.t.Fatalf("digest or live bits are off")
	}
	c.heads(m, got)
}

// heads compares every head with what it counts.
func (c *cluster) heads(m *member, s crdt.State) {
	c.t.Helper()
	want := map[crdt.Path]Head{}
	byPath := map[crdt.Path][]crdt.Entry{}
	for _, e := range s.Live {
		byPath[e.Path] = append(byPath[e.Path], e)
	}
	now := crdt.DeadlineOf(c.now)
	stored := map[crdt.Path]Head{} // hidden entries included
	v, err := m.ns.View(context.Background())
	c.check(err, "view")
	defer v.Close()
	for p, es := range byPath {
		crdt.SortNewest(es)
		seen := crdt.Unexpired(es, now)
		if got, err := v.Entries(p); err != nil || !slices.EqualFunc(got, seen, crdt.Entry.Equal) {
			c.t.Fatalf("entries at %q: %v %v, want %v", p, got, err, seen)
		}
		for _, at := range headsOf(p) {
			h, w := stored[at], want[at]
			h.count(p, es)
			w.count(p, seen)
			for _, e := range es {
				if e.Over(now) {
					w.Over = max(w.Over, e.Expires)
				}
			}
			stored[at], want[at] = h, w
		}
	}
	held, objects := uint64(0), uint64(0)
	for p, w := range want {
		h, err := v.Head(p)
		c.check(err, "head")
		if h.Entries != w.Entries || h.Visible != w.Visible || h.Timed != w.Timed || h.Over != w.Over {
			c.t.Fatalf("head of %q: %+v, want %+v", p, h, w)
		}
		if p == p.ObjectPath() {
			held += count(stored[p].Visible > 0)
			objects += count(h.Visible > 0)
		}
	}
	listed := uint64(0)
	for _, err := range v.Objects("", "") {
		c.check(err, "objects")
		listed++
	}
	if n, _ := m.ns.Counts(); n != held || listed != objects {
		c.t.Fatalf("%d objects counted, %d listed, want %d and %d", n, listed, held, objects)
	}
}

func describe(s crdt.State) string {
	var lines []string
	for _, e := range s.Live {
		lines = append(lines, fmt.Sprintf("%v %q %x %q", e.Dot, e.Path, e.Kind, e.Value))
	}
	slices.Sort(lines)
	var b bytes.Buffer
	fmt.Fprintln(&b, s.Clock)
	for _, l := range lines {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

// TestModel runs random histories on three stores and compares each, after every step, with the
// pure reference that applied the same units.
func TestModel(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			large := 4096
			if seed%2 == 1 {
				large = 3 // every other delete and join is a large change
			}
			c := newCluster(t, seed, 3, large)
			for range 60 {
				c.now = c.now.Add(time.Duration(c.rng.IntN(2000)) * time.Millisecond)
				a, b := c.nodes[c.rng.IntN(3)], c.nodes[c.rng.IntN(3)]
				switch {
				case c.rng.IntN(8) == 0:
					if c.rng.IntN(4) == 0 {
						c.now = c.now.Add(2 * time.Minute) // then the others reap, too
					}
					_, err := a.ns.Reap(context.Background())
					c.check(err, "reap")
					c.equal(a)
				case c.rng.IntN(3) > 0:
					c.write(a)
					c.equal(a)
				case a != b:
					c.pull(a, b)
				}
			}
			c.converge()
		})
	}
}

// converge exchanges until nothing moves, and checks that all answer alike.
func (c *cluster) converge() {
	c.t.Helper()
	c.quiet = true
	for range 6 {
		for i, a := range c.nodes {
			for j, b := range c.nodes {
				if i != j {
					c.pull(a, b)
				}
			}
		}
	}
	for _, m := range c.nodes {
		checkConsistency(c.t, m.ns)
	}
	first := c.nodes[0].ns.Status()
	for _, m := range c.nodes[1:] {
		if s := m.ns.Status(); s.Clock.Compare(first.Clock) != crdt.Equal || s.Digest != first.Digest {
			c.t.Fatalf("no convergence: %v %v, %v %v", first.Clock, first.Digest, s.Clock, s.Digest)
		}
	}
}
