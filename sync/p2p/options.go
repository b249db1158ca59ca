package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/anabranchdb/anabranch/internal/clusterkey"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// DefaultPort is the port that a daemon listens on, TCP and UDP.
const DefaultPort = 7701

// DefaultListen returns the listen addresses for one port: TCP and QUIC, on all addresses of IPv4
// and IPv6. Port 0 has the system choose, each address another one.
func DefaultListen(port int) []string {
	p := strconv.Itoa(port)
	return []string{
		"/ip4/0.0.0.0/tcp/" + p,
		"/ip4/0.0.0.0/udp/" + p + "/quic-v1",
		"/ip6/::/tcp/" + p,
		"/ip6/::/udp/" + p + "/quic-v1",
	}
}

// Options says how a node takes part in the network. Start from DefaultOptions.
type Options struct {
	// Identity is the private key that makes the peer id; see LoadOrCreateIdentity.
	Identity crypto.PrivKey
	// ClusterKey is the secret that all members share: clusterkey.Size bytes.
	ClusterKey []byte
	// Listen holds multiaddrs of TCP and QUIC. An IPv6 address is passed over on a host without
	// IPv6; any other that cannot be listened on is an error.
	Listen []string
	// Announce holds the multiaddrs that others are told in place of those listened on: for a node
	// behind a forwarded port or a proxy. Empty means what is listened on.
	Announce []string
	// MDNS finds members on the local network.
	MDNS bool
	// Static holds multiaddrs of peers that are always dialled. The peer id at the end may be
	// left out, then it is asked for; names (/dns4/…, /dns6/…, /dns/…) are resolved at every dial,
	// and one name may stand for several peers.
	Static []string
	// Copies are held from the start, before any other member can hear of this node: one that is
	// added later is missing in what members hear first.
	Copies []Copy
	// PeerStore is the file in which known members are remembered; empty for none.
	PeerStore string

	// Logger may be nil: nothing is logged then.
	Logger *slog.Logger
	// Alarm is called for every alarm, from the goroutine of a namespace; it must not block. When it
	// is nil, alarms are logged.
	Alarm func(Alarm)

	// Sync configures the engines and sessions. Its seed is replaced by a random one per copy.
	Sync   peersync.Config
	Timing Timing
	Limits Limits

	// versions are those of the protocol; nil stands for spoken.
	versions versions
}

// Timing holds the deadlines and intervals of a node.
type Timing struct {
	Handshake   time.Duration // from a connection's start to both proofs
	Heartbeat   time.Duration // between two signs of life on a control stream
	DeadAfter   time.Duration // a member that was silent for so long is disconnected
	Dial        time.Duration // for one attempt to reach a peer
	DialNear    time.Duration // the same for most attempts to reach a member seen within the last hour
	RedialMin   time.Duration // pause after the first failed dial; doubled by each further one
	RedialNear  time.Duration // longest pause for a member seen within the last hour
	RedialMax   time.Duration // longest pause for every other peer
	Resolve     time.Duration // between two looks at a name that is a static peer
	SessionIdle time.Duration // without a message before a repair session is given up
	Interfaces  time.Duration // between two looks at the network interfaces
}

// Limits holds the bounds of a node.
type Limits struct {
	Pulls          int // repair sessions that run here at once
	Serves         int // repair sessions served at once
	ServesPerPeer  int
	QueueMessages  int // waiting for one control stream
	QueueBytes     int
	InboxBytes     int // events waiting for one namespace's engine; gossip above it is dropped
	CommitBytes    int // local units waiting to be published, of one namespace
	ApplyBytes     int // units waiting to be applied, of one namespace; gossip above it is dropped
	PublishPerSec  int // bytes of gossip, of one namespace; frames above it are dropped
	RememberedPeer int // members kept in the peer store
}

// DefaultOptions returns the options of a daemon, without an identity and a cluster key.
func DefaultOptions() Options {
	return Options{
		Listen: DefaultListen(DefaultPort),
		MDNS:   true,
		Sync:   peersync.DefaultConfig(),
		Timing: Timing{
			Handshake:   5 * time.Second,
			Heartbeat:   3 * time.Second,
			DeadAfter:   9 * time.Second,
			Dial:        5 * time.Second,
			DialNear:    2 * time.Second,
			RedialMin:   500 * time.Millisecond,
			RedialNear:  time.Second,
			RedialMax:   10 * time.Second,
			Resolve:     30 * time.Second,
			SessionIdle: 30 * time.Second,
			Interfaces:  5 * time.Second,
		},
		Limits: Limits{
			Pulls:          4,
			Serves:         8,
			ServesPerPeer:  4,
			QueueMessages:  4096,
			QueueBytes:     16 << 20,
			InboxBytes:     32 << 20,
			CommitBytes:    16 << 20,
			ApplyBytes:     64 << 20,
			PublishPerSec:  64 << 20,
			RememberedPeer: 128,
		},
	}
}

// Validate reports everything that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	if o.Identity == nil {
		errs = append(errs, errors.New("p2p: no identity"))
	}
	if len(o.ClusterKey) != clusterkey.Size {
		errs = append(errs, fmt.Errorf("p2p: cluster key has %d bytes, want %d", len(o.ClusterKey), clusterkey.Size))
	}
	for _, a := range o.Listen {
		if err := checkListen(a); err != nil {
			errs = append(errs, err)
		}
	}
	for _, a := range o.Announce {
		if err := checkListen(a); err != nil {
			errs = append(errs, err)
		}
	}
	for _, a := range o.Static {
		if _, err := parsePeer(a); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, o.Sync.Validate())
	t := o.Timing
	for _, d := range []time.Duration{t.Handshake, t.Heartbeat, t.Dial, t.DialNear, t.RedialMin, t.Resolve, t.SessionIdle, t.Interfaces} {
		if d <= 0 {
			errs = append(errs, errors.New("p2p: every timing must be positive"))
			break
		}
	}
	if t.DeadAfter < 2*t.Heartbeat {
		errs = append(errs, errors.New("p2p: DeadAfter must be at least two heartbeats"))
	}
	if t.RedialNear < t.RedialMin || t.RedialMax < t.RedialNear {
		errs = append(errs, errors.New("p2p: want RedialMin ≤ RedialNear ≤ RedialMax"))
	}
	l := o.Limits
	for _, n := range []int{l.Pulls, l.Serves, l.ServesPerPeer, l.QueueMessages, l.QueueBytes, l.InboxBytes, l.CommitBytes, l.ApplyBytes, l.PublishPerSec, l.RememberedPeer} {
		if n <= 0 {
			errs = append(errs, errors.New("p2p: every limit must be positive"))
			break
		}
	}
	return errors.Join(errs...)
}

// checkListen refuses what is not a TCP or QUIC address.
func checkListen(s string) error {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return fmt.Errorf("p2p: listen address %q: %w", s, err)
	}
	if !dialable(a) {
		return fmt.Errorf("p2p: listen address %q: want /ip4 or /ip6, then /tcp/PORT or /udp/PORT/quic-v1", s)
	}
	if first, _ := ma.SplitFirst(a); first.Protocol().Code != ma.P_IP4 && first.Protocol().Code != ma.P_IP6 {
		return fmt.Errorf("p2p: listen address %q: want /ip4 or /ip6", s)
	}
	return nil
}
