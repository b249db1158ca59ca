package p2p

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// memCopy is a namespace copy in memory: the plain model of a state, a log that may be cut, and a
// cache of staged entries.
type memCopy struct {
	name    string
	replica crdt.ReplicaID
	run     delta.Run

	mu     sync.Mutex
	state  crdt.State
	runs   delta.Runs
	log    []delta.Unit // in the order of application
	told   crdt.VersionVector
	staged map[crdt.Dot]crdt.Entry
	subs   map[int]func(Commit)
	nextID int
	calls  int // of Apply
	rights map[string]int64
	given  []string
	fail   error
}

func newMemCopy(name string) *memCopy {
	id := crdt.ReplicaID(rand.Uint64() | 1)
	run := delta.Run{First: 1, Nonce: rand.Uint64()}
	return &memCopy{
		name: name, replica: id, run: run, state: crdt.NewState(), runs: delta.Runs{id: run},
		told: crdt.VersionVector{}, staged: map[crdt.Dot]crdt.Entry{}, subs: map[int]func(Commit){},
	}
}

func (c *memCopy) Name() string { return c.name }

func (c *memCopy) Held(uint64) {}

func (c *memCopy) Status() peersync.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status()
}

func (c *memCopy) status() peersync.Status {
	var digest delta.Digest
	for _, e := range c.state.Live {
		digest.Add(e)
	}
	return peersync.Status{
		Replica: c.replica, Clock: c.state.Clock.Clone(), Runs: maps.Clone(c.runs), Digest: digest,
		OwnRuns: []delta.Run{c.run},
	}
}

func (c *memCopy) Subscribe(f func(Commit)) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.nextID
	c.nextID++
	c.subs[id] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subs, id)
	}
}

func (c *memCopy) tell(commit Commit) {
	commit.Status = c.status()
	for _, f := range c.subs {
		f(commit)
	}
}

func asJSON(v string) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// write adds an entry per value and kills what is live at its path.
func (c *memCopy) write(values ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.state.Clock[c.replica] + 1
	u := delta.Unit{Origin: c.replica, First: first, Last: first + uint64(len(values)) - 1, Deps: crdt.VersionVector{}}
	for r, s := range c.state.Clock {
		if r != c.replica && c.told[r] != s {
			u.Deps[r] = s
		}
	}
	c.told = c.state.Clock.Clone()
	var kills []crdt.Dot
	for i, v := range values {
		path := crdt.Object(crdt.Register, v[:min(len(v), 100)]).Leaf(crdt.Register)
		for _, e := range c.state.At(path) {
			kills = append(kills, e.Dot)
		}
		u.Entries = append(u.Entries, crdt.Entry{Dot: crdt.Dot{Replica: c.replica, Seq: first + uint64(i)}, Path: path, Kind: crdt.KindValue, Value: asJSON(v)})
	}
	if len(kills) > 0 {
		slices.SortFunc(kills, crdt.Dot.Compare)
		u.Kills = []delta.Kill{{Dots: slices.Compact(kills)}}
	}
	if err := delta.Apply(&c.state, u); err != nil {
		panic(err)
	}
	c.log = append(c.log, u)
	c.tell(Commit{Units: []delta.Unit{u}, Local: true})
}

func (c *memCopy) Apply(_ context.Context, units []delta.Unit, runs delta.Runs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.fail != nil {
		return c.fail
	}
	return c.apply(units, runs)
}

func (c *memCopy) apply(units []delta.Unit, runs delta.Runs) error {
	defer c.tell(Commit{})
	for _, u := range units {
		if c.state.Clock.Covers(crdt.Dot{Replica: u.Origin, Seq: u.Last}) {
			continue
		}
		if err := delta.Apply(&c.state, u); err != nil {
			return err
		}
		c.log = append(c.log, u)
	}
	maps.Copy(c.runs, runs)
	return nil
}

// forgetLog makes the next pull one from the state.
func (c *memCopy) forgetLog() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = nil
}

func (c *memCopy) clock() crdt.VersionVector { return c.Status().Clock }

func (c *memCopy) equal(o *memCopy) bool {
	c.mu.Lock()
	mine := c.state.Clone()
	c.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	return mine.Equal(o.state)
}

func live(s crdt.State) *delta.DotSet {
	set := delta.NewDotSet()
	for d := range s.Live {
		set.Add(d)
	}
	return set
}

// memSource is a clone of a copy.
type memSource struct {
	st    peersync.Status
	state crdt.State
	log   []delta.Unit
}

func (c *memCopy) Source(context.Context) (peersync.Source, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &memSource{c.status(), c.state.Clone(), slices.Clone(c.log)}, nil
}

func (s *memSource) Replica() crdt.ReplicaID   { return s.st.Replica }
func (s *memSource) OwnRuns() []delta.Run      { return s.st.OwnRuns }
func (s *memSource) Clock() crdt.VersionVector { return s.st.Clock }
func (s *memSource) Runs() delta.Runs          { return s.st.Runs }
func (s *memSource) Past() delta.Past          { return nil }
func (s *memSource) Digest() delta.Digest      { return s.st.Digest }
func (s *memSource) Live() *delta.DotSet       { return live(s.state) }
func (s *memSource) Close() error              { return nil }

func (s *memSource) Log(since crdt.VersionVector) (iter.Seq2[delta.Issued, error], bool, error) {
	have := since.Clone()
	var units []delta.Issued
	for _, u := range s.log {
		if u.Last > have[u.Origin] {
			if u.First != have[u.Origin]+1 {
				return nil, false, nil
			}
			have[u.Origin] = u.Last
			units = append(units, delta.Issued{Unit: u, Run: s.st.Runs[u.Origin]})
		}
	}
	return func(yield func(delta.Issued, error) bool) {
		for _, u := range units {
			if !yield(u, nil) {
				return
			}
		}
	}, have.CoversAll(s.st.Clock), nil
}

func (s *memSource) Unit(origin crdt.ReplicaID, first uint64) (delta.Issued, bool, error) {
	for _, u := range s.log {
		if u.Origin == origin && u.First == first {
			return delta.Issued{Unit: u, Run: s.st.Runs[u.Origin]}, true, nil
		}
	}
	return delta.Issued{}, false, nil
}

func (s *memSource) Entries(since crdt.VersionVector) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for _, d := range slices.SortedFunc(maps.Keys(s.state.Live), crdt.Dot.Compare) {
			if !since.Covers(d) && !yield(s.state.Live[d], nil) {
				return
			}
		}
	}
}

// memSink repairs a copy.
type memSink struct{ c *memCopy }

// Give gives from rights, and writes down to whom.
func (c *memCopy) Give(_ context.Context, key string, to crdt.ReplicaID, amount int64) (int64, crdt.Dot, error) {
	c.mu.Lock()
	n := min(amount, c.rights[key])
	if n > 0 {
		c.rights[key] -= n
		c.given = append(c.given, fmt.Sprint(to, " ", n))
	}
	c.mu.Unlock()
	if n <= 0 {
		return 0, crdt.Dot{}, nil
	}
	c.write("a grant")
	return n, crdt.Dot{Replica: c.replica, Seq: c.clock()[c.replica]}, nil
}

func (c *memCopy) Sink(context.Context) peersync.Sink { return memSink{c} }

func (s memSink) Begin() (peersync.SinkState, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return peersync.SinkState{Status: s.c.status(), Live: live(s.c.state)}, nil
}

func (s memSink) Cached(crdt.VersionVector, delta.Runs, delta.Past) (*delta.DotSet, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	cached := delta.NewDotSet()
	for d := range s.c.staged {
		cached.Add(d)
	}
	return cached, nil
}

func (s memSink) Stage(es []crdt.Entry) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for _, e := range es {
		s.c.staged[e.Dot] = e
	}
	return nil
}

func (s memSink) ApplyUnits(units []delta.Unit, runs delta.Runs) error {
	return s.c.Apply(context.Background(), units, runs)
}

func (s memSink) Flip(f peersync.Flip) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for d := range s.c.state.Live {
		if f.Killed.Contains(d) || f.To.Covers(d) && !f.From.Covers(d) && !f.Streamed.Contains(d) {
			delete(s.c.state.Live, d)
		}
	}
	for d := range f.Streamed.All() {
		if !s.c.state.Clock.Covers(d) {
			e, ok := s.c.staged[d]
			if !ok {
				return fmt.Errorf("%v was never staged", d)
			}
			s.c.state.Live[d] = e
		}
	}
	s.c.state.Clock.Merge(f.To)
	maps.Copy(s.c.runs, f.Runs)
	s.c.staged = map[crdt.Dot]crdt.Entry{}
	s.c.log = nil
	s.c.tell(Commit{})
	return nil
}

// values returns what is live, ascending.
func (c *memCopy) values() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, e := range c.state.Live {
		var v string
		if err := json.Unmarshal(e.Value, &v); err != nil {
			panic(err)
		}
		out = append(out, v)
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}

var _ Copy = (*memCopy)(nil)

func TestMemCopyIsACopy(t *testing.T) {
	a, b := newMemCopy("x"), newMemCopy("x")
	a.write("1", "2")
	b.write("3")
	a.write("1")
	src, _ := a.Source(t.Context())
	units, ok, _ := src.Log(b.clock())
	if !ok {
		t.Fatal("the log is not complete")
	}
	for u, err := range units {
		if err = cmp.Or(err, b.Apply(t.Context(), []delta.Unit{u.Unit}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(b.values()); got != "[1 2 3]" {
		t.Fatalf("values %s", got)
	}
}
