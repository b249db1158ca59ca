package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// forgetful does every request, and loses the reply to every other one.
type forgetful struct{ n atomic.Int64 }

func (f *forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && f.n.Add(1)%2 == 1 {
		_ = resp.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

// TestLostReplies: writes whose replies are lost are done once, and answered as if nothing had been lost.
func TestLostReplies(t *testing.T) {
	addr, stop, err := serve()
	check(t, err)
	t.Cleanup(stop)
	c, err := client.New(addr, client.Options{Transport: &forgetful{}, Backoff: time.Millisecond})
	check(t, err)
	var (
		ctx  = t.Context()
		s    client.Session
		meta client.Meta
		ns   = c.Namespace("default", client.In(&s))
	)
	for i := range int64(5) {
		same(t, must(ns.Counter("n").Inc(ctx, 2, client.WithMeta(&meta)))(t), 2*i+2)
		same(t, meta.Replayed, true)
	}
	check(t, ns.Register("r").Set(ctx, 1, client.IfAbsent()))
	check(t, ns.Register("r").Set(ctx, 2))
	v := must(ns.Register("r").Get(ctx))(t)
	same(t, string(v.JSON)+string(rune('0'+len(v.Siblings))), "20")
	if err := ns.Register("r").Set(ctx, 3, client.IfAbsent()); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("refused: %v", err)
	}
	same(t, must(ns.Set("s").Add(ctx, "x"))(t), true)
	same(t, must(ns.Set("s").Remove(ctx, "x"))(t), true)
	_, err = ns.Map("m").Edit(ctx, func(m client.MapOps) { m.At("a").Inc(1) })
	check(t, err)
	same(t, must(ns.Map("m").At("a").Int64(ctx))(t), int64(1))
	check(t, ns.Map("m").Delete(ctx))
	same(t, len(collect(t, ns.Keys(ctx))), 2)
}

// TestKeyIsKept: under a key of one's own a call is done once, however often it is made; another call
// is refused.
func TestKeyIsKept(t *testing.T) {
	ctx, c := t.Context(), defaultNamespace(t).Counter("n")
	for range 3 {
		same(t, must(c.Inc(ctx, 2, client.IdempotencyKey("order-17")))(t), int64(2))
	}
	if _, err := c.Inc(ctx, 3, client.IdempotencyKey("order-17")); !errors.Is(err, client.ErrKeyReused) {
		t.Errorf("another call: %v", err)
	}
}

// TestBulkOfADaemon: what became of each line, what the end tells, and a second time under the same key.
func TestBulkOfADaemon(t *testing.T) {
	var (
		ctx     = t.Context()
		session client.Session
		meta    client.Meta
		ns      = defaultNamespace(t, client.In(&session))
		lines   = "{\"counter\":\"n\",\"inc\":2}\n\n{\"counter\":\"n\",\"add\":[\"x\"]}\n{\"set\":\"s\",\"add\":[\"x\",\"y\"]}\n"
	)
	for _, again := range []bool{false, true} {
		all := collect(t, ns.Bulk(ctx, strings.NewReader(lines), client.IdempotencyKey("once"), client.WithMeta(&meta)))
		same(t, len(all), 3)
		same(t, [3]int64{all[0].Line, all[1].Line, all[2].Line}, [3]int64{1, 3, 4})
		same(t, []bool{all[0].Replayed, all[2].Replayed}, []bool{again, again})
		same(t, errors.Is(all[1].Problem, client.ErrWrongType), true)
		if !again {
			same(t, all[0].Value.String(), "2")
			same(t, all[2].Added, 2)
		}
		same(t, meta.Status, 200)
		same(t, session.Context("default"), meta.Context)
	}
	same(t, must(ns.Counter("n").Get(ctx))(t), int64(2))
	for r, err := range ns.Bulk(ctx, strings.NewReader(`{"counter":"m","inc":2}`), client.IdempotencyKey("once")) {
		if !errors.Is(err, client.ErrKeyReused) {
			t.Errorf("other lines: %v, %v", r, err)
		}
	}
	for r, err := range connect(t).Namespace("nobody").Bulk(ctx, strings.NewReader(lines)) {
		if !errors.Is(err, client.ErrNamespaceNotFound) {
			t.Errorf("nobody: %v, %v", r, err)
		}
	}
}
