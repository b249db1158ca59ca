package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// forked is a copy whose disk is rolled back under it: the same fingerprint, the same id.
//
//	before  held by all
//	lost    written after the image was made, and held by the peer
//	alone   written on the image, in two runs, before it meets the peer
type forked struct {
	*rig
	store *Store
	n     *Namespace
	peer  *Namespace
	id    crdt.ReplicaID
}

func assign(p crdt.Path, value string) func(*Tx) error {
	return func(tx *Tx) error { return tx.Assign(p, []byte(strconv.Quote(value)), nil) }
}

func reset(p crdt.Path) func(*Tx) error {
	return func(tx *Tx) error { _, err := tx.Reset(p, nil); return err }
}

func deletes(p crdt.Path) func(*Tx) error {
	return func(tx *Tx) error { _, err := tx.Delete(p, nil); return err }
}

func rollBack(t testing.TB, change func(*Options), before, lost func(a, peer *Namespace), alone ...func(*Namespace)) *forked {
	t.Helper()
	f := &forked{rig: newRig(t), peer: memorySpace(t, nil)}
	if change != nil {
		change(&f.opts)
	}
	f.store, f.n = f.space()
	f.id = f.n.Replica()
	before(f.n, f.peer)
	image := copyOf(t, f.backend.Backend)
	lost(f.n, f.peer)
	if err := errors.Join(pull(t, f.peer, f.n), f.store.Close()); err != nil {
		t.Fatal(err)
	}
	f.backend.disturb(func(d *disturbed) { d.Backend = image })
	for i, write := range alone {
		f.store, f.n = f.space()
		if write(f.n); i < len(alone)-1 {
			f.store.Close()
		}
	}
	if f.n.Replica() != f.id {
		t.Fatal("the image was taken for a copy")
	}
	return f
}

// heal sets the copy aside and joins the peer.
func (f *forked) heal() {
	f.t.Helper()
	if err := f.store.HealFork(Default); err != nil {
		f.t.Fatal(err)
	}
	f.n = namespaceOf(f.t, f.store, Default)
	f.join()
}

func (f *forked) join() {
	f.t.Helper()
	if err := f.pullAgain(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *forked) pullAgain() error {
	src, err := f.peer.Source(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(pullState(f.t, f.n, src), src.Close())
}

// converge exchanges until both have all, and compares.
func (f *forked) converge() crdt.State {
	f.t.Helper()
	for range 3 {
		if err := errors.Join(pull(f.t, f.peer, f.n), pull(f.t, f.n, f.peer)); err != nil {
			f.t.Fatal(err)
		}
	}
	a, b := checkConsistency(f.t, f.n), checkConsistency(f.t, f.peer)
	if !a.Equal(b) {
		f.t.Errorf("no convergence:\n%v\n%v", a, b)
	}
	if f.n.Replica() == f.id || f.n.Err() != nil {
		f.t.Errorf("id %v, formerly %v; %v", f.n.Replica(), f.id, f.n.Err())
	}
	return a
}

// keysIn counts keys.
func (f *forked) keysIn(lower, upper string) (n int) {
	snap, err := f.backend.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	defer snap.Close()
	it, err := snap.Iterate(lower, upper)
	if err != nil {
		f.t.Fatal(err)
	}
	defer it.Close()
	for it.Next() {
		n++
	}
	return n
}

// answered demands the side record that was written before the fork showed.
func (f *forked) answered() {
	f.t.Helper()
	r, ok, err := f.n.Side(context.Background(), "request")
	if err != nil || !ok || string(r.Value) != "answer" {
		f.t.Errorf("side record %q, %t, %v", r.Value, ok, err)
	}
}

func (f *forked) told() string {
	for {
		select {
		case e := <-f.events:
			if e.Kind == EventHealed {
				return e.Detail
			}
		default:
			f.t.Fatal("nothing was told")
		}
	}
}

// valuesAt returns what stands at a register, newest first.
func valuesAt(t testing.TB, n *Namespace, p crdt.Path) []string {
	t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	es, err := v.Entries(p)
	if err != nil {
		t.Fatal(err)
	}
	var vs []string
	for _, e := range es {
		vs = append(vs, strings.Trim(string(e.Value), `"`))
	}
	slices.Sort(vs)
	return vs
}

var (
	tField  = tMap.Field("f").Leaf(crdt.Register)
	tSecond = crdt.Object(crdt.Counter, "second").Leaf(crdt.Counter)
)

// bothSidesWrote is a fork with every type, in which the image was written in two runs.
func bothSidesWrote(t testing.TB, change func(*Options)) *forked {
	inc := func(p crdt.Path, n int64) func(*Tx) error {
		return func(tx *Tx) error { return tx.Increment(p, n) }
	}
	all := func(n *Namespace, fns ...func(*Tx) error) {
		for _, fn := range fns {
			mustCommit(t, n, fn)
		}
	}
	return rollBack(t, change,
		func(a, peer *Namespace) {
			all(a, increment(100), add("before", "removed there", "removed here"), assign(tRegister, "before"),
				assign(tField, "before"), inc(tSecond, 50))
			for range 2 {
				if err := errors.Join(pull(t, peer, a), pull(t, a, peer)); err != nil {
					t.Fatal(err)
				}
				mustCommit(t, peer, increment(1000))
			}
		},
		func(a, _ *Namespace) {
			all(a, increment(20), add("lost"), remove("removed there"), assign(tRegister, "lost"), inc(tSecond, 7))
		},
		func(a *Namespace) {
			all(a, increment(3), add("alone", "alone, and gone"), remove("removed here"))
		},
		func(a *Namespace) {
			all(a, increment(-1), remove("alone, and gone"), assign(tRegister, "alone"), deletes(tMap), reset(tSecond), inc(tSecond, 2))
		})
}

// complete makes all equal, and demands what both histories wrote, each once.
func (f *forked) complete() {
	f.t.Helper()
	if got := members(f.converge()); !slices.Equal(got, []string{"alone", "before", "lost"}) {
		f.t.Errorf("members %q", got)
	}
	if got := counterAt(f.t, f.n, tCounter); got != 2122 {
		f.t.Errorf("counter %d, want 2122", got)
	}
	if got := counterAt(f.t, f.n, tSecond); got != 9 {
		f.t.Errorf("the counter that was reset at 50 is %d, want 7+2", got)
	}
	if got := valuesAt(f.t, f.n, tRegister); !slices.Equal(got, []string{"alone", "lost"}) {
		f.t.Errorf("register %q", got)
	}
	if got := valuesAt(f.t, f.n, tField); len(got) != 0 {
		f.t.Errorf("field %q", got)
	}
}

// TestForkHeals: nothing of either history is lost, nothing counts twice, and all are equal.
func TestForkHeals(t *testing.T) {
	for _, large := range []int{1, 4096} {
		t.Run(fmt.Sprintf("large=%d", large), func(t *testing.T) {
			f := bothSidesWrote(t, func(o *Options) { o.LargeEntries = large })
			mustCommit(t, f.n, func(tx *Tx) error { return tx.PutSide("request", []byte("answer"), time.Hour) })
			former := f.n.keys
			f.heal()
			f.complete()
			if lower, upper := former.all(); f.keysIn(lower, upper) != 0 {
				t.Error("the former copy is still there")
			}
			f.answered()
			if text := f.told(); !strings.Contains(text, f.id.String()) || strings.Contains(text, "given up") {
				t.Errorf("told: %s", text)
			}
			mustCommit(t, f.n, increment(1))
			f.converge()
			f.store.Close()
			f.store, f.n = f.space()
			mustCommit(t, f.n, increment(-1))
			f.complete()
		})
	}
}

// TestForkHealsOnce stops the healing at every batch, before or behind it, and starts again: what was
// written alone is there once.
func TestForkHealsOnce(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for stop, ended := 1, false; !ended; stop++ {
			f := bothSidesWrote(t, func(o *Options) { o.LargeEntries = 2 })
			batches := 0
			fail := func() error {
				if batches++; batches >= stop {
					return errStop
				}
				return nil
			}
			f.backend.disturb(func(d *disturbed) {
				if applied {
					d.onWait = fail
				} else {
					d.onApply = func(*Batch) error { return fail() }
				}
			})
			err := f.store.HealFork(Default)
			if err == nil {
				f.n = namespaceOf(t, f.store, Default)
				err = f.pullAgain()
			}
			if ended = err == nil; ended && stop < 8 {
				t.Errorf("healed in %d batches", batches)
			}
			f.store.Close()
			f.backend.calm()
			f.store, f.n = f.space()
			if f.n.Replica() == f.id || f.n.Err() != nil {
				f.heal()
			}
			f.complete()
			if t.Failed() {
				t.Fatalf("stop %d, applied %t", stop, applied)
			}
		}
	}
}

// TestHealingWaitsForAProof: only who shows the fork knows where it began.
func TestHealingWaitsForAProof(t *testing.T) {
	f := bothSidesWrote(t, nil)
	stranger := memorySpace(t, nil)
	mustCommit(t, stranger, increment(10_000))
	if err := f.store.HealFork(Default); err != nil {
		t.Fatal(err)
	}
	knows := f.peer
	for range 2 { // the second time, for a copy that waits already
		f.n, f.peer = namespaceOf(t, f.store, Default), stranger
		if err := f.pullAgain(); !errors.Is(err, ErrNoProof) {
			t.Errorf("joined a stranger: %v", err)
		}
		if _, err := f.n.Commit(context.Background(), increment(1)); !errors.Is(err, ErrJoining) {
			t.Errorf("wrote: %v", err)
		}
		if err := f.store.HealFork(Default); err != nil {
			t.Fatal(err)
		}
	}
	f.peer = knows
	f.join()
	f.complete()
}

// TestHealingWithoutAPeer: on the operator's word the copy goes on with what it had, as a copy of a
// directory does.
func TestHealingWithoutAPeer(t *testing.T) {
	f := bothSidesWrote(t, nil)
	want := counterAt(t, f.n, tCounter)
	if err := f.store.HealFork(Default); err != nil {
		t.Fatal(err)
	}
	f.n = namespaceOf(t, f.store, Default)
	if err := f.n.AcceptLoss(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := checkConsistency(t, f.n)
	if f.n.Replica() == f.id || counterAt(t, f.n, tCounter) != want || !slices.Equal(members(got), []string{"alone", "before", "removed there"}) {
		t.Errorf("id %v, counter %d, want %d, members %q", f.n.Replica(), counterAt(t, f.n, tCounter), want, members(got))
	}
	mustCommit(t, f.n, increment(1))
}

// TestDamageWhileHealing: a copy that is damaged before it joined hands on what there is to heal.
func TestDamageWhileHealing(t *testing.T) {
	f := bothSidesWrote(t, nil)
	if err := f.store.HealFork(Default); err != nil {
		t.Fatal(err)
	}
	f.n = namespaceOf(t, f.store, Default)
	f.n.fail(fmt.Errorf("%w: in a test", ErrDamaged))
	if ok, err := f.store.SetAside(Default); err != nil || !ok {
		t.Fatal(ok, err)
	}
	f.n = namespaceOf(t, f.store, Default)
	f.join()
	f.complete()
}

// TestHealingADamagedCopy: what only the former copy held is given up when it cannot be read.
func TestHealingADamagedCopy(t *testing.T) {
	f := bothSidesWrote(t, nil)
	keys := f.n.keys
	if err := f.store.HealFork(Default); err != nil {
		t.Fatal(err)
	}
	f.backend.disturb(func(d *disturbed) {
		d.onRead = func(key string, value []byte) ([]byte, error) {
			if strings.HasPrefix(key, string(keys)+"/d/") {
				return []byte("junk"), nil
			}
			return value, nil
		}
	})
	f.n = namespaceOf(t, f.store, Default)
	f.join()
	f.backend.calm()
	if got := members(f.converge()); !slices.Equal(got, []string{"before", "lost", "removed here"}) {
		t.Errorf("members %q", got)
	}
	if text := f.told(); !strings.Contains(text, "given up") {
		t.Errorf("told: %s", text)
	}
}

// TestUnheldUnitsStayInTheLog: an operation stays until a peer is known to hold it, within bounds; then
// it goes as all others. What has gone all the same is told.
func TestUnheldUnitsStayInTheLog(t *testing.T) {
	f := rollBack(t, func(o *Options) { o.MaxLogBytes, o.MaxUnheldBytes = 1, 3000 },
		func(a, peer *Namespace) {
			mustCommit(t, a, increment(1))
			mustCommit(t, a, increment(1))
			if floor := a.durable.Load().floors[a.Replica()]; floor == 0 {
				t.Error("a copy without peers keeps its log")
			}
			if err := pull(t, peer, a); err != nil {
				t.Fatal(err)
			}
			a.Held(2)
			mustCommit(t, a, increment(1))
			mustCommit(t, a, increment(1))
			if floor := a.durable.Load().floors[a.Replica()]; floor != 2 {
				t.Errorf("held up to 2, dropped up to %d", floor)
			}
			a.Held(4)
			mustCommit(t, a, increment(1))
			mustCommit(t, a, increment(1))
			if floor := a.durable.Load().floors[a.Replica()]; floor != 4 {
				t.Errorf("held up to 4, dropped up to %d", floor)
			}
		},
		func(a, peer *Namespace) { mustCommit(t, a, increment(100)) },
		func(a *Namespace) {
			for range 60 {
				mustCommit(t, a, increment(1))
			}
			mustCommit(t, a, add("alone"))
			if floor := a.durable.Load().floors[a.Replica()]; floor <= 6 {
				t.Errorf("dropped up to %d: the log is not bounded", floor)
			}
		})
	f.heal()
	if got := members(f.converge()); !slices.Equal(got, []string{"alone"}) {
		t.Errorf("members %q", got)
	}
	if text := f.told(); !strings.Contains(text, "given up") {
		t.Errorf("told: %s", text)
	}
	if got := counterAt(t, f.n, tCounter); got <= 106 || got >= 166 {
		t.Errorf("counter %d, want 106 and a part of 60", got)
	}
}

// TestForkPoint: where two histories of one id part, by the runs that both sides know.
func TestForkPoint(t *testing.T) {
	run := func(first uint64) delta.Run { return delta.Run{First: first, Nonce: first * 7} }
	foreign := func(first uint64) delta.Run { return delta.Run{First: first, Nonce: 1} }
	own := []delta.Run{run(1), run(5), run(9)}
	for _, c := range []struct {
		name   string
		theirs []delta.Run
		to     uint64
		want   uint64
		shows  bool
	}{
		{"nothing", nil, 0, 13, false},
		{"a part of what was issued", []delta.Run{run(1), run(5)}, 8, 9, false},
		{"all of it", own, 12, 13, false},
		{"more under the same run: the tail was lost", own, 15, 13, true},
		{"the image was made in the first run, which went on", []delta.Run{run(1)}, 20, 5, true},
		{"and which went on less far than the image", []delta.Run{run(1)}, 5, 5, true},
		{"another run after the first", []delta.Run{run(1), foreign(5)}, 6, 5, true},
		{"another one that began later than ours", []delta.Run{run(1), foreign(8)}, 8, 5, true},
		{"two after the second", []delta.Run{run(1), run(5), foreign(9), foreign(11)}, 11, 9, true},
		{"only late runs are remembered", []delta.Run{run(5), foreign(9)}, 30, 9, true},
		{"no run is known", nil, 20, 13, true},
	} {
		h := healing{Seq: 12, OwnRuns: own}
		if at, shows := h.fork(c.theirs, c.to); at != c.want || shows != c.shows {
			t.Errorf("%s: %d %t, want %d %t", c.name, at, shows, c.want, c.shows)
		}
	}
}

// TestUnitsOfAForkDoNotBlock: who holds one history of an id takes the units of the other from where its
// own ends, also when that is in the middle of one, and what depends on them.
func TestUnitsOfAForkDoNotBlock(t *testing.T) {
	const r, s = crdt.ReplicaID(7), crdt.ReplicaID(8)
	n := memorySpace(t, nil)
	entry := func(r crdt.ReplicaID, seq uint64, i int) crdt.Entry {
		return crdt.Entry{Dot: crdt.Dot{Replica: r, Seq: seq}, Path: numbered(tSet, i), Kind: crdt.KindMember, Time: 1}
	}
	ctx := context.Background()
	if err := n.Apply(ctx, []delta.Unit{{Origin: r, First: 1, Last: 2, Entries: []crdt.Entry{entry(r, 1, 1), entry(r, 2, 2)}}}, nil); err != nil {
		t.Fatal(err)
	}
	other := delta.Unit{Origin: r, First: 1, Last: 3, Entries: []crdt.Entry{entry(r, 1, 10), entry(r, 3, 30)}}
	after := delta.Unit{Origin: s, First: 1, Last: 1, Deps: crdt.VersionVector{r: 3}, Entries: []crdt.Entry{entry(s, 1, 40)}}
	if err := n.Apply(ctx, []delta.Unit{other, after}, nil); err != nil {
		t.Fatal(err)
	}
	if got := members(checkConsistency(t, n)); !slices.Equal(got, []string{"x000001", "x000002", "x000030", "x000040"}) {
		t.Errorf("members %q", got)
	}
	if len(other.Entries) != 2 {
		t.Error("the caller's unit was changed")
	}
}
