package store

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
)

// filesFS stands between Pebble and its files, for two things.
//
// It makes durable which names there are before a marker comes or goes: the empty file whose name says
// which manifest counts. Pebble makes a manifest, makes the marker of it and removes the former one, and
// syncs the directory once, behind all that. A file system that does not keep the order of names could be
// left by a loss of power with a marker of no manifest, or with no marker: and a directory without one is to
// Pebble a new database.
//
// It does not return to a Pebble that is opening when a write fails: see attempt.
type filesFS struct {
	FS
	b *PebbleBackend
}

func isMarker(name string) bool { return strings.HasPrefix(filepath.Base(name), "marker.") }

// settle makes the names beside a marker durable.
func (f filesFS) settle(name string) error {
	if !isMarker(name) {
		return nil
	}
	d, err := f.FS.OpenDir(f.PathDir(name))
	if err != nil {
		return f.b.fileFailed(err)
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return f.b.fileFailed(err)
	}
	return d.Close()
}

func (f filesFS) file(file vfsFile, err error) (vfsFile, error) {
	if err != nil {
		return nil, f.b.fileFailed(err)
	}
	return pebbleFile{file, f.b}, nil
}

func (f filesFS) Create(name string, category vfsCategory) (vfsFile, error) {
	if err := f.settle(name); err != nil {
		return nil, err
	}
	return f.file(f.FS.Create(name, category))
}

func (f filesFS) Remove(name string) error {
	if err := f.settle(name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f filesFS) Rename(from, to string) error { return f.b.fileFailed(f.FS.Rename(from, to)) }

// Lock returns ErrLocked for a lock of this process: an open that was broken off leaves one.
func (f filesFS) Lock(name string) (io.Closer, error) {
	lock, err := f.FS.Lock(name)
	var refused syscall.Errno
	if err != nil && !errors.As(err, &refused) {
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, name, err)
	}
	return lock, err
}

func (f filesFS) OpenDir(name string) (vfsFile, error) {
	d, err := f.file(f.FS.OpenDir(name))
	if err != nil {
		return nil, err
	}
	return pebbleDirFile{d, f.b}, nil
}

func (f filesFS) List(name string) ([]string, error) {
	names, err := f.FS.List(name)
	return names, f.b.fileFailed(err)
}

func (f filesFS) Unwrap() FS { return f.FS }

// fileFailed returns err. While Pebble opens it returns nil only.
func (b *PebbleBackend) fileFailed(err error) error {
	if err != nil && b.opening.CompareAndSwap(true, false) {
		b.broken <- err
		select {}
	}
	return err
}

// attempt calls open, which is Pebble's. When something cannot be written, Pebble breaks off and takes away what
// its own goroutines use, and one of them ends the process in a panic. So it is left standing where it is.
func (b *PebbleBackend) attempt(open func() error) error {
	b.opening.Store(true)
	opened := make(chan error, 1)
	go func() { opened <- open() }()
	select {
	case err := <-opened:
		if b.opening.CompareAndSwap(true, false) {
			return err
		}
		return <-b.broken
	case err := <-b.broken:
		return err
	}
}

type pebbleFile struct {
	vfsFile
	b *PebbleBackend
}

func (f pebbleFile) Write(p []byte) (int, error) {
	n, err := f.vfsFile.Write(p)
	return n, f.b.fileFailed(err)
}

func (f pebbleFile) Sync() error { return f.b.fileFailed(f.vfsFile.Sync()) }

func (f pebbleFile) SyncData() error { return f.b.fileFailed(f.vfsFile.SyncData()) }

func (f pebbleFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.vfsFile.SyncTo(length)
	return full, f.b.fileFailed(err)
}

// pebbleDirFile is a directory. Which names are durable is not known when it could not be synced: Pebble panics or
// tries again, and tells nobody.
type pebbleDirFile struct {
	vfsFile
	b *PebbleBackend
}

func (d pebbleDirFile) Sync() error {
	err := d.vfsFile.Sync()
	if err != nil {
		d.b.event(PebbleEvent{Kind: PebbleFatal, Err: err, Text: "the directory cannot be synced: " + err.Error()})
	}
	return err
}
