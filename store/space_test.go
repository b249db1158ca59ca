package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// keysWith returns the keys of a datastore with a prefix.
func keysWith(t testing.TB, b Backend, prefix string) []string {
	t.Helper()
	s, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	it, err := s.Iterate(prefix, prefixEnd(prefix))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var keys []string
	for it.Next() {
		keys = append(keys, it.Key())
	}
	return keys
}

// TestNamespaces makes, confirms, drops and makes namespaces again.
func TestNamespaces(t *testing.T) {
	r := newRig(t)
	s := r.open()
	for _, storage := range []Storage{Disk, Memory} {
		name := "a-" + string(storage)
		if err := errors.Join(s.CreateNamespace(name, storage), s.CreateNamespace(name, storage)); err != nil {
			t.Fatal(err)
		}
		other := Memory
		if storage == Memory {
			other = Disk
		}
		if err := s.CreateNamespace(name, other); !errors.Is(err, ErrNamespaceStorage) {
			t.Errorf("with another storage: %v", err)
		}
		n := namespaceOf(t, s, name)
		addMembers(t, n, tSet, 0, 10)
		formerly := n.Replica()
		if err := s.DropNamespace(name); err != nil {
			t.Fatal(err)
		}
		if keys := append(keysWith(t, n.backend, string(n.keys)+"/"), keysWith(t, r.backend, registryKey(name))...); len(keys) > 0 {
			t.Errorf("left behind: %q", keys)
		}
		isClosed(t, n)
		if err := s.DropNamespace(name); !errors.Is(err, ErrNamespaceNotFound) {
			t.Errorf("dropped twice: %v", err)
		}
		if err := s.CreateNamespace(name, other); err != nil {
			t.Fatal(err)
		}
		again := namespaceOf(t, s, name)
		if again.Replica() == formerly || len(again.Clock()) > 0 || again.keys == n.keys || again.Storage() != other {
			t.Errorf("made again: %v %v %v %v, formerly %v %v", again.Replica(), again.Clock(), again.keys, again.Storage(), formerly, n.keys)
		}
		checkConsistency(t, again)
	}
	want := []Info{{"a-disk", Memory}, {"a-memory", Disk}, {Default, Disk}}
	if got := s.Namespaces(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	if got := s.Namespaces(); !slices.Equal(got, want) {
		t.Errorf("after another open: %v, want %v", got, want)
	}
	if err := s.DropNamespace(Default); !errors.Is(err, ErrNamespaceNotFound) {
		t.Errorf("dropped the default: %v", err)
	}
}

// isClosed: who still holds a copy that was dropped does not read emptiness.
func isClosed(t *testing.T, n *Namespace) {
	t.Helper()
	ctx := context.Background()
	for what, err := range map[string]error{
		"view": second(n.View(ctx)), "source": second(n.Source(ctx)), "commit": second(n.Commit(ctx, increment(1))),
		"stage": n.Stage([]crdt.Entry{{Dot: crdt.Dot{Replica: 1, Seq: 1}, Path: numbered(tSet, 1), Kind: crdt.KindMember}}),
		"wait":  n.WaitFor(ctx, crdt.VersionVector{1: 1}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a dropped namespace: %v", what, err)
		}
	}
	n.setAside()
	if keys := keysWith(t, n.backend, string(n.keys)+"/"); len(keys) > 0 {
		t.Errorf("written after the drop: %q", keys)
	}
}

// TestNamespaceNames are checked before they become keys.
func TestNamespaceNames(t *testing.T) {
	s := newRig(t).open()
	for _, name := range []string{"", "_system", ".", "..", "A", "a/b", "a b", "é", strings.Repeat("a", 64), "-a", "a\x00"} {
		if err := s.CreateNamespace(name, Disk); !errors.Is(err, ErrNamespaceName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"a", "0", "a.b-c_d", strings.Repeat("a", 63), "a.", "a-"} {
		if err := s.CreateNamespace(name, Disk); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := s.CreateNamespace("x", "tape"); err == nil {
		t.Error("made on tape")
	}
}

// TestManyNamespaces keeps the keys of 30 namespaces apart.
func TestManyNamespaces(t *testing.T) {
	r := newRig(t)
	s := r.open()
	for i := range 30 {
		name := fmt.Sprintf("n%d", i)
		if err := s.CreateNamespace(name, []Storage{Disk, Memory}[i%2]); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, namespaceOf(t, s, name), increment(int64(i)))
		if i%3 == 0 {
			if err := s.DropNamespace(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round := range 2 {
		for i := range 30 {
			if i%3 == 0 || round == 1 && i%2 == 1 {
				continue
			}
			n := namespaceOf(t, s, fmt.Sprintf("n%d", i))
			if got := counterAt(t, n, tCounter); got != int64(i) {
				t.Errorf("namespace %d: %d", i, got)
			}
			checkConsistency(t, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = r.open()
	}
}

// TestCreateAndDropTogether: whatever meets, what is there at the end is there after a restart.
func TestCreateAndDropTogether(t *testing.T) {
	r := newRig(t)
	s := r.open()
	var wg sync.WaitGroup
	for id := range 8 {
		wg.Go(func() {
			for i := range 20 {
				err := s.CreateNamespace("x", Disk)
				if (i+id)%2 == 0 {
					err = s.DropNamespace("x")
				}
				if err != nil && !errors.Is(err, ErrNamespaceNotFound) {
					t.Error(err)
				}
				if n, err := s.Namespace("x"); err == nil {
					if _, err := n.Commit(context.Background(), increment(1)); err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := s.CreateNamespace("x", Disk); err != nil {
		t.Fatal(err)
	}
	before := namespaceOf(t, s, "x").Status()
	ids := map[string]bool{}
	for _, key := range keysWith(t, r.backend, "/n") {
		ids[strings.Split(key, "/")[1]] = true
	}
	if len(ids) != 2 {
		t.Errorf("keys of the copies %v, want two", ids)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	if after := namespaceOf(t, s, "x").Status(); after.Replica != before.Replica || after.Digest != before.Digest {
		t.Errorf("%+v, before %+v", after, before)
	}
}

// TestOpenRefuses what it cannot serve, says why, and lets go of the directory.
func TestOpenRefuses(t *testing.T) {
	r := newRig(t)
	s := r.open()
	if _, err := Open(r.opts); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.backend.rewrite(t, keyLayout, func([]byte) []byte { return []byte{layoutVersion + 1} })
	for range 2 {
		if _, err := Open(r.opts); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), fmt.Sprintf("layout %d,", layoutVersion+1)) ||
			!strings.Contains(err.Error(), "a newer anabranch") {
			t.Error(err)
		}
	}
	r.backend.rewrite(t, keyLayout, func([]byte) []byte { return []byte{layoutVersion} })
	r.open().Close()

	opts := DefaultOptions(t.TempDir())
	if err := os.WriteFile(filepath.Join(opts.Dir, pebbleDir), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s, err := Open(opts); err == nil || s != nil || errors.Is(err, ErrLocked) {
			t.Errorf("opened: %v", err)
		}
	}
	if err := os.Remove(filepath.Join(opts.Dir, pebbleDir)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
