package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
)

// seen is a clock: how many writes of each daemon.
type seen map[string]int

func (s seen) covers(o seen) bool {
	for d, n := range o {
		if s[d] < n {
			return false
		}
	}
	return true
}

// cluster is some daemons that have everything that a token asks for, at once.
type cluster struct {
	t    *testing.T
	mu   sync.Mutex
	has  map[string]seen
	sent int
}

// daemon returns a client of one of them, whose replies may overtake each other.
func (c *cluster) daemon(name string) *Client {
	cl, err := New("http://"+name, Options{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		token, ok := c.serve(name, r)
		if !ok {
			c.t.Errorf("a malformed token: %s", r.Header.Get(ContextHeader))
		}
		return answer(200, `{"results":[{}]}`, ContextHeader, token), nil
	})})
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

func (c *cluster) serve(name string, r *http.Request) (token string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	if token := r.Header.Get(ContextHeader); token != "" {
		var asked seen
		if json.Unmarshal([]byte(token), &asked) != nil {
			return "", false
		}
		for d, n := range asked {
			c.has[name][d] = max(c.has[name][d], n)
		}
	}
	if r.Method != http.MethodGet {
		c.has[name][name]++
	}
	text, err := json.Marshal(c.has[name])
	return string(text), err == nil
}

func newCluster(t *testing.T) *cluster {
	return &cluster{t: t, has: map[string]seen{"a": {}, "b": {}, "c": {}}}
}

// TestSessionIsMonotonic: what a call in a session sends covers what all calls that ended before it
// began were told, whatever runs at the same time; for a write its token itself does.
func TestSessionIsMonotonic(t *testing.T) {
	cl := newCluster(t)
	var (
		s    Session
		mu   sync.Mutex
		told = seen{} // by all calls that have ended
		wg   sync.WaitGroup
	)
	clients := []*Client{cl.daemon("a"), cl.daemon("b"), cl.daemon("c")}
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			for range 200 {
				c := clients[rng.IntN(3)]
				mu.Lock()
				before := maps.Clone(told)
				mu.Unlock()
				req := c.Namespace("n", In(&s)).request(nil, []string{"GET", "POST"}[rng.IntN(2)], "x")
				var sent, got seen
				var meta Meta
				req.meta = &meta
				if err := c.persist(context.Background(), &req, func() error {
					resp, err := c.send(context.Background(), &req)
					if err == nil {
						resp.Body.Close()
					}
					return err
				}); err != nil {
					t.Error(err)
					return
				}
				_ = json.Unmarshal([]byte(req.Context), &sent)
				if err := json.Unmarshal([]byte(meta.Context), &got); err != nil {
					t.Error(err)
					return
				}
				if !got.covers(before) || req.Method != http.MethodGet && !sent.covers(before) {
					t.Errorf("%s sent %v and got %v, behind %v", req.Method, sent, got, before)
				}
				mu.Lock()
				for d, n := range got {
					told[d] = max(told[d], n)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := len(s.current("n")); n > 8 {
		t.Errorf("%d tokens are kept", n)
	}
}

// TestSessionCostsNothingAlone: calls one after the other need no request more.
func TestSessionCostsNothingAlone(t *testing.T) {
	cl := newCluster(t)
	var s Session
	for _, name := range []string{"a", "b", "a", "c"} {
		if err := cl.daemon(name).Namespace("n", In(&s)).Counter("k").Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if cl.sent != 4 || s.Context("n") != `{"a":2,"b":1,"c":1}` {
		t.Errorf("%d requests, %s", cl.sent, s.Context("n"))
	}
}

// TestReplayIsOld: the token of a reply that was kept says nothing of what the session saw since.
func TestReplayIsOld(t *testing.T) {
	var s Session
	s.Observe("n", "new")
	c := fake(t, func(*http.Request) (*http.Response, error) {
		return answer(200, `{"results":[{}]}`, ContextHeader, "old", "Idempotency-Replayed", "true"), nil
	})
	if err := c.Namespace("n", In(&s)).Counter("k").Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.current("n"); len(got) != 2 || got[0].token != "new" || got[1].token != "old" {
		t.Errorf("got %v", got)
	}
}

// TestSessionIsHandedOver: marshalled with two tokens of which neither covers the other, taken in by
// another process, and then one.
func TestSessionIsHandedOver(t *testing.T) {
	cl := newCluster(t)
	var s, other Session
	for _, name := range []string{"a", "b"} {
		var alone Session
		if err := cl.daemon(name).Namespace("n", In(&alone)).Counter("k").Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Observe("n", alone.Context("n"))
	}
	text, err := json.Marshal(&s)
	if want := `{"n":["{\"a\":1}","{\"b\":1}"]}`; err != nil || string(text) != want {
		t.Fatalf("%s, %v", text, err)
	}
	if err := json.Unmarshal(text, &other); err != nil {
		t.Fatal(err)
	}
	if err := cl.daemon("c").Namespace("n", In(&other)).Counter("k").Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(&other); err != nil || string(text) != `{"n":["{\"a\":1,\"b\":1,\"c\":1}"]}` {
		t.Errorf("%s, %v", text, err)
	}
	if fmt.Sprint(other.current("m")) != "[]" || other.Context("m") != "" {
		t.Error("a token of another namespace")
	}
}
