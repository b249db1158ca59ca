package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	peersync "github.com/anabranchdb/anabranch/sync"
)

const controlProtocol protocol.ID = "/anabranch/control/1"

const (
	relinkMin    = 50 * time.Millisecond   // pause before a broken control stream is opened again
	relinkMax    = 2 * time.Second         // after many in a row
	controlLimit = maxMessageBytes + 1<<18 // a message of an engine and its head, or all holdings
)

// link is the relation to one admitted member. It keeps a session on a control stream alive: the
// peer with the smaller id opens the stream, and opens it again when it broke.
type link struct {
	node   *Node
	peer   peer.ID
	id     peersync.PeerID
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	// incoming holds the newest stream that the peer has opened and no session serves yet.
	incoming chan network.Stream

	// The rest is guarded by node.mu.

	session *session // the one that is served, before and after the peer's hello
	theirs  holdings // nil before the hello
	// up holds the copies whose engines were told that this peer is up.
	up map[*copyRunner]upState
	// gives is how many questions about rights are being answered, asked how many came since askedSince.
	gives, asked int
	askedSince   time.Time
}

// upState is what an engine needs to reach a peer's engine.
type upState struct {
	session *session
	epoch   uint64 // of the peer's copy
}

func (n *Node) newLink(p peer.ID) *link {
	l := &link{
		node: n, peer: p, id: peersync.PeerID(p.String()),
		done:     make(chan struct{}),
		incoming: make(chan network.Stream, 1),
		up:       make(map[*copyRunner]upState),
	}
	l.ctx, l.cancel = context.WithCancel(n.ctx)
	return l
}

// run serves one session after the other until the peer is gone. after is the link of the same peer
// before this one, if any.
func (l *link) run(after *link) {
	defer close(l.done)
	defer l.cancel()
	if after != nil {
		<-after.done
	}
	tries := 0
	for l.ctx.Err() == nil {
		stream, err := l.next()
		if err == nil {
			began := time.Now()
			err = l.serve(stream)
			if time.Since(began) > relinkMax {
				tries = 0
			}
		}
		if l.ctx.Err() != nil {
			break
		}
		l.node.log.Debug("control stream ended", "peer", l.peer, "err", err)
		if errors.Is(err, errOverflow) {
			l.node.stats.linkOverflows.Add(1)
		}
		if errors.Is(err, peersync.ErrMalformed) {
			l.node.hostile(l.peer, err)
			break
		}
		if l.opens() {
			tries++
			sleep(l.ctx, time.Now().Add(pause(relinkMin, relinkMax, tries)), nil)
		}
	}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	select {
	case s := <-l.incoming:
		s.Reset()
	default:
	}
	if l.node.links[l.peer] == l {
		delete(l.node.links, l.peer)
	}
}

// opens reports whether this side opens the control stream.
func (l *link) opens() bool { return l.node.host.ID() < l.peer }

// next returns a fresh control stream.
func (l *link) next() (network.Stream, error) {
	if l.opens() {
		ctx, cancel := context.WithTimeout(l.ctx, l.node.opts.Timing.Handshake)
		defer cancel()
		return l.node.gated.NewStream(ctx, l.peer, l.node.opts.versions.of(controlProtocol)...)
	}
	select {
	case s := <-l.incoming:
		return s, nil
	case <-l.ctx.Done():
		return nil, l.ctx.Err()
	}
}

// serveControl takes in a control stream that a member has opened.
func (n *Node) serveControl(s network.Stream) {
	p := s.Conn().RemotePeer()
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[p]
	switch {
	case n.closed || p > n.host.ID(): // the side with the smaller id opens
		s.Reset()
	case l == nil || l.ctx.Err() != nil:
		// An admission that has not been noticed here yet: the link will take it.
		if old := n.early[p]; old != nil {
			old.Reset()
		}
		n.early[p] = s
	default:
		l.offer(s)
	}
}

// offer puts a stream in place of the one that waits or is served. node.mu is held.
func (l *link) offer(s network.Stream) {
	select {
	case old := <-l.incoming:
		old.Reset()
	default:
	}
	l.incoming <- s
	if l.session != nil {
		l.session.fail(errReplaced)
	}
}

// serve runs one session to its end.
func (l *link) serve(stream network.Stream) error {
	s := newSession(stream, l.node.opts.Limits)
	stop := context.AfterFunc(l.ctx, func() { s.fail(errClosed) })
	defer stop()
	writing := make(chan struct{})
	if !l.node.tasks.run(func() {
		defer close(writing)
		s.write(l.node.opts.Timing.Heartbeat)
	}) {
		close(writing)
		s.fail(errClosed)
	}
	l.attach(s)
	err := l.read(s)
	s.fail(err)
	l.detach()
	<-writing
	return s.reason()
}

// attach makes s the session of the link and greets.
func (l *link) attach(s *session) {
	n := l.node
	announced, err := n.announced()
	if err != nil {
		n.log.Debug("listen addresses", "err", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l.session = s
	s.push(appendHello(nil, announced, n.holdings()))
}

// detach tells the engines that the session is gone.
func (l *link) detach() {
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	l.session, l.theirs = nil, nil
	l.reconcile()
}

// read handles the peer's messages until the session ends.
func (l *link) read(s *session) error {
	r := bufio.NewReaderSize(s.stream, 16<<10)
	s.stream.SetReadDeadline(time.Now().Add(l.node.opts.Timing.Handshake))
	for first := true; ; first = false {
		msg, err := readMessage(r, controlLimit)
		if err != nil {
			return err
		}
		if len(msg) == 0 || first && msg[0] != kindHello {
			return fmt.Errorf("%w: hello expected", errMalformed)
		}
		if first {
			s.stream.SetReadDeadline(time.Time{}) // silence is watched for all streams of the peer together
		}
		if err := l.handle(s, msg[0], msg[1:]); err != nil {
			return err
		}
	}
}

func (l *link) handle(s *session, kind byte, body []byte) error {
	switch kind {
	case kindHello:
		told, h, err := parseHello(body)
		if err != nil {
			return err
		}
		l.node.book.told(l.peer, acceptTold(told, s.stream.Conn().RemoteMultiaddr()))
		l.holds(h)
	case kindHoldings:
		h, err := parseHoldings(body)
		if err != nil {
			return err
		}
		l.holds(h)
	case kindData:
		namespace, epoch, msg, err := parseData(body)
		if err != nil {
			return err
		}
		l.node.mu.Lock()
		c := l.node.copies[namespace]
		if c == nil || c.epoch != epoch || l.up[c].session != s {
			l.node.mu.Unlock()
			return nil // for a copy that has gone meanwhile
		}
		ok := c.inbox.post(peersync.Message{Peer: l.id, Data: msg}, len(msg))
		l.node.mu.Unlock()
		if !ok {
			return fmt.Errorf("%w: engine is behind", errOverflow)
		}
	}
	return nil
}

// holds notes what the peer holds.
func (l *link) holds(h holdings) {
	l.node.book.heldBy(l.peer, h)
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	l.theirs = h
	l.reconcile()
}

// reconcile tells every engine whether its peer's counterpart can be reached: iff both sides hold
// the namespace and the peer's hello was heard. node.mu is held.
func (l *link) reconcile() {
	for c, was := range l.up {
		theirs, held := l.theirs[c.name]
		if l.node.copies[c.name] != c || !held || was != (upState{l.session, theirs.epoch}) {
			delete(l.up, c)
			c.inbox.force(linkDown{l.id})
		}
	}
	if l.session == nil {
		return
	}
	for name, theirs := range l.theirs {
		c := l.node.copies[name]
		if c == nil {
			continue
		}
		if _, ok := l.up[c]; !ok {
			l.up[c] = upState{l.session, theirs.epoch}
			c.inbox.force(linkUp{l.id, l.peer, l.up[c]})
		}
	}
}

// watch disconnects the peer when nothing at all is heard of it: a cut that drops everything
// silently is noticed by libp2p after half a minute only. One side sees to it that there is one
// connection.
func (l *link) watch() {
	t := l.node.opts.Timing
	for sleep(l.ctx, time.Now().Add(t.Heartbeat/3), nil) {
		if silent := l.node.gate.silence(l.peer); silent > t.DeadAfter {
			l.node.stats.deadPeers.Add(1)
			l.node.log.Info("peer is silent, disconnecting", "peer", l.peer, "silent", silent)
			l.node.gate.closePeer(l.peer)
			return
		}
		l.node.mu.Lock()
		var carries network.Conn
		if l.opens() && l.theirs != nil {
			carries = l.session.stream.Conn()
		}
		l.node.mu.Unlock()
		if carries != nil {
			l.node.gate.prune(l.peer, carries)
		}
	}
}
