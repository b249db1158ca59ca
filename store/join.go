package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Errors of Join.
var (
	// ErrIncomplete is returned when entries that the join names were never staged.
	ErrIncomplete = errors.New("store: a streamed entry was not staged")
	// ErrFork is returned when the other side covers a seq of this replica's own id that it did
	// not issue: the id is in use twice.
	ErrFork = errors.New("store: a peer knows changes under this replica's id that it never made")
)

// StateJoin is what a receiver learned from one snapshot of another replica: the two clocks that
// the session fixed, and the sets that tell what is live there. The sets are joined with the
// state as it is when Join runs, and never reduced to a list of edits before: the copy goes on
// changing while a session runs.
type StateJoin struct {
	// From is the receiver's clock when it asked.
	From crdt.VersionVector
	// To is the clock of the sender's snapshot.
	To   crdt.VersionVector
	Runs delta.Runs
	// Past is what the sender knows of runs before those of Runs.
	Past delta.Past
	// Streamed holds the dots of all entries live in the snapshot and not covered by From. All
	// of them must be staged.
	Streamed *delta.DotSet
	// Killed holds dots ≤ min(From, To) that were live here at From and are dead in the snapshot.
	Killed *delta.DotSet
}

// stateJoin is a StateJoin at work: Clock is the receiver's clock when it began.
type stateJoin struct {
	StateJoin
	Clock crdt.VersionVector
}

func appendStateJoin(b []byte, j *stateJoin) []byte {
	b = appendBytes(b, delta.AppendClock(nil, j.From))
	b = appendBytes(b, delta.AppendClock(nil, j.To))
	b = appendBytes(b, delta.AppendClock(nil, j.Clock))
	b = appendBytes(b, delta.AppendRuns(nil, j.Runs))
	b = appendBytes(b, delta.AppendDotSet(nil, j.Streamed))
	b = appendBytes(b, delta.AppendDotSet(nil, j.Killed))
	for _, r := range slices.Sorted(maps.Keys(j.Past)) {
		for _, run := range j.Past[r] {
			b = appendRun(binary.AppendUvarint(b, uint64(r)), run)
		}
	}
	return b
}

func decodeStateJoin(r *reader) (*stateJoin, error) {
	j := &stateJoin{}
	var errs [6]error
	j.From, _, errs[0] = delta.DecodeClock(r.bytes())
	j.To, _, errs[1] = delta.DecodeClock(r.bytes())
	j.Clock, _, errs[2] = delta.DecodeClock(r.bytes())
	j.Runs, _, errs[3] = delta.DecodeRuns(r.bytes())
	j.Streamed, _, errs[4] = delta.DecodeDotSet(r.bytes())
	j.Killed, _, errs[5] = delta.DecodeDotSet(r.bytes())
	j.Past = delta.Past{}
	for len(r.b) > 0 && r.err == nil {
		id := crdt.ReplicaID(r.uint())
		j.Past[id] = j.Past.With(id, r.run())
	}
	if err := errors.Join(append(errs[:], r.err)...); err != nil {
		return nil, fmt.Errorf("%w: redo record: %w", ErrDamaged, err)
	}
	return j, nil
}

// Stage keeps entries of a session until Join, in a cache by dot that survives the session and a
// restart. Staging says nothing about liveness. It returns delta.ErrMalformed for an entry that
// nobody may hold, and then keeps none.
func (n *Namespace) Stage(entries []crdt.Entry) error {
	if f := n.failed.Load(); f != nil {
		return f.err
	}
	if err := n.spaceFor(forReplication); err != nil {
		return err
	}
	for _, e := range entries {
		if err := cmp.Or(delta.ValidateEntry(e), delta.ValidateValue(e)); err != nil {
			return err
		}
	}
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	if n.isClosed() {
		return ErrClosed
	}
	var b Batch
	for _, e := range entries {
		if !n.staged.Contains(e.Dot) {
			b.Put(n.keys.staged(e.Path, e.Dot), delta.AppendEntry(nil, e))
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if n.stagedOf.moved {
		b.Put(n.keys.stagedOf(), n.stagedOf.append(nil))
	}
	if err := applySync(n.backend, &b); err != nil {
		return err
	}
	n.stagedOf.moved = false
	for _, e := range entries {
		if n.staged.Add(e.Dot) {
			n.stagedBytes += len(e.Value)
		}
	}
	return nil
}

// Staged returns the dots in the cache, in a set of the caller's own.
func (n *Namespace) Staged() *delta.DotSet {
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	return n.staged.Clone()
}

// Join joins the state that a session brought, atomically: with c the clock as it is then, an
// entry live here dies iff it is in Killed, or covered by To and neither covered by From nor in
// Streamed; a streamed entry is added iff c does not cover it; then the clock becomes the maximum
// of c and To. It returns when that is durable. The cache is empty afterwards.
//
// It returns ErrIncomplete when a streamed entry is missing, ErrFork, and delta.ErrMalformed for
// clocks and sets that contradict each other; all of them change nothing.
func (n *Namespace) Join(ctx context.Context, s StateJoin) error {
	return n.submitAlone(ctx, func() error {
		if err := n.spaceFor(forReplication); err != nil {
			return err
		}
		if s.To[n.c.Replica] > n.c.clock[n.c.Replica] {
			return ErrFork
		}
		if !n.c.clock.CoversAll(s.From) || s.Streamed.Uncovered(s.To).Len() > 0 { // I2
			return fmt.Errorf("%w: a join from %v streams more than its clock covers", delta.ErrMalformed, s.From)
		}
		j := &stateJoin{StateJoin: s, Clock: n.c.clock.Clone()}
		n.stagedMu.Lock()
		missing := j.fresh().AndNot(n.staged).Len()
		stagedBytes := n.stagedBytes
		n.stagedMu.Unlock()
		if missing > 0 {
			return fmt.Errorf("%w: %d of them", ErrIncomplete, missing)
		}
		if h := n.c.heal; h != nil && h.Stage == healNothing {
			if _, ok := h.forkIn(&s); !ok {
				return fmt.Errorf("%w: %v up to %d", ErrNoProof, h.Replica, s.To[h.Replica])
			}
		}
		var err error
		if n.doomed(j).Len()+j.fresh().Len() <= uint64(n.opts.LargeEntries) && stagedBytes <= maxPieceBytes {
			err = n.joinAtOnce(j)
		} else {
			err = n.applyLarge(largeChange{Join: j})
		}
		if err != nil {
			return err
		}
		if err := n.finishHealing(); err != nil {
			return err
		}
		return n.acceptBequest()
	})
}

// fresh are the streamed entries to add.
func (j *stateJoin) fresh() *delta.DotSet { return j.Streamed.Uncovered(j.Clock) }

// doomed are the entries live here that the join kills.
func (n *Namespace) doomed(j *stateJoin) *delta.DotSet {
	return n.live.CutAt(j.To).Uncovered(j.From).AndNot(j.Streamed).Or(n.live.And(j.Killed))
}

// joinAtOnce joins in one batch.
func (n *Namespace) joinAtOnce(j *stateJoin) error {
	g := n.newGroup()
	for d := range n.doomed(j).All() {
		if err := g.killDots([]crdt.Dot{d}); err != nil {
			return err
		}
	}
	if err := g.addStaged(j, "", math.MaxInt, math.MaxInt, nil); err != nil {
		return err
	}
	return n.endJoin(g, j)
}

// runJoin joins piece by piece, under a redo record.
func (n *Namespace) runJoin(j *stateJoin) error {
	if err := n.killPieces(n.doomed(j)); err != nil {
		return err
	}
	if n.live.Len() == 0 {
		n.c.base.absentFrom = new(crdt.Path)
		defer func() { n.c.base.absentFrom = nil }()
	}
	for after := ""; ; {
		g := n.newGroup()
		var last string
		if err := g.addStaged(j, after, n.opts.LargeEntries, maxPieceBytes, &last); err != nil {
			return err
		}
		if last == "" {
			break
		}
		g.noteSettles()
		if err := n.applyPiece(g); err != nil {
			return err
		}
		if paths := g.over.order; n.c.base.absentFrom != nil && len(paths) > 0 {
			*n.c.base.absentFrom = max(*n.c.base.absentFrom, slices.Max(paths)+"\x00")
		}
		after = last
	}
	g := n.newGroup()
	g.side.Delete(n.keys.redo())
	return n.endJoin(g, j)
}

func (n *Namespace) killPieces(doomed *delta.DotSet) error {
	g := n.newGroup()
	killed := 0
	for d := range doomed.All() {
		if err := g.killDots([]crdt.Dot{d}); err != nil {
			return err
		}
		if killed++; killed < n.opts.LargeEntries && g.over.bytes < maxPieceBytes {
			continue
		}
		g.noteSettles()
		if err := n.applyPiece(g); err != nil {
			return err
		}
		g, killed = n.newGroup(), 0
	}
	g.noteSettles()
	return n.applyPiece(g)
}

// noteSettles writes down which counters a piece touched: once the clock has moved they are
// looked at.
func (g *group) noteSettles() {
	for _, p := range g.over.order {
		if crdt.Settles(p.LeafType()) {
			g.noteSettle(p)
		}
	}
}

// addStaged puts the staged entries that the join adds into the group: those behind the key
// after, limit of them, until maxBytes are touched. last becomes the key of the last one that was looked at, "" at the end.
func (g *group) addStaged(j *stateJoin, after string, limit, maxBytes int, last *string) error {
	n := g.n
	lower, upper := n.keys.table('s')
	if after != "" {
		lower = after + "\x00"
	}
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	it, err := snap.Iterate(lower, upper)
	if err != nil {
		return err
	}
	defer it.Close()
	for seen := 0; seen < limit && g.over.bytes < maxBytes && it.Next(); seen++ {
		if last != nil {
			*last = it.Key()
		}
		e, _, err := delta.DecodeEntry(it.Value())
		if err != nil {
			return fmt.Errorf("%w: staged entry: %w", ErrDamaged, err)
		}
		if j.Clock.Covers(e.Dot) || !j.Streamed.Contains(e.Dot) || n.live.Contains(e.Dot) {
			continue
		}
		if err := g.over.edit(e.Path, crdt.Edit{Add: []crdt.Entry{e}}, g.stamp); err != nil {
			return err
		}
		g.observe(e.Time)
	}
	return it.Err()
}

// endJoin moves the clock: from here on what is absent is dead.
func (n *Namespace) endJoin(g *group, j *stateJoin) error {
	for r, seq := range j.To {
		if g.clock[r] < seq {
			g.clock[r] = seq
			g.since[r] = seq
		}
	}
	delete(g.since, n.c.Replica)
	for r, run := range j.Runs {
		g.learnRun(r, run, g.clock[r])
	}
	for r, runs := range j.Past {
		for _, run := range runs {
			if run != g.latestRun(r) {
				g.remember(r, run)
			}
		}
	}
	for r, seq := range j.To {
		if n.c.clock[r] < seq {
			n.c.floors[r] = seq // the units in between were never seen here
		}
	}
	switch {
	case n.c.heal != nil:
		g.noteJoin(j)
	case len(j.To) > 0: // else nobody has told anything
		n.c.Joining = false
	}
	g.joined = true
	g.side.DeleteRange(n.keys.table('s'))
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	if err := n.commitGroup(g); err != nil {
		return err
	}
	n.staged, n.stagedBytes = delta.NewDotSet(), 0
	return nil
}
