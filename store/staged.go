package store

import (
	"maps"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// stagedHistory is what senders told of the entries that are staged: a dot names the same entry only in one
// history, and the disk of a replica may have been rolled back between two sessions.
type stagedHistory struct {
	clock crdt.VersionVector
	runs  delta.Runs
	moved bool // not written since it changed
}

func (k keyspace) stagedOf() string { return string(k) + "/m/staged" }

func (h stagedHistory) append(b []byte) []byte {
	b = append(b, valueVersion)
	return appendBytes(appendBytes(b, delta.AppendClock(nil, h.clock)), delta.AppendRuns(nil, h.runs))
}

func readStagedHistory(g getter, keys keyspace) (h stagedHistory, err error) {
	h = stagedHistory{clock: crdt.VersionVector{}, runs: delta.Runs{}}
	v, ok, err := g.Get(keys.stagedOf())
	if err != nil || !ok {
		return h, err
	}
	r := newReader(v)
	clock, runs := r.bytes(), r.bytes()
	if err := r.finish(); err != nil {
		return h, err
	}
	if h.clock, _, err = delta.DecodeClock(clock); err == nil {
		h.runs, _, err = delta.DecodeRuns(runs)
	}
	return h, err
}

// follow takes over what a sender tells, and returns the replicas of which it tells another history.
func (h *stagedHistory) follow(to crdt.VersionVector, runs delta.Runs, past delta.Past) (other map[crdt.ReplicaID]bool) {
	clock, latest := h.clock.Clone(), maps.Clone(h.runs)
	for r, seq := range to {
		known, run := latest[r], runs[r]
		if known != (delta.Run{}) && differ(clock[r], known, past[r], run) {
			if other == nil {
				other = map[crdt.ReplicaID]bool{}
			}
			other[r] = true
			clock[r], known = 0, delta.Run{}
		}
		clock[r] = max(clock[r], seq)
		if run.First > known.First {
			latest[r] = run
		}
	}
	h.moved = h.moved || clock.Compare(h.clock) != crdt.Equal || !maps.Equal(latest, h.runs)
	h.clock, h.runs = clock, latest
	return other
}

// differ reports whether a replica that had come to seq in the run known had another run by then.
func differ(seq uint64, known delta.Run, past []delta.Run, latest delta.Run) bool {
	for _, run := range past {
		if run.First > known.First && run.First <= seq {
			return true
		}
	}
	return latest != known && latest.First >= known.First && latest.First <= seq
}

// StagedOf returns the dots in the cache of which a sender with this clock, and these runs and past runs,
// holds the entries, in a set of the caller's own. What was staged of another history is forgotten.
func (n *Namespace) StagedOf(to crdt.VersionVector, runs delta.Runs, past delta.Past) (*delta.DotSet, error) {
	if err := n.followStaged(to, runs, past); err != nil {
		return nil, n.noteDamage(err)
	}
	return n.Staged(), nil
}

func (n *Namespace) followStaged(to crdt.VersionVector, runs delta.Runs, past delta.Past) error {
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	if n.isClosed() {
		return ErrClosed
	}
	if other := n.stagedOf.follow(to, runs, past); len(other) > 0 {
		return n.unstage(other)
	}
	return nil
}

// unstage forgets what is staged of some replicas. The caller holds stagedMu.
func (n *Namespace) unstage(of map[crdt.ReplicaID]bool) error {
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	gone := delta.NewDotSet()
	var b Batch
	err = walk(snap, n.keys, 's', func(key string, _ []byte) error {
		if d, ok := n.keys.dotOf(key); ok && of[d.Replica] {
			gone.Add(d)
			b.Delete(key)
		}
		return nil
	})
	if err != nil || b.Len() == 0 {
		return err
	}
	b.Put(n.keys.stagedOf(), n.stagedOf.append(nil))
	n.stagedOf.moved = false
	if err := applySync(n.backend, &b); err != nil {
		return err
	}
	n.staged = n.staged.AndNot(gone)
	return nil
}
