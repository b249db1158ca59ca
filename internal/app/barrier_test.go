package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// startPair starts two daemons of one cluster, connected.
func startPair(t *testing.T) (a, b *App, ac, bc *client.Client) {
	t.Helper()
	cfg := testConfig(t)
	a, ac = startApp(t, cfg)
	t.Cleanup(func() { stopApp(t, a, ac) })
	other := testConfig(t)
	other.ClusterKeyFile = cfg.DataDir + "/cluster.key"
	other.Peers = a.node.Addresses()
	b, bc = startApp(t, other)
	t.Cleanup(func() { stopApp(t, b, bc) })
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		met := 0
		for _, n := range []*App{a, b} {
			if s, err := n.node.Sync("default"); err == nil && len(s) == 1 && s[0].Connected && s[0].Clock != nil {
				met++
			}
		}
		if met == 2 {
			return a, b, ac, bc
		}
		if time.Now().After(deadline) {
			t.Fatal("they never met")
		}
		<-tick.C
	}
}

// What a barrier says is reached can be read at the other side.
func TestBarrierOfTwoDaemons(t *testing.T) {
	_, _, a, b := startPair(t)
	here, there := a.Namespace("default"), b.Namespace("default")
	for i := range 10 {
		if err := here.Register("r").Set(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		at, direction := here, client.Push
		if i%2 == 1 {
			at, direction = there, client.Pull
		}
		if s, err := at.Barrier(t.Context(), direction, "*", 30*time.Second); err != nil || !s.Reached {
			t.Fatalf("%+v, %v", s, err)
		}
		if got, err := client.Get[int](t.Context(), there.Register("r")); err != nil || got != i {
			t.Fatalf("%s: %d is not there, but %d, %v", direction, i, got, err)
		}
	}
}

// A write that was acknowledged by the other daemon can be read there.
func TestAcksOfTwoDaemons(t *testing.T) {
	_, _, a, b := startPair(t)
	for i := range 10 {
		var meta client.Meta
		err := a.Namespace("default").Register("r").Set(t.Context(), i, client.Acks(1), client.Wait(30*time.Second), client.WithMeta(&meta))
		if err != nil || meta.Status != http.StatusOK || meta.Acks != 1 {
			t.Fatal(meta, err)
		}
		if got, err := client.Get[int](t.Context(), b.Namespace("default").Register("r")); err != nil || got != i {
			t.Fatalf("%d is not there, but %d, %v", i, got, err)
		}
	}
}

// Who carries a session from daemon to daemon reads its own writes, and removes what it has read.
func TestSessionOfTwoDaemons(t *testing.T) {
	_, _, a, b := startPair(t)
	var s client.Session
	opts := []client.Option{client.In(&s), client.Wait(30 * time.Second)}
	sides := []*client.Namespace{a.Namespace("default", opts...), b.Namespace("default", opts...)}
	for i := range int64(10) {
		here, there := sides[i%2], sides[(i+1)%2]
		n, err := here.Counter("n").Inc(t.Context(), 1)
		if err != nil || n != i+1 {
			t.Fatalf("%d increments are %d, %v", i+1, n, err)
		}
		if _, err := here.Set("s").Add(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if there, err := there.Set("s").Remove(t.Context(), "x"); err != nil || !there {
			t.Fatalf("the member is not seen: %v", err)
		}
		if has, err := here.Set("s").Has(t.Context(), "x"); err != nil || has {
			t.Fatalf("the member is there again: %v", err)
		}
	}
}
