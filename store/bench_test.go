package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

const benchWriters = 64

// countingBackend counts the bytes that pass through it.
type countingBackend struct {
	Backend
	bytes, batches atomic.Int64
}

func (c *countingBackend) Apply(b *Batch) (func() error, error) {
	c.bytes.Add(int64(b.Bytes()))
	c.batches.Add(1)
	return c.Backend.Apply(b)
}

func benchStore(b *testing.B) (*Namespace, *countingBackend) {
	b.Helper()
	var counting *countingBackend
	opts := DefaultOptions(b.TempDir())
	opts.OpenBackend = func(dir string) (Backend, error) {
		p, err := OpenPebble(dir, PebbleOptions{})
		counting = &countingBackend{Backend: p}
		return counting, err
	}
	s, err := Open(opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	n, err := s.Namespace(Default)
	if err != nil {
		b.Fatal(err)
	}
	return n, counting
}

// eachWriter runs b.N calls of f spread over writers.
func eachWriter(b *testing.B, writers int, f func(rng *rand.Rand, i int64) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := f(rng, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mutations/s")
}

func randomValue(rng *rand.Rand) []byte {
	return fmt.Appendf(nil, `"%016x%016x%016x%012x"`, rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()>>16)
}

// BenchmarkCommit measures durable commits: registers with 64-byte values over 100,000 keys,
// adds of fresh members to one set, and increments of 100 counters.
func BenchmarkCommit(b *testing.B) {
	ops := map[string]func(t *Tx, rng *rand.Rand, i int64) error{
		"register": func(t *Tx, rng *rand.Rand, _ int64) error {
			return t.Assign(crdt.Object(crdt.Register, fmt.Sprintf("key%06d", rng.IntN(100_000))).Leaf(crdt.Register), randomValue(rng), nil)
		},
		"set": func(t *Tx, _ *rand.Rand, i int64) error {
			_, err := t.Add(crdt.Object(crdt.Set, "s").Leaf(crdt.Set).Member(fmt.Sprintf("member%09d", i)))
			return err
		},
		"counter": func(t *Tx, rng *rand.Rand, _ int64) error {
			return t.Increment(crdt.Object(crdt.Counter, fmt.Sprintf("counter%02d", rng.IntN(100))).Leaf(crdt.Counter), 1)
		},
	}
	for _, name := range []string{"register", "set", "counter"} {
		for _, writers := range []int{1, benchWriters} {
			b.Run(fmt.Sprintf("%s/writers=%d", name, writers), func(b *testing.B) {
				n, counting := benchStore(b)
				eachWriter(b, writers, func(rng *rand.Rand, i int64) error {
					_, err := n.Commit(context.Background(), func(t *Tx) error { return ops[name](t, rng, i) })
					return err
				})
				b.ReportMetric(float64(counting.bytes.Load())/float64(b.N), "B/mutation")
				b.ReportMetric(float64(b.N)/float64(counting.batches.Load()), "mutations/batch")
			})
		}
	}
}

// BenchmarkPlainPebble is the yardstick of BenchmarkCommit: the same number of bytes in as many
// keys, by as many writers, each waiting for an fsync that Pebble's group commit shares.
func BenchmarkPlainPebble(b *testing.B) {
	for _, writers := range []int{1, benchWriters} {
		b.Run(fmt.Sprintf("register/writers=%d", writers), func(b *testing.B) {
			p, err := OpenPebble(b.TempDir(), PebbleOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			eachWriter(b, writers, func(rng *rand.Rand, i int64) error {
				k := rng.IntN(100_000)
				var batch Batch
				batch.Put(fmt.Sprintf("/n1/d/rkey%06d!r", k), append(make([]byte, 30), randomValue(rng)...))
				batch.Put(fmt.Sprintf("/n1/i/%032d", i), fmt.Appendf(nil, "rkey%06d!r", k))
				batch.Put(fmt.Sprintf("/n1/h/rkey%06d!", k), make([]byte, 6))
				batch.Delete(fmt.Sprintf("/n1/i/%032d", i-1000))
				batch.Put(fmt.Sprintf("/n1/l/%016d", i), append(make([]byte, 60), randomValue(rng)...))
				wait, err := p.Apply(&batch)
				if err != nil {
					return err
				}
				return wait()
			})
		})
	}
}
