package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

var (
	tCounter  = crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)
	tBounded  = crdt.Object(crdt.Bounded, "b").Leaf(crdt.Bounded)
	tRegister = crdt.Object(crdt.Register, "r").Leaf(crdt.Register)
	tSet      = crdt.Object(crdt.Set, "s").Leaf(crdt.Set)
	tMap      = crdt.Object(crdt.Map, "m")
)

func numbered(set crdt.Path, i int) crdt.Path { return set.Member(fmt.Sprintf("x%06d", i)) }

// rig opens stores one after the other over one datastore in memory that it can disturb.
type rig struct {
	t       testing.TB
	opts    Options
	backend *disturbed
	events  chan Event
	print   Fingerprint
	free    uint64
	now     time.Time
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, backend: &disturbed{Backend: NewMemoryBackend()}, print: "here", free: 1 << 40,
		events: make(chan Event, 1000), now: time.Unix(1_700_000_000, 0)}
	r.opts = DefaultOptions(t.TempDir())
	r.opts.OpenBackend = func(string) (Backend, error) { return r.backend, nil }
	r.opts.Fingerprint = func(string) (Fingerprint, error) { return r.print, nil }
	r.opts.FreeBytes = func(string) (uint64, error) { return r.free, nil }
	r.opts.Now = func() time.Time { return r.now }
	r.opts.Event = func(e Event) { r.events <- e }
	t.Cleanup(func() { r.backend.Backend.Close() })
	return r
}

// open opens the store anew; close it before the next one.
func (r *rig) open() *Store {
	r.t.Helper()
	s, err := Open(r.opts)
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

func (r *rig) space() (*Store, *Namespace) {
	r.t.Helper()
	s := r.open()
	return s, namespaceOf(r.t, s, Default)
}

func namespaceOf(t testing.TB, s *Store, name string) *Namespace {
	t.Helper()
	n, err := s.Namespace(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// memorySpace is a namespace that stands alone.
func memorySpace(t testing.TB, change func(*Options)) *Namespace {
	t.Helper()
	opts := MemoryOptions()
	if change != nil {
		change(&opts)
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return namespaceOf(t, s, Default)
}

func mustCommit(t testing.TB, n *Namespace, fn func(*Tx) error) Receipt {
	t.Helper()
	r, err := n.Commit(context.Background(), fn)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return r
}

func addMembers(t testing.TB, n *Namespace, set crdt.Path, from, to int) {
	t.Helper()
	mustCommit(t, n, func(tx *Tx) error {
		for i := from; i < to; i++ {
			if _, err := tx.Add(numbered(set, i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func increment(amount int64) func(*Tx) error {
	return func(tx *Tx) error { return tx.Increment(tCounter, amount) }
}

func counterAt(t testing.TB, n *Namespace, p crdt.Path) int64 {
	t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatalf("view: %v", err)
	}
	defer v.Close()
	es, err := v.Entries(p)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := crdt.CounterValue(es)
	value, ok := sum.Int64()
	if err != nil || !ok {
		t.Fatal(sum, err)
	}
	return value
}

// pull brings a all that b has as an ordinary peer would, from the log or as a whole state.
func pull(t testing.TB, a, b *Namespace) error {
	t.Helper()
	ctx := context.Background()
	src, err := b.Source(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	return pullSource(t, a, src)
}

// pullSource brings a all that a source has.
func pullSource(t testing.TB, a *Namespace, src *Source) error {
	t.Helper()
	ctx := context.Background()
	if units, ok, err := src.Log(a.Clock()); err != nil {
		return err
	} else if ok {
		for u, err := range units {
			if err != nil {
				return err
			}
			runs := delta.Runs{}
			if u.Run != (delta.Run{}) {
				runs[u.Origin] = u.Run
			}
			if err := a.Apply(ctx, []delta.Unit{u.Unit}, runs); err != nil {
				return err
			}
		}
		return nil
	}
	return pullState(t, a, src)
}

// pullState joins the whole state of a source.
func pullState(t testing.TB, a *Namespace, src *Source) error {
	t.Helper()
	ctx := context.Background()
	st, live, err := a.Live(ctx)
	if err != nil {
		return err
	}
	j := StateJoin{From: st.Clock, To: src.Status().Clock, Runs: src.Status().Runs, Past: src.Past(), Streamed: delta.NewDotSet()}
	j.Killed = live.CutAt(j.From.Min(j.To)).AndNot(src.Live())
	var es []crdt.Entry
	for e, err := range src.Entries(j.From) {
		if err != nil {
			return err
		}
		es = append(es, e)
		j.Streamed.Add(e.Dot)
	}
	return errors.Join(a.Stage(es), a.Join(ctx, j))
}

// disturbed is a datastore that fails, stops or lies as a test tells it. Close leaves what is under
// it open, for the next store.
type disturbed struct {
	Backend
	mu sync.Mutex
	// onApply sees each batch before it is applied, onWait each one that was. An error is the answer.
	onApply func(*Batch) error
	onWait  func() error
	// onRead may change what is read, or fail.
	onRead func(key string, value []byte) ([]byte, error)
}

func (d *disturbed) disturb(change func(d *disturbed)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// stopBehind lets so many batches pass, and answers all others with errStop.
func (d *disturbed) stopBehind(batches int) {
	d.disturb(func(d *disturbed) {
		d.onApply = func(*Batch) error {
			if batches--; batches < 0 {
				return errStop
			}
			return nil
		}
	})
}

func (d *disturbed) calm() {
	d.disturb(func(d *disturbed) { d.onApply, d.onWait, d.onRead = nil, nil, nil })
}

func (d *disturbed) Apply(b *Batch) (func() error, error) {
	d.mu.Lock()
	onApply, onWait := d.onApply, d.onWait
	d.mu.Unlock()
	if onApply != nil {
		if err := onApply(b); err != nil {
			return nil, err
		}
	}
	wait, err := d.Backend.Apply(b)
	if err != nil || onWait == nil {
		return wait, err
	}
	return func() error { return errors.Join(wait(), onWait()) }, nil
}

func (d *disturbed) read(key string, value []byte) ([]byte, error) {
	d.mu.Lock()
	onRead := d.onRead
	d.mu.Unlock()
	if onRead == nil {
		return value, nil
	}
	return onRead(key, value)
}

func (d *disturbed) Get(key string) ([]byte, bool, error) { return d.get(d.Backend, key) }

func (d *disturbed) get(g getter, key string) ([]byte, bool, error) {
	v, ok, err := g.Get(key)
	if err == nil && ok {
		v, err = d.read(key, v)
	}
	return v, ok && err == nil, err
}

func (d *disturbed) Snapshot() (Snapshot, error) {
	s, err := d.Backend.Snapshot()
	return disturbedSnapshot{s, d}, err
}

func (d *disturbed) Close() error { return nil }

type disturbedSnapshot struct {
	Snapshot
	d *disturbed
}

func (s disturbedSnapshot) Get(key string) ([]byte, bool, error) { return s.d.get(s.Snapshot, key) }

func (s disturbedSnapshot) Iterate(lower, upper string) (Iterator, error) {
	it, err := s.Snapshot.Iterate(lower, upper)
	return &disturbedIterator{Iterator: it, d: s.d}, err
}

type disturbedIterator struct {
	Iterator
	d     *disturbed
	value []byte
	err   error
}

func (i *disturbedIterator) Next() bool {
	if i.err != nil || !i.Iterator.Next() {
		return false
	}
	i.value, i.err = i.d.read(i.Key(), i.Iterator.Value())
	return i.err == nil
}

func (i *disturbedIterator) Value() []byte { return i.value }
func (i *disturbedIterator) Err() error    { return errors.Join(i.err, i.Iterator.Err()) }

// rewrite changes a stored value under the store.
func (d *disturbed) rewrite(t testing.TB, key string, change func([]byte) []byte) {
	t.Helper()
	v, ok, err := d.Backend.Get(key)
	if err != nil || !ok {
		t.Fatalf("rewrite %q: %v %v", key, ok, err)
	}
	var b Batch
	b.Put(key, change(v))
	if err := applySync(d.Backend, &b); err != nil {
		t.Fatal(err)
	}
}

// yieldNow lets other goroutines run, in a loop that waits for a condition.
func yieldNow() { runtime.Gosched() }
