package client

import (
	"context"
	"errors"
)

// Flag is on or off: turning it on wins against turning it off that did not see it.
type Flag struct{ object }

// Flag returns a handle.
func (ns *Namespace) Flag(key string) Flag { return Flag{object{ns, TypeFlag, key}} }

// Get reports whether the flag is on.
func (f Flag) Get(ctx context.Context, opts ...Option) (bool, error) {
	err := f.ns.get(ctx, opts, &struct{}{}, f.path()...)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Enable turns the flag on.
func (f Flag) Enable(ctx context.Context, opts ...Option) error {
	return f.write(ctx, opts, func(b *Batch) { b.Flag(f.key).Enable() })
}

// Disable turns the flag off, as far as this daemon, or the token, has seen it turned on.
func (f Flag) Disable(ctx context.Context, opts ...Option) error {
	return f.write(ctx, opts, func(b *Batch) { b.Flag(f.key).Disable() })
}
