package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// clock is a wall clock that a test moves.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Unix(1_700_000_000, 0)} }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func (c *clock) in(d time.Duration) crdt.Deadline { return crdt.DeadlineOf(c.at.Add(d)) }

// options makes a copy whose time is c and whose reaper is run by hand.
func (c *clock) options(o *Options) {
	o.Now = func() time.Time { return c.at }
	o.ReapEvery = -1
}

func addUntil(t testing.TB, n *Namespace, until crdt.Deadline, members ...crdt.Path) (fresh int) {
	t.Helper()
	mustCommit(t, n, func(tx *Tx) error {
		tx.Until(until)
		for _, m := range members {
			ok, err := tx.Add(m)
			if err != nil {
				return err
			}
			fresh += int(count(ok))
		}
		return nil
	})
	return fresh
}

// sizeOf returns the number of members that a reader sees, and what is stored of the set.
func sizeOf(t testing.TB, n *Namespace, object crdt.Path) (visible uint64, entries int) {
	t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	h, err := v.Head(object)
	if err != nil {
		t.Fatal(err)
	}
	for it, err := range v.Scan(object, "") {
		if err != nil {
			t.Fatal(err)
		}
		visible += count(crdt.Visible(it.Path.LeafType(), it.Entries))
	}
	if h.Visible != visible {
		t.Errorf("the head of %q says %d, there are %d", object, h.Visible, visible)
	}
	s := checkConsistency(t, n)
	for _, e := range s.Live {
		entries += int(count(object.Contains(e.Path)))
	}
	return visible, entries
}

func mustReap(t testing.TB, n *Namespace) int {
	t.Helper()
	removed, err := n.Reap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

// TestHiddenAtTheDeadline: at the very millisecond, without any commit.
func TestHiddenAtTheDeadline(t *testing.T) {
	c := newClock()
	n := memorySpace(t, c.options)
	set := tSet.ObjectPath()
	addUntil(t, n, c.in(10*time.Second), tSet.Member("a"), tSet.Member("b"))
	addUntil(t, n, 0, tSet.Member("c"))
	before := n.Status().Commit
	for _, step := range []struct {
		pass    time.Duration
		visible uint64
	}{{0, 3}, {10*time.Second - time.Millisecond, 3}, {time.Millisecond, 1}, {time.Hour, 1}} {
		c.pass(step.pass)
		if visible, entries := sizeOf(t, n, set); visible != step.visible || entries != 3 {
			t.Errorf("%v: %d visible, %d entries", step.pass, visible, entries)
		}
	}
	if n.Status().Commit != before {
		t.Error("time made a commit")
	}
	c.pass(-time.Hour) // a clock that is set back shows it again only while the deadline is ahead
	c.pass(-time.Second)
	if visible, _ := sizeOf(t, n, set); visible != 3 {
		t.Errorf("%d visible", visible)
	}
}

// TestHiddenIsAbsentToWriters, and is superseded all the same.
func TestHiddenIsAbsentToWriters(t *testing.T) {
	c := newClock()
	n := memorySpace(t, c.options)
	x := tSet.Member("x")
	addUntil(t, n, c.in(time.Second), x)
	if addUntil(t, n, c.in(time.Second), x) != 0 {
		t.Error("a member that is there counts as added")
	}
	c.pass(time.Second)
	mustCommit(t, n, func(tx *Tx) error {
		if es, err := tx.Entries(x); err != nil || len(es) != 0 {
			t.Errorf("a transaction reads %v %v", es, err)
		}
		if h, err := tx.Head(x.ObjectPath()); err != nil || h.Visible != 0 || h.Over == 0 {
			t.Errorf("a transaction reads the head %+v %v", h, err)
		}
		for it, err := range tx.Scan(tSet, "") {
			t.Errorf("a transaction finds %v %v", it, err)
		}
		return nil
	})
	if addUntil(t, n, c.in(time.Second), x) != 1 {
		t.Error("a member that is hidden counts as there")
	}
	if visible, entries := sizeOf(t, n, x.ObjectPath()); visible != 1 || entries != 1 {
		t.Errorf("%d visible, %d entries", visible, entries)
	}
	c.pass(time.Second)
	mustCommit(t, n, func(tx *Tx) error {
		if removed, err := tx.Remove(x, nil); removed || err != nil {
			t.Errorf("removed %v %v", removed, err)
		}
		return nil
	})
	if _, entries := sizeOf(t, n, x.ObjectPath()); entries != 0 {
		t.Errorf("%d entries", entries)
	}
	addUntil(t, n, c.in(0), x)
	mustCommit(t, n, func(tx *Tx) error {
		if changed, err := tx.Delete(x.ObjectPath(), nil); changed || err != nil {
			t.Errorf("deleted %v %v", changed, err)
		}
		return nil
	})
	if _, entries := sizeOf(t, n, x.ObjectPath()); entries != 0 {
		t.Errorf("%d entries", entries)
	}
}

// TestTouchSurvives: what was written again, with a later deadline or none, is not removed.
func TestTouchSurvives(t *testing.T) {
	c := newClock()
	n := memorySpace(t, c.options)
	x, y, z := tSet.Member("x"), tSet.Member("y"), tSet.Member("z")
	addUntil(t, n, c.in(time.Second), x, y, z)
	addUntil(t, n, c.in(time.Hour), x)
	addUntil(t, n, 0, y)
	c.pass(5 * time.Minute)
	if removed := mustReap(t, n); removed != 1 {
		t.Errorf("%d removed", removed)
	}
	if visible, entries := sizeOf(t, n, tSet.ObjectPath()); visible != 2 || entries != 2 {
		t.Errorf("%d visible, %d entries", visible, entries)
	}
}

// TestWriterReapsFirst: it removes what it wrote after a short grace, the others much later, and the kill
// is an ordinary one.
func TestWriterReapsFirst(t *testing.T) {
	c := newClock()
	a, b := memorySpace(t, c.options), memorySpace(t, c.options)
	addUntil(t, a, c.in(time.Second), tSet.Member("x"))
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	c.pass(5 * time.Second)
	if mustReap(t, a)+mustReap(t, b) != 0 {
		t.Error("removed without a grace")
	}
	c.pass(time.Second)
	if removed := mustReap(t, b); removed != 0 {
		t.Error("another replica comes first")
	}
	if removed := mustReap(t, a); removed != 1 {
		t.Errorf("the writer removes %d", removed)
	}
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	if _, entries := sizeOf(t, b, tSet.ObjectPath()); entries != 0 {
		t.Errorf("%d entries at the other", entries)
	}
	// A writer that does not come back.
	addUntil(t, a, c.in(time.Second), tSet.Member("y"))
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	c.pass(61 * time.Second)
	if removed := mustReap(t, b); removed != 0 && b.Replica()%60_000 != 0 {
		t.Error("others remove it without their longer grace")
	}
	c.pass(time.Minute)
	if removed := mustReap(t, b); removed != 1 {
		t.Errorf("the other removes %d", removed)
	}
}

// TestReapPages: one commit removes a bounded number, and entries of others are stepped over.
func TestReapPages(t *testing.T) {
	c := newClock()
	a, b := memorySpace(t, c.options), memorySpace(t, c.options)
	var theirs, ours []crdt.Path
	for i := range reapScan + 10 {
		theirs = append(theirs, tSet.Member(fmt.Sprint("b", i)))
	}
	for i := range reapPage + 10 {
		ours = append(ours, tSet.Member(fmt.Sprint("a", i)))
	}
	addUntil(t, b, c.in(time.Second), theirs...)
	if err := pull(t, a, b); err != nil {
		t.Fatal(err)
	}
	addUntil(t, a, c.in(2*time.Second), ours...)
	c.pass(10 * time.Second)
	for i, want := range []int{0, reapPage, 10, 0, 0} {
		if removed := mustReap(t, a); removed != want {
			t.Errorf("run %d removes %d, want %d", i, removed, want)
		}
	}
	addUntil(t, a, c.in(-8*time.Second), ours[0]) // behind where the reaper stands
	if removed := mustReap(t, a); removed != 1 {
		t.Errorf("%d removed that came late", removed)
	}
	if visible, entries := sizeOf(t, a, tSet.ObjectPath()); visible != 0 || entries != len(theirs) {
		t.Errorf("%d visible, %d entries", visible, entries)
	}
}

// TestReaperWakesUp by itself when something is due, also after a restart, and goes on until nothing is.
func TestReaperWakesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Now = time.Now
		s, n := r.space()
		var members []crdt.Path
		for i := range 2*reapPage + 1 {
			members = append(members, numbered(tSet, i))
		}
		addUntil(t, n, crdt.DeadlineOf(time.Now().Add(time.Hour)), members...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, n = r.space()
		sooner := crdt.DeadlineOf(time.Now().Add(time.Minute))
		addUntil(t, n, sooner, numbered(tSet, 5_000))
		for _, step := range []struct {
			wait time.Duration
			want uint64
		}{{time.Minute + 4*time.Second, 2*reapPage + 2}, {4 * time.Second, 2*reapPage + 1}, {58 * time.Minute, 2*reapPage + 1}, {time.Minute, 0}} {
			<-time.After(step.wait)
			synctest.Wait()
			if _, entries := n.Counts(); entries != step.want {
				t.Errorf("after %v: %d entries, want %d", step.wait, entries, step.want)
			}
		}
		checkConsistency(t, n)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDeadlinesOfALargeDelete: heads know what a delete leaves, while it is only in the overlay too.
func TestDeadlinesOfALargeDelete(t *testing.T) {
	c := newClock()
	n := memorySpace(t, func(o *Options) {
		c.options(o)
		o.LargeEntries = 4
	})
	set := tSet.ObjectPath()
	seen := addSeen(t, n, c.in(time.Second), 200)
	addUntil(t, n, c.in(time.Second), tSet.Member("late"))
	addUntil(t, n, c.in(time.Hour), tSet.Member("later"))
	mustCommit(t, n, func(tx *Tx) error {
		if _, err := tx.Delete(set, seen); err != nil {
			return err
		}
		if h, err := tx.Head(set); err != nil || h.Visible != 2 || h.Timed != 2 {
			t.Errorf("in the transaction: %+v %v", h, err)
		}
		return nil
	})
	c.pass(time.Minute)
	if visible, entries := sizeOf(t, n, set); visible != 1 || entries != 2 {
		t.Errorf("%d visible, %d entries", visible, entries)
	}
}

// addSeen adds members and returns the clock that covers them.
func addSeen(t testing.TB, n *Namespace, until crdt.Deadline, members int) crdt.VersionVector {
	t.Helper()
	for i := range members {
		addUntil(t, n, until, numbered(tSet, i))
	}
	return n.Clock()
}

// TestDamagedDeadlines are damage, as everything else that does not parse.
func TestDamagedDeadlines(t *testing.T) {
	keys := keyspace("/n1")
	good := timed{expires: 5, dot: crdt.Dot{Replica: 1, Seq: 2}, path: tSet.Member("x"), last: true}
	for _, key := range []string{keys.deadline(5, good.dot), keys.timed(tSet.ObjectPath(), 5, good.dot)} {
		if got, err := keys.timedOf(key, appendTimed(good)); err != nil || got != good {
			t.Errorf("%q: %+v %v", key, got, err)
		}
		for _, value := range [][]byte{nil, {valueVersion}, {valueVersion, 2, 'r'}, {9, 1, 'r'}} {
			if _, err := keys.timedOf(key, value); !isDamage(err) {
				t.Errorf("%q with %v: %v", key, value, err)
			}
		}
		if _, err := keys.timedOf(key[:len(key)-1], appendTimed(good)); !isDamage(err) {
			t.Errorf("a short key: %v", err)
		}
	}
	if _, err := keys.timedOf("/n1/e/0", appendTimed(good)); !isDamage(err) {
		t.Errorf("a shorter key: %v", err)
	}
}

// TestReapedUnitIsValid for peers: an ordinary list of dots.
func TestReapedUnitIsValid(t *testing.T) {
	c := newClock()
	n := memorySpace(t, c.options)
	addUntil(t, n, c.in(time.Second), tSet.Member("x"))
	c.pass(time.Minute)
	var units []delta.Unit
	cancel := n.Subscribe(func(k Commit) { units = append(units, k.Units...) })
	mustReap(t, n)
	cancel()
	if len(units) != 1 || delta.Validate(units[0]) != nil || len(units[0].Kills) != 1 || len(units[0].Kills[0].Dots) != 1 {
		t.Errorf("%+v", units)
	}
}

// TestDeadlinesOfItems: with the last value of an item goes where it stands, and a write of one that is
// hidden finds none. A value without a deadline keeps the place of the one before.
func TestDeadlinesOfItems(t *testing.T) {
	c := newClock()
	n := memorySpace(t, c.options)
	list := crdt.Object(crdt.List, "l").Leaf(crdt.List)
	var ids []crdt.Position
	mustCommit(t, n, func(tx *Tx) (err error) {
		tx.Until(c.in(time.Second))
		ids, err = tx.Insert(list, Place{}, [][]byte{[]byte("1"), []byte("2"), []byte("3")})
		return err
	})
	mustCommit(t, n, func(tx *Tx) error {
		if err := tx.MoveItem(list, ids[0], Place{}); err != nil {
			return err
		}
		if err := tx.MoveItem(list, ids[1], Place{Start: true}); err != nil {
			return err
		}
		return tx.SetItem(list, ids[1], []byte("22"), nil)
	})
	if visible, entries := sizeOf(t, n, list.ObjectPath()); entries != 7 {
		t.Errorf("%d paths, %d entries", visible, entries)
	}
	c.pass(time.Second)
	mustCommit(t, n, func(tx *Tx) error {
		if err := tx.SetItem(list, ids[0], []byte("11"), nil); !errors.Is(err, crdt.ErrNoElement) {
			t.Errorf("set: %v", err)
		}
		if err := tx.MoveItem(list, ids[2], Place{}); !errors.Is(err, crdt.ErrNoElement) {
			t.Errorf("moved: %v", err)
		}
		if _, err := tx.Insert(list, Place{After: ids[0]}, [][]byte{[]byte("4")}); err != nil {
			t.Errorf("inserted behind a hidden item: %v", err)
		}
		return nil
	})
	mustCommit(t, n, func(tx *Tx) error {
		removed, err := tx.RemoveItem(list, ids[2], nil)
		if removed {
			t.Error("a hidden item counts as removed")
		}
		return err
	})
	c.pass(5 * time.Second)
	if removed := mustReap(t, n); removed != 3 { // the value, the place and the guest of the first
		t.Errorf("%d removed", removed)
	}
	s := checkConsistency(t, n)
	if len(s.Live) != 4 { // the new item; the value, the place and the guest of the second
		t.Errorf("%d entries are left", len(s.Live))
	}
	mustCommit(t, n, func(tx *Tx) error {
		if h, err := tx.Head(list.ObjectPath()); err != nil || h.Visible != 2 || h.Timed != 0 {
			t.Errorf("%+v %v", h, err)
		}
		return nil
	})
}
