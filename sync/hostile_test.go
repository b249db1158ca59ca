package sync

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// judged is a copy that holds a session to the contract of Sink: whatever the other side has said, what
// arrives here is what a correct sender could have caused.
type judged struct {
	*memCopy
	t *testing.T
}

func (j judged) Stage(es []crdt.Entry) error {
	for _, e := range es {
		if err := errors.Join(delta.ValidateEntry(e), delta.ValidateValue(e)); err != nil || j.begun.Clock.Covers(e.Dot) {
			j.t.Fatalf("staged %v: %v", e, err)
		}
	}
	return j.memCopy.Stage(es)
}

func (j judged) ApplyUnits(us []delta.Unit, runs delta.Runs) error {
	for _, u := range us {
		if err := checkUnit(u); err != nil {
			j.t.Fatal(err)
		}
		if run, ok := runs[u.Origin]; ok && (run.First > u.First || run == delta.Run{}) {
			j.t.Fatalf("unit %v:%d of run %v", u.Origin, u.First, run)
		}
		// Own ones that were not issued here are a fork, which the store reports: see its ApplyUnits.
		if u.Origin == j.id && u.Last > j.state.Clock[j.id] {
			return ErrFork
		}
	}
	return j.memCopy.ApplyUnits(us, runs)
}

// Flip joins, and compares with the join of a sender's state: one that has the clock and the
// streamed entries, and of what is here all but what is killed.
func (j judged) Flip(f Flip) error {
	if f.From.Compare(j.begun.Clock) != crdt.Equal {
		j.t.Fatalf("flip from %v, asked at %v", f.From, j.begun.Clock)
	}
	both := f.From.Min(f.To)
	if !within(f.Streamed, f.From, f.To) || f.Killed.CutAt(both).Len() != f.Killed.Len() ||
		f.Killed.And(j.begun.Live).Len() != f.Killed.Len() {
		j.t.Fatalf("flip to %v: streams or kills what it may not", f.To)
	}
	if len(f.To) > 8 || f.To[0] != 0 {
		j.t.Fatalf("flip to %v", f.To)
	}
	sender := crdt.State{Clock: f.To.Clone(), Live: map[crdt.Dot]crdt.Entry{}}
	for d := range f.Streamed.All() {
		e, ok := j.staged[d]
		if !ok {
			j.t.Fatalf("%v streamed and not staged", d)
		}
		sender.Live[d] = e
	}
	for d := range j.begun.Live.CutAt(f.To).All() {
		if e, ok := j.state.Live[d]; ok && !f.Killed.Contains(d) && f.From.Covers(d) {
			sender.Live[d] = e
		}
	}
	// What has gone here since the session asked went by units that the sender need not know.
	want := crdt.Join(j.state, sender)
	err := j.memCopy.Flip(f)
	if err == nil && !j.state.Equal(want) {
		j.t.Fatalf("flip: %v, the join is %v", j.state, want)
	}
	return err
}

// own is what the copy itself has written and nobody else may change: how far, and the content.
func (j judged) own() (uint64, map[crdt.Dot]crdt.Entry) {
	live := map[crdt.Dot]crdt.Entry{}
	for d, e := range j.state.Live {
		if d.Replica == j.id {
			live[d] = e
		}
	}
	return j.state.Clock[j.id], live
}

// sound checks what holds whatever a peer says: I2, and that nobody wrote under the copy's own id.
func (j judged) sound(seq uint64, before map[crdt.Dot]crdt.Entry) {
	if j.state.Clock[j.id] != seq {
		j.t.Fatalf("a peer moved the own clock from %d to %d", seq, j.state.Clock[j.id])
	}
	for d, e := range j.state.Live {
		if !j.state.Clock.Covers(d) {
			j.t.Fatalf("I2: %v is live at %v", d, j.state.Clock)
		}
		if was, ok := before[d]; d.Replica == j.id && (!ok || !was.Equal(e)) {
			j.t.Fatalf("a peer wrote %v", e)
		}
	}
}

// within its bounds: what a session holds besides its sink.
func (p *PullSession) held() error {
	nodes := len(p.tree.asked)
	for _, ns := range p.tree.todo {
		nodes += len(ns)
	}
	// A node that is asked for has live dots here.
	if most := (maxLevel + 1) * int(p.treeLive()); nodes > most {
		return fmt.Errorf("%d nodes for %d live dots", nodes, p.treeLive())
	}
	if n := max(len(p.c2), len(p.runs2), len(p.past2), len(p.issuers), len(p.tree.there)); n > p.cfg.MaxReplicas {
		return fmt.Errorf("%d replicas", n)
	}
	if len(p.buf) > 1+delta.MaxUnitBytes+maxChunkBytes {
		return fmt.Errorf("%d bytes of an item", len(p.buf))
	}
	return nil
}

func (p *PullSession) treeLive() uint64 {
	if p.tree.mine == nil {
		return 0
	}
	return p.tree.mine.Len()
}

// TestTreeFollowsOwnData: a sender that claims to differ everywhere is asked only for what has live dots here.
func TestTreeFollowsOwnData(t *testing.T) {
	c := newCopy(newWorld(), idB, 1)
	c.state.Clock = crdt.VersionVector{idA: maxSeq, idB: 3}
	for _, seq := range []uint64{1, 1 << 30, maxSeq} {
		c.state.Live[crdt.Dot{Replica: idA, Seq: seq}] = newEntry(idA, seq, 1)
	}
	p := NewPull(DefaultConfig(), c)
	if _, err := p.Start(); err != nil {
		t.Fatal(err)
	}
	say := func(m *message) (asked []node) {
		out, _, err := p.Handle(m.encode())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			m, err := decode(o)
			if err != nil {
				t.Fatal(err)
			}
			asked = append(asked, m.nodes...)
		}
		return asked
	}
	say(&message{kind: kindOffer, clock: []component{{Replica: idA, Seq: maxSeq}, {Replica: idC, Seq: 1}}})
	say(&message{kind: kindMode, mode: modeState})
	asked := say(&message{kind: kindRoots, hashes: append(binary.LittleEndian.AppendUint64(nil, uint64(idA)), "not ours"...)})
	total := 0
	for len(asked) > 0 && asked[0].level > 0 {
		total += len(asked)
		answer := append([]byte{formHashes, 0xff, 0xff}, bytes.Repeat([]byte("not ours"), fanOut)...)
		asked = say(&message{kind: kindHashes, hashes: bytes.Repeat(answer, len(asked))})
	}
	if most := 3 * (maxLevel + 1); total > most || len(asked) != 3 {
		t.Errorf("asked for %d nodes and %d leaves; 3 dots are live", total, len(asked))
	}
}

// TestPendingOriginsAreBounded: units of very many origins, each of which waits for the next one, are taken in one
// pass or dropped; what is held is looked at with every event.
func TestPendingOriginsAreBounded(t *testing.T) {
	p := pending{maxUnits: 1 << 16, maxBytes: 1 << 30}
	for i := range uint64(3 * maxOrigins) {
		u := delta.Unit{Origin: crdt.ReplicaID(i + 1), First: 1, Last: 1, Deps: crdt.VersionVector{crdt.ReplicaID(i + 2): 1}}
		p.add(&waiting{unit: u, bytes: 1})
	}
	if len(p.queues) != maxOrigins || p.units != maxOrigins {
		t.Fatalf("%d units of %d origins", p.units, len(p.queues))
	}
	clock := crdt.VersionVector{maxOrigins + 1: 1}
	out, _ := p.take(clock, delta.Runs{}, 1<<30)
	if len(out) != maxOrigins || p.units != 0 || len(p.queues) != 0 {
		t.Errorf("%d units taken, %d left", len(out), p.units)
	}
	for i, w := range out {
		if w.unit.Origin != crdt.ReplicaID(maxOrigins-i) {
			t.Fatalf("unit %d is of %v", i, w.unit.Origin)
		}
	}
}

// FuzzPullSession sends a pull whatever a tape says: what an honest sender would, that changed or out of
// its turn, and anything else. Meanwhile the copy goes on writing.
func FuzzPullSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		tp := &tape{b: b}
		a, copyB := pair(uint64(tp.intN(16)))
		rng := rand.New(rand.NewPCG(1, 6))
		j := judged{memCopy: copyB, t: t}
		cfg := tp.small()
		if tp.intN(3) == 0 { // a liar has told of a replica that wrote very much
			j.state.Clock[idC], a.state.Clock[idC] = maxSeq, maxSeq
		}
		for range tp.intN(3) { // a session before this one was cut
			_ = j.memCopy.Stage([]crdt.Entry{newEntry(idA, uint64(1+tp.intN(60)), tp.intN(6))})
		}
		l := &link{pull: NewPull(cfg, j), serve: NewServe(cfg, a.source)}
		if tp.intN(6) == 0 {
			l.pull = NewPullUnit(cfg, j, UnitRef{Origin: tp.replica(), First: tp.seq()})
		}
		defer l.serve.Close()
		out, err := l.pull.Start()
		if err != nil {
			t.Fatal(err)
		}
		l.sendUp(out)
		for n := 0; n < 200 && len(tp.b) > 0; n++ {
			for len(l.up) > 0 && l.servedError == nil {
				m := l.up[0]
				l.up = l.up[1:]
				out, _, l.servedError = l.serve.Handle(m)
				l.sendDown(out)
			}
			var msg []byte
			switch k := tp.intN(8); {
			case k == 0:
				j.write(rng)
				continue
			case k < 4 && len(l.down) > 0:
				msg, l.down = l.down[0], l.down[1:]
			case k == 4 && len(l.down) > 0:
				l.down = disturb(rand.New(rand.NewPCG(uint64(tp.next()), 1)), l.down, true)
				continue
			default:
				msg = tp.message(len(l.pull.tree.asked))
			}
			seq, own := j.own()
			out, done, err := l.pull.Handle(msg)
			j.sound(seq, own)
			if err := l.pull.held(); err != nil {
				t.Fatal(err)
			}
			for _, m := range out {
				if _, err := decode(m); err != nil {
					t.Fatalf("answers %x: %v", m, err)
				}
			}
			if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrFork) &&
				!errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrDigestMismatch) && !errors.Is(err, delta.ErrGap) {
				t.Fatalf("fails with %v", err)
			}
			if done || err != nil {
				if _, _, err := l.pull.Handle(msg); !errors.Is(err, ErrEnded) {
					t.Fatalf("after the end: %v", err)
				}
				return
			}
			l.sendUp(out)
		}
	})
}

// counting is a source that knows what a session made it do.
type counting struct {
	Source
	closed *int
}

func (c counting) Close() error { *c.closed++; return c.Source.Close() }

// FuzzServeSession asks for whatever a tape says.
func FuzzServeSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		tp := &tape{b: b}
		a, copyB := pair(uint64(tp.intN(16)))
		before, clock := a.status(), a.state.Clone()
		opened, closed := 0, 0
		cfg := tp.small()
		serve := NewServe(cfg, func() (Source, error) {
			opened++
			src, err := a.source()
			return counting{Source: src, closed: &closed}, err
		})
		pull := NewPull(cfg, copyB)
		up, err := pull.Start()
		if err != nil {
			t.Fatal(err)
		}
		var credit uint64
		asked := 0
		for n := 0; n < 200 && len(tp.b) > 0; n++ {
			var msg []byte
			switch k := tp.intN(8); {
			case k < 4 && len(up) > 0:
				msg, up = up[0], up[1:]
			case k == 4 && len(up) > 0:
				up = disturb(rand.New(rand.NewPCG(uint64(tp.next()), 1)), up, true)
				continue
			default:
				msg = tp.message(0)
			}
			if m, err := decode(msg); err == nil && m != nil {
				credit += min(m.credit, maxWindow)
				asked += len(m.nodes)
			}
			out, done, err := serve.Handle(msg)
			chunks := uint64(0)
			for _, o := range out {
				m, err := decode(o)
				if err != nil || len(o) > MaxMessageBytes {
					t.Fatalf("answers %d bytes: %v", len(o), err)
				}
				if m.kind == kindChunk {
					chunks++
				}
			}
			if chunks > credit {
				t.Fatalf("%d chunks for a credit of %d", chunks, credit)
			}
			credit -= chunks
			if most := nodesAllowed(a); err == nil && asked > most {
				t.Fatalf("answered for %d nodes, there are %d", asked, most)
			}
			if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrFork) {
				t.Fatalf("fails with %v", err)
			}
			if done || err != nil {
				if _, _, err := serve.Handle(msg); !errors.Is(err, ErrEnded) {
					t.Fatalf("after the end: %v", err)
				}
				break
			}
			for _, o := range out { // what an honest pull would say to that
				more, done, err := pull.Handle(o)
				if done || err != nil {
					break
				}
				up = append(up, more...)
			}
		}
		if serve.Close(); opened > 1 || closed != opened {
			t.Fatalf("opened %d snapshots, closed %d", opened, closed)
		}
		if !a.state.Equal(clock) || a.status().Digest != before.Digest {
			t.Fatal("the copy was changed by being read")
		}
	})
}

// nodesAllowed is how many nodes a puller has reason to ask for: the roots, and the children of those that
// were answered by hashes.
func nodesAllowed(c *memCopy) int {
	live := len(c.state.Live)
	return len(c.state.Clock) + fanOut*(maxLevel+1)*(live/maxRuns+1)
}
