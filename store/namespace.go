package store

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/internal/invariant"
)

// Namespace is one copy of a namespace: the durable causal dot store. All methods are safe for
// concurrent use.
type Namespace struct {
	name    string
	storage Storage
	keys    keyspace
	backend Backend
	opts    *Options

	queue   chan *job
	quit    chan struct{}
	stopped chan struct{}
	stopOne sync.Once

	// The committer's own; no other goroutine touches them after open.
	c      committer
	keeper keeper
	timer  *time.Timer // wakes the committer for the reaper and the keeper

	// mu is held for writing while a commit becomes visible, so that a snapshot, the clock and
	// the live bitmaps that are taken under it belong together.
	mu      sync.RWMutex
	applied version
	live    *delta.DotSet
	// pinned is what readers see while a commit is applied, or a large change piece by piece.
	pinned *pinned
	calm   chan struct{} // closed when the large change is through; nil without one

	// durable is the newest version that survives a crash. It trails applied by one fsync.
	durable atomic.Pointer[version]
	failed  atomic.Pointer[failure]
	dead    chan struct{} // closed after failed is set
	held    atomic.Uint64 // what Held was told, not durable yet

	watchMu  sync.Mutex
	changed  chan struct{} // closed and replaced when durable moves; nil while nobody waits
	watchers map[int]func(Commit)
	nextID   int

	stagedMu sync.Mutex
	staged   *delta.DotSet
	// stagedBytes is about the size of their values; after a restart that of all that is encoded.
	stagedBytes int
	stagedOf    stagedHistory

	spaceMu sync.Mutex
	space   diskLevel
}

type failure struct{ err error }

// version is one state of a namespace copy. It is immutable once published.
type version struct {
	commit  uint64
	clock   crdt.VersionVector
	runs    delta.Runs
	past    delta.Past
	ownRuns []delta.Run
	digest  delta.Digest
	replica crdt.ReplicaID
	objects uint64
	entries uint64
	joining bool
	floors  crdt.VersionVector
	// logFirst is the number of the oldest commit in the log.
	logFirst uint64
}

// committer is the state that only the goroutine of the group commit reads and writes.
type committer struct {
	meta
	base  *base
	clock crdt.VersionVector
	runs  delta.Runs
	// past is what is known of earlier runs of others. It is replaced, not written: versions share it.
	past delta.Past
	// floors: per replica the highest seq whose unit the log no longer holds.
	floors crdt.VersionVector
	hlc    crdt.HLC
	// since is what changed of the clock since the last own unit: the dependencies of the next.
	since crdt.VersionVector
	// nonce names this run; the run is recorded with the first seq that it issues.
	nonce uint64
	// pending waits for the piece of a large change that was applied last.
	pending func() error
	// pieces counts the log records that pieces of large changes wrote in this run.
	pieces uint64
	seals  seals
	// returned are sealed ids of which it has been told that they live.
	returned map[crdt.ReplicaID]bool
	// held is the highest own seq that a peer is known to hold.
	held uint64
	// heal is not nil while the copy heals a fork. It is replaced, not written.
	heal *healing
	// purges counts the counters that wait in the table p to be looked at.
	purges int
	side   sideTable
	reaper reaper
}

// openNamespace opens a copy, or makes one. A large change that was cut off is finished before any
// reader can look.
func openNamespace(s *Store, name string, storage Storage, id string, fresh bool) (*Namespace, error) {
	n := &Namespace{
		name: name, storage: storage, keys: keyspace("/" + id), backend: s.disk, opts: &s.opts,
		queue: make(chan *job, maxGroupJobs), quit: make(chan struct{}), stopped: make(chan struct{}), dead: make(chan struct{}),
		watchers: map[int]func(Commit){}, timer: time.NewTimer(math.MaxInt64),
	}
	if storage == Memory {
		n.backend = s.memory
	}
	if fresh {
		if err := n.create(); err != nil {
			return nil, err
		}
	}
	if err := n.load(); err != nil {
		return nil, err
	}
	if err := n.recover(); err != nil {
		return nil, err
	}
	if err := n.finishHealing(); err != nil {
		return nil, err
	}
	if err := n.acceptBequest(); err != nil {
		return nil, err
	}
	go n.run()
	return n, nil
}

// load reads the state of the copy.
func (n *Namespace) load() error {
	c := &n.c
	c.base = newBase(n.backend, n.keys)
	c.clock, c.runs, c.floors, c.since = crdt.VersionVector{}, delta.Runs{}, crdt.VersionVector{}, crdt.VersionVector{}
	c.past = delta.Past{}
	n.live, n.staged, n.stagedBytes = delta.NewDotSet(), delta.NewDotSet(), 0
	v, ok, err := n.backend.Get(n.keys.meta())
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: the copy has no state", ErrDamaged)
	}
	if c.meta, err = decodeMeta(v); err != nil {
		return err
	}
	if c.nonce, err = randUint64(n.opts.Rand); err != nil {
		return err
	}
	if c.heal, err = readHealing(n.backend, n.keys); err != nil {
		return err
	}
	if c.held, err = readHeld(n.backend, n.keys); err != nil {
		return err
	}
	if n.stagedOf, err = readStagedHistory(n.backend, n.keys); err != nil {
		return err
	}
	c.hlc = crdt.HLC{Last: c.meta.HLC, MaxAhead: n.opts.MaxAhead}
	if err := n.loadTables(); err != nil {
		return err
	}
	// What changed before this run is not known piece by piece: the first unit depends on all.
	c.since = c.clock.Clone()
	delete(c.since, c.Replica)
	if err := n.checkLoaded(); err != nil {
		return err
	}
	n.publish()
	applied := n.applied // which the next commit overwrites
	n.durable.Store(&applied)
	return nil
}

// checkLoaded compares what was read with itself.
func (n *Namespace) checkLoaded() error {
	if n.live.Len() != n.c.Entries {
		return fmt.Errorf("%w: %d live dots, but %d entries are counted", ErrDamaged, n.live.Len(), n.c.Entries)
	}
	_, redo, err := n.backend.Get(n.keys.redo())
	if err != nil || redo {
		return err // a join that was cut off has added entries, and moves the clock at its end
	}
	if n.live.Uncovered(n.c.clock).Len() > 0 { // I2
		return fmt.Errorf("%w: live dots that the clock does not cover", ErrDamaged)
	}
	return nil
}

// create writes the state of a fresh copy.
func (n *Namespace) create() error {
	id, err := newReplicaID(n.opts.Rand)
	if err != nil {
		return err
	}
	var b Batch
	b.DeleteRange(n.keys.all())
	b.Put(n.keys.meta(), appendMeta(nil, meta{Replica: id, LogFirst: 1}))
	return applySync(n.backend, &b)
}

// loadTables reads the clock, the live bitmaps and what is staged.
func (n *Namespace) loadTables() error {
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	if err := n.loadSeals(snap); err != nil {
		return err
	}
	err = walk(snap, n.keys, 'v', func(key string, value []byte) error {
		r, ok := parseHex(key[len(n.keys)+3:])
		c, err := decodeComponent(value)
		if err != nil || !ok {
			return fmt.Errorf("%w: clock key %q", ErrDamaged, key)
		}
		id := crdt.ReplicaID(r)
		if c.Seq > 0 {
			n.c.clock[id] = c.Seq
		}
		if c.Floor > 0 {
			n.c.floors[id] = c.Floor
		}
		if c.Run != (delta.Run{}) {
			n.c.runs[id] = c.Run
		}
		if len(c.Past) > 0 {
			n.c.past[id] = c.Past
		}
		return nil
	})
	if err != nil {
		return err
	}
	dots := func(into *delta.DotSet) func(string, []byte) error {
		return func(key string, _ []byte) error {
			d, ok := n.keys.dotOf(key)
			if !ok {
				return fmt.Errorf("%w: dot key %q", ErrDamaged, key)
			}
			into.Add(d)
			return nil
		}
	}
	if err := walk(snap, n.keys, 'i', dots(n.live)); err != nil {
		return err
	}
	stage := dots(n.staged)
	if err := walk(snap, n.keys, 's', func(key string, value []byte) error {
		n.stagedBytes += len(value)
		return stage(key, value)
	}); err != nil {
		return err
	}
	if err := n.loadSides(snap); err != nil {
		return err
	}
	if err := walk(snap, n.keys, 'p', func(string, []byte) error { n.c.purges++; return nil }); err != nil {
		return err
	}
	it, err := snap.Iterate(n.keys.table('e'))
	if err != nil {
		return err
	}
	defer it.Close()
	if it.Next() {
		n.c.reaper.due = 1 // its first run finds out when
	}
	return it.Err()
}

// walk calls f for every key of a table, ascending. value is valid during the call.
func walk(snap Snapshot, keys keyspace, table byte, f func(key string, value []byte) error) error {
	it, err := snap.Iterate(keys.table(table))
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		if err := f(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Err()
}

// publish makes the committer's state the applied version. The caller holds mu or is alone.
func (n *Namespace) publish() {
	c := &n.c
	n.applied = version{
		commit: c.Commit, clock: c.clock.Clone(), runs: maps.Clone(c.runs), past: c.past, ownRuns: slices.Clone(c.OwnRuns),
		digest: c.Digest, replica: c.Replica, objects: c.Objects, entries: c.Entries,
		joining: c.Joining, floors: c.floors.Clone(), logFirst: c.LogFirst,
	}
	if invariant.Enabled {
		invariant.Check(n.live.Len() == c.Entries || n.pinned != nil, "%d live dots, %d entries", n.live.Len(), c.Entries)
		invariant.Check(c.clock.CoversAll(c.floors), "log floor above the clock")
	}
}

// stop ends the committer. Jobs that wait get ErrClosed. When it returns, nobody writes to the
// datastore any more, or takes a snapshot of it.
func (n *Namespace) stop() {
	n.stopOne.Do(func() { close(n.quit) })
	<-n.stopped
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
}

func (n *Namespace) isClosed() bool {
	select {
	case <-n.quit:
		return true
	default:
		return false
	}
}

// Name returns the namespace's name.
func (n *Namespace) Name() string { return n.name }

// Storage says where the copy lives.
func (n *Namespace) Storage() Storage { return n.storage }

// Status is what a copy tells of itself to its peers.
type Status struct {
	Replica crdt.ReplicaID
	// Clock is the durable clock. It is shared and must not be written, as Runs and OwnRuns.
	Clock  crdt.VersionVector
	Digest delta.Digest
	// Runs is the latest run known of each replica, this one included once it issued a seq.
	Runs delta.Runs
	// OwnRuns are all runs of Replica that issued a seq.
	OwnRuns []delta.Run
	Objects uint64
	Entries uint64
	// Joining is true for a copy that was set aside for damage, until its first complete join.
	Joining bool
	Commit  uint64
}

// Status returns the durable state.
func (n *Namespace) Status() Status { return n.durable.Load().status() }

func (v *version) status() Status {
	return Status{Replica: v.replica, Clock: v.clock, Digest: v.digest, Runs: v.runs, OwnRuns: v.ownRuns,
		Objects: v.objects, Entries: v.entries, Joining: v.joining, Commit: v.commit}
}

// Replica returns the id under which this copy writes.
func (n *Namespace) Replica() crdt.ReplicaID { return n.durable.Load().replica }

// Clock returns the durable clock. It is shared and must not be written.
func (n *Namespace) Clock() crdt.VersionVector { return n.durable.Load().clock }

// Counts returns the number of objects with live content and of live entries.
func (n *Namespace) Counts() (objects, entries uint64) {
	v := n.durable.Load()
	return v.objects, v.entries
}

// Err returns why the copy answers nothing: it wraps ErrDamaged or ErrJoining, or is nil.
func (n *Namespace) Err() error {
	if f := n.failed.Load(); f != nil {
		return f.err
	}
	if n.durable.Load().joining {
		return ErrJoining
	}
	return nil
}

// WaitFor waits until the durable clock covers clock. It returns the error of ctx when that
// ends first, ErrClosed when the copy is closed, and what Err returns when it fails meanwhile.
func (n *Namespace) WaitFor(ctx context.Context, clock crdt.VersionVector) error {
	for {
		moved := n.moved()
		if n.Clock().CoversAll(clock) {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.dead:
			return n.failed.Load().err
		case <-n.quit:
			return ErrClosed
		}
	}
}

// moved returns a channel that is closed when the durable version moves next.
func (n *Namespace) moved() <-chan struct{} {
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// Commit tells a subscriber what became durable.
type Commit struct {
	Status Status
	// Units are what was applied, in order. They are shared and must not be changed.
	Units []delta.Unit
	// Local is true when there are units of this replica among them.
	Local bool
	// Joined is true after a state join: what it changed is not in Units, which then hold at
	// most an own unit that followed from it.
	Joined bool
}

// Subscribe calls f for every commit, in order, once it is durable. f must not block: it runs
// between two commits. cancel returns when f is not running and will not be called again.
func (n *Namespace) Subscribe(f func(Commit)) (cancel func()) {
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	id := n.nextID
	n.nextID++
	n.watchers[id] = f
	return func() {
		n.watchMu.Lock()
		defer n.watchMu.Unlock()
		delete(n.watchers, id)
	}
}

// announce moves the durable version and tells whoever waits.
func (n *Namespace) announce(v *version, g *group) {
	n.durable.Store(v)
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
	if len(n.watchers) == 0 {
		return
	}
	local := slices.ContainsFunc(g.units, func(u delta.Unit) bool { return u.Origin == v.replica })
	for _, f := range n.watchers {
		f(Commit{Status: v.status(), Units: g.units, Local: local, Joined: g.joined})
	}
}
