package store

import (
	"context"
	"errors"
)

// Series is what became of the transactions of CommitEach.
type Series struct {
	Receipt
	// Errs has one element for each transaction that was run, in order: nil, or the error with which
	// nothing of it happened.
	Errs []error
	// Stopped is why the transaction behind those was not run, or ran and could not be committed. It
	// is nil when the series has only to be called again for the rest.
	Stopped error
}

// CommitEach runs up to count transactions, run(0, t), run(1, t), …, one behind the other in one group
// of commits, and returns when all that they did is durable. Each is atomic by itself, and one that
// returns an error takes back nothing but itself: then failed, if not nil, runs in a transaction of
// its own, to note that, before the next. All of it is in one batch: after a crash it is there up to
// the end or not at all.
//
// It may run fewer than count: it ends when the group is full, behind a change too large for a
// batch, which has a commit of its own, and with Stopped when there is no space. Errors are those of
// Commit; with an error it is not known whether any of it happened.
func (n *Namespace) CommitEach(ctx context.Context, count int, run func(i int, t *Tx) error, failed func(i int, err error, t *Tx) error) (Series, error) {
	var s Series
	receipt, err := n.enqueue(&job{ctx: ctx, apart: true, done: make(chan struct{}), do: func(g *group) error {
		if g.n.c.Joining {
			return ErrJoining
		}
		for i := range count {
			err := g.transact(func(t *Tx) error { return run(i, t) })
			switch {
			case isDamage(err):
				return err
			case errors.Is(err, ErrDiskFull):
				s.Stopped = err
				return nil
			case err != nil && failed != nil:
				if s.Stopped = g.transact(func(t *Tx) error { return failed(i, err, t) }); s.Stopped != nil {
					return nil //nolint:nilerr // it is in Stopped
				}
			}
			if s.Errs = append(s.Errs, err); g.large != nil || g.bytes >= maxGroupBytes {
				return nil
			}
		}
		return nil
	}})
	s.Receipt = receipt
	return s, err
}

// transact runs fn as one transaction of the group.
func (g *group) transact(fn func(*Tx) error) error {
	t := g.begin()
	if err := fn(t); err != nil {
		return err
	}
	return t.end()
}
