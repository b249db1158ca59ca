package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleAbsent returns nil if err says that there is no such key.
func pebbleAbsent(err error) error {
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	return pebbleError("get", err)
}

// pebbleError makes Pebble's errors ours.
func pebbleError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %s: %w", ErrDamaged, doing, briefError{err})
	case vfs.IsNoSpaceError(err), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %s: %w", ErrDiskFull, doing, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// openError is pebbleError for Open, where it is damage when a file that the manifest names is not there,
// and when files contradict each other: all that the operating system did not refuse.
func openError(err error) error {
	var refused syscall.Errno
	switch {
	case errors.Is(err, ErrLayout), errors.Is(err, ErrDamaged), errors.Is(err, ErrLocked):
		return err
	case errors.Is(err, fs.ErrNotExist), !errors.As(err, &refused):
		return fmt.Errorf("%w: open: %w", ErrDamaged, briefError{err})
	}
	return pebbleError("open", err)
}

// briefError tells an error in one line.
type briefError struct{ error }

func (e briefError) Error() string { return brief(e.error) }
func (e briefError) Unwrap() error { return e.error }

// brief returns what an error of Pebble's tells, in one line. An error that tells of a damaged file carries it
// along, as a line of its own.
func brief(err error) string {
	if i := pebble.ExtractDataCorruptionInfo(err); i != nil {
		return corruption(*i)
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// corruption tells which file is damaged, and how. Pebble's own text goes on with where in its code that was
// found, over pages.
func corruption(i pebble.DataCorruptionInfo) string {
	text, _, _ := strings.Cut(i.Details.Error(), "\n")
	name := "file " + strings.TrimSuffix(filepath.Base(i.Path), filepath.Ext(i.Path)) + ": "
	if at := strings.LastIndex(text, name); at >= 0 { // what is before it names the file again
		text = text[at+len(name):]
	}
	return i.Path + ": " + text
}
