package sim

import (
	"math/rand/v2"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// take carries out a step of the plan.
func (w *World) take(s step) {
	if w.healed {
		return
	}
	here := w.here()
	n := here[s.rng.IntN(len(here))]
	switch s.kind {
	case write:
		n.write(s.rng)
	case call:
		w.clients[s.rng.IntN(clients)].call(n, s.rng)
	case partition:
		for _, n := range w.nodes {
			n.side = s.rng.IntN(2)
		}
		w.rewire()
	case oneWay:
		w.block(n, here[s.rng.IntN(len(here))], span(s.rng, 20*time.Second))
	case flap:
		w.flap(n, s.rng)
	case restart:
		if n.up {
			n.stop()
			n.bootAfter(span(s.rng, 5*time.Second))
		}
	case crash:
		if n.disk.setFuse(1 + s.rng.IntN(12)); w.cfg.Memory && n.up { // nothing is written there
			n.disk.powerCut(s.rng)
			n.crashed()
		}
	case rot:
		w.rotate(n, s.rng)
	case restore:
		w.restore(n, s.rng)
	case clone:
		if !w.forking() {
			w.newcomer(n.disk.synced(), s.rng)
		}
	case join:
		w.newcomer(newDisk().synced(), s.rng)
	case leave:
		w.leave(n)
	case full:
		n.full = true
		w.after(span(s.rng, 10*time.Second), func() { n.full = false })
	case skew:
		n.set(span(s.rng, 4*365*24*time.Hour) - 2*365*24*time.Hour)
	case drift:
		n.set(n.skew + span(s.rng, 16*time.Minute) - 8*time.Minute)
	case months:
		w.months(n, s.rng)
	case fork:
		w.fork(n, s.rng)
	case retire:
		w.retire(n, s.rng)
	case expire:
		n.expire(s.rng)
	case crowd:
		n.crowd(s.rng)
	case present:
		n.present(s.rng)
	default:
		w.fail("nobody carries out %s", s.name())
	}
}

// span draws a time.
func span(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}

// block keeps what a says from b. Streams need both directions, so only gossip goes on the other way.
func (w *World) block(a, b *node, d time.Duration) {
	if a == b {
		return
	}
	way := [2]peersync.PeerID{a.id, b.id}
	w.blocked[way] = true
	w.rewire()
	w.after(d, func() {
		delete(w.blocked, way)
		w.rewire()
	})
}

func (w *World) flap(n *node, rng *rand.Rand) {
	for i := range 2 * (1 + rng.IntN(6)) {
		w.after(span(rng, 4*time.Second), func() {
			if !w.healed {
				n.side = i % 2
				w.rewire()
			}
		})
	}
}

// rotate has a disk tell of damage, if another node can give the data back.
func (w *World) rotate(n *node, rng *rand.Rand) {
	if w.forking() || !w.othersKnow(n) {
		return
	}
	w.res.Rot++
	n.rotten = true
	n.disk.setRot(true)
	for range 2 {
		w.after(span(rng, 4*time.Second), func() { n.write(rng) })
	}
	w.after(span(rng, 10*time.Second), func() { n.disk.setRot(false) })
}

// restore puts an older state of the disk in place of the disk: what only the disk held is lost.
func (w *World) restore(n *node, rng *rand.Rand) {
	if w.forking() { // an image of one side of a fork would give it to others: see docs/operations.md
		return
	}
	old, forks := n.disk.synced(), w.forks
	w.after(span(rng, 10*time.Second), func() {
		if w.healed || n.gone || w.forking() || w.forks != forks {
			return
		}
		if n.up {
			n.stop()
		}
		n.disk.restore(old)
		n.move()
		n.bootAfter(span(rng, 5*time.Second))
	})
}

// newcomer starts a node on a copy of a disk.
func (w *World) newcomer(image store.Snapshot, rng *rand.Rand) {
	if len(w.nodes) == maxNodes {
		return
	}
	d := newDisk()
	d.restore(image)
	n := w.add(d)
	n.side = rng.IntN(2)
	n.boot()
	w.rewire()
}

// leave takes a node away for good, if two are left that know something.
func (w *World) leave(n *node) {
	if w.forking() || len(w.here()) < 3 || !w.othersKnow(n) {
		return
	}
	if n.up {
		n.stop()
	}
	n.gone = true
	w.rewire()
}

// othersKnow reports whether some other node could give what it has to one that waits for it.
func (w *World) othersKnow(n *node) bool {
	for _, o := range w.here() {
		if o != n && !o.rotten && o.up && o.ns.Err() == nil && len(o.ns.Clock()) > 0 {
			return true
		}
	}
	return false
}

// months has everybody's calendar move on while one node is away: logs grow too old.
func (w *World) months(n *node, rng *rand.Rand) {
	if n.up {
		n.stop()
	}
	w.calendar += 30*24*time.Hour + span(rng, 300*24*time.Hour)
	n.bootAfter(span(rng, 10*time.Second))
}

// crashed ends the process on a disk whose power has gone, and starts it again a while later.
func (n *node) crashed() {
	n.w.res.Crashes++
	n.stop()
	n.disk.powerCut(n.w.rng)
	n.bootAfter(time.Duration(n.w.rng.IntN(5000)) * time.Millisecond)
}

// bootAfter starts a node a while later, unless somebody has by then.
func (n *node) bootAfter(d time.Duration) {
	n.w.rewire()
	n.w.after(d, func() {
		if n.up || n.gone {
			return
		}
		n.disk.repair()
		n.boot()
		n.w.rewire()
	})
}

// move makes the disk another one, as a copy or a restore does: the store finds out by its
// fingerprint, and the reference forgets what this node was known to hold.
func (n *node) move() {
	n.print += "'"
	n.oracle, n.acked, n.stamps = crdt.NewState(), nil, stamps{}
}
