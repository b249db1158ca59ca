package store

import (
	"path/filepath"
	"strings"
)

// markerFS makes durable which names there are before a marker comes or goes: the empty file whose name says
// which manifest counts. Pebble makes a manifest, makes the marker of it and removes the former one, and
// syncs the directory once, behind all that. A file system that does not keep the order of names could be
// left by a loss of power with a marker of no manifest, or with no marker: and a directory without one is to
// Pebble a new database.
type markerFS struct{ FS }

func isMarker(name string) bool { return strings.HasPrefix(filepath.Base(name), "marker.") }

func (f markerFS) Create(name string, category vfsCategory) (vfsFile, error) {
	if err := f.settle(name); err != nil {
		return nil, err
	}
	return f.FS.Create(name, category)
}

func (f markerFS) Remove(name string) error {
	if err := f.settle(name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// settle makes the names beside a marker durable.
func (f markerFS) settle(name string) error {
	if !isMarker(name) {
		return nil
	}
	d, err := f.OpenDir(f.PathDir(name))
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return err
	}
	return d.Close()
}

func (f markerFS) Unwrap() FS { return f.FS }
