package storetest

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// checkReopen closes and opens between batches. Some of them were not waited for.
func checkReopen(t testing.TB, target Target) {
	if target.Volatile {
		t.Skip("volatile")
	}
	rng, m := newRand(4), model{}
	for range 6 {
		b := open(t, target)
		m.wantAll(t, b)
		for range 10 {
			ops := randomBatch(rng, 20)
			wait, err := b.Apply(&ops.Batch)
			if err != nil {
				t.Fatalf("Apply: %v", err)
			}
			if rng.IntN(2) == 0 {
				if err := wait(); err != nil {
					t.Fatalf("wait: %v", err)
				}
			}
			m.apply(&ops.Batch)
		}
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	m.wantAll(t, open(t, target))
}

const stepKey = "/n/t/step" // holds the number of the last batch

// checkCrash crashes in the midst of writing: what is left is what the first batches make, as many as
// one likes, but none less than were waited for.
func checkCrash(t testing.TB, target Target) {
	if target.Crash == nil {
		t.Skip("cannot crash")
	}
	var done []*batch // what the current state was made of
	for seed := range uint64(12) {
		b := open(t, target)
		more, durable, err := writeUntilCrash(b, target, seed, len(done))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		_ = b.Close() // of a process that is long dead
		done = append(done, more...)

		b = open(t, target)
		n := batchesIn(t, b)
		if n < durable || n > len(done) {
			t.Fatalf("seed %d: after the crash it holds %d batches, of %d that were applied and %d that were waited for", seed, n, len(done), durable)
		}
		t.Logf("seed %d: %d batches were waited for, %d are there, %d were applied", seed, durable, n, len(done))
		done = done[:n]
		m := model{}
		for _, ops := range done {
			m.apply(&ops.Batch)
		}
		m.wantAll(t, b)
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

// batchesIn returns the number of batches that b says it holds.
func batchesIn(t testing.TB, b store.Backend) int {
	t.Helper()
	value, ok, err := b.Get(stepKey)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(string(value))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// writeUntilCrash applies batches, which it numbers from first+1 on, and crashes meanwhile. It
// returns those that may be there afterwards, and the number of those waited for before the crash.
// After the crash the backend may fail as it likes.
func writeUntilCrash(b store.Backend, target Target, seed uint64, first int) (applied []*batch, durable int, err error) {
	const perCrash = 60
	rng := newRand(seed)
	crashAt := rng.IntN(perCrash)
	w := newWaiter(first, perCrash)
	crashed := make(chan error, 1)
	for i := range perCrash {
		ops := randomBatch(rng, 30)
		if rng.IntN(20) == 0 {
			ops.put(randomKey(rng), string(make([]byte, 300<<10)))
		}
		ops.put(stepKey, strconv.Itoa(first+i+1))
		applied = append(applied, ops)
		if i == crashAt {
			go func() {
				durable = int(w.waited.Load())
				crashed <- target.Crash(seed)
			}()
		}
		wait, err := b.Apply(&ops.Batch)
		if err != nil && i < crashAt {
			return nil, 0, err
		}
		if err != nil {
			break
		}
		w.waits <- wait
	}
	w.end()
	return applied, durable, <-crashed
}

// waiter waits for batches in the order in which they were applied, beside the writer.
type waiter struct {
	waits  chan func() error
	waited atomic.Int64
	done   chan struct{}
}

func newWaiter(first, capacity int) *waiter {
	w := &waiter{waits: make(chan func() error, capacity), done: make(chan struct{})}
	w.waited.Store(int64(first))
	go func() {
		defer close(w.done)
		failed := false
		for wait := range w.waits {
			if failed = wait() != nil || failed; !failed {
				w.waited.Add(1)
			}
		}
	}()
	return w
}

func (w *waiter) end() {
	close(w.waits)
	<-w.done
}
