package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// sideAt returns the side record with a key, nil when there is none.
func sideAt(t testing.TB, n *Namespace, key string) *SideRecord {
	t.Helper()
	r, ok, err := n.Side(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return nil
	}
	return &r
}

func wantSide(t testing.TB, n *Namespace, key, value string) {
	t.Helper()
	if r := sideAt(t, n, key); (r == nil) != (value == "") || r != nil && string(r.Value) != value {
		t.Errorf("side record %q: %+v, want %q", key, r, value)
	}
}

func putSide(key, value string) func(*Tx) error {
	return func(tx *Tx) error { return tx.PutSide(key, []byte(value), time.Hour) }
}

// TestSide: a record is there with the commit of its transaction, at the clock of that, and not when
// the transaction fails. It needs no change beside it, and survives a restart.
func TestSide(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	receipt := mustCommit(t, n, func(tx *Tx) error { return errors.Join(tx.Increment(tCounter, 1), putSide("a", "1")(tx)) })
	wantSide(t, n, "a", "1")
	if c := sideAt(t, n, "a").Clock; c.Compare(receipt.Clock) != crdt.Equal {
		t.Errorf("clock %v, of the receipt %v", c, receipt.Clock)
	}
	failed := errors.New("failed")
	if _, err := n.Commit(t.Context(), func(tx *Tx) error { return errors.Join(putSide("a", "2")(tx), failed) }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	mustCommit(t, n, func(tx *Tx) error { return errors.Join(putSide("b", "1")(tx), putSide("b", "2")(tx)) })
	mustCommit(t, n, putSide("a /~|\x00ü", "3"))
	mustCommit(t, n, putSide("empty", ""))
	checkConsistency(t, n)
	s.Close()
	s, n = r.space()
	defer s.Close()
	for key, value := range map[string]string{"a": "1", "b": "2", "a /~|\x00ü": "3", "c": ""} {
		wantSide(t, n, key, value)
	}
	if sideAt(t, n, "empty") == nil {
		t.Error("an empty value is no record")
	}
	mustCommit(t, n, putSide("a", "longer than before"))
	checkConsistency(t, n)
	for _, big := range []func(*Tx) error{putSide(strings.Repeat("k", MaxSideKeyBytes+1), ""), putSide("k", strings.Repeat("v", MaxSideValueBytes+1))} {
		if _, err := n.Commit(t.Context(), big); !errors.Is(err, ErrLargeSide) {
			t.Errorf("a large record: %v", err)
		}
	}
}

// TestSideEnds: nobody sees a record once its time is over, and later commits of any kind take it off,
// a bounded number each.
func TestSideEnds(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	defer s.Close()
	for i := range sweepPage + 10 {
		mustCommit(t, n, putSide(strconv.Itoa(i), "x"))
	}
	mustCommit(t, n, func(tx *Tx) error { return tx.PutSide("later", []byte("x"), 2*time.Hour) })
	r.now = r.now.Add(time.Hour - time.Second)
	wantSide(t, n, "0", "x")
	r.now = r.now.Add(time.Second)
	wantSide(t, n, "0", "")
	wantSide(t, n, "later", "x")
	left := func() int { return len(keysWith(t, r.backend, string(n.keys)+"/k/")) }
	for _, want := range []int{11, 1, 1} {
		mustCommit(t, n, increment(1))
		if got := left(); got != want {
			t.Errorf("%d records are left, want %d", got, want)
		}
	}
	checkConsistency(t, n)
}

// TestSideBound: when records want more room than there is, those that end soonest go, in the same
// commit.
func TestSideBound(t *testing.T) {
	r := newRig(t)
	r.opts.MaxSideBytes = 10_000
	s, n := r.space()
	for i := range 100 {
		r.now = r.now.Add(time.Second)
		mustCommit(t, n, putSide(fmt.Sprint("k", i), strings.Repeat("v", 1000)))
		if n.c.side.bytes > r.opts.MaxSideBytes {
			t.Fatalf("%d bytes", n.c.side.bytes)
		}
	}
	r.now = r.now.Add(time.Second)
	mustCommit(t, n, putSide("k95", "again"))
	s.Close()
	s, n = r.space()
	defer s.Close()
	wantSide(t, n, "k90", "")
	wantSide(t, n, "k91", strings.Repeat("v", 1000))
	wantSide(t, n, "k95", "again")
	mustCommit(t, n, putSide("large", strings.Repeat("v", 9_000)))
	wantSide(t, n, "k99", "")
	wantSide(t, n, "k95", "again")
	checkConsistency(t, n)
}

// TestSideStops stops the datastore before or behind each batch of commits that each write a number
// in three places: a small change, a large one, and a side record. It is the same in all afterwards.
func TestSideStops(t *testing.T) {
	write := func(n *Namespace, i int) error {
		_, err := n.Commit(context.Background(), func(tx *Tx) error {
			_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
			to := 3
			if i%2 == 1 {
				to = 100 // the next one deletes a large set
			}
			return errors.Join(err, addAll(tx, tSet, 0, to), tx.Assign(tRegister, []byte(strconv.Itoa(i)), nil), putSide("i", strconv.Itoa(i))(tx))
		})
		return err
	}
	live := func(r *rig) (acked int, err error) {
		r.opts.LargeEntries = historyLarge
		s, err := Open(r.opts)
		if err != nil {
			return 0, err
		}
		defer s.Close()
		n := namespaceOf(t, s, Default)
		for i := 1; i <= 6; i++ {
			if err := write(n, i); err != nil {
				return acked, err
			}
			acked = i
		}
		return acked, nil
	}
	for stop := 1; ; stop++ {
		for _, applied := range []bool{false, true} {
			h := &history{t: t, rig: newRig(t)}
			h.stopAt(stop, applied)
			acked, err := live(h.rig)
			if err == nil {
				if stop < 20 {
					t.Errorf("only %d batches", stop)
				}
				return
			}
			h.rig.backend.calm()
			s, n := h.rig.space()
			found := checkConsistency(t, n)
			side, value := sideAt(t, n, "i"), ""
			for _, e := range found.Live {
				if e.Path == tRegister {
					value = string(e.Value)
				}
			}
			if (side == nil) != (value == "") || side != nil && string(side.Value) != value {
				t.Fatalf("stopped at %d: register %q, side record %+v", stop, value, side)
			}
			if i, _ := strconv.Atoi(value); i < acked || i > acked+1 {
				t.Fatalf("stopped at %d: found %d, %d was acknowledged", stop, i, acked)
			}
			s.Close()
		}
	}
}

// TestSideIsLocal: records do not travel, and go with the copy: when it is dropped, and when it is set
// aside.
func TestSideIsLocal(t *testing.T) {
	r, s, n := damaged(t)
	mustCommit(t, n, putSide("a", "1"))
	peer := memorySpace(t, nil)
	if err := pull(t, peer, n); err != nil {
		t.Fatal(err)
	}
	wantSide(t, peer, "a", "")
	breakCopy(t, r, n)
	if done, err := s.SetAside(Default); !done || err != nil {
		t.Fatal(done, err)
	}
	n = namespaceOf(t, s, Default)
	if err := pull(t, n, peer); err != nil {
		t.Fatal(err)
	}
	wantSide(t, n, "a", "")
	for _, storage := range []Storage{Disk, Memory} {
		for _, value := range []string{"", "1"} {
			if err := s.CreateNamespace(string(storage), storage); err != nil {
				t.Fatal(err)
			}
			other := namespaceOf(t, s, string(storage))
			wantSide(t, other, "a", "")
			mustCommit(t, other, putSide("a", value+"x"))
			if err := s.DropNamespace(string(storage)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSideDamage: a record that is not what was written is damage, not absence.
func TestSideDamage(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	mustCommit(t, n, putSide("a", "1"))
	r.backend.rewrite(t, n.keys.side("a"), garbage)
	if _, _, err := n.Side(t.Context(), "a"); !errors.Is(err, ErrDamaged) || !errors.Is(n.Err(), ErrDamaged) {
		t.Errorf("%v, %v", err, n.Err())
	}
	s.Close()
}

// TestCommitEach: every transaction is atomic by itself, sees those before it, and notes its failure;
// the series ends behind a large one and where there is no space.
func TestCommitEach(t *testing.T) {
	r := newRig(t)
	r.opts.LargeEntries = historyLarge
	s, n := r.space()
	defer s.Close()
	addMembers(t, n, tSet, 0, 100)
	failure := errors.New("an odd one")
	var order []string
	run := func(i int, tx *Tx) error {
		order = append(order, fmt.Sprint(i))
		if i == 4 {
			_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
			return err
		}
		if err := tx.Increment(tCounter, 1); err != nil || i%2 == 1 {
			return errors.Join(err, failure)
		}
		return nil
	}
	failed := func(i int, err error, tx *Tx) error {
		order = append(order, fmt.Sprint(i, err))
		return putSide("failed", strconv.Itoa(i))(tx)
	}
	before := n.Status().Commit
	res, err := n.CommitEach(t.Context(), 10, run, failed)
	if err != nil || res.Stopped != nil || fmt.Sprint(res.Errs) != "[<nil> an odd one <nil> an odd one <nil>]" {
		t.Fatalf("%+v, %v", res, err)
	}
	if fmt.Sprint(order) != "[0 1 1 an odd one 2 3 3 an odd one 4]" || counterAt(t, n, tCounter) != 2 || n.Status().Commit != before+2 {
		t.Errorf("%v, counter %d, %d commits", order, counterAt(t, n, tCounter), n.Status().Commit-before)
	}
	wantSide(t, n, "failed", "3")
	if res.Clock.Compare(n.Clock()) != crdt.Equal {
		t.Errorf("receipt %v, clock %v", res.Clock, n.Clock())
	}
	r.free, r.now = 0, r.now.Add(spaceEvery)
	res, err = n.CommitEach(t.Context(), 3, func(int, *Tx) error { return nil }, nil)
	if err != nil || len(res.Errs) != 3 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = n.CommitEach(t.Context(), 3, func(i int, tx *Tx) error { return tx.Increment(tCounter, int64(i)) }, nil)
	if err != nil || len(res.Errs) != 1 || !errors.Is(res.Stopped, ErrDiskFull) {
		t.Errorf("%+v, %v", res, err)
	}
	checkConsistency(t, n)
}

// TestSideEncoding keeps what is on disk: an older daemon passes over these tables, and over what a redo
// record has behind its amounts.
func TestSideEncoding(t *testing.T) {
	until := time.Unix(1_700_000_000, 0)
	got := appendSide(nil, until, SideRecord{Value: []byte("v"), Clock: crdt.VersionVector{7: 300}})
	if hex := fmt.Sprintf("%x", got); hex != "0180e2cfaa0681"+"07cd012c"+"76" {
		t.Errorf("side record: %s", hex)
	}
	k := keyspace("/n1")
	if end := k.sideEnd(until, "a~"); end != "/n1/u/000000006553f100a"+k.side("~")[len("/n1/k/"):] {
		t.Errorf("order of ends: %s", end)
	}
	edits := []sideEdit{{Key: "k", Until: until, Value: []byte("v")}}
	b := appendSideEdits(nil, edits)
	if hex := fmt.Sprintf("%x", b); hex != "01016b80e2cfaa060176" {
		t.Errorf("side records in a redo record: %s", hex)
	}
	r := &reader{b: b}
	if again := r.sideEdits(); r.finish() != nil || fmt.Sprint(again) != fmt.Sprint(edits) {
		t.Errorf("%v, %v", again, r.err)
	}
}
