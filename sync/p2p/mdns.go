package p2p

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// serviceName is what members of one cluster look for on the local network. It tells nothing to
// those who do not know the cluster key.
func serviceName(clusterKey []byte) string {
	h := hmac.New(sha256.New, subkey(clusterKey, "mdns"))
	return "_" + hex.EncodeToString(h.Sum(nil)[:6]) + "._udp"
}

// watchInterfaces keeps discovery alive while interfaces come and go. A service that is started
// without an interface fails for good, and one that runs keeps the interfaces and addresses of its
// start, so it is made anew whenever they change. A change is also a good moment to dial.
func (n *Node) watchInterfaces() {
	var service mdns.Service
	stop := func() {
		if service != nil {
			service.Close()
			service = nil
		}
	}
	defer stop()
	last, first := "", true
	for {
		now := interfaces()
		if n.opts.MDNS && (now != last || service == nil) {
			stop()
			service = n.startMDNS()
		}
		if now != last && !first {
			n.log.Debug("network interfaces changed")
			n.book.hurry()
			n.tellAddresses()
		}
		last, first = now, false
		if !sleep(n.ctx, time.Now().Add(n.opts.Timing.Interfaces), nil) {
			return
		}
	}
}

// startMDNS returns nil when it cannot start yet.
func (n *Node) startMDNS() mdns.Service {
	if !multicast() {
		return nil
	}
	s := mdns.NewMdnsService(mdnsHost{n.host, n.announced}, serviceName(n.opts.ClusterKey), (*mdnsNotifee)(n))
	if err := s.Start(); err != nil {
		n.log.Debug("mDNS cannot start yet", "err", err)
		s.Close()
		return nil
	}
	n.stats.mdnsStarts.Add(1)
	return s
}

// multicast reports whether an interface is up that mDNS can use. Without one the library says so
// on the standard logger at every try.
func multicast() bool {
	list, err := net.Interfaces()
	return err == nil && slices.ContainsFunc(list, func(i net.Interface) bool {
		return i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0
	})
}

// interfaces describes the interfaces that are up, and their addresses.
func interfaces() string {
	list, err := net.Interfaces()
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, i := range list {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		fmt.Fprintln(&b, i.Index, i.Name, i.Flags, addrs, err)
	}
	return b.String()
}

// mdnsNotifee receives what mDNS finds.
type mdnsNotifee Node

func (n *mdnsNotifee) HandlePeerFound(info peer.AddrInfo) {
	n.stats.mdnsFound.Add(1)
	n.book.addFound(info.ID, info.Addrs)
}

// mdnsHost is the host as mDNS is to see it: with the listen addresses of this moment, where
// libp2p's own are up to a minute old.
type mdnsHost struct {
	host.Host
	announced func() ([]ma.Multiaddr, error)
}

func (h mdnsHost) Network() network.Network { return mdnsNetwork{h.Host.Network(), h.announced} }

type mdnsNetwork struct {
	network.Network
	announced func() ([]ma.Multiaddr, error)
}

// InterfaceListenAddresses leaves out loopback where there is anything else.
func (n mdnsNetwork) InterfaceListenAddresses() ([]ma.Multiaddr, error) {
	all, err := n.announced()
	if err != nil {
		return nil, err
	}
	var outside []ma.Multiaddr
	for _, a := range all {
		if !manet.IsIPLoopback(a) {
			outside = append(outside, a)
		}
	}
	if len(outside) == 0 {
		return all, nil
	}
	return outside, nil
}
