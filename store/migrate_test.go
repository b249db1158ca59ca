package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// contentOf returns all keys and values of a datastore.
func contentOf(t testing.TB, b Backend) map[string][]byte {
	t.Helper()
	s, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	it, err := s.Iterate("/", "")
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	all := map[string][]byte{}
	for it.Next() {
		all[it.Key()] = slices.Clone(it.Value())
	}
	return all
}

// toLayout1 makes of a datastore what a version without deadlines would have made of the same entries.
func toLayout1(t testing.TB, b Backend) {
	t.Helper()
	var batch Batch
	batch.Put(keyLayout, []byte{1})
	for key, v := range contentOf(t, b) {
		if key[:2] != "/n" {
			continue
		}
		switch keys := keyspace(key[:3]); key[len(keys)+1] {
		case 'e', 'x', 'w':
			batch.Delete(key)
		case 'h', 'g':
			h, err := decodeHead(v)
			if err != nil {
				t.Fatal(err)
			}
			old := []byte{valueVersion}
			for _, n := range []uint64{h.Entries, h.Visible, h.Commit, h.Step} {
				old = binary.AppendUvarint(old, n)
			}
			batch.Put(key, old)
		}
	}
	if err := applySync(b, &batch); err != nil {
		t.Fatal(err)
	}
}

// fillAll writes objects of every form, thousands of them, with and without deadlines.
func fillAll(t testing.TB, r *rig, n *Namespace) {
	t.Helper()
	until := crdt.DeadlineOf(r.now.Add(time.Hour))
	for page := range 4 {
		mustCommit(t, n, func(tx *Tx) error {
			for i := range 500 {
				name := fmt.Sprintf("o%d-%03d", page, i)
				m := crdt.Object(crdt.Map, name)
				if i%7 == 0 {
					tx.Until(until)
				}
				_, err := tx.Add(m.Field("tags").Leaf(crdt.Set).Member("a"))
				err = errors.Join(err, tx.Assign(crdt.Object(crdt.Register, name).Leaf(crdt.Register), []byte("1"), nil),
					tx.Assign(m.Fields("deep", "er").Leaf(crdt.Register), []byte("1"), nil))
				tx.Until(0)
				_, err2 := tx.Add(m.Field("tags").Leaf(crdt.Set).Member("b"))
				if err := errors.Join(err, err2, tx.Increment(m.Field("n").Leaf(crdt.Counter), 1), tx.Enable(m.Field("on").Leaf(crdt.Flag))); err != nil {
					return err
				}
			}
			return tx.Increment(tCounter, 1)
		})
	}
	addMembers(t, n, tSet, 0, 3000)
	mustCommit(t, n, func(tx *Tx) error {
		_, err := tx.Reset(tCounter, nil)
		_, err2 := tx.Delete(crdt.Object(crdt.Map, "o1-001"), nil)
		_, err3 := tx.Insert(crdt.Object(crdt.List, "l").Leaf(crdt.List), Place{}, [][]byte{[]byte("1"), []byte("2")})
		return errors.Join(err, err2, err3, tx.Stock(tBounded, 3))
	})
}

// A directory of layout 1 is migrated by the first open, to what the present version would have
// written itself, whatever the batch behind which the first attempts stop.
func TestMigrate(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	fillAll(t, r, n)
	if err := s.CreateNamespace("memory", Memory); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateNamespace("empty", Disk); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := contentOf(t, r.backend.Backend)
	toLayout1(t, r.backend.Backend)
	old := copyOf(t, r.backend.Backend)
	step := 1
	if testing.Short() {
		step = 5
	}
	for stop, done := 0, false; !done; stop += step {
		r.backend.Backend = copyOf(t, old)
		r.backend.stopBehind(stop)
		s, err := Open(r.opts)
		if done = err == nil; done {
			if stop < 5 {
				t.Fatalf("all is done in %d batches: there is nothing to stop between", stop)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, errStop) {
			t.Fatal(err)
		}
		r.backend.calm()
		s, n := r.space()
		checkConsistency(t, n)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := contentOf(t, r.backend.Backend); !maps.EqualFunc(got, want, bytes.Equal) {
			for key, v := range want {
				if !bytes.Equal(got[key], v) {
					t.Errorf("stopped behind %d batches: %q is %q, want %q", stop, key, got[key], v)
				}
			}
			t.Fatalf("stopped behind %d batches: %d keys, want %d", stop, len(got), len(want))
		}
	}
}

// A directory of layout 1 whose process ended within a large change: what it had done of that is migrated, and the
// first open ends it as an open without a migration does.
func TestMigrateUnfinished(t *testing.T) {
	times := 3
	if testing.Short() {
		times = 30
	}
	for stop := 1; ; stop *= times {
		r := newRig(t)
		r.opts.LargeEntries = 20
		s, n := r.space()
		fillAll(t, r, n)
		r.backend.stopBehind(stop)
		_, err := n.Commit(t.Context(), func(tx *Tx) error {
			_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
			_, err2 := tx.Delete(crdt.Object(crdt.Map, "o2-007"), nil)
			return errors.Join(err, err2, tx.Increment(tCounter, 1))
		})
		_ = s.Close()
		r.backend.calm()
		if err == nil {
			if stop < 3 {
				t.Fatalf("all is done in %d batches: there is nothing to stop between", stop)
			}
			return
		}
		old := copyOf(t, r.backend.Backend)
		if _, begun, err := old.Get(n.keys.redo()); err != nil || !begun {
			t.Fatalf("stopped behind %d batches: no large change has begun (%v)", stop, err)
		}
		toLayout1(t, old)
		finish := func() map[string][]byte {
			r.opts.Rand = seeded{rand.New(rand.NewPCG(1, 1))} // runs, and attempts, have random names
			s, n := r.space()
			checkConsistency(t, n)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return contentOf(t, r.backend.Backend)
		}
		want := finish()
		r.backend.Backend = old
		if got := finish(); !maps.EqualFunc(got, want, bytes.Equal) {
			for key, v := range want {
				if !bytes.Equal(got[key], v) {
					t.Errorf("stopped behind %d batches: %q is %q, want %q", stop, key, got[key], v)
				}
			}
			t.Fatalf("stopped behind %d batches: %d keys, want %d", stop, len(got), len(want))
		}
	}
}

// A copy that cannot be read is set aside, and the others are migrated.
func TestMigrateDamaged(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	addMembers(t, n, tSet, 0, 10)
	if err := s.CreateNamespace("other", Disk); err != nil {
		t.Fatal(err)
	}
	other := namespaceOf(t, s, "other")
	addMembers(t, other, tSet, 0, 10)
	damaged := n.keys.data(numbered(tSet, 3))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	toLayout1(t, r.backend.Backend)
	r.backend.rewrite(t, damaged, func([]byte) []byte { return []byte("nothing") })
	s, n = r.space()
	if err := n.Err(); !errors.Is(err, ErrJoining) && !n.Status().Joining {
		t.Errorf("the damaged copy was not set aside: %v", err)
	}
	checkConsistency(t, namespaceOf(t, s, "other"))
}
