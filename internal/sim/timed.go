package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

var (
	timedList = crdt.Object(crdt.List, "timed").Leaf(crdt.List)
	presence  = crdt.Object(crdt.Presence, "here").Leaf(crdt.Presence)
)

// tending is the virtual time after the heal for which nodes go on to remove what is over, and to renew their
// leases: longer than the last of them waits.
const tending = 3 * time.Minute

// tend does now and then what the committer does by itself when time goes on: it renews the lease, and removes
// what is over.
func (w *World) tend(n *node) {
	if w.now.After(w.tended) {
		return
	}
	w.after(crdt.LeaseRenew/2+time.Duration(w.rng.Int64N(int64(crdt.LeaseRenew/2))), func() { w.tend(n) })
	if !n.up || n.ns.Err() != nil || n.alone() != nil || n.disk.armed() || !n.healthy() {
		return
	}
	if w.cfg.Memory {
		n.keep()
	}
	if n.up {
		n.reap()
	}
}

// expire commits writes with deadlines by the clock of the node, some of which are soon over.
func (n *node) expire(rng *rand.Rand) {
	if !n.up {
		return
	}
	var all []op
	for range 1 + rng.IntN(3) {
		o := op{path: sets[rng.IntN(len(sets))].Member(fmt.Sprint(rng.IntN(10))), what: add}
		switch rng.IntN(5) {
		case 0:
			o.path = flags[rng.IntN(len(flags))]
		case 1:
			o = op{what: assign, path: registers[rng.IntN(len(registers))], value: fmt.Sprint(rng.IntN(1000)), seen: n.seen(rng)}
		case 2:
			o = op{what: insert, path: timedList, value: fmt.Sprint(rng.IntN(1000))}
		}
		o.until = n.now() + crdt.Deadline(span(rng, 30*time.Second).Milliseconds())
		if rng.IntN(8) == 0 {
			o.until = 0
		}
		all = append(all, o)
	}
	n.commit(all)
}

// present announces something, or withdraws it.
func (n *node) present(rng *rand.Rand) {
	if !n.up || n.ns.Storage() != store.Memory {
		return
	}
	o := op{what: announce, path: presence.Member(fmt.Sprint(rng.IntN(3))), value: fmt.Sprint(rng.IntN(1000))}
	switch rng.IntN(4) {
	case 0:
		o.what = withdraw
	case 1:
		o.until = n.now() + crdt.Deadline(1+span(rng, 20*time.Second).Milliseconds())
	}
	n.commit([]op{o})
}

// announced notes what a transaction has announced, and that it has renewed the lease.
func (n *node) announced(t *transaction) {
	self := t.end.Replica
	for _, o := range t.ops {
		switch o.what {
		case announce:
			if n.own == nil {
				n.own = map[crdt.Path]op{}
			}
			n.own[o.path] = o
			n.renews(t, crdt.LeaseRenew)
		case withdraw:
			if o.path != crdt.LeasePath(self) {
				delete(n.own, o.path)
			}
		}
	}
}

// renews notes that a transaction makes the lease a whole one, if more of it than this has passed.
func (n *node) renews(t *transaction, passed time.Duration) {
	until := n.now() + crdt.Deadline(crdt.LeaseFor.Milliseconds())
	if n.w.history.leases(t.before)[t.end.Replica]+crdt.Deadline(passed.Milliseconds()) <= until {
		t.ops = append(t.ops, op{what: lease, path: crdt.LeasePath(t.end.Replica), until: until})
	}
}

// byItself runs what a copy does by itself, and notes what that must have been.
func (n *node) byItself(do func(context.Context) error, what func(t *transaction)) {
	self := n.ns.Replica()
	t := &transaction{before: n.ns.Clock().Clone()}
	t.end = crdt.Dot{Replica: self, Seq: t.before[self] + 1}
	if what(t); len(t.ops) > 0 {
		n.w.history.put(t)
	}
	err := do(context.Background())
	if err != nil && n.healthy() && !errors.Is(err, store.ErrDiskFull) {
		n.w.must(err, "%s by itself", n.id)
	}
	if err != nil {
		n.w.history.all = slices.DeleteFunc(n.w.history.all, func(o *transaction) bool { return o == t })
	}
	n.settle()
}

// keep renews the lease, and announces again what others have taken for gone.
func (n *node) keep() {
	n.byItself(n.ns.KeepPresence, func(t *transaction) {
		now := n.now()
		maps.DeleteFunc(n.own, func(_ crdt.Path, o op) bool { return o.until != 0 && o.until <= now })
		if len(n.own) == 0 {
			t.ops = append(t.ops, op{what: end, path: crdt.LeasePath(t.end.Replica)})
			return
		}
		for _, p := range slices.Sorted(maps.Keys(n.own)) {
			if !n.w.history.announces(t.before, t.end.Replica, p) {
				t.ops = append(t.ops, n.own[p])
			}
		}
		n.renews(t, 0)
	})
}

// reap removes what is over, and what was announced by who has no lease any more.
func (n *node) reap() {
	n.byItself(func(ctx context.Context) error {
		removed, err := n.ns.Reap(ctx)
		n.w.res.Expired += removed
		return err
	}, func(t *transaction) {
		r := reaped{lapsed: map[crdt.ReplicaID]bool{}}
		r.own, r.others = crdt.ReapBefore(t.end.Replica, n.now())
		if r.own+5000 > n.now() || r.others+60_000 > n.now() {
			n.w.fail("%s removes what is not over for long enough", n.id)
		}
		if n.w.cfg.Memory {
			for id, until := range n.w.history.leases(t.before) {
				r.lapsed[id] = id != t.end.Replica && until <= r.others
			}
		}
		t.ops = []op{{what: reap, reap: &r}}
	})
}

// checkReaped: what was over at the heal is gone everywhere, and what is announced is that of nodes that run.
func (w *World) checkReaped() {
	if !w.cfg.timed() {
		return
	}
	healed := crdt.DeadlineOf(w.tended.Add(w.calendar - tending))
	runs := map[crdt.ReplicaID]bool{}
	for _, n := range w.here() {
		runs[n.ns.Replica()] = true
	}
	for _, n := range w.here() {
		for d, e := range n.oracle.Live {
			if e.Expires != 0 && e.Expires <= healed {
				w.fail("%s: %v at %q was over at the heal, and was never removed", n.id, d, e.Path)
			}
			if e.Kind == crdt.KindPresence && !runs[d.Replica] && w.history.leases(n.ns.Clock())[d.Replica] <= healed {
				w.fail("%s: %v at %q was announced by who is gone, and was never removed", n.id, d, e.Path)
			}
		}
		for p, o := range n.own {
			if (o.until == 0 || o.until > n.now()) && !w.history.announces(n.ns.Clock(), n.ns.Replica(), p) {
				w.fail("%s: what it has announced at %q is not there", n.id, p)
			}
		}
	}
}
