package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/gologshim"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// agent is what identify tells to anybody who connects.
	agent = "libp2p"
	// Connections above connsHigh are closed down to connsLow, those of members never.
	connsLow  = 64
	connsHigh = 128
	// connsPerAddress bounds the connections of one IPv4 address or IPv6 /56. Daemons behind one
	// address translation share it.
	connsPerAddress = 64
	// dialRate bounds the connections to and from such an address, in one second in the long run; dialBurst may come at
	// once. The limits of libp2p, one in five seconds, are for strangers on the internet: here a member that is
	// away is dialled every second, by two transports, and ids of former daemons at its address share them.
	dialRate  = 32
	dialBurst = 256
)

// libraryLogs is done once: libp2p has one log for all hosts of a process.
var libraryLogs sync.Once

// quieter takes libp2p's warnings and errors as debugging: most are of the network or of closing,
// and what matters of them is told by the node in its own words.
type quieter struct{ slog.Handler }

func (q quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(as []slog.Attr) slog.Handler { return quieter{q.Handler.WithAttrs(as)} }
func (q quieter) WithGroup(name string) slog.Handler    { return quieter{q.Handler.WithGroup(name)} }

// newResources makes what bounds the connections and streams of libp2p, and their memory.
func newResources() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	limit := rate.Limit{RPS: dialRate, Burst: dialBurst}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(scaling.AutoScale()),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsPerAddress}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: limit}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: limit}},
				GracePeriod:      time.Minute,
			},
		}))
}

// newHost makes the libp2p host: TCP and QUIC, nothing else, and not listening yet. It tells its
// listen addresses to nobody by itself; members hear them on the control stream.
func newHost(opts Options, g *gate) (host.Host, error) {
	libraryLogs.Do(func() { gologshim.SetDefaultHandler(quieter{opts.Logger.Handler()}) })
	resources, err := newResources()
	if err != nil {
		return nil, fmt.Errorf("p2p: resource limits: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(20*time.Second))
	if err != nil {
		resources.Close()
		return nil, fmt.Errorf("p2p: connection manager: %w", err)
	}
	h, err := libp2p.New(
		libp2p.Identity(opts.Identity),
		libp2p.NoListenAddrs,
		libp2p.Transport(libp2pquic.NewTransport),
		// Without port reuse two daemons that dial each other at once never meet in one socket.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(connectionGater{g}),
		libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return nil }),
		libp2p.UserAgent(agent),
		libp2p.ProtocolVersion(agent),
		libp2p.Ping(false),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		// A network that is cut for long is no reason to stop trying UDP or IPv6.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.WithDialTimeout(opts.Timing.Dial),
	)
	if err != nil {
		conns.Close()
		resources.Close()
		return nil, fmt.Errorf("p2p: start host: %w", err)
	}
	return h, nil
}

// listen opens every address.
func listen(h host.Host, addrs []string, log *slog.Logger) error {
	for _, text := range addrs {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("p2p: listen address %q: %w", text, err)
		}
		if err := h.Network().Listen(a); err != nil {
			if first, _ := ma.SplitFirst(a); first.Protocol().Code == ma.P_IP6 && !hasIPv6() {
				log.Debug("not listening, there is no IPv6", "address", text)
				continue
			}
			return fmt.Errorf("p2p: listen on %s: %w", text, err)
		}
	}
	return nil
}
