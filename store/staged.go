package store

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// stagedHistory is what senders told of the entries that are staged: a dot names the same entry only in one
// history, and the disk of a replica may have been rolled back between two sessions.
type stagedHistory struct {
	clock crdt.VersionVector
	runs  map[crdt.ReplicaID][]delta.Run // ascending, the latest among them; replaced, not written
	moved bool                           // not written since it changed
}

func (k keyspace) stagedOf() string { return string(k) + "/m/staged" }

func (h stagedHistory) append(b []byte) []byte {
	latest, past := delta.Runs{}, []byte(nil)
	for _, r := range slices.Sorted(maps.Keys(h.runs)) {
		before := len(h.runs[r]) - 1
		latest[r] = h.runs[r][before]
		for _, run := range h.runs[r][:before] {
			past = appendRun(binary.AppendUvarint(past, uint64(r)), run)
		}
	}
	b = append(b, valueVersion)
	return append(appendBytes(appendBytes(b, delta.AppendClock(nil, h.clock)), delta.AppendRuns(nil, latest)), past...)
}

func readStagedHistory(g getter, keys keyspace) (h stagedHistory, err error) {
	h = stagedHistory{clock: crdt.VersionVector{}, runs: map[crdt.ReplicaID][]delta.Run{}}
	v, ok, err := g.Get(keys.stagedOf())
	if err != nil || !ok {
		return h, err
	}
	r := newReader(v)
	clock, latest := r.bytes(), r.bytes()
	for len(r.b) > 0 {
		id := crdt.ReplicaID(r.uint())
		h.runs[id] = append(h.runs[id], r.run())
	}
	if err := r.finish(); err != nil {
		return h, err
	}
	if h.clock, _, err = delta.DecodeClock(clock); err != nil {
		return h, err
	}
	runs, _, err := delta.DecodeRuns(latest)
	for id, run := range runs {
		h.runs[id] = append(h.runs[id], run)
	}
	return h, err
}

// follow takes over what a sender tells, and returns the replicas of which it tells another history. Of replicas
// that neither have staged entries nor are told of, nothing is kept: senders may name any number of them.
func (h *stagedHistory) follow(staged []crdt.ReplicaID, to crdt.VersionVector, runs delta.Runs, past delta.Past) (other map[crdt.ReplicaID]bool) {
	clock, known := crdt.VersionVector{}, map[crdt.ReplicaID][]delta.Run{}
	for _, r := range staged {
		if seq, ok := h.clock[r]; ok {
			clock[r] = seq
		}
		if told, ok := h.runs[r]; ok {
			known[r] = told
		}
	}
	for r, seq := range to {
		var told []delta.Run
		if run := runs[r]; run != (delta.Run{}) {
			told = append(slices.Clone(past[r]), run)
		}
		if parted(clock[r], known[r], told) || parted(seq, told, known[r]) {
			if other == nil {
				other = map[crdt.ReplicaID]bool{}
			}
			other[r] = true
			clock[r] = 0
			delete(known, r)
		}
		clock[r] = max(clock[r], seq)
		if len(told) > 0 && (len(known[r]) == 0 || known[r][len(known[r])-1].First < told[len(told)-1].First) {
			known[r] = told
		}
	}
	h.moved = h.moved || clock.Compare(h.clock) != crdt.Equal || !maps.EqualFunc(known, h.runs, slices.Equal)
	h.clock, h.runs = clock, known
	return other
}

// parted reports whether one side, which has come to seq in its runs, does not have a run of the other that began by
// then. Runs ascend; those before the first are not known.
func parted(seq uint64, runs, others []delta.Run) bool {
	return slices.ContainsFunc(others, func(run delta.Run) bool {
		return len(runs) > 0 && run.First >= runs[0].First && run.First <= seq && !slices.Contains(runs, run)
	})
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
	if other := n.stagedOf.follow(n.staged.Replicas(), to, runs, past); len(other) > 0 {
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
	if err := applySync(n.backend, &b); err != nil {
		return err
	}
	n.stagedOf.moved = false
	n.staged = n.staged.AndNot(gone)
	return nil
}
