package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/internal/replica"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// node is one replica: a store on a datastore that survives restarts, and an engine.
type node struct {
	w    *World
	id   peersync.PeerID
	dir  string
	disk *survivor

	up    bool
	start int // counts restarts
	side  int // nodes on different sides of a partition do not hear each other

	store  *store.Store
	ns     *store.Namespace
	copy   *replica.Copy
	engine *peersync.Engine
	links  map[peersync.PeerID]*link

	commits []store.Commit // announced by the committer, not yet handled
	applies []peersync.Apply
	busy    bool
	pull    *session
	wake    time.Time

	oracle crdt.State // what the store must hold
}

// survivor is a datastore that a restart finds as it was.
type survivor struct{ store.Backend }

func (survivor) Close() error { return nil }

// seeded makes ids and nonces repeat.
type seeded struct{ rng *rand.Rand }

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.rng.Uint32())
	}
	return len(p), nil
}

// boot opens the store and starts a fresh engine.
func (n *node) boot() {
	opts := store.DefaultOptions(n.dir)
	opts.OpenBackend = func(string) (store.Backend, error) { return n.disk, nil }
	opts.Fingerprint = func(string) (store.Fingerprint, error) { return "simulated", nil }
	opts.FreeBytes = func(string) (uint64, error) { return 1 << 40, nil }
	opts.Now = func() time.Time { return n.w.now }
	opts.Rand = seeded{rand.New(rand.NewPCG(n.w.rng.Uint64(), 3))}
	opts.LargeEntries = n.w.cfg.LargeEntries
	opts.MaxLogBytes = n.w.cfg.MaxLogBytes
	var err error
	n.store, err = store.Open(opts)
	n.w.must(err, "open %s", n.id)
	n.ns, err = n.store.Namespace(store.Default)
	n.w.must(err, "namespace of %s", n.id)
	n.copy = replica.New(n.ns)
	n.ns.Subscribe(func(c store.Commit) { n.commits = append(n.commits, c) })
	cfg := n.w.cfg.sync()
	cfg.Seed = n.w.rng.Uint64()
	n.engine = peersync.NewEngine(cfg, n.copy.Status())
	n.up, n.busy, n.applies, n.commits = true, false, nil, nil
	n.start++
	n.links = map[peersync.PeerID]*link{}
	n.handle(peersync.Tick{})
}

// stop ends the node as a kill does: what is in the datastore stays, the rest is gone.
func (n *node) stop() {
	n.up = false
	n.w.must(n.store.Close(), "close %s", n.id)
}

// settle waits until the committer has nothing left to do, then hands on what it announced.
func (n *node) settle() {
	_, err := n.ns.Commit(context.Background(), func(*store.Tx) error { return nil })
	n.w.must(err, "settle %s", n.id)
	commits := n.commits
	n.commits = nil
	for _, c := range commits {
		own := replica.OwnUnits(c)
		n.w.record(own)
		n.handle(peersync.Committed{Status: replica.StatusOf(c.Status), Units: own, Local: len(own) > 0})
	}
	if len(commits) > 0 {
		n.w.checkNode(n)
	}
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
	case peersync.Alarm:
		n.w.fail("%s: alarm %s: %s", n.id, a.Kind, a.Text)
	case peersync.Disconnect:
		n.w.fail("%s: disconnects %s: %v", n.id, a.Peer, a.Reason)
	}
}

// publish gossips: to each node that can be heard, perhaps not, perhaps twice, in any order.
func (n *node) publish(data []byte) {
	for _, b := range n.w.nodes {
		if !n.w.connected(n, b) || n.w.chance(n.w.cfg.LossPercent) {
			continue
		}
		for range 1 + n.w.rng.IntN(100)/(100-n.w.cfg.DuplicatePercent) {
			n.w.after(n.w.delay(), func() {
				if n.w.connected(n, b) {
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
		err := n.copy.Apply(context.Background(), a.Units, a.Runs)
		n.settle()
		if err != nil {
			n.handle(peersync.ApplyFailed{Err: err, From: a.From})
		}
		n.applyLater()
	})
}

// write commits one random transaction.
func (n *node) write() {
	if !n.up {
		return
	}
	_, err := n.ns.Commit(context.Background(), func(t *store.Tx) error {
		for range 1 + n.w.rng.IntN(4) {
			if err := n.w.op(t); err != nil {
				return err
			}
		}
		return nil
	})
	n.w.must(err, "write at %s", n.id)
	n.settle()
}

// checkNode compares a store with the oracle: everything that its clock claims, and nothing else.
func (w *World) checkNode(n *node) {
	s, err := n.ns.Source(context.Background())
	w.must(err, "source of %s", n.id)
	defer s.Close()
	st := s.Status()
	w.advance(&n.oracle, st.Clock)
	if n.oracle.Clock.Compare(st.Clock) != crdt.Equal {
		w.fail("%s: I4: clock %v is not closed or stands inside a unit: the oracle gets to %v", n.id, st.Clock, n.oracle.Clock)
	}
	var digest delta.Digest
	live := 0
	for e, err := range s.Entries(nil) {
		w.must(err, "entries of %s", n.id)
		live++
		digest.Add(e)
		if !st.Clock.Covers(e.Dot) || !s.Live().Contains(e.Dot) {
			w.fail("%s: I2: live entry %v is not covered, or has no live bit", n.id, e.Dot)
		}
		if f, ok := n.oracle.Live[e.Dot]; !ok {
			w.fail("%s: I3: %v at %q is live and must be dead", n.id, e.Dot, e.Path)
		} else if !f.Equal(e) {
			w.fail("%s: I1: %v is not what was written", n.id, e.Dot)
		}
	}
	if live != len(n.oracle.Live) {
		w.fail("%s: I6: %d live entries, %d must be: an entry is lost", n.id, live, len(n.oracle.Live))
	}
	if digest != st.Digest {
		w.fail("%s: I5: the digest is not that of the entries", n.id)
	}
}

func (w *World) fail(format string, args ...any) {
	panic(Violation(fmt.Sprintf(format, args...)))
}

func (w *World) must(err error, format string, args ...any) {
	if err != nil {
		w.fail("%s: %v", fmt.Sprintf(format, args...), err)
	}
}
