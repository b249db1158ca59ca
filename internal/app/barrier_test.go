package app

import (
	"fmt"
	"net/http"
	"strings"
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

func value(n int) []byte { return fmt.Appendf(nil, "%d", n) }

// What a barrier says is reached can be read at the other side.
func TestBarrierOfTwoDaemons(t *testing.T) {
	_, _, a, b := startPair(t)
	register := []string{"v1", "ns", "default", "registers", "r"}
	do := func(c *client.Client, req client.Request) *client.Reply {
		t.Helper()
		reply, err := c.Do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	for i := range 10 {
		at, direction := a, "push"
		if i%2 == 1 {
			at, direction = b, "pull"
		}
		do(a, client.Request{Method: "PUT", Path: register, Body: value(i)})
		body := fmt.Appendf(nil, `{"direction":%q}`, direction)
		if r := do(at, client.Request{Method: "POST", Path: []string{"v1", "ns", "default", "sync"}, Body: body, Wait: 30 * time.Second}); r.Status != http.StatusOK {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		if r := do(b, client.Request{Method: "GET", Path: register}); !strings.Contains(string(r.Body), fmt.Sprintf(`"value":%d,`, i)) {
			t.Fatalf("%s: %d is not there: %s", direction, i, r.Body)
		}
	}
}

// A write that was acknowledged by the other daemon can be read there.
func TestAcksOfTwoDaemons(t *testing.T) {
	_, _, a, b := startPair(t)
	path := []string{"v1", "ns", "default", "registers", "r"}
	for i := range 10 {
		r, err := a.Do(t.Context(), client.Request{Method: "PUT", Path: path, Query: map[string][]string{"acks": {"1"}}, Body: value(i), Wait: 30 * time.Second})
		if err != nil || r.Status != http.StatusNoContent || r.Header.Get("Anabranch-Acks") != "1" {
			t.Fatal(r, err)
		}
		if r, err = b.Do(t.Context(), client.Request{Method: "GET", Path: path}); err != nil || !strings.Contains(string(r.Body), fmt.Sprintf(`"value":%d,`, i)) {
			t.Fatalf("%d is not there: %v, %v", i, r, err)
		}
	}
}
