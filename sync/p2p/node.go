package p2p

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anabranchdb/anabranch/crdt"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// Errors of a node's methods. They come wrapped; compare with errors.Is.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("p2p: node is closed")
	// ErrHeld is returned by AddCopy when a copy of that name is there.
	ErrHeld = errors.New("p2p: namespace is held already")
	// ErrUnknown is returned for a namespace of which no copy was added.
	ErrUnknown = errors.New("p2p: namespace is not held")
	// ErrName is returned by AddCopy for a name that is empty or too long, or too many of them.
	ErrName = errors.New("p2p: namespace cannot be announced")
)

// closeWithin bounds Close.
const closeWithin = 10 * time.Second

// reannounce is how often gossip is reminded of all members: it forgets those to whom a stream
// could not be opened.
const reannounce = 5 * time.Second

// Node is a daemon in the network of its cluster. Its methods may be called from any goroutine.
type Node struct {
	opts   Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	tasks  group
	stats  counters

	host   host.Host
	gate   *gate
	gated  *gatedHost
	pubsub *pubsub.PubSub
	book   *book
	pulls  chan struct{} // holds an element per pull that runs

	adding sync.Mutex // held while a copy is added or removed; never taken with mu held

	mu     sync.Mutex
	closed bool
	copies map[string]*copyRunner
	links  map[peer.ID]*link // one per admitted member
	// early holds control streams of peers that have no link yet.
	early    map[peer.ID]network.Stream
	seeds    map[string]bool
	epoch    uint64 // of the copy that was added last
	serves   int
	servesOf map[peer.ID]int
}

// New starts a node. It listens and dials as soon as it is there; Close ends it.
func New(opts Options) (*Node, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	self, err := peer.IDFromPrivateKey(opts.Identity)
	if err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	n := &Node{
		opts:     opts,
		log:      opts.Logger,
		book:     newBook(opts.PeerStore, self, opts.Timing, opts.Limits.RememberedPeer),
		pulls:    make(chan struct{}, opts.Limits.Pulls),
		copies:   make(map[string]*copyRunner),
		links:    make(map[peer.ID]*link),
		early:    make(map[peer.ID]network.Stream),
		seeds:    make(map[string]bool),
		servesOf: make(map[peer.ID]int),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	var instance instanceID
	rand.Read(instance[:])
	n.gate = newGate(n.ctx, &n.tasks, self, opts.ClusterKey, instance, opts.Timing, n.log, &n.stats)
	if err := n.start(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// start brings everything up, behind the gate first and the listeners last.
func (n *Node) start() (err error) {
	if n.host, err = newHost(n.opts, n.gate); err != nil {
		return err
	}
	n.gated = newGatedHost(n.host, n.gate)
	n.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { n.gate.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { n.gate.disconnected(c) },
	})
	n.host.SetStreamHandler(helloProtocol, n.counted(n.gate.serveHello))
	n.gated.SetStreamHandler(controlProtocol, n.serveControl)
	n.gated.SetStreamHandler(pullProtocol, n.counted(n.servePull))
	if n.pubsub, err = newGossip(n.ctx, n.gated, n.gate, n.log); err != nil {
		return err
	}
	if err := n.book.load(); err != nil {
		n.log.Warn("going on without remembered peers", "err", err)
	}
	if err := listen(n.host, n.opts.Listen, n.log); err != nil {
		return err
	}
	for _, f := range []func(){n.membership, n.redial, n.watchInterfaces, n.remember} {
		n.tasks.run(f)
	}
	for _, a := range n.opts.Static {
		if err := n.AddPeer(a); err != nil {
			return err
		}
	}
	return nil
}

// counted has Close wait for a stream handler.
func (n *Node) counted(f network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		if !n.tasks.enter() {
			s.Reset()
			return
		}
		defer n.tasks.leave()
		f(s)
	}
}

// Close ends all exchange and returns when nothing of the node touches a copy or the network any
// more, or with an error after closeWithin.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	var copies []*copyRunner
	for name, c := range n.copies {
		copies = append(copies, c)
		delete(n.copies, name)
	}
	n.mu.Unlock()
	n.cancel()
	ended := make(chan error, 1)
	go func() {
		for _, c := range copies {
			c.stop()
		}
		var err error
		if n.host != nil {
			err = n.host.Close()
		}
		<-n.tasks.close()
		ended <- err
	}()
	t := time.NewTimer(closeWithin)
	defer t.Stop()
	select {
	case err := <-ended:
		return err
	case <-t.C:
		return fmt.Errorf("p2p: not closed within %v", closeWithin)
	}
}

// membership follows admissions and departures.
func (n *Node) membership() {
	t := time.NewTicker(reannounce)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.gate.events.ready:
			for _, ev := range n.gate.events.take() {
				n.member(ev)
			}
		case <-t.C:
			n.mu.Lock()
			var members []peer.ID
			for p := range n.links {
				members = append(members, p)
			}
			n.mu.Unlock()
			for _, p := range members {
				n.announce(p)
			}
		}
	}
}

func (n *Node) member(ev gateEvent) {
	switch {
	case ev.reached != nil:
		n.book.reached(ev.peer, ev.reached)
	case ev.admitted:
		n.arrived(ev.peer)
	default:
		n.departed(ev.peer)
	}
}

func (n *Node) arrived(p peer.ID) {
	n.log.Info("peer admitted", "peer", p)
	n.host.ConnManager().Protect(p, "member")
	n.mu.Lock()
	before := n.links[p]
	l := n.newLink(p)
	n.links[p] = l
	if s := n.early[p]; s != nil {
		delete(n.early, p)
		l.offer(s)
	}
	n.mu.Unlock()
	n.tasks.run(func() { l.run(before) })
	n.tasks.run(l.watch)
	n.announce(p)
	n.book.setConnected(p, true)
}

func (n *Node) departed(p peer.ID) {
	n.log.Info("peer gone", "peer", p)
	n.host.ConnManager().Unprotect(p, "member")
	n.mu.Lock()
	if l := n.links[p]; l != nil {
		l.cancel()
	}
	if s := n.early[p]; s != nil {
		delete(n.early, p)
		s.Reset()
	}
	n.mu.Unlock()
	n.gated.bus.announce(n.ctx, event.EvtPeerConnectednessChanged{Peer: p, Connectedness: network.NotConnected})
	n.book.setConnected(p, false)
}

// announce has gossip open its stream to a member.
func (n *Node) announce(p peer.ID) {
	n.gated.bus.announce(n.ctx, event.EvtPeerIdentificationCompleted{Peer: p, Protocols: pubsub.GossipSubDefaultProtocols})
}

// hostile ends all exchange with a member that broke the protocol, for a while.
func (n *Node) hostile(p peer.ID, err error) {
	n.stats.malformed.Add(1)
	n.log.Warn("peer breaks the protocol, disconnecting", "peer", p, "err", err)
	n.gate.ban(p)
}

// PeerID returns the id by which others know this node.
func (n *Node) PeerID() string { return n.host.ID().String() }

// Addresses returns every address that is listened on, with the peer id at the end, as AddPeer of
// another node takes them.
func (n *Node) Addresses() []string {
	out := []string{}
	addrs, err := listenAddresses(n.host.Network().ListenAddresses())
	if err != nil {
		n.log.Warn("cannot list addresses", "err", err)
	}
	for _, a := range addrs {
		out = append(out, a.String()+"/p2p/"+n.PeerID())
	}
	slices.Sort(out)
	return out
}

// PeerInfo is another daemon: a member, now or earlier, or one that is dialled because it was
// configured or added.
type PeerInfo struct {
	ID        string
	Connected bool // and admitted
	Addresses []string
}

// Peers returns the peers that are known, by id.
func (n *Node) Peers() []PeerInfo { return n.book.list() }

// AddPeer has a peer dialled now, and again whenever it is away. It does not wait. ErrAddress is
// returned for an address that cannot be one.
func (n *Node) AddPeer(addr string) error {
	a, err := parsePeer(addr)
	if err != nil {
		return err
	}
	if a.id != "" {
		n.book.addStatic(a.id, a.transport)
		return nil
	}
	n.mu.Lock()
	key := string(a.transport.Bytes())
	known := n.seeds[key]
	if !known && len(n.seeds) < maxSeeds {
		n.seeds[key] = true
	}
	n.mu.Unlock()
	if !known {
		n.tasks.run(func() { n.follow(&seed{addr: a.transport}) })
	}
	return nil
}

// AddCopy begins to keep a copy equal to those of the other members that hold the namespace.
// ErrHeld or ErrName is returned when it cannot be added.
func (n *Node) AddCopy(c Copy) error {
	n.adding.Lock()
	defer n.adding.Unlock()
	if err := n.mayAdd(c.Name()); err != nil {
		return err
	}
	r, err := n.newRunner(c)
	if err != nil {
		return err
	}
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.epoch++
		r.epoch = n.epoch
		n.copies[r.name] = r
		n.tellHoldings()
	}
	n.mu.Unlock()
	if closed {
		r.stop()
		return ErrClosed
	}
	return nil
}

func (n *Node) mayAdd(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch _, held := n.copies[name]; {
	case n.closed:
		return ErrClosed
	case held:
		return fmt.Errorf("%w: %s", ErrHeld, name)
	case name == "" || len(name) > maxNameBytes:
		return fmt.Errorf("%w: a name has 1 to %d bytes", ErrName, maxNameBytes)
	case len(n.copies) >= maxNamespaces:
		return fmt.Errorf("%w: there are %d already", ErrName, maxNamespaces)
	}
	return nil
}

// RemoveCopy ends all exchange for a namespace and returns when the copy is not used any more.
func (n *Node) RemoveCopy(name string) error {
	n.adding.Lock()
	defer n.adding.Unlock()
	n.mu.Lock()
	c := n.copies[name]
	if c == nil {
		n.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	delete(n.copies, name)
	n.tellHoldings()
	n.mu.Unlock()
	c.stop()
	return nil
}

// holdings returns what is held here. n.mu is held.
func (n *Node) holdings() holdings {
	h := make(holdings, len(n.copies))
	for name, c := range n.copies {
		h[name] = c.epoch
	}
	return h
}

// tellHoldings tells all members what is held here now, before their engines hear from ours.
// n.mu is held.
func (n *Node) tellHoldings() {
	msg := appendHoldings(nil, n.holdings())
	for _, l := range n.links {
		if l.session != nil {
			l.session.push(msg)
			l.reconcile()
		}
	}
}

// tellAddresses tells all members where this node can be reached now.
func (n *Node) tellAddresses() {
	addrs, err := n.announced()
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	msg := appendHello(nil, addrs, n.holdings())
	for _, l := range n.links {
		if l.session != nil {
			l.session.push(msg)
		}
	}
}

// PeerSync is what is known of a member's copy of a namespace.
type PeerSync struct {
	ID           string
	Connected    bool
	Clock        crdt.VersionVector // what was heard last, durable there; nil while unknown
	LastExchange time.Time          // zero while there was none
}

// Sync returns the members that hold or held a namespace, by id. ErrUnknown is returned if it is
// not held here. The result is the caller's; the clocks are not written any more.
func (n *Node) Sync(namespace string) ([]PeerSync, error) {
	c, err := n.runner(namespace)
	if err != nil {
		return nil, err
	}
	out := []PeerSync{}
	c.engine.with(func(e *peersync.Engine) {
		for _, p := range e.Peers() {
			out = append(out, PeerSync{ID: string(p.ID), Connected: p.Connected, Clock: p.Clock, LastExchange: p.LastExchange})
		}
	})
	slices.SortFunc(out, func(x, y PeerSync) int { return cmp.Compare(x.ID, y.ID) })
	return out, nil
}

// Ask has a peer, or every peer if the id is empty, tell its clock for a namespace at once. The
// answer shows in Sync as a LastExchange after the call.
func (n *Node) Ask(namespace, peerID string) error {
	c, err := n.runner(namespace)
	if err != nil {
		return err
	}
	c.inbox.force(peersync.Ask{Peer: peersync.PeerID(peerID)})
	return nil
}

func (n *Node) runner(namespace string) (*copyRunner, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.copies[namespace]
	if c == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, namespace)
	}
	return c, nil
}
