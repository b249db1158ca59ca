package store_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	leveldb "github.com/ipfs/go-ds-leveldb"

	"github.com/anabranchdb/anabranch/store"
	"github.com/anabranchdb/anabranch/store/storetest"
)

func TestConformance(t *testing.T) {
	for name, target := range map[string]func(testing.TB) storetest.Target{
		"pebble on disk":       pebbleOnDisk,
		"pebble that crashes":  pebbleThatCrashes,
		"memory":               memory,
		"wrapped leveldb":      wrappedLevelDB,
		"wrapped map":          wrappedMap,
		"wrapped, unsynced":    wrappedUnsynced,
		"pebble, small memory": pebbleSmall,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, target)
		})
	}
}

func pebbleOnDisk(t testing.TB) storetest.Target {
	dir := t.TempDir()
	return storetest.Target{Open: func() (store.Backend, error) {
		return backend(store.OpenPebble(dir, store.PebbleOptions{}))
	}}
}

// pebbleSmall flushes and compacts all the time, and its large batches do not fit a memtable.
func pebbleSmall(t testing.TB) storetest.Target {
	dir := t.TempDir()
	return storetest.Target{Open: func() (store.Backend, error) {
		return backend(store.OpenPebble(dir, store.PebbleOptions{CacheBytes: 1 << 20, MemTableBytes: 256 << 10}))
	}}
}

func pebbleThatCrashes(testing.TB) storetest.Target {
	fs := store.NewCrashFS()
	return storetest.Target{
		Open: func() (store.Backend, error) {
			return backend(store.OpenPebble("/data", store.PebbleOptions{FS: fs, MemTableBytes: 256 << 10}))
		},
		Crash: func(seed uint64) error {
			fs = fs.Crash(int(seed%5)*25, rand.New(rand.NewPCG(seed, 2)))
			return nil
		},
	}
}

func memory(testing.TB) storetest.Target {
	return storetest.Target{Volatile: true, Open: func() (store.Backend, error) { return store.NewMemoryBackend(), nil }}
}

func wrappedLevelDB(t testing.TB) storetest.Target {
	dir := t.TempDir()
	return storetest.Target{Open: func() (store.Backend, error) {
		d, err := leveldb.NewDatastore(dir, nil)
		if err != nil {
			return nil, err
		}
		return backend(store.WrapDatastore(d, store.WrapOptions{}))
	}}
}

func wrappedMap(testing.TB) storetest.Target {
	d := dssync.MutexWrap(ds.NewMapDatastore())
	return storetest.Target{Open: func() (store.Backend, error) {
		return backend(store.WrapDatastore(d, store.WrapOptions{}))
	}}
}

func wrappedUnsynced(testing.TB) storetest.Target {
	var mu sync.Mutex
	d := newCrashDatastore()
	return storetest.Target{
		Open: func() (store.Backend, error) {
			mu.Lock()
			defer mu.Unlock()
			return backend(store.WrapDatastore(d, store.WrapOptions{}))
		},
		Crash: func(seed uint64) error {
			mu.Lock()
			defer mu.Unlock()
			d = d.crash(rand.New(rand.NewPCG(seed, 3)))
			return nil
		},
	}
}

// backend makes an interface of a pointer, but not of nil.
func backend[B store.Backend](b B, err error) (store.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
