package storetest

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// checkSnapshot holds a snapshot for each state while the states go on.
func checkSnapshot(t testing.TB, target Target) {
	b := open(t, target)
	rng, m := newRand(3), model{}
	type held struct {
		s store.Snapshot
		m model
	}
	var all []held
	for step := range 60 {
		all = append(all, held{snapshot(t, b), maps.Clone(m)})
		ops := randomBatch(rng, 10)
		m.apply(&ops.Batch)
		apply(t, b, ops)
		if step%7 == 6 { // some end early
			i := rng.IntN(len(all))
			closeSnapshot(t, all[i].s)
			all = append(all[:i], all[i+1:]...)
		}
	}
	for i, h := range all {
		if d := h.m.differ(h.s, "", "") + h.m.differ(h.s, "/n0/t1/", "/n0/t10"); d != "" {
			t.Errorf("snapshot %d of %d: %s", i, len(all), d)
		}
		closeSnapshot(t, h.s)
	}
}

func checkManySnapshots(t testing.TB, target Target) {
	const n = 200
	b := open(t, target)
	all := make([]store.Snapshot, n)
	for i := range all {
		apply(t, b, (&batch{}).put("/n/t/a", strconv.Itoa(i)))
		all[i] = snapshot(t, b)
	}
	apply(t, b, (&batch{}).del("/n/t/a"))
	for i, s := range all {
		wantGet(t, s, "/n/t/a", strconv.Itoa(i), true)
		closeSnapshot(t, s)
	}
}

// checkIteratorBesideWrites writes all around an iterator that stands in the middle.
func checkIteratorBesideWrites(t testing.TB, target Target) {
	b := open(t, target)
	for seed := range uint64(10) {
		rng, m := newRand(seed), model{}
		apply(t, b, (&batch{}).delRange("/", "0"))
		ops := randomBatch(rng, 150)
		m.apply(&ops.Batch)
		apply(t, b, ops)

		s := snapshot(t, b)
		i, err := s.Iterate("", "")
		if err != nil {
			t.Fatalf("Iterate: %v", err)
		}
		for n, want := range m.list("", "") {
			if !i.Next() || i.Key() != want.key || string(i.Value()) != want.value {
				t.Fatalf("seed %d: at %d is %q = %q, %v; want %q", seed, n, i.Key(), i.Value(), i.Err(), want)
			}
			apply(t, b, randomBatch(rng, 6))
			if i.Key() != want.key || string(i.Value()) != want.value {
				t.Fatalf("seed %d: at %d a write made it %q = %q; want %q", seed, n, i.Key(), i.Value(), want)
			}
		}
		if i.Next() || i.Err() != nil {
			t.Fatalf("seed %d: at the end is %q, %v", seed, i.Key(), i.Err())
		}
		if err := i.Close(); err != nil {
			t.Fatalf("Close of an iterator: %v", err)
		}
		closeSnapshot(t, s)
	}
}

// beside runs write in a goroutine and read in some others, again and again until write returns.
func beside(readers int, write func(), read func() (goOn bool)) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for goOn := true; goOn; {
				select {
				case <-done:
					return
				default:
					goOn = read()
				}
			}
		})
	}
	write()
	close(done)
	all.Wait()
}

// checkAtomicBatches has a writer whose batches put the same number to all keys, or delete them all.
func checkAtomicBatches(t testing.TB, target Target) {
	const keys, rounds = 50, 100
	b := open(t, target)
	key := func(i int) string { return fmt.Sprintf("/n/t/%02d", i) }
	write := func() {
		for round := range rounds {
			ops := &batch{}
			if round%5 == 4 {
				ops.delRange("/n/t/", "/n/t0")
			}
			for i := range keys {
				if round%5 != 4 {
					ops.put(key(i), strconv.Itoa(round))
				}
			}
			apply(t, b, ops)
		}
	}
	beside(2, write, func() bool {
		s, err := b.Snapshot()
		if err != nil {
			t.Errorf("Snapshot: %v", err)
			return false
		}
		defer s.Close()
		got, err := list(s, "", "")
		if errors.Is(err, store.ErrSnapshotLost) {
			return true
		}
		if err != nil || len(got) != 0 && len(got) != keys {
			t.Errorf("a snapshot has %d of %d keys, %v", len(got), keys, err)
			return false
		}
		for i, p := range got {
			value, ok, err := s.Get(key(keys - 1 - i))
			if errors.Is(err, store.ErrSnapshotLost) {
				return true
			}
			if p.value != got[0].value || !ok || string(value) != p.value {
				t.Errorf("a snapshot has parts of two batches: %q, %q and %q, %v, %v", got[0], p, value, ok, err)
				return false
			}
		}
		return true
	})
}

// checkMonotonicReads has a writer of batches that put one number to two keys: who has seen it at
// one sees it, or a later one, at the other.
func checkMonotonicReads(t testing.TB, target Target) {
	const rounds = 200
	keys := [2]string{"/n/t/a", "/n/t/z"}
	b := open(t, target)
	put := func(round int) {
		apply(t, b, (&batch{}).put(keys[round%2], strconv.Itoa(round)).put(keys[1-round%2], strconv.Itoa(round)))
	}
	put(0)
	write := func() {
		for round := 1; round <= rounds; round++ {
			put(round)
		}
	}
	get := func(r reader, key string) int {
		value, _, err := r.Get(key)
		n, bad := strconv.Atoi(string(value))
		if err != nil || bad != nil {
			t.Errorf("Get(%q) = %q, %v", key, value, err)
			return -1
		}
		return n
	}
	beside(2, write, func() bool {
		for i := range 2 {
			first, second := get(b, keys[i]), get(b, keys[1-i])
			s, err := b.Snapshot()
			if err != nil {
				t.Errorf("Snapshot: %v", err)
				return false
			}
			third := get(s, keys[i])
			s.Close()
			if first < 0 || second < first || third < second {
				t.Errorf("after %d it read %d, and a later snapshot %d", first, second, third)
				return false
			}
		}
		return true
	})
}

func checkConcurrentApply(t testing.TB, target Target) {
	const writers, rounds = 8, 40
	b := open(t, target)
	m := model{}
	var all sync.WaitGroup
	for w := range writers {
		last := &batch{}
		last.put("/n/t/shared", "").put(fmt.Sprintf("/n/w%d/last", w), strconv.Itoa(rounds-1))
		m.apply(&last.Batch)
		all.Go(func() {
			for round := range rounds {
				ops := (&batch{}).put("/n/t/shared", "").put(fmt.Sprintf("/n/w%d/last", w), strconv.Itoa(round))
				wait, err := b.Apply(&ops.Batch)
				if err == nil {
					err = wait()
				}
				if err != nil {
					t.Errorf("Apply: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	m.wantAll(t, b)
}
