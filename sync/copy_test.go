package sync

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A mistake is one of the known ways to get repair wrong.
type mistake int

const (
	noMistake        mistake = iota
	killsAsList              // K and S become a list of kills when they are complete, before the flip
	addsAtRequest            // streamed entries are judged by the clock of the request
	noSnapshot               // the sender reads its entries and its live dots as they change
	livenessResumed          // what a cut session streamed counts as streamed by the next one
	clockBeforeEntry         // the sender's whole clock is taken over after a part of its entries
	latestRun                // units of the log go with the latest run of their origin
)

// world knows every unit that was ever written: the dumb reference.
type world struct {
	units map[crdt.Dot]delta.Unit // by origin and first
}

func newWorld() *world { return &world{units: map[crdt.Dot]delta.Unit{}} }

// liveAt returns what is live at a clock: all that the units in it wrote, but what they killed.
func (w *world) liveAt(clock crdt.VersionVector) map[crdt.Dot]crdt.Entry {
	live := map[crdt.Dot]crdt.Entry{}
	var kills []delta.Kill
	for _, u := range w.units {
		if u.Last > clock[u.Origin] {
			continue
		}
		for _, e := range u.Entries {
			live[e.Dot] = e
		}
		kills = append(kills, u.Kills...)
	}
	for _, k := range kills {
		for _, d := range k.Dots {
			delete(live, d)
		}
		maps.DeleteFunc(live, func(_ crdt.Dot, e crdt.Entry) bool { return k.Removes(e) })
	}
	return live
}

// check compares a copy with the reference: I2, I3 and I5 at once.
func (w *world) check(c *memCopy) error {
	if !c.changed {
		return nil
	}
	c.changed = c.mistake != noMistake
	want := w.liveAt(c.state.Clock)
	for d := range c.state.Live {
		if _, ok := want[d]; !ok {
			return fmt.Errorf("%v: %v is live at clock %v and must not be", c.id, d, c.state.Clock)
		}
	}
	for d := range want {
		if e, ok := c.state.Live[d]; !ok || !e.Equal(want[d]) {
			return fmt.Errorf("%v: %v is not live at clock %v and must be", c.id, d, c.state.Clock)
		}
	}
	return nil
}

// memCopy is a copy of a namespace in memory: a Sink, and the maker of Sources.
type memCopy struct {
	world   *world
	id      crdt.ReplicaID
	state   crdt.State
	runs    delta.Runs
	ownRuns []delta.Run
	said    crdt.VersionVector // the clock as of the last own unit
	log     []delta.Unit
	issuers map[crdt.Dot]delta.Run // of units in the log, by origin and first
	logFrom crdt.VersionVector     // the clock before log[0]
	staged  map[crdt.Dot]crdt.Entry
	mistake mistake

	changed   bool // since the last check
	begun     SinkState
	oldStream *delta.DotSet
	flips     int
	onApply   func([]delta.Unit)
}

func newCopy(w *world, id crdt.ReplicaID, nonce uint64) *memCopy {
	return &memCopy{world: w, id: id, state: crdt.NewState(), runs: delta.Runs{},
		ownRuns: []delta.Run{{First: 1, Nonce: nonce}}, said: crdt.VersionVector{},
		issuers: map[crdt.Dot]delta.Run{}, logFrom: crdt.VersionVector{}, staged: map[crdt.Dot]crdt.Entry{}}
}

func (c *memCopy) status() Status {
	st := Status{Replica: c.id, Clock: c.state.Clock.Clone(), Runs: cloneRuns(c.runs), OwnRuns: c.ownRuns}
	st.Runs[c.id] = c.ownRuns[len(c.ownRuns)-1]
	for _, e := range c.state.Live {
		st.Digest.Add(e)
	}
	return st
}

func (c *memCopy) live() *delta.DotSet {
	s := delta.NewDotSet()
	for d := range c.state.Live {
		s.Add(d)
	}
	return s
}

// write commits a unit that adds a member and may kill others, or kills all under a prefix.
func (c *memCopy) write(rng *rand.Rand) delta.Unit {
	at := c.state.Clock[c.id]
	u := delta.Unit{Origin: c.id, First: at + 1, Last: at + 1}
	live := slices.SortedFunc(maps.Keys(c.state.Live), crdt.Dot.Compare)
	switch k := rng.IntN(10); {
	case k < 5 || len(live) == 0:
		u.Entries = []crdt.Entry{newEntry(u.Origin, u.First, rng.IntN(6))}
	case k < 9:
		u.Kills = []delta.Kill{{Dots: live[rng.IntN(len(live)):][:1:1]}}
		if rng.IntN(2) == 0 {
			u.Last++
			u.Entries = []crdt.Entry{newEntry(u.Origin, u.Last, rng.IntN(6))}
		}
	default:
		u.Kills = []delta.Kill{{Prefix: crdt.Object(crdt.Set, fmt.Sprint("s", rng.IntN(2))), Clock: c.state.Clock.Clone()}}
	}
	return c.commit(u)
}

// commit fills in the dependencies and applies an own unit.
func (c *memCopy) commit(u delta.Unit) delta.Unit {
	u.Deps = crdt.VersionVector{}
	for r, s := range c.state.Clock {
		if r != c.id && c.said[r] != s {
			u.Deps[r] = s
		}
	}
	c.said = c.state.Clock.Clone()
	if err := c.apply(u); err != nil {
		panic(err)
	}
	c.world.units[crdt.Dot{Replica: u.Origin, Seq: u.First}] = u
	return u
}

func newEntry(r crdt.ReplicaID, seq uint64, n int) crdt.Entry {
	path := crdt.Object(crdt.Set, fmt.Sprint("s", n%2)).Leaf(crdt.Set).Member(fmt.Sprint("m", n))
	return crdt.Entry{Dot: crdt.Dot{Replica: r, Seq: seq}, Path: path, Kind: crdt.KindMember, Time: crdt.Timestamp(seq)}
}

// restart begins a new run.
func (c *memCopy) restart(nonce uint64) {
	c.ownRuns = append(slices.Clip(c.ownRuns), delta.Run{First: c.state.Clock[c.id] + 1, Nonce: nonce})
}

func (c *memCopy) apply(u delta.Unit) error { return c.take(u, delta.Run{}) }

// take applies a unit that a run issued.
func (c *memCopy) take(u delta.Unit, run delta.Run) error {
	if c.state.Clock[u.Origin] >= u.Last {
		return nil
	}
	if err := delta.Apply(&c.state, u); err != nil {
		return err
	}
	if run != (delta.Run{}) && run.First <= u.Last {
		c.learn(delta.Runs{u.Origin: run})
	}
	if run = c.runs[u.Origin]; u.Origin == c.id {
		run = runAt(c.ownRuns, u.First)
	}
	c.issuers[crdt.Dot{Replica: u.Origin, Seq: u.First}] = run
	c.log = append(c.log, u)
	c.changed = true
	return nil
}

// trim forgets the oldest n units of the log.
func (c *memCopy) trim(n int) {
	n = min(n, len(c.log))
	for _, u := range c.log[:n] {
		c.logFrom[u.Origin] = u.Last
	}
	c.log = slices.Clone(c.log[n:])
}

// Begin implements Sink.
func (c *memCopy) Begin() (SinkState, error) {
	c.begun = SinkState{Status: c.status(), Live: c.live()}
	return c.begun, nil
}

// Cached implements Sink. Nothing here is ever rolled back.
func (c *memCopy) Cached(crdt.VersionVector, delta.Runs, delta.Past) (*delta.DotSet, error) {
	cached := delta.NewDotSet()
	for d := range c.staged {
		cached.Add(d)
	}
	return cached, nil
}

// Stage implements Sink.
func (c *memCopy) Stage(es []crdt.Entry) error {
	c.changed = true
	for _, e := range es {
		c.staged[e.Dot] = e
		if c.mistake == clockBeforeEntry {
			c.state.Clock[e.Dot.Replica] = max(c.state.Clock[e.Dot.Replica], e.Dot.Seq)
			c.state.Live[e.Dot] = e
		}
	}
	return nil
}

// ApplyUnits implements Sink.
func (c *memCopy) ApplyUnits(us []delta.Unit, runs delta.Runs) error {
	for _, u := range us {
		if err := c.take(u, runs[u.Origin]); err != nil {
			return err
		}
	}
	if c.onApply != nil {
		c.onApply(us)
	}
	return nil
}

func (c *memCopy) learn(runs delta.Runs) {
	for r, run := range runs {
		if r != c.id && c.runs[r].First <= run.First {
			c.runs[r] = run
		}
	}
}

// Flip implements Sink by the rules, or by one of the mistakes.
func (c *memCopy) Flip(f Flip) error {
	if f.To[c.id] > c.state.Clock[c.id] {
		return ErrFork
	}
	clock := c.state.Clock.Clone()
	if c.mistake == livenessResumed && c.oldStream != nil {
		f.Streamed = f.Streamed.Or(c.oldStream)
	}
	for d := range c.state.Live {
		if c.dies(d, f) {
			delete(c.state.Live, d)
		}
	}
	for d := range f.Streamed.All() {
		e, ok := c.staged[d]
		if !ok {
			return errors.New("streamed and not staged")
		}
		if c.mistake == addsAtRequest && !f.From.Covers(d) || !clock.Covers(d) {
			c.state.Live[d] = e
		}
	}
	c.state.Clock.Merge(f.To)
	c.learn(f.Runs)
	c.staged = map[crdt.Dot]crdt.Entry{}
	c.log, c.logFrom, c.oldStream = nil, c.state.Clock.Clone(), nil // a join is no unit
	c.changed = true
	c.flips++
	return nil
}

func (c *memCopy) dies(d crdt.Dot, f Flip) bool {
	if f.Killed.Contains(d) {
		return true
	}
	streamed := f.Streamed.Contains(d)
	if c.mistake == killsAsList && !c.begun.Live.Contains(d) {
		return false
	}
	return f.To.Covers(d) && !f.From.Covers(d) && !streamed
}

// source returns a snapshot.
func (c *memCopy) source() (Source, error) {
	s := &memSource{copy: c, state: c.state.Clone(), live: c.live(), st: c.status(),
		log: slices.Clone(c.log), logFrom: c.logFrom.Clone()}
	if c.mistake == noSnapshot {
		s.state = c.state // as it changes
	}
	return s, nil
}

type memSource struct {
	copy    *memCopy
	state   crdt.State
	live    *delta.DotSet
	st      Status
	log     []delta.Unit
	logFrom crdt.VersionVector
	closed  bool
}

func (s *memSource) Replica() crdt.ReplicaID   { return s.st.Replica }
func (s *memSource) OwnRuns() []delta.Run      { return s.st.OwnRuns }
func (s *memSource) Clock() crdt.VersionVector { return s.st.Clock }
func (s *memSource) Runs() delta.Runs          { return s.st.Runs }
func (s *memSource) Past() delta.Past          { return nil }
func (s *memSource) Digest() delta.Digest      { return s.st.Digest }
func (s *memSource) Live() *delta.DotSet {
	if s.copy.mistake == noSnapshot {
		return s.copy.live()
	}
	return s.live
}
func (s *memSource) Close() error { s.closed = true; return nil }

func (s *memSource) issued(u delta.Unit) delta.Issued {
	run := s.copy.issuers[crdt.Dot{Replica: u.Origin, Seq: u.First}]
	if s.copy.mistake == latestRun {
		run = s.st.toldRuns()[u.Origin]
	}
	return delta.Issued{Unit: u, Run: run}
}

func (s *memSource) Log(since crdt.VersionVector) (iter.Seq2[delta.Issued, error], bool, error) {
	if !since.CoversAll(s.logFrom) {
		return nil, false, nil
	}
	return func(yield func(delta.Issued, error) bool) {
		for _, u := range s.log {
			if u.Last > since[u.Origin] && !yield(s.issued(u), nil) {
				return
			}
		}
	}, true, nil
}

func (s *memSource) Unit(origin crdt.ReplicaID, first uint64) (delta.Issued, bool, error) {
	for _, u := range s.log {
		if u.Origin == origin && u.First == first {
			return s.issued(u), true, nil
		}
	}
	return delta.Issued{}, false, nil
}

func (s *memSource) Entries(since crdt.VersionVector) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for _, d := range slices.SortedFunc(maps.Keys(s.state.Live), crdt.Dot.Compare) {
			if since.Covers(d) || s.copy.mistake == noSnapshot && !s.st.Clock.Covers(d) {
				continue
			}
			if e, ok := s.state.Live[d]; ok && !yield(e, nil) {
				return
			}
		}
	}
}
