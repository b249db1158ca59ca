package sync

import (
	"maps"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// maxOrigins bounds the replicas whose units wait: each is looked at with every event.
const maxOrigins = 1024

// pending holds units that came before their predecessors or dependencies, within bounds. What
// does not fit is dropped: repair brings it.
type pending struct {
	maxUnits, maxBytes int

	units, bytes int
	oldest       time.Time // ≤ the arrival of every unit held; the zero time when empty
	queues       map[crdt.ReplicaID][]*waiting
}

// waiting is a unit in a queue, ascending by First.
type waiting struct {
	unit  delta.Unit
	run   delta.Run // of its origin, zero if unknown
	from  PeerID
	at    time.Time
	bytes int
	lacks crdt.Dot // a dependency that was missing when it was last looked at
}

// ready reports whether clock covers all dependencies. They may be many, so the one that is missing is
// looked at first the next time.
func (w *waiting) ready(clock crdt.VersionVector) bool {
	if w.lacks.Seq > clock[w.lacks.Replica] {
		return false
	}
	for r, s := range w.unit.Deps {
		if s > clock[r] {
			w.lacks = crdt.Dot{Replica: r, Seq: s}
			return false
		}
	}
	return true
}

// add takes w in unless it is there already or does not fit.
func (p *pending) add(w *waiting) {
	if p.units >= p.maxUnits || p.bytes+w.bytes > p.maxBytes {
		return
	}
	q := p.queues[w.unit.Origin]
	if len(q) == 0 && len(p.queues) == maxOrigins {
		return
	}
	i, found := slices.BinarySearchFunc(q, w.unit.First, func(a *waiting, first uint64) int {
		switch {
		case a.unit.First < first:
			return -1
		case a.unit.First > first:
			return 1
		}
		return 0
	})
	if found {
		return
	}
	if p.queues == nil {
		p.queues = map[crdt.ReplicaID][]*waiting{}
	}
	p.queues[w.unit.Origin] = slices.Insert(q, i, w)
	if p.units == 0 {
		p.oldest = w.at
	}
	p.units++
	p.bytes += w.bytes
}

// take removes and returns units that can be applied in this order at clock, which it raises,
// at most maxBytes of them (but one in any case), and drops what clock covers, and what follows in another
// history than that of the clock: runs are those that issued its components, as far as they are known, and are
// brought along. What is next and may never be applied is bad.
func (p *pending) take(clock crdt.VersionVector, runs delta.Runs, maxBytes int) (out, bad []*waiting) {
	for progress := true; progress && maxBytes > 0; {
		progress = false
		for _, r := range slices.Sorted(maps.Keys(p.queues)) {
			q, n := p.queues[r], 0
			for n < len(q) && maxBytes > 0 {
				u := &q[n].unit
				at := clock[r]
				if at < u.First {
					if at != u.First-1 || !q[n].ready(clock) {
						break
					}
					if killsAhead(u, clock) {
						bad = append(bad, q[n])
						n++
						continue
					}
					if !follows(q[n].run, runs[r]) {
						n++ // its predecessor was lost, and its seq used again: no hint of anything
						continue
					}
					if q[n].run != (delta.Run{}) {
						runs[r] = q[n].run
					}
					clock[r] = u.Last
					maxBytes -= q[n].bytes
					out = append(out, q[n])
					progress = true
				} // else it is covered, or the clock stands inside it: it can never be applied
				n++
			}
			p.drop(r, n)
		}
	}
	return out, bad
}

// follows reports whether a run may issue a seq behind one of the run before, in one history. The zero run is
// not known.
func follows(run, before delta.Run) bool {
	return run == (delta.Run{}) || run == before || run.First > before.First
}

// killsAhead reports whether u, which is next at clock, kills what its origin cannot have seen: its
// predecessor and its dependencies cover all that it has.
func killsAhead(u *delta.Unit, clock crdt.VersionVector) bool {
	return slices.ContainsFunc(u.Kills, func(k delta.Kill) bool {
		ahead := func(d crdt.Dot) bool { return !clock.Covers(d) }
		return !clock.CoversAll(k.Clock) || slices.ContainsFunc(k.Dots, ahead)
	})
}

// drop forgets the first n units of a queue.
func (p *pending) drop(r crdt.ReplicaID, n int) {
	if n == 0 {
		return
	}
	q := p.queues[r]
	for _, w := range q[:n] {
		p.units--
		p.bytes -= w.bytes
	}
	if n == len(q) {
		delete(p.queues, r)
	} else {
		p.queues[r] = slices.Delete(q, 0, n)
	}
}

// expire drops what arrived before or at the given time.
func (p *pending) expire(before time.Time) {
	p.oldest = time.Time{}
	for r, q := range p.queues {
		q = slices.DeleteFunc(q, func(w *waiting) bool {
			old := !w.at.After(before)
			if old {
				p.units--
				p.bytes -= w.bytes
			} else if p.oldest.IsZero() || w.at.Before(p.oldest) {
				p.oldest = w.at
			}
			return old
		})
		if p.queues[r] = q; len(q) == 0 {
			delete(p.queues, r)
		}
	}
}
