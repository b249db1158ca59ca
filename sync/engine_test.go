package sync

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// unitOf returns a unit of one added member.
func unitOf(r crdt.ReplicaID, seq uint64, deps crdt.VersionVector) delta.Unit {
	return delta.Unit{Origin: r, First: seq, Last: seq, Deps: deps, Entries: []crdt.Entry{newEntry(r, seq, int(seq))}}
}

func hold(p *pending, u delta.Unit, bytes int, at time.Time) {
	p.add(&waiting{unit: u, bytes: bytes, at: at})
}

func units(ws, _ []*waiting) string {
	var parts []string
	for _, w := range ws {
		parts = append(parts, fmt.Sprintf("%d:%d", uint64(w.unit.Origin), w.unit.First))
	}
	return strings.Join(parts, " ")
}

func TestPendingGivesCausalOrder(t *testing.T) {
	p := pending{maxUnits: 100, maxBytes: 100}
	hold(&p, unitOf(1, 3, nil), 1, epoch)
	hold(&p, unitOf(1, 2, crdt.VersionVector{2: 2}), 1, epoch)
	hold(&p, unitOf(2, 2, crdt.VersionVector{1: 1}), 1, epoch)
	hold(&p, unitOf(2, 2, nil), 1, epoch) // twice
	hold(&p, unitOf(3, 9, nil), 1, epoch)
	hold(&p, unitOf(4, 1, nil), 1, epoch) // covered
	clock := crdt.VersionVector{2: 1, 4: 1}
	if got := units(p.take(clock, delta.Runs{}, 100)); got != "" {
		t.Errorf("without 1:1: %s", got)
	}
	hold(&p, unitOf(1, 1, nil), 1, epoch)
	if got := units(p.take(clock, delta.Runs{}, 2)); got != "1:1 2:2" {
		t.Errorf("at most 2 bytes: %s", got)
	}
	if got := units(p.take(clock, delta.Runs{}, 100)); got != "1:2 1:3" {
		t.Errorf("the rest: %s", got)
	}
	if p.units != 1 || p.bytes != 1 || clock.Compare(crdt.VersionVector{1: 3, 2: 2, 4: 1}) != crdt.Equal {
		t.Errorf("%d units and %d bytes are left at %v", p.units, p.bytes, clock)
	}
}

func TestPendingIsBounded(t *testing.T) {
	p := pending{maxUnits: 3, maxBytes: 10}
	for i := range uint64(5) {
		hold(&p, unitOf(1, i+2, nil), 1, epoch.Add(time.Duration(i)))
	}
	if p.units != 3 {
		t.Errorf("%d units", p.units)
	}
	p.maxUnits = 100
	hold(&p, unitOf(2, 2, nil), 8, epoch)
	if p.bytes != 3 {
		t.Errorf("%d bytes", p.bytes)
	}
	p.expire(epoch.Add(1))
	if p.units != 1 || !p.oldest.Equal(epoch.Add(2)) {
		t.Errorf("%d units are left, the oldest of %v", p.units, p.oldest)
	}
	p.expire(epoch.Add(2))
	if p.units != 0 || p.bytes != 0 || len(p.queues) != 0 {
		t.Errorf("%d units are left", p.units)
	}
}

// TestUnitInsideTheClock: a clock stands at unit borders only, so such a unit is never applied.
func TestUnitInsideTheClock(t *testing.T) {
	p := pending{maxUnits: 100, maxBytes: 100}
	u := unitOf(1, 2, nil)
	u.Last = 4
	hold(&p, u, 1, epoch)
	clock := crdt.VersionVector{1: 3}
	if got, bad := p.take(clock, delta.Runs{}, 100); len(got)+len(bad) > 0 || p.units != 0 || clock[1] != 3 {
		t.Errorf("took %s, left %d, clock %v", units(got, bad), p.units, clock)
	}
}

// TestWhatKillsAheadIsBad: a unit cannot kill what its origin had not seen.
func TestWhatKillsAheadIsBad(t *testing.T) {
	p := pending{maxUnits: 100, maxBytes: 100}
	dots, prefix := unitOf(1, 2, nil), unitOf(3, 1, crdt.VersionVector{1: 1})
	dots.Kills = []delta.Kill{{Dots: []crdt.Dot{{Replica: 2, Seq: 6}}}}
	prefix.Kills = []delta.Kill{{Prefix: crdt.Object(crdt.Set, "s"), Clock: crdt.VersionVector{2: 6}}}
	hold(&p, dots, 1, epoch)
	hold(&p, prefix, 1, epoch)
	hold(&p, unitOf(4, 1, nil), 1, epoch)
	clock := crdt.VersionVector{1: 1, 2: 5}
	got, bad := p.take(clock, delta.Runs{}, 100)
	if units(got, nil) != "4:1" || units(bad, nil) != "1:2 3:1" || p.units != 0 || clock[1] != 1 || clock[3] != 0 {
		t.Errorf("took %s, bad is %s, %d are left, clock %v", units(got, nil), units(bad, nil), p.units, clock)
	}
}

func gossipOf(run delta.Run, us ...delta.Unit) []byte {
	return delta.AppendFrame([]byte{gossipFrame}, delta.Frame{Runs: delta.Runs{us[0].Origin: run}, Units: us})
}

// TestApplyKeepsRunsAndPeersApart: what waited is handed over with the run of its own frame, and
// with who sent it.
func TestApplyKeepsRunsAndPeersApart(t *testing.T) {
	e := newTestEngine(func(*Config) {})
	old, late := delta.Run{First: 1, Nonce: 7}, delta.Run{First: 3, Nonce: 8}
	e.Handle(epoch, Gossip{Peer: "b", Data: gossipOf(late, unitOf(2, 3, nil))})
	e.Handle(epoch, Gossip{Peer: "b", Data: gossipOf(old, unitOf(2, 2, nil))})
	e.Handle(epoch, Gossip{Peer: "c", Data: gossipOf(late, unitOf(2, 4, nil))})
	var got []string
	for _, a := range actionsOf[Apply](e.Handle(epoch, Gossip{Peer: "b", Data: gossipOf(old, unitOf(2, 1, nil))})) {
		got = append(got, fmt.Sprintf("%d from %d of %d by %s", len(a.Units), a.Units[0].First, a.Runs[2].Nonce, a.From))
	}
	if want := "2 from 1 of 7 by b, 1 from 3 of 8 by b, 1 from 4 of 8 by c"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}

// TestHostileUnitsPauseNobody: a unit that a copy refuses is the fault of who sent it; what follows
// goes on at once, and only a failure of the copy makes a pause.
func TestHostileUnitsPauseNobody(t *testing.T) {
	run := delta.Run{First: 1, Nonce: 7}
	for _, c := range []struct {
		err    error
		blamed string
		paused bool
	}{{delta.ErrMalformed, "b", false}, {delta.ErrGap, "", false}, {errors.New("disk full"), "", true}} {
		e := newTestEngine(func(*Config) {})
		e.Handle(epoch, PeerUp{Peer: "b"})
		e.Handle(epoch, Gossip{Peer: "b", Data: gossipOf(run, unitOf(2, 1, nil))})
		blamed := ""
		for _, d := range actionsOf[Disconnect](e.Handle(epoch, ApplyFailed{Err: fmt.Errorf("apply: %w", c.err), From: "b"})) {
			blamed += string(d.Peer)
		}
		next := actionsOf[Apply](e.Handle(epoch, Gossip{Peer: "c", Data: gossipOf(run, unitOf(2, 1, nil))}))
		if blamed != c.blamed || (len(next) == 0) != c.paused {
			t.Errorf("%v: blamed %q, then %d applies", c.err, blamed, len(next))
		}
	}
}

// TestHostileValuesEndTheConnection: a value that no copy can read is not handed on.
func TestHostileValuesEndTheConnection(t *testing.T) {
	for _, kind := range []crdt.Kind{crdt.KindCell, crdt.KindReset} {
		u := unitOf(2, 1, nil)
		u.Entries[0].Path, u.Entries[0].Kind, u.Entries[0].Value = crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter), kind, []byte{9}
		data := gossipOf(delta.Run{First: 1, Nonce: 7}, u)
		as := newTestEngine(func(*Config) {}).Handle(epoch, Gossip{Peer: "b", Data: data})
		if !errors.Is(CheckGossip(data), ErrMalformed) || len(actionsOf[Disconnect](as)) != 1 || len(actionsOf[Apply](as)) != 0 {
			t.Errorf("kind %v: %v", kind, as)
		}
	}
}

func actionsOf[A Action](as []Action) (got []A) {
	for _, a := range as {
		if a, ok := a.(A); ok {
			got = append(got, a)
		}
	}
	return got
}

func newTestEngine(change func(*Config)) *Engine {
	cfg := DefaultConfig()
	change(&cfg)
	return NewEngine(cfg, Status{Replica: 1, Clock: crdt.VersionVector{}, OwnRuns: []delta.Run{{First: 1, Nonce: 1}}})
}

// TestPeersAreBounded: the disconnected one that was heard longest ago makes room.
func TestPeersAreBounded(t *testing.T) {
	e := newTestEngine(func(c *Config) { c.MaxPeers = 2 })
	e.Handle(epoch, PeerUp{Peer: "a"})
	e.Handle(epoch, PeerUp{Peer: "b"})
	if got := actionsOf[Disconnect](e.Handle(epoch, PeerUp{Peer: "c"})); len(got) != 1 {
		t.Errorf("a third peer: %v", got)
	}
	e.Handle(epoch, PeerDown{Peer: "a"})
	if got := actionsOf[Send](e.Handle(epoch, PeerUp{Peer: "c"})); len(got) != 1 {
		t.Errorf("after one has left: %v", got)
	}
	if ps := e.Peers(); len(ps) != 2 || ps[0].ID != "b" || ps[1].ID != "c" {
		t.Errorf("peers %v", ps)
	}
}

// TestClocksAreBounded: a peer cannot make up replicas without end.
func TestClocksAreBounded(t *testing.T) {
	e := newTestEngine(func(c *Config) { c.MaxReplicas = 10 })
	e.Handle(epoch, PeerUp{Peer: "a"})
	hello := message{kind: kindHello, clockHash: make([]byte, hashBytes), runsHash: make([]byte, hashBytes)}
	e.Handle(epoch, Message{Peer: "a", Data: hello.encode()})
	var got []Disconnect
	for i := range uint64(4) {
		m := message{kind: kindClock, flags: flagMore}
		for r := range uint64(4) {
			m.clock = append(m.clock, component{Replica: crdt.ReplicaID(4*i + r + 1), Seq: 1})
		}
		got = append(got, actionsOf[Disconnect](e.Handle(epoch, Message{Peer: "a", Data: m.encode()}))...)
	}
	if len(got) != 1 || !errors.Is(got[0].Reason, ErrMalformed) {
		t.Errorf("got %v", got)
	}
}

// TestBacklogIsBounded: what the copy has not made durable yet holds back the rest, which then
// comes in order, and is not pulled meanwhile.
func TestBacklogIsBounded(t *testing.T) {
	e := newTestEngine(func(c *Config) { c.MaxPendingUnits, c.GapGrace = 4, time.Millisecond })
	e.Handle(epoch, PeerUp{Peer: "a"})
	clock := crdt.VersionVector{}
	var applied []delta.Unit
	var data [][]byte
	for i := range uint64(8) {
		f := delta.Frame{Units: []delta.Unit{unitOf(2, i+1, nil)}}
		data = append(data, delta.AppendFrame([]byte{gossipFrame}, f))
	}
	take := func(as []Action) {
		for _, a := range actionsOf[Apply](as) {
			applied = append(applied, a.Units...)
		}
		if got := actionsOf[Pull](as); len(got) > 0 {
			t.Errorf("pulls %v", got)
		}
	}
	for _, d := range data {
		take(e.Handle(epoch, Gossip{Peer: "a", Data: d}))
	}
	if len(applied) != 4 {
		t.Fatalf("%d units are in flight", len(applied))
	}
	tell := message{kind: kindTell, clock: []component{{Replica: 2, Seq: 8}}}
	take(e.Handle(epoch, Message{Peer: "a", Data: tell.encode()}))
	take(e.Handle(epoch.Add(time.Second), Tick{}))
	for len(applied) < 8 {
		before := len(applied)
		clock[2] = uint64(before)
		take(e.Handle(epoch.Add(time.Second), Committed{Status: Status{Replica: 1, Clock: clock.Clone()}}))
		if len(applied) == before {
			t.Fatalf("stuck at %d", before)
		}
	}
	for i, u := range applied {
		if u.First != uint64(i+1) {
			t.Errorf("unit %d came as number %d", u.First, i+1)
		}
	}
}

// TestLostApplyIsNoticed: an Apply that is never answered counts as lost after a while.
func TestLostApplyIsNoticed(t *testing.T) {
	e := newTestEngine(func(*Config) {})
	frame := delta.AppendFrame([]byte{gossipFrame}, delta.Frame{Units: []delta.Unit{unitOf(2, 1, nil)}})
	if got := actionsOf[Apply](e.Handle(epoch, Gossip{Peer: "a", Data: frame})); len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	at := epoch
	for range 3 {
		if at = e.Wake(); at.Sub(epoch) < DefaultConfig().ApplyTimeout {
			e.Handle(at, Tick{})
		}
	}
	e.Handle(epoch.Add(DefaultConfig().ApplyTimeout), Tick{})
	if got := actionsOf[Apply](e.Handle(epoch.Add(time.Minute), Gossip{Peer: "a", Data: frame})); len(got) != 1 {
		t.Errorf("it is not handed over again: %v", got)
	}
}

// TestAnswered: an Ask is answered when the clock that the peer has then is known.
func TestAnswered(t *testing.T) {
	c := newCluster(5, 2)
	c.connectAll()
	if err := c.run(time.Second); err != nil {
		t.Fatal(err)
	}
	a, b := c.nodes[0], c.nodes[1]
	b.write()
	want := b.copy.state.Clock.Clone()
	asked := c.now.Add(10 * time.Millisecond) // the engine of b has heard of it by then
	c.after(asked.Sub(c.now), func() { a.handle(Ask{Peer: b.id}) })
	for range 1000 {
		if err := c.run(time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if p := a.engine.Peers()[0]; !p.Answered.Before(asked) {
			if !p.Clock.CoversAll(want) {
				t.Errorf("answered with %v, want %v", p.Clock, want)
			}
			return
		}
	}
	t.Error("never answered")
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{CheckJitter: 2}.Validate()
	for _, name := range []string{"MaxPeers", "PendingAge", "CheckJitter", "ClockPage", "FrameBytes", "Window", "MaxPendingUnits"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no word of %s: %v", name, err)
		}
	}
}

// TestPendingKnowsHistories: what waits for a predecessor is no hint of anything when that seq was used
// again by a later run.
func TestPendingKnowsHistories(t *testing.T) {
	first, later := delta.Run{First: 1, Nonce: 1}, delta.Run{First: 2, Nonce: 2}
	p := pending{maxUnits: 100, maxBytes: 100}
	for _, w := range []waiting{{unit: unitOf(1, 3, nil), run: first}, {unit: unitOf(1, 2, nil), run: later}, {unit: unitOf(2, 2, nil), run: first}} {
		p.add(&w)
	}
	clock := crdt.VersionVector{1: 1, 2: 1}
	if got := units(p.take(clock, delta.Runs{1: first, 2: first}, 100)); got != "1:2 2:2" || p.units != 0 {
		t.Errorf("took %s, %d are left", got, p.units)
	}
}
