//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package store

import (
	"errors"
	"os"
)

// tryLock has no lock here that ends with the process.
func tryLock(*os.File) (held bool, err error) {
	return false, errors.ErrUnsupported
}
