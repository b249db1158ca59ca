package sync

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// pair returns two copies with some history: b has pulled from a once, then both went on.
func pair(seed uint64) (a, b *memCopy) {
	rng := rand.New(rand.NewPCG(seed, 3))
	w := newWorld()
	a, b = newCopy(w, idA, rng.Uint64()), newCopy(w, idB, rng.Uint64())
	for range 20 {
		a.write(rng)
	}
	l := &link{pull: NewPull(DefaultConfig(), b), serve: NewServe(DefaultConfig(), a.source)}
	out, _ := l.pull.Start()
	l.sendUp(out)
	if err := l.run(); err != nil {
		panic(err)
	}
	for range 20 {
		a.write(rng)
		b.write(rng)
	}
	return a, b
}

func stateConfig() Config {
	cfg := DefaultConfig()
	cfg.LogMaxDots = 1
	return cfg
}

// TestPullSurvivesAnything sends a pull what its sender said, changed, repeated, left out and in
// another order. It may fail; it must not panic, and unless bytes were changed its copy is right
// at every step.
func TestPullSurvivesAnything(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 4))
		a, b := pair(seed)
		l := dial(t, stateConfig(), b, a.source)
		change := seed%2 == 0
		for range 60 {
			if len(l.down) > 0 && rng.IntN(3) == 0 {
				l.down = disturb(rng, l.down, change)
			}
			if l.done || len(l.up)+len(l.down) == 0 || l.step(true) != nil {
				break
			}
		}
		if err := b.world.check(b); err != nil && !change {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if _, _, err := l.pull.Handle(nil); err == nil {
			t.Fatalf("seed %d: an empty message is no error", seed)
		}
	}
}

// TestServeSurvivesAnything does the same to the other side.
func TestServeSurvivesAnything(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 5))
		a, b := pair(seed)
		l := dial(t, stateConfig(), b, a.source)
		for range 60 {
			if len(l.up) > 0 && rng.IntN(3) == 0 {
				l.up = disturb(rng, l.up, true)
			}
			if l.done || len(l.up)+len(l.down) == 0 || l.step(false) != nil {
				break
			}
		}
		l.serve.Close()
		if _, _, err := l.serve.Handle(nil); !errors.Is(err, ErrEnded) {
			t.Fatalf("seed %d: after the end: %v", seed, err)
		}
	}
}

func disturb(rng *rand.Rand, ms [][]byte, change bool) [][]byte {
	i := rng.IntN(len(ms))
	m := bytes.Clone(ms[i])
	if len(m) == 0 {
		return ms[:i]
	}
	kind := rng.IntN(5)
	if !change {
		kind = 2 + rng.IntN(3)
	}
	switch kind {
	case 0:
		m[rng.IntN(len(m))] ^= 1 << rng.IntN(8)
	case 1:
		m = m[:rng.IntN(len(m))]
	case 2:
		return append(ms, m)
	case 3:
		return append(ms[:i:i], ms[i+1:]...)
	case 4:
		j := rng.IntN(len(ms))
		ms[i], ms[j] = ms[j], ms[i]
		return ms
	}
	ms = append([][]byte(nil), ms...)
	ms[i] = m
	return ms
}

// TestPullRefuses lists what a sender may not say: each is ErrMalformed, and nothing is flipped.
func TestPullRefuses(t *testing.T) {
	entry := func(r crdt.ReplicaID, seq uint64) []byte {
		return appendItem(nil, delta.AppendEntry([]byte{itemEntry}, newEntry(r, seq, 1)))
	}
	dots := func(ds ...crdt.Dot) []byte {
		set := delta.NewDotSet()
		for _, d := range ds {
			set.Add(d)
		}
		return appendItem(nil, delta.AppendDotSet([]byte{itemDots}, set))
	}
	chunk := func(b []byte) *message { return &message{kind: kindChunk, size: uint64(len(b)), data: b} }
	for name, ms := range map[string][]*message{
		"an entry from before the request":  {chunk(entry(idA, 5))},
		"an entry beyond its clock":         {chunk(entry(idA, 11))},
		"an entry of another replica":       {chunk(entry(idC, 1))},
		"an entry twice":                    {chunk(append(entry(idA, 7), entry(idA, 7)...))},
		"dots that were not cached":         {chunk(dots(crdt.Dot{Replica: idA, Seq: 8}))},
		"an early end":                      {chunk(entry(idA, 7)), {kind: kindEnd, size: 2}},
		"an end within an item":             {chunk(entry(idA, 7)[:9]), {kind: kindEnd}},
		"an item without end":               {chunk(bytes.Repeat([]byte{0xff}, 11))},
		"an item that is too long":          {chunk([]byte{0xff, 0xff, 0xff, 0x7f})},
		"an item of no kind":                {chunk([]byte{1, 77})},
		"an empty item":                     {chunk([]byte{0})},
		"an empty chunk":                    {{kind: kindChunk}},
		"a chunk that lies about its size":  {{kind: kindChunk, size: maxChunkBytes + 1, data: []byte{1}}},
		"a chunk that is not packed":        {{kind: kindChunk, size: 100, data: []byte{1, 2, 3}}},
		"roots of replicas that are beyond": {{kind: kindRoots, hashes: make([]byte, rootBytes)}},
		"roots of half a length":            {{kind: kindRoots, hashes: make([]byte, 7)}},
		"nodes before roots":                {{kind: kindHashes, hashes: []byte{formRuns, 0}}},
		"another mode":                      {{kind: kindMode, mode: modeLog}},
		"another offer":                     {{kind: kindOffer}},
		"what a pull says":                  {{kind: kindDone}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopy(newWorld(), idB, 1)
			c.state.Clock = crdt.VersionVector{idA: 6, idB: 3}
			p := NewPull(DefaultConfig(), c)
			if _, err := p.Start(); err != nil {
				t.Fatal(err)
			}
			say := func(m *message) error {
				_, _, err := p.Handle(m.encode())
				return err
			}
			if err := errors.Join(
				say(&message{kind: kindOffer, clock: []component{{Replica: idA, Seq: 10}}}),
				say(&message{kind: kindMode, mode: modeState})); err != nil {
				t.Fatal(err)
			}
			var err error
			for _, m := range ms {
				err = say(m)
			}
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) {
				t.Errorf("got %v", err)
			}
			if c.flips > 0 {
				t.Error("flipped")
			}
		})
	}
}

// refusing is a copy that calls everything malformed.
type refusing struct{ *memCopy }

func (refusing) ApplyUnits([]delta.Unit, delta.Runs) error { return delta.ErrMalformed }
func (refusing) Stage([]crdt.Entry) error                  { return delta.ErrMalformed }

// TestPullBlamesTheSender: what the copy refuses, or may not be stored, is malformed.
func TestPullBlamesTheSender(t *testing.T) {
	good, damaged, early := unitOf(idA, 7, nil), unitOf(idA, 7, nil), delta.Run{First: 8, Nonce: 1}
	damaged.Entries[0].Kind, damaged.Entries[0].Value = crdt.KindCell, []byte{1}
	unit := func(u delta.Unit) []byte { return appendItem(nil, delta.AppendUnit([]byte{itemUnit}, u)) }
	entry := func(u delta.Unit) []byte { return appendItem(nil, delta.AppendEntry([]byte{itemEntry}, u.Entries[0])) }
	runs := appendItem(nil, delta.AppendRuns([]byte{itemRuns}, delta.Runs{idA: early}))
	for name, c := range map[string]struct {
		mode uint64
		data []byte
		sink func(*memCopy) Sink
	}{
		"a damaged value in a unit":      {modeLog, unit(damaged), nil},
		"a damaged value in the state":   {modeState, entry(damaged), nil},
		"a unit that the copy refuses":   {modeLog, unit(good), func(c *memCopy) Sink { return refusing{c} }},
		"an entry that the copy refuses": {modeState, entry(good), func(c *memCopy) Sink { return refusing{c} }},
		"a unit from before its run":     {modeLog, append(runs, unit(good)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			copy := newCopy(newWorld(), idB, 1)
			copy.state.Clock = crdt.VersionVector{idA: 6}
			var sink Sink = copy
			if c.sink != nil {
				sink = c.sink(copy)
			}
			p := NewPull(DefaultConfig(), sink)
			if _, err := p.Start(); err != nil {
				t.Fatal(err)
			}
			var err error
			for _, m := range []*message{{kind: kindOffer, clock: []component{{Replica: idA, Seq: 10}}}, {kind: kindMode, mode: c.mode},
				{kind: kindChunk, size: uint64(len(c.data)), data: c.data}} {
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = p.Handle(m.encode())
			}
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			e := newTestEngine(func(*Config) {})
			if got := actionsOf[Disconnect](e.Handle(epoch, Served{Peer: "a", Err: err})); len(got) != 1 {
				t.Errorf("the engine does %v", got)
			}
		})
	}
}

// TestServeRefuses lists what a receiver may not say.
func TestServeRefuses(t *testing.T) {
	leaf := func(i uint64) node { return node{replica: idA, index: i} }
	for name, ms := range map[string][]*message{
		"nodes that descend":        {{kind: kindNodes, nodes: []node{leaf(1), leaf(0)}}},
		"a node twice":              {{kind: kindNodes, nodes: []node{leaf(1)}}, {kind: kindNodes, nodes: []node{leaf(1)}}},
		"a node above a leaf":       {{kind: kindNodes, nodes: []node{leaf(1), {replica: idA, level: 1}}}},
		"no nodes":                  {{kind: kindNodes}},
		"nodes without a reason":    {{kind: kindNodes, nodes: []node{leaf(0), leaf(1), leaf(2), leaf(3)}}},
		"a node beyond all seqs":    {{kind: kindNodes, nodes: []node{leaf(1 << 60)}}},
		"a second request":          {{kind: kindRequest}},
		"a second want":             {{kind: kindWant}},
		"what a serve says":         {{kind: kindEnd}},
		"what engines say":          {{kind: kindHello}},
		"an ask to be sent nothing": {{kind: kindSame}},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := pair(1)
			s := NewServe(stateConfig(), a.source)
			defer s.Close()
			say := func(m *message) error {
				_, _, err := s.Handle(m.encode())
				return err
			}
			want := &message{kind: kindWant}
			for r := range a.state.Clock {
				want.clock = append(want.clock, component{Replica: r, Seq: 1})
			}
			if err := errors.Join(say(&message{kind: kindRequest}), say(want)); err != nil {
				t.Fatal(err)
			}
			var err error
			for _, m := range ms {
				err = say(m)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// lossySource is a source whose entries do not bear out its live dots.
type lossySource struct{ *memSource }

func (s lossySource) Live() *delta.DotSet {
	live := s.memSource.Live().Clone()
	live.Add(crdt.Dot{Replica: s.Replica(), Seq: s.Clock()[s.Replica()]})
	live.Add(crdt.Dot{Replica: s.Replica(), Seq: s.Clock()[s.Replica()] - 1})
	live.Add(crdt.Dot{Replica: s.Replica(), Seq: s.Clock()[s.Replica()] - 2})
	return live
}

// TestServeNeverReadsDamageAsAbsence: an entry that the store has lost would be dead on the
// other side.
func TestServeNeverReadsDamageAsAbsence(t *testing.T) {
	w := newWorld()
	a, b := newCopy(w, idA, 1), newCopy(w, idB, 2)
	for range 4 {
		u := delta.Unit{Origin: idA, First: a.state.Clock[idA] + 1, Last: a.state.Clock[idA] + 1}
		if u.First > 1 {
			u.Kills = []delta.Kill{{Dots: []crdt.Dot{{Replica: idA, Seq: u.First - 1}}}}
		}
		u.Entries = []crdt.Entry{newEntry(idA, u.First, 1)}
		a.commit(u)
	}
	l := dial(t, stateConfig(), b, func() (Source, error) {
		src, err := a.source()
		return lossySource{src.(*memSource)}, err
	})
	if err := l.run(); !errors.Is(err, ErrRefused) || l.servedError == nil || b.flips != 0 {
		t.Errorf("pull: %v, serve: %v, %d flips", err, l.servedError, b.flips)
	}
}

// TestSessionsProveForks: both sides compare runs before anything is exchanged.
func TestSessionsProveForks(t *testing.T) {
	a, b := pair(7)
	twin := newCopy(a.world, a.id, 0)
	twin.state.Clock = crdt.VersionVector{a.id: 3}
	twin.ownRuns = []delta.Run{a.ownRuns[0], {First: 4, Nonce: 99}}
	for range 100 {
		twin.write(rand.New(rand.NewPCG(1, 1)))
	}
	t.Run("pull", func(t *testing.T) {
		err := dial(t, DefaultConfig(), twin, b.source).run()
		if !errors.Is(err, ErrFork) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("serve", func(t *testing.T) {
		l := dial(t, DefaultConfig(), b, twin.source)
		if err := l.run(); !errors.Is(err, ErrRefused) || !errors.Is(l.servedError, ErrFork) {
			t.Errorf("pull: %v, serve: %v", err, l.servedError)
		}
	})
	t.Run("a newer look", func(t *testing.T) { // b gets by gossip what a wrote after a asked
		a, b := pair(8)
		for _, u := range a.log {
			_ = b.apply(u)
		}
		rng := rand.New(rand.NewPCG(2, 2))
		b.write(rng)
		l := dial(t, DefaultConfig(), a, b.source)
		if err := b.apply(a.write(rng)); err != nil {
			t.Fatal(err)
		}
		if err := l.run(); err != nil {
			t.Error(err)
		}
	})
}

// TestPullUnit fetches one announced unit, in pieces.
func TestPullUnit(t *testing.T) {
	w := newWorld()
	a, b := newCopy(w, idA, 1), newCopy(w, idB, 2)
	u := delta.Unit{Origin: idA, First: 1}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 8000 {
		u.Last++
		e := newEntry(idA, u.Last, rng.Int())
		e.Path, e.Kind, e.Value = crdt.Object(crdt.Register, "r").Leaf(crdt.Register), crdt.KindValue, make([]byte, 500)
		for i := range e.Value { // a number that does not pack well
			e.Value[i] = '1' + byte(rng.IntN(9))
		}
		u.Entries = append(u.Entries, e)
	}
	a.commit(u)
	for _, ref := range []UnitRef{{Origin: idA, First: 2}, {Origin: idA, First: 1}} {
		l := &link{pull: NewPullUnit(DefaultConfig(), b, ref), serve: NewServe(DefaultConfig(), a.source)}
		out, err := l.pull.Start()
		if err != nil {
			t.Fatal(err)
		}
		l.sendUp(out)
		err = l.run()
		if held := ref.First == 1; held != (err == nil) || !held && !errors.Is(err, ErrNotHeld) {
			t.Errorf("%v: %v", ref, err)
		}
	}
	if !a.state.Equal(b.state) {
		t.Error("the unit did not arrive")
	}
}
