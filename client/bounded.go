package client

import (
	"context"
	"net/http"
)

// Bounded is a counter that is never below 0, anywhere, whatever is cut off from what: each daemon
// has rights to take so much, and moves them when it is asked.
type Bounded struct{ object }

// Bounded returns a handle.
func (ns *Namespace) Bounded(key string) Bounded { return Bounded{object{ns, TypeBounded, key}} }

// Rights is what a bounded counter holds, as a daemon sees it.
type Rights struct {
	Value Number `json:"value"`
	// Rights is how much of it may be taken at this daemon without asking others.
	Rights Number `json:"rights"`
}

// Get returns what the counter holds. ErrNotFound is returned when it is absent, which 0 is.
func (b Bounded) Get(ctx context.Context, opts ...Option) (Rights, error) {
	var r Rights
	err := b.ns.get(ctx, opts, &r, b.path()...)
	return r, err
}

// Inc adds n. A negative n takes, which needs rights: ErrInsufficientRights is returned when this daemon
// has too few, and with Wait only when others do not move theirs in that time.
func (b Bounded) Inc(ctx context.Context, n int64, opts ...Option) (Rights, error) {
	r, _, err := b.post(ctx, op{"inc": onWire(n)}, opts)
	return r, err
}

// Ask sees to it that n may be taken at this daemon, as long as Wait allows. It reports whether that is so
// now; if not, rights may be on their way.
func (b Bounded) Ask(ctx context.Context, n int64, opts ...Option) (r Rights, reached bool, err error) {
	return b.post(ctx, op{"ask": onWire(n)}, opts)
}

func (b Bounded) post(ctx context.Context, o op, opts []Option) (r Rights, reached bool, err error) {
	body, err := encode(o)
	if err != nil {
		return r, false, err
	}
	req := b.ns.request(opts, http.MethodPost, b.path()...)
	req.Body = body
	reply, err := b.ns.c.Do(ctx, req)
	if err != nil {
		return r, false, err
	}
	return r, reply.Status == http.StatusOK, decode(reply.Body, &r)
}

// Delete takes everything, which needs all rights: see Inc.
func (b Bounded) Delete(ctx context.Context, opts ...Option) error {
	_, err := b.ns.c.Do(ctx, b.ns.request(opts, http.MethodDelete, b.path()...))
	return err
}
