package store_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	leveldb "github.com/ipfs/go-ds-leveldb"

	"github.com/anabranchdb/anabranch/store"
)

const benchWriters = 64

// benchKeys returns the keys of one small commit: some 200 bytes with their values.
func benchKeys(n int) (data, index, head string) {
	return fmt.Sprintf("/n/d/sobject_%08x", n), fmt.Sprintf("/n/i/%016x", n), fmt.Sprintf("/n/h/%04x", n%5000)
}

// writers shares b.N commits among 64 goroutines.
func writers(b *testing.B, commit func(n int) error) {
	b.Helper()
	next := make(chan int, benchWriters)
	var all sync.WaitGroup
	b.ResetTimer()
	for range benchWriters {
		all.Go(func() {
			for n := range next {
				if err := commit(n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := range b.N {
		next <- n
	}
	close(next)
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func benchValue(n int) []byte {
	value := make([]byte, 40)
	binary.LittleEndian.PutUint64(value, rand.Uint64())
	binary.LittleEndian.PutUint64(value[8:], uint64(n))
	return value
}

// BenchmarkCommit commits small batches from 64 writers, each durable by itself.
func BenchmarkCommit(b *testing.B) {
	for name, open := range benchBackends() {
		b.Run(name, func(b *testing.B) {
			backend, err := open(b)
			if err != nil {
				b.Fatal(err)
			}
			defer backend.Close()
			writers(b, func(n int) error {
				data, index, head := benchKeys(n)
				ops := &store.Batch{}
				ops.Put(data, benchValue(n))
				ops.Put(index, nil)
				ops.Put(head, benchValue(n))
				wait, err := backend.Apply(ops)
				if err != nil {
					return err
				}
				return wait()
			})
		})
	}
	b.Run("plain pebble", func(b *testing.B) {
		db, err := pebble.Open(b.TempDir(), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, MemTableSize: 8 << 20, Logger: quiet{}})
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		writers(b, func(n int) error {
			data, index, head := benchKeys(n)
			ops := db.NewBatch()
			if err := ops.Set([]byte(data), benchValue(n), nil); err != nil {
				return err
			}
			if err := ops.Set([]byte(index), nil, nil); err != nil {
				return err
			}
			if err := ops.Set([]byte(head), benchValue(n), nil); err != nil {
				return err
			}
			return ops.Commit(pebble.Sync)
		})
	})
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func benchBackends() map[string]func(b *testing.B) (store.Backend, error) {
	return map[string]func(b *testing.B) (store.Backend, error){
		"pebble": func(b *testing.B) (store.Backend, error) {
			return backend(store.OpenPebble(b.TempDir(), store.PebbleOptions{}))
		},
		"pebble relaxed": func(b *testing.B) (store.Backend, error) {
			return backend(store.OpenPebble(b.TempDir(), store.PebbleOptions{Relaxed: true}))
		},
		"memory": func(*testing.B) (store.Backend, error) { return store.NewMemoryBackend(), nil },
		"wrapped leveldb": func(b *testing.B) (store.Backend, error) {
			d, err := leveldb.NewDatastore(b.TempDir(), nil)
			if err != nil {
				return nil, err
			}
			return backend(store.WrapDatastore(d, store.WrapOptions{}))
		},
		"wrapped map": func(*testing.B) (store.Backend, error) {
			return backend(store.WrapDatastore(dssync.MutexWrap(ds.NewMapDatastore()), store.WrapOptions{}))
		},
	}
}

const benchStored = 100_000

// fillBench puts 100,000 keys.
func fillBench(b *testing.B, backend store.Backend) {
	b.Helper()
	for n := 0; n < benchStored; {
		ops := &store.Batch{}
		for range 1000 {
			data, _, _ := benchKeys(n)
			ops.Put(data, benchValue(n))
			n++
		}
		wait, err := backend.Apply(ops)
		if err == nil {
			err = wait()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for name, open := range benchBackends() {
		b.Run(name, func(b *testing.B) {
			backend, err := open(b)
			if err != nil {
				b.Fatal(err)
			}
			defer backend.Close()
			fillBench(b, backend)
			for _, what := range []string{"present", "absent"} {
				b.Run(what, func(b *testing.B) {
					for b.Loop() {
						key, _, _ := benchKeys(rand.IntN(benchStored))
						if what == "absent" {
							key += "x"
						}
						if _, ok, err := backend.Get(key); err != nil || ok != (what == "present") {
							b.Fatal(ok, err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkIterate takes a snapshot and reads a page of 100 keys from somewhere.
func BenchmarkIterate(b *testing.B) {
	for name, open := range benchBackends() {
		b.Run(name, func(b *testing.B) {
			backend, err := open(b)
			if err != nil {
				b.Fatal(err)
			}
			defer backend.Close()
			fillBench(b, backend)
			for b.Loop() {
				s, err := backend.Snapshot()
				if err != nil {
					b.Fatal(err)
				}
				from, _, _ := benchKeys(rand.IntN(benchStored - 100))
				i, err := s.Iterate(from, "/n/d0")
				if err != nil {
					b.Fatal(err)
				}
				for n := range 100 {
					if !i.Next() || len(i.Value()) != 40 {
						b.Fatal(n, i.Err())
					}
				}
				if err := i.Close(); err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
