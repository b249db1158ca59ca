package store

import (
	"fmt"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// buildLog appends the group to the log, and takes its oldest records off when it is beyond its
// bounds. A record is found by its commit, and by the last seq that it holds of each origin.
func (g *group) buildLog(b *Batch) error {
	n := g.n
	record := appendLogRecord(nil, logRecord{Time: n.opts.Now(), Joined: g.joined, Objects: g.over.objects(), Units: g.units, Amounts: g.amounts, Issuers: g.issuers(), Taken: g.taken})
	b.Put(n.keys.log(g.stamp.Commit), record)
	n.c.LogBytes += uint64(len(record))
	last := crdt.VersionVector{}
	for _, u := range g.units {
		last[u.Origin] = u.Last
	}
	for _, r := range last.Replicas() {
		b.Put(n.keys.logIndex(crdt.Dot{Replica: r, Seq: last[r]}), appendCommit(g.stamp.Commit))
	}
	return n.truncateLog(b)
}

// buildPieceLog writes the objects that a piece of a large change touched under the number of the
// commit that ends it. A change that is run again is another run: it overwrites nothing.
func (g *group) buildPieceLog(b *Batch) {
	objects := g.over.objects()
	if len(objects) == 0 {
		return
	}
	c := &g.n.c
	c.pieces++
	record := appendLogRecord(nil, logRecord{Time: g.n.opts.Now(), Objects: objects})
	b.Put(g.n.keys.logPiece(Position{Commit: g.stamp.Commit, Run: c.nonce, Piece: c.pieces}), record)
	c.LogBytes += uint64(len(record))
}

// issuers returns the runs that issued the group's units. The latest runs are in the committer's state
// already.
func (g *group) issuers() []issuer {
	var all []issuer
	seen := map[issuer]bool{}
	for _, u := range g.units {
		i := issuer{u.Origin, issuerOf(u, append(g.passed[u.Origin], issuer{u.Origin, g.n.c.runs[u.Origin]}))}
		if !seen[i] && i.Run != (delta.Run{}) {
			seen[i] = true
			all = append(all, i)
		}
	}
	return all
}

// truncateLog drops the oldest records while the log is too large or they are too old. To keep
// this off most commits it waits until an eighth of the bound can go at once.
func (n *Namespace) truncateLog(b *Batch) error {
	c := &n.c
	tooLarge := c.LogBytes > n.opts.MaxLogBytes+n.opts.MaxLogBytes/8
	if !tooLarge && c.Commit%logAgeEvery != 0 {
		return nil
	}
	oldest := n.opts.Now().Add(-n.opts.MaxLogAge)
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	first := c.LogFirst
	it, err := snap.Iterate(n.keys.log(first), prefixEnd(n.keys.log(first)[:len(n.keys)+3]))
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		at, ok := n.keys.positionOf(it.Key())
		if !ok {
			return fmt.Errorf("%w: log key %q", ErrDamaged, it.Key())
		}
		if at.Commit == c.Commit {
			break // pieces of the commit that is being made
		}
		if at.Piece > 0 { // goes with its commit
			c.LogBytes -= uint64(len(it.Value()))
			continue
		}
		l, err := decodeLogRecord(it.Value())
		if err != nil {
			return err
		}
		if c.LogBytes <= n.opts.MaxLogBytes && !l.Time.Before(oldest) {
			break
		}
		if n.unheld(l) && c.LogBytes <= n.opts.MaxUnheldBytes {
			break
		}
		n.forget(b, l)
		c.LogBytes -= uint64(len(it.Value()))
		c.LogFirst = at.Commit + 1
	}
	if c.LogFirst > first {
		b.DeleteRange(n.keys.log(first), n.keys.log(c.LogFirst))
	}
	return it.Err()
}

// unheld reports whether a record has units of this replica that no peer is known to hold, though
// one is known.
func (n *Namespace) unheld(l logRecord) bool {
	c := &n.c
	return c.held > 0 && slices.ContainsFunc(l.Units, func(u delta.Unit) bool { return u.Origin == c.Replica && u.Last > c.held })
}

// Held says that a peer holds this replica's units up to seq, all of them as they were issued here.
// The log may then let go of them.
func (n *Namespace) Held(seq uint64) {
	for {
		known := n.held.Load()
		if seq <= known || n.held.CompareAndSwap(known, seq) {
			return
		}
	}
}

func readHeld(g getter, keys keyspace) (uint64, error) {
	v, ok, err := g.Get(keys.held())
	if err != nil || !ok {
		return 0, err
	}
	return decodeCommit(v)
}

// logAgeEvery is the number of commits between two looks at the age of the log.
const logAgeEvery = 1024

// forget raises the floors above the units of a record that leaves the log.
func (n *Namespace) forget(b *Batch, l logRecord) {
	last := crdt.VersionVector{}
	for _, u := range l.Units {
		last[u.Origin] = u.Last
	}
	for _, r := range last.Replicas() {
		b.Delete(n.keys.logIndex(crdt.Dot{Replica: r, Seq: last[r]}))
		n.raiseFloor(b, r, last[r])
	}
}

func (n *Namespace) raiseFloor(b *Batch, r crdt.ReplicaID, seq uint64) {
	c := &n.c
	if c.floors[r] >= seq {
		return
	}
	c.floors[r] = seq
	b.Put(n.keys.clock(r), appendComponent(nil, c.component(r, c.clock[r])))
}
