package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A large change is applied in bounded batches. Before the first of them a redo record is made
// durable that says all of it; while it runs, readers keep the snapshot from before; the last
// batch moves the clock and removes the record. Every step can be taken twice, so a change that
// was cut off is simply run again when the copy is opened, before anybody can read it.

// largeChange is one unit with a prefix kill over many entries, or a join of a whole state.
type largeChange struct {
	Unit    *delta.Unit
	Amounts []amount
	Taken   []taken
	Runs    delta.Runs
	Join    *stateJoin
	Sides   []sideEdit // of the transaction that made Unit
}

const (
	redoUnit = 1
	redoJoin = 2
)

func appendLargeChange(b []byte, l largeChange) []byte {
	b = append(b, valueVersion)
	if l.Join != nil {
		return appendStateJoin(append(b, redoJoin), l.Join)
	}
	b = appendBytes(append(b, redoUnit), delta.AppendUnit(nil, *l.Unit))
	b = appendBytes(b, delta.AppendRuns(nil, l.Runs))
	b = appendBytes(b, appendLogRecord(nil, logRecord{Amounts: l.Amounts, Taken: l.Taken}))
	if len(l.Sides) == 0 {
		return b // as versions without side records wrote it
	}
	return appendSideEdits(b, l.Sides)
}

func decodeLargeChange(v []byte) (l largeChange, err error) {
	r := newReader(v)
	switch r.uint() {
	case redoUnit:
		u, err := delta.DecodeUnit(r.bytes())
		if err != nil {
			return l, fmt.Errorf("%w: redo record: %w", ErrDamaged, err)
		}
		l.Unit = &u
		if l.Runs, _, err = delta.DecodeRuns(r.bytes()); err != nil {
			return l, fmt.Errorf("%w: redo record: %w", ErrDamaged, err)
		}
		record, err := decodeLogRecord(r.bytes())
		if l.Amounts, l.Taken = record.Amounts, record.Taken; err == nil && len(r.b) > 0 {
			l.Sides = r.sideEdits()
			err = r.finish()
		}
		return l, err
	case redoJoin:
		l.Join, err = decodeStateJoin(r)
		return l, err
	}
	r.fail()
	return l, r.err
}

// recover finishes what was cut off, before the copy has readers.
func (n *Namespace) recover() error {
	v, ok, err := n.backend.Get(n.keys.redo())
	if err != nil || !ok {
		return err
	}
	l, err := decodeLargeChange(v)
	if err != nil {
		return err
	}
	n.opts.Event(Event{Namespace: n.name, Kind: EventRedo, Detail: "finishing a large change that was cut off"})
	return n.runLarge(l)
}

// applyLarge makes a large change durable as a redo record and runs it.
func (n *Namespace) applyLarge(l largeChange) error {
	var b Batch
	b.Put(n.keys.redo(), appendLargeChange(nil, l))
	if err := applySync(n.backend, &b); err != nil {
		return err
	}
	if err := n.runLarge(l); err != nil {
		err = n.noteDamage(err)
		// Half of it is in the datastore: only a reopen, which finishes it, can answer again.
		err = fmt.Errorf("store: large change cut off, it is finished at the next start: %w", err)
		n.fail(err)
		return err
	}
	return nil
}

func (n *Namespace) runLarge(l largeChange) error {
	if err := n.pin(); err != nil {
		return err
	}
	n.disturb()
	var err error
	if l.Join != nil {
		err = n.runJoin(l.Join)
	} else {
		err = n.runUnit(l)
	}
	return errors.Join(err, n.c.waitPending())
}

// runUnit applies the prefix kills of a unit piece by piece, then the unit itself.
func (n *Namespace) runUnit(l largeChange) error {
	for _, k := range l.Unit.Kills {
		if k.Prefix == "" {
			continue
		}
		if err := n.killInPieces(prefixKill{prefix: k.Prefix, clock: k.Clock}); err != nil {
			return err
		}
	}
	g := n.newGroup()
	g.amounts, g.taken = l.Amounts, l.Taken
	g.putSides(l.Sides)
	for r, run := range l.Runs {
		g.learnRun(r, run, l.Unit.Last)
	}
	g.side.Delete(n.keys.redo())
	if err := g.joinRest(*l.Unit); err != nil {
		return err
	}
	if l.Unit.Origin == n.c.Replica {
		// Its dependencies hold all that changed before it.
		g.since = crdt.VersionVector{}
	}
	return n.commitGroup(g)
}

func (n *Namespace) killInPieces(k prefixKill) error {
	after := crdt.Path("")
	for {
		g := n.newGroup()
		paths, err := g.over.paths(k.prefix, after, n.opts.LargeEntries)
		if err != nil {
			return err
		}
		done := 0
		for ; done < len(paths) && g.over.bytes < maxPieceBytes; done++ {
			if err := g.hit(paths[done], k); err != nil {
				return err
			}
		}
		if err := n.applyPiece(g); err != nil {
			return err
		}
		if done == len(paths) && len(paths) < n.opts.LargeEntries {
			return nil
		}
		after = paths[done-1]
	}
}

// maxPieceBytes bounds what a piece touches, besides the number of its entries: values may be
// large.
const maxPieceBytes = 8 << 20

// applyPiece applies a bounded part of a large change: entries, index, heads and live bits move
// together, clock and log stay.
func (n *Namespace) applyPiece(g *group) error {
	var b Batch
	if err := g.buildEntries(&b); err != nil {
		return err
	}
	g.buildPieceLog(&b)
	n.c.HLC = n.c.hlc.Last
	b.Put(n.keys.meta(), appendMeta(nil, n.c.meta))
	for op := range g.side.Ops() {
		b.add(op)
	}
	wait, err := n.backend.Apply(&b)
	if err != nil {
		return err
	}
	n.mu.Lock()
	g.moveLive()
	n.mu.Unlock()
	// What comes next is built while this piece is written: pieces have to be durable no sooner than
	// the end of the change.
	err = n.c.waitPending()
	n.c.pending = wait
	return errors.Join(err, n.c.base.moved())
}

// waitPending returns when the piece before is durable.
func (c *committer) waitPending() error {
	if c.pending == nil {
		return nil
	}
	wait := c.pending
	c.pending = nil
	return wait()
}

// pin keeps the present state for readers until unpin. It does nothing if there is one.
func (n *Namespace) pin() error {
	if n.pinned != nil { // only the committer sets it
		return nil
	}
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pinned = newPinned(snap, n.applied)
	return nil
}

// disturb keeps sources away until unpin: the live bits are about to move piece by piece.
func (n *Namespace) disturb() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calm = make(chan struct{})
}

// unpin returns what was pinned, for release, or nil. The caller holds mu.
func (n *Namespace) unpin() *pinned {
	p := n.pinned
	n.pinned = nil
	if n.calm != nil {
		close(n.calm)
		n.calm = nil
	}
	return p
}

// unpinFailed releases the state from before when its successor did not come. That of a large
// change stays: half of the change is in the datastore.
func (n *Namespace) unpinFailed() error {
	n.mu.Lock()
	if n.calm != nil {
		n.mu.Unlock()
		return nil
	}
	p := n.unpin()
	n.mu.Unlock()
	return p.release()
}

// runSettles looks at counters that a large change left behind, a bounded number at a time.
func (n *Namespace) runSettles() {
	for n.c.purges > 0 && !n.c.Joining && n.failed.Load() == nil {
		j := &job{ctx: context.Background(), do: n.settlePage, done: make(chan struct{})}
		g := n.newGroup()
		if err := g.take(j); err != nil {
			j.end(err)
		}
		n.finish(g)
		if j.err != nil {
			return
		}
	}
}

const settlePage = 1024

func (n *Namespace) settlePage(g *group) error {
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	it, err := snap.Iterate(n.keys.table('p'))
	if err != nil {
		return err
	}
	defer it.Close()
	var paths []crdt.Path
	for len(paths) < settlePage && it.Next() {
		paths = append(paths, n.keys.pathOf(it.Key()))
		g.side.Delete(it.Key())
	}
	if err := it.Err(); err != nil {
		g.broken = err
		return err
	}
	n.c.purges -= len(paths)
	if len(paths) < settlePage {
		n.c.purges = 0 // a path that was noted twice was counted twice
	}
	g.broken = g.settle(paths)
	return g.broken
}
