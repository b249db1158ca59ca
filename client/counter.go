package client

import (
	"context"
	"math/big"
)

// Counter is a counter: increments are never lost, resets are exact.
type Counter struct{ object }

// Counter returns a handle.
func (ns *Namespace) Counter(key string) Counter { return Counter{object{ns, TypeCounter, key}} }

// Get returns the value. ErrNotFound is returned when the counter is absent, ErrRange when the value
// does not fit: see Big.
func (c Counter) Get(ctx context.Context, opts ...Option) (int64, error) {
	n, err := c.Number(ctx, opts...)
	if err != nil {
		return 0, err
	}
	return n.Int64()
}

// Big returns the value, whatever its size.
func (c Counter) Big(ctx context.Context, opts ...Option) (*big.Int, error) {
	n, err := c.Number(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return n.Big(), nil
}

// Number returns the value, whatever its size.
func (c Counter) Number(ctx context.Context, opts ...Option) (Number, error) {
	var reply struct {
		Value Number `json:"value"`
	}
	err := c.ns.get(ctx, opts, &reply, c.path()...)
	return reply.Value, err
}

// Inc adds n, which may be negative, and returns the value as it is then at this daemon. ErrOverflow is returned
// when it would leave 64 bits, and ErrRange, behind an increment that was done, when it is there already.
func (c Counter) Inc(ctx context.Context, n int64, opts ...Option) (int64, error) {
	var r *Result
	if err := c.write(ctx, opts, func(b *Batch) { r = b.Counter(c.key).Inc(n) }); err != nil {
		return 0, err
	}
	return r.Value.Int64()
}

// Reset takes away what was counted, as far as this daemon, or the token, has seen it. What is counted
// elsewhere at the same time stays.
func (c Counter) Reset(ctx context.Context, opts ...Option) error {
	return c.write(ctx, opts, func(b *Batch) { b.Counter(c.key).Reset() })
}

// Delete is the same as Reset.
func (c Counter) Delete(ctx context.Context, opts ...Option) error { return c.Reset(ctx, opts...) }
