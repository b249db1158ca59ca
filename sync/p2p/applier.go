package p2p

import (
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"github.com/anabranchdb/anabranch/delta"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// applier hands units to the copy, one call at a time. What comes while a call lasts is handed over
// in the next one together, so that it shares its fsync.
type applier struct {
	run     *copyRunner
	queue   *queue[sizedApply]
	waiting atomic.Int64 // bytes
}

type sizedApply struct {
	peersync.Apply
	bytes int64
}

func newApplier(c *copyRunner) *applier {
	return &applier{run: c, queue: newQueue[sizedApply]()}
}

func (a *applier) add(p peersync.Apply) {
	s := sizedApply{Apply: p}
	for _, u := range p.Units {
		s.bytes += int64(u.Size())
	}
	a.waiting.Add(s.bytes)
	a.queue.push(s)
}

// full reports whether so much waits that no more should come from gossip.
func (a *applier) full() bool {
	return a.waiting.Load() >= int64(a.run.node.opts.Limits.ApplyBytes)
}

// work is the goroutine of the applier. After a failure of the copy everything that waits is given
// back too: it would only follow a gap.
func (a *applier) work() {
	c := a.run
	for {
		queue := a.queue.take()
		for len(queue) > 0 {
			n, merged := merge(queue)
			err := c.copy.Apply(c.ctx, merged.Units, merged.Runs)
			if theirs(err) {
				err = a.oneByOne(queue[:n])
			}
			a.waiting.Add(-merged.bytes)
			queue = queue[n:]
			if c.ctx.Err() != nil {
				return
			}
			if err != nil {
				a.giveBack(append(queue, a.queue.take()...), err)
				break
			}
			c.inbox.refresh()
		}
		if !sleep(c.ctx, time.Time{}, a.queue.ready) {
			return
		}
	}
}

// theirs reports whether an apply failed for its units and not for the copy, which has taken the
// others.
func theirs(err error) bool {
	return errors.Is(err, delta.ErrMalformed) || errors.Is(err, delta.ErrGap)
}

// oneByOne finds out whose units were refused, by applying again what was merged: what went well is
// dropped as covered. It returns a failure of the copy.
func (a *applier) oneByOne(queue []sizedApply) error {
	c := a.run
	for _, s := range queue {
		err := c.copy.Apply(c.ctx, s.Units, s.Runs)
		if err != nil && !theirs(err) {
			return err
		}
		if err != nil {
			a.failed(err, s.From)
		}
	}
	return nil
}

func (a *applier) failed(err error, from peersync.PeerID) {
	c := a.run
	c.node.stats.applyFailures.Add(1)
	c.node.log.Warn("apply failed", "namespace", c.name, "err", err)
	c.inbox.refresh()
	c.inbox.force(peersync.ApplyFailed{Err: err, From: from})
}

func (a *applier) giveBack(rest []sizedApply, err error) {
	for _, s := range rest {
		a.waiting.Add(-s.bytes)
	}
	a.failed(err, "")
}

// maxApplyBytes is where merging stops.
const maxApplyBytes = 8 << 20

// merge joins the first n applies of a queue into one, as far as their runs agree.
func merge(queue []sizedApply) (n int, merged sizedApply) {
	merged = queue[0]
	if len(queue) == 1 {
		return 1, merged
	}
	merged.Units = append([]delta.Unit(nil), merged.Units...)
	merged.Runs = maps.Clone(merged.Runs)
	if merged.Runs == nil {
		merged.Runs = make(delta.Runs)
	}
	for n = 1; n < len(queue); n++ {
		next := queue[n]
		if merged.bytes+next.bytes > maxApplyBytes || !agree(merged.Runs, next.Runs) {
			break
		}
		merged.Units = append(merged.Units, next.Units...)
		merged.bytes += next.bytes
		maps.Copy(merged.Runs, next.Runs)
	}
	return n, merged
}

func agree(a, b delta.Runs) bool {
	for r, run := range b {
		if have, ok := a[r]; ok && have != run {
			return false
		}
	}
	return true
}
