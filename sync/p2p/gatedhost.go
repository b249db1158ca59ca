package p2p

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// errNotAdmitted is returned when a stream to a peer is asked for that is not a connected member.
var errNotAdmitted = errors.New("p2p: peer is not admitted")

// gatedHost is the host as everything behind the gate sees it: a network in which only members
// exist. It never dials.
type gatedHost struct {
	host.Host
	gate *gate
}

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
