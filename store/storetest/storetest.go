package storetest

import (
	"errors"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// Target is one place that holds data, empty at first.
type Target struct {
	// Open opens it. It is called again after Close and after Crash, never while it is open.
	Open func() (store.Backend, error)

	// Volatile says that the data is gone after Close. The checks of durability are left out.
	Volatile bool

	// Crash loses power, while the backend that was opened last is in use: the next Open finds what is
	// left. That backend goes on meanwhile, and what it does from then on must not matter; it is closed
	// before the next Open. The same seed chooses the same losses. The checks of crashes are left out
	// if it is nil.
	Crash func(seed uint64) error
}

// check is one property. It may take t for its own goroutine only; others call Errorf at most.
type check struct {
	name string
	run  func(t testing.TB, target Target)
}

var checks = []check{
	{"Empty", checkEmpty},
	{"ReadYourApply", checkReadYourApply},
	{"LaterWins", checkLaterWins},
	{"Order", checkOrder},
	{"Bounds", checkBounds},
	{"DeleteRange", checkDeleteRange},
	{"Model", checkModel},
	{"LargeValue", checkLargeValue},
	{"LargeBatch", checkLargeBatch},
	{"Ownership", checkOwnership},
	{"Snapshot", checkSnapshot},
	{"ManySnapshots", checkManySnapshots},
	{"IteratorBesideWrites", checkIteratorBesideWrites},
	{"AtomicBatches", checkAtomicBatches},
	{"MonotonicReads", checkMonotonicReads},
	{"ConcurrentApply", checkConcurrentApply},
	{"Closed", checkClosed},
	{"Reopen", checkReopen},
	{"Crash", checkCrash},
}

// Run runs every check on a target of its own.
func Run(t *testing.T, newTarget func(t testing.TB) Target) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, newTarget(t)) })
	}
}

// open opens the target, and closes it at the end of the test if nobody has before.
func open(t testing.TB, target Target) store.Backend {
	t.Helper()
	b, err := target.Open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// batch builds a Batch in one expression.
type batch struct{ store.Batch }

func (b *batch) put(key, value string) *batch { b.Put(key, []byte(value)); return b }
func (b *batch) del(key string) *batch        { b.Delete(key); return b }
func (b *batch) delRange(lower, upper string) *batch {
	b.DeleteRange(lower, upper)
	return b
}

// apply applies and waits.
func apply(t testing.TB, b store.Backend, ops *batch) {
	t.Helper()
	wait, err := b.Apply(&ops.Batch)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if err := wait(); err != nil {
		t.Fatalf("wait: %v", err)
	}
}

func snapshot(t testing.TB, b store.Backend) store.Snapshot {
	t.Helper()
	s, err := b.Snapshot()
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return s
}

func closeSnapshot(t testing.TB, s store.Snapshot) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close of a snapshot: %v", err)
	}
}

// reader is what Backend and Snapshot have in common.
type reader interface {
	Get(key string) ([]byte, bool, error)
}

// wantGet checks one key. An absent value is "".
func wantGet(t testing.TB, r reader, key, want string, wantOK bool) {
	t.Helper()
	got, ok, err := r.Get(key)
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	if ok != wantOK || string(got) != want {
		t.Fatalf("Get(%.60q) = %.60q, %v; want %.60q, %v", key, got, ok, want, wantOK)
	}
}

// pair is a key and its value.
type pair struct{ key, value string }

// list reads all of [lower, upper) of s.
func list(s store.Snapshot, lower, upper string) ([]pair, error) {
	i, err := s.Iterate(lower, upper)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for i.Next() {
		pairs = append(pairs, pair{i.Key(), string(i.Value())})
	}
	if i.Next() {
		err = errors.New("Next after the end is true")
	}
	return pairs, errors.Join(err, i.Err(), i.Close())
}
