package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

var tPresence = crdt.Object(crdt.Presence, "workers").Leaf(crdt.Presence)

// presenceSpace is a namespace in memory of a store that stands alone.
func presenceSpace(t testing.TB, change func(*Options)) (*Store, *Namespace) {
	t.Helper()
	opts := MemoryOptions()
	change(&opts)
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CreateNamespace("live", Memory); err != nil {
		t.Fatal(err)
	}
	return s, namespaceOf(t, s, "live")
}

func announce(t testing.TB, n *Namespace, values ...string) {
	t.Helper()
	mustCommit(t, n, func(tx *Tx) error {
		for _, v := range values {
			member, value, _ := strings.Cut(v, "=")
			if err := tx.Announce(tPresence.Member(member), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantPresent compares what a view and a transaction see with "a=1 b=2,3".
func wantPresent(t testing.TB, n *Namespace, want string) {
	t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var members []string
	var head Head
	for it, err := range v.Scan(tPresence, "") {
		if err != nil {
			t.Fatal(err)
		}
		parts, err := it.Path.Parse()
		if err != nil {
			t.Fatal(err)
		}
		var values []string
		for _, e := range it.Entries {
			values = append(values, string(e.Value))
		}
		members = append(members, parts.Member+"="+strings.Join(values, ","))
		head.count(it.Path, it.Entries)
	}
	if got := strings.Join(members, " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	h, err := v.Head(tPresence.ObjectPath())
	if err != nil || h.Visible != head.Visible || h.Entries != head.Entries || h.Timed != head.Timed {
		t.Errorf("head %+v %v, want %+v", h, err, head)
	}
	objects := 0
	for o, err := range v.Objects("", "") {
		if objects++; err != nil || o.Path != tPresence.ObjectPath() || o.Head != h {
			t.Errorf("object %+v %v", o, err)
		}
	}
	if objects > 1 || (objects == 1) != (want != "") {
		t.Errorf("%d objects listed for %q", objects, want)
	}
	mustCommit(t, n, func(tx *Tx) error {
		if th, err := tx.Head(tPresence.ObjectPath()); err != nil || th != h {
			t.Errorf("a transaction has the head %+v %v, a view %+v", th, err, h)
		}
		return nil
	})
	checkConsistency(t, n)
}

func TestPresence(t *testing.T) {
	c := newClock()
	_, a := presenceSpace(t, c.options)
	_, b := presenceSpace(t, c.options)
	announce(t, a, "w1=1", "w2=2")
	wantPresent(t, a, "w1=1 w2=2")
	announce(t, a, "w1=11")
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	announce(t, b, "w1=3", "w3=4")
	wantPresent(t, b, "w1=3,11 w2=2 w3=4")
	mustCommit(t, b, func(tx *Tx) error { // only its own
		if gone, err := tx.Withdraw(tPresence.Member("w2")); gone || err != nil {
			t.Errorf("withdrawn %v %v", gone, err)
		}
		gone, err := tx.Withdraw(tPresence.Member("w3"))
		if !gone {
			t.Error("not withdrawn")
		}
		return err
	})
	wantPresent(t, b, "w1=3,11 w2=2")
	mustCommit(t, b, func(tx *Tx) error {
		_, err := tx.Delete(tPresence.ObjectPath(), nil)
		return err
	})
	wantPresent(t, b, "w1=3,11 w2=2")

	// The lease of a runs out at b, that of b does not.
	c.pass(10 * time.Second)
	if err := b.KeepPresence(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.pass(5*time.Second - time.Millisecond)
	wantPresent(t, b, "w1=3,11 w2=2")
	c.pass(time.Millisecond)
	wantPresent(t, b, "w1=3")
	wantPresent(t, a, "")
	if err := a.KeepPresence(context.Background()); err != nil { // it was only slow
		t.Fatal(err)
	}
	wantPresent(t, a, "w1=11 w2=2")
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	wantPresent(t, b, "w1=3,11 w2=2")

	// A clean stop.
	if left, err := a.Leave(context.Background()); !left || err != nil {
		t.Errorf("left %v %v", left, err)
	}
	if left, err := a.Leave(context.Background()); left || err != nil {
		t.Errorf("left %v %v", left, err)
	}
	wantPresent(t, a, "")
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	wantPresent(t, b, "w1=3")
	if s := checkConsistency(t, b); len(s.Live) != 2 {
		t.Errorf("left behind: %v", s.Live)
	}
}

// TestPresenceOfALostReplica: others remove what it announced, and its lease; should it be there after all,
// it announces again what it finds removed.
func TestPresenceOfALostReplica(t *testing.T) {
	c := newClock()
	_, a := presenceSpace(t, c.options)
	_, b := presenceSpace(t, c.options)
	announce(t, a, "w1=1", "w2=2")
	mustCommit(t, a, func(tx *Tx) error {
		tx.Until(c.in(time.Hour))
		return tx.Announce(tPresence.Member("timed"), []byte("3"))
	})
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	c.pass(16 * time.Second)
	if removed := mustReap(t, b); removed != 0 {
		t.Errorf("%d removed at once", removed)
	}
	c.pass(2 * time.Minute)
	announce(t, b, "w1=9")
	if removed := mustReap(t, b); removed != 4 {
		t.Errorf("%d removed", removed)
	}
	wantPresent(t, b, "w1=9")
	if removed := mustReap(t, a); removed != 0 {
		t.Errorf("a replica takes itself for gone: %d removed", removed)
	}
	if err := pull(t, a, b); err != nil {
		t.Fatal(err)
	}
	wantPresent(t, a, "w1=9")
	if err := a.KeepPresence(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantPresent(t, a, "timed=3 w1=1,9 w2=2")
	c.pass(time.Hour)
	if err := a.KeepPresence(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantPresent(t, a, "w1=1 w2=2")
}

// TestPresenceWithoutALease: announcements that come when their lease was removed before are hidden, and go.
func TestPresenceWithoutALease(t *testing.T) {
	c := newClock()
	_, n := presenceSpace(t, c.options)
	var u delta.Unit
	u.Origin, u.First = 77, 1
	for i := range reapPage + 5 {
		u.Last = uint64(i + 1)
		u.Entries = append(u.Entries, crdt.Entry{Dot: crdt.Dot{Replica: 77, Seq: u.Last}, Path: tPresence.Member(fmt.Sprint(i)), Kind: crdt.KindPresence, Value: []byte("1")})
	}
	if err := n.Apply(context.Background(), []delta.Unit{u}, nil); err != nil {
		t.Fatal(err)
	}
	announce(t, n, "w=1")
	wantPresent(t, n, "w=1")
	for _, want := range []int{reapPage, 5, 0} {
		if removed := mustReap(t, n); removed != want {
			t.Errorf("%d removed, want %d", removed, want)
		}
	}
	wantPresent(t, n, "w=1")
}

// TestPresenceKeepsItself: a lease is renewed while there is something announced, and by itself.
func TestPresenceKeepsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := presenceSpace(t, func(o *Options) { o.Now = time.Now })
		announce(t, n, "w=1")
		var commits int
		cancel := n.Subscribe(func(Commit) { commits++ })
		for range 10 {
			<-time.After(6 * time.Second)
			synctest.Wait()
			wantPresent(t, n, "w=1")
		}
		if commits < 10 || commits > 13 {
			t.Errorf("%d renewals in a minute", commits)
		}
		mustCommit(t, n, func(tx *Tx) error {
			_, err := tx.Withdraw(tPresence.Member("w"))
			return err
		})
		<-time.After(time.Minute)
		synctest.Wait()
		if _, entries := n.Counts(); entries != 0 {
			t.Errorf("%d entries are left", entries)
		}
		commits = 0
		<-time.After(time.Hour)
		synctest.Wait()
		if commits != 0 {
			t.Errorf("%d commits of nothing", commits)
		}
		cancel()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPresenceRefuses(t *testing.T) {
	_, err := memorySpace(t, nil).Commit(context.Background(), func(tx *Tx) error {
		return tx.Announce(tPresence.Member("w"), []byte("1")) // a namespace on disk, of a store in memory
	})
	if !errors.Is(err, ErrNotMemory) {
		t.Error(err)
	}
	_, n := presenceSpace(t, func(*Options) {})
	_, err = n.Commit(context.Background(), func(tx *Tx) error {
		return tx.Announce(tPresence.Member("w"), slices.Repeat([]byte("1"), crdt.MaxValueBytes+1))
	})
	if !errors.Is(err, crdt.ErrTooLarge) {
		t.Error(err)
	}
	// What failed is not announced later.
	_, err = n.Commit(context.Background(), func(tx *Tx) error {
		return errors.Join(tx.Announce(tPresence.Member("w"), []byte("1")), errAbort)
	})
	if !errors.Is(err, errAbort) {
		t.Error(err)
	}
	if err := n.KeepPresence(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantPresent(t, n, "")
}
