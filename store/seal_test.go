package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// exchangeAll has copies hear of each other until nobody changes any more.
func exchangeAll(t testing.TB, ns ...*Namespace) {
	t.Helper()
	for range 4 {
		for _, a := range ns {
			for _, b := range ns {
				if a != b {
					if err := pull(t, a, b); err != nil {
						t.Fatal(err)
					}
				}
			}
			checkConsistency(t, a)
		}
	}
}

func retire(t testing.TB, n *Namespace, id crdt.ReplicaID) uint64 {
	t.Helper()
	final, err := n.Retire(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return final
}

// liveOf counts the live entries of a replica, without the seals that it wrote.
func liveOf(t testing.TB, n *Namespace, id crdt.ReplicaID) (count int) {
	t.Helper()
	for d, e := range checkConsistency(t, n).Live {
		if d.Replica == id && e.Kind != crdt.KindSeal {
			count++
		}
	}
	return count
}

// TestRetire: what is left at counters of an id that is gone goes once the id is sealed, at the heir's word
// and everywhere; before that it stays.
func TestRetire(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("reset first=%t", first), func(t *testing.T) {
			a, b := newRigSpace(t), memorySpace(t, nil)
			gone := memorySpace(t, nil)
			mustCommit(t, gone, increment(5))
			mustCommit(t, gone, add("stays"))
			exchangeAll(t, a.n, b, gone)
			id := gone.Replica()
			if first {
				mustCommit(t, b, reset(tCounter))
				exchangeAll(t, a.n, b)
				if got := liveOf(t, a.n, id); got != 2 {
					t.Errorf("%d entries without a seal, want the cell and the member", got)
				}
			}
			if final := retire(t, a.n, id); final != gone.Clock()[id] {
				t.Errorf("sealed at %d, want %d", final, gone.Clock()[id])
			}
			exchangeAll(t, a.n, b)
			if !first {
				if got := counterAt(t, b, tCounter); got != 5 {
					t.Errorf("a seal changed a value: %d", got)
				}
				mustCommit(t, b, reset(tCounter))
				exchangeAll(t, a.n, b)
			}
			for _, n := range []*Namespace{a.n, b} {
				if got := liveOf(t, n, id); got != 1 {
					t.Errorf("%d entries of the sealed id, want the member", got)
				}
				if objects, _ := n.Counts(); objects != 1 {
					t.Errorf("%d objects, want the set", objects)
				}
			}
			commit := a.n.Status().Commit
			if retire(t, a.n, id); a.n.Status().Commit != commit {
				t.Error("a second word was a change")
			}
			a.reopen()
			mustCommit(t, a.n, increment(3))
			mustCommit(t, b, reset(tCounter))
			exchangeAll(t, a.n, b)
			if got := liveOf(t, b, id); got != 1 {
				t.Errorf("%d entries after a restart", got)
			}
		})
	}
}

// rigSpace is a copy on a disk.
type rigSpace struct {
	*rig
	store *Store
	n     *Namespace
}

func newRigSpace(t testing.TB) *rigSpace {
	a := &rigSpace{rig: newRig(t)}
	a.store, a.n = a.space()
	return a
}

func (a *rigSpace) reopen() {
	a.store.Close()
	a.store, a.n = a.space()
}

// TestRetireRefuses: only what is known, and is somebody else's.
func TestRetireRefuses(t *testing.T) {
	n := memorySpace(t, nil)
	mustCommit(t, n, increment(1))
	for id, want := range map[crdt.ReplicaID]error{n.Replica(): ErrOwnReplica, 77: ErrUnknownReplica} {
		if _, err := n.Retire(context.Background(), id); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", id, err, want)
		}
	}
	if n.Status().Commit != 1 {
		t.Error("a refusal was a change")
	}
}

// TestReturned: an id that was retired and lives is told, its changes are taken, and its heir no longer acts
// for it.
func TestReturned(t *testing.T) {
	a, lives := newRigSpace(t), memorySpace(t, nil)
	mustCommit(t, lives, increment(5))
	exchangeAll(t, a.n, lives)
	retire(t, a.n, lives.Replica())
	mustCommit(t, lives, increment(7))
	mustCommit(t, lives, add("alive"))
	exchangeAll(t, a.n, lives)
	if got := counterAt(t, a.n, tCounter); got != 12 || len(members(checkConsistency(t, a.n))) != 1 {
		t.Errorf("counter %d, members %q", got, members(checkConsistency(t, a.n)))
	}
	told := 0
	for len(a.events) > 0 {
		if e := <-a.events; e.Kind == EventReturned {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	mustCommit(t, a.n, reset(tCounter))
	if got := liveOf(t, a.n, lives.Replica()); got != 2 {
		t.Errorf("%d entries: the heir acts for an id that lives", got)
	}
	if final := retire(t, a.n, lives.Replica()); final != 3 || liveOf(t, a.n, lives.Replica()) != 1 {
		t.Errorf("sealed again at %d, %d entries", final, liveOf(t, a.n, lives.Replica()))
	}
}

// TestSealAfterDamage: a copy that is set aside while it is open seals the id that it wrote under.
func TestSealAfterDamage(t *testing.T) {
	a, b := newRigSpace(t), memorySpace(t, nil)
	mustCommit(t, a.n, increment(5))
	exchangeAll(t, a.n, b)
	former := a.n.Replica()
	mustCommit(t, b, reset(tCounter))
	a.n.fail(fmt.Errorf("%w: in a test", ErrDamaged))
	if ok, err := a.store.SetAside(Default); err != nil || !ok {
		t.Fatal(ok, err)
	}
	a.n = namespaceOf(t, a.store, Default)
	exchangeAll(t, a.n, b)
	for _, n := range []*Namespace{a.n, b} {
		if got := liveOf(t, n, former); got != 0 {
			t.Errorf("%d entries of the former id", got)
		}
	}
}
