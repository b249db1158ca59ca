package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/anabranchdb/anabranch/store"
)

// script is a list of batches with the states that they lead to: states[n] after n batches.
type script struct {
	batches []*store.Batch
	states  []map[string]string
}

func newScript(n int) script {
	rng := rand.New(rand.NewPCG(1, 1))
	key := func() string { return fmt.Sprintf("/n/t/%02d", rng.IntN(20)) }
	model := store.NewMemoryBackend()
	s := script{states: []map[string]string{{}}}
	for i := range n {
		b := &store.Batch{}
		b.Put("/n/t/step", []byte(fmt.Sprint(i+1)))
		for range rng.IntN(6) {
			b.Put(key(), []byte(fmt.Sprint(i+1)))
		}
		b.Delete(key())
		if i%3 == 2 {
			b.DeleteRange(key(), key())
			b.Put(key(), []byte("after the range"))
		}
		s.batches = append(s.batches, b)
		if _, err := model.Apply(b); err != nil {
			panic(err)
		}
		s.states = append(s.states, contents(model))
	}
	return s
}

func contents(b store.Backend) map[string]string {
	s, err := b.Snapshot()
	if err != nil {
		panic(err)
	}
	defer s.Close()
	i, err := s.Iterate("", "")
	if err != nil {
		panic(err)
	}
	defer i.Close()
	all := map[string]string{}
	for i.Next() {
		all[i.Key()] = string(i.Value())
	}
	if i.Err() != nil {
		panic(i.Err())
	}
	return all
}

// TestWrapStoppedAtEveryOperation stops the datastore at every write and sync in turn, crashes, opens
// again, which stops too, and so on: there must always be a prefix of the batches, with all that
// Apply has acknowledged.
func TestWrapStoppedAtEveryOperation(t *testing.T) {
	s := newScript(9)
	for n, all := 0, false; !all; n++ { // until n is more than the whole script takes
		for seed := range uint64(8) {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			d := newCrashDatastore()
			d.left = n
			var done int
			done, all = s.live(t, d, 0, fmt.Sprintf("stopped at %d, seed %d", n, seed))
			for life := range 10 {
				d = d.crash(rng)
				d.left = rng.IntN(60)
				done, _ = s.live(t, d, done, fmt.Sprintf("stopped at %d, seed %d, then in life %d", n, seed, life))
			}
			d = d.crash(rng)
			if _, whole := s.live(t, d, done, fmt.Sprintf("stopped at %d, seed %d, in the end", n, seed)); !whole {
				t.Fatalf("stopped at %d, seed %d: it does not recover", n, seed)
			}
			for key := range d.values {
				if strings.HasPrefix(key.String(), "/.") {
					t.Fatalf("stopped at %d, seed %d: Close leaves %s", n, seed, key)
				}
			}
		}
	}
}

// live opens d, finds that it holds at least the first done batches, and goes on until the script is
// at its end, which it reports, or d stops. It returns how many batches were acknowledged.
func (s script) live(t *testing.T, d *crashDatastore, done int, when string) (int, bool) {
	t.Helper()
	w, err := store.WrapDatastore(d, store.WrapOptions{})
	if err == nil {
		got := contents(w)
		step := 0
		fmt.Sscan(got["/n/t/step"], &step)
		if step < done || step > done+1 {
			t.Fatalf("%s: there are %d batches, %d were acknowledged", when, step, done)
		}
		if want := s.states[step]; !maps.Equal(got, want) {
			t.Fatalf("%s: after %d batches\n%v, want\n%v", when, step, got, want)
		}
		for done = step; err == nil && done < len(s.batches); {
			if _, err = w.Apply(s.batches[done]); err == nil {
				done++
			}
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil && !errors.Is(err, errStopped) {
		t.Fatalf("%s: %v", when, err)
	}
	return done, err == nil
}

// TestWrapFailsWhole lets a batch fail after its redo record: from then on nobody may read half of it.
func TestWrapFailsWhole(t *testing.T) {
	d := newCrashDatastore()
	w, err := store.WrapDatastore(d, store.WrapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b := &store.Batch{}
	b.Put("/n/t/a", []byte("1"))
	b.Put("/n/t/b", []byte("1"))
	d.left = 3 // the record, its sync, one of two puts
	if _, err := w.Apply(b); !errors.Is(err, errStopped) {
		t.Fatalf("Apply: %v", err)
	}
	d.left = -1
	for what, call := range map[string]func() error{
		"Get":             func() error { _, _, err := w.Get("/n/t/a"); return err },
		"Apply":           func() error { _, err := w.Apply(b); return err },
		"Snapshot":        func() error { _, err := w.Snapshot(); return err },
		"Get of before":   func() error { _, _, err := s.Get("/n/t/a"); return err },
		"Iterate, before": func() error { _, err := s.Iterate("", ""); return err },
	} {
		if err := call(); !errors.Is(err, errStopped) {
			t.Errorf("%s: %v, want the failure", what, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err = store.WrapDatastore(d, store.WrapOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := contents(w); len(got) != 2 {
		t.Errorf("opened again: %v", got)
	}
}

func TestWrapLosesSnapshotsThatCostTooMuch(t *testing.T) {
	w, err := store.WrapDatastore(newCrashDatastore(), store.WrapOptions{UndoBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, value string) {
		t.Helper()
		b := &store.Batch{}
		b.Put(key, []byte(value))
		if _, err := w.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	put("/n/t/small", "before")
	put("/n/t/large", strings.Repeat("x", 2000))
	s, err := w.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.Iterate("", "")
	if err != nil || !i.Next() {
		t.Fatal(err)
	}
	for n := range 10_000 {
		put("/n/t/small", fmt.Sprint(n)) // costs its undo once
	}
	if v, _, err := s.Get("/n/t/small"); string(v) != "before" || err != nil {
		t.Errorf("Get = %q, %v", v, err)
	}
	put("/n/t/large", "")
	if _, _, err := s.Get("/n/t/small"); !errors.Is(err, store.ErrSnapshotLost) {
		t.Errorf("Get: %v, want ErrSnapshotLost", err)
	}
	if _, err := s.Iterate("", ""); !errors.Is(err, store.ErrSnapshotLost) {
		t.Errorf("Iterate: %v, want ErrSnapshotLost", err)
	}
	if i.Next() || !errors.Is(i.Err(), store.ErrSnapshotLost) || !errors.Is(i.Close(), store.ErrSnapshotLost) {
		t.Errorf("Next: %v, want ErrSnapshotLost", i.Err())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if fresh := contents(w); fresh["/n/t/small"] != "9999" || len(fresh) != 2 {
		t.Errorf("a fresh snapshot: %v", fresh)
	}
}

// oddDatastore answers queries in its own way, or fails to put.
type oddDatastore struct {
	ds.Batching
	query func(q query.Query) query.Query
	put   error
}

func (o oddDatastore) Query(ctx context.Context, q query.Query) (query.Results, error) {
	return o.Batching.Query(ctx, o.query(q))
}

func (o oddDatastore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(o), nil }

func (o oddDatastore) Put(ctx context.Context, key ds.Key, value []byte) error {
	if o.put != nil {
		return o.put
	}
	return o.Batching.Put(ctx, key, value)
}

// bySegment is the order of a datastore made of directories.
type bySegment struct{}

func (bySegment) Compare(a, b query.Entry) int {
	return strings.Compare(strings.ReplaceAll(a.Key, "/", "\x00"), strings.ReplaceAll(b.Key, "/", "\x00"))
}

// byHash is the order of a datastore that has none: the same in each run.
type byHash struct{}

func (byHash) Compare(a, b query.Entry) int {
	return cmp.Compare(crc32.ChecksumIEEE([]byte(a.Key)), crc32.ChecksumIEEE([]byte(b.Key)))
}

func TestWrapRefuses(t *testing.T) {
	same := func(q query.Query) query.Query { return q }
	for name, row := range map[string]struct {
		odd  oddDatastore
		want error
	}{
		"no order":          {oddDatastore{query: func(q query.Query) query.Query { q.Orders = []query.Order{byHash{}}; return q }}, store.ErrUnsuitable},
		"order by segments": {oddDatastore{query: func(q query.Query) query.Query { q.Orders = []query.Order{bySegment{}}; return q }}, store.ErrUnsuitable},
		"downwards":         {oddDatastore{query: func(q query.Query) query.Query { q.Orders = []query.Order{query.OrderByKeyDescending{}}; return q }}, store.ErrUnsuitable},
		"no prefix":         {oddDatastore{query: func(q query.Query) query.Query { q.Prefix = ""; return q }}, store.ErrUnsuitable},
		"no filter":         {oddDatastore{query: func(q query.Query) query.Query { q.Filters = nil; return q }}, store.ErrUnsuitable},
		"bad key":           {oddDatastore{query: same, put: errors.New("bad key")}, store.ErrUnsuitable},
		"full disk":         {oddDatastore{query: same, put: fmt.Errorf("put: %w", syscall.ENOSPC)}, store.ErrDiskFull},
	} {
		d := newCrashDatastore()
		row.odd.Batching = d
		w, err := store.WrapDatastore(row.odd, store.WrapOptions{})
		if !errors.Is(err, row.want) || w != nil || errors.Is(err, store.ErrUnsuitable) != (row.want == store.ErrUnsuitable) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
}

func TestWrapRefusesADamagedRedoRecord(t *testing.T) {
	d := newCrashDatastore()
	w, err := store.WrapDatastore(d, store.WrapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := &store.Batch{}
	b.Put("/n/t/a", []byte("value"))
	if _, err := w.Apply(b); err != nil {
		t.Fatal(err)
	}
	record := d.values[ds.RawKey("/.redo")]
	for i := range record {
		record[i] ^= 1
		if _, err := store.WrapDatastore(d, store.WrapOptions{}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("byte %d: %v, want ErrDamaged", i, err)
		}
		record[i] ^= 1
	}
	if _, err := store.WrapDatastore(d, store.WrapOptions{}); err != nil {
		t.Error(err)
	}
}

// TestWrapQueriesNoMoreThanItMust looks at the prefixes, which are all that spares a full scan.
func TestWrapQueriesNoMoreThanItMust(t *testing.T) {
	var prefixes []string
	odd := oddDatastore{Batching: dssync.MutexWrap(ds.NewMapDatastore()), query: func(q query.Query) query.Query {
		prefixes = append(prefixes, q.Prefix)
		return q
	}}
	w, err := store.WrapDatastore(odd, store.WrapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ lower, upper, want string }{
		{"", "", ""},
		{"/n/t/a", "", ""},
		{"/n/t/", "/n/t0", "/n/t"},
		{"/n/t/abc", "/n/t0", "/n/t"},
		{"/n/t/abc", "/n/t/abd", "/n/t"},
		{"/n/t/a", "/n/t/a0", "/n/t"},
		{"/n/t/a", "/n/t1", "/n"},
		{"/n/t/a", "/n/u", "/n"},
		{"/n/", "/n0", "/n"},
		{"/a/", "/b", ""},
		{"/n/t/a", "/n/t/a", "/n/t"},
	} {
		prefixes = nil
		i, err := s.Iterate(row.lower, row.upper)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		if len(prefixes) != 1 || prefixes[0] != row.want {
			t.Errorf("[%q, %q) queries %q, want %q", row.lower, row.upper, prefixes, row.want)
		}
	}
}
