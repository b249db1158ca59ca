package p2p

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// errNotAdmitted is returned when a stream to a peer is asked for that is not a connected member.
var errNotAdmitted = errors.New("p2p: peer is not admitted")

// gatedHost is the host as everything behind the gate sees it, gossip above all: a network in which
// only members exist. It never dials.
type gatedHost struct {
	host.Host
	gate *gate
	bus  *gatedBus
}

func newGatedHost(h host.Host, g *gate) *gatedHost {
	return &gatedHost{Host: h, gate: g, bus: &gatedBus{Bus: h.EventBus(), subs: make(map[*gatedSub]struct{})}}
}

// EventBus returns a bus that reports members only.
func (h *gatedHost) EventBus() event.Bus { return h.bus }

// Network returns a network in which only members are connected.
func (h *gatedHost) Network() network.Network { return &gatedNetwork{h.Host.Network(), h.gate} }

// SetStreamHandler serves a protocol to members only.
func (h *gatedHost) SetStreamHandler(id protocol.ID, f network.StreamHandler) {
	h.Host.SetStreamHandler(id, h.gated(f))
}

// SetStreamHandlerMatch serves matching protocols to members only.
func (h *gatedHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, f network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(id, match, h.gated(f))
}

// gated holds a stream back while a handshake is in flight.
func (h *gatedHost) gated(f network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		m := h.gate.wait(s.Conn().RemotePeer())
		if m == nil {
			h.gate.stats.streamsRefused.Add(1)
			s.ResetWithError(network.StreamGated)
			return
		}
		f(&heardStream{Stream: s, gate: h.gate, member: m})
	}
}

// NewStream opens a stream to a connected member.
func (h *gatedHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	m := h.gate.member(p)
	if m == nil {
		return nil, errNotAdmitted
	}
	s, err := h.Host.NewStream(network.WithNoDial(ctx, "only members that are connected"), p, ids...)
	if err != nil {
		return nil, fmt.Errorf("p2p: open stream to %s: %w", p, err)
	}
	return &heardStream{Stream: s, gate: h.gate, member: m}, nil
}

// heardStream tells when bytes of the other side arrive.
type heardStream struct {
	network.Stream
	gate   *gate
	member *member
}

func (s *heardStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if n > 0 {
		s.gate.note(s.member)
	}
	return n, err
}

// gatedNetwork hides peers that are not members.
type gatedNetwork struct {
	network.Network
	gate *gate
}

func (n *gatedNetwork) Connectedness(p peer.ID) network.Connectedness {
	if !n.gate.admitted(p) {
		return network.NotConnected
	}
	return n.Network.Connectedness(p)
}

func (n *gatedNetwork) Peers() []peer.ID {
	var members []peer.ID
	for _, p := range n.Network.Peers() {
		if n.gate.admitted(p) {
			members = append(members, p)
		}
	}
	return members
}

// gatedBus reports the admission and departure of members as the events by which libp2p protocols
// learn of peers, and nothing else.
type gatedBus struct {
	event.Bus

	mu   sync.Mutex
	subs map[*gatedSub]struct{}
}

// gatedSub is one subscription. Its channel is fed by announce only.
type gatedSub struct {
	bus   *gatedBus
	out   chan any
	types map[reflect.Type]bool
	once  sync.Once
	gone  chan struct{}
}

func (b *gatedBus) Subscribe(types any, _ ...event.SubscriptionOpt) (event.Subscription, error) {
	list, ok := types.([]any)
	if !ok {
		list = []any{types}
	}
	s := &gatedSub{bus: b, out: make(chan any, 64), types: make(map[reflect.Type]bool), gone: make(chan struct{})}
	for _, t := range list {
		rt := reflect.TypeOf(t)
		if rt == nil || rt.Kind() != reflect.Pointer || t == event.WildcardSubscription {
			return nil, fmt.Errorf("p2p: cannot subscribe to %T behind the gate", t)
		}
		s.types[rt.Elem()] = true
	}
	b.mu.Lock()
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	return s, nil
}

// announce delivers ev to the subscriptions of its type. It blocks while a subscriber does not read.
func (b *gatedBus) announce(ctx context.Context, ev any) {
	b.mu.Lock()
	var to []*gatedSub
	for s := range b.subs {
		if s.types[reflect.TypeOf(ev)] {
			to = append(to, s)
		}
	}
	b.mu.Unlock()
	for _, s := range to {
		select {
		case s.out <- ev:
		case <-s.gone:
		case <-ctx.Done():
		}
	}
}

func (s *gatedSub) Out() <-chan any { return s.out }
func (s *gatedSub) Name() string    { return "gated" }

func (s *gatedSub) Close() error {
	s.once.Do(func() {
		s.bus.mu.Lock()
		delete(s.bus.subs, s)
		s.bus.mu.Unlock()
		close(s.gone)
	})
	return nil
}

// connectionGater refuses connections before and after the transport's own handshake.
type connectionGater struct{ gate *gate }

func (connectionGater) InterceptPeerDial(peer.ID) bool               { return true }
func (connectionGater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

func (g connectionGater) InterceptAccept(network.ConnMultiaddrs) bool { return g.gate.hasRoom() }

func (g connectionGater) InterceptSecured(dir network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return dir == network.DirOutbound || g.gate.acceptable(p)
}

func (connectionGater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) {
	return true, 0
}
