package store

import (
	"errors"
	"iter"
)

// Errors of backends.
var (
	// ErrClosed is returned by every method of a backend, and of its snapshots and iterators, after Close.
	ErrClosed = errors.New("store: closed")
	// ErrDamaged is returned when what was read is not what was written: a checksum, an encoding or
	// an invariant of the files does not hold.
	ErrDamaged = errors.New("store: damaged")
	// ErrDiskFull is returned when a write found no space. Nothing of it is visible.
	ErrDiskFull = errors.New("store: disk full")
	// ErrSnapshotLost is returned by a snapshot that the backend could not keep: it had to remember
	// more overwritten bytes than it may. The caller takes a fresh one and starts again.
	ErrSnapshotLost = errors.New("store: snapshot lost")
)

// Backend is what the store needs of a datastore. All methods may be called from many goroutines.
//
// Keys are "/" ns "/" table "/" rest: segments without "/", none of them "." or "..", so that every
// key is its own clean form (ds.RawKey). They order bytewise. A backend may panic on other keys.
// storetest proves an implementation.
type Backend interface {
	// Get returns the newest applied value of key. The value is the caller's to keep and to change.
	Get(key string) (value []byte, ok bool, err error)

	// Snapshot returns a view of all that was applied before the call, and of nothing after.
	Snapshot() (Snapshot, error)

	// Apply makes the batch visible, all of it at once, before it returns. It is durable when wait
	// returns nil; wait must be called exactly once, from any goroutine. Batches become durable in
	// the order in which they became visible: a crash leaves a prefix of them, and never less than
	// was waited for.
	//
	// Apply keeps nothing of b: the caller may Reset it, and write to its values, once Apply returns.
	//
	// When Apply fails, nothing of b is visible, and whether it is after a restart is unknown. When
	// wait fails, b stays visible and may be gone after a restart: the caller must close the backend.
	Apply(b *Batch) (wait func() error, err error)

	// DiskBytes returns the bytes that the backend holds on disk, or in memory if it has no disk.
	DiskBytes() (uint64, error)

	// Close releases the backend. All that was applied is durable when it returns nil. Snapshots and
	// iterators that are still open answer ErrClosed from then on, and may be closed afterwards.
	Close() error
}

// Snapshot is a frozen view of a backend. There may be many at once; they never block Apply. Its
// methods may be called from many goroutines.
type Snapshot interface {
	// Get returns the value that key had. The value is the caller's to keep and to change.
	Get(key string) (value []byte, ok bool, err error)

	// Iterate returns the keys in [lower, upper), ascending bytewise. No upper bound if upper is "".
	Iterate(lower, upper string) (Iterator, error)

	// Last returns the greatest key in [lower, upper), or ok = false when there is none. No upper bound
	// if upper is "".
	Last(lower, upper string) (key string, ok bool, err error)

	// Close releases the snapshot. Its iterators must be closed before.
	Close() error
}

// Iterator walks over keys in ascending order. It stands before the first one at the beginning. It
// belongs to one goroutine.
type Iterator interface {
	// Next moves to the next key. It returns false at the end and when Err is not nil.
	Next() bool
	// Key returns the key. It is the caller's to keep.
	Key() string
	// Value returns the value, which is valid until the next call of Next or Close and must not be
	// changed.
	Value() []byte
	// Err returns why the iteration ended early, nil if it did not.
	Err() error
	// Close releases the iterator and returns Err.
	Close() error
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of operations.
const (
	OpPut         OpKind = 1 + iota // Key := Value
	OpDelete                        // Key has no value
	OpDeleteRange                   // no key in [Key, Upper) has a value
)

// Op is one operation of a Batch.
type Op struct {
	Kind  OpKind
	Key   string
	Upper string // of OpDeleteRange
	Value []byte // of OpPut
}

// Batch is a list of operations that are applied together, in order: later ones win. The zero value
// is an empty batch. It belongs to one goroutine.
type Batch struct {
	ops   []Op
	bytes int
}

// Put sets the value of key. The batch keeps value until Reset; the caller must not change it before.
func (b *Batch) Put(key string, value []byte) {
	b.add(Op{Kind: OpPut, Key: key, Value: value})
}

// Delete removes key. It may be absent.
func (b *Batch) Delete(key string) {
	b.add(Op{Kind: OpDelete, Key: key})
}

// DeleteRange removes every key in [lower, upper), those that the batch has put before included. It
// does nothing if upper ≤ lower.
func (b *Batch) DeleteRange(lower, upper string) {
	if upper > lower {
		b.add(Op{Kind: OpDeleteRange, Key: lower, Upper: upper})
	}
}

func (b *Batch) add(o Op) {
	b.ops = append(b.ops, o)
	b.bytes += len(o.Key) + len(o.Upper) + len(o.Value)
}

// Len returns the number of operations.
func (b *Batch) Len() int { return len(b.ops) }

// Bytes returns the bytes of all keys and values in it.
func (b *Batch) Bytes() int { return b.bytes }

// Ops returns the operations in order. Their values are the batch's.
func (b *Batch) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, o := range b.ops {
			if !yield(o) {
				return
			}
		}
	}
}

// Reset empties the batch and keeps its memory for the next one.
func (b *Batch) Reset() {
	clear(b.ops)
	b.ops, b.bytes = b.ops[:0], 0
}
