package sync

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// cluster is engines with their copies under one virtual clock and a network that loses.
type cluster struct {
	rng   *rand.Rand
	world *world
	now   time.Time
	queue []occasion
	seq   int
	nodes []*clusterNode
	loss  float64 // of gossip, per receiver; as much is doubled or late
	err   error
	check bool // compare with the reference after every change

	gossips, tells, pulls int
	onPull                func(*clusterNode, Pull, error)
}

type occasion struct {
	at  time.Time
	seq int
	do  func()
}

type clusterNode struct {
	c       *cluster
	id      PeerID
	copy    *memCopy
	engine  *Engine
	up      map[PeerID]int // connected to; the number tells connections apart
	pull    *link
	pullID  int
	alarms  []Alarm
	hangups []Disconnect
	wake    time.Time
	failing bool // applies fail
	applied [][]delta.Unit
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newCluster(seed uint64, n int) *cluster {
	c := &cluster{rng: rand.New(rand.NewPCG(seed, 2)), world: newWorld(), now: epoch, check: true}
	for i := range n {
		c.add(PeerID(fmt.Sprint(i+1)), newCopy(c.world, crdt.ReplicaID(0x1111111111111111*uint64(i+1)), c.rng.Uint64()))
	}
	return c
}

func (c *cluster) add(id PeerID, copy *memCopy) *clusterNode {
	cfg := testConfig(c.rng)
	cfg.Seed = c.rng.Uint64()
	n := &clusterNode{c: c, id: id, copy: copy, engine: NewEngine(cfg, copy.status()), up: map[PeerID]int{}}
	c.nodes = append(c.nodes, n)
	n.handle(Tick{})
	return n
}

func (c *cluster) after(d time.Duration, do func()) {
	c.seq++
	o := occasion{at: c.now.Add(d), seq: c.seq, do: do}
	i, _ := slices.BinarySearchFunc(c.queue, o, func(a, b occasion) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq))
	})
	c.queue = slices.Insert(c.queue, i, o)
}

// run lets virtual time pass.
func (c *cluster) run(d time.Duration) error {
	end := c.now.Add(d)
	for c.err == nil && len(c.queue) > 0 && !c.queue[0].at.After(end) {
		o := c.queue[0]
		c.queue = c.queue[1:]
		c.now = o.at
		o.do()
	}
	c.now = end
	return c.err
}

func (c *cluster) delay() time.Duration { return time.Duration(1+c.rng.IntN(5)) * time.Millisecond }

func (c *cluster) node(id PeerID) *clusterNode {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// connect and cut change the link between two nodes.
func (c *cluster) connect(a, b *clusterNode) {
	if a == b || a.up[b.id] != 0 {
		return
	}
	c.seq++
	a.up[b.id], b.up[a.id] = c.seq, c.seq
	a.handle(PeerUp{Peer: b.id})
	c.after(c.delay(), func() { b.handle(PeerUp{Peer: a.id}) })
}

func (c *cluster) cut(a, b *clusterNode) {
	if a.up[b.id] == 0 {
		return
	}
	delete(a.up, b.id)
	delete(b.up, a.id)
	a.handle(PeerDown{Peer: b.id})
	b.handle(PeerDown{Peer: a.id})
}

func (c *cluster) connectAll() {
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			c.connect(a, b)
		}
	}
}

// handle feeds an event and carries out the actions.
func (n *clusterNode) handle(ev Event) {
	for _, a := range n.engine.Handle(n.c.now, ev) {
		n.act(a)
	}
	if w := n.engine.Wake(); !w.IsZero() && !w.After(n.c.now) {
		n.c.err = fmt.Errorf("%s wants to be woken at %v at %v, after %T", n.id, w, n.c.now, ev)
	} else if !w.IsZero() && (n.wake.IsZero() || n.wake.After(w) || !n.wake.After(n.c.now)) {
		n.wake = w
		n.c.after(max(w.Sub(n.c.now), 0), func() {
			if n.wake.Equal(w) {
				n.wake = time.Time{}
				n.handle(Tick{})
			}
		})
	}
	if n.c.check && n.c.err == nil {
		n.c.err = n.c.world.check(n.copy)
	}
}

func (n *clusterNode) act(a Action) {
	c := n.c
	switch a := a.(type) {
	case Publish:
		c.gossips++
		if err := CheckGossip(a.Data); err != nil {
			c.err = err
		}
		n.publish(a.Data)
	case Send:
		c.tells++
		n.send(a)
	case Apply:
		c.after(c.delay(), func() { n.apply(a) })
	case Pull:
		c.pulls++
		n.startPull(a)
	case CancelPull:
		n.endPull(Pull{}, errors.New("cancelled"))
	case Refresh:
		c.after(c.delay(), func() { n.handle(Refreshed{Status: n.copy.status()}) })
	case Alarm:
		n.alarms = append(n.alarms, a)
	case Disconnect:
		n.hangups = append(n.hangups, a)
	}
}

func (n *clusterNode) publish(data []byte) {
	for id := range n.up {
		to, copies := n.c.node(id), 1
		if r := n.c.rng.Float64(); r < n.c.loss {
			copies = 0
		} else if r > 1-n.c.loss {
			copies = 2
		}
		for range copies {
			late := time.Duration(0)
			if n.c.rng.Float64() < n.c.loss {
				late = time.Duration(n.c.rng.IntN(500)) * time.Millisecond
			}
			n.c.after(n.c.delay()+late, func() { to.handle(Gossip{Peer: n.id, Data: data}) })
		}
	}
}

// send keeps the order of a connection: the delay is always the same.
func (n *clusterNode) send(a Send) {
	conn := n.up[a.Peer]
	if conn == 0 {
		return
	}
	to := n.c.node(a.Peer)
	n.c.after(6*time.Millisecond, func() {
		if n.up[a.Peer] == conn {
			to.handle(Message{Peer: n.id, Data: a.Data})
		}
	})
}

func (n *clusterNode) apply(a Apply) {
	if n.failing {
		n.handle(ApplyFailed{Err: errors.New("disk full")})
		return
	}
	n.applied = append(n.applied, a.Units)
	if err := n.copy.ApplyUnits(a.Units, a.Runs); err != nil {
		if !errors.Is(err, delta.ErrGap) { // after an apply that failed
			n.c.err = err
		}
		n.handle(ApplyFailed{Err: err})
		return
	}
	n.commitLater(Committed{})
}

// commitLater tells the engine of a commit some time after it.
func (n *clusterNode) commitLater(ev Committed) {
	ev.Status = n.copy.status()
	d := n.c.delay()
	if n.c.rng.IntN(10) == 0 {
		d = time.Duration(n.c.rng.IntN(400)) * time.Millisecond
	}
	n.c.after(d, func() { n.handle(ev) })
}

func (n *clusterNode) write() {
	u := n.copy.write(n.c.rng)
	n.commitLater(Committed{Units: []delta.Unit{u}, Local: true})
}

func (n *clusterNode) startPull(a Pull) {
	from := n.c.node(a.Peer)
	cfg := testConfig(n.c.rng)
	l := &link{pull: NewPull(cfg, n.copy), serve: NewServe(cfg, from.copy.source)}
	if a.Unit != (UnitRef{}) {
		l.pull = NewPullUnit(cfg, n.copy, a.Unit)
	}
	n.pull = l
	n.pullID++
	out, err := l.pull.Start()
	if err != nil {
		n.endPull(a, err)
		return
	}
	l.sendUp(out)
	n.stepPull(a, n.pullID, n.up[a.Peer])
}

func (n *clusterNode) stepPull(a Pull, id, conn int) {
	n.c.after(n.c.delay(), func() {
		if n.pull == nil || n.pullID != id {
			return
		}
		if n.up[a.Peer] != conn || conn == 0 {
			n.endPull(a, errors.New("cut"))
			return
		}
		err := n.pull.step(n.c.rng.IntN(2) == 0)
		if served := n.pull.servedError; served != nil {
			n.c.node(a.Peer).handle(Served{Peer: n.id, Err: served})
		}
		if err != nil || n.pull.done {
			n.endPull(a, err)
			return
		}
		n.stepPull(a, id, conn)
	})
}

func (n *clusterNode) endPull(a Pull, err error) {
	if n.pull == nil {
		return
	}
	n.pull.serve.Close()
	n.pull = nil
	if err == nil {
		n.commitLater(Committed{})
	}
	if n.c.onPull != nil {
		n.c.onPull(n, a, err)
	}
	n.c.after(0, func() { n.handle(Pulled{Peer: a.Peer, Err: err}) })
}

// converged reports why the cluster is not in sync, or nil.
func (c *cluster) converged() error {
	first := c.nodes[0].copy.state
	for _, n := range c.nodes {
		if !n.copy.state.Equal(first) {
			return fmt.Errorf("%s stands at %v, %s at %v", n.id, n.copy.state.Clock, c.nodes[0].id, first.Clock)
		}
		for _, p := range n.engine.Peers() {
			if p.Clock.Compare(first.Clock) != crdt.Equal {
				return fmt.Errorf("%s believes %s to stand at %v, not at %v", n.id, p.ID, p.Clock, first.Clock)
			}
		}
		if len(n.alarms) > 0 || len(n.hangups) > 0 {
			return fmt.Errorf("%s: %v %v", n.id, n.alarms, n.hangups)
		}
	}
	return nil
}

// TestClusterConverges runs random clusters over a network that loses, doubles, reorders and is
// cut, and compares every state with the reference.
func TestClusterConverges(t *testing.T) {
	for seed := range uint64(100) {
		c := newCluster(seed, 2+int(seed%4))
		if err := c.storm(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// storm is ten seconds of everything, then calm.
func (c *cluster) storm() error {
	c.loss = c.rng.Float64() / 2
	c.connectAll()
	for range 120 {
		c.after(time.Duration(c.rng.IntN(10_000))*time.Millisecond, c.mishap)
	}
	if err := c.run(10 * time.Second); err != nil {
		return err
	}
	c.loss = 0
	for _, n := range c.nodes {
		n.failing = false
	}
	c.connectAll()
	if err := c.run(90 * time.Second); err != nil {
		return err
	}
	return c.converged()
}

func (c *cluster) mishap() {
	n, m := c.nodes[c.rng.IntN(len(c.nodes))], c.nodes[c.rng.IntN(len(c.nodes))]
	switch k := c.rng.IntN(20); {
	case k < 13:
		n.write()
	case k < 14:
		n.copy.trim(c.rng.IntN(10))
	case k < 16 && n != m:
		c.cut(n, m)
	case k < 18:
		c.connect(n, m)
	case k < 19:
		n.failing = !n.failing
	default:
		n.handle(Ask{})
	}
}
