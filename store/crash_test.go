package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// history is a scripted life of a copy and a peer that is the same at each run, up to the moment
// at which something goes wrong.
type history struct {
	t    testing.TB
	rig  *rig
	n    *Namespace
	peer *Namespace
	// states are those that were announced, by commit; acked is the last of them.
	states map[uint64]crdt.State
	acked  uint64
	// onAnnounce, if set, sees each commit behind it.
	onAnnounce func(Commit)
}

const historyLarge = 8

func newHistory(t testing.TB) *history {
	h := &history{t: t, rig: newRig(t), states: map[uint64]crdt.State{0: crdt.NewState()}}
	h.rig.opts.Rand = seeded{rand.New(rand.NewPCG(1, 1))}
	h.rig.opts.LargeEntries = historyLarge
	h.rig.opts.MaxLogBytes = 4000
	h.peer = memorySpace(t, func(o *Options) {
		o.Rand = seeded{rand.New(rand.NewPCG(2, 2))}
		o.Now, o.LargeEntries = h.rig.opts.Now, historyLarge
	})
	return h
}

// announced keeps the state that became durable. It runs on the committer.
func (h *history) announced(c Commit) {
	s := crdt.State{Clock: c.Status.Clock, Live: map[crdt.Dot]crdt.Entry{}}
	snap, err := h.n.backend.Snapshot()
	if err != nil {
		h.t.Error(err)
		return
	}
	defer snap.Close()
	err = walk(snap, h.n.keys, 'd', func(key string, value []byte) error {
		es, err := decodeEntries(value, h.n.keys.pathOf(key))
		for _, e := range es {
			s.Live[e.Dot] = e
		}
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
	h.states[c.Status.Commit], h.acked = s, c.Status.Commit
	if h.onAnnounce != nil {
		h.onAnnounce(c)
	}
}

// live runs the history until its end or the first error.
func (h *history) live() error {
	s, err := Open(h.rig.opts)
	if err != nil {
		return err
	}
	defer s.Close()
	if h.n, err = s.Namespace(Default); err != nil {
		return err
	}
	h.n.Subscribe(h.announced)
	for _, step := range h.steps() {
		if err := step(); err != nil {
			return err
		}
	}
	return h.commit(func(*Tx) error { return nil }) // behind the last purge
}

func (h *history) steps() []func() error {
	return []func() error{
		h.fill, h.pullFromPeer, h.large, h.refill, h.peerDeletes, h.pullFromPeer, h.counters, h.peerResets,
		h.stateFromPeer, h.refill, h.peerDeletes, h.stateFromPeer, h.subtree, h.churn,
	}
}

func (h *history) commit(fn func(*Tx) error) error {
	_, err := h.n.Commit(context.Background(), func(tx *Tx) error {
		return errors.Join(fn(tx), tx.PutSide("latest", []byte("x"), time.Hour))
	})
	return err
}

// peerCommits lets the peer make transactions. A history can be given up in the middle, and its peer be closed
// before it notices: that is an error like others, and no longer a matter of its test.
func (h *history) peerCommits(fns ...func(*Tx) error) error {
	for _, fn := range fns {
		if _, err := h.peer.Commit(context.Background(), fn); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) pullFromPeer() error { return pull(h.t, h.n, h.peer) }

func (h *history) stateFromPeer() error {
	src, err := h.peer.Source(context.Background())
	if err != nil {
		return err
	}
	defer src.Close()
	return pullState(h.t, h.n, src)
}

func addAll(tx *Tx, set crdt.Path, from, to int) error {
	for i := from; i < to; i++ {
		if _, err := tx.Add(numbered(set, i)); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) fill() error {
	return errors.Join(
		h.commit(func(tx *Tx) error { return addAll(tx, tSet, 0, 100) }),
		h.commit(func(tx *Tx) error {
			return errors.Join(tx.Increment(tCounter, 5), tx.Assign(tRegister, []byte("1"), nil),
				addAll(tx, tMap.Field("tags").Leaf(crdt.Set), 0, 70), tx.Increment(tMap.Fields("a", "n").Leaf(crdt.Counter), -7))
		}),
		h.commit(increment(2)),
	)
}

// large deletes a set and adds to it, in one transaction.
func (h *history) large() error {
	return h.commit(func(tx *Tx) error {
		_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
		return errors.Join(err, addAll(tx, tSet, 98, 103), tx.Increment(tCounter, 1))
	})
}

func (h *history) refill() error {
	return h.commit(func(tx *Tx) error { return addAll(tx, tSet, 200, 290) })
}

// peerDeletes lets the peer see everything, delete most of it and go on.
func (h *history) peerDeletes() error {
	if err := pull(h.t, h.peer, h.n); err != nil {
		return err
	}
	return h.peerCommits(func(tx *Tx) error { return addAll(tx, tSet, 400, 402) }, func(tx *Tx) error {
		_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
		_, err2 := tx.Delete(tMap, nil)
		return errors.Join(err, err2, addAll(tx, tSet, 500, 520))
	}, increment(10))
}

func (h *history) counters() error {
	return errors.Join(h.commit(increment(3)), h.commit(func(tx *Tx) error {
		_, err := tx.Reset(tCounter, nil)
		return err
	}), h.commit(increment(4)))
}

// peerResets resets cells that this copy must then purge.
func (h *history) peerResets() error {
	if err := pull(h.t, h.peer, h.n); err != nil {
		return err
	}
	return h.peerCommits(func(tx *Tx) error { _, err := tx.Reset(tCounter, nil); return err },
		func(tx *Tx) error { return addAll(tx, tSet, 600, 630) })
}

func (h *history) subtree() error {
	return errors.Join(h.fill(), h.commit(func(tx *Tx) error { _, err := tx.Delete(tMap, nil); return err }))
}

// churn makes the log drop its oldest records.
func (h *history) churn() error {
	for i := range 30 {
		value := []byte(strings.Repeat("7", 200+i))
		if err := h.commit(func(tx *Tx) error { return tx.Assign(tRegister, value, nil) }); err != nil {
			return err
		}
	}
	return nil
}

var errStop = errors.New("stopped")

// TestStopAtEveryBatch stops the datastore for good before or behind each of its batches. What is
// found afterwards is the state of an acknowledged commit, or of the one that was in flight.
func TestStopAtEveryBatch(t *testing.T) {
	golden := newHistory(t)
	batches := 0
	golden.rig.backend.onApply = func(*Batch) error { batches++; return nil }
	if err := golden.live(); err != nil {
		t.Fatal(err)
	}
	golden.rig.backend.calm()
	if batches < 80 {
		t.Errorf("only %d batches", batches)
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for stop := 1; stop <= batches; stop += step {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,applied=%t", stop, applied), func(t *testing.T) {
				h := newHistory(t)
				h.stopAt(stop, applied)
				if err := h.live(); !errors.Is(err, errStop) {
					t.Fatalf("live: %v", err)
				}
				h.rig.backend.calm()
				h.reopen(golden)
			})
		}
	}
}

func (h *history) stopAt(stop int, applied bool) {
	batches := 0
	h.rig.backend.onApply = func(*Batch) error {
		if batches++; batches > stop || batches == stop && !applied {
			return errStop
		}
		return nil
	}
	h.rig.backend.onWait = func() error {
		if batches >= stop {
			return errStop
		}
		return nil
	}
}

// reopen checks what is found, and that both sides converge.
func (h *history) reopen(golden *history) {
	h.t.Helper()
	_, n := h.rig.space()
	found := checkConsistency(h.t, n)
	commit := n.Status().Commit
	// A purge may follow the commit in flight at once.
	if commit < h.acked || commit > h.acked+2 {
		h.t.Fatalf("found commit %d, %d was acknowledged", commit, h.acked)
	}
	if want := golden.states[commit]; !found.Equal(want) {
		h.t.Fatalf("found at commit %d (acknowledged: %d):\n%s\nwant:\n%s", commit, h.acked, describe(found), describe(want))
	}
	h.n = n
	h.converge()
}

// converge lets both sides exchange all that they have.
func (h *history) converge() {
	h.t.Helper()
	n := h.n
	mustCommit(h.t, n, increment(100))
	var a, b Status
	for range 5 {
		if err := errors.Join(pull(h.t, h.peer, n), pull(h.t, n, h.peer)); err != nil {
			h.t.Fatal(err)
		}
		// What either side purges after a join is a change of its own, which the next round carries.
		checkConsistency(h.t, n)
		checkConsistency(h.t, h.peer)
		if a, b = n.Status(), h.peer.Status(); a.Clock.Compare(b.Clock) == crdt.Equal && a.Digest == b.Digest {
			return
		}
	}
	h.t.Errorf("no convergence: %v %v, %v %v", a.Clock, a.Digest, b.Clock, b.Digest)
}

// TestPowerLoss takes the power away at each batch of the same history, on Pebble.
func TestPowerLoss(t *testing.T) {
	type crash struct {
		fs    *CrashFS
		acked uint64
	}
	var crashes []crash
	h := newHistory(t)
	fs, rng := NewCrashFS(), rand.New(rand.NewPCG(5, 5))
	keep := func() {
		crashes = append(crashes, crash{fs.Crash(rng.IntN(101), rng), h.acked})
	}
	h.rig.opts.OpenBackend = func(dir string) (Backend, error) {
		p, err := OpenPebble(dir, PebbleOptions{FS: fs})
		return &disturbed{Backend: p, onWait: func() error { keep(); return nil }, onApply: func(*Batch) error { keep(); return nil }}, err
	}
	if err := h.live(); err != nil {
		t.Fatal(err)
	}
	for i, c := range crashes {
		if testing.Short() && i%5 != 0 {
			continue
		}
		r := newRig(t)
		r.opts.LargeEntries, r.opts.MaxLogBytes = historyLarge, 4000
		r.opts.OpenBackend = func(string) (Backend, error) { return OpenPebble(h.rig.opts.Dir, PebbleOptions{FS: c.fs}) }
		s, n := r.space()
		found, commit := checkConsistency(t, n), n.Status().Commit
		if commit < c.acked || commit > c.acked+2 {
			t.Errorf("crash %d: found commit %d, %d was acknowledged", i, commit, c.acked)
		} else if commit > 0 && !found.Equal(h.states[commit]) {
			t.Errorf("crash %d: found at commit %d:\n%s\nwant:\n%s", i, commit, describe(found), describe(h.states[commit]))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLargeChangeHidden holds a large change at each of its batches: readers see the state from
// before, writers wait, and those who follow the clock never see less than it says.
func TestLargeChangeHidden(t *testing.T) {
	r := newRig(t)
	r.opts.LargeEntries = historyLarge
	_, n := r.space()
	addMembers(t, n, tSet, 0, 100)
	before := n.Status()
	n.Subscribe(func(c Commit) {
		v, err := n.View(context.Background())
		if err != nil {
			t.Errorf("view: %v", err)
			return
		}
		defer v.Close()
		if v.Commit() < c.Status.Commit {
			t.Errorf("commit %d was announced, a view shows commit %d", c.Status.Commit, v.Commit())
		}
	})
	reached, goOn := make(chan struct{}), make(chan struct{})
	r.backend.disturb(func(d *disturbed) {
		d.onWait = func() error { reached <- struct{}{}; <-goOn; return nil }
	})
	done := make(chan error, 1)
	go func() {
		_, err := n.Commit(context.Background(), func(tx *Tx) error {
			_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
			return errors.Join(err, addAll(tx, tSet, 500, 501))
		})
		done <- err
	}()
	for batches := 0; ; batches++ {
		select {
		case <-reached:
			seesAll(t, n, before, 100)
			goOn <- struct{}{}
		case err := <-done:
			if err != nil || batches < 100/historyLarge {
				t.Fatalf("%v after %d batches", err, batches)
			}
			r.backend.calm()
			if s := checkConsistency(t, n); len(s.Live) != 1 {
				t.Errorf("%d entries are left", len(s.Live))
			}
			return
		}
	}
}

// seesAll reads while a large change is held. A reader who cannot wait gets the state from before,
// or nothing when the last batch is visible and not yet durable.
func seesAll(t *testing.T, n *Namespace, before Status, members int) {
	t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if src, err := n.Source(ended); err == nil { // behind the redo record, before the first batch
		if src.Status().Commit != before.Commit || src.Live().Len() != uint64(members) || src.Close() != nil {
			t.Errorf("source at %+v, before %+v", src.Status(), before)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("source: %v", err)
	}
	for _, err := range []error{
		second(n.Commit(ended, increment(1))), n.WaitFor(ended, crdt.VersionVector{before.Replica: 1000}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("while a large change runs: %v", err)
		}
	}
	if s := n.Status(); s.Commit != before.Commit || s.Digest != before.Digest || s.Clock.Compare(before.Clock) != crdt.Equal {
		t.Errorf("status %+v, before %+v", s, before)
	}
	v, err := n.View(ended)
	if errors.Is(err, context.Canceled) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	found := 0
	for _, err := range v.Scan(tSet, "") {
		if err != nil {
			t.Fatal(err)
		}
		found++
	}
	if h, err := v.Head(tSet.ObjectPath()); err != nil || h.Visible != uint64(members) || found != members {
		t.Errorf("%d members, head %+v %v; want %d", found, h, err, members)
	}
}
