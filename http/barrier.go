package http

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// maxWaiters bounds the requests that wait for peers at the same time. One more is answered as
// if it had not asked for a wait.
const maxWaiters = 256

// Pauses between two looks at what the peers have told, with a question to them each, unless
// another request has just asked.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// Barrier is the body of POST to the sync status.
type Barrier struct {
	Peer      string `json:"peer,omitempty" minLength:"1" default:"*" doc:"A peer's id, or * for every peer that holds the namespace when the request comes in."`
	Direction string `json:"direction,omitempty" enum:"pull,push,both" default:"both" doc:"pull: this daemon gets what the peer held then; push: the peer gets what this daemon held then."`
}

func readBarrier(body []byte) (Barrier, error) {
	b := Barrier{Peer: "*", Direction: "both"}
	d := &jsonReader{b: body}
	err := d.object(func(name string) (err error) {
		switch name {
		case "peer":
			b.Peer, err = d.str()
		case "direction":
			b.Direction, err = d.str()
		default:
			err = d.fail("the member " + quoted(name) + " has no meaning here")
		}
		return err
	})
	if err == nil {
		err = d.end()
	}
	switch {
	case err != nil:
		return b, err
	case b.Peer == "":
		return b, d.fail(`peer is the id of a peer, or "*"`)
	case !slices.Contains([]string{"pull", "push", "both"}, b.Direction):
		return b, d.fail("direction is pull, push or both")
	}
	return b, nil
}

func postSync(r *request) (*reply, error) {
	body, err := readBarrier(r.body)
	if err != nil {
		return nil, err
	}
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	b, err := r.barrier(ns, body)
	if err != nil {
		return nil, err
	}
	reached := len(b.open) == 0
	if !reached {
		ask := body.Peer
		if ask == "*" {
			ask = ""
		}
		r.backend.cluster.Ask(ns.Name(), ask)
		reached, err = r.waitPeers(ns.Name(), ask, func() bool { return b.reached(r.backend.cluster.Sync(ns.Name()), ns.Clock()) })
		if err != nil {
			return nil, err
		}
	}
	s := r.syncStatus(ns)
	rep := &reply{status: http.StatusOK, body: s, token: s.Context}
	if !reached {
		rep.status = http.StatusAccepted
	}
	if r.applied {
		rep.applied = r.preference()
	}
	return rep, nil
}

// barrier is what POST to the sync status waits for.
type barrier struct {
	began time.Time
	held  crdt.VersionVector       // here, when the request came in
	open  map[string]*peerDistance // what is still to be reached, by peer
}

type peerDistance struct {
	pull, push bool
	told       crdt.VersionVector // by the peer, asked since the barrier began; nil until then
}

// barrier fixes what is to be reached. A peer that this daemon does not know is not-found.
func (r *request) barrier(ns Namespace, body Barrier) (*barrier, error) {
	b := &barrier{began: time.Now(), held: ns.Clock(), open: map[string]*peerDistance{}}
	wait := func(id string) {
		b.open[id] = &peerDistance{pull: body.Direction != "push", push: body.Direction != "pull"}
	}
	c := r.backend.cluster
	if body.Peer != "*" {
		known := func(p Peer) bool { return p.ID == body.Peer }
		holds := func(p PeerSync) bool { return p.ID == body.Peer }
		if c == nil || !slices.ContainsFunc(c.Peers(), known) && !slices.ContainsFunc(c.Sync(ns.Name()), holds) {
			return nil, kindNotFound.with("there is no peer %s", quoted(body.Peer))
		}
		wait(body.Peer)
		return b, nil
	}
	if c != nil {
		for _, p := range c.Sync(ns.Name()) {
			wait(p.ID)
		}
	}
	return b, nil
}

// reached takes in what the peers have told and reports whether nothing is left. What was reached
// once stays so: clocks of copies only grow.
func (b *barrier) reached(peers []PeerSync, clock crdt.VersionVector) bool {
	for _, p := range peers {
		d := b.open[p.ID]
		if d == nil || p.Clock == nil || p.Answered.Before(b.began) {
			continue
		}
		if d.told == nil {
			d.told = p.Clock
		}
		d.push = d.push && !p.Clock.CoversAll(b.held)
		d.pull = d.pull && !clock.CoversAll(d.told)
		if !d.push && !d.pull {
			delete(b.open, p.ID)
		}
	}
	return len(b.open) == 0
}

// waitPeers calls done until it reports true or the time of Prefer: wait is over, and has a peer,
// or all if peer is empty, tell its clock in between. Without that preference done is called once.
// An error is returned when the client has gone or the daemon is shutting down.
func (r *request) waitPeers(ns, peer string, done func() bool) (bool, error) {
	if done() || r.wait == 0 || r.backend.cluster.Halted(ns) != "" {
		r.applied = r.applied || r.waits
		return done(), nil
	}
	defer r.handler.waiters.Add(-1)
	if r.handler.waiters.Add(1) > maxWaiters {
		return false, nil
	}
	r.applied = true
	// The limit of time for reading a request is not one for waiting.
	_ = r.control.SetReadDeadline(time.Now().Add(r.wait + headerTimeout))
	over := time.NewTimer(time.Until(r.began.Add(r.wait)))
	defer over.Stop()
	pause := firstLook
	look := time.NewTimer(pause)
	defer look.Stop()
	for {
		select {
		case <-r.http.Context().Done():
			return false, r.http.Context().Err()
		case <-r.handler.drained.Done():
			return false, kindShuttingDown.with("the daemon is shutting down").setHeader("Retry-After", "1")
		case <-over.C:
			return done(), nil
		case <-look.C:
		}
		if done() {
			return true, nil
		}
		r.handler.asks.ask(r.backend.cluster, ns, peer, pause)
		pause = min(2*pause, lastLook)
		look.Reset(pause)
	}
}

// asks remembers when peers were asked for their clocks, so that many requests that wait do not ask
// more than one that does.
type asks struct {
	mu   sync.Mutex
	last map[[2]string]time.Time // by namespace and peer
}

// ask asks unless that was done within the time given.
func (a *asks) ask(c Cluster, ns, peer string, within time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, now := [2]string{ns, peer}, time.Now()
	if now.Sub(a.last[key]) < within {
		return
	}
	if a.last == nil {
		a.last = map[[2]string]time.Time{}
	}
	a.last[key] = now
	c.Ask(ns, peer)
}
