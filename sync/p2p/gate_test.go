package p2p

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	peersync "github.com/anabranchdb/anabranch/sync"
)

// stranger is a libp2p host that is no node.
func stranger(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(onTCP), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// meet connects a stranger to a node.
func meet(t *testing.T, h host.Host, n *Node) peer.ID {
	t.Helper()
	info, err := peer.AddrInfoFromString(address(t, n, "/tcp/"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(t.Context(), *info); err != nil {
		t.Fatal(err)
	}
	return info.ID
}

// infiltrate makes a stranger a member of a node's cluster, by its key.
func infiltrate(t *testing.T, h host.Host, n *Node) peer.ID {
	t.Helper()
	id := meet(t, h, n)
	s, err := h.NewStream(t.Context(), id, helloProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := helloDial(s, subkey(testKey, "hello"), h.ID(), id, instanceID{7}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "admitted", func() bool { return n.gate.admitted(h.ID()) })
	return id
}

// plainGossip is gossip without a gate.
func plainGossip(ctx context.Context, h host.Host) (*pubsub.PubSub, error) {
	return pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID), pubsub.WithGossipSubProtocols([]protocol.ID{gossipProtocol}, gossipFeatures))
}

// recorder collects what a gossip subscription hears.
type recorder struct {
	mu    sync.Mutex
	heard [][]byte
}

func listenTo(t *testing.T, sub *pubsub.Subscription) *recorder {
	r := &recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.heard = append(r.heard, m.Data)
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.heard)
}

func TestClustersStayApart(t *testing.T) {
	a := startNode(t, testOptions(t))
	o := testOptions(t)
	o.ClusterKey = otherKey
	b := startNode(t, o)
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	ca.write("secret of a")
	cb.write("secret of b")
	for _, err := range []error{a.AddPeer(b.Addresses()[0]), b.AddPeer(a.Addresses()[0])} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "turned away", func() bool { return a.Stats().Foreign > 0 && b.Stats().Foreign > 0 })
	ca.write("more")
	cb.write("more")
	eventually(t, "disconnected", func() bool {
		return len(a.host.Network().Peers()) == 0 && len(b.host.Network().Peers()) == 0
	})
	for _, n := range []*Node{a, b} {
		s := n.Stats()
		if s.Admissions != 0 || s.GossipReceived != 0 || s.Serves != 0 || connectedPeers(n) != 0 {
			t.Errorf("stats %+v", s)
		}
		if peers, err := n.Sync("shop"); err != nil || len(peers) != 0 {
			t.Errorf("sync %v, %v", peers, err)
		}
		// Not hammered: after the refusal nobody dials for a while.
		if s.Dials > 4 {
			t.Errorf("%d dials", s.Dials)
		}
		for _, p := range n.Peers() {
			id, err := peer.Decode(p.ID)
			if err != nil || time.Until(n.gate.dialAfter(id)) <= 0 {
				t.Errorf("%s may be dialled at once (%v)", p.ID, err)
			}
		}
	}
	if len(ca.values()) != 2 || len(cb.values()) != 2 {
		t.Errorf("values %v, %v", ca.values(), cb.values())
	}
}

// TestAGossipingStranger knows even the name of the topic.
func TestAGossipingStranger(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	introduce(t, a, b)
	h := stranger(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ps, err := plainGossip(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	name := topicName(testKey, "shop")
	topic, err := ps.Join(name)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	r := listenTo(t, sub)
	meet(t, h, a)
	meet(t, h, b)
	// What it publishes is a true frame, which a member would apply.
	forged := newMemCopy("shop")
	var frame []byte
	captured := startNode(t, testOptions(t))
	if err := captured.AddCopy(forged); err != nil {
		t.Fatal(err)
	}
	spy := stranger(t)
	spyPS, err := plainGossip(ctx, spy)
	if err != nil {
		t.Fatal(err)
	}
	spyTopic, err := spyPS.Join(name)
	if err != nil {
		t.Fatal(err)
	}
	spySub, err := spyTopic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	heard := listenTo(t, spySub)
	infiltrate(t, spy, captured) // a member does hear
	eventually(t, "joined", func() bool { return len(captured.pubsub.ListPeers(name)) == 1 })
	forged.write("forged")
	eventually(t, "heard", func() bool { return heard.count() == 1 })
	frame = heard.heard[0]
	if err := topic.Publish(ctx, frame); err != nil {
		t.Fatal(err)
	}
	ca.write("true")
	eventually(t, "members go on", func() bool { return ca.equal(cb) })
	eventually(t, "closed", func() bool { return a.Stats().UnprovenClosed > 0 && b.Stats().UnprovenClosed > 0 })
	if len(a.pubsub.ListPeers(name)) != 1 || len(ps.ListPeers(name)) != 0 {
		t.Errorf("a's peers %v, the stranger's peers %v", a.pubsub.ListPeers(name), ps.ListPeers(name))
	}
	if r.count() != 1 { // its own
		t.Errorf("the stranger heard %d messages", r.count())
	}
	if got := strings.Join(ca.values(), " "); got != "true" {
		t.Errorf("values %q", got)
	}
}

func TestStrangersGetNoStreams(t *testing.T) {
	n := startNode(t, testOptions(t))
	addCopy(t, n, "shop").write("secret")
	h := stranger(t)
	id := meet(t, h, n)
	var results sync.Map
	var wg sync.WaitGroup
	for _, p := range []protocol.ID{controlProtocol, pullProtocol, rightsProtocol, gossipProtocol} {
		wg.Go(func() {
			s, err := h.NewStream(t.Context(), id, p)
			if err != nil {
				return
			}
			defer s.Reset()
			w := bufio.NewWriter(s)
			writeMessage(w, []byte("shop"))
			w.Flush()
			s.SetReadDeadline(time.Now().Add(10 * time.Second))
			b := make([]byte, 100)
			got, err := s.Read(b)
			if got > 0 || err == nil {
				results.Store(p, b[:got])
			}
		})
	}
	wg.Wait()
	results.Range(func(p, b any) bool { t.Errorf("%v answered %x", p, b); return true })
	eventually(t, "closed", func() bool { return h.Network().Connectedness(id) != network.Connected })
	if s := n.Stats(); s.UnprovenClosed != 1 || s.Admissions != 0 {
		t.Errorf("stats %+v", s)
	}
	if addrs := h.Peerstore().Addrs(id); len(addrs) > 1 {
		t.Errorf("the stranger learned %v", addrs)
	}
	if agent, _ := h.Peerstore().Get(id, "AgentVersion"); agent != "libp2p" {
		t.Errorf("agent %v", agent)
	}
}

func TestOneGreetingPerConnection(t *testing.T) {
	n := startNode(t, testOptions(t))
	h := stranger(t)
	id := infiltrate(t, h, n)
	s, err := h.NewStream(t.Context(), id, helloProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	s.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := helloDial(s, subkey(testKey, "hello"), h.ID(), id, instanceID{7}); err == nil {
		t.Error("greeted twice")
	}
}

// TestHostileMembers: garbage on every protocol ends the connection, and is counted.
func TestHostileMembers(t *testing.T) {
	garbage := bytes.Repeat([]byte{0xff}, 1000)
	framed := func(msg ...byte) []byte {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		writeMessage(w, msg)
		w.Flush()
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		protocol protocol.ID
		bytes    []byte
	}{
		"control: length":    {controlProtocol, garbage},
		"control: too long":  {controlProtocol, []byte{0x80, 0x80, 0x80, 0x80, 1}},
		"control: no hello":  {controlProtocol, framed(kindHeartbeat)},
		"control: hello":     {controlProtocol, framed(kindHello, 200, 200)},
		"control: addresses": {controlProtocol, framed(kindHello, 1, 99, 0)},
		"control: holdings":  {controlProtocol, framed(kindHello, 0, 255, 255, 255, 255, 1)},
		"control: data":      {controlProtocol, append(framed(kindHello, 0, 0), framed(kindData, 9, 1)...)},
		"control: empty":     {controlProtocol, framed()},
		"engine: garbage":    {controlProtocol, append(framed(kindHello, 0, 1, 1, 'x', 1), framed(kindData, 1, 'x', 1, 0xff, 0xff, 0xff)...)},
		"pull: length":       {pullProtocol, garbage},
		"pull: name":         {pullProtocol, framed(bytes.Repeat([]byte{'x'}, 1000)...)},
		"pull: session":      {pullProtocol, append(framed('x'), framed(0, 0xff, 0xff)...)},
		"control: replicas":  {controlProtocol, framed(kindHello, 0, 2, 1, 'x', 1, 1, 'y', 1, 7)},
		"rights: length":     {rightsProtocol, garbage},
		"rights: too long":   {rightsProtocol, []byte{0x81, 0x20}},
		"rights: name":       {rightsProtocol, framed(bytes.Repeat([]byte{'x'}, 1000)...)},
		"rights: no ask":     {rightsProtocol, append(framed('x'), framed(peersync.RightsGrant{}.Encode()...)...)},
		"rights: of nothing": {rightsProtocol, append(framed('x'), framed(peersync.RightsAsk{Key: "k"}.Encode()...)...)},
		"pull: chunk":        {pullProtocol, append(framed('x'), garbage...)},
	} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, testOptions(t))
			addCopy(t, n, "x")
			h := stranger(t)
			for h.ID() > n.host.ID() && c.protocol == controlProtocol {
				h = stranger(t) // the smaller id opens the control stream
			}
			id := infiltrate(t, h, n)
			eventually(t, "linked", func() bool {
				n.mu.Lock()
				defer n.mu.Unlock()
				return n.links[h.ID()] != nil
			})
			s, err := h.NewStream(t.Context(), id, c.protocol)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			eventually(t, "counted and disconnected", func() bool {
				return n.Stats().Malformed > 0 && h.Network().Connectedness(id) != network.Connected
			})
			if n.gate.acceptable(h.ID()) {
				t.Error("it may come back at once")
			}
		})
	}
}

func TestHostileGossip(t *testing.T) {
	n := startNode(t, testOptions(t))
	c := addCopy(t, n, "shop")
	h := stranger(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ps, err := plainGossip(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := ps.Join(topicName(testKey, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	id := infiltrate(t, h, n)
	eventually(t, "joined", func() bool { return len(topic.ListPeers()) == 1 })
	if err := topic.Publish(ctx, []byte{1, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted and disconnected", func() bool {
		return n.Stats().Malformed > 0 && h.Network().Connectedness(id) != network.Connected
	})
	if len(c.values()) != 0 || n.Stats().GossipReceived != 0 {
		t.Errorf("it was handled: %v, %+v", c.values(), n.Stats())
	}
}

func TestSilentMembersAreGivenUp(t *testing.T) {
	o := testOptions(t)
	o.Timing.Heartbeat, o.Timing.DeadAfter = 50*time.Millisecond, 200*time.Millisecond
	n := startNode(t, o)
	h := stranger(t)
	id := infiltrate(t, h, n)
	eventually(t, "given up", func() bool {
		return n.Stats().DeadPeers == 1 && h.Network().Connectedness(id) != network.Connected
	})
	o.Identity, o.ClusterKey = testIdentity(t), testKey
	m := startNode(t, o)
	introduce(t, n, m)
	eventually(t, "linked", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		l := n.links[m.host.ID()]
		return l != nil && l.theirs != nil
	})
	if s := m.Stats(); s.DeadPeers != 0 {
		t.Errorf("a member that sends heartbeats is given up: %+v", s)
	}
}

// TestARestartedPeerReplacesItself: the connections of its former run are closed at once.
func TestARestartedPeerReplacesItself(t *testing.T) {
	n := startNode(t, testOptions(t))
	key := testIdentity(t)
	var hosts []host.Host
	for i := range 2 {
		h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		id := meet(t, h, n)
		s, err := h.NewStream(t.Context(), id, helloProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := helloDial(s, subkey(testKey, "hello"), h.ID(), id, instanceID{byte(i)}); err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	eventually(t, "one connection is left", func() bool {
		return hosts[0].Network().Connectedness(n.host.ID()) != network.Connected &&
			hosts[1].Network().Connectedness(n.host.ID()) == network.Connected && n.gate.admitted(hosts[1].ID())
	})
}

func TestShunnedPeersAreForgotten(t *testing.T) {
	n := startNode(t, testOptions(t))
	for i := range maxShunned + 10 {
		n.gate.shun(peer.ID([]byte{byte(i), byte(i >> 8)}))
	}
	if got := len(n.gate.shunned); got > maxShunned {
		t.Errorf("%d are remembered", got)
	}
	p := peer.ID("p")
	for range 10 {
		n.gate.shun(p)
	}
	if wait := time.Until(n.gate.dialAfter(p)); wait <= shunFirst || wait > shunLast {
		t.Errorf("dialled in %v", wait)
	}
	if n.gate.acceptable(p) {
		t.Error("taken in at once")
	}
}
