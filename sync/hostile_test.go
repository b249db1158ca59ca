package sync

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A tape is the bytes of a fuzzer, read as decisions. At its end it says 0 for ever.
type tape struct{ b []byte }

func (t *tape) next() int {
	if len(t.b) == 0 {
		return 0
	}
	n := t.b[0]
	t.b = t.b[1:]
	return int(n)
}

func (t *tape) intN(n int) int { return t.next() % n }

func (t *tape) bytes(most int) []byte {
	n := min(t.intN(most+1), len(t.b))
	b := t.b[:n:n]
	t.b = t.b[n:]
	return b
}

// replica is one of those that the copies of pair know, or not.
func (t *tape) replica() crdt.ReplicaID {
	return []crdt.ReplicaID{idA, idB, idC, 1, ^crdt.ReplicaID(0)}[t.intN(5)]
}

// seq is a small one, or one at which sums and shifts go wrong.
func (t *tape) seq() uint64 {
	switch n := t.next(); {
	case n < 200:
		return uint64(n % 64)
	case n < 230:
		return uint64(n)<<8 | uint64(t.next())
	default:
		return []uint64{maxSeq, maxSeq - 1, maxSeq + 1, 1 << 61, 1<<63 - 1, 1<<64 - 1, 1 << 32, leafSeqs}[n%8]
	}
}

func (t *tape) clock() crdt.VersionVector {
	v := crdt.VersionVector{}
	for range t.intN(4) {
		if s := t.seq(); s > 0 {
			v[t.replica()] = s
		}
	}
	return v
}

func (t *tape) components() (cs []component) {
	for range t.intN(5) {
		cs = append(cs, component{Replica: t.replica(), Seq: t.seq()})
	}
	return cs
}

func (t *tape) runs() (ts []told) {
	for range t.intN(3) {
		ts = append(ts, told{Replica: t.replica(), Run: delta.Run{First: t.seq(), Nonce: uint64(t.next())}})
	}
	return ts
}

func (t *tape) dots() *delta.DotSet {
	set := delta.NewDotSet()
	for range t.intN(6) {
		if d := (crdt.Dot{Replica: t.replica(), Seq: t.seq()}); d.Seq > 0 {
			set.Add(d)
		}
	}
	return set
}

func (t *tape) entry(d crdt.Dot) crdt.Entry {
	e := newEntry(d.Replica, d.Seq, t.intN(6))
	switch t.intN(4) {
	case 0:
		e.Kind, e.Value = crdt.Kind(t.next()), t.bytes(12)
	case 1:
		e.Path = []crdt.Path{"", "x", crdt.Object(crdt.Register, "r"), crdt.Object(crdt.Register, "r").Leaf(crdt.Register),
			crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)}[t.intN(5)]
		e.Kind, e.Value, e.Expires = []crdt.Kind{crdt.KindValue, crdt.KindCell, crdt.KindReset}[t.intN(3)], t.bytes(12), crdt.Deadline(t.seq())
	}
	return e
}

func (t *tape) unit() delta.Unit {
	u := delta.Unit{Origin: t.replica(), First: t.seq(), Deps: t.clock()}
	u.Last = u.First + uint64(t.intN(4))
	for s := u.First; s < u.Last; s++ {
		if t.intN(2) == 0 {
			u.Entries = append(u.Entries, t.entry(crdt.Dot{Replica: u.Origin, Seq: s}))
		}
	}
	for range t.intN(3) {
		if t.intN(2) == 0 {
			var k delta.Kill
			for d := range t.dots().All() {
				k.Dots = append(k.Dots, d)
			}
			u.Kills = append(u.Kills, k)
		} else {
			u.Kills = append(u.Kills, delta.Kill{Prefix: crdt.Object(crdt.Set, fmt.Sprint("s", t.intN(2))), Clock: t.clock()})
		}
	}
	return u
}

// items are those of a stream, well formed most of the time.
func (t *tape) items() (b []byte) {
	for range 1 + t.intN(4) {
		var item []byte
		switch t.intN(6) {
		case 0:
			item = delta.AppendEntry([]byte{itemEntry}, t.entry(crdt.Dot{Replica: t.replica(), Seq: t.seq()}))
		case 1:
			item = delta.AppendDotSet([]byte{itemDots}, t.dots())
		case 2, 3:
			item = delta.AppendUnit([]byte{itemUnit}, t.unit())
		case 4:
			runs := delta.Runs{}
			for _, r := range t.runs() {
				if r.Run.First > 0 {
					runs[r.Replica] = r.Run
				}
			}
			item = delta.AppendRuns([]byte{itemRuns}, runs)
		case 5:
			item = t.bytes(20)
		}
		b = appendItem(b, item)
	}
	return b
}

// answers are about n nodes or less: hashes that equal nothing, runs, bits.
func (t *tape) answers(n int) (b []byte) {
	for range min(n, 64) {
		switch t.intN(3) {
		case 0:
			mask := uint16(t.next())<<8 | uint16(t.next())
			b = binary.LittleEndian.AppendUint16(append(b, formHashes), mask)
			for ; mask != 0; mask &= mask - 1 {
				b = binary.LittleEndian.AppendUint64(b, uint64(t.next()))
			}
		case 1:
			b = append(b, formRuns, byte(t.intN(3)))
			b = append(b, t.bytes(6)...)
		case 2:
			b = append(append(b, formBits), bytes.Repeat([]byte{byte(t.next())}, leafSeqs/8)...)
		}
	}
	return b
}

// message is any: bytes, or fields that fit their kind or another one. asked is how many nodes the
// other side has asked for.
func (t *tape) message(asked int) []byte {
	kinds := []kind{kindHello, kindAsk, kindClock, kindTell, kindAnnounce, kindRequest, kindWant, kindNodes, kindCredit, kindDone,
		kindSame, kindOffer, kindMode, kindRoots, kindHashes, kindChunk, kindEnd, kindFail, firstSkippable, 0}
	m := &message{kind: kinds[t.intN(len(kinds))]}
	if t.intN(4) == 0 {
		m.flags = uint64(t.next())
	}
	hash := func() []byte { return bytes.Repeat([]byte{byte(t.next())}, hashBytes) }
	switch m.kind {
	case kindHello, kindRequest:
		m.clockHash, m.runsHash, m.number = hash(), hash(), uint64(t.next())
		m.digest = make([]byte, len(delta.Digest{}))
		if t.intN(4) == 0 {
			m.unit = []uint64{uint64(t.replica()), t.seq(), 0, 0}
		}
		m.credit = t.seq()
	case kindAsk:
		if t.intN(2) == 0 {
			m.buckets = make([]byte, buckets*shortHashBytes)
		}
	case kindClock, kindTell, kindOffer:
		m.clock, m.runs = t.components(), t.runs()
		if t.intN(3) == 0 {
			m.past = t.runs()
		}
		if t.intN(3) == 0 {
			m.mask = bytes.Repeat([]byte{byte(t.next())}, buckets/8)
		}
	case kindAnnounce:
		m.unit = []uint64{uint64(t.replica()), t.seq(), t.seq(), t.seq()}
	case kindWant:
		m.clock, m.runs, m.credit, m.mode = t.components(), t.runs(), t.seq(), uint64(t.intN(5))
		if t.intN(2) == 0 {
			m.cached = delta.AppendDotSet(nil, t.dots())
		}
	case kindNodes:
		for range t.intN(8) {
			m.nodes = append(m.nodes, node{replica: t.replica(), level: uint8(t.intN(maxLevel + 1)), index: t.seq()})
		}
	case kindCredit:
		m.credit = t.seq()
	case kindMode, kindFail:
		m.mode = uint64(t.intN(5))
	case kindRoots:
		for range t.intN(4) {
			m.hashes = binary.LittleEndian.AppendUint64(m.hashes, uint64(t.replica()))
			m.hashes = binary.LittleEndian.AppendUint64(m.hashes, uint64(t.next()))
		}
	case kindHashes:
		m.hashes = t.answers(asked)
	case kindChunk:
		b := t.items()
		*m = *pack(b)
		if t.intN(8) == 0 {
			m.size = t.seq()
		}
	case kindEnd:
		m.size = uint64(t.intN(8))
	}
	b := m.encode()
	switch t.intN(16) {
	case 0:
		b = b[:t.next()*len(b)/256]
	case 1:
		b = bytes.Clone(b)
		b[t.next()*len(b)/256] ^= 1 << t.intN(8)
	case 2:
		b = t.bytes(64)
	}
	return b
}

// small returns bounds that a short session reaches.
func (t *tape) small() Config {
	cfg := DefaultConfig()
	cfg.MaxReplicas = 8
	cfg.Window = 2 + t.intN(2)
	cfg.ChunkBytes = []int{20, 200, maxChunkBytes}[t.intN(3)]
	cfg.LogMaxDots = []uint64{1, 1000}[t.intN(2)]
	return cfg
}

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
	t      *testing.T
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
			return counting{Source: src, t: t, closed: &closed}, err
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

// FuzzEngine feeds an engine whatever a tape says, from peers that come and go, and what the local copy does.
func FuzzEngine(f *testing.F) { f.Fuzz(fuzzEngine) }

func fuzzEngine(t *testing.T, b []byte) {
	{
		tp := &tape{b: b}
		a, copyB := pair(uint64(tp.intN(16)))
		j := judged{memCopy: copyB, t: t}
		rng := rand.New(rand.NewPCG(1, 7))
		cfg := tp.small()
		cfg.MaxPeers = 3
		now := epoch
		e := NewEngine(cfg, j.status())
		var applies []Apply
		pulling := PeerID("")
		peers := []PeerID{"p", "q", "r", "s"}
		handle := func(ev Event) {
			actions := e.Handle(now, ev)
			for _, act := range actions {
				switch act := act.(type) {
				case Publish:
					if err := CheckGossip(act.Data); err != nil {
						t.Fatal(err)
					}
				case Send:
					if _, err := decode(act.Data); err != nil {
						t.Fatalf("sends %x: %v", act.Data, err)
					}
				case Apply:
					for _, u := range act.Units {
						if u.Origin == j.id {
							t.Fatalf("applies what a peer says that this copy wrote")
						}
					}
					applies = append(applies, act)
				case Pull:
					if pulling != "" {
						t.Fatal("a second pull")
					}
					pulling = act.Peer
				case Held:
					if act.Seq > j.state.Clock[j.id] {
						t.Fatalf("a peer holds %d of %d own seqs", act.Seq, j.state.Clock[j.id])
					}
				}
			}
			if w := e.Wake(); !w.IsZero() && !w.After(now) {
				t.Fatalf("wants to be woken at %v at %v, after %T", w, now, ev)
			}
			if err := e.bounded(); err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 300 && len(tp.b) > 0; n++ {
			peer := peers[tp.intN(len(peers))]
			switch tp.intN(12) {
			case 0:
				handle(PeerUp{Peer: peer})
			case 1:
				handle(PeerDown{Peer: peer})
			case 2, 3:
				handle(Message{Peer: peer, Data: tp.message(0)})
			case 4:
				handle(Gossip{Peer: peer, Data: append([]byte{gossipMessage}, tp.message(0)...)})
			case 5, 6: // units, well formed or not
				fr := delta.Frame{Runs: delta.Runs{}}
				for _, r := range tp.runs() {
					if r.Run.First > 0 {
						fr.Runs[r.Replica] = r.Run
					}
				}
				for range 1 + tp.intN(3) {
					fr.Units = append(fr.Units, tp.unit())
				}
				handle(Gossip{Peer: peer, Data: delta.AppendFrame([]byte{gossipFrame}, fr)})
			case 7: // what an honest copy has
				u := a.log[tp.intN(len(a.log))]
				handle(Gossip{Peer: peer, Data: delta.AppendFrame([]byte{gossipFrame}, delta.Frame{Units: []delta.Unit{u}})})
			case 8:
				u := j.write(rng)
				handle(Committed{Status: j.status(), Units: []delta.Unit{u}, Local: true})
			case 9:
				if len(applies) == 0 {
					continue
				}
				act := applies[0]
				applies = applies[1:]
				seq, own := j.own()
				if err := j.ApplyUnits(act.Units, act.Runs); err != nil {
					handle(ApplyFailed{Err: err, From: act.From})
				} else {
					j.sound(seq, own)
					handle(Committed{Status: j.status()})
				}
			case 10:
				if pulling == "" {
					continue
				}
				p := pulling
				pulling = ""
				handle(Pulled{Peer: p, Err: []error{nil, ErrMalformed, errors.New("cut")}[tp.intN(3)]})
			case 11:
				now = now.Add(time.Duration(1+tp.next()) * []time.Duration{time.Millisecond, time.Second}[tp.intN(2)])
				handle(Tick{})
			}
		}
	}
}

// bounded reports what the engine holds more of than it may.
func (e *Engine) bounded() error {
	switch {
	case len(e.peers) > e.cfg.MaxPeers:
		return fmt.Errorf("%d peers", len(e.peers))
	case e.pend.units > e.cfg.MaxPendingUnits, e.pend.bytes > e.cfg.MaxPendingBytes, len(e.pend.queues) > maxOrigins:
		return fmt.Errorf("%d units wait, %d bytes, %d origins", e.pend.units, e.pend.bytes, len(e.pend.queues))
	case len(e.large) > maxAnnounced, len(e.claims) > maxDoubts, len(e.foreign) > maxForeign:
		return fmt.Errorf("%d announced, %d doubts, %d foreign forks", len(e.large), len(e.claims), len(e.foreign))
	}
	for _, p := range e.peers {
		if len(p.clock) > e.cfg.MaxReplicas || len(p.runs) > e.cfg.MaxReplicas || len(p.asks) > maxAsks {
			return fmt.Errorf("of %s: %d components, %d runs, %d asks", p.id, len(p.clock), len(p.runs), len(p.asks))
		}
	}
	return nil
}
