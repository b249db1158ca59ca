package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

func sourceOf(t testing.TB, n *Namespace) *Source {
	t.Helper()
	src, err := n.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// logSince returns what the log holds beyond a clock, and whether it says that this is all.
func logSince(t testing.TB, src *Source, since crdt.VersionVector) ([]delta.Unit, bool) {
	t.Helper()
	units, ok, err := src.Log(since)
	if err != nil {
		t.Fatal(err)
	}
	var us []delta.Unit
	if ok {
		for u, err := range units {
			if err != nil {
				t.Fatal(err)
			}
			us = append(us, u.Unit)
		}
	}
	return us, ok
}

// logged returns the records that the log holds.
func logged(t testing.TB, n *Namespace) []logRecord {
	t.Helper()
	var all []logRecord
	src := sourceOf(t, n)
	lower, upper := n.keys.table('l')
	if err := src.records(lower, upper, func(l logRecord) bool { all = append(all, l); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLogIsWhole: for every clock that stands at unit borders, the log is given exactly when it
// holds all that is missing, and then it leads there.
func TestLogIsWhole(t *testing.T) {
	given, refused := 0, 0
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCluster(t, seed, 3, 4096)
			n := c.nodes[0]
			history := []crdt.State{crdt.NewState()}
			n.ns.Subscribe(func(k Commit) { history = append(history, crdt.State{Clock: k.Status.Clock}) })
			for range 60 {
				c.now = c.now.Add(time.Second)
				for _, m := range c.nodes {
					c.write(m)
				}
				if c.rng.IntN(3) == 0 {
					c.pull(n, c.nodes[1+c.rng.IntN(2)])
				}
				since := history[max(0, len(history)-1-c.rng.IntN(30))].Clock
				src := sourceOf(t, n.ns)
				us, ok := logSince(t, src, since)
				if want := c.heldSince(n.ns, since); ok != want {
					t.Fatalf("log since %v: %t, want %t; clock %v, floors %v", since, ok, want, src.v.clock, src.v.floors)
				}
				if !ok {
					refused++
					continue
				}
				given++
				from := c.reference(crdt.NewState(), since)
				if from.Clock.Compare(since) != crdt.Equal {
					t.Fatalf("the reference stands at %v, want %v", from.Clock, since)
				}
				for _, u := range us {
					if err := delta.Apply(&from, u); err != nil {
						t.Fatalf("log since %v, unit %+v: %v", since, u, err)
					}
				}
				if from.Clock.Compare(src.v.clock) != crdt.Equal {
					t.Fatalf("log since %v leads to %v, want %v", since, from.Clock, src.v.clock)
				}
			}
			checkConsistency(t, n.ns)
		})
	}
	if given < 50 || refused < 50 {
		t.Errorf("log given %d times, refused %d times", given, refused)
	}
}

// heldSince looks into the log itself.
func (c *cluster) heldSince(n *Namespace, since crdt.VersionVector) bool {
	if len(since) == 0 {
		return len(n.Clock()) == 0
	}
	at := since.Clone()
	for _, l := range logged(c.t, n) {
		for _, u := range l.Units {
			if u.First == at[u.Origin]+1 {
				at[u.Origin] = u.Last
			}
		}
	}
	return at.CoversAll(n.Clock())
}

// TestLogBounds: the log is cut by bytes at once and by age now and then, and keeps what is within.
func TestLogBounds(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	const bound = 10_000
	n := memorySpace(t, func(o *Options) {
		o.MaxLogBytes, o.MaxLogAge, o.Now = bound, time.Hour, func() time.Time { return now }
	})
	value := []byte(strings.Repeat("7", 500))
	assign := func(tx *Tx) error { return tx.Assign(tRegister, value, nil) }
	largest := uint64(0)
	for range 100 {
		mustCommit(t, n, assign)
		largest = max(largest, n.c.LogBytes)
	}
	if largest > bound+bound/8+1000 || n.c.LogBytes < bound/2 {
		t.Errorf("%d bytes, at most %d, the bound is %d", n.c.LogBytes, largest, bound)
	}
	checkConsistency(t, n)
	now = now.Add(2 * time.Hour)
	for n.Status().Commit%logAgeEvery != 0 {
		mustCommit(t, n, increment(1))
	}
	for _, l := range logged(t, n) {
		if now.Sub(l.Time) > time.Hour {
			t.Errorf("a record of %v, now is %v", l.Time, now)
		}
	}
	checkConsistency(t, n)
	us, ok := logSince(t, sourceOf(t, n), n.Clock())
	if !ok || len(us) > 0 {
		t.Errorf("log since now: %v, %t", us, ok)
	}
}

// TestAmounts: the log says of each own unit what it added to which counter, also where units of
// many writers became one.
func TestAmounts(t *testing.T) {
	n := memorySpace(t, func(o *Options) { o.LargeEntries = 8 })
	other := tMap.Field("n").Leaf(crdt.Counter)
	want := map[crdt.Path]int64{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for id := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(id), 9))
			for range 20 {
				a, b := int64(rng.IntN(100)-50), int64(rng.IntN(100)-50)
				mustCommit(t, n, func(tx *Tx) error {
					return errors.Join(tx.Increment(tCounter, a), tx.Increment(other, b), tx.Increment(tCounter, 1))
				})
				mu.Lock()
				want[tCounter] += a + 1
				want[other] += b
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	addMembers(t, n, tSet, 0, 200)
	mustCommit(t, n, func(tx *Tx) error { // a large change
		_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
		return errors.Join(err, tx.Increment(tCounter, 1000))
	})
	want[tCounter] += 1000
	got, coalesced := map[crdt.Path]int64{}, 0
	for _, l := range logged(t, n) {
		for _, a := range l.Amounts {
			got[a.Path] += int64(a.P.Lo) - int64(a.N.Lo)
		}
		if len(l.Amounts) > 2 && len(l.Units) == 1 {
			coalesced++
		}
	}
	for p, w := range want {
		if got[p] != w || counterAt(t, n, p) != w {
			t.Errorf("%q: amounts add up to %d, the value is %d, want %d", p, got[p], counterAt(t, n, p), w)
		}
	}
	t.Logf("%d coalesced units", coalesced)
	checkConsistency(t, n)
}

// TestAmountsOfAGroup: a large unit that ends a group does not repeat what came before it there.
func TestAmountsOfAGroup(t *testing.T) {
	r := newRig(t)
	r.opts.LargeEntries = 8
	_, n := r.space()
	addMembers(t, n, tSet, 0, 100)
	held, goOn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		mustCommit(t, n, func(tx *Tx) error { close(held); <-goOn; return tx.Increment(tCounter, 1) })
	})
	<-held // its group is open: the next two join it
	wg.Go(func() { mustCommit(t, n, increment(10)) })
	for len(n.queue) < 1 {
		// The queue is what both wait in; nothing else shows that they are there.
		yieldNow()
	}
	wg.Go(func() {
		mustCommit(t, n, func(tx *Tx) error {
			_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
			return errors.Join(err, tx.Increment(tCounter, 100))
		})
	})
	for len(n.queue) < 2 {
		yieldNow()
	}
	close(goOn)
	wg.Wait()
	sum := uint64(0)
	for _, l := range logged(t, n) {
		for _, a := range l.Amounts {
			sum += a.P.Lo
		}
	}
	if sum != 111 || counterAt(t, n, tCounter) != 111 || n.Status().Commit != 3 {
		t.Errorf("amounts add up to %d, the counter is %d, after %d commits", sum, counterAt(t, n, tCounter), n.Status().Commit)
	}
	checkConsistency(t, n)
}

// TestUnit finds each unit of the log by its origin and first seq, and nothing else.
func TestUnit(t *testing.T) {
	n, peer := memorySpace(t, nil), memorySpace(t, nil)
	for i := range 10 {
		addMembers(t, n, tSet, 10*i, 10*i+5)
		addMembers(t, peer, tSet, 10*i, 10*i+3)
		if err := pull(t, n, peer); err != nil {
			t.Fatal(err)
		}
	}
	src := sourceOf(t, n)
	found := 0
	for _, l := range logged(t, n) {
		for _, u := range l.Units {
			v, ok, err := src.Unit(u.Origin, u.First)
			if err != nil || !ok || !slices.EqualFunc(u.Entries, v.Entries, crdt.Entry.Equal) || v.Last != u.Last {
				t.Errorf("unit %v:%d: %+v %t %v", u.Origin, u.First, v, ok, err)
			}
			found++
			for _, no := range []uint64{u.First + 1, n.Clock()[u.Origin] + 1} {
				if v, ok, err := src.Unit(u.Origin, no); ok || err != nil {
					t.Errorf("unit %v:%d: %+v %v", u.Origin, no, v, err)
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d units", found)
	}
}

// TestJoinMarker: a state join is in the log, raises the floors to what it brought, and is told.
func TestJoinMarker(t *testing.T) {
	n, peer := memorySpace(t, nil), memorySpace(t, nil)
	mustCommit(t, n, increment(1))
	if err := pull(t, peer, n); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, peer, func(tx *Tx) error { _, err := tx.Reset(tCounter, nil); return err })
	addMembers(t, peer, tSet, 0, 3)
	var told []Commit
	n.Subscribe(func(c Commit) { told = append(told, c) })
	exchange(t, n, peer, true)
	records := logged(t, n)
	last := records[len(records)-1]
	// The join completes a reset, so that an own purge is in the same commit.
	if !last.Joined || len(last.Units) != 1 || last.Units[0].Origin != n.Replica() {
		t.Errorf("record %+v", last)
	}
	if len(told) != 1 || !told[0].Joined || len(told[0].Units) != 1 {
		t.Errorf("told %+v", told)
	}
	src := sourceOf(t, n)
	if floor := src.v.floors[peer.Replica()]; floor != peer.Clock()[peer.Replica()] {
		t.Errorf("floor %d, the join brought %v", floor, peer.Clock())
	}
	if _, ok := logSince(t, src, crdt.VersionVector{n.Replica(): 1}); ok {
		t.Error("the log is given without what the join brought")
	}
	if us, ok := logSince(t, src, peer.Clock()); !ok || len(us) != 1 {
		t.Errorf("log since the join: %v %t", us, ok)
	}
	checkConsistency(t, n)
}
