package store

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var faultEvery = flag.Int("faults.every", 90, "let one in so many operations on files fail, 1 for each of them")

// brokenDisk is a file system of which one operation fails, or all from one on.
type brokenDisk struct {
	*powerFS
	err     error
	at      int64 // the operation that fails first
	lasting bool
	reads   bool
	ops     atomic.Int64
	mended  atomic.Bool
	struck  atomic.Bool
	fatal   chan struct{} // closed when Pebble has ended the process
	once    sync.Once
	logless atomic.Bool // the log has failed: only another open helps
	trouble atomic.Int64
	acked   atomic.Uint64 // the last commit that was announced
}

func (d *brokenDisk) strike() error {
	n := d.ops.Add(1)
	if d.at == 0 || d.mended.Load() || n < d.at || n > d.at && !d.lasting {
		return nil
	}
	d.struck.Store(true)
	return d.err
}

// errEnded: the process ends because its store cannot be opened.
var errEnded = errors.New("ended")

// patience is how often Pebble tries again what fails, before the disk is mended.
const patience = 20

func (d *brokenDisk) again() {
	if d.trouble.Add(1) > patience {
		d.mended.Store(true)
	}
}

// open opens the backend of a process that can end: then Pebble stands still for ever.
func (d *brokenDisk) open(string) (Backend, error) {
	var fs FS = d.powerFS
	if d.reads {
		fs = errorfs.Wrap(d.CrashFS, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
				return d.strike()
			}
			return nil
		}))
	}
	b, err := OpenPebble("/data", PebbleOptions{FS: fs, MemTableBytes: smallMemTable, DiskFull: d.again, Event: func(e PebbleEvent) {
		switch e.Kind {
		case PebbleBackground:
			d.again()
		case PebbleLog:
			d.logless.Store(true)
		case PebbleFatal:
			d.once.Do(func() { close(d.fatal) })
			select {}
		}
	}})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// TestFaultyDisk lets each operation of a history on its files fail, once or from then on, with a full disk and
// with a broken one. Every answer says so, nothing acknowledged is lost, not even when the power goes afterwards
// and takes what a failed sync had left in the caches, and all goes on once the disk does.
func TestFaultyDisk(t *testing.T) {
	for _, kind := range []struct {
		name    string
		err     error
		lasting bool
		reads   bool
	}{
		{"full once", syscall.ENOSPC, false, false},
		{"full", syscall.ENOSPC, true, false},
		{"broken once", syscall.EIO, false, false},
		{"broken", syscall.EIO, true, false},
		{"read-only", syscall.EROFS, true, false},
		{"unreadable once", syscall.EIO, false, true},
		{"unreadable", syscall.EIO, true, true},
	} {
		every := *faultEvery
		if testing.Short() {
			every *= 4
		}
		t.Run(kind.name, func(t *testing.T) {
			rng := rand.New(&shared{src: rand.NewPCG(1, 1)}) // histories that were given up go on for a while
			for at := int64(1); ; at += 1 + rng.Int64N(2*int64(every)-1) {
				struck := true
				if ok := t.Run(fmt.Sprint(at), func(t *testing.T) {
					d := &brokenDisk{err: kind.err, at: at, lasting: kind.lasting, reads: kind.reads, fatal: make(chan struct{})}
					d.powerFS = newPowerFS(NewCrashFS(), rng, func(string) {})
					d.fail = func(string) error { return d.strike() }
					suffer(t, d)
					struck = d.struck.Load()
				}); !ok || !struck {
					return
				}
			}
		})
	}
}

// suffer lives a history on a broken disk until its process ends or all is done, and looks what is left.
func suffer(t *testing.T, d *brokenDisk) {
	h := newHistory(t)
	h.rig.opts.OpenBackend, h.rig.opts.ReapEvery = d.open, -1
	h.rig.opts.Event = func(Event) {}
	lived := make(chan error, 1)
	go func() { lived <- h.endure(d) }()
	select {
	case err := <-lived:
		if err != nil && !errors.Is(err, errEnded) {
			t.Fatal(err)
		}
	case <-d.fatal:
	}
	d.mended.Store(true)
	acked := d.acked.Load()
	d.powerFS.mu.Lock()
	image := d.image(0)
	d.powerFS.mu.Unlock()
	r := newRig(t)
	r.opts.LargeEntries, r.opts.MaxLogBytes = historyLarge, 4000
	r.opts.OpenBackend = func(string) (Backend, error) {
		return OpenPebble("/data", PebbleOptions{FS: image, MemTableBytes: smallMemTable})
	}
	_, n := r.space()
	checkConsistency(t, n)
	if commit := n.Status().Commit; commit < acked {
		t.Fatalf("found commit %d, %d was acknowledged", commit, acked)
	}
	mustCommit(t, n, increment(1))
	fresh := memorySpace(t, nil)
	if err := pull(t, fresh, n); err != nil || fresh.Status().Digest != n.Status().Digest {
		t.Fatalf("a new replica that joins: %v", err)
	}
}

// endure lives the steps of a history, each again and again until it succeeds.
func (h *history) endure(d *brokenDisk) (err error) {
	var s *Store
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	told := func(what string, err error) error {
		if !errors.Is(err, d.err) || errors.Is(d.err, syscall.ENOSPC) && !errors.Is(err, ErrDiskFull) {
			return fmt.Errorf("%s: %w", what, err)
		}
		d.again()
		return nil
	}
	reopen := func() error {
		if s != nil {
			_ = s.Close() // which tells the failure of the log
		}
		d.logless.Store(false)
		if s, err = Open(h.rig.opts); err != nil {
			return cmp.Or(told("open", err), errEnded)
		}
		if h.n, err = s.Namespace(Default); err != nil {
			return cmp.Or(told("namespace", err), errEnded)
		}
		h.n.Subscribe(func(c Commit) { d.acked.Store(c.Status.Commit) })
		return nil
	}
	if err := reopen(); err != nil {
		return err
	}
	for i, step := range h.steps() {
		for {
			err := step()
			if err == nil {
				break
			}
			if err := told(fmt.Sprintf("step %d", i), err); err != nil {
				return err
			}
			if h.n.Err() != nil || d.logless.Load() {
				if err := reopen(); err != nil {
					return err
				}
			}
		}
		if i%3 == 2 {
			if err := reopen(); err != nil {
				return err
			}
		}
	}
	_, err = h.n.Commit(context.Background(), func(*Tx) error { return nil })
	return err
}
