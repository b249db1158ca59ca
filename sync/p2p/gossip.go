package p2p

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	peersync "github.com/anabranchdb/anabranch/sync"
)

// gossipProtocol is gossipsub v1.2, and not the gossip of other networks.
const gossipProtocol protocol.ID = "/anabranch/gossip/1"

// gossipFeatures tells gossipsub what gossipProtocol stands for.
func gossipFeatures(f pubsub.GossipSubFeature, p protocol.ID) bool {
	return isVersionOf(p, gossipProtocol) && (f == pubsub.GossipSubFeatureMesh || f == pubsub.GossipSubFeatureIdontwant)
}

const (
	// The queues of gossipsub hold messages, whatever their size, and drop silently when full.
	// With the limit on what is published per second they stay well below a second's worth.
	gossipPeerQueue     = 4096
	gossipValidateQueue = 4096
	gossipTopicQueue    = 256 // drained at once into an inbox that counts bytes

	// seenFor is how long a frame is recognized as a duplicate. Later ones reach the engine, which
	// drops what its clock covers.
	seenFor = 30 * time.Second

	maxTopicsPerPeer = 1 << 14
)

// topicName returns the gossip topic of a namespace: one that nobody can guess without the key.
func topicName(clusterKey []byte, namespace string) string {
	h := hmac.New(sha256.New, subkey(clusterKey, "topic"))
	io.WriteString(h, namespace)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// newGossip starts gossipsub on a host on which only members exist.
func newGossip(ctx context.Context, h host.Host, spoken versions, g *gate, log *slog.Logger) (*pubsub.PubSub, error) {
	params := pubsub.DefaultGossipSubParams()
	params.D, params.Dlo, params.Dhi = 4, 3, 6
	params.Dscore, params.Dout = 3, 1
	params.HistoryLength, params.HistoryGossip = 3, 2 // repair does what lazy gossip would do
	ps, err := pubsub.NewGossipSub(ctx, h,
		pubsub.WithGossipSubProtocols(spoken.of(gossipProtocol), gossipFeatures),
		pubsub.WithGossipSubParams(params),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerExchange(false),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(maxMessageBytes),
		pubsub.WithPeerOutboundQueueSize(gossipPeerQueue),
		pubsub.WithValidateQueueSize(gossipValidateQueue),
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(anySubscription{}, maxTopicsPerPeer)),
		pubsub.WithAppSpecificRpcInspector(func(p peer.ID, _ *pubsub.RPC) error {
			if !g.admitted(p) {
				return errNotAdmitted
			}
			return nil
		}),
		pubsub.WithLogger(slog.New(quieter{log.Handler()}).With("component", "gossip")),
		pubsub.WithRPCLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("p2p: start gossip: %w", err)
	}
	return ps, nil
}

// messageID tells messages apart by topic and content: there is no author and no sequence number.
func messageID(m *pb.Message) string {
	h := sha256.New()
	io.WriteString(h, m.GetTopic())
	h.Write(m.GetData())
	return string(h.Sum(nil)[:20])
}

// anySubscription lets members subscribe to what they like: a namespace need not be held here.
type anySubscription struct{}

func (anySubscription) CanSubscribe(string) bool { return true }

func (f anySubscription) FilterIncomingSubscriptions(_ peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	return pubsub.FilterSubscriptions(subs, f.CanSubscribe), nil
}

// validate decides whether a gossip message is handed on. Every member checks before it forwards,
// so whoever hands over a malformed one made it.
func (n *Node) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == n.host.ID() {
		return pubsub.ValidationAccept
	}
	err := peersync.CheckGossip(m.Data)
	switch {
	case err == nil:
		return pubsub.ValidationAccept
	case errors.Is(err, peersync.ErrVersion):
		return pubsub.ValidationIgnore
	default:
		n.hostile(from, fmt.Errorf("gossip: %w", err))
		return pubsub.ValidationReject
	}
}

// gossip carries the frames of one namespace.
type gossip struct {
	topic  *pubsub.Topic
	sub    *pubsub.Subscription
	leave  func()
	budget budget
}

// joinGossip joins the topic of a namespace.
func (n *Node) joinGossip(namespace string) (*gossip, error) {
	name := topicName(n.opts.ClusterKey, namespace)
	if err := n.pubsub.RegisterTopicValidator(name, n.validate, pubsub.WithValidatorInline(true)); err != nil {
		return nil, fmt.Errorf("p2p: join gossip: %w", err)
	}
	topic, err := n.pubsub.Join(name)
	if err != nil {
		n.pubsub.UnregisterTopicValidator(name)
		return nil, fmt.Errorf("p2p: join gossip: %w", err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(gossipTopicQueue))
	if err != nil {
		topic.Close()
		n.pubsub.UnregisterTopicValidator(name)
		return nil, fmt.Errorf("p2p: join gossip: %w", err)
	}
	return &gossip{topic: topic, sub: sub, budget: newBudget(n.opts.Limits.PublishPerSec), leave: func() {
		sub.Cancel()
		topic.Close()
		n.pubsub.UnregisterTopicValidator(name)
	}}, nil
}

// budget is a token bucket that holds one second's worth of bytes. It is for one goroutine.
type budget struct {
	perSecond float64
	left      float64
	at        time.Time
}

func newBudget(perSecond int) budget {
	return budget{perSecond: float64(perSecond), left: float64(perSecond)}
}

// take reports whether n bytes may be spent at now, and spends them if so.
func (b *budget) take(now time.Time, n int) bool {
	b.left = min(b.perSecond, b.left+now.Sub(b.at).Seconds()*b.perSecond)
	b.at = now
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}
