package sync

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Engine decides what one copy of a namespace says and asks. It holds no data besides a bounded
// buffer of units that came too early. It is for one goroutine at a time.
type Engine struct {
	cfg Config
	rng *rand.Rand
	out []Action // of the running Handle
	err error    // why the engine has stopped

	st Status // the newest that was heard; durable
	// mirror ≥ st.Clock: what was handed over with Apply counts as had, so that consecutive
	// units need not wait for the disk.
	mirror crdt.VersionVector
	// inflight holds what mirror has and st.Clock has not, in the order of its handing over.
	inflight      []handed
	inflightBytes int
	appliedAt     time.Time // last progress of st.Clock while something is in flight
	applyAfter    time.Time // not zero after an Apply failed: nothing is handed over before
	applyFailures int

	pend  pending
	large []announced

	view   view      // what was told of st
	tellAt time.Time // no tell before

	peers     map[PeerID]*peer
	pulling   PeerID // "" when no pull is under way
	pulled    UnitRef
	checkAt   time.Time
	claims    []doubt
	refreshAt time.Time // when to ask again for the answer to Refresh
	foreign   map[crdt.ReplicaID]bool
	asked     uint64 // hellos that wanted an answer so far
	held      uint64 // highest own seq that some peer told of
}

// handed is a unit in flight.
type handed struct {
	dot   crdt.Dot
	run   delta.Run // zero if unknown
	bytes int
}

// announced is a unit too large for gossip that a peer offered.
type announced struct {
	ref  UnitRef
	last uint64
	peer PeerID
	at   time.Time
}

// doubt is a claim about the own replica id that the newest known status does not bear out.
type doubt struct {
	claim claim
	peer  PeerID
}

// view is a clock with its runs as it was told to peers; nothing in it is ever changed.
type view struct {
	clock     crdt.VersionVector
	runs      delta.Runs
	clockHash []byte
	runsHash  []byte
}

func newView(st Status) view {
	runs := st.toldRuns()
	return view{clock: st.Clock, runs: runs, clockHash: hashClock(st.Clock), runsHash: hashRuns(runs)}
}

// Bounds of small tables that need no setting.
const (
	maxDoubts    = 16
	maxAnnounced = 64
	maxForeign   = 1024
)

// NewEngine returns the engine of a copy that stands at st. cfg must be valid.
func NewEngine(cfg Config, st Status) *Engine {
	return &Engine{
		cfg:     cfg,
		rng:     rand.New(rand.NewPCG(cfg.Seed, uint64(st.Replica))),
		st:      st,
		mirror:  st.Clock.Clone(),
		pend:    pending{maxUnits: cfg.MaxPendingUnits, maxBytes: cfg.MaxPendingBytes},
		view:    newView(st),
		peers:   map[PeerID]*peer{},
		foreign: map[crdt.ReplicaID]bool{},
	}
}

// Handle takes one event and returns what is to be done, in order. now never goes back.
func (e *Engine) Handle(now time.Time, ev Event) []Action {
	e.out = nil
	if e.checkAt.IsZero() {
		e.checkAt = now.Add(e.jittered(e.cfg.CheckInterval))
	}
	switch ev := ev.(type) {
	case PeerUp:
		e.peerUp(now, ev.Peer)
	case PeerDown:
		e.peerDown(ev.Peer)
	case Message:
		e.message(now, ev.Peer, ev.Data)
	case Gossip:
		e.gossip(now, ev.Peer, ev.Data)
	case Committed:
		e.committed(now, ev)
	case ApplyFailed:
		e.applyFailed(now, ev)
	case Pulled:
		e.pullEnded(now, ev)
	case Served:
		e.judge(ev.Peer, ev.Err)
	case Ask:
		e.ask(now, ev.Peer)
	case Refreshed:
		e.refreshed(now, ev.Status)
	}
	if e.err == nil {
		e.timers(now)
	}
	return e.out
}

// Stopped reports whether a fork of the own replica id was proved. Then nothing is published,
// applied, pulled or told any more, and a session must neither be pulled nor served.
func (e *Engine) Stopped() bool { return e.err != nil }

// Wake returns when Handle is to be called with a Tick at the latest; the zero time means that
// there is nothing to wait for.
func (e *Engine) Wake() time.Time {
	if e.err != nil {
		return time.Time{}
	}
	w := soonest{e.checkAt}
	if e.untold() {
		w.add(e.tellAt)
	}
	if len(e.inflight) > 0 {
		w.add(e.appliedAt.Add(e.cfg.ApplyTimeout))
	}
	if e.pend.units > 0 {
		w.add(e.pend.oldest.Add(e.cfg.PendingAge))
		w.add(e.applyAfter) // zero unless an apply failed
	}
	if len(e.claims) > 0 {
		w.add(e.refreshAt)
	}
	e.pullWake(&w)
	return w.t
}

// soonest keeps the earliest time that is not zero.
type soonest struct{ t time.Time }

func (s *soonest) add(t time.Time) {
	if !t.IsZero() && (s.t.IsZero() || t.Before(s.t)) {
		s.t = t
	}
}

// timers does what is due, whatever the event was.
func (e *Engine) timers(now time.Time) {
	if len(e.inflight) > 0 && !now.Before(e.appliedAt.Add(e.cfg.ApplyTimeout)) {
		e.rewind(now)
	}
	if e.pend.units > 0 && !now.Before(e.pend.oldest.Add(e.cfg.PendingAge)) {
		e.pend.expire(now.Add(-e.cfg.PendingAge))
	}
	if !now.Before(e.applyAfter) {
		e.applyAfter = time.Time{}
	}
	e.drain(now)
	if e.untold() && !now.Before(e.tellAt) {
		e.tell(now)
	}
	if len(e.claims) > 0 && !now.Before(e.refreshAt) {
		e.refreshAt = now.Add(e.cfg.ApplyTimeout)
		e.do(Refresh{})
	}
	if !now.Before(e.checkAt) {
		e.check(now)
	}
	e.schedule(now)
}

func (e *Engine) do(a Action) { e.out = append(e.out, a) }

// jittered returns d ± CheckJitter of it.
func (e *Engine) jittered(d time.Duration) time.Duration {
	return d + time.Duration((2*e.rng.Float64()-1)*e.cfg.CheckJitter*float64(d))
}

// backOff returns the pause after the nth failure in a row, n ≥ 1.
func (e *Engine) backOff(n int) time.Duration {
	d := e.cfg.RetryMin << min(n-1, 16)
	if d > e.cfg.RetryMax || d <= 0 {
		d = e.cfg.RetryMax
	}
	return e.jittered(d)
}

// Peers returns what is known of all peers, ascending by id.
func (e *Engine) Peers() []PeerStatus {
	ps := make([]PeerStatus, 0, len(e.peers))
	for _, p := range e.peers {
		s := PeerStatus{ID: p.id, Connected: p.connected, LastExchange: p.heard, Answered: p.answered}
		if p.clock != nil {
			s.Clock = p.clock.Clone()
		}
		ps = append(ps, s)
	}
	slices.SortFunc(ps, func(a, b PeerStatus) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return ps
}

// sorted returns the connected peers in the order of their ids, so that runs repeat.
func (e *Engine) sorted() []*peer {
	var ps []*peer
	for _, p := range e.peers {
		if p.connected && !p.broken {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *peer) int { return strings.Compare(string(a.id), string(b.id)) })
	return ps
}
