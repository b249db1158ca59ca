package client_test

import (
	"errors"
	"io"
	"net/http"
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
