package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
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
	guard  *gossipGuard
	bus    *gatedBus // tells gossip of members
	pubsub *pubsub.PubSub
	book   *book
	pulls  chan struct{} // holds an element per pull that runs
	asking chan struct{} // the same for questions about rights

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
	gives    int // questions about rights that are being answered
}

// New starts a node. It listens and dials as soon as it is there; Close ends it.
func New(opts Options) (*Node, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.versions == nil {
		opts.versions = spoken
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
		asking:   make(chan struct{}, maxAsking),
		copies:   make(map[string]*copyRunner),
		links:    make(map[peer.ID]*link),
		early:    make(map[peer.ID]network.Stream),
		seeds:    make(map[string]bool),
		servesOf: make(map[peer.ID]int),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	var instance instanceID
	rand.Read(instance[:])
	n.gate = newGate(n.ctx, &n.tasks, self, opts.ClusterKey, instance, opts.versions, opts.Timing, n.log, &n.stats)
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
	n.gate.protocolsOf = func(p peer.ID) []protocol.ID {
		ids, _ := n.host.Peerstore().GetProtocols(p) // fails for a peer that is gone
		return ids
	}
	n.gated = &gatedHost{Host: n.host, gate: n.gate}
	n.guard = newGossipGuard(n.gate, n.announce)
	gossipHost := newGossipHost(n.gated, n.guard)
	n.bus = gossipHost.bus
	n.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { n.gate.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { n.gate.disconnected(c) },
	})
	n.handle(n.host, helloProtocol, n.counted(n.gate.serveHello))
	n.handle(n.gated, controlProtocol, n.serveControl)
	n.handle(n.gated, pullProtocol, n.counted(n.servePull))
	n.handle(n.gated, rightsProtocol, n.counted(n.serveRights))
	if n.pubsub, err = newGossip(n.ctx, gossipHost, n.opts.versions, n.gate, n.log); err != nil {
		return err
	}
	if err := n.book.load(); err != nil {
		n.log.Warn("going on without remembered peers", "err", err)
	}
	for _, c := range n.opts.Copies {
		if err := n.AddCopy(c); err != nil {
			return err
		}
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

// handle serves a protocol in all versions.
func (n *Node) handle(h host.Host, p protocol.ID, f network.StreamHandler) {
	for _, id := range n.opts.versions.of(p) {
		h.SetStreamHandler(id, f)
	}
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
