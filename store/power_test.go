package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

var (
	powerSeeds = flag.Int("power.seeds", 8, "how many histories to cut the power of")
	powerFirst = flag.Uint64("power.first", 1, "the seed of the first")
	powerEvery = flag.Int("power.every", 24, "look at one in so many moments of a history, 1 for each of them")
)

// witness writes down every state of every copy that a store makes durable, in that order.
type witness struct {
	mu     sync.Mutex
	states map[string][]witnessed // by the id of the copy and the number of the commit
	latest map[string]int         // the last of each copy
	redo   map[string]bool        // copies in the midst of a large change
	last   int
}

type witnessed struct {
	at     int
	digest delta.Digest
}

func newWitness() *witness {
	return &witness{states: map[string][]witnessed{}, latest: map[string]int{}, redo: map[string]bool{}}
}

func (w *witness) note(id string, m meta) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	at := fmt.Sprint(id, ":", m.Commit)
	w.states[at], w.latest[id] = append(w.states[at], witnessed{w.last, m.Digest}), w.last
}

// saw reports whether a copy was found in one of the states from..to. Half of a large change has no digest.
func (w *witness) saw(f foundCopy, from, to int) bool {
	return slices.ContainsFunc(w.states[fmt.Sprint(f.id, ":", f.meta.Commit)], func(s witnessed) bool {
		return (f.redo || s.digest == f.meta.Digest) && from <= s.at && s.at <= to
	})
}

// watched is a backend that a witness sees.
type watched struct {
	Backend
	w *witness
}

func (b watched) Apply(batch *Batch) (func() error, error) {
	metas := map[string]meta{}
	for o := range batch.Ops() {
		id, key, _ := strings.Cut(strings.TrimPrefix(o.Key, "/"), "/")
		switch {
		case key == "m/redo":
			b.w.redo[id] = o.Kind == OpPut
		case key == "m/meta" && o.Kind == OpPut:
			m, err := decodeMeta(o.Value)
			if err != nil {
				return nil, err
			}
			metas[id] = m
		}
	}
	maps.DeleteFunc(metas, func(id string, _ meta) bool { return b.w.redo[id] })
	wait, err := b.Backend.Apply(batch)
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := wait(); err != nil {
			return err
		}
		for id, m := range metas {
			b.w.note(id, m)
		}
		return nil
	}, nil
}

// foundCopy is a registered copy as it is on disk before a store looks at it.
type foundCopy struct {
	id   string
	meta meta
	redo bool
}

func findCopies(b Backend) (map[string]foundCopy, error) {
	found := map[string]foundCopy{}
	err := (&Store{disk: b}).eachRegistered(func(name string, storage Storage, id string) error {
		keys := keyspace("/" + id)
		v, ok, err := b.Get(keys.meta())
		if err != nil || !ok {
			return fmt.Errorf("%s: meta: %t, %w", id, ok, err)
		}
		f := foundCopy{id: id}
		if f.meta, err = decodeMeta(v); err == nil {
			_, f.redo, err = b.Get(keys.redo())
		}
		found[name] = f
		return err
	})
	return found, err
}

// promise is what must be found after a loss of power.
type promise struct {
	copies map[string]int // the state of each namespace that was acknowledged, by the number of the witness
	// op is the last operation that was acknowledged, begun the last that was asked for.
	op, begun int
	// sides is the first operation whose side record must be there.
	sides int
	// loose: a fork is being healed, so op is not to be found where it was.
	loose bool
	// dropping: namespaces come and go.
	dropping bool
	// damaged: a value of the copy is broken.
	damaged bool
	// forked: the peer knows more of this copy's id than the copy does, and that is right.
	forked bool
	print  Fingerprint
	now    time.Time
}

// cut is what a loss of power left.
type cut struct {
	promise
	fs   *CrashFS
	w    *witness
	last int     // the number of the last state that the witness had seen
	src  *Source // of the peer, at that moment
	at   string
}

// powered is a store on a file system whose power is cut, and a peer that it talks to.
type powered struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand // of the history
	dice  *rand.Rand // of the cuts
	model *cluster   // which writes; its nodes are this copy and the peer
	fs    *powerFS
	opts  Options
	w     *witness
	store *Store
	n     *Namespace
	peer  *Namespace

	moments int
	mu      sync.Mutex // guards what follows: cuts are made on any goroutine
	promise promise
	cuts    []cut
}

const poweredLarge = 12

// shared is a source for goroutines: Pebble compacts the history while images of it are looked at.
type shared struct {
	mu  sync.Mutex
	src rand.Source
}

func (s *shared) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Uint64()
}

// newPowered is a directory without power before its first open.
func newPowered(t *testing.T, seed uint64) *powered {
	p := &powered{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), dice: rand.New(&shared{src: rand.NewPCG(seed, 2)}), w: newWitness()}
	p.promise = promise{copies: map[string]int{}, sides: 1, print: "here", now: time.Unix(1_700_000_000, 0), dropping: true}
	p.peer = memorySpace(t, func(o *Options) {
		o.Rand, o.LargeEntries, o.ReapEvery = seeded{rand.New(rand.NewPCG(seed, 3))}, poweredLarge, -1
		o.Now = func() time.Time { return p.promise.now }
	})
	p.model = &cluster{t: t, rng: p.rng, now: p.promise.now, nodes: []*member{{}, {ns: p.peer}}}
	p.use(NewCrashFS())
	t.Cleanup(func() {
		p.fs.mu.Lock()
		p.fs.cut = func(string) {}
		p.fs.mu.Unlock()
		if p.store != nil {
			p.store.Close()
		}
	})
	p.opts = p.options(t.TempDir(), p.promise, seeded{rand.New(rand.NewPCG(seed, 4))})
	return p
}

// options are those of a store that a test looks into.
func (p *powered) options(dir string, of promise, random seeded) Options {
	o := DefaultOptions(dir)
	o.Rand, o.LargeEntries, o.ReapEvery, o.MaxLogBytes = random, poweredLarge, -1, 8000
	o.FreeBytes = func(string) (uint64, error) { return 1 << 40, nil }
	o.Fingerprint = func(string) (Fingerprint, error) { return of.print, nil }
	o.Now = func() time.Time { return of.now }
	return o
}

func (p *powered) use(fs *CrashFS) {
	p.fs = newPowerFS(fs, p.dice, p.cut)
}

// cut keeps what a loss of power would leave at this moment, of some moments.
func (p *powered) cut(at string) {
	if p.moments++; p.dice.IntN(*powerEvery) > 0 {
		return
	}
	percent := []int{0, 0, 1 + p.dice.IntN(99), 1 + p.dice.IntN(99), 100}[p.dice.IntN(5)]
	c := cut{fs: p.fs.image(percent), w: p.w, at: fmt.Sprintf("moment %d, before %s, %d %% kept", p.moments, at, percent)}
	var err error
	if c.src, err = p.peer.Source(context.Background()); err != nil {
		p.t.Error(err)
		return
	}
	p.w.mu.Lock()
	c.last = p.w.last
	p.w.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.promise = p.promise
	c.copies = maps.Clone(p.promise.copies)
	p.cuts = append(p.cuts, c)
}

// promised changes what must be found from now on.
func (p *powered) promised(change func(*promise)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.promise)
}

// acknowledge promises all that was done up to now.
func (p *powered) acknowledge() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.promised(func(q *promise) {
		q.op = q.begun
		clear(q.copies)
		for _, i := range p.store.Namespaces() {
			q.copies[i.Name] = p.w.latest[namespaceOf(p.t, p.store, i.Name).id()]
		}
	})
}

func (p *powered) must(err error, format string, args ...any) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("seed %d: %s: %v", p.seed, fmt.Sprintf(format, args...), err)
	}
}

func (p *powered) open() {
	p.t.Helper()
	p.opts.Fingerprint = func(string) (Fingerprint, error) { return p.promise.print, nil }
	p.opts.Now = func() time.Time { return p.promise.now }
	p.opts.OpenBackend = func(string) (Backend, error) { return openWatched(p.fs, p.w) }
	var err error
	p.store, err = Open(p.opts)
	p.must(err, "open")
	p.use1()
}

// use1 takes up the copy that the store has now.
func (p *powered) use1() {
	p.n = namespaceOf(p.t, p.store, Default)
	p.model.nodes[0].ns = p.n
}

// smallMemTable makes Pebble flush and compact within a short history.
const smallMemTable = 32 << 10

func openWatched(fs FS, w *witness) (Backend, error) {
	b, err := OpenPebble("/data", PebbleOptions{FS: fs, MemTableBytes: smallMemTable})
	if err != nil {
		return nil, err
	}
	return watched{b, w}, nil
}

func (p *powered) close() { p.must(p.store.Close(), "close") }

var tOp = crdt.Object(crdt.Register, "op").Leaf(crdt.Register)

func sideKey(op int) string { return "op-" + strconv.Itoa(op) }

// do makes a transaction that says which it is, in the data and beside it.
func (p *powered) do(fn func(*Tx) error) {
	p.t.Helper()
	_, err := p.n.Commit(context.Background(), p.numbered(fn))
	p.must(err, "commit")
	p.acknowledge()
}

func (p *powered) numbered(fn func(*Tx) error) func(*Tx) error {
	var op int
	p.promised(func(q *promise) { q.begun++; op = q.begun })
	return func(tx *Tx) error {
		err := fn(tx)
		tx.Until(0)
		return errors.Join(err, tx.Assign(tOp, []byte(strconv.Itoa(op)), nil), tx.PutSide(sideKey(op), []byte("done"), time.Hour))
	}
}

func (p *powered) write() {
	p.do(func(tx *Tx) error {
		for range 1 + p.rng.IntN(4) {
			tx.Until(p.model.deadline())
			if err := p.model.op(tx); err != nil {
				return err
			}
		}
		return tx.Assign(tRegister, []byte(`"`+strings.Repeat("v", p.rng.IntN(3000))+`"`), nil)
	})
}

// series runs transactions that share a commit, one of which fails.
func (p *powered) series() {
	bad := errors.New("refused")
	_, err := p.n.CommitEach(context.Background(), 3, func(i int, tx *Tx) error {
		if i == 1 {
			return errors.Join(tx.Increment(tCounter, 1000), bad)
		}
		return tx.Increment(tCounter, 1)
	}, func(_ int, _ error, tx *Tx) error { return tx.PutSide("refused", []byte("x"), time.Hour) })
	p.must(err, "series")
	p.acknowledge()
}

// peerWrites has the peer hear all and write.
func (p *powered) peerWrites() {
	p.must(pull(p.t, p.peer, p.n), "pull to the peer")
	for range 1 + p.rng.IntN(3) {
		_, err := p.peer.Commit(context.Background(), func(tx *Tx) error {
			return errors.Join(p.model.op(tx), tx.Increment(tCounter, 3))
		})
		p.must(err, "commit of the peer")
	}
}

func (p *powered) units() {
	p.peerWrites()
	p.must(pull(p.t, p.n, p.peer), "pull")
	p.n.Held(p.peer.Clock()[p.n.Replica()])
	p.acknowledge()
}

// state joins the state of a peer, which has made more of it than fits a commit, or less.
func (p *powered) state() {
	p.peerWrites()
	from := p.rng.IntN(1000)
	addMembers(p.t, p.peer, tSet, from, from+p.rng.IntN(3*poweredLarge))
	if p.rng.IntN(2) == 0 {
		mustCommit(p.t, p.peer, deletes(tMap))
	}
	p.join()
	p.acknowledge()
}

func (p *powered) join() {
	src, err := p.peer.Source(context.Background())
	p.must(err, "source")
	p.must(errors.Join(pullState(p.t, p.n, src), src.Close()), "join")
}

// large makes a change that takes more than one batch.
func (p *powered) large() {
	p.do(func(tx *Tx) error { return addAll(tx, tSet, 0, 3*poweredLarge) })
	p.do(func(tx *Tx) error {
		_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
		return errors.Join(err, addAll(tx, tSet, 5, 7), tx.Increment(tCounter, 1))
	})
}

func (p *powered) reap() {
	p.do(func(tx *Tx) error {
		tx.Until(crdt.DeadlineOf(p.promise.now.Add(time.Second)))
		return addAll(tx, tSet, 2000, 2005)
	})
	p.promised(func(q *promise) { q.now = q.now.Add(3 * time.Minute) })
	p.model.now = p.promise.now
	_, err := p.n.Reap(context.Background())
	p.must(err, "reap")
	p.acknowledge()
}

// retire seals the id of a copy that is gone, and leaves counters.
func (p *powered) retire() {
	gone := memorySpace(p.t, func(o *Options) { o.Rand = seeded{p.rng} })
	mustCommit(p.t, gone, increment(5))
	mustCommit(p.t, gone, stock(5))
	p.must(pull(p.t, p.n, gone), "pull of what is gone")
	p.do(func(tx *Tx) error { _, err := tx.Reset(tCounter, nil); return err })
	_, err := p.n.Retire(context.Background(), gone.Replica())
	p.must(err, "retire")
	p.acknowledge()
}

// other makes, fills and drops a namespace.
func (p *powered) other() {
	p.promised(func(q *promise) { q.dropping = true })
	p.must(p.store.CreateNamespace("other", Disk), "create")
	mustCommit(p.t, namespaceOf(p.t, p.store, "other"), increment(1))
	p.acknowledge()
	if p.rng.IntN(2) == 0 {
		p.promised(func(q *promise) { delete(q.copies, "other") })
		p.must(p.store.DropNamespace("other"), "drop")
		p.acknowledge()
	}
	p.promised(func(q *promise) { q.dropping = false })
}

func (p *powered) reopen() {
	p.close()
	p.open()
	p.acknowledge()
}

// copied lets the directory prove to be a copy.
func (p *powered) copied() {
	p.close()
	p.promised(func(q *promise) { q.print += "'" })
	p.open()
	p.must(p.store.Renewed(), "renewed")
	p.do(increment(1))
}

// damage breaks a value, and begins anew with what the peer holds.
func (p *powered) damage() {
	p.must(pull(p.t, p.n, p.peer), "pull")
	p.do(increment(1))
	p.must(pull(p.t, p.peer, p.n), "pull to the peer")
	p.promised(func(q *promise) { q.damaged, q.sides = true, q.begun+1 })
	key := p.n.keys.head(tCounter.ObjectPath())
	p.must(p.store.put(key, []byte{0xff}), "damage")
	if err := ways["view head"](p.n); !isDamage(err) {
		p.t.Fatalf("damage was read: %v", err)
	}
	if p.rng.IntN(2) == 0 {
		_, err := p.store.SetAside(Default)
		p.must(err, "set aside")
		p.use1()
	} else {
		p.close()
		p.open()
	}
	p.join()
	p.do(increment(1))
	p.promised(func(q *promise) { q.damaged = false })
}

// fork rolls the disk back below the store, and heals.
func (p *powered) fork() {
	p.close()
	p.fs.mu.Lock()
	image := p.fs.image(100)
	p.fs.mu.Unlock()
	before := p.promise
	before.copies = maps.Clone(before.copies)
	p.open()
	p.write()
	p.peerWrites()
	p.close()
	p.fs.mu.Lock() // whoever removes old files in the background does so before
	p.use(image)
	p.promised(func(q *promise) {
		q.forked, q.copies, q.op, q.begun, q.sides = true, before.copies, before.op, q.begun+1, q.begun+1
	})
	p.open()
	p.write()
	p.promised(func(q *promise) { q.loose = true })
	p.must(p.store.HealFork(Default), "heal")
	p.use1()
	p.join()
	p.promised(func(q *promise) { q.sides = q.begun + 1 })
	p.do(increment(1))
	p.promised(func(q *promise) { q.loose, q.forked = false, false })
}

// TestPowerCuts lives histories of a store on Pebble, with all that a store does in them, and cuts the
// power at moments between and within the operations on its files: what was not synced is lost, kept
// in part, or kept. The store opens, holds what it had acknowledged, or that and the commit in flight, agrees
// with itself and with the peer, and goes on; and so it does when the power is cut in the course of that.
func TestPowerCuts(t *testing.T) {
	moments, looked := 0, 0
	for seed := *powerFirst; seed < *powerFirst+uint64(*powerSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newPowered(t, seed)
			defer func() {
				moments += p.moments
				if t.Failed() {
					t.Logf("replay: go test ./store -run 'TestPowerCuts$' -power.first=%d -power.seeds=1 -power.every=%d", seed, *powerEvery)
				}
			}()
			p.open()
			p.acknowledge()
			p.promised(func(q *promise) { q.dropping = false })
			p.do(increment(1))
			steps := []func(){p.write, p.write, p.write, p.series, p.units, p.units, p.state, p.state, p.large, p.reap,
				p.retire, p.other, p.reopen, p.copied, p.damage, p.fork}
			p.rng.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
			for _, step := range steps {
				step()
				checkConsistency(t, p.n)
				looked += p.look()
			}
			p.close()
			looked += p.look()
		})
	}
	t.Logf("%d moments, %d cuts", moments, looked)
}

// look opens what the cuts left.
func (p *powered) look() (looked int) {
	p.fs.mu.Lock()
	p.mu.Lock()
	cuts := p.cuts
	p.cuts = nil
	p.mu.Unlock()
	p.fs.mu.Unlock()
	for _, c := range cuts {
		looked += p.check(c, 1)
		p.must(c.src.Close(), "close")
		if p.t.Failed() {
			p.t.Fatal(c.at)
		}
	}
	return looked
}

// check opens what a cut left, with the power cut again up to depth times.
func (p *powered) check(c cut, depth int) (looked int) {
	t := p.t
	t.Helper()
	fs, w := newPowerFS(c.fs, p.dice, nil), newWitness()
	left := -1
	if depth > 0 {
		left = p.dice.IntN(150)
	}
	again := cut{promise: c.promise, w: w, src: c.src}
	again.copies = map[string]int{}
	var mu sync.Mutex // guards again and left
	fs.cut = func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if left--; left != -1 || depth == 0 {
			return
		}
		percent := p.dice.IntN(101)
		again.fs, again.at = fs.image(percent), fmt.Sprintf("%s, and then before %s, %d %% kept", c.at, at, percent)
		w.mu.Lock()
		again.last = max(again.last, w.last)
		w.mu.Unlock()
	}
	o := p.options(p.opts.Dir+"-check", c.promise, seeded{p.dice})
	damaged := false
	o.Event = func(e Event) { damaged = damaged || e.Kind == EventDamaged || e.Kind == EventFailed }
	var found map[string]foundCopy
	o.OpenBackend = func(string) (Backend, error) {
		b, err := openWatched(fs, w)
		if err == nil {
			found, err = findCopies(b)
			for _, f := range found {
				w.note(f.id, f.meta)
				w.redo[f.id] = f.redo
			}
			mu.Lock()
			again.last = w.last // also of a cut before this
			mu.Unlock()
		}
		return b, err
	}
	s, err := Open(o)
	if err != nil {
		t.Errorf("%s: open: %v", c.at, err)
		return 1
	}
	defer s.Close()
	c.compare(t, found)
	n := namespaceOf(t, s, Default)
	if c.damaged && n.Err() == nil && isDamage(ways["view head"](n)) {
		if _, err := s.SetAside(Default); err != nil {
			t.Errorf("%s: set aside: %v", c.at, err)
		}
		n = namespaceOf(t, s, Default)
	} else if damaged && !c.damaged {
		t.Errorf("%s: damage was found", c.at)
	}
	op := p.resume(c, n)
	for _, i := range s.Namespaces() {
		checkConsistency(t, namespaceOf(t, s, i.Name))
	}
	for i := 1; i <= 3; i++ {
		mu.Lock()
		again.begun, again.sides = max(c.begun, op)+i, max(again.sides, max(c.begun, op)+1)
		b := again.begun
		mu.Unlock()
		mustCommit(t, n, func(tx *Tx) error {
			return errors.Join(addAll(tx, tSet, 0, i*poweredLarge), tx.Assign(tOp, []byte(strconv.Itoa(b)), nil), tx.PutSide(sideKey(b), []byte("done"), time.Hour))
		})
		mustCommit(t, n, deletes(tSet.ObjectPath()))
	}
	checkConsistency(t, n)
	if err := s.Close(); err != nil {
		t.Errorf("%s: close: %v", c.at, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if again.fs != nil && !t.Failed() {
		return 1 + p.check(again, depth-1)
	}
	return 1
}

// compare compares the copies that were found with what was promised.
func (c *cut) compare(t *testing.T, found map[string]foundCopy) {
	t.Helper()
	for name, f := range found {
		if !c.w.saw(f, c.copies[name], c.last+1) {
			t.Errorf("%s: %s was found at %s, commit %d, which is no state from %d to %d: %+v",
				c.at, name, f.id, f.meta.Commit, c.copies[name], c.last+1, c.w.states)
		}
	}
	for name := range c.copies {
		if _, ok := found[name]; !ok && (name == Default || !c.dropping) {
			t.Errorf("%s: there is no %s", c.at, name)
		}
	}
}

// resume compares what the copy shows with what was promised, and has it meet the peer.
func (p *powered) resume(c cut, n *Namespace) (op int) {
	t := p.t
	t.Helper()
	if n.Err() == nil {
		checkConsistency(t, n)
		if !c.loose {
			op = c.shown(t, n)
		}
	}
	if n.Err() != nil && !errors.Is(n.Err(), ErrJoining) {
		t.Fatalf("%s: %v", c.at, n.Err())
	}
	var err error
	if n.Err() != nil {
		err = pullState(t, n, c.src)
	} else if !c.forked {
		err = pullSource(t, n, c.src)
	}
	if err == nil && n.Err() != nil && len(c.src.Status().Clock) == 0 {
		err = n.AcceptLoss(context.Background())
	}
	if err != nil {
		t.Fatalf("%s: the peer as it was then: %v", c.at, err)
	}
	return op
}

// shown returns which operation the copy shows to be its last.
func (c *cut) shown(t *testing.T, n *Namespace) (op int) {
	t.Helper()
	if vs := valuesAt(t, n, tOp); len(vs) > 0 {
		op, _ = strconv.Atoi(vs[0])
	}
	if op < c.op || op > c.begun {
		t.Errorf("%s: operation %d was found, %d acknowledged, %d begun", c.at, op, c.op, c.begun)
	}
	for i, want := range map[int]bool{op: op >= c.sides, op + 1: false} {
		_, ok, err := n.Side(context.Background(), sideKey(i))
		if err != nil || ok != want && (i > op || want) {
			t.Errorf("%s: operation %d was found, side record of %d: %t, %v", c.at, op, i, ok, err)
		}
	}
	return op
}

// TestMarkersKeepOrder opens a database again and again, and cuts the power where names come and go:
// a marker never points to a manifest that is not there, and there always is one.
func TestMarkersKeepOrder(t *testing.T) {
	fs := newPowerFS(NewCrashFS(), rand.New(rand.NewPCG(1, 1)), nil)
	var images []*CrashFS
	var acknowledged []int
	puts := 0
	fs.cut = func(at string) {
		if strings.Contains(at, "marker.") || at == "sync /data/pebble" {
			for range 8 {
				images, acknowledged = append(images, fs.image(50)), append(acknowledged, puts)
			}
		}
	}
	for i := range 4 {
		b, err := OpenPebble("/data", PebbleOptions{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		var batch Batch
		batch.Put(fmt.Sprintf("/n/t/%d", i), []byte("x"))
		if err := applySync(b, &batch); err != nil {
			t.Fatal(err)
		}
		fs.mu.Lock()
		puts++
		fs.mu.Unlock()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, image := range images {
		b, err := OpenPebble("/data", PebbleOptions{FS: image})
		if err != nil {
			t.Fatalf("image %d: %v", i, err)
		}
		for n := range acknowledged[i] {
			if _, ok, err := b.Get(fmt.Sprintf("/n/t/%d", n)); !ok || err != nil {
				t.Fatalf("image %d: put %d of %d: %t, %v", i, n, acknowledged[i], ok, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
