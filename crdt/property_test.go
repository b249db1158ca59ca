package crdt_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

// places are where a random history writes: few, so that operations meet.
type places struct{ registers, members, flags, counters, prefixes []Path }

var (
	mapM = Object(Map, "m")

	// narrow is one field of every type, in one map.
	narrow = places{
		registers: []Path{mapM.Field("f").Leaf(Register)},
		members:   []Path{mapM.Field("f").Leaf(Set).Member("x")},
		flags:     []Path{mapM.Field("f").Leaf(Flag)},
		counters:  []Path{mapM.Field("f").Leaf(Counter)},
		prefixes:  []Path{mapM},
	}
	wide = places{
		registers: append(narrow.registers,
			Object(Register, "r").Leaf(Register),
			mapM.Fields("f", "g").Leaf(Register)),
		members: append(narrow.members,
			Object(Set, "s").Leaf(Set).Member("x"),
			Object(Set, "s").Leaf(Set).Member("y"),
			mapM.Fields("f", "h").Leaf(Set).Member("x")),
		flags: append(narrow.flags,
			Object(Flag, "f").Leaf(Flag),
			mapM.Fields("f", "h").Leaf(Flag)),
		counters: append(narrow.counters,
			Object(Counter, "c").Leaf(Counter),
			mapM.Fields("f", "g").Leaf(Counter)),
		prefixes: append(narrow.prefixes,
			Object(Register, "r"), Object(Set, "s"), Object(Flag, "f"), Object(Counter, "c"),
			mapM.Field("f"), mapM.Fields("f", "g"), mapM.Fields("f", "h")),
	}
)

// token is a clock that was read somewhere, and what it stands for.
type token struct {
	clock VersionVector
	seen  events
}

// cluster is a set of replicas and the reference beside them.
type cluster struct {
	places
	history  history
	replicas []*replica
	tokens   []token
	amounts  *rapid.Generator[int64]
}

func newCluster(n int, at places, amounts *rapid.Generator[int64]) *cluster {
	c := &cluster{places: at, amounts: amounts}
	for i := range n {
		c.replicas = append(c.replicas, newReplica(ReplicaID(i+1)))
	}
	return c
}

var (
	smallAmounts = rapid.Int64Range(-9, 9)
	allAmounts   = rapid.OneOf(smallAmounts, rapid.SampledFrom([]int64{
		math.MaxInt64, math.MinInt64, math.MaxInt64 - 3, math.MinInt64 + 3, 1 << 62, -1 << 62}))
)

func (c *cluster) anyReplica(t *rapid.T, label string) *replica {
	return c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, label)]
}

// anyToken draws a clock that r covers: a client's token that r has caught up with.
func (c *cluster) anyToken(t *rapid.T, r *replica) token {
	usable := slices.DeleteFunc(slices.Clone(c.tokens), func(k token) bool {
		return !r.state.Clock.CoversAll(k.clock)
	})
	if len(usable) == 0 || rapid.IntRange(0, 2).Draw(t, "token") > 0 {
		return token{}
	}
	return rapid.SampledFrom(usable).Draw(t, "which token")
}

// operate does one to three operations in one transaction of one replica.
func (c *cluster) operate(t *rapid.T) {
	r := c.anyReplica(t, "replica")
	x := r.begin()
	for range rapid.IntRange(1, 3).Draw(t, "operations") {
		c.one(t, x)
	}
	x.commit()
	c.check(t, r)
}

func (c *cluster) one(t *rapid.T, x *tx) {
	e := event{by: x.r.id, past: x.r.known.clone()}
	e.time = Timestamp(rapid.IntRange(1, 4).Draw(t, "time"))
	e.kind = opKind(rapid.IntRange(0, 5).Draw(t, "kind"))
	switch e.kind {
	case opAssign:
		k := c.anyToken(t, x.r)
		e.seen, e.path = k.seen, rapid.SampledFrom(c.registers).Draw(t, "register")
		e.value = fmt.Sprint(len(c.history.all))
		x.apply(Assign(x.r.state.At(e.path), e.path, x.next(), e.time, []byte(e.value), k.clock))
	case opAdd:
		e.path = rapid.SampledFrom(c.members).Draw(t, "member")
		x.apply(Add(x.r.state.At(e.path), e.path, x.next(), e.time))
	case opEnable:
		e.path = rapid.SampledFrom(c.flags).Draw(t, "flag")
		x.apply(Enable(x.r.state.At(e.path), e.path, x.next(), e.time))
	case opInc:
		e.path = rapid.SampledFrom(c.counters).Draw(t, "counter")
		if e.amount = c.amounts.Draw(t, "amount"); !c.increment(t, x, e) {
			return
		}
	case opRemove:
		k := c.anyToken(t, x.r)
		e.seen = k.seen
		e.path = rapid.SampledFrom(slices.Concat(c.registers, c.members, c.flags, c.counters)).Draw(t, "path")
		x.delete(e.path, e.time, k.clock, false)
	case opDelete:
		k := c.anyToken(t, x.r)
		e.seen, e.path = k.seen, rapid.SampledFrom(c.prefixes).Draw(t, "prefix")
		x.delete(e.path, e.time, k.clock, rapid.Bool().Draw(t, "by prefix"))
	}
	x.r.known[c.history.add(e)] = true
}

// increment reports whether the event took place.
func (c *cluster) increment(t *rapid.T, x *tx, e event) bool {
	value, _ := c.history.counter(x.r.known, e.path)
	edit, err := Increment(x.r.state.At(e.path), e.path, x.next(), e.time, e.amount)
	if !mayIncrement(value, e.amount) {
		if !errors.Is(err, ErrOverflow) || !edit.Empty() {
			t.Fatalf("%v + %d: %v, %v", value, e.amount, edit, err)
		}
		return false
	}
	if err != nil || edit.Empty() != (e.amount == 0) {
		t.Fatalf("%v + %d: %v, %v", value, e.amount, edit, err)
	}
	x.apply(edit)
	return e.amount != 0
}

// join lets one replica take over the whole state of another.
func (c *cluster) join(t *rapid.T) {
	to, from := c.anyReplica(t, "to"), c.anyReplica(t, "from")
	before, beforeFrom := to.state.Clone(), from.state.Clone()
	j := Join(to.state, from.state)
	switch {
	case !to.state.Equal(before) || !from.state.Equal(beforeFrom):
		t.Fatal("Join changed an argument")
	case !Join(j, from.state).Equal(j):
		t.Fatal("a second merge changes something")
	}
	to.join(from)
	c.check(t, to)
	if rapid.Bool().Draw(t, "purge") {
		to.purge()
		c.check(t, to)
	}
}

// deliver hands the next unit of one replica to another, once its causes are there.
func (c *cluster) deliver(t *rapid.T) {
	to, from := c.anyReplica(t, "to"), c.anyReplica(t, "from")
	for _, u := range from.units {
		if to.canApply(u) {
			to.applyUnit(u)
			c.check(t, to)
			break
		}
	}
	if rapid.Bool().Draw(t, "purge") {
		to.purge()
		c.check(t, to)
	}
}

func (c *cluster) keepToken(t *rapid.T) {
	r := c.anyReplica(t, "token of")
	c.tokens = append(c.tokens, token{r.state.Clock.Clone(), r.known.clone()})
}

func (c *cluster) repeat(t *rapid.T) {
	t.Repeat(map[string]func(*rapid.T){
		"operate": c.operate, "operate again": c.operate,
		"join": c.join, "deliver": c.deliver, "deliver more": c.deliver, "token": c.keepToken,
	})
}

// check compares what r shows with the reference, and the invariants.
func (c *cluster) check(t *rapid.T, r *replica) {
	t.Helper()
	for _, p := range c.registers {
		got := strings.Join(asStrings(RegisterValues(r.state.At(p))), " ")
		if want := strings.Join(c.history.register(r.known, p), " "); got != want {
			t.Fatalf("%v: register %q: %q, want %q", r.id, p, got, want)
		}
	}
	for _, p := range c.members {
		if got, want := Visible(Set, r.state.At(p)), c.history.member(r.known, p); got != want {
			t.Fatalf("%v: member %q: %v, want %v", r.id, p, got, want)
		}
		if live := r.state.At(p); len(live) > len(c.replicas) {
			t.Fatalf("%v: %d live entries at a member, with %d replicas", r.id, len(live), len(c.replicas))
		}
	}
	for _, p := range c.flags {
		if got, want := Visible(Flag, r.state.At(p)), c.history.flag(r.known, p); got != want {
			t.Fatalf("%v: flag %q: %v, want %v", r.id, p, got, want)
		}
		if live := r.state.At(p); len(live) > len(c.replicas) {
			t.Fatalf("%v: %d live entries at a flag, with %d replicas", r.id, len(live), len(c.replicas))
		}
	}
	for _, p := range c.counters {
		live := r.state.At(p)
		got, err := CounterValue(live)
		want, visible := c.history.counter(r.known, p)
		if err != nil || got.String() != want.String() || Visible(Counter, live) != visible {
			t.Fatalf("%v: counter %q: %v (%v), want %v, visible %v: %v", r.id, p, got, err, want, visible, live)
		}
		if len(live) > 2*len(c.replicas) {
			t.Fatalf("%v: %d live entries at a counter of %d replicas", r.id, len(live), len(c.replicas))
		}
	}
	for d, e := range r.state.Live {
		if d != e.Dot || !r.state.Clock.Covers(d) {
			t.Fatalf("%v: %v is not covered by %v", r.id, d, r.state.Clock)
		}
	}
	for _, o := range c.replicas {
		if o.state.Clock.Compare(r.state.Clock) == Equal && !o.state.Equal(r.state) {
			t.Fatalf("%v and %v differ at equal clocks", r.id, o.id)
		}
	}
	c.checkTree(t, r)
}

func asStrings(bs [][]byte) []string {
	var ss []string
	for _, b := range bs {
		ss = append(ss, string(b))
	}
	return ss
}

// checkTree compares the tree of the map with what the reference says of its places.
func (c *cluster) checkTree(t *rapid.T, r *replica) {
	t.Helper()
	b, err := NewTreeBuilder(mapM)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.under(mapM) {
		if err := b.Add(p, r.state.At(p)); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for _, p := range slices.Concat(c.registers, c.members, c.flags, c.counters) {
		if !mapM.Contains(p) {
			continue
		}
		if v, ok := c.shown(r, p); ok {
			q, _ := p.Parse()
			want = append(want, fmt.Sprint(strings.Join(q.Fields, "."), " ", q.Leaf, " ", v))
		}
	}
	got := flatten(b.Tree(), nil)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%v: tree %q, want %q", r.id, got, want)
	}
}

func (c *cluster) shown(r *replica, p Path) (string, bool) {
	switch p.LeafType() {
	case Register:
		vs := c.history.register(r.known, p)
		return strings.Join(vs, " "), len(vs) > 0
	case Counter:
		v, ok := c.history.counter(r.known, p)
		return v.String(), ok
	case Flag:
		return "on", c.history.flag(r.known, p)
	}
	q, _ := p.Parse()
	return q.Member, c.history.member(r.known, p)
}

// flatten lists a tree as "field.field type value".
func flatten(t Tree, fields []string) []string {
	var lines []string
	for _, c := range t.Children {
		name := strings.Join(fields, ".")
		switch c.Type {
		case Register:
			lines = append(lines, fmt.Sprint(name, " register ", strings.Join(asStrings(c.Values), " ")))
		case Counter:
			lines = append(lines, fmt.Sprint(name, " counter ", c.Count))
		case Flag:
			lines = append(lines, fmt.Sprint(name, " flag on"))
		case Set:
			lines = append(lines, fmt.Sprint(name, " set ", strings.Join(c.Members, " ")))
		}
		for _, f := range c.Fields {
			lines = append(lines, flatten(f, append(slices.Clone(fields), f.Name))...)
		}
	}
	return lines
}

// finish lets everybody hear of everything, then deletes all, and nothing may be left.
func (c *cluster) finish(t *rapid.T) {
	settle(c.replicas)
	for _, r := range c.replicas {
		c.check(t, r)
		if !r.state.Equal(c.replicas[0].state) {
			t.Fatal("not converged")
		}
	}
	last := c.anyReplica(t, "last")
	x := last.begin()
	x.delete("", 9, nil, false)
	x.commit()
	settle(c.replicas)
	for _, r := range c.replicas {
		if len(r.state.Live) > 0 {
			t.Fatalf("%v: left after everything was deleted: %v", r.id, r.state.Live)
		}
	}
}

// TestHistories compares every type, after every step, with the reference.
func TestHistories(t *testing.T) {
	for _, tt := range []struct {
		name     string
		replicas int
		at       places
		amounts  *rapid.Generator[int64]
	}{
		{"wide", 4, wide, smallAmounts},
		{"narrow", 3, narrow, smallAmounts},
		{"huge", 2, narrow, allAmounts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := newCluster(tt.replicas, tt.at, tt.amounts)
				c.repeat(t)
				c.finish(t)
			})
		})
	}
}

// TestJoinLaws takes states from one history, at different times and replicas.
func TestJoinLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(3, wide, smallAmounts)
		states := []State{NewState()}
		for range 3 {
			c.repeat(t)
			for _, r := range c.replicas {
				states = append(states, r.state.Clone())
			}
		}
		one := rapid.SampledFrom(states)
		x, y, z := one.Draw(t, "a"), one.Draw(t, "b"), one.Draw(t, "c")
		xx, yy, zz := x.Clone(), y.Clone(), z.Clone()
		xy := Join(x, y)
		switch {
		case !xy.Equal(Join(y, x)):
			t.Fatal("not commutative")
		case !Join(x, Join(y, z)).Equal(Join(xy, z)):
			t.Fatal("not associative")
		case !Join(x, x).Equal(x):
			t.Fatal("not idempotent")
		case !Join(xy, y).Equal(xy) || !Join(x, xy).Equal(xy):
			t.Fatal("a second merge changes something")
		case !xy.Clock.CoversAll(x.Clock) || !xy.Clock.CoversAll(y.Clock):
			t.Fatal("not an upper bound")
		case !x.Equal(xx) || !y.Equal(yy) || !z.Equal(zz):
			t.Fatal("an argument was changed")
		}
	})
}
