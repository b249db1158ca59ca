package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	ds "github.com/ipfs/go-datastore"
)

// ErrUnsuitable is returned by WrapDatastore for a datastore that does not do what go-datastore's
// interface says: a query by prefix and in the order of keys.
var ErrUnsuitable = errors.New("store: unsuitable datastore")

const (
	// reservedPrefix begins the keys of the wrapper itself. No key of the store does: its
	// namespaces have no name that begins with a dot.
	reservedPrefix = "/."

	defaultUndoBytes = 16 << 20

	// A batch goes to the datastore in parts, since some refuse large ones.
	maxPartBytes = 4 << 20
	maxPartOps   = 10_000
)

var redoKey = ds.RawKey(reservedPrefix + "redo")

// WrapOptions configure a WrappedBackend. The zero value is the default.
type WrapOptions struct {
	// UndoBytes bounds the keys and values that one snapshot remembers of what was overwritten since,
	// 16 MiB if 0. Above it the snapshot answers ErrSnapshotLost.
	UndoBytes int
}

// WrappedBackend makes a Backend of any go-datastore, of which it needs no more than that one Put is
// atomic and that Sync makes durable what was put before.
//
// Atomic: a batch is first written whole, as the value of one key, and synced: the redo record. Then
// its operations are carried out and synced. A record that is found at open is carried out again.
// It stays until the next one takes its place, so that each batch is written twice and synced twice.
//
// Snapshots: while there are any, Apply reads what it is about to overwrite and leaves it with each.
//
// Iteration: go-datastore has no query from a lower bound, only by a prefix of path segments. To begin
// at a key costs a scan of all keys before it within the longest such prefix of both bounds, and so
// does the last key of a range.
//
// After a failure in the midst of a batch every method returns that failure. The batch is not lost:
// opening the datastore again carries it out.
type WrappedBackend struct {
	d         ds.Batching
	undoBytes int

	// gate is held shared by each use of d, and exclusively while it is closed.
	gate      sync.RWMutex
	closed    bool
	iterators iteratorSet

	// apply is held by one Apply at a time, until its batch is durable without the redo record.
	apply sync.Mutex

	// mu is held exclusively while a batch becomes visible.
	mu        sync.RWMutex
	broken    error
	snapshots map[*wrapSnapshot]struct{}
}

// WrapDatastore makes a Backend of d, which belongs to it from then on, and finishes what a crash
// interrupted. It returns an error that wraps ErrUnsuitable if d is no good, ErrDamaged if the redo
// record is; d stays the caller's then.
func WrapDatastore(d ds.Batching, o WrapOptions) (*WrappedBackend, error) {
	w := &WrappedBackend{d: d, undoBytes: o.UndoBytes, snapshots: map[*wrapSnapshot]struct{}{}}
	if w.undoBytes <= 0 {
		w.undoBytes = defaultUndoBytes
	}
	if err := probe(d); err != nil {
		return nil, err
	}
	if err := w.replay(); err != nil {
		return nil, err
	}
	return w, nil
}

// replay carries out the redo record, if there is one. Often it was carried out before, whole or in
// part: the outcome for each key that it names is in the record alone.
func (w *WrappedBackend) replay() error {
	record, err := w.d.Get(context.Background(), redoKey)
	if errors.Is(err, ds.ErrNotFound) {
		return nil
	}
	if err != nil {
		return wrapError("redo", err)
	}
	b, err := decodeRedo(record)
	if err != nil {
		return err
	}
	ops, err := w.resolve(b)
	if err != nil {
		return err
	}
	if err := w.write(ops); err != nil {
		return wrapError("redo", err)
	}
	return wrapError("redo", w.d.Sync(context.Background(), ds.RawKey("/")))
}

// enter keeps Close away until w.gate.RUnlock.
func (w *WrappedBackend) enter() error {
	w.gate.RLock()
	if w.closed {
		w.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

// Get implements Backend.
func (w *WrappedBackend) Get(key string) ([]byte, bool, error) {
	if err := w.enter(); err != nil {
		return nil, false, err
	}
	defer w.gate.RUnlock()
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.broken != nil {
		return nil, false, w.broken
	}
	return w.get(key)
}

// get reads the datastore, whose values are not always the caller's.
func (w *WrappedBackend) get(key string) ([]byte, bool, error) {
	value, err := w.d.Get(context.Background(), ds.RawKey(key))
	switch {
	case err == nil:
		return bytes.Clone(value), true, nil
	case errors.Is(err, ds.ErrNotFound):
		return nil, false, nil
	}
	return nil, false, wrapError("get", err)
}

// Apply implements Backend. The batch is durable when it returns.
func (w *WrappedBackend) Apply(b *Batch) (func() error, error) {
	if err := w.enter(); err != nil {
		return nil, err
	}
	defer w.gate.RUnlock()
	w.apply.Lock()
	defer w.apply.Unlock()
	if err := w.failed(); err != nil {
		return nil, err
	}
	ops, err := w.resolve(b)
	if err != nil {
		return nil, err
	}
	if len(ops) == 0 {
		return durable, nil
	}
	ctx := context.Background()
	if err := w.d.Put(ctx, redoKey, encodeRedo(b)); err != nil {
		return nil, wrapError("apply", err)
	}
	if err := w.d.Sync(ctx, redoKey); err != nil {
		return nil, wrapError("apply", err)
	}
	if err := w.show(ops); err != nil {
		return nil, err
	}
	if err := w.d.Sync(ctx, ds.RawKey("/")); err != nil {
		return nil, w.fail(wrapError("apply", err))
	}
	return durable, nil
}

// show makes a batch visible whose redo record is durable.
func (w *WrappedBackend) show(ops []Op) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remember(ops)
	if err := w.write(ops); err != nil {
		w.broken = wrapError("apply", err)
		return w.broken
	}
	return nil
}

// write carries out ops, of which there is one for each key. The slices that it passes on are fresh:
// some datastores keep them.
func (w *WrappedBackend) write(ops []Op) error {
	ctx := context.Background()
	for len(ops) > 0 {
		part, err := w.d.Batch(ctx)
		if err != nil {
			return err
		}
		n, size := 0, 0
		for n < len(ops) && n < maxPartOps && size < maxPartBytes {
			o := ops[n]
			if o.Kind == OpPut {
				err = part.Put(ctx, ds.RawKey(o.Key), append(make([]byte, 0, len(o.Value)), o.Value...))
			} else {
				err = part.Delete(ctx, ds.RawKey(o.Key))
			}
			if err != nil {
				return err
			}
			n, size = n+1, size+len(o.Key)+len(o.Value)
		}
		if err := part.Commit(ctx); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// fail makes err the answer of every method from now on.
func (w *WrappedBackend) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
	return err
}

func (w *WrappedBackend) failed() error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.broken
}

// DiskBytes implements Backend. It is 0 if the datastore does not tell.
func (w *WrappedBackend) DiskBytes() (uint64, error) {
	if err := w.enter(); err != nil {
		return 0, err
	}
	defer w.gate.RUnlock()
	n, err := ds.DiskUsage(context.Background(), w.d)
	return n, wrapError("disk usage", err)
}

// Close implements Backend. It closes the datastore.
func (w *WrappedBackend) Close() error {
	w.gate.Lock()
	defer w.gate.Unlock()
	if w.closed {
		return ErrClosed
	}
	w.closed = true
	w.iterators.end()
	var err error
	if w.broken == nil { // else the record is still needed
		ctx := context.Background()
		err = errors.Join(w.d.Delete(ctx, redoKey), w.d.Sync(ctx, ds.RawKey("/")))
	}
	return wrapError("close", errors.Join(err, w.d.Close()))
}

// wrapError makes the datastore's errors ours.
func wrapError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %s: %w", ErrDiskFull, doing, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}
