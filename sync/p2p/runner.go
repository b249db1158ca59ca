package p2p

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anabranchdb/anabranch/crdt"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// copyRunner drives the engine of one namespace copy: one goroutine feeds it and carries out its
// actions. Whatever may take long has a goroutine of its own.
type copyRunner struct {
	node  *Node
	copy  Copy
	name  string
	epoch uint64
	// replica is what writes here: one id as long as the copy is held.
	replica crdt.ReplicaID
	ctx     context.Context
	cancel  context.CancelFunc
	tasks   group // everything that touches copy

	// exchange is ctx, and ends earlier when a fork is proved. Sessions run in it.
	exchange     context.Context
	stopExchange context.CancelFunc

	unsubscribe func()

	inbox  *inbox
	gossip *gossip
	apply  *applier

	engine locked[*peersync.Engine]
	halted atomic.Pointer[string] // the text of the alarm that ended the exchange; nil while it goes on

	// The rest belongs to the goroutine of run.

	peers      map[peersync.PeerID]linkUp
	cancelPull context.CancelFunc
}

// stop ends everything and returns when the copy is not used any more. The runner is out of the
// node's table already.
func (c *copyRunner) stop() {
	c.cancel()
	c.unsubscribe()
	c.gossip.leave()
	<-c.tasks.close()
}

// linkUp and linkDown are events of the inbox next to those of package sync.
type (
	linkUp struct {
		id   peersync.PeerID
		peer peer.ID
		via  upState
	}
	linkDown struct{ id peersync.PeerID }
)

// newRunner starts the engine of a copy, which no link knows yet.
func (n *Node) newRunner(c Copy) (*copyRunner, error) {
	g, err := n.joinGossip(c.Name())
	if err != nil {
		return nil, err
	}
	r := &copyRunner{node: n, copy: c, name: c.Name(), replica: c.Status().Replica, gossip: g, peers: make(map[peersync.PeerID]linkUp)}
	r.ctx, r.cancel = context.WithCancel(n.ctx)
	r.exchange, r.stopExchange = context.WithCancel(r.ctx)
	r.inbox = newInbox(n.opts.Limits, &n.stats)
	r.apply = newApplier(r)
	// Subscribed first, so that no commit falls between; an older status does no harm.
	r.unsubscribe = c.Subscribe(r.inbox.committed)
	cfg := n.opts.Sync
	cfg.Seed = rand.Uint64()
	r.engine.v = peersync.NewEngine(cfg, c.Status())
	for _, f := range []func(){r.run, r.listen, r.apply.work} {
		r.tasks.run(f)
	}
	return r, nil
}

// run is the goroutine of the copy.
func (c *copyRunner) run() {
	for {
		commit, events := c.inbox.take()
		if commit.any {
			c.committed(commit)
		}
		for _, ev := range events {
			c.event(ev)
		}
		var next time.Time
		c.engine.with(func(e *peersync.Engine) { next = e.Wake() })
		if !next.IsZero() && !next.After(time.Now()) {
			c.handle(peersync.Tick{})
			c.engine.with(func(e *peersync.Engine) { next = e.Wake() })
		}
		if !sleep(c.ctx, next, c.inbox.ready) {
			return
		}
	}
}

// committed tells the engine what has become durable. Commits that came while the last ones were
// being published are published together.
func (c *copyRunner) committed(p pendingCommit) {
	if !p.fresh {
		p.status = c.copy.Status()
	}
	c.handle(peersync.Committed{Status: p.status, Units: p.units, Local: len(p.units) > 0})
}

func (c *copyRunner) event(ev any) {
	switch ev := ev.(type) {
	case linkUp:
		c.peers[ev.id] = ev
		c.handle(peersync.PeerUp{Peer: ev.id})
	case linkDown:
		delete(c.peers, ev.id)
		c.handle(peersync.PeerDown{Peer: ev.id})
	case peersync.Event:
		if _, ok := ev.(peersync.Pulled); ok {
			c.cancelPull = nil
		}
		c.handle(ev)
	}
}

// handle gives one event to the engine and carries out the actions.
func (c *copyRunner) handle(ev peersync.Event) {
	var actions []peersync.Action
	c.engine.with(func(e *peersync.Engine) { actions = e.Handle(time.Now(), ev) })
	for _, a := range actions {
		c.do(a)
	}
}

func (c *copyRunner) do(a peersync.Action) {
	switch a := a.(type) {
	case peersync.Publish:
		c.publish(a.Data)
	case peersync.Send:
		if up, ok := c.peers[a.Peer]; ok {
			// A failure ends the session, and the engine hears of that.
			up.via.session.push(appendData(nil, c.name, up.via.epoch, a.Data))
		}
	case peersync.Apply:
		c.apply.add(a)
	case peersync.Pull:
		c.startPull(a)
	case peersync.CancelPull:
		if c.cancelPull != nil {
			c.cancelPull()
		}
	case peersync.Refresh:
		c.inbox.force(peersync.Refreshed{Status: c.copy.Status()})
	case peersync.Held:
		c.copy.Held(a.Seq)
	case peersync.Alarm:
		c.alarm(a)
	case peersync.Disconnect:
		if p, err := peer.Decode(string(a.Peer)); err == nil {
			c.node.hostile(p, a.Reason)
		}
	}
}

// publish spreads a frame. It is a hint and may be lost: above the budget it is.
func (c *copyRunner) publish(data []byte) {
	if !c.gossip.budget.take(time.Now(), len(data)) {
		c.node.stats.gossipDropped.Add(1)
		return
	}
	if err := c.gossip.topic.Publish(c.ctx, data); err != nil {
		c.node.stats.gossipDropped.Add(1)
		c.node.log.Debug("publish failed", "namespace", c.name, "err", err)
		return
	}
	c.node.stats.gossipPublished.Add(1)
}

// listen hands gossip to the engine, or drops it while there is too much to do.
func (c *copyRunner) listen() {
	for {
		m, err := c.gossip.sub.Next(c.ctx)
		if err != nil {
			return
		}
		if m.ReceivedFrom == c.node.host.ID() {
			continue
		}
		c.node.stats.gossipReceived.Add(1)
		ev := peersync.Gossip{Peer: peersync.PeerID(m.ReceivedFrom.String()), Data: m.Data}
		if c.apply.full() || !c.inbox.post(ev, len(m.Data)) {
			c.node.stats.gossipDropped.Add(1)
		}
	}
}

func (c *copyRunner) startPull(a peersync.Pull) {
	ctx, cancel := context.WithCancel(c.exchange)
	c.cancelPull = cancel
	up, ok := c.peers[a.Peer]
	c.tasks.run(func() {
		defer cancel()
		err := errNotAdmitted
		if ok {
			err = c.node.pull(ctx, c, up.peer, a.Unit)
		}
		c.inbox.refresh()
		c.inbox.force(peersync.Pulled{Peer: a.Peer, Err: err})
	})
}

func (c *copyRunner) alarm(a peersync.Alarm) {
	c.node.stats.alarms.Add(1)
	if a.Kind == peersync.AlarmFork {
		c.stopExchange() // nothing may leave or enter the copy any more
		c.halted.Store(&a.Text)
	}
	if c.node.opts.Alarm == nil {
		c.node.log.Error(a.Text, "alarm", string(a.Kind), "namespace", c.name, "peer", string(a.Peer))
		return
	}
	c.node.opts.Alarm(Alarm{Namespace: c.name, Kind: a.Kind, Peer: string(a.Peer), Text: a.Text})
}
