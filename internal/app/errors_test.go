package app

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/anabranchdb/anabranch/store"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// TestEveryRefusalIsOneLineThatSaysWhatToDo, and keeps its kind and its cause.
func TestEveryRefusalIsOneLineThatSaysWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		cause, kind error
		advice      string
	}{
		{store.ErrLocked, ErrDataDirInUse, "--data-dir DIR --http"},
		{store.ErrLayout, ErrDataDirVersion, "use that version"},
		{store.ErrDamaged, ErrDataDirDamaged, "move it away"},
		{p2p.ErrIdentity, ErrDataDirDamaged, "move it away"},
		{fs.ErrPermission, fs.ErrPermission, "give it to the user"},
		{syscall.EROFS, syscall.EROFS, "mount it writable"},
		{store.ErrDiskFull, store.ErrDiskFull, "make room"},
		{syscall.EIO, syscall.EIO, "look at the disk"},
	} {
		cause := fmt.Errorf("deep inside: %w", tc.cause)
		err := explainDataDir("/d", cause)
		checkRefusal(t, err, tc.kind, cause, "/d", tc.advice)
	}
	for _, tc := range []struct{ cause, kind error }{
		{syscall.EADDRINUSE, ErrAddressInUse},
		{syscall.EACCES, fs.ErrPermission},
		{syscall.EADDRNOTAVAIL, ErrSettings},
	} {
		checkRefusal(t, explainListen("http", "1.2.3.4:5", tc.cause), tc.kind, tc.cause, "1.2.3.4:5", "--http")
	}
}

func checkRefusal(t *testing.T, err, kind, cause error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) || !errors.Is(err, cause) {
		t.Errorf("%v: lost its kind or its cause", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q lacks %q", err, p)
		}
	}
}
