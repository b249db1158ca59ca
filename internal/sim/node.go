package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/internal/replica"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// node is one replica: a store on a disk that survives restarts, and an engine.
type node struct {
	w     *World
	id    peersync.PeerID
	dir   string
	disk  *disk
	print string // fingerprint of the disk

	up     bool
	gone   bool // for good
	rotten bool // the disk has told of damage, once
	full   bool
	skew   time.Duration // of the wall clock
	stamps stamps
	start  int // counts restarts
	side   int // nodes on different sides of a partition do not hear each other

	store  *store.Store
	ns     *store.Namespace
	copy   *replica.Copy
	engine *peersync.Engine
	links  map[peersync.PeerID]*link
	// noticed is when it notices, at the latest so far, what happens to the link to another.
	noticed map[peersync.PeerID]time.Time

	commits []store.Commit // announced by the committer, not yet handled
	applies []peersync.Apply
	busy    bool
	pull    *session
	wake    time.Time

	// acked is the clock that was told to others last: no crash takes any of it back.
	acked crdt.VersionVector
	// clocks are some that this node has had; authors may have seen any of them.
	clocks []crdt.VersionVector
	oracle crdt.State // what the store must hold
	// unknown are transactions that a crash has left without an answer.
	unknown []*transaction
	// waits, if not nil, is what draws a crowd that waits for units from others.
	waits *rand.Rand
	// branch is what it has written since its disk was rolled back unnoticed, until that is healed. Until then it
	// hears only contact, and before that nobody.
	branch  *branch
	contact *node
	away    bool // from everybody, but for who has it as contact
	// own is what this run has announced.
	own   map[crdt.Path]op
	heard heard
	// heardOf are the units that gossip has brought, applied or not.
	heardOf map[crdt.Dot]time.Time
}

// seeded makes ids and nonces repeat.
type seeded struct{ rng *rand.Rand }

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.rng.Uint32())
	}
	return len(p), nil
}

// boot opens the store and starts a fresh engine. The power may go meanwhile.
func (n *node) boot() {
	s, err := store.Open(n.options())
	if err != nil && n.disk.isDead() {
		n.cutAtStart()
		return
	}
	n.w.must(err, "open %s", n.id)
	n.store = s
	if n.w.cfg.Memory {
		err = n.store.CreateNamespace(n.w.space(), store.Memory)
		n.w.must(err, "namespace of %s", n.id)
		n.oracle, n.acked, n.clocks, n.unknown, n.own = crdt.NewState(), nil, nil, nil, nil
		n.stamps = stamps{}
	}
	n.ns, err = n.store.Namespace(n.w.space())
	n.w.must(err, "namespace of %s", n.id)
	// What the committer does by itself at a start happens now, before time goes on.
	if _, err = n.ns.Commit(context.Background(), func(*store.Tx) error { return nil }); n.disk.isDead() {
		_ = n.store.Close() // which has failed
		n.cutAtStart()
		return
	}
	if !errors.Is(err, store.ErrJoining) {
		n.w.must(err, "start of %s", n.id)
	}
	n.start++
	n.begin()
	n.reopened()
	n.handle(peersync.Tick{})
}

// begin starts an engine for a copy.
func (n *node) begin() {
	n.copy = replica.New(n.ns)
	n.ns.Subscribe(func(c store.Commit) { n.commits = append(n.commits, c) })
	cfg := n.w.cfg.sync()
	cfg.Seed = n.w.rng.Uint64()
	n.waits = nil
	n.up, n.busy, n.applies, n.commits, n.pull, n.wake = true, false, nil, nil, nil, time.Time{}
	n.links, n.noticed = map[peersync.PeerID]*link{}, map[peersync.PeerID]time.Time{}
	if n.ns.Err() != nil { // set aside
		n.oracle, n.acked = crdt.NewState(), nil
	}
	n.engine = peersync.NewEngine(cfg, n.copy.Status())
}

// cutAtStart is a power cut while a node starts.
func (n *node) cutAtStart() {
	n.start++
	n.disk.powerCut(n.w.rng)
	n.bootAfter(time.Second)
}

func (n *node) options() store.Options {
	opts := store.DefaultOptions(n.dir)
	opts.OpenBackend = func(string) (store.Backend, error) { return n.disk, nil }
	opts.Fingerprint = func(string) (store.Fingerprint, error) { return store.Fingerprint(n.print), nil }
	opts.FreeBytes = func(string) (uint64, error) {
		if n.full {
			return uint64(n.w.rng.IntN(int(opts.ReserveBytes))), nil
		}
		return 1 << 40, nil
	}
	// Coarse, so that some writes have the same time.
	opts.Now = n.wall
	opts.Event = n.heard.take
	opts.Rand = seeded{rand.New(rand.NewPCG(n.w.rng.Uint64(), 3))}
	opts.LargeEntries = n.w.cfg.LargeEntries
	opts.MaxLogBytes = n.w.cfg.MaxLogBytes
	opts.ReapEvery = -1 // in virtual time nothing wakes up by itself
	return opts
}

// wall is the wall clock.
func (n *node) wall() time.Time { return n.w.now.Add(n.w.calendar + n.skew).Truncate(time.Second) }

func (n *node) now() crdt.Deadline { return crdt.DeadlineOf(n.wall()) }

// reopened checks what a start has found. What was written and not answered may be there.
func (n *node) reopened() {
	clock := n.ns.Clock()
	if !clock.CoversAll(n.acked) {
		n.w.fail("%s: a crash has lost what was acknowledged: %v, found %v", n.id, n.acked, clock)
	}
	n.w.learn(n)
	n.unknown = nil // it did not survive, unless it is known by now
	n.told(clock)
	n.w.checkNode(n)
	n.stamps.low = n.wall()
	n.mended()
}

// told notes a clock that others may hear of.
func (n *node) told(clock crdt.VersionVector) {
	n.acked = clock
	n.clocks = append(n.clocks, clock)
}

// stop ends the process: what is on the disk stays, the rest is gone.
func (n *node) stop() {
	n.up = false
	err := n.store.Close()
	if !n.disk.isDead() {
		n.w.must(err, "close %s", n.id)
	}
	n.w.rewire()
}

// survives reports whether the process goes on after an error. The power may be off, or the copy
// damaged: then the node starts again.
func (n *node) survives() bool {
	switch {
	case !n.up:
		return false
	case n.disk.isDead():
		n.crashed()
		return false
	case errors.Is(n.ns.Err(), store.ErrDamaged):
		n.stop()
		n.bootAfter(n.w.delay())
		return false
	}
	return true
}

// settle waits until the committer has nothing left to do, then hands on what it announced.
func (n *node) settle() {
	n.stamps.low = n.wall()
	_, err := n.ns.Commit(context.Background(), func(*store.Tx) error { return nil })
	if !n.survives() {
		return
	}
	if !errors.Is(err, store.ErrJoining) {
		n.w.must(err, "settle %s", n.id)
	}
	commits := n.commits
	n.commits = nil
	for _, c := range commits {
		own := replica.OwnUnits(c)
		n.checkStamps(own, false)
		n.w.record(n, own)
		n.told(c.Status.Clock)
		n.handle(peersync.Committed{Status: replica.StatusOf(c.Status), Units: own, Local: len(own) > 0})
	}
	if len(commits) > 0 {
		n.w.checkNode(n)
	}
	n.mended()
	n.w.checkReturns(n)
}

func (n *node) peerUp(b *node)   { n.handle(peersync.PeerUp{Peer: b.id}) }
func (n *node) peerDown(b *node) { n.handle(peersync.PeerDown{Peer: b.id}) }

// handle gives the engine one event and carries out what it answers.
func (n *node) handle(ev peersync.Event) {
	if !n.up {
		return
	}
	for _, a := range n.engine.Handle(n.w.now, ev) {
		n.do(a)
	}
	n.sleep()
}

// sleep schedules the next tick.
func (n *node) sleep() {
	at := n.engine.Wake()
	if at.IsZero() || at.Equal(n.wake) {
		return
	}
	n.wake = at
	start := n.start
	n.w.after(max(at.Sub(n.w.now), 0), func() {
		if n.up && n.start == start && n.wake.Equal(at) {
			n.wake = time.Time{}
			n.handle(peersync.Tick{})
		}
	})
}

func (n *node) do(a peersync.Action) {
	switch a := a.(type) {
	case peersync.Publish:
		n.publish(a.Data)
	case peersync.Send:
		if l := n.links[a.Peer]; l != nil {
			n.w.send(l, func() { l.to.handle(peersync.Message{Peer: n.id, Data: a.Data}) })
		}
	case peersync.Apply:
		n.applies = append(n.applies, a)
		n.applyLater()
	case peersync.Pull:
		n.w.pull(n, n.w.node(a.Peer), a.Unit)
	case peersync.CancelPull:
		if n.pull != nil {
			n.w.cut(n.pull)
		}
	case peersync.Refresh:
		n.w.after(n.w.delay(), func() {
			if n.up {
				n.handle(peersync.Refreshed{Status: n.copy.Status()})
			}
		})
	case peersync.Held:
		n.copy.Held(a.Seq)
	case peersync.Alarm:
		if n.w.expects(n, a) {
			return
		}
		n.w.fail("%s: alarm %s: %s", n.id, a.Kind, a.Text)
	case peersync.Disconnect:
		n.w.fail("%s: disconnects %s: %v", n.id, a.Peer, a.Reason)
	}
}

// publish gossips: to each node that can be heard, perhaps not, perhaps twice, in any order.
func (n *node) publish(data []byte) {
	for _, b := range n.w.nodes {
		if !n.w.hears(b, n) || n.w.chance(n.w.cfg.LossPercent) {
			continue
		}
		for range 1 + n.w.rng.IntN(100)/(100-n.w.cfg.DuplicatePercent) {
			n.w.after(n.w.delay(), func() {
				if n.w.hears(b, n) {
					b.hearOf(data)
					b.handle(peersync.Gossip{Peer: n.id, Data: data})
				}
			})
		}
	}
}

// applyLater carries out applies one at a time and in order, each some time after it was asked
// for: other things happen in between.
func (n *node) applyLater() {
	if n.busy || len(n.applies) == 0 {
		return
	}
	n.busy = true
	start := n.start
	n.w.after(n.w.delay(), func() {
		if !n.up || n.start != start {
			return
		}
		a := n.applies[0]
		n.applies, n.busy = n.applies[1:], false
		err := n.apply(a)
		n.settle()
		if !n.up || n.start != start {
			return
		}
		if err != nil {
			n.handle(peersync.ApplyFailed{Err: err, From: a.From})
		}
		n.applyLater()
	})
}

// apply carries out one apply, with the crowd that waits for it.
func (n *node) apply(a peersync.Apply) error {
	if rng := n.waits; rng != nil {
		n.waits = nil
		return n.together(rng, &a)
	}
	return n.copy.Apply(context.Background(), a.Units, a.Runs)
}
