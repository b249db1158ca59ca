package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// recorder is a testing.TB that takes note of a failure and keeps it to itself.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == "" {
		r.failed = fmt.Sprintf(format, args...)
	}
}
func (r *recorder) Error(args ...any)                 { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }
func (r *recorder) Skip(...any)                       { runtime.Goexit() }
func (r *recorder) Helper()                           {}
func (r *recorder) Logf(string, ...any)               {}
func (r *recorder) Cleanup(func())                    {} // the targets below hold nothing

// failure runs one check and returns what it complains about, "" if nothing.
func failure(t *testing.T, name string, target Target) string {
	t.Helper()
	i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("there is no check %s", name)
	}
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		checks[i].run(r, target)
	}()
	<-done
	return r.failed
}

func TestAcceptsSoundBackends(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		Run(t, func(testing.TB) Target {
			return Target{Volatile: true, Open: func() (store.Backend, error) { return store.NewMemoryBackend(), nil }}
		})
	})
	t.Run("journal", func(t *testing.T) {
		Run(t, func(testing.TB) Target { return (&disk{}).target() })
	})
}

// TestRejectsBrokenBackends breaks one promise at a time, and names the checks that must notice.
func TestRejectsBrokenBackends(t *testing.T) {
	for _, row := range []struct {
		name   string
		broken func(b store.Backend) store.Backend
		checks string
	}{
		{"shows half of a batch", tear, "AtomicBatches MonotonicReads"},
		{"carries out a batch backwards", backwards, "LaterWins Model"},
		{"lets a range delete spare the puts before it", spare, "LaterWins Model LargeBatch"},
		{"deletes the upper bound too", greedy, "DeleteRange LaterWins Model"},
		{"shows a batch one later", late, "ReadYourApply Model Reopen"},
		{"keeps the slices of a batch", keep, "Ownership"},
		{"lends out its own slices", lend, "Ownership"},
		{"cuts values at 64 KiB", truncate, "LargeValue"},
		{"cuts batches at 10,000 operations", cut, "LargeBatch"},
		{"has only small letters", lower, "Order Bounds"},
		{"iterates downwards", shuffle(func(p []pair) { slices.Reverse(p) }), "Order Bounds Model"},
		{"iterates by path segments", shuffle(bySegments), "Order Bounds"},
		{"iterates over the upper bound too", bounds(func(l, u string) (string, string) { return l, u + "\x00" }), "Bounds Model"},
		{"iterates from behind the lower bound", bounds(func(l, u string) (string, string) { return l + "\x00", u }), "Bounds Model"},
		{"iterates over everything", bounds(func(string, string) (string, string) { return "", "" }), "Bounds Model"},
		{"takes the upper bound for the last key", ends(func(l, u string) (string, string) { return l, u + "\x00" }), "Bounds Model"},
		{"looks for the last key before the range", ends(func(_, u string) (string, string) { return "", u }), "Bounds Model"},
		{"has snapshots that see later writes", see, "Snapshot ManySnapshots IteratorBesideWrites Ownership"},
		{"has iterators that see later writes", drift, "Snapshot"},
		{"has no more than 16 snapshots", few, "ManySnapshots"},
		{"goes on after Close", goOn, "Closed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for name := range strings.FieldsSeq(row.checks) {
				d := &disk{wrap: row.broken}
				if f := failure(t, name, d.target()); f == "" {
					t.Errorf("%s does not notice", name)
				} else {
					t.Logf("%s: %.200s", name, f)
				}
			}
		})
	}
}

// TestRejectsBrokenDisks is about what comes back after Close, and after a crash.
func TestRejectsBrokenDisks(t *testing.T) {
	half := func(b *batch) *batch {
		first := &batch{}
		for o := range b.Ops() {
			if first.Len() < b.Len()/2 || o.Key == stepKey {
				add(first, o)
			}
		}
		return first
	}
	for _, row := range []struct {
		name   string
		disk   *disk
		checks string
	}{
		{"forgets at Close", &disk{close: func(applied []*batch, _ int) []*batch { return nil }}, "Reopen"},
		{"forgets at Close what was not waited for", &disk{close: func(applied []*batch, waited int) []*batch {
			return applied[:waited]
		}}, "Reopen"},
		{"forgets in a crash what was waited for", &disk{crash: func(applied []*batch, waited int) []*batch {
			return applied[:waited/2]
		}}, "Crash"},
		{"tears the last batch in a crash", &disk{crash: func(applied []*batch, _ int) []*batch {
			if n := len(applied); n > 0 {
				applied[n-1] = half(applied[n-1])
			}
			return applied
		}}, "Crash"},
		{"loses a batch in the middle in a crash", &disk{crash: func(applied []*batch, _ int) []*batch {
			if n := len(applied); n > 2 {
				applied = slices.Delete(applied, n-2, n-1)
			}
			return applied
		}}, "Crash"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if f := failure(t, row.checks, row.disk.target()); f == "" {
				t.Errorf("%s does not notice", row.checks)
			} else {
				t.Logf("%s: %.200s", row.checks, f)
			}
		})
	}
}
