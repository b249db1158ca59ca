package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/anabranchdb/anabranch/crdt"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// A rights stream carries one question. Every message has its length before it:
//
//	asker → asked   the name of the namespace; peersync.RightsAsk
//	asked → asker   one byte: serving, not held, or busy; then, if serving, peersync.RightsGrant
//
// Rights are given to the replica that the asker told, in its holdings, to be its own: nobody asks
// for another.
const rightsProtocol protocol.ID = "/anabranch/rights/1"

// Bounds of asking and giving.
const (
	maxRightsBytes = 4 << 10 // of a message
	maxAsked       = 16      // peers asked for one request
	maxAsking      = 16      // questions under way from here
	maxGives       = 8       // questions answered at once
	maxGivesOfPeer = 2
	maxGivesPerSec = 100 // of one peer: each may cost a commit
)

// holder is a peer with a copy of a namespace.
type holder struct {
	peer    peer.ID
	replica crdt.ReplicaID
}

// AskRights asks connected peers, one after the other, to give this node's copy of a namespace rights
// to amount of a bounded counter: those that hold the replicas in first, in that order, then the
// others. It ends when that much was given, when all were asked, or with ctx, and returns how much
// was given and the clock at which all of that has arrived here, if it is covered. ErrUnknown is
// returned if the namespace is not held here.
func (n *Node) AskRights(ctx context.Context, namespace, key string, amount int64, first []crdt.ReplicaID) (given int64, clock crdt.VersionVector, err error) {
	c, err := n.runner(namespace)
	if err != nil {
		return 0, nil, err
	}
	clock = crdt.VersionVector{}
	for _, h := range n.holders(namespace, first) {
		if given >= amount || ctx.Err() != nil || c.exchange.Err() != nil {
			break
		}
		grant, err := n.askPeer(ctx, c, h, peersync.RightsAsk{Key: key, Amount: amount - given})
		if err != nil {
			n.log.Debug("no answer about rights", "namespace", namespace, "peer", h.peer, "err", err)
			continue
		}
		if given += grant.Amount; grant.Amount > 0 {
			clock.Merge(crdt.VersionVector{grant.At.Replica: grant.At.Seq})
		}
	}
	return given, clock, nil //nolint:nilerr // a peer that gives nothing is none that fails
}

// holders returns the connected peers that hold a namespace and told their replica id, at most
// maxAsked.
func (n *Node) holders(namespace string, first []crdt.ReplicaID) []holder {
	n.mu.Lock()
	var hs []holder
	for p, l := range n.links {
		if h, held := l.theirs[namespace]; held && h.replica != 0 {
			hs = append(hs, holder{p, h.replica})
		}
	}
	n.mu.Unlock()
	rank := func(h holder) int {
		if i := slices.Index(first, h.replica); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortFunc(hs, func(a, b holder) int { return rank(a) - rank(b) })
	return hs[:min(len(hs), maxAsked)]
}

// askPeer asks one peer.
func (n *Node) askPeer(ctx context.Context, c *copyRunner, h holder, ask peersync.RightsAsk) (peersync.RightsGrant, error) {
	var none peersync.RightsGrant
	select {
	case n.asking <- struct{}{}:
		defer func() { <-n.asking }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, n.opts.Timing.Handshake)
	defer cancel()
	defer context.AfterFunc(c.exchange, cancel)()
	n.stats.rightsAsked.Add(1)
	s, err := n.gated.NewStream(ctx, h.peer, n.opts.versions.of(rightsProtocol)...)
	if err != nil {
		return none, err
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	m := newSmallMessages(s, n.opts.Timing.Handshake)
	if err := m.write([][]byte{[]byte(c.name), ask.Encode()}); err != nil {
		return none, err
	}
	if err := readVerdict(m); err != nil {
		return none, n.blame(h.peer, err)
	}
	answer, err := m.read()
	if err != nil {
		return none, n.blame(h.peer, err)
	}
	grant, err := peersync.DecodeRightsGrant(answer, ask, h.replica)
	return grant, n.blame(h.peer, err)
}

// blame ends the exchange with a peer if err says that it broke the protocol, and returns err.
func (n *Node) blame(p peer.ID, err error) error {
	if errors.Is(err, peersync.ErrMalformed) {
		n.hostile(p, err)
	}
	return err
}

// serveRights answers one question.
func (n *Node) serveRights(s network.Stream) {
	p := s.Conn().RemotePeer()
	m := newSmallMessages(s, n.opts.Timing.Handshake)
	c, ask, err := n.readRights(m)
	if err != nil {
		n.log.Debug("asked for rights in vain", "peer", p, "err", n.blame(p, err))
		s.Reset()
		return
	}
	if c == nil || c.exchange.Err() != nil || !c.tasks.enter() {
		m.refuse(s, notHeld)
		return
	}
	defer c.tasks.leave()
	l, to, ok := n.beginGive(p, c)
	if !ok {
		n.stats.rightsRefused.Add(1)
		m.refuse(s, busy)
		return
	}
	defer n.endGive(l)
	ctx, cancel := context.WithTimeout(c.exchange, n.opts.Timing.Handshake)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	amount, at, err := c.copy.Give(ctx, ask.Key, to, ask.Amount)
	if err != nil {
		n.log.Debug("rights not given", "namespace", c.name, "peer", p, "err", err)
		s.Reset()
		return
	}
	if err := m.write([][]byte{{serving}, peersync.RightsGrant{Amount: amount, At: at}.Encode()}); err != nil {
		s.Reset() // what was given is given: the asker sees it arrive
		return
	}
	finish(s)
}

// readRights reads a question and returns the copy that it is about, nil if there is none.
func (n *Node) readRights(m *messages) (*copyRunner, peersync.RightsAsk, error) {
	name, err := m.read()
	if err != nil {
		return nil, peersync.RightsAsk{}, err
	}
	if len(name) > maxNameBytes {
		return nil, peersync.RightsAsk{}, fmt.Errorf("%w: rights stream", errMalformed)
	}
	data, err := m.read()
	if err != nil {
		return nil, peersync.RightsAsk{}, err
	}
	ask, err := peersync.DecodeRightsAsk(data)
	if err != nil {
		return nil, ask, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.copies[string(name)], ask, nil
}

// beginGive takes one of the places for answering p, and returns the replica that p told to be its
// own. It reports false when there is no place, or when the replica is not p's alone.
func (n *Node) beginGive(p peer.ID, c *copyRunner) (l *link, to crdt.ReplicaID, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l = n.links[p]
	if l == nil || n.gives >= maxGives || l.gives >= maxGivesOfPeer {
		return nil, 0, false
	}
	to = l.theirs[c.name].replica
	for q, other := range n.links {
		if q != p && other.theirs[c.name].replica == to {
			return nil, 0, false
		}
	}
	if to == 0 || to == c.replica || !l.mayAsk(time.Now()) {
		return nil, 0, false
	}
	n.gives++
	l.gives++
	return l, to, true
}

// mayAsk counts a question and reports whether the peer may ask it. node.mu is held.
func (l *link) mayAsk(now time.Time) bool {
	if now.Sub(l.askedSince) >= time.Second {
		l.askedSince, l.asked = now, 0
	}
	l.asked++
	return l.asked <= maxGivesPerSec
}

func (n *Node) endGive(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gives--
	l.gives--
}

// newSmallMessages are those of a rights stream.
func newSmallMessages(s network.Stream, idle time.Duration) *messages {
	const buffer = 512
	return &messages{stream: s, idle: idle, limit: maxRightsBytes, r: bufio.NewReaderSize(s, buffer), w: bufio.NewWriterSize(s, buffer)}
}
