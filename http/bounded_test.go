package http

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// givers is a cluster of daemons of the same test that give rights at once. What they gave has
// arrived when they have answered.
type givers struct {
	*peers
	t      *testing.T
	asker  *daemon
	of     []*daemon
	gone   error
	rounds [][]crdt.ReplicaID // the replicas that each round was to ask first
}

var seats = crdt.Object(crdt.Bounded, "seats").Leaf(crdt.Bounded)

func (g *givers) AskRights(ctx context.Context, _, _ string, amount int64, first []crdt.ReplicaID) (given int64, clock crdt.VersionVector, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rounds = append(g.rounds, first); g.gone != nil {
		return 0, nil, g.gone
	}
	clock = crdt.VersionVector{}
	for _, d := range g.of {
		var got int64
		receipt, err := d.namespace().Commit(ctx, func(tx *store.Tx) (err error) {
			got, err = tx.Give(seats, g.asker.namespace().Replica(), amount-given)
			return err
		})
		if err != nil {
			g.t.Error(err)
			return given, clock, nil
		}
		if given += got; got > 0 {
			clock.Merge(receipt.Clock)
			exchange(g.t, d, g.asker)
		}
	}
	return given, clock, nil
}

// newGivers returns a daemon that asks the others for rights, and two of these.
func newGivers(t *testing.T) (a, b, c *daemon, g *givers) {
	t.Helper()
	b, c = newDaemon(t), newDaemon(t)
	a, p := newCluster(t, b, c)
	g = &givers{peers: p, t: t, asker: a, of: []*daemon{b, c}}
	a.h.Attach(Adapt(a.store), g)
	return a, b, c, g
}

const bounded = ns + "/bounded/seats"

func TestBounded(t *testing.T) {
	d := newDaemon(t)
	d.do("GET", bounded, "").problem(kindNotFound)
	d.do("DELETE", bounded, "").want(204, "")
	d.do("POST", bounded, `{"inc":0}`).want(200, `{"type":"bounded","key":"seats","value":0,"rights":0}`)
	d.do("POST", bounded, `{"inc":-1}`).ok(409).contains(`"rights":0`).contains(`"value":0`)
	tag := d.do("POST", bounded, `{"inc":"10"}`).want(200, `{"type":"bounded","key":"seats","value":10,"rights":10}`).header.Get("ETag")
	if got := d.do("GET", bounded, "").want(200, `{"type":"bounded","key":"seats","value":10,"rights":10}`).header.Get("ETag"); got != tag || tag == "" {
		t.Errorf("tags %q and %q", tag, got)
	}
	d.do("GET", bounded, "", "If-None-Match: "+tag).want(304, "")
	d.do("POST", bounded, `{"inc":-11}`).ok(409).contains(`"rights":10`).contains(`"value":10`)
	d.do("POST", bounded, `{"inc":-9223372036854775808}`).problem(kindRights)
	d.do("POST", bounded, `{"inc":9223372036854775800}`).problem(kindOverflow)
	d.do("POST", bounded, `{"inc":-4}`, "If-Match: "+tag).want(200, `{"type":"bounded","key":"seats","value":6,"rights":6}`)
	d.do("POST", bounded, `{"inc":-1}`, "If-Match: "+tag).problem(kindPrecondition)
	d.do("GET", ns+"/keys?type=bounded", "").want(200, `{"keys":[{"type":"bounded","key":"seats"}]}`)
	d.do("GET", ns+"/changes?since=start&include=value&type=bounded", "").ok(200).contains(`"event":"changed","type":"bounded","key":"seats","value":6`)
	d.do("GET", ns+"/export", "").want(200, `{"bounded":"seats","inc":6}`)
	d.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
	if r := d.do("POST", bounded, `{"inc":-6}`).want(200, `{"type":"bounded","key":"seats","value":0,"rights":0}`); r.header.Get("ETag") != "" {
		t.Error("an ETag of nothing")
	}
	d.do("GET", bounded, "").problem(kindNotFound)
	d.do("GET", ns+"/export", "").want(200, "")
	d.do("POST", bounded, `{"inc":2}`).ok(200)
	d.do("DELETE", bounded, "").want(204, "")
	d.do("GET", ns+"/changes?since=start&type=bounded", "").ok(200).contains(`"event":"removed","type":"bounded","key":"seats"`)
	for _, body := range []string{`{}`, `{"inc":1,"ask":1}`, `{"inc":1,"inc":1}`, `{"inc":1.5}`, `{"inc":null}`, `{"ask":0}`, `{"ask":-1}`, `{"ask":true}`, `{"reset":true}`, `{"delete":true}`, `[]`, `{"inc":1}x`} {
		d.do("POST", bounded, body).problem(kindBadRequest)
	}
	d.do("POST", bounded, `{"inc":9223372036854775808}`).problem(kindOverflow)
}

func TestBoundedInBatches(t *testing.T) {
	d := newDaemon(t)
	batch := func(ops string) result { return d.do("POST", ns+"/batch", `{"ops":[`+ops+`]}`) }
	batch(`{"bounded":"seats","inc":5},{"bounded":"seats","inc":-2},{"bounded":"none","delete":true},{"counter":"sold","inc":2}`).
		want(200, `{"results":[{"value":5,"rights":5},{"value":3,"rights":3},{},{"value":2}]}`)
	batch(`{"counter":"sold","inc":4},{"bounded":"seats","inc":-4}`).ok(409).contains("op 2: ").contains(`"rights":3`)
	d.do("GET", ns+"/counters/sold", "").want(200, `{"type":"counter","key":"sold","value":2}`)
	for _, op := range []string{`{"bounded":"seats","reset":true}`, `{"bounded":"seats","value":1}`, `{"bounded":"seats","add":["x"]}`, `{"bounded":"seats","enable":true}`} {
		batch(op).problem(kindWrongType)
	}
	for _, op := range []string{`{"bounded":"seats","ask":1}`, `{"bounded":"seats","path":["x"],"inc":1}`, `{"bounded":"","inc":1}`, `{"bounded":"a","counter":"b","inc":1}`} {
		batch(op).problem(kindBadRequest)
	}
	d.do("POST", ns+"/batch", `{"if":[{"bounded":"seats","absent":true}],"ops":[]}`).problem(kindPrecondition)
	batch(`{"bounded":"seats","delete":true},{"bounded":"seats","inc":1}`).want(200, `{"results":[{},{"value":1,"rights":1}]}`)
}

// A delete with a token takes what the token covers.
func TestBoundedDeleteWithToken(t *testing.T) {
	a, b := newDaemon(t), newDaemon(t)
	token := a.do("POST", bounded, `{"inc":3}`).ok(200).token()
	b.do("POST", bounded, `{"inc":2}`).ok(200)
	exchange(t, b, a)
	a.do("GET", bounded, "").want(200, `{"type":"bounded","key":"seats","value":5,"rights":3}`)
	a.do("DELETE", bounded, "").ok(409).contains(`"rights":3`).contains(`"value":5`)
	a.do("DELETE", bounded, "", contextHeader+": "+token).want(204, "")
	a.do("GET", bounded, "").want(200, `{"type":"bounded","key":"seats","value":2,"rights":0}`)
}

func TestAskPeersForRights(t *testing.T) {
	a, b, c, g := newGivers(t)
	b.do("POST", bounded, `{"inc":3}`).ok(200)
	c.do("POST", bounded, `{"inc":7}`).ok(200)
	exchange(t, b, a)
	exchange(t, c, a)
	a.do("POST", bounded, `{"inc":-1}`).problem(kindRights)
	a.do("POST", bounded, `{"inc":-1}`, soon).problem(kindRights)
	a.do("POST", bounded, `{"ask":1}`).want(202, `{"type":"bounded","key":"seats","value":10,"rights":0}`)
	if len(g.rounds) > 0 {
		t.Fatal("asked without Prefer: wait")
	}
	r := a.do("POST", bounded, `{"inc":-4}`, longest).want(200, `{"type":"bounded","key":"seats","value":6,"rights":0}`)
	if r.header.Get("Preference-Applied") != "wait=60" {
		t.Error(r.header)
	}
	if want := []crdt.ReplicaID{c.namespace().Replica(), b.namespace().Replica()}; len(g.rounds) != 1 || !slices.Equal(g.rounds[0], want) {
		t.Errorf("asked %v, want %v", g.rounds, want)
	}
	a.do("POST", bounded, `{"ask":2}`, longest).want(200, `{"type":"bounded","key":"seats","value":6,"rights":2}`)
	a.do("POST", bounded, `{"ask":2}`).want(200, `{"type":"bounded","key":"seats","value":6,"rights":2}`)
	a.do("POST", bounded, `{"ask":7}`, "Prefer: wait=1").want(202, `{"type":"bounded","key":"seats","value":6,"rights":6}`)
	a.do("POST", bounded, `{"inc":-7}`, "Prefer: wait=1").ok(409).contains(`"rights":6`)
	if len(g.rounds) > 16 {
		t.Errorf("%d rounds of asking in two seconds", len(g.rounds))
	}
	g.gone = context.Canceled
	a.do("POST", bounded, `{"inc":-7}`, longest).problem(kindRights) // at once
	g.gone = nil
	a.do("POST", bounded, `{"ask":1}`, "If-None-Match: *").problem(kindPrecondition)
	a.do("POST", bounded+"?acks=1", `{"ask":1}`).want(202, `{"type":"bounded","key":"seats","value":6,"rights":6}`)
	b.do("POST", bounded, `{"inc":1}`).ok(200)
	exchange(t, b, a)
	a.do("DELETE", bounded, "").problem(kindRights)
	a.do("DELETE", bounded, "", longest).want(204, "")
	a.do("GET", bounded, "").problem(kindNotFound)
}

// TestAskingEnds: with the daemon, and when the client has gone.
func TestAskingEnds(t *testing.T) {
	a, b, _, g := newGivers(t)
	b.do("POST", bounded, `{"inc":3}`).ok(200)
	answer := make(chan result)
	go func() { answer <- a.do("POST", bounded, `{"inc":-5}`, longest) }()
	asked := func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.rounds) > 1
	}
	for !asked() {
		if a.h.drained.Err() != nil {
			t.Fatal("drained")
		}
		a.do("GET", ns+"/keys", "").ok(200)
	}
	a.h.Drain()
	(<-answer).problem(kindShuttingDown)
	if n := a.h.waiters.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
	if strings.Contains(b.do("GET", bounded, "").ok(200).body, `"rights":3`) {
		t.Error("nothing was given")
	}
}
