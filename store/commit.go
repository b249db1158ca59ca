package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Bounds of one group of commits.
const (
	maxGroupJobs  = 1024
	maxGroupBytes = 4 << 20
)

// Receipt is the answer to a commit.
type Receipt struct {
	// Clock covers the commit and everything that it saw. It is shared and must not be written.
	Clock crdt.VersionVector
	// Commit is the number of the commit in this copy.
	Commit uint64
}

// job is one request to the committer.
type job struct {
	ctx context.Context
	// claimed by whoever comes first: the committer that begins it, or the caller who gives up.
	claimed atomic.Bool
	// do runs on the committer: it adds to the group, or returns an error that ends this job alone.
	do func(g *group) error
	// apart: what do edits reaches the group only at its end.
	apart bool
	// alone, if set, runs instead of do, between two groups: it commits by itself.
	alone   func() error
	err     error
	panic   any
	receipt Receipt
	done    chan struct{}
}

// group is a commit in the making: jobs that share one batch and one fsync.
type group struct {
	n    *Namespace
	over *overlay
	jobs []*job
	// units are what the commit does, own and foreign, in order.
	units []delta.Unit
	// amounts are kept with own units; index by the unit's first seq.
	amounts []amount
	taken   []taken // the same
	clock   crdt.VersionVector
	runs    delta.Runs
	since   crdt.VersionVector
	bytes   int
	// stamp is that of the change that is being added.
	stamp Stamp
	// large is a unit too large for one batch: it ends the group and is applied after it.
	large *largeChange
	// broken is why nothing of the group may be committed: half of a unit is in it.
	broken error
	// ahead: that a foreign timestamp is far ahead of the clock has been told.
	ahead bool
	// joined marks the log record of a state join.
	joined bool
	side   Batch // further operations that jobs put into the commit
	// sides are the side records of transactions by their keys in the datastore, sideOrder those keys
	// in the order of their first write.
	sides     map[string]sideEdit
	sideOrder []string
	// passed are runs that were the latest known when the group began, or after, and no longer are.
	passed map[crdt.ReplicaID][]issuer
	// past holds the past runs of those replicas of which more is known than before.
	past delta.Past
	// born are the entries of foreign units of this group, which the index does not hold yet.
	born map[crdt.Dot]crdt.Path
	// What the batch does to the live dots, known once it is built.
	added, removed []crdt.Dot
}

// submit hands work to the committer, as part of a group, and waits for its end. It returns the
// context's error only when the work has not begun.
func (n *Namespace) submit(ctx context.Context, do func(g *group) error) (Receipt, error) {
	return n.enqueue(&job{ctx: ctx, do: do, done: make(chan struct{})})
}

// submitAlone hands work to the committer that makes its own commits.
func (n *Namespace) submitAlone(ctx context.Context, alone func() error) error {
	_, err := n.enqueue(&job{ctx: ctx, alone: alone, done: make(chan struct{})})
	return err
}

func (n *Namespace) enqueue(j *job) (Receipt, error) {
	if f := n.failed.Load(); f != nil {
		return Receipt{}, f.err
	}
	select {
	case n.queue <- j:
	case <-j.ctx.Done():
		return Receipt{}, j.ctx.Err()
	case <-n.quit:
		return Receipt{}, ErrClosed
	}
	select {
	case <-j.done:
	case <-n.stopped:
	case <-j.ctx.Done():
		if j.claim() {
			return Receipt{}, j.ctx.Err()
		}
		select {
		case <-j.done:
		case <-n.stopped:
		}
	}
	select {
	case <-j.done: // perhaps as the last act of the committer
	default:
		return Receipt{}, ErrClosed
	}
	if j.panic != nil {
		panic(j.panic)
	}
	return j.receipt, j.err
}

func (j *job) claim() bool { return j.claimed.CompareAndSwap(false, true) }

// run is the committer: it takes what waits, makes one commit of it, and answers.
func (n *Namespace) run() {
	defer close(n.stopped)
	defer n.timer.Stop()
	n.runSettles()
	for {
		n.arm()
		select {
		case <-n.quit:
			return
		case <-n.timer.C:
			n.wakeUp()
		case j := <-n.queue:
			for j != nil {
				if j.alone == nil {
					j = n.runGroup(j)
					continue
				}
				n.runAlone(j)
				j = nil
			}
		}
		n.runSettles()
	}
}

// runGroup makes one commit of j and of what waits behind it. It returns the job that ended the
// group because it must be alone.
func (n *Namespace) runGroup(j *job) (next *job) {
	g := n.newGroup()
	for j != nil && j.alone == nil {
		if j.claim() {
			if err := g.take(j); err != nil {
				j.end(err)
			}
		}
		j = nil
		if g.large == nil && g.broken == nil && len(g.jobs) < maxGroupJobs && g.bytes < maxGroupBytes {
			j = n.another()
		}
	}
	n.finish(g)
	return j
}

// another returns a job that waits, or nil. Before it gives up it lets whoever is about to ask run
// first: a sync that is shared by more writers costs each of them less.
func (n *Namespace) another() *job {
	for range 2 {
		select {
		case j := <-n.queue:
			return j
		default:
			runtime.Gosched()
		}
	}
	return nil
}

// runAlone runs a job between two groups.
func (n *Namespace) runAlone(j *job) {
	if !j.claim() {
		return
	}
	err := j.ctx.Err()
	if f := n.failed.Load(); f != nil {
		err = f.err
	}
	if err == nil {
		err = n.settle(j.alone())
	}
	j.end(err)
}

func (n *Namespace) newGroup() *group {
	return &group{n: n, over: newOverlay(n.c.base), clock: n.c.clock.Clone(), runs: delta.Runs{}, passed: map[crdt.ReplicaID][]issuer{}, past: delta.Past{},
		since: n.c.since.Clone(), stamp: Stamp{Commit: n.c.Commit + 1}, born: map[crdt.Dot]crdt.Path{}}
}

// take runs one job inside the group.
func (g *group) take(j *job) (err error) {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if f := g.n.failed.Load(); f != nil {
		return f.err
	}
	defer func() {
		if p := recover(); p != nil {
			j.panic, err = p, fmt.Errorf("store: panic in a commit: %v", p)
			if !j.apart {
				g.broken = err
			}
		}
	}()
	err = j.do(g)
	if err == nil {
		err = g.n.c.base.damage // that a transaction read and did not return
	}
	if err != nil {
		return g.n.noteDamage(err)
	}
	g.jobs = append(g.jobs, j)
	return nil
}

func (j *job) end(err error) {
	j.err = err
	close(j.done)
}

// finish commits the group, then the large unit that ended it, and answers all jobs.
func (n *Namespace) finish(g *group) {
	err := n.commitGroup(g)
	if err == nil && g.large != nil {
		small := len(g.jobs) - 1 // the last one brought the large unit
		n.answer(g.jobs[:small], nil)
		g.jobs = g.jobs[small:]
		err = n.applyLarge(*g.large)
	}
	n.answer(g.jobs, n.settle(err))
}

func (n *Namespace) answer(jobs []*job, err error) {
	v := n.durable.Load()
	for _, j := range jobs {
		if err == nil {
			j.receipt = Receipt{Clock: v.clock, Commit: v.commit}
		}
		j.end(err)
	}
}

// settle is what follows a commit that ended with err.
func (n *Namespace) settle(err error) error {
	if err == nil {
		return nil
	}
	err = n.noteDamage(err)
	if n.failed.Load() == nil {
		// It never became visible, but the committer's own state had moved.
		if rerr := n.reload(); rerr != nil {
			n.fail(errors.Join(err, n.noteDamage(rerr)))
		}
	}
	return err
}

// commitGroup makes the group durable.
func (n *Namespace) commitGroup(g *group) error {
	if g.broken != nil {
		return g.broken
	}
	if f := n.failed.Load(); f != nil {
		return f.err
	}
	if err := g.settleCounters(); err != nil {
		return err
	}
	if len(g.units) == 0 && g.side.Len() == 0 && len(g.sides) == 0 {
		return n.c.base.moved()
	}
	b, err := g.build()
	if err != nil {
		return err
	}
	return n.apply(b, g)
}

// apply makes a built batch visible and durable, with the committer's state as it has become.
//
// Readers keep the state from before while the datastore applies, which may take long when the
// disk is slow, and move in one step: with the batch that ends a large change from before it to
// behind it.
func (n *Namespace) apply(b *Batch, g *group) error {
	if err := n.pin(); err != nil {
		return err
	}
	wait, err := n.backend.Apply(b)
	if err != nil {
		return errors.Join(err, n.unpinFailed())
	}
	n.mu.Lock()
	g.moveLive()
	pinned := n.unpin()
	n.publish()
	v := n.applied
	n.mu.Unlock()
	if err := errors.Join(n.c.waitPending(), wait(), n.c.base.moved(), pinned.release()); err != nil {
		// It is visible and may be gone after a restart: nothing more may build on it.
		n.fail(fmt.Errorf("store: commit is not durable: %w", err))
		return err
	}
	n.announce(&v, g)
	return nil
}

// reload reads the committer's state again after a commit that failed before it was visible.
func (n *Namespace) reload() error {
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	nonce, hlc, returned := n.c.nonce, n.c.hlc.Last, n.c.returned
	if err := n.c.base.moved(); err != nil {
		return err
	}
	n.c = committer{}
	if err := n.load(); err != nil {
		return err
	}
	n.c.returned = returned
	n.c.nonce, n.c.hlc.Last = nonce, max(hlc, n.c.hlc.Last)
	return nil
}

// fail ends all service of the copy.
func (n *Namespace) fail(err error) {
	if n.failed.CompareAndSwap(nil, &failure{err}) {
		close(n.dead)
		kind := EventFailed
		if isDamage(err) {
			kind = EventDamaged
		}
		n.opts.Event(Event{Namespace: n.name, Kind: kind, Detail: err.Error()})
	}
}

// noteDamage sets the copy aside when err says that what is stored cannot be trusted: damage is
// never read as absence (I6).
func (n *Namespace) noteDamage(err error) error {
	if isDamage(err) && n.failed.Load() == nil {
		why := err
		if !errors.Is(err, ErrDamaged) {
			why = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		n.fail(fmt.Errorf("namespace %q is set aside: %w", n.name, why))
		n.setAside()
	}
	return err
}
