package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// branch is one side of a fork: what a node has written under an id on a disk that was rolled back. Up to the
// fork both sides are one history. The units of the other side are among all units, as if nothing had happened.
type branch struct {
	id    crdt.ReplicaID
	fork  uint64    // the first seq that both sides may have
	alone time.Time // until when nobody is in reach
	units []delta.Unit
	third *node // who is to meet it first, and knows neither side; nil for nobody
}

func (b *branch) at(d crdt.Dot) (delta.Unit, bool) { return unitAt(b.units, d) }

// alone returns the branch on which the node is, nil if it is on none, or has begun anew.
func (n *node) alone() *branch {
	if n.branch == nil || n.ns == nil || n.ns.Replica() != n.branch.id {
		return nil
	}
	return n.branch
}

// forking reports whether some node is on a branch, or heals.
func (w *World) forking() bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool { return n.branch != nil })
}

// fork rolls the disk of a node back unnoticed, some writes after its image was made.
func (w *World) fork(n *node, rng *rand.Rand) {
	if !n.up || n.ns.Err() != nil || n.branch != nil {
		return
	}
	image, id, print, start, first := n.disk.synced(), n.ns.Replica(), n.print, n.start, n.ns.Clock()[n.ns.Replica()]+1
	var third *node
	if here := w.here(); w.cfg.Third && !w.forking() {
		if third = here[rng.IntN(len(here))]; third != n {
			third.away = true
			w.rewire()
		}
	}
	for range rng.IntN(4) {
		w.after(span(rng, 3*time.Second), func() {
			if n.ns.Replica() == id && n.branch == nil {
				n.write(rng)
			}
		})
	}
	w.after(3*time.Second+span(rng, 3*time.Second), func() {
		if w.healed || n.gone || w.forking() || w.res.Strays > 0 || n.ns.Replica() != id || n.print != print {
			if third != nil {
				third.away = false
				w.rewire()
			}
			return
		}
		b := &branch{id: id, fork: first, third: third, alone: w.now.Add(4*time.Second + span(rng, 4*time.Second))}
		if n.start != start {
			// Units of a later run may wait at others for their predecessors: see docs/operations.md.
			b.alone = w.now.Add(w.cfg.sync().PendingAge)
		}
		w.rollBack(n, image, b, rng)
	})
}

// rollBack has a node run once or twice on an old image, with nobody in reach.
func (w *World) rollBack(n *node, image store.Snapshot, b *branch, rng *rand.Rand) {
	w.forks++
	if n.up {
		n.stop()
	}
	n.disk.restore(image)
	n.disk.repair()
	n.oracle, n.acked, n.clocks, n.unknown, n.stamps = crdt.NewState(), nil, nil, nil, stamps{}
	n.branch = b
	n.bootAfter(span(rng, time.Second))
	for range rng.IntN(6) {
		w.after(span(rng, 4*time.Second), func() {
			if n.alone() == b {
				n.write(rng)
			}
		})
	}
	if rng.IntN(2) == 0 {
		w.after(time.Second+span(rng, 2*time.Second), func() {
			if n.up && n.alone() == b {
				n.stop()
				n.bootAfter(span(rng, time.Second))
			}
		})
	}
	w.after(b.alone.Sub(w.now), func() { w.meet(n, rng) })
}

// meet ends the time alone: the node meets somebody who has the other side. If nobody has it, there is none:
// what the rolled-back side wrote is all that was ever written.
func (w *World) meet(n *node, rng *rand.Rand) {
	var holders []*node
	for _, o := range w.here() {
		if !o.up || o.busy || len(o.applies) > 0 || o.pull != nil {
			w.after(time.Second, func() { w.meet(n, rng) })
			return
		}
		if o != n && o.ns.Err() == nil && o.ns.Clock()[n.branch.id] >= n.branch.fork {
			holders = append(holders, o)
		}
	}
	third := n.branch.third
	switch n.branch.third = nil; {
	case len(holders) == 0 && w.mayHold(n.branch):
		n.branch.third = third
		w.after(time.Second, func() { w.meet(n, rng) })
	case len(holders) == 0:
		w.adopt(n)
	case third != nil && third != n && !slices.Contains(holders, third) && len(n.branch.units) > 0:
		w.res.Strays++
		n.contact = third
		w.after(10*time.Second, func() { // from then on nobody knows what is whose
			third.away, n.branch, n.contact = false, nil, nil
			w.rewire()
			w.acceptLoss()
		})
		w.rewire()
		return
	default:
		n.contact = holders[rng.IntN(len(holders))]
	}
	if third != nil {
		third.away = false
	}
	w.rewire()
}

// hearOf notes the units of a frame.
func (n *node) hearOf(data []byte) {
	if n.w.cfg.Steps[fork] == 0 {
		return
	}
	f, err := delta.DecodeFrame(data[1:])
	if err != nil {
		return // it is another message
	}
	if n.heardOf == nil {
		n.heardOf = map[crdt.Dot]time.Time{}
	}
	for _, u := range f.Units {
		n.heardOf[crdt.Dot{Replica: u.Origin, Seq: u.First}] = n.w.now
	}
}

// mayHold reports whether the first unit of the other side waits at somebody for what it depends on: it may still
// be applied there.
func (w *World) mayHold(b *branch) bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool {
		at, ok := n.heardOf[crdt.Dot{Replica: b.id, Seq: b.fork}]
		return ok && w.now.Sub(at) < w.cfg.sync().PendingAge
	})
}

// adopt makes a branch the history of its id: what only the disk held that was overwritten is lost.
func (w *World) adopt(n *node) {
	b := n.branch
	n.branch = nil
	lost := func(d crdt.Dot) bool { return d.Replica == b.id && d.Seq >= b.fork }
	w.units.of[b.id] = slices.DeleteFunc(w.units.of[b.id], func(u delta.Unit) bool { return u.First >= b.fork })
	for d := range w.units.dots {
		if lost(d) {
			delete(w.units.dots, d)
		}
	}
	w.history.all = slices.DeleteFunc(w.history.all, func(t *transaction) bool { return t.branch != b && lost(t.end) })
	for _, t := range w.history.all {
		if t.branch == b {
			t.branch, t.end = nil, t.was
		}
	}
	for _, c := range w.clients {
		c.forget(lost)
	}
	w.record(n, b.units)
}

// expects reports whether an alarm is due: a node that has met the other side of its fork begins anew, as the
// daemon has it, and who met it may tell of it, too.
func (w *World) expects(n *node, a peersync.Alarm) bool {
	switch {
	case a.Kind == peersync.AlarmFork && (n.alone() != nil || w.res.Strays > 0):
		w.after(w.delay(), func() { w.beginAnew(n) })
		return true
	case w.res.Strays > 0 && a.Kind != peersync.AlarmFork:
		w.res.Alarms++
		return true
	case a.Kind == peersync.AlarmForeignFork:
		return slices.ContainsFunc(w.nodes, func(o *node) bool {
			return o.branch != nil && o.contact == n && strings.Contains(a.Text, o.branch.id.String())
		})
	}
	return false
}

// acceptLoss is the operator's word for copies that found a fork which nobody can show them any more.
func (w *World) acceptLoss() {
	w.after(converged/4, w.acceptLoss)
	for _, n := range w.here() {
		if n.up && n.ns.Err() != nil {
			w.must(n.ns.AcceptLoss(context.Background()), "accepting loss at %s", n.id)
			n.settle()
		}
	}
}

// parted reports whether two nodes are, or may be, in two histories.
func (w *World) parted(a, b *node) bool {
	return w.res.Strays > 0 || a.alone() != nil || b.alone() != nil
}

// beginAnew sets the copy aside whose id is in use twice.
func (w *World) beginAnew(n *node) {
	if !n.up || n.alone() == nil && w.res.Strays == 0 {
		return
	}
	n.up = false // for sessions and links
	w.rewire()
	n.start++
	n.up = true
	err := n.store.HealFork(n.w.space())
	if n.disk.isDead() {
		n.crashed()
		return
	}
	w.must(err, "healing of %s", n.id)
	n.ns, err = n.store.Namespace(n.w.space())
	w.must(err, "namespace of %s", n.id)
	n.clocks = nil
	n.begin()
	w.rewire()
	n.handle(peersync.Tick{})
}

// reissues notes that a unit writes again what the node wrote on its branch: all of it at once, and once.
func (n *node) reissues(u delta.Unit) {
	b := n.branch
	if b == nil {
		return
	}
	marked := map[crdt.Path]bool{}
	for _, e := range u.Entries {
		marked[e.Path] = true
	}
	stocks := map[crdt.Path]int64{}
	var last *transaction
	for _, t := range n.w.history.all {
		if t.branch != b || !marked[t.marker] {
			continue
		}
		last, t.end = t, crdt.Dot{Replica: u.Origin, Seq: u.Last}
		t.ops = slices.DeleteFunc(slices.Clone(t.ops), func(o op) bool {
			if o.what == stock {
				stocks[o.path] += o.amount
			}
			return o.what == stock
		})
	}
	for p, amount := range stocks { // what was taken beyond what was added stays with the former id
		last.ops = append(last.ops, op{what: stock, path: p, amount: max(amount, 0)})
	}
}

// mended looks whether a node has healed its fork: then all that it acknowledged alone is there again.
func (n *node) mended() {
	b := n.branch
	if !n.up || b == nil || n.alone() != nil || n.ns.Err() != nil {
		return
	}
	var end crdt.Dot
	for _, t := range n.w.history.all {
		if t.branch != b || n.w.res.Strays > 0 {
			continue
		}
		if end == (crdt.Dot{}) {
			end = t.end
		}
		if t.end != end || !n.ns.Clock().Covers(end) {
			n.w.fail("%s: healing of a fork wrote again %v and %v, not all at once", n.id, end, t.end)
		}
	}
	n.w.res.Forks++
	n.branch, n.contact, n.clocks = nil, nil, nil
	n.w.checkReader(n)
	n.w.rewire()
}
