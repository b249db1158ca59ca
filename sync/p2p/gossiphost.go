package p2p

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gossipHost is the host as gossip sees it: members that are not hidden exist, and their coming and
// going is all that happens.
type gossipHost struct {
	*gatedHost
	guard *gossipGuard
	bus   *gatedBus
}

func newGossipHost(h *gatedHost, guard *gossipGuard) *gossipHost {
	return &gossipHost{gatedHost: h, guard: guard, bus: &gatedBus{Bus: h.EventBus(), subs: make(map[*gatedSub]struct{})}}
}

// EventBus returns a bus that reports members only.
func (h *gossipHost) EventBus() event.Bus { return h.bus }

// Network returns a network in which only members are connected.
func (h *gossipHost) Network() network.Network {
	return &gossipNetwork{h.Host.Network(), h.visible}
}

func (h *gossipHost) visible(p peer.ID) bool { return h.gate.admitted(p) && !h.guard.hidden(p) }

// SetStreamHandler serves gossip to members.
func (h *gossipHost) SetStreamHandler(id protocol.ID, f network.StreamHandler) {
	h.gatedHost.SetStreamHandler(id, func(s network.Stream) {
		guarded := h.guard.admit(s)
		if guarded == nil {
			s.Reset()
			return
		}
		f(guarded)
	})
}

// NewStream opens a stream to a member that is not hidden.
func (h *gossipHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if !h.visible(p) {
		return nil, errNotAdmitted
	}
	s, err := h.gatedHost.NewStream(ctx, p, ids...)
	if err != nil {
		return nil, err
	}
	if guarded := h.guard.admit(s); guarded != nil {
		return guarded, nil
	}
	s.Reset()
	return nil, errClosed
}

type gossipNetwork struct {
	network.Network
	visible func(peer.ID) bool
}

func (n *gossipNetwork) Connectedness(p peer.ID) network.Connectedness {
	if !n.visible(p) {
		return network.NotConnected
	}
	return n.Network.Connectedness(p)
}

func (n *gossipNetwork) Peers() []peer.ID {
	return slices.DeleteFunc(n.Network.Peers(), func(p peer.ID) bool { return !n.visible(p) })
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
