package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrLocked is returned when another process, or another store in this one, has the directory open.
var ErrLocked = errors.New("store: locked")

const (
	lockFile     = "LOCK"
	maxLockBytes = 32 // of its content, a process id
)

// LockDir takes the lock of a data directory until the returned Closer is closed or the process
// ends, however it ends. It returns an error that wraps ErrLocked and names the process that holds
// the lock, if there is one. The file stays: removing it would let two processes lock two files.
func LockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: lock: %w", err)
	}
	held, err := tryLock(f)
	switch {
	case err != nil:
		err = fmt.Errorf("store: lock %s: %w", path, err)
	case !held:
		err = fmt.Errorf("%w: %s is held by %s", ErrLocked, path, lockHolder(f))
	default:
		err = writeHolder(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("store: lock: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("store: lock: %w", err)
	}
	return nil
}

// lockHolder names who wrote the file. Between lock and write of another process that is still the
// one before it.
func lockHolder(f *os.File) string {
	content, err := io.ReadAll(io.LimitReader(f, maxLockBytes))
	pid := strings.TrimSpace(string(content))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return "another process"
	}
	return "process " + pid
}
