package http

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// Pauses between two rounds of asking in which nobody gave anything.
const (
	firstRound = 50 * time.Millisecond
	lastRound  = time.Second
)

// commitAsking is commit for what needs rights to a bounded counter. While they are missing it asks
// peers for them, as long as the client prefers to wait.
func (r *request) commitAsking(key string, fn func(tx Tx, seen crdt.VersionVector) (any, error)) (*reply, error) {
	pause := firstRound
	for {
		rep, err := r.commit(fn)
		var p *Problem
		if !errors.As(err, &p) || p.lacks.IsZero() {
			return rep, err
		}
		again, asked := r.askPeers(key, p.lacks, &pause)
		if asked != nil {
			return nil, asked
		}
		if !again {
			return nil, err
		}
	}
}

// gather sees to it that amount may be taken here: 200 when that is so, 202 when not.
func (r *request) gather(key string, amount int64) (*reply, error) {
	leaf := crdt.Object(crdt.Bounded, key).Leaf(crdt.Bounded)
	rep, err := r.commitAsking(key, func(tx Tx, _ crdt.VersionVector) (any, error) {
		b, _, err := showBounded(tx, key)
		if err != nil {
			return nil, err
		}
		if lacks := crdt.Int128Of(amount).Sub(crdt.Int128(b.Rights)); lacks.Cmp(crdt.Int128{}) > 0 {
			return nil, lacking(b, crdt.Int128Of(amount))
		}
		return b, r.writtenTag(tx, leaf)
	})
	var p *Problem
	if !errors.As(err, &p) || p.lacks.IsZero() {
		return rep, err
	}
	v, err := r.ns.View(r.http.Context())
	if err != nil {
		return nil, err
	}
	defer v.Close()
	b, _, err := showBounded(v, key)
	if err != nil {
		return nil, err
	}
	if rep, err = r.reply(v.Clock(), b, nil); err != nil {
		return nil, err
	}
	rep.status = http.StatusAccepted
	return rep, r.acknowledge(rep, r.ns, r.ns.Replica(), v.Clock())
}

// askPeers has peers asked for rights once, waits until what they gave has arrived, or for a pause if
// they gave nothing, and reports whether it is worth another look. It is not when the client does not
// wait, or has waited long enough. An error is returned when the client has gone or the daemon is
// shutting down.
func (r *request) askPeers(key string, lacks crdt.Int128, pause *time.Duration) (again bool, err error) {
	c := r.backend.cluster
	left := time.Until(r.began.Add(r.wait))
	if r.wait == 0 || c == nil || left <= 0 || c.Halted(r.ns.Name()) != "" {
		r.applied = r.applied || r.waits
		return false, nil
	}
	defer r.handler.waiters.Add(-1)
	if r.handler.waiters.Add(1) > maxWaiters {
		return false, nil
	}
	r.applied = true
	// The limit of time for reading a request is not one for waiting.
	_ = r.control.SetReadDeadline(time.Now().Add(left + headerTimeout))
	ctx, cancel := context.WithTimeout(r.http.Context(), left)
	defer cancel()
	defer context.AfterFunc(r.handler.drained, cancel)()
	holders, err := r.holders(ctx, key)
	if err != nil {
		return false, r.waitEnded(ctx, err)
	}
	amount, ok := lacks.Int64()
	if !ok {
		amount = math.MaxInt64
	}
	given, clock, err := c.AskRights(ctx, r.ns.Name(), key, amount, holders)
	if err != nil {
		return false, nil // nobody to ask: what was missing is still missing
	}
	if given > 0 {
		err = r.ns.WaitFor(ctx, clock)
		*pause = firstRound
	} else {
		err = sleep(ctx, *pause)
		*pause = min(2**pause, lastRound)
	}
	return err == nil, r.waitEnded(ctx, err)
}

// waitEnded returns nil for an error that only says that the time of Prefer: wait is over.
func (r *request) waitEnded(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case r.http.Context().Err() != nil:
		return r.http.Context().Err()
	case r.handler.drained.Err() != nil:
		return kindShuttingDown.with("the daemon is shutting down").setHeader("Retry-After", "1")
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the time that the client gave is over: what came, came
	}
	return err
}

// holders returns the other replicas with rights, those with most of them first.
func (r *request) holders(ctx context.Context, key string) ([]crdt.ReplicaID, error) {
	v, err := r.ns.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	live, err := v.Entries(crdt.Object(crdt.Bounded, key).Leaf(crdt.Bounded))
	if err != nil {
		return nil, err
	}
	x, err := crdt.ReadEscrow(live)
	if err != nil {
		return nil, err
	}
	delete(x.Rights, v.Replica())
	var ids []crdt.ReplicaID
	for id := range x.Rights {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b crdt.ReplicaID) int { return x.Rights[b].Cmp(x.Rights[a]) })
	return ids, nil
}

// sleep waits, and returns the context's error if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
