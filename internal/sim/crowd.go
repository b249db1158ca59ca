package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// crowd has several writers commit at once: the committer makes one commit of what they do. Every other crowd waits for
// units from others, which then are part of that.
func (n *node) crowd(rng *rand.Rand) {
	switch {
	case !n.up:
	case rng.IntN(2) == 0:
		n.waits = rng
	default:
		_ = n.together(rng, nil)
		n.settle()
	}
}

// asked is one request among others to the committer.
type asked struct {
	do       func(context.Context) (store.Receipt, error)
	receipt  store.Receipt
	err      error
	panicked any
}

// run makes the request, and tells by queued when it is in the queue, or over.
func (a *asked) run(queued *inQueue) {
	defer queued.tell()
	defer func() { a.panicked = recover() }()
	a.receipt, a.err = a.do(queued)
}

// inQueue is a context without an end. Who asks the committer looks for that end twice: before the request is in the
// queue, and when it is there.
type inQueue struct {
	context.Context
	looked int
	once   sync.Once
	there  chan struct{}
}

// Done returns nil.
func (q *inQueue) Done() <-chan struct{} {
	if q.looked++; q.looked == 2 {
		q.tell()
	}
	return nil
}

func (q *inQueue) tell() { q.once.Do(func() { close(q.there) }) }

// together has the committer do a few transactions, and among them apply what came from others. It returns the
// error of that. They come in this order: a transaction that does nothing puts them into the queue, one after the other, while
// it keeps the committer.
func (n *node) together(rng *rand.Rand, apply *peersync.Apply) error {
	var all []*asked
	var ts []*transaction
	before := n.ns.Clock()
	for range 2 + rng.IntN(4) {
		t := n.transaction(n.drawTogether(rng))
		ts = append(ts, t)
		all = append(all, &asked{do: func(ctx context.Context) (store.Receipt, error) {
			return n.ns.Commit(ctx, func(tx *store.Tx) error {
				if n.ns.Clock().Compare(before) == crdt.Equal {
					n.w.checkReader(n) // sees nothing of what has been done so far
				}
				return t.run(tx)
			})
		}})
	}
	writers := slices.Clone(all)
	brought := &asked{do: func(ctx context.Context) (store.Receipt, error) {
		return store.Receipt{}, n.copy.Apply(ctx, apply.Units, apply.Runs)
	}}
	if apply != nil {
		all = slices.Insert(all, rng.IntN(len(all)+1), brought)
	}
	var torn any
	n.disk.meanwhile = func() { // the datastore has it, and the committer has not said so
		defer func() {
			if p := recover(); p != nil {
				torn = p
			}
		}()
		if n.ns.Clock().Compare(before) == crdt.Equal {
			n.w.checkReader(n)
		}
	}
	var running sync.WaitGroup
	_, err := n.ns.Commit(context.Background(), func(*store.Tx) error {
		for _, a := range all {
			q := &inQueue{Context: context.Background(), there: make(chan struct{})}
			running.Go(func() { a.run(q) })
			<-q.there
		}
		return nil
	})
	running.Wait()
	if n.disk.meanwhile = nil; torn != nil {
		panic(torn)
	}
	for _, a := range all {
		if a.panicked != nil {
			panic(a.panicked)
		}
	}
	commits := map[uint64]int{}
	for i, a := range writers {
		if ts[i].before == nil { // it has not begun: for the reason why the first one failed
			a.err = errors.Join(a.err, err)
		}
		if n.ended(ts[i], a.err); a.err == nil {
			commits[a.receipt.Commit]++
		}
	}
	for _, writers := range commits {
		n.w.res.Groups += min(writers-1, 1)
	}
	return errors.Join(brought.err, err)
}

// drawTogether draws what one of several writers does: often what others do at the same time, too.
func (n *node) drawTogether(rng *rand.Rand) []op {
	var ops []op
	for range 1 + rng.IntN(3) {
		switch rng.IntN(8) {
		case 0, 1:
			ops = append(ops, op{what: increment, path: counters[0], amount: int64(1 + rng.IntN(10))})
		case 2:
			ops = append(ops, op{what: stock, path: seats, amount: int64(1 + rng.IntN(5))})
		case 3:
			if len(ops) == 0 { // if rights are missing, nothing may be kept of the transaction
				return []op{{what: empty, path: crdt.Object(crdt.Bounded, "seats")}}
			}
		default:
			ops = append(ops, n.draw(rng)...)
		}
	}
	return ops
}
