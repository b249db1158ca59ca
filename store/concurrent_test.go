package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// follower applies what a copy announces to a pure state, in the order of the announcements.
type follower struct {
	t      testing.TB
	mu     sync.Mutex
	state  crdt.State
	commit uint64
}

func follow(t testing.TB, n *Namespace) *follower {
	f := &follower{t: t, state: crdt.NewState()}
	n.Subscribe(f.told)
	return f
}

func (f *follower) told(c Commit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range c.Units {
		if err := delta.Validate(u); err != nil {
			f.t.Errorf("announced: %v", err)
		}
		if err := delta.Apply(&f.state, u); err != nil {
			f.t.Errorf("announced out of order: %v", err)
		}
	}
	if c.Status.Commit <= f.commit || f.state.Clock.Compare(c.Status.Clock) != crdt.Equal {
		f.t.Errorf("commit %d after %d: units lead to %v, the clock is %v", c.Status.Commit, f.commit, f.state.Clock, c.Status.Clock)
	}
	f.commit = c.Status.Commit
}

func (f *follower) compare(s crdt.State) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.state.Equal(s) {
		f.t.Errorf("announced units and store differ:\n%s\n%s", describe(f.state), describe(s))
	}
}

// storm is many goroutines on one copy.
type storm struct {
	t       testing.TB
	n       *Namespace
	total   atomic.Int64 // of acknowledged increments of tCounter
	members sync.Map     // acknowledged adds that nobody removes
}

func (s *storm) goroutine(id, rounds int) {
	rng := rand.New(rand.NewPCG(uint64(id), 3))
	for i := range rounds {
		if err := s.step(rng, id, i); errors.Is(err, ErrClosed) {
			return
		} else if err != nil {
			s.t.Errorf("goroutine %d, round %d: %v", id, i, err)
			return
		}
	}
}

func (s *storm) step(rng *rand.Rand, id, i int) error {
	ctx := context.Background()
	switch rng.IntN(8) {
	case 0, 1:
		return s.count(ctx, int64(rng.IntN(9)-4))
	case 2:
		p := numbered(tSet, id*1000+i)
		_, err := s.n.Commit(ctx, func(tx *Tx) error { _, err := tx.Add(p); return err })
		if err == nil {
			s.members.Store(p, true)
		}
		return err
	case 3:
		return s.batch(ctx, int64(rng.IntN(5)), id)
	case 4:
		return s.refused(ctx)
	case 5:
		return s.look(ctx)
	case 6:
		return s.readOwn(ctx)
	default:
		_, err := s.n.Commit(ctx, func(tx *Tx) error { _, err := tx.Delete(crdt.Object(crdt.Set, "t"), nil); return err })
		return err
	}
}

func (s *storm) count(ctx context.Context, by int64) error {
	_, err := s.n.Commit(ctx, increment(by))
	if err == nil {
		s.total.Add(by)
	}
	return err
}

// batch keeps a counter equal to a register, in one transaction.
func (s *storm) batch(ctx context.Context, by int64, id int) error {
	_, err := s.n.Commit(ctx, func(tx *Tx) error {
		p := tMap.Field("sum")
		if err := errors.Join(tx.Increment(p.Leaf(crdt.Counter), by), tx.Increment(tCounter, by)); err != nil {
			return err
		}
		es, err := tx.Entries(p.Leaf(crdt.Counter))
		sum, err2 := crdt.CounterValue(es)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		_, err = tx.Add(numbered(crdt.Object(crdt.Set, "t").Leaf(crdt.Set), id))
		return errors.Join(err, tx.Assign(p.Leaf(crdt.Register), []byte(sum.String()), nil))
	})
	if err == nil {
		s.total.Add(by)
	}
	return err
}

// refused does what must leave no trace: an abort, a panic, a context that has ended.
func (s *storm) refused(ctx context.Context) error {
	boom := func(tx *Tx) error {
		if err := tx.Increment(tCounter, 1000); err != nil {
			return err
		}
		panic("boom")
	}
	abort := func(tx *Tx) error { return errors.Join(tx.Increment(tCounter, 1000), errAbort) }
	func() {
		defer func() { _ = recover() }()
		_, _ = s.n.Commit(ctx, boom)
	}()
	if _, err := s.n.Commit(ctx, abort); !errors.Is(err, errAbort) {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.n.Commit(ended, increment(1000)); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("a context that has ended: %w", err)
	}
	return nil
}

// look reads a view and a source, each of one state.
func (s *storm) look(ctx context.Context) error {
	v, err := s.n.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	es, err := v.Entries(tMap.Field("sum").Leaf(crdt.Counter))
	rs, err2 := v.Entries(tMap.Field("sum").Leaf(crdt.Register))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if sum, _ := crdt.CounterValue(es); len(rs) > 0 && string(rs[0].Value) != sum.String() {
		return fmt.Errorf("half a batch: %v, %s", sum, rs[0].Value)
	}
	src, err := s.n.Source(ctx)
	if err != nil {
		return err
	}
	var digest delta.Digest
	for e, err := range src.Entries(nil) {
		if err != nil {
			return errors.Join(err, src.Close())
		}
		digest.Add(e)
	}
	if digest != src.Status().Digest || !s.n.Clock().CoversAll(src.Status().Clock) {
		return errors.Join(errors.New("a source of two states, or one that is not durable"), src.Close())
	}
	return src.Close()
}

// readOwn waits for an own write by its clock, and sees it.
func (s *storm) readOwn(ctx context.Context) error {
	r, err := s.n.Commit(ctx, increment(1))
	if err != nil {
		return err
	}
	s.total.Add(1)
	if err := s.n.WaitFor(ctx, r.Clock); err != nil {
		return err
	}
	v, err := s.n.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	if !v.Clock().CoversAll(r.Clock) || v.Commit() < r.Commit {
		return fmt.Errorf("view at %v, commit %d; wrote %v, %d", v.Clock(), v.Commit(), r.Clock, r.Commit)
	}
	return nil
}

func (s *storm) run(goroutines, rounds int) {
	var wg sync.WaitGroup
	for id := range goroutines {
		wg.Go(func() { s.goroutine(id, rounds) })
	}
	wg.Wait()
}

// TestStorm lets 64 goroutines do everything at once, with deletes that are large changes.
func TestStorm(t *testing.T) {
	for _, large := range []int{4096, 8} {
		t.Run(fmt.Sprintf("large=%d", large), func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			r := newRig(t)
			r.opts.LargeEntries = large
			r.opts.OpenBackend = func(dir string) (Backend, error) { return OpenPebble(dir, PebbleOptions{FS: NewCrashFS()}) }
			store, n := r.space()
			f := follow(t, n)
			s := &storm{t: t, n: n}
			s.run(64, 40)
			if got := counterAt(t, n, tCounter); got != s.total.Load() {
				t.Errorf("counter: %d, acknowledged %d", got, s.total.Load())
			}
			state := checkConsistency(t, n)
			f.compare(state)
			s.members.Range(func(p, _ any) bool {
				if len(state.At(p.(crdt.Path))) == 0 {
					t.Errorf("%v was added and is not there", p)
				}
				return true
			})
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCloseWhileBusy closes the store below busy goroutines: each call is answered, and what was
// acknowledged is there afterwards.
func TestCloseWhileBusy(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	fs := NewCrashFS()
	r := newRig(t)
	r.opts.OpenBackend = func(dir string) (Backend, error) { return OpenPebble(dir, PebbleOptions{FS: fs}) }
	store, n := r.space()
	s := &storm{t: t, n: n}
	busy := make(chan struct{})
	var once sync.Once
	n.Subscribe(func(c Commit) {
		if c.Status.Commit > 50 {
			once.Do(func() { close(busy) })
		}
	})
	never := crdt.VersionVector{1: 1}
	var wg sync.WaitGroup
	wg.Go(func() { s.run(64, 1000) })
	for range 4 {
		wg.Go(func() {
			if err := n.WaitFor(context.Background(), never); !errors.Is(err, ErrClosed) {
				t.Errorf("WaitFor: %v", err)
			}
		})
	}
	<-busy
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for _, err := range []error{
		second(n.View(context.Background())), second(n.Source(context.Background())), second(store.Namespace(Default)),
		second(n.Commit(context.Background(), increment(1))), n.Stage(nil), n.Apply(context.Background(), []delta.Unit{{Origin: 1, First: 1, Last: 1}}, nil),
		store.CreateNamespace("x", Disk), store.DropNamespace("x"),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	store, n = r.space()
	defer store.Close()
	checkConsistency(t, n)
	if got := counterAt(t, n, tCounter); got != s.total.Load() {
		t.Errorf("counter: %d, acknowledged %d", got, s.total.Load())
	}
}

func second[T any](_ T, err error) error { return err }
