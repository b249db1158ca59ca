package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// fillSet puts members into a set, some thousand in a commit.
func fillSet(b *testing.B, n *Namespace, size int) {
	b.Helper()
	const page = 5000
	for from := 0; from < size; from += page {
		addMembers(b, n, tSet, from, min(from+page, size))
	}
}

// heapPeak samples the heap until the returned function is called, which returns the growth of
// its peak over the start in bytes.
func heapPeak() (stop func() uint64) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	start, quit, peak := heap(), make(chan struct{}), make(chan uint64)
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		highest := start
		for {
			select {
			case <-ticker.C:
				highest = max(highest, heap())
			case <-quit:
				peak <- highest
				return
			}
		}
	}()
	return func() uint64 {
		close(quit)
		return <-peak - start
	}
}

// BenchmarkSetSize measures an add, the removal of a member and a page of 100 in sets of two
// sizes: the cost must not follow the size.
func BenchmarkSetSize(b *testing.B) {
	for _, size := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("members=%d", size), func(b *testing.B) {
			n, _ := benchStore(b)
			fillSet(b, n, size)
			next := size
			b.Run("add", func(b *testing.B) {
				for b.Loop() {
					addMembers(b, n, tSet, next, next+1)
					next++
				}
			})
			b.Run("remove", func(b *testing.B) {
				for b.Loop() {
					next--
					mustCommit(b, n, func(tx *Tx) error { _, err := tx.Remove(numbered(tSet, next), nil); return err })
				}
			})
			b.Run("page", func(b *testing.B) {
				for b.Loop() {
					readPage(b, n, size/2)
				}
			})
		})
	}
}

func readPage(b *testing.B, n *Namespace, after int) {
	b.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	left := 100
	for _, err := range v.Scan(tSet, numbered(tSet, after)) {
		if left--; err != nil || left == 0 {
			break
		}
	}
	if left != 0 {
		b.Fatalf("%d members are missing", left)
	}
}

const benchLarge = 1_000_000

// BenchmarkDeleteLarge deletes a set of a million members, as its own unit and as a peer's, and
// measures how long a writer that comes meanwhile waits, and the memory that it takes.
func BenchmarkDeleteLarge(b *testing.B) {
	remove := func(n *Namespace) error {
		return second(n.Commit(context.Background(), func(tx *Tx) error { _, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil); return err }))
	}
	b.Run("own", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			n, _ := benchStore(b)
			fillSet(b, n, benchLarge)
			b.StartTimer()
			measureLarge(b, n, func() error { return remove(n) })
		}
	})
	b.Run("foreign", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			n, _ := benchStore(b)
			fillSet(b, n, benchLarge)
			u := delta.Unit{Origin: 7, First: 1, Last: 1, Deps: n.Clock().Clone(),
				Kills: []delta.Kill{{Prefix: tSet.ObjectPath(), Clock: n.Clock().Clone()}}}
			b.StartTimer()
			measureLarge(b, n, func() error { return n.Apply(context.Background(), []delta.Unit{u}, nil) })
		}
	})
}

// BenchmarkJoinLarge joins the state of a peer with a million entries into an empty copy.
func BenchmarkJoinLarge(b *testing.B) {
	for range b.N {
		b.StopTimer()
		peer, _ := benchStore(b)
		fillSet(b, peer, benchLarge)
		n, _ := benchStore(b)
		src, err := peer.Source(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		j := StateJoin{From: n.Clock(), To: src.Status().Clock, Streamed: src.Live(), Killed: delta.NewDotSet()}
		b.StartTimer()
		began := time.Now()
		var page []crdt.Entry
		for e, err := range src.Entries(nil) {
			if page = append(page, e); len(page) == 4096 {
				err = errors.Join(err, n.Stage(page))
				page = page[:0]
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := errors.Join(n.Stage(page), src.Close()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-to-stage")
		measureLarge(b, n, func() error { return n.Join(context.Background(), j) })
	}
}

// measureLarge runs a large change with a writer beside it.
func measureLarge(b *testing.B, n *Namespace, change func() error) {
	b.Helper()
	peak := heapPeak()
	began := time.Now()
	waited, quit := make(chan time.Duration), make(chan struct{})
	go func() {
		longest := time.Duration(0)
		for {
			start := time.Now()
			if _, err := n.Commit(context.Background(), increment(1)); err != nil {
				b.Error(err)
			}
			longest = max(longest, time.Since(start))
			select {
			case <-quit:
				waited <- longest
				return
			default:
			}
		}
	}()
	if err := change(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	close(quit)
	b.ReportMetric((<-waited).Seconds(), "s-longest-wait")
	b.ReportMetric(took.Seconds(), "s-to-change")
	b.ReportMetric(float64(peak())/(1<<20), "MiB-heap")
}
