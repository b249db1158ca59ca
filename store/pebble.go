package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	ds "github.com/ipfs/go-datastore"
	pebbleds "github.com/ipfs/go-ds-pebble"
)

const (
	pebbleDir = "pebble" // in the data directory, whose LOCK is ours

	maxBatchBytes = 1 << 30 // Pebble ends at 4 GiB, with a panic

	filterBitsPerKey = 10
	slowDisk         = 5 * time.Second
	fullDiskBackOff  = 100 * time.Millisecond
	flushDeletes     = 10 * time.Second
)

// FS is the file system that a PebbleBackend works on.
type FS = vfs.FS

type (
	vfsFile     = vfs.File
	vfsCategory = vfs.DiskWriteCategory
)

// nowhere returns a file that nobody will find again.
func nowhere() (vfsFile, error) { return vfs.NewMem().Create("nowhere", vfs.WriteCategoryUnspecified) }

// CrashFS is a file system in memory that can lose power: for tests.
type CrashFS struct{ *vfs.MemFS }

// NewCrashFS returns an empty CrashFS.
func NewCrashFS() *CrashFS { return &CrashFS{vfs.NewCrashableMem()} }

// Crash returns what a power loss at this moment could leave: all that was synced, and each other
// block and directory entry with the given probability. The original goes on unharmed.
func (c *CrashFS) Crash(unsyncedPercent int, rng *rand.Rand) *CrashFS {
	return &CrashFS{c.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rng})}
}

// PebbleBackend is a Backend on Pebble: one write-ahead log whose syncs all writers share.
//
// What it holds is an ordinary go-datastore (go-ds-pebble reads it), in the sub-directory "pebble".
//
// After a failed write to the log, Apply returns that failure for ever, reads go on, and the backend
// must be closed; it may be opened again at once. When Pebble cannot go on at all (its manifest cannot
// be written, its files contradict each other) it sends PebbleFatal and panics, on whatever
// goroutine it is: all that was acknowledged is on disk, and the next start recovers it.
type PebbleBackend struct {
	db     *pebble.DB
	ds     *pebbleds.Datastore
	fs     FS
	health io.Closer // of the disk health checks; nil with a file system from outside
	dir    string
	opts   PebbleOptions

	// gate is held shared by each use of db, and exclusively while it is closed. Pebble panics
	// when it is used after Close.
	gate   sync.RWMutex
	closed bool

	opening atomic.Bool
	broken  chan error // takes what fails while opening

	mu        sync.Mutex // guards what follows
	failure   error      // why Apply fails from now on
	snapshots map[*pebbleSnapshot]struct{}
}

// OpenPebble opens the database in dir, or makes it. It returns an error that wraps ErrDamaged if
// its files are damaged, ErrDiskFull if there is no space to begin a log. After an error because a file could
// not be written it cannot be opened again in this process, and is ErrLocked: Pebble's lock stays.
func OpenPebble(dir string, o PebbleOptions) (*PebbleBackend, error) {
	b := &PebbleBackend{
		dir:       filepath.Join(dir, pebbleDir),
		opts:      o,
		snapshots: map[*pebbleSnapshot]struct{}{},
		broken:    make(chan error, 1),
	}
	if b.fs = o.FS; b.fs == nil {
		b.fs, b.health = vfs.WithDiskHealthChecks(vfs.Default, slowDisk, nil, func(i vfs.DiskSlowInfo) {
			b.event(PebbleEvent{Kind: PebbleSlow, Text: i.String()})
		})
	}
	if err := b.openDB(); err != nil {
		b.closeHealth()
		return nil, openError(err)
	}
	if err := b.failed(); err != nil { // there was no space for a new log
		return nil, errors.Join(err, b.Close())
	}
	var err error
	if b.ds, err = pebbleds.NewDatastore("", pebbleds.WithPebbleDB(b.db), pebbleds.WithPebbleWriteOptions(b.sync())); err != nil {
		return nil, errors.Join(pebbleError("open", err), b.Close())
	}
	return b, nil
}

func (b *PebbleBackend) openDB() error {
	fresh, err := b.checkFiles()
	if err != nil {
		return err
	}
	cache := pebble.NewCache(b.opts.cacheBytes())
	defer cache.Unref()
	open := func() (err error) {
		b.db, err = pebble.Open(b.dir, b.pebbleOptions(cache))
		return err
	}
	if err := b.attempt(open); err != nil || !fresh || b.failed() != nil {
		return err
	}
	// A new database begins its log before it takes on the newest format, the first with a log that says
	// what of it was synced.
	if err := b.db.Close(); err != nil {
		return err
	}
	return b.attempt(open)
}

func (b *PebbleBackend) pebbleOptions(cache *pebble.Cache) *pebble.Options {
	o := &pebble.Options{
		Cache:                       cache,
		FS:                          logFS{vfs.OnDiskFull(filesFS{b.fs, b}, b.diskFull), b},
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                b.opts.memTableBytes(),
		MemTableStopWritesThreshold: 4,
		// Bursts of commits make many small tables: compact early, stall late.
		L0CompactionThreshold: 2,
		L0StopWritesThreshold: 24,
		MaxOpenFiles:          512,
		// A range that was deleted shall give its space back also when nothing else is written.
		FlushDelayDeleteRange: flushDeletes,
		Logger:                pebbleLogger{b},
		EventListener:         b.listener(),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBitsPerKey)
	}
	return o
}

func (b *PebbleBackend) sync() *pebble.WriteOptions {
	if b.opts.Relaxed {
		return pebble.NoSync
	}
	return pebble.Sync
}

// enter keeps Close away until b.gate.RUnlock.
func (b *PebbleBackend) enter() error {
	b.gate.RLock()
	if b.closed {
		b.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

// Get implements Backend. It panics if key is malformed, as ds.RawKey does.
func (b *PebbleBackend) Get(key string) ([]byte, bool, error) {
	if err := b.enter(); err != nil {
		return nil, false, err
	}
	defer b.gate.RUnlock()
	value, err := b.ds.Get(context.Background(), ds.RawKey(key))
	switch {
	case err == nil:
		return value, true, nil
	case errors.Is(err, ds.ErrNotFound):
		return nil, false, nil
	}
	return nil, false, pebbleError("get", err)
}

// Apply implements Backend.
func (b *PebbleBackend) Apply(batch *Batch) (wait func() error, err error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.gate.RUnlock()
	if batch.Bytes() > maxBatchBytes {
		return nil, fmt.Errorf("store: apply: a batch of %d bytes, of at most %d", batch.Bytes(), maxBatchBytes)
	}
	pb := b.db.NewBatchWithSize(batch.Bytes() + 16*(batch.Len()+1))
	if err := fill(pb, batch); err != nil {
		return nil, pebbleError("apply", err)
	}
	if err := b.failed(); err != nil {
		return nil, err
	}
	if b.opts.Relaxed {
		if err := b.db.Apply(pb, pebble.NoSync); err != nil {
			return nil, pebbleError("apply", err)
		}
		return b.failed, pb.Close()
	}
	if err := b.db.ApplyNoSyncWait(pb, pebble.Sync); err != nil {
		return nil, pebbleError("apply", err)
	}
	return func() error { return b.wait(pb) }, nil
}

// fill copies the operations.
func fill(pb *pebble.Batch, batch *Batch) error {
	for _, o := range batch.ops {
		var d *pebble.DeferredBatchOp
		switch o.Kind {
		case OpPut:
			d = pb.SetDeferred(len(o.Key), len(o.Value))
			copy(d.Value, o.Value)
		case OpDelete:
			d = pb.DeleteDeferred(len(o.Key))
		case OpDeleteRange:
			d = pb.DeleteRangeDeferred(len(o.Key), len(o.Upper))
			copy(d.Value, o.Upper)
		}
		copy(d.Key, o.Key)
		if err := d.Finish(); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when pb is in the log, or the reason why it is not.
func (b *PebbleBackend) wait(pb *pebble.Batch) error {
	if err := pb.SyncWait(); err != nil {
		return b.fail(pebbleError("sync", err))
	}
	if err := b.failed(); err != nil {
		return err
	}
	return pebbleError("sync", pb.Close())
}

// fail makes err the answer of Apply from now on, unless there is one already, and returns it.
func (b *PebbleBackend) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		b.failure = err
	}
	return err
}

func (b *PebbleBackend) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure
}

// Snapshot implements Backend.
func (b *PebbleBackend) Snapshot() (Snapshot, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.gate.RUnlock()
	snap := b.db.NewSnapshot()
	s := &pebbleSnapshot{backend: b, reader: snap, iterate: func(lower, upper string) (pebbleCursor, error) {
		var o pebble.IterOptions // whose empty bounds are nil
		if lower != "" {
			o.LowerBound = []byte(lower)
		}
		if upper != "" {
			o.UpperBound = []byte(upper)
		}
		return snap.NewIter(&o)
	}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.snapshots[s] = struct{}{}
	return s, nil
}

// DiskBytes implements Backend: about all files, those that are about to be deleted included.
func (b *PebbleBackend) DiskBytes() (uint64, error) {
	if err := b.enter(); err != nil {
		return 0, err
	}
	defer b.gate.RUnlock()
	return b.db.Metrics().DiskSpaceUsage(), nil
}

// Close implements Backend. It returns the failure of the log, if there was one.
func (b *PebbleBackend) Close() error {
	b.gate.Lock()
	defer b.gate.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.closed = true
	for _, s := range b.openSnapshots() {
		_ = s.end() // of a snapshot there is nothing to lose
	}
	err := pebbleError("close", b.db.Close())
	b.closeHealth()
	return errors.Join(err, b.failed())
}

func (b *PebbleBackend) closeHealth() {
	if b.health != nil {
		b.health.Close() // nothing but goroutines: it has no error to tell
	}
}

// FreeBytes returns the free space on the disk. It is an error on a file system in memory.
func (b *PebbleBackend) FreeBytes() (uint64, error) {
	usage, err := b.fs.GetDiskUsage(b.dir)
	return usage.AvailBytes, pebbleError("disk usage", err)
}

// listener passes on what an operator wants to know of Pebble's events.
func (b *PebbleBackend) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) { b.event(PebbleEvent{Kind: PebbleBackground, Err: err, Text: brief(err)}) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			b.event(PebbleEvent{Kind: PebbleCorrupt, Err: i.Details, Text: corruption(i)})
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) { b.event(PebbleEvent{Kind: PebbleStall, Text: i.Reason}) },
		WriteStallEnd:   func() { b.event(PebbleEvent{Kind: PebbleResume, Text: "writes go on"}) },
		WALCreated: func(i pebble.WALCreateInfo) {
			if i.Err != nil { // Pebble dies of it, and only says that a mutex was not locked
				b.event(PebbleEvent{Kind: PebbleFatal, Err: i.Err, Text: i.String()})
			}
		},
	}
}

// pebbleLogger is quiet, except when Pebble wants to end the process.
type pebbleLogger struct{ b *PebbleBackend }

func (pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.b.event(PebbleEvent{Kind: PebbleBackground, Err: err, Text: brief(err)})
}

// Fatalf must not return: Pebble would go on with state that contradicts its files. It panics
// instead of calling os.Exit so that the reason is in the trace, and in the answer of an Apply.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("store: pebble: "+format, args...)
	_ = l.b.fail(err)
	l.b.event(PebbleEvent{Kind: PebbleFatal, Err: err, Text: brief(err)})
	panic(err)
}

// diskFull holds up all writes for a moment, since Pebble repeats a failed flush without a pause.
func (b *PebbleBackend) diskFull() {
	b.event(PebbleEvent{Kind: PebbleFull, Err: ErrDiskFull, Text: "no space left for " + b.dir})
	if b.opts.DiskFull != nil {
		b.opts.DiskFull()
		return
	}
	time.Sleep(fullDiskBackOff)
}
