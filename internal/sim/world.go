package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// Violation says what a run broke.
type Violation string

// Error returns the text.
func (v Violation) Error() string { return string(v) }

// Result tells what a run went through.
type Result struct {
	Units   int
	Cuts    int
	Crashes int // power cuts with a process running
	Events  int
	Checks  int // of what readers see, against the reference
	Virtual time.Duration
	Rot     int // disks that told of damage
	Forks   int // that were healed
	Retired int // replica ids, by an operator
	Expired int // entries that were removed since their deadline had passed
	Strays  int // two histories that stand under one id
	Alarms  int // that told of them
	Trees   int // replicas whose live dots may be a tree of more than a leaf
	Chunks  int // or in more than one chunk
	Groups  int // commits of several transactions
	Singles int // pulls of one unit that was announced
	Stamps  int // timestamps, compared with what their author had seen
}

// World is a set of replicas and all that happens to them.
type World struct {
	cfg      Config
	root     string
	rng      *rand.Rand
	now      time.Time
	calendar time.Duration // how far wall clocks are ahead of now
	began    time.Time
	agenda   agenda
	seq      int
	nodes    []*node

	sessions []*session
	blocked  map[[2]peersync.PeerID]bool // from, to: what the first says the second does not hear
	healed   bool
	res      Result

	units   *units
	history *history
	clients []*client
	markers int
	forks   int // that have happened
	// retired are the ids that an operator has retired, with their heirs; returned are those of them that live.
	retired  map[crdt.ReplicaID][]crdt.ReplicaID
	returned map[crdt.ReplicaID]bool
	tended   time.Time // until when nodes tend what has a deadline
}

// Run plays a world to its end. root is an empty directory. The error is a Violation.
func Run(cfg Config, root string) (res Result, err error) {
	w := &World{cfg: cfg, root: root, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), now: time.Unix(1_700_000_000, 0).UTC(),
		blocked: map[[2]peersync.PeerID]bool{}, units: newUnits(), history: newHistory(),
		retired: map[crdt.ReplicaID][]crdt.ReplicaID{}, returned: map[crdt.ReplicaID]bool{}}
	w.began = w.now
	defer func() {
		for _, n := range w.nodes {
			if n.up {
				err = errors.Join(err, n.store.Close())
			}
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			v, ok := r.(Violation)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("after %v: %w", w.now.Sub(w.began), v)
		}
	}()
	w.populate()
	return w.play(), nil
}

// populate boots the nodes and schedules what will happen to them.
func (w *World) populate() {
	for range w.cfg.Nodes {
		w.add(newDisk()).boot()
	}
	w.rewire()
	if w.cfg.Far > 0 {
		w.nodes[0].goFar(w.cfg.Far)
	}
	for i := range clients {
		w.clients = append(w.clients, &client{name: fmt.Sprint("client", i)})
	}
	for _, s := range w.cfg.plan() {
		w.after(s.at, func() { w.take(s) })
	}
	w.after(w.cfg.span(), w.heal)
	if w.cfg.timed() {
		w.tended = w.began.Add(w.cfg.span() + tending)
	}
}

// space is the namespace that is replicated.
func (w *World) space() string {
	if w.cfg.Memory {
		return "memory"
	}
	return store.Default
}

// add makes a node on a disk; it is not running yet.
func (w *World) add(d *disk) *node {
	i := len(w.nodes)
	n := &node{w: w, id: peersync.PeerID(fmt.Sprintf("node%d", i)), dir: filepath.Join(w.root, fmt.Sprint(i)),
		disk: d, print: fmt.Sprint("disk", i), oracle: crdt.NewState()}
	w.nodes = append(w.nodes, n)
	if w.cfg.timed() {
		w.after(w.delay(), func() { w.tend(n) })
	}
	return n
}

// heal ends all trouble. Who has left stays away.
func (w *World) heal() {
	w.healed = true
	w.cfg.LossPercent, w.cfg.CutPercent, w.cfg.Slow = 0, 0, 0
	for _, s := range w.sessions {
		s.there.slow, s.back.slow = 0, 0
	}
	clear(w.blocked)
	for _, n := range w.nodes {
		n.side, n.full = 0, false
		if w.cfg.timed() {
			n.set(0)
		}
		n.disk.setFuse(0)
		n.disk.setRot(false)
		if !n.up && !n.gone {
			n.disk.repair()
			n.boot()
		}
	}
	w.rewire()
}

// converged is the virtual time after the heal within which all must be equal.
const converged = 2 * time.Minute

// play runs the agenda until all replicas are equal, and a little longer.
func (w *World) play() Result {
	var healedAt, equalAt time.Time
	for w.agenda.Len() > 0 {
		e := heap.Pop(&w.agenda).(*event)
		w.now = e.at
		e.do()
		w.res.Events++
		if !w.healed {
			continue
		}
		if w.now.Before(w.tended) {
			continue
		}
		if healedAt.IsZero() {
			healedAt = w.now
		}
		switch equal := w.equal(); {
		case equal && equalAt.IsZero():
			equalAt = w.now
		case !equal:
			equalAt = time.Time{}
		}
		if !equalAt.IsZero() && w.now.Sub(equalAt) > 30*time.Second {
			break
		}
		if equalAt.IsZero() && w.now.Sub(healedAt) > converged {
			w.fail("no convergence within %v after the heal: %s", converged, w.clocks())
		}
	}
	if !w.equal() {
		w.fail("the agenda ended before all were equal: %s", w.clocks())
	}
	if w.forking() {
		w.fail("a fork was not healed")
	}
	if w.res.Strays > 0 && w.res.Alarms == 0 {
		w.fail("two histories stand under one id, and nobody tells")
	}
	w.checkEnd()
	w.res.Virtual = w.now.Sub(w.began) + w.calendar
	for _, us := range w.units.of {
		w.res.Units += len(us)
		if len(us) > 0 && us[len(us)-1].Last >= 1<<10 {
			w.res.Trees++
		}
		if len(us) > 0 && us[len(us)-1].Last >= 1<<16 {
			w.res.Chunks++
		}
	}
	return w.res
}

// here lists the nodes that have not left.
func (w *World) here() []*node {
	var here []*node
	for _, n := range w.nodes {
		if !n.gone {
			here = append(here, n)
		}
	}
	return here
}

// equal reports whether all nodes run and have the same clock; if so, they must answer alike.
func (w *World) equal() bool {
	nodes := w.here()
	first := nodes[0]
	for _, n := range nodes {
		if !n.up || n.ns.Err() != nil || n.ns.Clock().Compare(first.ns.Clock()) != crdt.Equal {
			return false
		}
	}
	for _, n := range nodes[1:] {
		if w.res.Strays == 0 && n.ns.Status().Digest != first.ns.Status().Digest {
			w.fail("I5: %s and %s have equal clocks and different digests", first.id, n.id)
		}
	}
	return true
}

func (w *World) clocks() string {
	var s string
	for _, n := range w.here() {
		s += fmt.Sprintf("\n  %s up=%v", n.id, n.up)
		if n.up {
			s += fmt.Sprintf(" err=%v %v", n.ns.Err(), n.ns.Clock())
		}
	}
	return s
}

func (w *World) node(id peersync.PeerID) *node {
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	w.fail("no node %s", id)
	return nil
}

func (w *World) fail(format string, args ...any) {
	panic(Violation(fmt.Sprintf(format, args...)))
}

func (w *World) must(err error, format string, args ...any) {
	if err != nil {
		w.fail("%s: %v", fmt.Sprintf(format, args...), err)
	}
}
