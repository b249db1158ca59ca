package sim

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// heard is what a run of a store has told the operator.
type heard struct {
	mu       sync.Mutex
	returned []string
}

func (h *heard) take(e store.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Kind == store.EventReturned {
		h.returned = append(h.returned, e.Detail)
	}
}

// tells reports whether it has told of the return of an id.
func (h *heard) tells(id crdt.ReplicaID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.returned, func(s string) bool { return strings.Contains(s, id.String()) })
}

// retire has an operator retire an id at a node: one that is gone for good and of which the node has all, or now
// and then, by mistake, one that lives.
func (w *World) retire(n *node, rng *rand.Rand) {
	if !n.up || n.ns.Err() != nil || n.disk.armed() || !n.healthy() || w.forking() {
		return
	}
	lives := map[crdt.ReplicaID]bool{}
	for _, o := range w.here() {
		lives[o.ns.Replica()] = true
	}
	mistake := rng.IntN(4) == 0
	var ids []crdt.ReplicaID
	for _, id := range slices.Sorted(maps.Keys(w.units.of)) {
		seq := n.ns.Clock()[id]
		if seq > 0 && id != n.ns.Replica() && (mistake || !lives[id] && seq == w.units.next(id)-1) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	id := ids[rng.IntN(len(ids))]
	final, err := n.ns.Retire(context.Background(), id)
	if errors.Is(err, store.ErrDiskFull) {
		return
	}
	w.must(err, "retiring %v at %s", id, n.id)
	if seq := n.ns.Clock()[id]; final != seq {
		w.fail("%s has sealed %v at %d, and has %d", n.id, id, final, seq)
	}
	w.res.Retired++
	w.retired[id] = append(w.retired[id], n.ns.Replica())
	if lives[id] || final < w.units.next(id)-1 {
		w.returned[id] = true
	}
	n.settle()
}

// checkReturns: only of who was retired and lives is it told that it returned.
func (w *World) checkReturns(n *node) {
	if n.heard.mu.Lock(); len(n.heard.returned) == 0 {
		n.heard.mu.Unlock()
		return
	}
	told := slices.Clone(n.heard.returned)
	n.heard.mu.Unlock()
	for _, s := range told {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(w.returned)), func(id crdt.ReplicaID) bool { return strings.Contains(s, id.String()) }) {
			w.fail("%s tells, of nobody who was retired and lives: %s", n.id, s)
		}
	}
}

// mayCountAgain takes what is seen for what must be seen at counters of which increments of an id that was
// retired and returned may count again after a reset: any of them, and nothing else.
func (w *World) mayCountAgain(clock crdt.VersionVector, got, want values) {
	if len(w.returned) == 0 {
		return
	}
	for p, seen := range got.counters {
		if seen != want.counters[p] && w.history.again(clock, p, w.returned)[seen-want.counters[p]] {
			want.counters[p] = seen
		}
	}
	for p, n := range want.counters {
		if _, ok := got.counters[p]; !ok && w.history.again(clock, p, w.returned)[-n] {
			delete(want.counters, p)
		}
	}
}

// checkRetired: of an id that is gone for good nothing is left at counters that were reset, and of one that
// returned it was told.
func (w *World) checkRetired() {
	runs := map[crdt.ReplicaID]*node{}
	for _, n := range w.here() {
		runs[n.ns.Replica()] = n
	}
	any := w.here()[0]
	x := w.history.covered(any.ns.Clock(), nil)
	for id, heirs := range w.retired {
		// Told by who takes the changes in: not once more after a restart without any.
		tells := func(n *node) bool { return n.heard.tells(id) }
		seal, sealed, err := crdt.SealOf(any.oracle.At(crdt.SealPath(id)))
		w.must(err, "seal of %v", id)
		if sealed && any.ns.Clock()[id] > seal.Final && !slices.ContainsFunc(w.nodes, tells) {
			w.fail("nobody tells that %v was retired at %d and lives", id, seal.Final)
		}
		if w.returned[id] || slices.ContainsFunc(heirs, func(h crdt.ReplicaID) bool { return runs[h] == nil }) {
			continue
		}
		for d, e := range any.oracle.Live {
			counts := func(m done) bool {
				return m.what == increment && m.path == e.Path && m.t.end.Replica == id && !x.taken(m)
			}
			if d.Replica == id && e.Kind == crdt.KindCell && !slices.ContainsFunc(x.makers, counts) {
				w.fail("%v at %q was reset, and is left of %v, which was retired", d, e.Path, id)
			}
		}
	}
}
