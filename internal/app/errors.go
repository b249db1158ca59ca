package app

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"syscall"

	"github.com/anabranchdb/anabranch/store"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

var (
	// ErrSettings is returned, wrapped, by Start when the settings cannot work on this machine.
	ErrSettings = errors.New("settings")
	// ErrDataDirInUse is returned, wrapped, when another process holds the data directory.
	ErrDataDirInUse = errors.New("data directory in use")
	// ErrDataDirVersion is returned, wrapped, when a newer version wrote the data directory, with other keys.
	ErrDataDirVersion = errors.New("data directory of another version")
	// ErrDataDirDamaged is returned, wrapped, when the data directory cannot be trusted.
	ErrDataDirDamaged = errors.New("data directory damaged")
	// ErrAddressInUse is returned, wrapped, when an address to listen on is taken.
	ErrAddressInUse = errors.New("address in use")
)

// errSocketInUse is the unix socket's EADDRINUSE.
var errSocketInUse = fmt.Errorf("a daemon listens there: %w", syscall.EADDRINUSE)

// explained is an error for a person: one line that says what to do. Its causes stay reachable by
// errors.Is.
type explained struct {
	line   string
	causes []error
}

func (e *explained) Error() string   { return e.line }
func (e *explained) Unwrap() []error { return e.causes }

func explain(kind, cause error, format string, args ...any) error {
	return &explained{line: fmt.Sprintf(format, args...), causes: []error{kind, cause}}
}

// secondDaemon is what somebody needs who starts a second daemon without a thought.
const secondDaemon = "a second daemon on this host needs a data directory and addresses of its own, as in --data-dir DIR --http 127.0.0.1:7710 --listen /ip4/0.0.0.0/tcp/7711"

// why returns what err tells beyond its kinds, in one line.
func why(err error, kinds ...error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	for _, kind := range kinds {
		text = strings.TrimPrefix(text, kind.Error()+": ")
	}
	return text
}

// explainDataDir says what to do about a data directory that cannot be opened.
func explainDataDir(dir string, err error) error {
	switch {
	case errors.Is(err, store.ErrLocked):
		return explain(ErrDataDirInUse, err, "another daemon uses the data directory %s: stop it, or %s", dir, secondDaemon)
	case errors.Is(err, store.ErrLayout):
		return explain(ErrDataDirVersion, err, "a newer version of anabranch wrote the data directory %s: use that version, or another --data-dir", dir)
	case errors.Is(err, store.ErrDamaged), errors.Is(err, p2p.ErrIdentity):
		return explain(ErrDataDirDamaged, err, "the data directory %s is damaged (%v): move it away and start again, then this daemon joins its cluster as a new replica; keep it if no other daemon has its data", dir, why(err, store.ErrDamaged, p2p.ErrIdentity))
	case errors.Is(err, fs.ErrPermission):
		return explain(fs.ErrPermission, err, "no permission for the data directory %s (%v): give it to the user of this process, or name another with --data-dir", dir, why(err))
	case errors.Is(err, syscall.EROFS):
		return explain(syscall.EROFS, err, "the data directory %s is on a file system that is read-only (%v): mount it writable (after an error of the disk, look at the disk first), or name another with --data-dir", dir, why(err))
	case errors.Is(err, store.ErrDiskFull):
		return explain(store.ErrDiskFull, err, "there is no space left for the data directory %s (%v): make room on that file system; nothing that was acknowledged is lost", dir, why(err, store.ErrDiskFull))
	case errors.Is(err, syscall.EIO):
		return explain(syscall.EIO, err, "the disk under the data directory %s fails (%v): look at the disk; put the directory, as far as it can be copied, on another one, or start with an empty one that joins the cluster", dir, why(err))
	}
	return fmt.Errorf("cannot open the data directory %s: %w", dir, err)
}

// explainListen says what to do about an address that cannot be listened on. flag is the setting
// that names it.
func explainListen(flag, addr string, err error) error {
	switch {
	case addressInUse(err):
		return explain(ErrAddressInUse, err, "%s is taken by another program, perhaps another daemon: name another address with --%s; %s", addr, flag, secondDaemon)
	case errors.Is(err, fs.ErrPermission):
		return explain(fs.ErrPermission, err, "no permission to listen on %s: name another address with --%s", addr, flag)
	}
	return explain(ErrSettings, err, "cannot listen on %s: %v; name another address with --%s", addr, err, flag)
}

// addressInUse also knows the number that Windows has for it.
func addressInUse(err error) bool {
	const wsaEADDRINUSE = syscall.Errno(10048)
	return errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && errors.Is(err, wsaEADDRINUSE)
}
