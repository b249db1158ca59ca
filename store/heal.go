package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A fork is healed in three steps, each of which ends in one commit that says so, so that a kill
// in the middle finds the next one to do:
//
//  1. The copy is set aside. A new one begins under a fresh id, and joins a peer that shows the fork.
//     What that peer knows of the former id's runs says from which seq on the two histories differ.
//  2. It joins the former copy too, up to that seq: what only this replica held of others, and the
//     entries that it knows to be dead, which stay until step 3.
//  3. It writes again, under its own id, what the former copy wrote from that seq on, and kills by name
//     what was dead there. Then it answers.

// ErrNoProof is returned by Join when a copy heals a fork and the other side does not show it.
var ErrNoProof = errors.New("store: the peer does not show the fork that is to be healed")

// Stages of healing: what has been joined.
const (
	healNothing uint64 = iota
	healPeer
	healFormer
)

// healing says that the copy takes the place of one whose id proved to be in use twice.
type healing struct {
	Former  string // id of the former copy
	Replica crdt.ReplicaID
	Seq     uint64 // the last that it issued
	OwnRuns []delta.Run
	Stage   uint64
	// Fork is the first seq that differs, from healPeer on.
	Fork uint64
	// After is the path up to which step 3 has been done.
	After crdt.Path
}

func (k keyspace) heal() string { return string(k) + "/m/heal" }

func appendHealing(b []byte, h *healing) []byte {
	b = appendBytes(append(b, valueVersion), []byte(h.Former))
	for _, v := range []uint64{uint64(h.Replica), h.Seq, h.Stage, h.Fork} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendUvarint(appendBytes(b, []byte(h.After)), uint64(len(h.OwnRuns)))
	for _, run := range h.OwnRuns {
		b = appendRun(b, run)
	}
	return b
}

func decodeHealing(b []byte) (*healing, error) {
	r := newReader(b)
	h := &healing{Former: string(r.bytes()), Replica: crdt.ReplicaID(r.uint()), Seq: r.uint(), Stage: r.uint(), Fork: r.uint()}
	h.After = crdt.Path(r.bytes())
	for n := r.count(2); n > 0; n-- {
		h.OwnRuns = append(h.OwnRuns, r.run())
	}
	return h, r.finish()
}

// readHealing returns what is to be healed by the copy with these keys, nil if nothing.
func readHealing(g getter, keys keyspace) (*healing, error) {
	v, ok, err := g.Get(keys.heal())
	if err != nil || !ok {
		return nil, err
	}
	return decodeHealing(v)
}

// fork returns the first seq that a copy which knows these runs of the former id, ascending, and
// covers its seqs up to `to` has from another history, and false if nothing shows that there is one.
func (h *healing) fork(runs []delta.Run, to uint64) (uint64, bool) {
	at := h.Seq + 1
	for _, own := range h.OwnRuns {
		if len(runs) > 0 && own.First >= runs[0].First && !slices.Contains(runs, own) {
			at = own.First
			break
		}
	}
	return at, to >= at
}

func (h *healing) forkIn(j *StateJoin) (uint64, bool) {
	runs := j.Past[h.Replica]
	if run, ok := j.Runs[h.Replica]; ok {
		runs = j.Past.With(h.Replica, run)
	}
	return h.fork(runs, j.To[h.Replica])
}

// HealFork has a copy whose replica id is in use twice begin anew while the store is open: under a
// fresh id, and without an answer to anybody before it has joined a peer that shows the fork. It
// then holds what the peer holds and what the former copy held, each change once. Namespace returns
// the new copy from then on; the former one must not be in use by a session. It does nothing for a
// copy that waits for a join already. When it fails it can be tried again.
func (s *Store) HealFork(name string) error {
	s.admin.Lock()
	defer s.admin.Unlock()
	former, err := s.Namespace(name)
	if err != nil {
		return err
	}
	if f := former.failed.Load(); f != nil && !errors.Is(f.err, ErrJoining) {
		return f.err
	}
	if former.durable.Load().joining {
		return nil
	}
	if former.failed.CompareAndSwap(nil, &failure{ErrJoining}) {
		close(former.dead)
	}
	former.stop()
	v := former.durable.Load()
	h := &healing{Former: former.id(), Replica: v.replica, Seq: v.clock[v.replica], OwnRuns: v.ownRuns}
	n, err := s.beginAnew(name, former.storage, h, crdt.Dot{}) // of a clone the id lives on
	if err != nil {
		return fmt.Errorf("store: namespace %q cannot be set aside: %w", name, err)
	}
	s.mu.Lock()
	s.spaces[name] = n
	s.mu.Unlock()
	return nil
}

// id returns the first segment of the copy's keys.
func (n *Namespace) id() string { return string(n.keys[1:]) }

// noteJoin moves the healing on when a join ends.
func (g *group) noteJoin(j *stateJoin) {
	h := *g.n.c.heal
	if h.Stage == healNothing {
		h.Fork, _ = h.forkIn(&j.StateJoin)
	}
	h.Stage++
	g.n.c.heal = &h
	g.side.Put(g.n.keys.heal(), appendHealing(nil, &h))
}

// acceptFork goes on without a peer that shows the fork: nothing that was written here counts as
// written twice.
func (g *group) acceptFork() {
	h := *g.n.c.heal
	if h.Stage == healNothing {
		h.Stage, h.Fork = healPeer, h.Seq+1
	}
	g.n.c.heal = &h
	g.side.Put(g.n.keys.heal(), appendHealing(nil, &h))
}

// finishHealing does what is left of the healing once a peer was joined. What fails half-way is
// finished at the next start.
func (n *Namespace) finishHealing() error {
	if n.c.heal == nil || n.c.heal.Stage == healNothing {
		return nil
	}
	err := n.mend()
	if err != nil && n.failed.Load() == nil {
		err = fmt.Errorf("store: healing of a fork cut off, it is finished at the next start: %w", err)
		n.fail(err)
	}
	return err
}

// mend brings over what the former copy holds. If that one is damaged, what only it held is given up.
func (n *Namespace) mend() error {
	former, src, err := n.openFormer()
	if err == nil {
		err = errors.Join(n.mendFrom(former, src), src.Close())
	}
	if !errors.Is(err, errFormer) || !isDamage(err) {
		return err
	}
	g := n.newGroup()
	n.endHealing(g)
	if err := n.commitGroup(g); err != nil {
		return err
	}
	n.opts.Event(Event{Namespace: n.name, Kind: EventHealed,
		Detail: "a fork was healed, but the former copy is damaged: what only it held is given up: " + err.Error()})
	return nil
}

// openFormer opens the copy that was set aside, to read from. Nobody writes to it.
func (n *Namespace) openFormer() (*Namespace, *Source, error) {
	former := &Namespace{name: n.name, storage: n.storage, keys: keyspace("/" + n.c.heal.Former), backend: n.backend, opts: n.opts,
		quit: make(chan struct{}), stopped: make(chan struct{}), dead: make(chan struct{})}
	err := former.load()
	if err == nil {
		err = former.recover()
	}
	if err != nil {
		return nil, nil, formerly(err)
	}
	src, _, err := former.source()
	return former, src, err
}

// errFormer is in errors of the former copy.
var errFormer = errors.New("store: the former copy")

func formerly(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errFormer, err)
}

func (n *Namespace) mendFrom(former *Namespace, src *Source) error {
	n.c.hlc.Last = max(n.c.hlc.Last, former.c.HLC)
	if n.c.heal.Stage == healPeer {
		if err := n.joinFormer(src); err != nil {
			return err
		}
	}
	m, err := n.planMending(src)
	if err != nil {
		return err
	}
	for n.c.heal != nil {
		if err := n.mendPage(m); err != nil {
			return err
		}
	}
	n.opts.Event(Event{Namespace: n.name, Kind: EventHealed, Detail: m.told()})
	return nil
}

// shared is what the former copy's clock covers of the one history.
func (h *healing) shared(clock crdt.VersionVector) crdt.VersionVector {
	v := clock.Clone()
	if v[h.Replica] = min(v[h.Replica], h.Fork-1); v[h.Replica] == 0 {
		delete(v, h.Replica)
	}
	return v
}

// joinFormer takes over what the former copy has of the shared history and the peer had not. It kills
// nothing: what the former copy knows to be dead may be what its own later units killed, which
// no clock covers any more; it is killed by name, with them.
func (n *Namespace) joinFormer(src *Source) error {
	to := n.c.heal.shared(src.v.clock)
	from := n.c.clock.Clone()
	runs := maps.Clone(src.v.runs)
	delete(runs, n.c.heal.Replica) // of the other history
	j := &stateJoin{Clock: from, StateJoin: StateJoin{From: from, To: to, Runs: runs, Past: src.v.past,
		Streamed: src.live.CutAt(to).Uncovered(from), Killed: delta.NewDotSet()}}
	if err := n.stageFrom(src, j); err != nil {
		return err
	}
	if j.Streamed.Len() <= uint64(n.opts.LargeEntries) {
		return n.joinAtOnce(j)
	}
	return n.applyLarge(largeChange{Join: j})
}

// stageFrom stages what a join streams.
func (n *Namespace) stageFrom(src *Source, j *stateJoin) error {
	var page []crdt.Entry
	bytes := 0
	for e, err := range src.Entries(j.From) {
		if err != nil {
			return formerly(err)
		}
		if !j.Streamed.Contains(e.Dot) {
			continue
		}
		page, bytes = append(page, e), bytes+len(e.Value)
		if len(page) < n.opts.LargeEntries && bytes < maxPieceBytes {
			continue
		}
		if err := n.Stage(page); err != nil {
			return err
		}
		page, bytes = nil, 0
	}
	return n.Stage(page)
}

// endHealing makes g the last commit of the healing. The clock does not cover what the former copy issued
// behind the fork: under those seqs others hold what is not here yet.
func (n *Namespace) endHealing(g *group) {
	n.c.heal, n.c.Joining = nil, false
	g.side.Delete(n.keys.heal())
}
