package client

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"time"
)

// What Options that are not given stand for.
const (
	defaultRetries    = 4
	defaultBackoff    = 100 * time.Millisecond
	defaultMaxBackoff = 5 * time.Second
)

// persist calls try until it succeeds, until it fails with what does not pass, or until the context
// or the number of retries is at its end. It returns what the last try returned.
func (c *Client) persist(ctx context.Context, req *Request, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || n >= c.retries() || ctx.Err() != nil || !passing(req, err) {
			return err
		}
		if !c.rest(ctx, n, err) {
			return err
		}
	}
}

func (c *Client) retries() int {
	if c.opts.Retries == 0 {
		return defaultRetries
	}
	return c.opts.Retries
}

// passing reports whether a failure may pass, and the request may be sent again.
func passing(req *Request, err error) bool {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return req.repeatable() && p.passing()
	case errors.Is(err, ErrUnreachable):
		return req.repeatable() || neverSent(err)
	}
	return false
}

// passing reports whether a daemon, or a proxy before it, says that another time may be better.
// Not so when it has waited already for what a token stands for: the caller said how long.
func (p *Problem) passing() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return p.RetryAfter > 0 && !errors.Is(p, ErrNotYetVisible)
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		return errors.Is(p, ErrInProgress) // the try before this one is not done yet
	}
	return false
}

// repeatable reports whether to do the request twice is the same as once.
func (r *Request) repeatable() bool {
	conditional := r.IfMatch != "" || r.IfNoneMatch != ""
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodDelete:
		return !conditional
	case http.MethodPut:
		// With a token the second write would not take the place of the first.
		return !conditional && r.Context == "" && r.session == nil
	}
	return r.Harmless || r.IdempotencyKey != ""
}

// drawKey gives a request that may have to be sent again a key, where the daemon takes one.
func (c *Client) drawKey(req *Request) {
	keyed := req.Method == http.MethodPost || req.Method == http.MethodPatch
	if keyed && !req.Harmless && req.IdempotencyKey == "" && c.retries() > 0 {
		req.IdempotencyKey = rand.Text()
	}
}

// neverSent reports whether the connection did not come about.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// rest pauses before the retry number n, from 0. It reports false when the context ends before.
func (c *Client) rest(ctx context.Context, n int, err error) bool {
	pause := c.backoff(n)
	var p *Problem
	if errors.As(err, &p) {
		pause = max(pause, p.RetryAfter)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff is the pause before retry n: half of it by the number, half by chance, so that clients
// that were cut off together do not come back together.
func (c *Client) backoff(n int) time.Duration {
	base, most := c.opts.Backoff, c.opts.MaxBackoff
	if base <= 0 {
		base = defaultBackoff
	}
	if most <= 0 {
		most = defaultMaxBackoff
	}
	d := min(most, base<<min(n, 20))
	if d <= 0 { // the shift has overflown
		d = most
	}
	return d/2 + mathrand.N(d/2+1)
}
