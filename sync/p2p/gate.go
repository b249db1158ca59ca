package p2p

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
)

const helloProtocol protocol.ID = "/anabranch/hello/1"

// maxUnproven bounds the connections whose handshake has not ended; more are not accepted.
const maxUnproven = 128

// gate decides who is a member. It runs the handshake on every connection, closes those that do
// not complete it in time, and holds everybody else's streams back until it has.
//
// A peer is admitted while at least one of its connections has completed the handshake. Its other
// connections carry the same transport identity, so their streams are served as well; each must
// still complete its own handshake, or it is closed.
type gate struct {
	self     peer.ID
	key      []byte // for handshake proofs only
	instance instanceID
	deadline time.Duration // for a handshake, from the connection's start
	settled  time.Duration // two sides that dial each other at once are done by then
	versions versions
	// protocolsOf returns what a peer says that it speaks, as far as that is known.
	protocolsOf func(peer.ID) []protocol.ID
	log         *slog.Logger
	stats       *counters

	// events tells admissions and departures, in order and alternating per peer.
	events *queue[gateEvent]

	tasks  *group
	closed context.Context
	start  time.Time

	mu      sync.Mutex
	members map[peer.ID]*member // every peer with a connection, admitted or not
	// unproven is the number of connections in members that are not proven.
	unproven int
	shunned  map[peer.ID]shun
	// toldVersions is when a peer with other versions was last told of.
	toldVersions time.Time
}

type member struct {
	conns  map[network.Conn]*connection
	proven int // connections of conns that are proven; the peer is admitted iff proven > 0
	// ready is closed while the peer is admitted.
	ready chan struct{}
	// heard is when bytes of the peer were read last, as time since the gate's start.
	heard atomic.Int64
}

type connection struct {
	proven   bool
	provenAt time.Time
	greeted  bool // the one handshake that a connection may have has begun
	instance instanceID
	timeout  *time.Timer
}

// gateEvent is an admission or a departure, or, with an address, that a member was reached there.
type gateEvent struct {
	peer     peer.ID
	admitted bool
	reached  ma.Multiaddr
}

func newGate(closed context.Context, tasks *group, self peer.ID, clusterKey []byte, instance instanceID, spoken versions, t Timing, log *slog.Logger, stats *counters) *gate {
	return &gate{
		self:     self,
		key:      subkey(clusterKey, "hello"),
		instance: instance,
		deadline: t.Handshake,
		settled:  t.Dial + t.Handshake,
		versions: spoken,
		log:      log,
		stats:    stats,
		events:   newQueue[gateEvent](),
		tasks:    tasks,
		closed:   closed,
		start:    time.Now(),
		members:  make(map[peer.ID]*member),
		shunned:  make(map[peer.ID]shun),
	}
}

// admitted reports whether p is a connected member.
func (g *gate) admitted(p peer.ID) bool { return g.member(p) != nil }

// member returns p if it is admitted, or nil.
func (g *gate) member(p peer.ID) *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.members[p]; m != nil && m.proven > 0 {
		return m
	}
	return nil
}

// wait returns p as soon as it is admitted, and nil if that does not come within a handshake's
// deadline, or at once if p has no connection.
func (g *gate) wait(p peer.ID) *member {
	g.mu.Lock()
	m := g.members[p]
	if m == nil {
		g.mu.Unlock()
		return nil
	}
	ready := m.ready
	g.mu.Unlock()
	t := time.NewTimer(g.deadline)
	defer t.Stop()
	select {
	case <-ready:
		return m
	case <-t.C:
	case <-g.closed.Done():
	}
	return nil
}

// note remembers that bytes of m were read.
func (g *gate) note(m *member) { m.heard.Store(int64(time.Since(g.start))) }

// silence returns for how long nothing was heard of p; zero if it is not admitted.
func (g *gate) silence(p peer.ID) time.Duration {
	m := g.member(p)
	if m == nil {
		return 0
	}
	return time.Since(g.start) - time.Duration(m.heard.Load())
}

// connected takes a new connection in, and begins the handshake on those that we dialled.
func (g *gate) connected(c network.Conn) {
	g.mu.Lock()
	p := c.RemotePeer()
	m := g.members[p]
	if m == nil {
		m = &member{conns: make(map[network.Conn]*connection), ready: make(chan struct{})}
		g.members[p] = m
	}
	cs := &connection{timeout: time.AfterFunc(g.deadline, func() { g.expire(c) })}
	m.conns[c] = cs
	g.unproven++
	dial := c.Stat().Direction == network.DirOutbound
	if dial {
		cs.greeted = true
	}
	g.mu.Unlock()
	if dial {
		g.tasks.run(func() { g.dialHello(c) })
	}
}

// disconnected forgets a connection.
func (g *gate) disconnected(c network.Conn) {
	if proven, known := g.forget(c); known && !proven {
		g.tellVersions(c)
	}
}

func (g *gate) forget(c network.Conn) (proven, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := c.RemotePeer()
	m := g.members[p]
	if m == nil {
		return false, false
	}
	cs := m.conns[c]
	if cs == nil {
		return false, false
	}
	cs.timeout.Stop()
	delete(m.conns, c)
	if !cs.proven {
		g.unproven--
	} else if m.proven--; m.proven == 0 {
		m.ready = make(chan struct{})
		g.events.push(gateEvent{peer: p, admitted: false})
	}
	if len(m.conns) == 0 {
		delete(g.members, p)
	}
	return cs.proven, true
}

// admit notes that the other side of c has proven the key. Connections to an earlier run of the
// same peer are dead, whatever the transport believes, and so are older ones to a peer that dials
// anew: it would not if it had them. They are closed.
func (g *gate) admit(c network.Conn, instance instanceID) {
	g.mu.Lock()
	p := c.RemotePeer()
	m := g.members[p]
	if m == nil || m.conns[c] == nil || m.conns[c].proven {
		g.mu.Unlock() // it was closed meanwhile
		return
	}
	cs := m.conns[c]
	cs.proven, cs.provenAt, cs.instance = true, time.Now(), instance
	cs.timeout.Stop()
	g.unproven--
	delete(g.shunned, p)
	if m.proven++; m.proven == 1 {
		g.note(m)
		close(m.ready)
		g.events.push(gateEvent{peer: p, admitted: true})
	}
	if c.Stat().Direction == network.DirOutbound {
		g.events.push(gateEvent{peer: p, admitted: true, reached: c.RemoteMultiaddr()})
	}
	var stale []network.Conn
	inbound := c.Stat().Direction == network.DirInbound
	for oc, o := range m.conns {
		if o.proven && (o.instance != instance || inbound && cs.provenAt.Sub(o.provenAt) > g.settled) {
			stale = append(stale, oc)
		}
	}
	g.mu.Unlock()
	g.stats.admissions.Add(1)
	g.closeAll(stale)
}

// expire closes a connection that has not been proven in time.
func (g *gate) expire(c network.Conn) {
	g.mu.Lock()
	m := g.members[c.RemotePeer()]
	late := m != nil && m.conns[c] != nil && !m.conns[c].proven
	g.mu.Unlock()
	if !late {
		return
	}
	g.stats.unprovenClosed.Add(1)
	c.Close()
}

// dialHello proves the key on a connection that we dialled.
func (g *gate) dialHello(c network.Conn) {
	ctx, cancel := context.WithTimeout(g.closed, g.deadline)
	defer cancel()
	s, err := c.NewStream(ctx)
	if err != nil {
		c.Close()
		return
	}
	defer s.Close()
	s.SetDeadline(time.Now().Add(g.deadline))
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	var instance instanceID
	id, err := multistream.SelectOneOf(g.versions.of(helloProtocol), s)
	if err == nil {
		s.SetProtocol(id)
		instance, err = helloDial(s, g.key, g.self, c.RemotePeer(), g.instance)
	}
	g.conclude(c, s, instance, err)
}

// serveHello lets the other side prove the key on a connection that it dialled.
func (g *gate) serveHello(s network.Stream) {
	c := s.Conn()
	g.mu.Lock()
	var cs *connection
	if m := g.members[c.RemotePeer()]; m != nil {
		cs = m.conns[c]
	}
	ok := cs != nil && !cs.greeted && c.Stat().Direction == network.DirInbound
	if ok {
		cs.greeted = true
	}
	g.mu.Unlock()
	if !ok {
		g.stats.malformed.Add(1)
		s.Reset()
		return
	}
	defer s.Close()
	s.SetDeadline(time.Now().Add(g.deadline))
	instance, err := helloListen(s, g.key, g.self, c.RemotePeer(), g.instance)
	g.conclude(c, s, instance, err)
}

// conclude acts on the end of a handshake.
func (g *gate) conclude(c network.Conn, s network.Stream, instance instanceID, err error) {
	p := c.RemotePeer()
	if err == nil {
		g.admit(c, instance)
		return
	}
	if isForeign(err) {
		g.stats.foreign.Add(1)
		g.shun(p)
		g.log.Debug("peer turned away", "peer", p, "address", c.RemoteMultiaddr(), "err", err)
		if isUnsupported(err) {
			// The connection lives until the handshake's deadline. What each side speaks is asked at the
			// same time as this, and both have to hear the answer to tell why they stay apart.
			s.Reset()
			return
		}
		// Let a refusal reach the other side before the connection goes.
		s.CloseWrite()
		s.SetReadDeadline(time.Now().Add(time.Second))
		s.Read(make([]byte, 1))
	} else {
		g.log.Debug("handshake failed", "peer", p, "err", err)
	}
	s.Reset()
	c.Close()
}

// prune closes all connections to p but one, unless one of them is young. Dials from both sides
// make two; only of the one that carries heartbeats is a silent end noticed soon.
func (g *gate) prune(p peer.ID, keep network.Conn) {
	g.mu.Lock()
	var spare []network.Conn
	if m := g.members[p]; m != nil && m.conns[keep] != nil {
		for c, cs := range m.conns {
			if !cs.proven || time.Since(cs.provenAt) < g.deadline {
				spare = nil
				break
			}
			if c != keep {
				spare = append(spare, c)
			}
		}
	}
	g.mu.Unlock()
	g.closeAll(spare)
}

// closePeer closes every connection to p, without waiting for a network that may be gone.
func (g *gate) closePeer(p peer.ID) {
	g.mu.Lock()
	var conns []network.Conn
	if m := g.members[p]; m != nil {
		for c := range m.conns {
			conns = append(conns, c)
		}
	}
	g.mu.Unlock()
	g.closeAll(conns)
}

func (g *gate) closeAll(conns []network.Conn) {
	for _, c := range conns {
		g.tasks.run(func() { c.Close() })
	}
}

// hasRoom reports whether one more unproven connection may be taken in.
func (g *gate) hasRoom() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unproven < maxUnproven
}
