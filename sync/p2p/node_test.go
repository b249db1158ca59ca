package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"go.uber.org/goleak"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/internal/clusterkey"
	peersync "github.com/anabranchdb/anabranch/sync"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	onTCP  = "/ip4/127.0.0.1/tcp/0"
	onQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
)

var (
	testKey  = bytes.Repeat([]byte{1}, clusterkey.Size)
	otherKey = bytes.Repeat([]byte{2}, clusterkey.Size)
)

func testIdentity(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testOptions are those of a daemon on loopback, with everything that waits made shorter.
func testOptions(t testing.TB, listen ...string) Options {
	o := DefaultOptions()
	o.Identity, o.ClusterKey, o.Listen, o.MDNS = testIdentity(t), testKey, listen, false
	if len(listen) == 0 {
		o.Listen = []string{onTCP, onQUIC}
	}
	o.Timing.Handshake = 2 * time.Second
	o.Timing.RedialMin, o.Timing.RedialNear, o.Timing.RedialMax = 20*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond
	o.Timing.Resolve = 100 * time.Millisecond
	if os.Getenv("P2P_TEST_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o
}

func startNode(t testing.TB, o Options) *Node {
	t.Helper()
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(t, n) })
	return n
}

func closeNode(t testing.TB, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("never came true: %s", what)
		case <-tick.C:
		}
	}
}

func connectedPeers(n *Node) (count int) {
	for _, p := range n.Peers() {
		if p.Connected {
			count++
		}
	}
	return count
}

// address returns an address of n on one transport.
func address(t testing.TB, n *Node, transport string) string {
	t.Helper()
	for _, a := range n.Addresses() {
		if strings.Contains(a, transport) {
			return a
		}
	}
	t.Fatalf("no %s among %v", transport, n.Addresses())
	return ""
}

// introduce has a dial b, and waits for both to be admitted.
func introduce(t testing.TB, a, b *Node) {
	t.Helper()
	if err := a.AddPeer(b.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "admitted", func() bool { return knows(a, b) && knows(b, a) })
}

func knows(a, b *Node) bool {
	for _, p := range a.Peers() {
		if p.ID == b.PeerID() {
			return p.Connected
		}
	}
	return false
}

func addCopy(t testing.TB, n *Node, name string) *memCopy {
	t.Helper()
	c := newMemCopy(name)
	if err := n.AddCopy(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTwoNodesConverge(t *testing.T) {
	for _, transport := range []string{onTCP, onQUIC} {
		t.Run(transport, func(t *testing.T) {
			a, b := startNode(t, testOptions(t, transport)), startNode(t, testOptions(t, transport))
			ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
			ca.write("before")
			introduce(t, a, b)
			eventually(t, "pulled", func() bool { return ca.equal(cb) })
			for i := range 50 {
				ca.write(fmt.Sprint("a", i))
				cb.write(fmt.Sprint("b", i), "both")
			}
			eventually(t, "gossiped", func() bool { return ca.equal(cb) && len(ca.values()) > 100 })
			eventually(t, "clocks told", func() bool {
				for _, n := range []*Node{a, b} {
					s, err := n.Sync("shop")
					if err != nil || len(s) != 1 || !s[0].Connected || s[0].Clock.Compare(ca.clock()) != 0 || s[0].LastExchange.IsZero() {
						return false
					}
				}
				return true
			})
		})
	}
}

func TestGossipReachesWithoutARepair(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	introduce(t, a, b)
	eventually(t, "meshed", func() bool { return len(a.pubsub.ListPeers(topicName(testKey, "shop"))) == 1 })
	for i := range 20 {
		ca.write(fmt.Sprint(i))
		eventually(t, "received", func() bool { return cb.equal(ca) })
	}
	if s := b.Stats(); s.GossipReceived < 20 {
		t.Errorf("gossip received %d", s.GossipReceived)
	}
}

func TestThreeNodesInALine(t *testing.T) {
	a, b, c := startNode(t, testOptions(t)), startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb, cc := addCopy(t, a, "shop"), addCopy(t, b, "shop"), addCopy(t, c, "shop")
	introduce(t, a, b)
	introduce(t, b, c)
	ca.write("from a")
	cc.write("from c")
	eventually(t, "one state", func() bool { return ca.equal(cb) && cb.equal(cc) && len(ca.values()) == 2 })
}

func TestStatePull(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("value %d %s", i, strings.Repeat("x", 100)))
	}
	ca.write(many...)
	ca.forgetLog()
	cb.write("only b")
	introduce(t, a, b)
	eventually(t, "joined", func() bool { return ca.equal(cb) && len(cb.values()) == 5001 })
}

func TestNamespacesMeetOnlyTheirOwn(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ax, bx, by := addCopy(t, a, "x"), addCopy(t, b, "x"), addCopy(t, b, "y")
	introduce(t, a, b)
	ax.write("1")
	by.write("2")
	eventually(t, "x is equal", func() bool { return ax.equal(bx) })
	if s, err := b.Sync("y"); err != nil || len(s) != 0 {
		t.Errorf("peers of y: %v, %v", s, err)
	}
	ay := addCopy(t, a, "y") // held later
	eventually(t, "y is equal", func() bool { return ay.equal(by) && len(ay.values()) == 1 })
	if err := b.RemoveCopy("y"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "y has no peer", func() bool { s, err := a.Sync("y"); return err == nil && len(s) == 0 })
	again := addCopy(t, b, "y") // under the same name, empty
	eventually(t, "y is equal again", func() bool { return ay.equal(again) && len(again.values()) == 1 })
	if err := b.AddCopy(newMemCopy("y")); !errors.Is(err, ErrHeld) {
		t.Errorf("added twice: %v", err)
	}
	if err := b.RemoveCopy("z"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed what was never added: %v", err)
	}
	if _, err := b.Sync("z"); !errors.Is(err, ErrUnknown) {
		t.Errorf("sync of what was never added: %v", err)
	}
	if err := b.AddCopy(newMemCopy("")); !errors.Is(err, ErrName) {
		t.Errorf("added without a name: %v", err)
	}
}

func TestRedialAfterARestart(t *testing.T) {
	a := startNode(t, testOptions(t))
	ca := addCopy(t, a, "shop")
	o := testOptions(t)
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	introduce(t, a, b)
	o.Listen = nil // the same addresses
	for _, addr := range b.Addresses() {
		o.Listen = append(o.Listen, strings.Split(addr, "/p2p/")[0])
	}
	closeNode(t, b)
	eventually(t, "gone", func() bool { return !knows(a, b) })
	ca.write("meanwhile")
	b = startNode(t, o)
	cb := addCopy(t, b, "shop")
	eventually(t, "back and repaired", func() bool { return knows(a, b) && ca.equal(cb) })
}

func TestRememberedPeers(t *testing.T) {
	o := testOptions(t)
	o.PeerStore = filepath.Join(t.TempDir(), "peers.json")
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b := startNode(t, testOptions(t))
	introduce(t, b, a) // a never dialled b
	eventually(t, "told", func() bool { return len(a.Peers()[0].Addresses) == 2 })
	closeNode(t, a)
	again := startNode(t, o)
	eventually(t, "dialled from memory", func() bool { return knows(again, b) })
	if err := os.WriteFile(o.PeerStore, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Identity = testIdentity(t)
	startNode(t, o) // goes on without
}

// TestRememberedHolders: who held a namespace counts after a restart too, although nobody knows how
// far it is.
func TestRememberedHolders(t *testing.T) {
	o := testOptions(t)
	o.PeerStore = filepath.Join(t.TempDir(), "peers.json")
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ob := testOptions(t)
	b, err := New(ob)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop", "gone"} {
		addCopy(t, a, name)
		addCopy(t, b, name)
	}
	addCopy(t, a, "own")
	introduce(t, a, b)
	connected := func(n *Node, name string) func() bool {
		return func() bool {
			s, err := n.Sync(name)
			return err == nil && len(s) == 1 && s[0].Connected && s[0].Clock != nil
		}
	}
	eventually(t, "shop is shared", connected(a, "shop"))
	eventually(t, "gone is shared", connected(a, "gone"))
	if err := b.RemoveCopy("gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "told", func() bool { s, err := a.Sync("gone"); return err == nil && len(s) == 0 })
	closeNode(t, b)
	eventually(t, "b is away", func() bool {
		s, err := a.Sync("shop")
		return err == nil && len(s) == 1 && !s[0].Connected && s[0].Clock != nil
	})
	closeNode(t, a)

	a = startNode(t, o)
	for name, want := range map[string][]PeerSync{"shop": {{ID: b.PeerID()}}, "gone": {}, "own": {}} {
		addCopy(t, a, name)
		got, err := a.Sync(name)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("after the restart, %s: %+v, %v", name, got, err)
		}
	}
	ob.Copies = []Copy{newMemCopy("shop")}
	b = startNode(t, ob)
	if err := b.AddPeer(a.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "heard again", func() bool {
		if s, err := a.Sync("shop"); err != nil || len(s) != 1 {
			t.Fatalf("while it comes back: %+v, %v", s, err)
		}
		return connected(a, "shop")()
	})
}

func TestStaticPeers(t *testing.T) {
	b := startNode(t, testOptions(t))
	for _, form := range []string{
		address(t, b, "/tcp/"),
		address(t, b, "/quic-v1"),
		strings.Split(address(t, b, "/tcp/"), "/p2p/")[0],
		strings.Split(address(t, b, "/quic-v1"), "/p2p/")[0],
		strings.Replace(address(t, b, "/tcp/"), "/ip4/127.0.0.1", "/dns4/localhost", 1),
		strings.Split(strings.Replace(address(t, b, "/quic-v1"), "/ip4/127.0.0.1", "/dns4/localhost", 1), "/p2p/")[0],
	} {
		t.Run(form, func(t *testing.T) {
			o := testOptions(t)
			o.Static = []string{form}
			a := startNode(t, o)
			eventually(t, "admitted", func() bool { return knows(a, b) && knows(b, a) })
		})
	}
	if s := b.Stats(); s.Foreign != 0 || s.Malformed != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	a := startNode(t, testOptions(t))
	for _, addr := range []string{
		"", "10.0.0.1:7701", "/ip4/10.0.0.1", "/ip4/10.0.0.1/udp/7701", "/ip4/10.0.0.1/tcp/7701/ws",
		"/ip4/10.0.0.1/tcp/7701/p2p/nonsense", "/p2p/" + a.PeerID(), "/dns4/host", "/ip4/300.0.0.1/tcp/1",
		"/ip4/1.2.3.4/tcp/1/p2p/" + a.PeerID() + "/p2p-circuit",
	} {
		if err := a.AddPeer(addr); !errors.Is(err, ErrAddress) {
			t.Errorf("AddPeer(%q): %v", addr, err)
		}
	}
	if err := a.AddPeer("/ip4/127.0.0.1/tcp/1"); err != nil {
		t.Errorf("AddPeer of nobody: %v", err)
	}
	if err := a.AddPeer(a.Addresses()[0]); err != nil {
		t.Errorf("AddPeer of itself: %v", err)
	}
	if got := a.Peers(); len(got) != 0 {
		t.Errorf("peers %v", got)
	}
}

func TestSimultaneousDials(t *testing.T) {
	for range 2 {
		a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
		ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
		done := make(chan error)
		go func() { done <- a.AddPeer(address(t, b, "/tcp/")) }()
		go func() { done <- b.AddPeer(address(t, a, "/tcp/")) }()
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		ca.write("1")
		cb.write("2")
		eventually(t, "equal", func() bool { return ca.equal(cb) && len(ca.values()) == 2 })
		if connectedPeers(a) != 1 || connectedPeers(b) != 1 {
			t.Fatalf("%d and %d peers", connectedPeers(a), connectedPeers(b))
		}
		eventually(t, "one connection", func() bool {
			return len(a.host.Network().Conns()) == 1 && len(b.host.Network().Conns()) == 1
		})
		topic := topicName(testKey, "shop")
		eventually(t, "gossip both ways", func() bool {
			return len(a.pubsub.ListPeers(topic)) == 1 && len(b.pubsub.ListPeers(topic)) == 1
		})
		before := a.Stats().GossipReceived + b.Stats().GossipReceived
		ca.write("3")
		cb.write("4")
		eventually(t, "equal", func() bool { return ca.equal(cb) && len(cb.values()) == 4 })
		if got := a.Stats().GossipReceived + b.Stats().GossipReceived; got < before+2 {
			t.Errorf("gossip brought %d of 2", got-before)
		}
		if s := a.Stats(); s.Dials+b.Stats().Dials > 2 {
			t.Errorf("dialled %d and %d times", s.Dials, b.Stats().Dials)
		}
	}
}

func TestAFailedApplyIsTriedAgain(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	introduce(t, a, b)
	eventually(t, "meshed", func() bool { return len(a.pubsub.ListPeers(topicName(testKey, "shop"))) == 1 })
	cb.mu.Lock()
	cb.fail = errors.New("disk full")
	cb.mu.Unlock()
	ca.write("1")
	eventually(t, "failed", func() bool { return b.Stats().ApplyFailures+b.Stats().PullFailures > 0 })
	cb.mu.Lock()
	cb.fail = nil
	cb.mu.Unlock()
	eventually(t, "equal", func() bool { return ca.equal(cb) })
}

func TestCloseIsFinal(t *testing.T) {
	n, err := New(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	c := addCopy(t, n, "x")
	closeNode(t, n)
	closeNode(t, n)
	c.write("1")
	if err := n.AddCopy(newMemCopy("y")); !errors.Is(err, ErrClosed) {
		t.Errorf("AddCopy after Close: %v", err)
	}
	if err := n.AddPeer("/ip4/127.0.0.1/tcp/1"); err != nil {
		t.Errorf("AddPeer after Close: %v", err)
	}
}

// errorLines counts what is logged at error level.
type errorLines struct{ count atomic.Int64 }

func (e *errorLines) Enabled(context.Context, slog.Level) bool { return true }
func (e *errorLines) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e *errorLines) WithGroup(string) slog.Handler            { return e }

func (e *errorLines) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		e.count.Add(1)
	}
	return nil
}

// TestAForkStopsTheExchange: two copies that write under one replica id.
func TestAForkStopsTheExchange(t *testing.T) {
	alarms := make(chan Alarm, 100)
	oa, ob := testOptions(t), testOptions(t)
	oa.Alarm = func(a Alarm) { alarms <- a }
	ob.Alarm = oa.Alarm
	logged := &errorLines{}
	oa.Logger = slog.New(logged)
	ob.Logger = oa.Logger
	a, b := startNode(t, oa), startNode(t, ob)
	ca, cb := newMemCopy("shop"), newMemCopy("shop")
	cb.replica = ca.replica
	cb.runs = map[crdt.ReplicaID]delta.Run{cb.replica: cb.run}
	ca.write("a")
	cb.write("b")
	for n, c := range map[*Node]*memCopy{a: ca, b: cb} {
		if err := n.AddCopy(c); err != nil {
			t.Fatal(err)
		}
	}
	introduce(t, a, b)
	select {
	case al := <-alarms:
		if al.Kind != peersync.AlarmFork || al.Namespace != "shop" || al.Text == "" {
			t.Errorf("alarm %+v", al)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("no alarm")
	}
	if n := logged.count.Load(); n != 0 {
		t.Errorf("who takes the alarms logs them: %d error lines here", n)
	}
	if len(ca.values()) != 1 || len(cb.values()) != 1 {
		t.Errorf("exchanged: %v, %v", ca.values(), cb.values())
	}
	if s := a.Stats(); s.Malformed+b.Stats().Malformed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestALargeUnit is one that no frame can carry.
func TestALargeUnit(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	introduce(t, a, b)
	var values []string
	for i := range 20 {
		values = append(values, fmt.Sprint(i, strings.Repeat("x", 50_000)))
	}
	ca.write(values...)
	eventually(t, "equal", func() bool { return ca.equal(cb) && len(cb.values()) == 20 })
}

func TestAnnouncedAddresses(t *testing.T) {
	o := testOptions(t)
	o.Announce = []string{"/ip4/192.0.2.1/tcp/7701"}
	a, b := startNode(t, o), startNode(t, testOptions(t))
	introduce(t, b, a)
	eventually(t, "told", func() bool {
		return len(b.Peers()) == 1 && slices.Contains(b.Peers()[0].Addresses, o.Announce[0])
	})
}

// TestAnAddressChangesHands: one address without a peer id, behind which another peer appears.
func TestAnAddressChangesHands(t *testing.T) {
	first, err := New(testOptions(t, onTCP))
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(t)
	o.Static = []string{strings.Split(first.Addresses()[0], "/p2p/")[0]}
	a := startNode(t, o)
	eventually(t, "the first", func() bool { return knows(a, first) })
	closeNode(t, first)
	second := startNode(t, testOptions(t, o.Static[0]))
	eventually(t, "the second", func() bool { return knows(a, second) })
}

func TestARemovedCopyIsLeftAlone(t *testing.T) {
	a, b := startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb := addCopy(t, a, "shop"), addCopy(t, b, "shop")
	introduce(t, a, b)
	for i := range 20 {
		ca.write(fmt.Sprint("before", i))
	}
	if err := b.RemoveCopy("shop"); err != nil {
		t.Fatal(err)
	}
	before := cb.clock()
	cb.mu.Lock()
	subscribers := len(cb.subs)
	cb.mu.Unlock()
	ca.write("after")
	eventually(t, "noticed", func() bool { s, err := a.Sync("shop"); return err == nil && len(s) == 0 })
	if cb.clock().Compare(before) != crdt.Equal || subscribers != 0 {
		t.Errorf("%v, then %v; %d subscribers", before, cb.clock(), subscribers)
	}
	if err := b.Ask("shop", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("Ask: %v", err)
	}
	if err := a.Ask("shop", b.PeerID()); err != nil {
		t.Errorf("Ask: %v", err)
	}
}
