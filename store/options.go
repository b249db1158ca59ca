package store

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// Options say where a store lives and what it takes from outside: time, randomness and the
// datastore. Zero fields take the value of DefaultOptions.
type Options struct {
	// Dir is the data directory. It is created with mode 0700 if it does not exist, and held by
	// a lock while the store is open. Empty means that the store lives in memory only.
	Dir string
	// OpenBackend opens the datastore in Dir. The default is Pebble.
	OpenBackend func(dir string) (Backend, error)
	// Fingerprint tells copies of the directory apart. The default is ReadFingerprint.
	Fingerprint func(dir string) (Fingerprint, error)
	// FreeBytes returns the free space of the file system that holds Dir.
	FreeBytes func(dir string) (uint64, error)

	// Now is the wall clock. What reads see at it, deadlines included, depends on nothing else.
	Now func() time.Time
	// Rand yields replica ids and the nonces of runs.
	Rand io.Reader

	// MaxAhead bounds how far a foreign timestamp may drag the hybrid clock.
	MaxAhead time.Duration
	// MaxLogBytes and MaxLogAge bound the log of each namespace.
	MaxLogBytes uint64
	MaxLogAge   time.Duration
	// MaxUnheldBytes bounds it while it ends in own units that no peer is known to hold, in place of
	// both: they can be issued again under another id. A copy that never met a peer does not wait for one.
	MaxUnheldBytes uint64
	// MaxSideBytes bounds the side records of each namespace.
	MaxSideBytes uint64
	// ReapEvery is the least time between two looks for entries to remove because their deadline has
	// passed some time ago, and for a lease to renew, by the timers of package time. Negative: only
	// Namespace.Reap and Namespace.KeepPresence look.
	ReapEvery time.Duration
	// LargeEntries is the number of entries above which a change is applied in bounded batches
	// under a redo record instead of in one.
	LargeEntries int
	// ReserveBytes of free space are kept for removals and replication: with less, local adds
	// get ErrDiskFull; with less than a quarter of it, replication does too; with less than a
	// sixteenth everything does, so that the datastore itself never finds the disk full.
	ReserveBytes uint64
	// Event is told of what an operator should know. It must not block.
	Event func(Event)
}

// Event is something that an operator should know.
type Event struct {
	Namespace string
	Kind      EventKind
	Detail    string
}

// EventKind names an Event.
type EventKind string

// The kinds of events.
const (
	// EventCopied: the data directory proved to be a copy; every replica id was drawn anew.
	EventCopied EventKind = "copied"
	// EventDamaged: a namespace reported damage. It answers nothing until SetAside or the next Open.
	EventDamaged EventKind = "damaged"
	// EventSetAside: the copy of a damaged namespace was set aside, and a new one begins.
	EventSetAside EventKind = "set-aside"
	// EventHealed: a fork of the replica id was healed; the detail says what was written again, and
	// what could not be.
	EventHealed EventKind = "healed"
	// EventReturned: a replica id that was retired has issued more.
	EventReturned EventKind = "returned"
	// EventMigrated: the directory had an earlier layout, and has the present one now.
	EventMigrated EventKind = "migrated"
	// EventClockAhead: a timestamp stands further ahead of the wall clock than MaxAhead.
	EventClockAhead EventKind = "clock-ahead"
	// EventRedo: a large change was found unfinished at open, and was finished.
	EventRedo EventKind = "redo"
	// EventFailed: the datastore cannot be written any more; only a fresh Open can.
	EventFailed EventKind = "failed"
	// EventDatastore: the datastore reports trouble that it copes with, or a damaged file: what needs it
	// fails on its own.
	EventDatastore EventKind = "datastore"
)

// DefaultOptions returns the options of a store in dir, without those that Open fills in.
func DefaultOptions(dir string) Options {
	return Options{
		Dir:            dir,
		Fingerprint:    ReadFingerprint,
		FreeBytes:      freeBytes,
		Now:            time.Now,
		Rand:           rand.Reader,
		MaxAhead:       10 * time.Minute,
		MaxLogBytes:    64 << 20,
		MaxLogAge:      7 * 24 * time.Hour,
		MaxUnheldBytes: 256 << 20,
		MaxSideBytes:   64 << 20,
		ReapEvery:      time.Second,
		LargeEntries:   4096,
		ReserveBytes:   64 << 20,
		Event:          func(Event) {},
	}
}

// MemoryOptions returns the options of a store that lives in memory and is gone at Close.
func MemoryOptions() Options { return DefaultOptions("") }

func (o Options) withDefaults() Options {
	d := DefaultOptions(o.Dir)
	if o.Fingerprint == nil {
		o.Fingerprint = d.Fingerprint
	}
	if o.FreeBytes == nil {
		o.FreeBytes = d.FreeBytes
	}
	if o.Now == nil {
		o.Now = d.Now
	}
	if o.Rand == nil {
		o.Rand = d.Rand
	}
	if o.MaxAhead == 0 {
		o.MaxAhead = d.MaxAhead
	}
	if o.MaxLogBytes == 0 {
		o.MaxLogBytes = d.MaxLogBytes
	}
	if o.MaxLogAge == 0 {
		o.MaxLogAge = d.MaxLogAge
	}
	if o.MaxUnheldBytes == 0 {
		o.MaxUnheldBytes = d.MaxUnheldBytes
	}
	if o.MaxSideBytes == 0 {
		o.MaxSideBytes = d.MaxSideBytes
	}
	if o.ReapEvery == 0 {
		o.ReapEvery = d.ReapEvery
	}
	if o.LargeEntries == 0 {
		o.LargeEntries = d.LargeEntries
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = d.ReserveBytes
	}
	if o.Event == nil {
		o.Event = d.Event
	}
	if o.OpenBackend == nil {
		tell := o.Event
		o.OpenBackend = func(dir string) (Backend, error) {
			return OpenPebble(dir, PebbleOptions{Event: func(e PebbleEvent) { tell(e.event()) }})
		}
	}
	return o
}

// event is what an operator is told of a report of Pebble.
func (e PebbleEvent) event() Event {
	kind := EventDatastore
	if e.Kind == PebbleLog || e.Kind == PebbleFatal {
		kind = EventFailed
	}
	return Event{Kind: kind, Detail: string(e.Kind) + ": " + e.Text}
}

// newReplicaID draws an id. It never returns the zero id.
func newReplicaID(r io.Reader) (crdt.ReplicaID, error) {
	for {
		v, err := randUint64(r)
		if err != nil || v != 0 {
			return crdt.ReplicaID(v), err
		}
	}
}

func randUint64(r io.Reader) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, nil
}
