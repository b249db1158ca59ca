package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	pebbleds "github.com/ipfs/go-ds-pebble"

	"github.com/anabranchdb/anabranch/store"
)

func openPebble(t *testing.T, dir string, o store.PebbleOptions) *store.PebbleBackend {
	t.Helper()
	b, err := store.OpenPebble(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // some tests leave it where it cannot be closed
	return b
}

// put applies one pair and waits.
func put(b store.Backend, key, value string) error {
	ops := &store.Batch{}
	ops.Put(key, []byte(value))
	wait, err := b.Apply(ops)
	if err != nil {
		return err
	}
	return wait()
}

// faults is an errorfs.Injector that fails what it is told to.
type faults struct {
	on  atomic.Bool
	err error
	hit func(op errorfs.Op) bool
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	if f.on.Load() && f.hit(op) {
		return f.err
	}
	return nil
}

func writesTo(suffix string) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, suffix)
	}
}

// events collects what PebbleOptions.Event is told.
type events struct {
	mu  sync.Mutex
	all []store.PebbleEvent
}

func (e *events) add(ev store.PebbleEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) has(kind store.PebbleEventKind) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Kind == kind {
			return true
		}
	}
	return false
}

// TestPebbleLogFails fails the log: that batch fails, and every one after it; nothing hangs and nothing
// panics; reads go on; and everything that was acknowledged is there when it is opened again.
func TestPebbleLogFails(t *testing.T) {
	for name, row := range map[string]struct {
		err, want error
	}{
		"full disk": {syscall.ENOSPC, store.ErrDiskFull},
		"quota":     {syscall.EDQUOT, store.ErrDiskFull},
		"broken":    {syscall.EIO, syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faults{err: row.err, hit: writesTo(".log")}
			mem, ev := store.NewCrashFS(), &events{}
			var full atomic.Int64
			b := openPebble(t, "/data", store.PebbleOptions{
				FS: errorfs.Wrap(mem, f), Event: ev.add, DiskFull: func() { full.Add(1) },
			})
			for i := range 10 {
				if err := put(b, fmt.Sprintf("/n/t/%d", i), "acknowledged"); err != nil {
					t.Fatal(err)
				}
			}
			f.on.Store(true)
			if err := put(b, "/n/t/lost", "x"); !errors.Is(err, row.want) {
				t.Fatalf("the first batch: %v, want %v", err, row.want)
			}
			f.on.Store(false) // the disk recovers, the log does not
			for range 100 {
				if err := put(b, "/n/t/lost", strings.Repeat("x", 100_000)); !errors.Is(err, row.want) {
					t.Fatalf("a later batch: %v, want %v", err, row.want)
				}
			}
			if _, ok, err := b.Get("/n/t/3"); !ok || err != nil {
				t.Errorf("Get: %v, %v", ok, err)
			}
			checkDatastoreFails(t, b.Datastore(), row.want)
			if asked := full.Load() > 0; asked != (row.err == syscall.ENOSPC) || ev.has(store.PebbleFull) != asked {
				t.Errorf("DiskFull was called: %v", asked)
			}
			if err := b.Close(); err == nil {
				t.Error("Close tells nothing of the log that failed")
			}
			again := openPebble(t, "/data", store.PebbleOptions{FS: mem})
			for i := range 10 {
				if _, ok, err := again.Get(fmt.Sprintf("/n/t/%d", i)); !ok || err != nil {
					t.Errorf("opened again: Get: %v, %v", ok, err)
				}
			}
		})
	}
}

// checkDatastoreFails tries every way to write.
func checkDatastoreFails(t *testing.T, d ds.Batching, want error) {
	t.Helper()
	ctx, key := context.Background(), ds.NewKey("/n/t/lost")
	batch, err := d.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Put": d.Put(ctx, key, nil), "Delete": d.Delete(ctx, key), "Sync": d.Sync(ctx, key), "Commit": batch.Commit(ctx),
	} {
		if !errors.Is(err, want) {
			t.Errorf("%s of the datastore: %v, want %v", what, err, want)
		}
	}
}

// TestPebbleLogFailsUnderLoad has many writers, some of which meet Pebble's panic in the midst.
func TestPebbleLogFailsUnderLoad(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		until := rng.Int64N(40)
		var writes atomic.Int64
		log := writesTo(".log")
		f := &faults{err: syscall.EIO, hit: func(op errorfs.Op) bool { return log(op) && writes.Add(1) > until }}
		mem := store.NewCrashFS()
		b := openPebble(t, "/data", store.PebbleOptions{FS: errorfs.Wrap(mem, f), Relaxed: seed%2 == 1})
		f.on.Store(true)
		var all sync.WaitGroup
		acknowledged := make([]int, 8)
		for w := range acknowledged {
			all.Go(func() {
				for i := range 100_000 { // a relaxed writer runs ahead of the log
					if err := put(b, fmt.Sprintf("/n/w%d/%d", w, i), strings.Repeat("x", 500)); err != nil {
						return
					}
					acknowledged[w] = i + 1
				}
				t.Errorf("seed %d: writer %d never noticed", seed, w)
			})
		}
		all.Wait()
		if err := b.Close(); err == nil {
			t.Errorf("seed %d: Close tells nothing of the log that failed", seed)
		}
		again := openPebble(t, "/data", store.PebbleOptions{FS: mem.Crash(0, rng)})
		for w, n := range acknowledged {
			for i := 0; i < n && seed%2 == 0; i++ {
				if _, ok, err := again.Get(fmt.Sprintf("/n/w%d/%d", w, i)); !ok || err != nil {
					t.Fatalf("seed %d: an acknowledged batch is gone: %v", seed, err)
				}
			}
		}
	}
}

// TestPebbleFullDiskRecovers fails flushes for a while: they are told and tried again, and DiskFull
// has the chance to make space.
func TestPebbleFullDiskRecovers(t *testing.T) {
	f := &faults{err: syscall.ENOSPC, hit: writesTo(".sst")}
	ev := &events{}
	b := openPebble(t, "/data", store.PebbleOptions{
		FS: errorfs.Wrap(store.NewCrashFS(), f), MemTableBytes: 256 << 10, Event: ev.add,
		DiskFull: func() { f.on.Store(false) },
	})
	f.on.Store(true)
	for i := range 400 {
		if err := put(b, fmt.Sprintf("/n/t/%d", i), strings.Repeat("x", 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if f.on.Load() || !ev.has(store.PebbleFull) {
		t.Error("DiskFull was not called")
	}
	if n := len(contents(b)); n != 400 {
		t.Errorf("%d keys, want 400", n)
	}
}

// TestPebbleFullAtOpen finds no space while it opens. The lock that is left in this process is no damage.
func TestPebbleFullAtOpen(t *testing.T) {
	dir := t.TempDir()
	if err := openPebble(t, dir, store.PebbleOptions{}).Close(); err != nil {
		t.Fatal(err)
	}
	f := &faults{err: syscall.ENOSPC, hit: func(op errorfs.Op) bool { return op.Kind == errorfs.OpCreate }}
	f.on.Store(true)
	for range 2 {
		want := store.ErrLocked
		if f.on.Load() {
			want = store.ErrDiskFull
		}
		if _, err := store.OpenPebble(dir, store.PebbleOptions{FS: errorfs.Wrap(vfs.Default, f)}); !errors.Is(err, want) || errors.Is(err, store.ErrDamaged) {
			t.Errorf("%v, want %v", err, want)
		}
		f.on.Store(false)
	}
}

// TestPebbleDamage flips bytes of every table: what is read is right, or an error.
func TestPebbleDamage(t *testing.T) {
	dir := t.TempDir()
	ev := &events{}
	b := openPebble(t, dir, store.PebbleOptions{MemTableBytes: 256 << 10})
	var values []string
	for i := range 200 {
		values = append(values, fmt.Sprint(rand.Uint64(), strings.Repeat("x", 3000)))
		if err := put(b, fmt.Sprintf("/n/t/%d", i), values[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "pebble", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, table := range tables {
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := 100; i < len(content); i += 1000 {
			content[i] ^= 0xff
		}
		if err := os.WriteFile(table, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// One line: the file and what is wrong with it, and where in Pebble that was found is not told.
	brief := regexp.MustCompile(`\Astore: damaged: get: [^ ]*[0-9]+\.sst: [^\n:]*(: [^\n:]*)?\z`)
	err = func() error {
		b, err := store.OpenPebble(dir, store.PebbleOptions{Event: ev.add})
		if err != nil {
			return err
		}
		defer b.Close()
		s, err := b.Snapshot()
		if err != nil {
			return err
		}
		i, err := s.Iterate("", "")
		if err != nil {
			return err
		}
		for i.Next() {
		}
		damaged := 0
		for n := range 200 {
			key := fmt.Sprintf("/n/t/%d", n)
			v1, _, err1 := b.Get(key)
			v2, _, err2 := s.Get(key)
			switch {
			case errors.Is(err1, store.ErrDamaged) && errors.Is(err2, store.ErrDamaged):
				damaged++
				for _, err := range []error{err1, err2} {
					if !brief.MatchString(err.Error()) {
						t.Fatalf("Get(%q) tells %q", key, err)
					}
				}
			case err1 != nil || err2 != nil || string(v1) != values[n] || string(v2) != values[n]:
				t.Fatalf("Get(%q) = %.20q, %v and %.20q, %v", key, v1, err1, v2, err2)
			}
		}
		if damaged == 0 {
			t.Error("no Get fails")
		}
		return i.Close()
	}()
	if !errors.Is(err, store.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
	if !ev.has(store.PebbleCorrupt) {
		t.Error("no event tells of it")
	}
	for _, e := range ev.all { // an event of a flush or a compaction tells the same
		if !brief.MatchString("store: damaged: get: " + e.Text) {
			t.Errorf("the event %s tells %q", e.Kind, e.Text)
		}
	}
}

func TestPebbleMissingTable(t *testing.T) {
	dir := t.TempDir()
	b := openPebble(t, dir, store.PebbleOptions{MemTableBytes: 256 << 10})
	for i := range 100 {
		if err := put(b, fmt.Sprintf("/n/t/%d", i), strings.Repeat("x", 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "pebble", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, table := range tables {
		if err := os.Remove(table); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := backend(store.OpenPebble(dir, store.PebbleOptions{})); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("got %v, %v, want ErrDamaged", b, err)
	}
}

// TestPebbleFatal breaks the manifest. Pebble cannot go on, on a goroutine of its own, so that the test
// keeps it from there instead of letting the process end.
func TestPebbleFatal(t *testing.T) {
	f := &faults{err: syscall.EIO, hit: func(op errorfs.Op) bool {
		return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, "MANIFEST")
	}}
	fatal := make(chan store.PebbleEvent, 1)
	mem := store.NewCrashFS()
	b, err := store.OpenPebble("/data", store.PebbleOptions{
		FS: errorfs.Wrap(mem, f), MemTableBytes: 256 << 10,
		Event: func(e store.PebbleEvent) {
			if e.Kind == store.PebbleFatal {
				fatal <- e
				select {}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.on.Store(true)
	n := 0
	for ; n < 40; n++ { // until a memtable is full: later Applies would wait for its flush
		if err := put(b, fmt.Sprintf("/n/t/%d", n), strings.Repeat("x", 10_000)); err != nil {
			break
		}
	}
	if e := <-fatal; e.Err == nil || !strings.Contains(e.Text, "MANIFEST") {
		t.Errorf("got %+v", e)
	}
	again := openPebble(t, "/data", store.PebbleOptions{FS: mem.Crash(0, nil)})
	if got := len(contents(again)); got < n {
		t.Errorf("%d of %d acknowledged batches are there", got, n)
	}
}

func TestPebbleRelaxedKeepsAPrefix(t *testing.T) {
	fs := store.NewCrashFS()
	b := openPebble(t, "/data", store.PebbleOptions{FS: fs, Relaxed: true, MemTableBytes: 256 << 10})
	for i := range 500 {
		if err := put(b, fmt.Sprintf("/n/t/%03d", i), strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	again := openPebble(t, "/data", store.PebbleOptions{FS: fs.Crash(0, nil)})
	got := contents(again)
	for i := range len(got) {
		if _, ok := got[fmt.Sprintf("/n/t/%03d", i)]; !ok {
			t.Fatalf("%d keys are there, but not %d", len(got), i)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := contents(openPebble(t, "/data", store.PebbleOptions{FS: fs})); len(got) != 500 {
		t.Errorf("after Close %d of 500 are there", len(got))
	}
}

// TestPebbleIsAGoDatastore reads and writes the data with go-ds-pebble, beside the backend and alone.
func TestPebbleIsAGoDatastore(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	b := openPebble(t, dir, store.PebbleOptions{})
	if err := put(b, "/n/t/a", "ours"); err != nil {
		t.Fatal(err)
	}
	d := b.Datastore()
	if v, err := d.Get(ctx, ds.NewKey("/n/t/a")); string(v) != "ours" || err != nil {
		t.Errorf("Get = %q, %v", v, err)
	}
	if err := d.Put(ctx, ds.NewKey("/n/t/b"), []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := b.Get("/n/t/b"); string(v) != "theirs" || !ok || err != nil {
		t.Errorf("Get = %q, %v, %v", v, ok, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Get("/n/t/b"); err != nil {
		t.Errorf("after Close of the datastore: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := pebbleds.NewDatastore(filepath.Join(dir, "pebble"), pebbleds.WithPebbleOpts(&pebble.Options{FormatMajorVersion: pebble.FormatNewest}))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	results, err := plain.Query(ctx, query.Query{Prefix: "/n/t", Orders: []query.Order{query.OrderByKey{}}})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := results.Rest()
	if err != nil || len(entries) != 2 || string(entries[1].Value) != "theirs" {
		t.Errorf("go-ds-pebble finds %v, %v", entries, err)
	}
}

func TestPebbleSpace(t *testing.T) {
	b := openPebble(t, t.TempDir(), store.PebbleOptions{})
	before, err := b.DiskBytes()
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 1<<20)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	for i := range 5 {
		if err := put(b, fmt.Sprintf("/n/t/%d", i), string(value)); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := b.DiskBytes(); err != nil || after < before+3<<20 {
		t.Errorf("5 MiB made about %d bytes %d, %v", before, after, err)
	}
	if free, err := b.FreeBytes(); err != nil || free == 0 {
		t.Errorf("FreeBytes = %d, %v", free, err)
	}
	mem := openPebble(t, "/data", store.PebbleOptions{FS: store.NewCrashFS()})
	if _, err := mem.FreeBytes(); !errors.Is(err, vfs.ErrUnsupported) {
		t.Errorf("FreeBytes in memory: %v", err)
	}
}

func TestPebbleRefusesAHugeBatch(t *testing.T) {
	b := openPebble(t, "/data", store.PebbleOptions{FS: store.NewCrashFS()})
	value := make([]byte, 300<<20)
	ops := &store.Batch{}
	for i := range 4 {
		ops.Put(fmt.Sprintf("/n/t/%d", i), value)
	}
	if _, err := b.Apply(ops); err == nil {
		t.Error("1.2 GB were applied")
	}
}

// TestPebbleCloseBesideReaders closes while everybody is busy: each gets ErrClosed, and nothing else.
func TestPebbleCloseBesideReaders(t *testing.T) {
	for range 5 {
		b := openPebble(t, t.TempDir(), store.PebbleOptions{MemTableBytes: 256 << 10})
		for i := range 300 {
			if err := put(b, fmt.Sprintf("/n/t/%d", i), strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		reading := make(chan struct{}, 4)
		ended := func(what string, err error) bool {
			if err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
			return err != nil
		}
		for range 2 {
			all.Go(func() {
				for n := 0; !ended("Apply", put(b, "/n/t/more", fmt.Sprint(n))); n++ {
				}
			})
			all.Go(func() {
				for n := 0; ; n++ {
					s, err := b.Snapshot()
					if ended("Snapshot", err) {
						return
					}
					if n == 1 {
						reading <- struct{}{}
					}
					i, err := s.Iterate("/n/t/", "/n/t0")
					if ended("Iterate", err) {
						return
					}
					sum := 0
					for i.Next() {
						for _, c := range i.Value() {
							sum += int(c)
						}
					}
					ended("Next", i.Close())
					ended("Close", s.Close())
				}
			})
		}
		<-reading
		<-reading
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}
