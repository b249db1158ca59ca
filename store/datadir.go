package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// MakeDir makes a data directory and its parents, for this user alone, unless they are there. It is durable
// when MakeDir returns: what is synced in a directory is lost with its name.
func MakeDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("it is a file")}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir { // a volume that is not there
		return err
	}
	if err := MakeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes durable which names a directory has. Windows has no such call, and journals them by itself.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkUsed returns ErrDamaged for a directory with a sentinel, which is made behind the first of what is
// in the database: without that the directory is not new, its data are gone.
func checkUsed(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, sentinelFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("store: sentinel: %w", err)
	}
	return fmt.Errorf("%w: %s was in use, and its database is gone", ErrDamaged, dir)
}
