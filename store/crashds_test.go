package store_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

var errStopped = errors.New("the datastore has stopped")

// write is one Put, or one Delete if value is nil.
type write struct {
	key   ds.Key
	value []byte
}

func (w write) to(m map[ds.Key][]byte) {
	if w.value == nil {
		delete(m, w.key)
	} else {
		m[w.key] = w.value
	}
}

// crashDatastore is a go-datastore that promises no more than it must: a batch is some writes in any
// order, and what was not synced may be lost in a crash, each write by itself.
type crashDatastore struct {
	mu       sync.Mutex
	values   map[ds.Key][]byte // as seen
	durable  map[ds.Key][]byte
	unsynced []write
	left     int // writes and syncs until it stops; negative: never
}

func newCrashDatastore() *crashDatastore {
	return &crashDatastore{values: map[ds.Key][]byte{}, durable: map[ds.Key][]byte{}, left: -1}
}

// crash returns what a crash could leave. The original goes on.
func (d *crashDatastore) crash(rng *rand.Rand) *crashDatastore {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newCrashDatastore()
	after.durable = maps.Clone(d.durable)
	percent := rng.IntN(101)
	for _, w := range d.unsynced {
		if rng.IntN(100) < percent {
			w.to(after.durable)
		}
	}
	after.values = maps.Clone(after.durable)
	return after
}

// step counts a write or a sync. The caller holds d.mu.
func (d *crashDatastore) step() error {
	if d.left == 0 {
		return errStopped
	}
	if d.left > 0 {
		d.left--
	}
	return nil
}

func (d *crashDatastore) write(w write) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	w.to(d.values)
	d.unsynced = append(d.unsynced, w)
	return nil
}

func (d *crashDatastore) Put(_ context.Context, key ds.Key, value []byte) error {
	return d.write(write{key, append([]byte{}, value...)})
}

func (d *crashDatastore) Delete(_ context.Context, key ds.Key) error {
	return d.write(write{key, nil})
}

// Sync makes durable what is at prefix and below, and nothing else.
func (d *crashDatastore) Sync(_ context.Context, prefix ds.Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	var others []write
	for _, w := range d.unsynced {
		if w.key == prefix || w.key.IsDescendantOf(prefix) {
			w.to(d.durable)
		} else {
			others = append(others, w)
		}
	}
	d.unsynced = others
	return nil
}

func (d *crashDatastore) Get(_ context.Context, key ds.Key) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if value, ok := d.values[key]; ok {
		return bytes.Clone(value), nil
	}
	return nil, ds.ErrNotFound
}

func (d *crashDatastore) Has(ctx context.Context, key ds.Key) (bool, error) {
	return ds.GetBackedHas(ctx, d, key)
}

func (d *crashDatastore) GetSize(ctx context.Context, key ds.Key) (int, error) {
	return ds.GetBackedSize(ctx, d, key)
}

func (d *crashDatastore) Query(_ context.Context, q query.Query) (query.Results, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var entries []query.Entry
	for key, value := range d.values {
		entries = append(entries, query.Entry{Key: key.String(), Value: bytes.Clone(value), Size: len(value)})
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

func (d *crashDatastore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(d), nil }

func (d *crashDatastore) Close() error { return nil }
