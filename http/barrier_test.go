package http

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// peers is a cluster of other daemons of the same test, which answer at once while they are
// connected. What they hold moves only by exchange.
type peers struct {
	mu    sync.Mutex
	known map[string]*fakePeer
	asked chan struct{} // one for every question, if somebody listens
}

type fakePeer struct {
	d    *daemon // nil while it is away
	last PeerSync
}

func (c *peers) PeerID() string       { return "self" }
func (c *peers) Addresses() []string  { return nil }
func (c *peers) AddPeer(string) error { return nil }
func (c *peers) Halted(string) string { return "" }

func (c *peers) AskRights(context.Context, string, string, int64, []crdt.ReplicaID) (int64, crdt.VersionVector, error) {
	return 0, nil, nil
}
func (c *peers) Peers() (list []Peer) {
	for _, p := range c.Sync(store.Default) {
		list = append(list, Peer{ID: p.ID, Connected: p.Connected})
	}
	return append(list, Peer{ID: "elsewhere"})
}

func (c *peers) Sync(string) (list []PeerSync) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.known {
		s := p.last
		s.ID, s.Connected = id, p.d != nil
		list = append(list, s)
	}
	return list
}

func (c *peers) Ask(_, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, p := range c.known {
		if p.d != nil && (id == "" || id == name) {
			p.last.Answered = time.Now()
			p.last.Clock = p.d.namespace().Clock()
		}
	}
	select {
	case c.asked <- struct{}{}:
	default:
	}
}

func (c *peers) set(id string, d *daemon) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[id].d = d
}

// newCluster returns a daemon with peers, which are named p0, p1 and so on.
func newCluster(t *testing.T, others ...*daemon) (*daemon, *peers) {
	t.Helper()
	d := newDaemon(t)
	c := &peers{known: map[string]*fakePeer{}, asked: make(chan struct{})}
	for i, o := range others {
		c.known[fmt.Sprintf("p%d", i)] = &fakePeer{d: o}
	}
	d.h.Attach(Adapt(d.store), c)
	return d, c
}

const soon, longest = "Prefer: wait=0", "Prefer: wait=60"

func TestBarrier(t *testing.T) {
	b := newDaemon(t)
	a, c := newCluster(t, b)
	sync := func(body, prefer string) result { return a.do("POST", ns+"/sync", body, prefer) }
	sync(`{}`, longest).ok(200)
	a.do("PUT", ns+"/registers/a", `1`).ok(204)
	sync(`{"direction":"pull"}`, longest).ok(200)
	sync(`{"direction":"push"}`, soon).ok(202)
	exchange(t, a, b)
	b.do("PUT", ns+"/registers/b", `1`).ok(204)
	sync(`{"direction":"push"}`, longest).ok(200) // reached is not equal
	sync(`{"direction":"pull"}`, soon).ok(202)
	r := sync(`{"direction":"both","peer":"p0"}`, soon).ok(202)
	if r.header.Get("Preference-Applied") != "wait=0" || r.token() == "" {
		t.Fatal(r.header)
	}
	var s SyncStatus
	if r.into(&s); len(s.Peers) != 1 || *s.Peers[0].MissingHere != 1 || s.Converged {
		t.Fatalf("%+v", s)
	}
	exchange(t, b, a)
	sync(`{"peer":"*","direction":"both"}`, longest).ok(200)
	c.set("p0", nil) // its last clock was equal to ours: that is no answer
	sync(`{}`, soon).ok(202)
	sync(`{"peer":"elsewhere"}`, soon).ok(202)
	sync(`{"peer":"nobody"}`, soon).problem(kindNotFound)
}

// The target is what the peer held when it was asked: what it writes later is not waited for.
func TestBarrierFixesItsTarget(t *testing.T) {
	b := newDaemon(t)
	a, c := newCluster(t, b)
	c.asked = make(chan struct{}, 1)
	b.do("PUT", ns+"/registers/b", `1`).ok(204)
	snapshot := newDaemon(t) // holds what b held when the barrier began
	exchange(t, b, snapshot)
	done := make(chan result)
	go func() { done <- a.do("POST", ns+"/sync", `{"direction":"pull"}`, longest) }()
	<-c.asked
	b.do("PUT", ns+"/registers/b", `2`).ok(204)
	a.do("PUT", ns+"/registers/a", `1`).ok(204)
	exchange(t, snapshot, a)
	(<-done).ok(200)
}

func TestBarrierAlone(t *testing.T) {
	d := newDaemon(t)
	d.do("POST", ns+"/sync", `{}`).ok(200)
	d.do("POST", ns+"/sync", `{"peer":"x"}`).problem(kindNotFound)
	for _, bad := range []string{`[]`, `{"peer":""}`, `{"peer":1}`, `{"direction":"up"}`, `{"x":1}`, `{} {}`} {
		d.do("POST", ns+"/sync", bad).problem(kindBadRequest)
	}
	d.do("POST", "/v1/ns/none/sync", `{}`).problem(kindNamespaceNotFound)
}

// A client that goes away and a daemon that stops end the wait, and too many are not made to wait.
func TestBarrierEnds(t *testing.T) {
	a, c := newCluster(t, nil)
	c.asked = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", a.srv.URL+ns+"/sync", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "wait=60")
	gone := make(chan error)
	go func() {
		resp, err := a.srv.Client().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	<-c.asked
	cancel()
	if err := <-gone; err == nil {
		t.Fatal("an answer to a client that has gone")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for a.h.waiters.Load() > 0 {
		<-tick.C
	}
	a.h.waiters.Store(maxWaiters)
	if r := a.do("POST", ns+"/sync", `{}`, longest).ok(202); r.header.Get("Preference-Applied") != "" {
		t.Fatal(r.header)
	}
	a.h.waiters.Store(0)
	for len(c.asked) > 0 {
		<-c.asked
	}
	done := make(chan result)
	go func() { done <- a.do("POST", ns+"/sync", `{}`, longest) }()
	<-c.asked
	a.h.Drain()
	(<-done).problem(kindShuttingDown)
}

func TestBarrierKeepsWhatWasReached(t *testing.T) {
	b := barrier{began: time.Unix(10, 0), held: crdt.VersionVector{1: 5}, open: map[string]*peerDistance{"p": {pull: true, push: true}}}
	told := func(at int64, here crdt.VersionVector, clock crdt.VersionVector) bool {
		return b.reached([]PeerSync{{ID: "p", Clock: clock, Answered: time.Unix(at, 0)}, {ID: "q"}}, here)
	}
	both := crdt.VersionVector{1: 5, 2: 3}
	switch {
	case told(9, both, both):
		t.Error("reached by a clock that was told before")
	case told(10, crdt.VersionVector{1: 5}, crdt.VersionVector{1: 4, 2: 3}):
		t.Error("reached by nothing")
	case told(11, crdt.VersionVector{1: 5}, crdt.VersionVector{1: 5, 2: 9}):
		t.Error("reached without a pull")
	case !told(12, both, nil) && !told(12, both, both):
		t.Error("the target moved")
	}
}
