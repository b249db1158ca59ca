package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// TestReserve: with less than the reserve local adds are refused, with less than a quarter of it
// replication too; removals never are, and all comes back with the space.
func TestReserve(t *testing.T) {
	r := newRig(t)
	_, n := r.space()
	peer := memorySpace(t, nil)
	addMembers(t, n, tSet, 0, 300)
	mustCommit(t, n, increment(5))
	assign := func(tx *Tx) error { return tx.Assign(tRegister, []byte("1"), nil) }
	mixed := func(tx *Tx) error { return errors.Join(remove("x000001")(tx), increment(1)(tx)) }
	free := func(bytes uint64) {
		r.free = bytes
		r.now = r.now.Add(time.Minute)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrDiskFull) {
			t.Errorf("%s with %d bytes free: %v", what, r.free, err)
		}
	}
	replicate := func() error {
		mustCommit(t, peer, add(fmt.Sprint(r.now)))
		return errors.Join(pull(t, n, peer))
	}
	take := func(i int) func(*Tx) error { return remove(fmt.Sprintf("x%06d", i)) }
	deletes := func(tx *Tx) error { _, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil); return err }
	resets := func(tx *Tx) error { _, err := tx.Reset(tCounter, nil); return err }
	ctx := context.Background()
	if err := replicate(); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		free(r.opts.ReserveBytes - 1)
		before := n.Status()
		for what, fn := range map[string]func(*Tx) error{"add": add("y"), "increment": increment(1), "assign": assign, "mixed": mixed} {
			refused(what, second(n.Commit(ctx, fn)))
		}
		if n.Status().Digest != before.Digest {
			t.Error("what was refused is there")
		}
		mustCommit(t, n, take(10*round))
		if err := replicate(); err != nil {
			t.Errorf("replication within the reserve: %v", err)
		}
		free(r.opts.ReserveBytes/4 - 1)
		refused("apply", replicate())
		refused("stage", n.Stage([]crdt.Entry{{Dot: crdt.Dot{Replica: 3, Seq: 1}, Path: numbered(tSet, 1), Kind: crdt.KindMember}}))
		refused("join", n.Join(ctx, StateJoin{From: n.Clock(), To: n.Clock(), Streamed: delta.NewDotSet(), Killed: delta.NewDotSet()}))
		mustCommit(t, n, take(10*round+1))
		if round == 1 {
			mustCommit(t, n, resets)
			mustCommit(t, n, deletes)
		}
		free(1 << 40)
		mustCommit(t, n, increment(1))
		if err := replicate(); err != nil {
			t.Errorf("with space again: %v", err)
		}
	}
	if got := counterAt(t, n, tCounter); got != 1 {
		t.Errorf("counter: %d", got)
	}
	checkConsistency(t, n)
}

// TestFullAtEveryBatch lets each batch of the history find no space once. Nothing of it is visible,
// the copy goes on at once, and what is done again leads to the same place as everywhere. Only a
// large change that was cut off needs another open.
func TestFullAtEveryBatch(t *testing.T) {
	step := 2
	if testing.Short() {
		step = 7
	}
	for fail := 5; ; fail += step { // behind those of the first open
		h := newHistory(t)
		batches := 0
		h.rig.backend.onApply = func(*Batch) error {
			if batches++; batches == fail {
				return fmt.Errorf("%w: for a moment", ErrDiskFull)
			}
			return nil
		}
		s, n := h.rig.space()
		h.n = n
		var last Status
		for i, step := range h.steps() {
			err := step()
			if err == nil {
				last = h.n.Status()
				continue
			}
			if !errors.Is(err, ErrDiskFull) {
				t.Fatalf("batch %d, step %d: %v", fail, i, err)
			}
			if n.Err() != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s, h.n = h.rig.space()
			} else if last.Replica != 0 && (n.Replica() != last.Replica || !n.Clock().CoversAll(last.Clock)) {
				t.Fatalf("batch %d: %+v, before %+v", fail, n.Status(), last)
			}
			checkConsistency(t, h.n)
			if err := step(); err != nil {
				t.Fatalf("batch %d, step %d again: %v", fail, i, err)
			}
		}
		h.rig.backend.calm()
		checkConsistency(t, h.n)
		h.converge()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if batches < fail {
			return
		}
	}
}

// TestReload: what a commit that failed had moved in memory is as before it.
func TestReload(t *testing.T) {
	r := newRig(t)
	_, n := r.space()
	peer := memorySpace(t, nil)
	ctx := context.Background()
	var units []delta.Unit
	n.Subscribe(func(c Commit) { units = append(units, c.Units...) })
	mustCommit(t, n, increment(1))
	mustCommit(t, peer, add("theirs"))
	if err := pull(t, n, peer); err != nil {
		t.Fatal(err)
	}
	before, hlc := n.Status(), n.c.hlc.Last
	full := func(*Batch) error { return ErrDiskFull }
	for range 3 {
		r.now = r.now.Add(time.Hour)
		r.backend.disturb(func(d *disturbed) { d.onApply = full })
		if _, err := n.Commit(ctx, add("lost")); !errors.Is(err, ErrDiskFull) {
			t.Fatal(err)
		}
		hlc = max(hlc, n.c.hlc.Last)
		r.backend.calm()
		if s := n.Status(); s.Digest != before.Digest || s.Commit != before.Commit || s.Clock.Compare(before.Clock) != crdt.Equal || s.Entries != before.Entries {
			t.Fatalf("after a commit that failed: %+v, before %+v", s, before)
		}
		checkConsistency(t, n)
	}
	r.now = r.now.Add(-time.Minute)
	mustCommit(t, n, add("kept"))
	state := checkConsistency(t, n)
	if got := members(state); fmt.Sprint(got) != "[kept theirs]" {
		t.Errorf("members %q", got)
	}
	for _, e := range state.Live {
		if e.Path == tSet.Member("kept") && e.Time <= hlc {
			t.Errorf("time %v went back, before %v", e.Time, hlc)
		}
	}
	if s := n.Status(); len(s.OwnRuns) != 1 || s.OwnRuns[0] != before.OwnRuns[0] {
		t.Errorf("runs %v, before %v", s.OwnRuns, before.OwnRuns)
	}
	// The unit after it still depends on what was applied before.
	last := units[len(units)-1]
	alone := crdt.NewState()
	for _, u := range units[:1] {
		if err := delta.Apply(&alone, u); err != nil {
			t.Fatal(err)
		}
	}
	if err := delta.Apply(&alone, last); !errors.Is(err, delta.ErrGap) {
		t.Errorf("unit %+v applied without what it saw: %v", last, err)
	}
}

// TestSyncFails: what was visible and is not durable is not told to anybody, and ends the service.
func TestSyncFails(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	mustCommit(t, n, increment(1))
	durable := n.Clock()
	ctx := context.Background()
	waiting := make(chan error, 1)
	r.backend.disturb(func(d *disturbed) {
		d.onWait = func() error {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if v, err := n.View(ended); err == nil {
				t.Errorf("a view shows what is not durable: %v", v.Clock())
			}
			if n.Clock().Compare(durable) != crdt.Equal {
				t.Errorf("told before it is durable: %v", n.Clock())
			}
			go func() { waiting <- second(n.View(ctx)) }()
			return errStop
		}
	})
	if _, err := n.Commit(ctx, increment(1)); !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"view before": <-waiting, "view": second(n.View(ctx)), "commit": second(n.Commit(ctx, increment(1))),
		"source": second(n.Source(ctx)), "wait": n.WaitFor(ctx, crdt.VersionVector{1: 1}), "err": n.Err(),
	} {
		if !errors.Is(err, errStop) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.backend.calm()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, n = r.space()
	checkConsistency(t, n)
}
