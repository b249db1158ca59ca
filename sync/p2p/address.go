package p2p

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// ErrAddress is returned for an address that is no multiaddr of a peer on TCP or QUIC.
var ErrAddress = errors.New("p2p: malformed peer address")

// peerAddress is where a peer may be: a transport address, which may begin with a name, and the
// peer id if it was given.
type peerAddress struct {
	id        peer.ID // empty: whoever answers
	transport ma.Multiaddr
}

// parsePeer reads a multiaddr with or without a peer id at its end.
func parsePeer(s string) (peerAddress, error) {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return peerAddress{}, fmt.Errorf("%w %q: %w", ErrAddress, s, err)
	}
	transport, id := peer.SplitAddr(a)
	if transport == nil || !dialable(transport) {
		return peerAddress{}, fmt.Errorf("%w %q: want /ip4, /ip6 or /dns…, then /tcp/PORT or /udp/PORT/quic-v1, then /p2p/ID or nothing", ErrAddress, s)
	}
	return peerAddress{id: id, transport: transport}, nil
}

// dialable reports whether a has the form host, then tcp or udp with quic-v1, and nothing more.
func dialable(a ma.Multiaddr) bool {
	var codes []int
	for _, c := range a {
		codes = append(codes, c.Protocol().Code)
	}
	if len(codes) < 2 || !slices.Contains([]int{ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6}, codes[0]) {
		return false
	}
	rest := codes[1:]
	return slices.Equal(rest, []int{ma.P_TCP}) || slices.Equal(rest, []int{ma.P_UDP, ma.P_QUIC_V1})
}

// isName reports whether a begins with a name that must be resolved.
func isName(a ma.Multiaddr) bool {
	switch a[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		return true
	}
	return false
}

// acceptTold filters the listen addresses that a peer told over a connection to remote: what we
// could not dial, and its loopback unless it is on this machine.
func acceptTold(told []ma.Multiaddr, remote ma.Multiaddr) []ma.Multiaddr {
	local := manet.IsIPLoopback(remote)
	var out []ma.Multiaddr
	for _, a := range told {
		switch {
		case !dialable(a) || isName(a):
		case manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a):
		case manet.IsIPLoopback(a) && !local:
		default:
			out = append(out, a)
		}
	}
	return out
}

// listenAddresses returns every address that is listened on, with "all addresses" replaced by
// those that the interfaces have now. Link-local IPv6 is left out: it means nothing elsewhere.
func listenAddresses(listening []ma.Multiaddr) ([]ma.Multiaddr, error) {
	if len(listening) == 0 {
		return nil, nil
	}
	interfaces, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return nil, fmt.Errorf("p2p: list interface addresses: %w", err)
	}
	addrs, err := manet.ResolveUnspecifiedAddresses(listening, interfaces)
	if err != nil {
		return nil, fmt.Errorf("p2p: resolve listen addresses: %w", err)
	}
	return addrs, nil
}

// announced returns the addresses that others are told: those listened on, unless the options name
// others.
func (n *Node) announced() ([]ma.Multiaddr, error) {
	if len(n.opts.Announce) == 0 {
		return listenAddresses(n.host.Network().ListenAddresses())
	}
	addrs := make([]ma.Multiaddr, len(n.opts.Announce))
	for i, text := range n.opts.Announce {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("p2p: announced address %q: %w", text, err)
		}
		addrs[i] = a
	}
	return slices.DeleteFunc(addrs, manet.IsIP6LinkLocal), nil
}

// addUnique appends those of more that are not in list, up to limit addresses.
func addUnique(list []ma.Multiaddr, limit int, more ...ma.Multiaddr) []ma.Multiaddr {
	for _, a := range more {
		if len(list) < limit && !slices.ContainsFunc(list, a.Equal) {
			list = append(list, a)
		}
	}
	return list
}

// hasIPv6 reports whether this machine can listen on IPv6 at all.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
