package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// Config says how large a world is and how badly it treats its replicas.
type Config struct {
	Seed             uint64
	Nodes            int
	Writes           int // random transactions, spread over the run
	LossPercent      int // of gossip messages
	DuplicatePercent int
	CutPercent       int // of sessions
	Partitions       int
	Restarts         int
	// LargeEntries, MaxLogBytes, LogMaxDots and ChunkBytes are small, so that redo records,
	// truncated logs, pulls from the state, and pulls of half the log are the rule.
	LargeEntries int
	MaxLogBytes  uint64
	LogMaxDots   uint64
	ChunkBytes   int
}

// sync returns the configuration of engines and sessions.
func (c Config) sync() peersync.Config {
	cfg := peersync.DefaultConfig()
	cfg.LogMaxDots, cfg.ChunkBytes, cfg.Window = c.LogMaxDots, c.ChunkBytes, 2
	return cfg
}

// ConfigOf draws a world from a seed.
func ConfigOf(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 0))
	return Config{
		Seed: seed, Nodes: 2 + rng.IntN(3), Writes: 40 + rng.IntN(60),
		LossPercent: rng.IntN(60), DuplicatePercent: rng.IntN(40), CutPercent: rng.IntN(60),
		Partitions: rng.IntN(5), Restarts: rng.IntN(10),
		LargeEntries: []int{2, 8, 4096}[rng.IntN(3)],
		MaxLogBytes:  []uint64{1, 500, 1 << 20}[rng.IntN(3)],
		LogMaxDots:   []uint64{1, 30, 10_000}[rng.IntN(3)],
		ChunkBytes:   []int{100, 1000, 256 << 10}[rng.IntN(3)],
	}
}

// Violation says what a run broke.
type Violation string

// Error returns the text.
func (v Violation) Error() string { return string(v) }

// Result tells what a run went through.
type Result struct {
	Units    int
	Cuts     int
	Events   int
	Virtual  time.Duration
	Residue  int // live entries at the end
	Replicas int
}

// World is a set of replicas and all that happens to them.
type World struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Time
	began  time.Time
	agenda agenda
	seq    int
	nodes  []*node

	sessions []*session
	cuts     int
	healed   bool

	// What the oracle knows: every unit that was ever written, by origin and in order.
	units map[crdt.ReplicaID][]delta.Unit
	dots  map[crdt.Dot]bool
}

// Run plays a world to its end. dirs holds one directory for each node. The error is a
// Violation.
func Run(cfg Config, dirs []string) (res Result, err error) {
	w := &World{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), now: time.Unix(1_700_000_000, 0).UTC(),
		units: map[crdt.ReplicaID][]delta.Unit{}, dots: map[crdt.Dot]bool{}}
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
	w.populate(dirs)
	return w.play(), nil
}

// populate boots the nodes and schedules what will happen to them.
func (w *World) populate(dirs []string) {
	for i := range w.cfg.Nodes {
		n := &node{w: w, id: peersync.PeerID(fmt.Sprintf("node%d", i)), dir: dirs[i],
			disk: &survivor{store.NewMemoryBackend()}, oracle: crdt.NewState()}
		w.nodes = append(w.nodes, n)
		n.boot()
	}
	w.rewire()
	span := time.Duration(w.cfg.Writes) * 200 * time.Millisecond
	at := func() time.Duration { return time.Duration(w.rng.Int64N(int64(span))) }
	for range w.cfg.Writes {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		w.after(at(), n.write)
	}
	for range w.cfg.Partitions {
		w.after(at(), func() {
			for _, n := range w.nodes {
				n.side = w.rng.IntN(2)
			}
			w.rewire()
		})
	}
	for range w.cfg.Restarts {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		w.after(at(), func() { w.restart(n) })
	}
	w.after(span, w.heal)
}

// restart stops a node and boots it again a while later.
func (w *World) restart(n *node) {
	if !n.up || w.healed {
		return
	}
	n.stop()
	w.rewire()
	w.after(time.Duration(w.rng.IntN(5000))*time.Millisecond, func() {
		n.boot()
		w.rewire()
		w.checkNode(n)
	})
}

// heal ends all trouble.
func (w *World) heal() {
	w.healed = true
	w.cfg.LossPercent, w.cfg.CutPercent = 0, 0
	for _, n := range w.nodes {
		n.side = 0
	}
	w.rewire()
}

// converged is the virtual time after the heal within which all must be equal.
const converged = 2 * time.Minute

// play runs the agenda until all replicas are equal, and a little longer.
func (w *World) play() Result {
	var healedAt, equalAt time.Time
	events := 0
	for w.agenda.Len() > 0 {
		e := heap.Pop(&w.agenda).(*event)
		w.now = e.at
		e.do()
		events++
		if !w.healed {
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
	for _, n := range w.nodes {
		w.checkNode(n)
	}
	res := Result{Cuts: w.cuts, Events: events, Virtual: w.now.Sub(w.began), Residue: len(w.nodes[0].oracle.Live), Replicas: len(w.units)}
	for _, us := range w.units {
		res.Units += len(us)
	}
	return res
}

// equal reports whether all nodes run and have the same clock; if so, they must answer alike.
func (w *World) equal() bool {
	first := w.nodes[0]
	for _, n := range w.nodes {
		if !n.up || n.ns.Clock().Compare(first.ns.Clock()) != crdt.Equal {
			return false
		}
	}
	for _, n := range w.nodes[1:] {
		if n.ns.Status().Digest != first.ns.Status().Digest {
			w.fail("I5: %s and %s have equal clocks and different digests", first.id, n.id)
		}
	}
	return true
}

func (w *World) clocks() string {
	var s string
	for _, n := range w.nodes {
		s += fmt.Sprintf("\n  %s up=%v %v", n.id, n.up, n.ns.Clock())
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

// record takes units that were just written into what the oracle knows.
func (w *World) record(units []delta.Unit) {
	for _, u := range units {
		w.must(delta.Validate(u), "unit %v:%d", u.Origin, u.First)
		known := w.units[u.Origin]
		if last := len(known); (last > 0 && known[last-1].Last+1 != u.First) || (last == 0 && u.First != 1) {
			w.fail("units of %v have a gap before %d", u.Origin, u.First)
		}
		for _, e := range u.Entries {
			if w.dots[e.Dot] {
				w.fail("I1: dot %v was used twice", e.Dot)
			}
			w.dots[e.Dot] = true
		}
		w.units[u.Origin] = append(known, u)
	}
}

// advance applies all units up to a clock to an oracle's state.
func (w *World) advance(s *crdt.State, to crdt.VersionVector) {
	for again := true; again; {
		again = false
		for _, r := range to.Replicas() {
			for _, u := range w.units[r] {
				if u.Last > to[r] || u.Last <= s.Clock[r] {
					continue
				}
				err := delta.Apply(s, u)
				if errors.Is(err, delta.ErrGap) {
					break
				}
				w.must(err, "oracle")
				again = true
			}
		}
	}
}
