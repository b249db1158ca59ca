package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

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
	p.adopt()
}

// adopt takes up the copy that the store has now.
func (p *powered) adopt() {
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
		p.adopt()
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
	p.adopt()
	p.join()
	p.promised(func(q *promise) { q.sides = q.begun + 1 })
	p.do(increment(1))
	p.promised(func(q *promise) { q.loose, q.forked = false, false })
}
