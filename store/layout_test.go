package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/internal/golden"
)

// Directories of all layouts are opened, are consistent in every table, and replicate whole. What they
// answer is tested in package http.
func TestLayouts(t *testing.T) {
	for layout := 1; layout <= layoutVersion; layout++ {
		archives, err := filepath.Glob(fmt.Sprintf("testdata/layout/%d[.\\-]*tar.gz", layout))
		if err != nil || len(archives) == 0 {
			t.Fatalf("no directory of layout %d: %v", layout, err)
		}
		for _, archive := range archives {
			t.Run(filepath.Base(archive), func(t *testing.T) { checkArchive(t, archive, layout) })
		}
	}
}

func checkArchive(t *testing.T, archive string, layout int) {
	opts := DefaultOptions(golden.Unpack(t, archive))
	opts.Fingerprint = func(string) (Fingerprint, error) { return "the same", nil }
	opts.Rand = rand.NewChaCha8([32]byte{7})
	opts.Now = func() time.Time { return time.Unix(1_790_000_000, 0) }
	opts.ReapEvery = -1
	migrated := false
	opts.Event = func(e Event) {
		if migrated = migrated || e.Kind == EventMigrated; e.Kind != EventMigrated {
			t.Errorf("%s: %s", e.Kind, e.Detail)
		}
	}
	for range 2 { // the second time as the first has left it
		s, err := Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		entries := uint64(0)
		for _, info := range s.Namespaces() {
			if info.Storage != Disk {
				continue
			}
			n := namespaceOf(t, s, info.Name)
			want := checkConsistency(t, n)
			entries += n.Status().Entries
			fresh := memorySpace(t, func(o *Options) { o.Now = opts.Now })
			if err := pull(t, fresh, n); err != nil {
				t.Fatal(err)
			}
			if got := checkConsistency(t, fresh); !got.Equal(want) {
				t.Errorf("%s: a fresh copy holds something else", info.Name)
			}
		}
		if entries < 1000 {
			t.Errorf("only %d entries were found", entries)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if migrated != (layout < layoutVersion) {
		t.Errorf("migrated: %v", migrated)
	}
}
