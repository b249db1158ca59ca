package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

var deep = flag.Bool("sim.deep", false, "search larger scopes exhaustively, for minutes")

// scope bounds an exhaustive search: every order in which replicas write, units arrive, sessions begin and
// end, and disks are put back.
type scope struct {
	name     string
	replicas int
	writes   int // of each replica
	sessions int
	restores int
	alphabet []op
}

var (
	exCounter = crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)
	exMember  = crdt.Object(crdt.Set, "s").Leaf(crdt.Set).Member("x")
	exReg     = crdt.Object(crdt.Register, "r").Leaf(crdt.Register)
	exMap     = crdt.Object(crdt.Map, "m")
	exInner   = exMap.Field("n").Leaf(crdt.Counter)
	exStock   = crdt.Object(crdt.Bounded, "b").Leaf(crdt.Bounded)
	exTag     = exMap.Field("t").Leaf(crdt.Set).Member("x")
)

var (
	setOps      = []op{{what: add, path: exMember}, {what: remove, path: exMember}}
	counterOps  = []op{{what: increment, path: exCounter, amount: 2}, {what: reset, path: exCounter}}
	registerOps = []op{{what: assign, path: exReg, value: "v"}, {what: del, path: crdt.Object(crdt.Register, "r")}}
	stockOps    = []op{{what: stock, path: exStock, amount: 2}, {what: stock, path: exStock, amount: -1}, {what: give, path: exStock, amount: 1}}
	mapOps      = []op{{what: increment, path: exInner, amount: 3}, {what: add, path: exTag}, {what: del, path: exMap}}
)

var scopes = []scope{
	{"set, two replicas", 2, 2, 1, 0, setOps},
	{"set, a disk is put back", 2, 1, 1, 1, setOps},
	{"set, three replicas", 3, 1, 1, 0, setOps},
	{"counter, two replicas", 2, 2, 1, 0, counterOps},
	{"counter, a disk is put back", 2, 1, 1, 1, counterOps},
	{"counter, three replicas", 3, 1, 0, 0, counterOps},
	{"bounded counter, two replicas", 2, 2, 1, 0, stockOps},
	{"register, two replicas", 2, 2, 1, 0, registerOps},
	{"map, two replicas", 2, 2, 0, 0, mapOps},
}

var deepScopes = []scope{
	{"set, two replicas, deep", 2, 2, 1, 1, setOps},
	{"set, three replicas, deep", 3, 2, 0, 0, setOps},
	{"counter, two replicas, deep", 2, 2, 1, 1, counterOps},
	{"counter, three replicas, deep", 3, 1, 1, 0, counterOps},
	{"bounded counter, two replicas, deep", 2, 2, 1, 1, stockOps},
	{"bounded counter, three replicas, deep", 3, 2, 0, 0, stockOps},
	{"map, two replicas, deep", 2, 2, 1, 0, mapOps},
}

// TestExhaustive visits every state of small scopes and checks in each that a replica holds exactly what
// its clock says, that readers see what the history of transactions says, that a bounded counter is not below 0, and that the join of any two
// replicas is what a third with both clocks would hold.
func TestExhaustive(t *testing.T) {
	if testing.Short() {
		t.Skip("visits 130,000 states")
	}
	all := scopes
	if *deep {
		all = slices.Concat(scopes, deepScopes)
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			x := explorer{t: t, scope: s, seen: map[[16]byte]bool{}}
			x.explore(s.start(), 0, nil)
			t.Logf("%d states, %d moves", len(x.seen), x.moves)
		})
	}
}

// model is one state of the search. Successors share what they do not change.
type model struct {
	replicas []copyOf
	units    []delta.Unit
	history  history
	sessions []exchange
	restores int
	ids      crdt.ReplicaID
}

type copyOf struct {
	id     crdt.ReplicaID
	state  crdt.State
	saved  *crdt.State // a copy of the disk
	writes int         // that are left
}

// exchange is a state pull between its request and its flip, as the session of package sync fixes it.
type exchange struct {
	puller   int
	from, to crdt.VersionVector
	streamed map[crdt.Dot]crdt.Entry
	killed   map[crdt.Dot]bool
	used     bool
}

func (s scope) start() model {
	m := model{restores: s.restores}
	for range s.replicas {
		m.ids++
		m.replicas = append(m.replicas, copyOf{id: m.ids, state: crdt.NewState(), writes: s.writes})
	}
	return m
}

type explorer struct {
	t     *testing.T
	scope scope
	seen  map[[16]byte]bool
	moves int
}

// explore visits a state in which replica i has moved.
func (x *explorer) explore(m model, i int, path []string) {
	key := m.key()
	if x.seen[key] {
		return
	}
	x.seen[key] = true
	if what := m.wrong(i); what != "" {
		x.t.Fatalf("after\n%v\n%s", path, what)
	}
	x.successors(m, func(i int, name string, next model) {
		x.moves++
		x.explore(next, i, append(slices.Clone(path), name))
	})
}

func (x *explorer) successors(m model, visit func(int, string, model)) {
	for i := range m.replicas {
		for _, o := range x.scope.alphabet {
			if m.replicas[i].writes > 0 {
				next := m.clone(i)
				next.replicas[i].writes--
				next.write(i, o)
				visit(i, fmt.Sprintf("%d writes %d at %s", i, o.what, o.path), next)
			}
		}
		for _, u := range m.units {
			next := m.clone(i)
			if c := next.replicas[i].state.Clock; c[u.Origin] < u.Last && delta.Apply(&next.replicas[i].state, u) == nil {
				next.settle(i)
				visit(i, fmt.Sprintf("%d applies %v:%d", i, u.Origin, u.First), next)
			}
		}
		for j := range m.replicas {
			if i != j && len(m.sessions) < x.scope.sessions {
				next := m.clone(i)
				next.begin(i, j)
				visit(i, fmt.Sprintf("%d pulls from %d", i, j), next)
			}
		}
		x.trouble(m, i, visit)
	}
	for k, s := range m.sessions {
		if !s.used {
			next := m.clone(s.puller)
			next.flip(k)
			visit(s.puller, fmt.Sprintf("%d flips", s.puller), next)
		}
	}
}

// trouble copies a disk, and puts the copy back: a fresh id on an old state.
func (x *explorer) trouble(m model, i int, visit func(int, string, model)) {
	if m.restores == 0 {
		return
	}
	next := m.clone(i)
	if saved := m.replicas[i].saved; saved == nil {
		now := m.replicas[i].state.Clone()
		next.replicas[i].saved = &now
		visit(i, fmt.Sprintf("the disk of %d is copied", i), next)
	} else {
		next.ids++
		next.restores--
		next.replicas[i] = copyOf{id: next.ids, state: saved.Clone(), writes: m.replicas[i].writes}
		for k := range next.sessions {
			next.sessions[k].used = next.sessions[k].used || next.sessions[k].puller == i
		}
		next.settle(i)
		visit(i, fmt.Sprintf("the copy is put back at %d", i), next)
	}
}

// clone returns a model in which replica i can be changed.
func (m model) clone(i int) model {
	m.replicas = slices.Clone(m.replicas)
	m.replicas[i].state = m.replicas[i].state.Clone()
	m.units = slices.Clip(m.units)
	m.history.all = slices.Clip(m.history.all)
	m.sessions = slices.Clone(m.sessions)
	return m
}

// write does one operation as a transaction of its own.
func (m *model) write(i int, o op) {
	r := &m.replicas[i]
	before := r.state.Clock.Clone()
	at := crdt.Dot{Replica: r.id, Seq: before[r.id] + 1}
	u := delta.Unit{Origin: r.id, First: at.Seq, Last: at.Seq, Deps: before.Clone()}
	delete(u.Deps, r.id)
	var edit crdt.Edit
	const stamp = 1 // of equal times the dot decides
	live := r.state.At(o.path)
	var err error
	switch o.what {
	case add:
		edit = crdt.Add(live, o.path, at, stamp)
	case remove:
		edit = crdt.Remove(live, nil)
	case assign:
		edit = crdt.Assign(live, o.path, at, stamp, []byte(o.value), nil)
	case increment:
		edit, err = crdt.Increment(live, o.path, at, stamp, o.amount)
	case reset:
		edit, err = crdt.Reset(live, o.path, r.id, at, stamp, nil)
	case stock:
		edit, err = crdt.Stock(live, o.path, at, stamp, o.amount)
	case give: // to the next one
		edit, err = crdt.Give(live, o.path, at, stamp, m.replicas[(i+1)%len(m.replicas)].id, o.amount)
	case del:
		edit, err = m.deletes(i, o.path, at, stamp, &u)
	}
	if errors.Is(err, crdt.ErrRights) {
		return
	}
	if err != nil {
		panic(err)
	}
	u.Entries = edit.Add
	if len(edit.Kill) > 0 {
		u.Kills = append(u.Kills, delta.Kill{Dots: edit.Kill})
	}
	if len(u.Entries)+len(u.Kills) == 0 {
		return
	}
	m.issue(i, u)
	m.history.put(&transaction{end: at, before: before, ops: []op{o}})
	m.settle(i)
}

// deletes makes a kill by prefix, and a reset of the one counter that can lie under it.
func (m *model) deletes(i int, prefix crdt.Path, at crdt.Dot, stamp crdt.Timestamp, u *delta.Unit) (crdt.Edit, error) {
	r := &m.replicas[i]
	for _, e := range r.state.Live {
		if prefix.Contains(e.Path) && !e.Kind.NamedOnly() {
			u.Kills = []delta.Kill{{Prefix: prefix, Clock: r.state.Clock.Clone()}}
		}
	}
	return crdt.Reset(r.state.At(exInner), exInner, r.id, at, stamp, nil)
}

func (m *model) issue(i int, u delta.Unit) {
	if err := delta.Apply(&m.replicas[i].state, u); err != nil {
		panic(err)
	}
	m.units = append(m.units, u)
}

// settle does what the store does at the end of a commit.
func (m *model) settle(i int) {
	for _, p := range []crdt.Path{exCounter, exInner, exStock} {
		r := &m.replicas[i]
		at := crdt.Dot{Replica: r.id, Seq: r.state.Clock[r.id] + 1}
		edit := crdt.Settle(r.state.At(p), p, at, 1)
		if edit.Empty() {
			continue
		}
		deps := r.state.Clock.Clone()
		delete(deps, r.id)
		u := delta.Unit{Origin: r.id, First: at.Seq, Last: at.Seq, Deps: deps, Entries: edit.Add}
		if len(edit.Kill) > 0 {
			u.Kills = []delta.Kill{{Dots: edit.Kill}}
		}
		m.issue(i, u)
	}
}

func (m *model) begin(i, j int) {
	here, there := m.replicas[i].state, m.replicas[j].state
	s := exchange{puller: i, from: here.Clock.Clone(), to: there.Clock.Clone(), streamed: map[crdt.Dot]crdt.Entry{}, killed: map[crdt.Dot]bool{}}
	for d, e := range there.Live {
		if !here.Clock.Covers(d) {
			s.streamed[d] = e
		}
	}
	for d := range here.Live {
		if _, alive := there.Live[d]; there.Clock.Covers(d) && !alive {
			s.killed[d] = true
		}
	}
	m.sessions = append(m.sessions, s)
}

// flip joins what a session brought with the state as it is now.
func (m *model) flip(k int) {
	s := m.sessions[k]
	m.sessions[k].used = true
	r := &m.replicas[s.puller]
	for d := range r.state.Live {
		_, streamed := s.streamed[d]
		if s.killed[d] || s.to.Covers(d) && !s.from.Covers(d) && !streamed {
			delete(r.state.Live, d)
		}
	}
	for d, e := range s.streamed {
		if !r.state.Clock.Covers(d) {
			r.state.Live[d] = e
		}
	}
	r.state.Clock.Merge(s.to)
	m.settle(s.puller)
}

// wrong says what does not hold of replica i; "" when all does.
func (m model) wrong(i int) string {
	r := m.replicas[i]
	if want := m.reached(r.state.Clock); !want.Equal(r.state) {
		return fmt.Sprintf("replica %d holds %v, and must hold %v", i, r.state, want)
	}
	if diff := difference(valuesOf(r.state).String(), m.history.at(r.state.Clock, nil, 0).String()); diff != "" {
		return fmt.Sprintf("readers at %d see + and must see -:\n%s", i, diff)
	}
	for k, o := range m.replicas {
		j := crdt.Join(r.state, o.state)
		if want := m.reached(j.Clock); k != i && !want.Equal(j) {
			return fmt.Sprintf("the join with %d is %v, and must be %v", k, j, want)
		}
	}
	return ""
}

// reached applies all units up to a clock.
func (m model) reached(to crdt.VersionVector) crdt.State {
	s := crdt.NewState()
	for again := true; again; {
		again = false
		for _, u := range m.units {
			if u.Last <= to[u.Origin] && s.Clock[u.Origin] < u.Last && delta.Apply(&s, u) == nil {
				again = true
			}
		}
	}
	return s
}

// valuesOf is what readers of a state see.
func valuesOf(s crdt.State) values {
	v := newValues()
	for _, e := range s.Live {
		switch e.Kind {
		case crdt.KindMember:
			v.members[e.Path] = true
		case crdt.KindValue:
			v.registers[e.Path] = append(v.registers[e.Path], string(e.Value))
			slices.Sort(v.registers[e.Path])
		case crdt.KindEscrow:
			if x, err := crdt.ReadEscrow(s.At(e.Path)); err == nil {
				if value, ok := x.Value.Int64(); ok && value != 0 {
					v.counters[e.Path] = value
				}
			}
		case crdt.KindCell:
			live := s.At(e.Path)
			n, err := crdt.CounterValue(live)
			if value, ok := n.Int64(); err == nil && ok && crdt.Visible(crdt.Counter, live) {
				v.counters[e.Path] = value
			}
		}
	}
	return v
}

// key tells states apart.
func (m model) key() [16]byte {
	var b []byte
	clock := func(v crdt.VersionVector) { b = append(delta.AppendClock(b, v), 0xff) }
	dots := func(ds []crdt.Dot) {
		slices.SortFunc(ds, crdt.Dot.Compare)
		for _, d := range ds {
			b = binary.BigEndian.AppendUint64(append(b, byte(d.Replica)), d.Seq)
		}
		b = append(b, 0xff)
	}
	for _, r := range m.replicas {
		b = append(b, byte(r.id), byte(r.writes))
		clock(r.state.Clock)
		if r.saved != nil {
			clock(r.saved.Clock)
		}
	}
	for _, s := range m.sessions {
		if s.used {
			b = append(b, 1)
			continue
		}
		b = append(b, 2, byte(s.puller))
		clock(s.from)
		clock(s.to)
		dots(slices.Collect(maps.Keys(s.streamed)))
		dots(slices.Collect(maps.Keys(s.killed)))
	}
	b = append(b, byte(m.restores))
	units := slices.SortedFunc(slices.Values(m.units), func(a, c delta.Unit) int {
		return crdt.Dot{Replica: a.Origin, Seq: a.First}.Compare(crdt.Dot{Replica: c.Origin, Seq: c.First})
	})
	for _, u := range units {
		b = delta.AppendUnit(b, u)
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}
