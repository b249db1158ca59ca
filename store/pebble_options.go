package store

const (
	defaultCacheBytes    = 16 << 20
	defaultMemTableBytes = 8 << 20
)

// PebbleOptions configure a PebbleBackend. The zero value is the default.
type PebbleOptions struct {
	// FS is the operating system's file system if it is nil.
	FS FS
	// CacheBytes is what blocks of tables may take in memory, 16 MiB if 0.
	CacheBytes int64
	// MemTableBytes is the size at which what was written last goes from memory to a table, 8 MiB
	// if 0. Usually there are one or two of that size, at most four.
	MemTableBytes uint64
	// Relaxed gives up durability: wait does not wait, and a crash of the machine, or the process,
	// loses the last batches. What is left is still a prefix of what was applied.
	// It is for measurements: a Store does not know of it, and after a crash a copy that has told its
	// peers of what was lost would use the same dots again.
	Relaxed bool
	// Event is told what an operator wants to know. It must be quick, and must not call the backend.
	Event func(PebbleEvent)
	// DiskFull is called when a write finds no space, while all other writes wait; the write is
	// tried once more when it returns. It may free a reserve on that disk. A log without space ends
	// the backend (PebbleLog), a manifest without space ends the process (PebbleFatal).
	DiskFull func()
}

// PebbleEventKind names a PebbleEvent.
type PebbleEventKind string

// The kinds of events of Pebble.
const (
	PebbleBackground PebbleEventKind = "background" // a flush or a compaction failed; it is tried again
	PebbleCorrupt    PebbleEventKind = "corrupt"    // a file is damaged; reads of it return ErrDamaged
	PebbleSlow       PebbleEventKind = "slow"       // a write to the disk takes more than 5 s
	PebbleFull       PebbleEventKind = "full"       // a write found no space
	PebbleStall      PebbleEventKind = "stall"      // Apply waits until flushes and compactions catch up
	PebbleResume     PebbleEventKind = "resume"     // the stall is over
	PebbleLog        PebbleEventKind = "log"        // the log cannot be written: Apply fails from now on
	PebbleFatal      PebbleEventKind = "fatal"      // it cannot go on: the process is about to panic
)

// PebbleEvent is something that an operator wants to know.
type PebbleEvent struct {
	Kind PebbleEventKind
	Err  error  // nil for stalls
	Text string // one line, which tells of Err too
}

// cacheBytes returns the size of the cache. Pebble accounts memtables to the cache too: two of
// them are added, for otherwise they would push out every block.
func (o PebbleOptions) cacheBytes() int64 {
	n := o.CacheBytes
	if n <= 0 {
		n = defaultCacheBytes
	}
	return n + 2*int64(o.memTableBytes())
}

func (o PebbleOptions) memTableBytes() uint64 {
	if o.MemTableBytes == 0 {
		return defaultMemTableBytes
	}
	return o.MemTableBytes
}

func (b *PebbleBackend) event(e PebbleEvent) {
	if b.opts.Event != nil {
		b.opts.Event(e)
	}
}
