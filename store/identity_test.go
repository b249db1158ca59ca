package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// copyOf returns a datastore with the same content.
func copyOf(t testing.TB, b Backend) *MemoryBackend {
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
	var all Batch
	for it.Next() {
		all.Put(it.Key(), slices.Clone(it.Value()))
	}
	m := NewMemoryBackend()
	if err := applySync(m, &all); err != nil {
		t.Fatal(err)
	}
	return m
}

func members(s crdt.State) []string {
	var names []string
	for _, e := range s.Live {
		if q, _ := e.Path.Parse(); q.Member != "" && q.Type != crdt.System {
			names = append(names, q.Member)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func add(names ...string) func(*Tx) error {
	return func(tx *Tx) error {
		for _, name := range names {
			if _, err := tx.Add(tSet.Member(name)); err != nil {
				return err
			}
		}
		return nil
	}
}

func remove(name string) func(*Tx) error {
	return func(tx *Tx) error { _, err := tx.Remove(tSet.Member(name), nil); return err }
}

// TestAmnesia copies a data directory, goes on, and puts the copy back: as a renamed directory or
// as contents in place, either way under another fingerprint. It writes alone before it meets
// those who know what it has forgotten: nothing is lost, nothing counts twice.
func TestAmnesia(t *testing.T) {
	for _, state := range []bool{false, true} {
		for _, original := range []bool{false, true} {
			t.Run(fmt.Sprintf("state=%t,original lives on=%t", state, original), func(t *testing.T) {
				meet := func(ns ...*Namespace) {
					t.Helper()
					for range 3 {
						for _, a := range ns {
							for _, b := range ns {
								if a != b {
									exchange(t, a, b, state)
								}
							}
						}
					}
				}
				r := newRig(t)
				store, a := r.space()
				peer := memorySpace(t, nil)
				mustCommit(t, a, increment(5))
				mustCommit(t, a, add("old", "removed later"))
				meet(a, peer)
				kept := copyOf(t, r.backend.Backend)
				mustCommit(t, a, increment(7)) // forgotten
				mustCommit(t, a, add("forgotten"))
				mustCommit(t, a, remove("removed later"))
				meet(a, peer)
				formerly := a.Status()
				if !original {
					if err := store.Close(); err != nil {
						t.Fatal(err)
					}
				}
				back := newRig(t)
				back.backend, back.print = &disturbed{Backend: kept}, "there"
				s, b := back.space()
				if !s.Copied() || b.Replica() == formerly.Replica || b.Clock()[formerly.Replica] == 0 || len(b.Status().OwnRuns) > 0 {
					t.Fatalf("copied %t: %+v, formerly %+v", s.Copied(), b.Status(), formerly)
				}
				mustCommit(t, b, increment(11))
				mustCommit(t, b, add("written alone"))
				checkConsistency(t, b)
				all := []*Namespace{b, peer}
				if original {
					all = append(all, a)
					mustCommit(t, a, increment(100))
				}
				meet(all...)
				for _, n := range all {
					want := int64(23)
					if original {
						want += 100
					}
					if got := counterAt(t, n, tCounter); got != want {
						t.Errorf("counter: %d, want %d", got, want)
					}
					got := members(checkConsistency(t, n))
					if want := []string{"forgotten", "old", "written alone"}; !slices.Equal(got, want) {
						t.Errorf("members %q, want %q", got, want)
					}
					if n.Status().Digest != b.Status().Digest || n.Clock().Compare(b.Clock()) != crdt.Equal {
						t.Errorf("no convergence: %v %v", n.Status(), b.Status())
					}
				}
			})
		}
	}
}

func exchange(t testing.TB, a, b *Namespace, state bool) {
	t.Helper()
	if !state {
		if err := pull(t, a, b); err != nil {
			t.Fatal(err)
		}
		return
	}
	src, err := b.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := pullState(t, a, src); err != nil {
		t.Fatal(err)
	}
}

// TestCopyIsRenewedOnce stops the renewal at each batch: no two stores ever share an id.
func TestCopyIsRenewedOnce(t *testing.T) {
	r := newRig(t)
	s, n := r.space()
	mustCommit(t, n, increment(1))
	if err := s.CreateNamespace("other", Disk); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, namespaceOf(t, s, "other"), increment(1))
	formerly := []crdt.ReplicaID{n.Replica(), namespaceOf(t, s, "other").Replica()}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.print = "there"
	for stop := 1; ; stop++ {
		c := newRig(t)
		c.backend, c.print = &disturbed{Backend: copyOf(t, r.backend.Backend)}, "there"
		batches := 0
		c.backend.onApply = func(*Batch) error {
			if batches++; batches == stop {
				return errStop
			}
			return nil
		}
		s, err := Open(c.opts)
		if err == nil {
			if stop < 3 {
				t.Errorf("renewed in %d batches", batches)
			}
			s.Close()
			return
		}
		c.backend.calm()
		s, n := c.space()
		if other := namespaceOf(t, s, "other"); !s.Copied() || slices.Contains(formerly, n.Replica()) || slices.Contains(formerly, other.Replica()) {
			t.Errorf("stopped at %d: %v %v, formerly %v", stop, n.Replica(), other.Replica(), formerly)
		}
		if n.Clock()[formerly[0]] != 1 || counterAt(t, n, tCounter) != 1 {
			t.Errorf("stopped at %d: %v", stop, n.Clock())
		}
		id := n.Replica()
		if err := errors.Join(s.Renewed(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if s, n = c.space(); s.Copied() || n.Replica() != id {
			t.Errorf("stopped at %d: renewed again at the next open", stop)
		}
		s.Close()
	}
}

// TestRuns: a run is kept with the first seq that it issues, and not before.
func TestRuns(t *testing.T) {
	r := newRig(t)
	peer := memorySpace(t, nil)
	for i := range uint64(3) {
		s, n := r.space()
		if runs := n.Status().OwnRuns; uint64(len(runs)) != i || len(runs) > 0 && n.Status().Runs[n.Replica()] != runs[i-1] {
			t.Fatalf("at start %d: runs %v, told %v", i, runs, n.Status().Runs)
		}
		if err := pull(t, n, peer); err != nil { // foreign changes are no run
			t.Fatal(err)
		}
		mustCommit(t, peer, increment(1))
		if runs := n.Status().OwnRuns; uint64(len(runs)) != i {
			t.Fatalf("after foreign changes: %v", runs)
		}
		mustCommit(t, n, increment(1))
		mustCommit(t, n, increment(1))
		runs := n.Status().OwnRuns
		if uint64(len(runs)) != i+1 || runs[i].First != 2*i+1 || n.Status().Runs[n.Replica()] != runs[i] {
			t.Fatalf("runs %v, told %v", runs, n.Status().Runs)
		}
		if err := pull(t, peer, n); err != nil {
			t.Fatal(err)
		}
		if peer.Status().Runs[n.Replica()] != runs[i] {
			t.Fatalf("peer knows %v, want %v", peer.Status().Runs, runs[i])
		}
		checkConsistency(t, n)
		s.Close()
		s, n = r.space() // a run that writes nothing
		s.Close()
	}
	_, n := r.space()
	checkConsistency(t, peer)
	if n.Status().Runs[peer.Replica()] != peer.Status().OwnRuns[0] {
		t.Errorf("the peer's run was not kept: %v", n.Status().Runs)
	}
}

// TestForeignRuns: a run is taken over when the clock covers its first seq, and only a later one
// takes its place.
func TestForeignRuns(t *testing.T) {
	n := memorySpace(t, nil)
	const r = crdt.ReplicaID(7)
	unit := func(seq uint64) delta.Unit {
		return delta.Unit{Origin: r, First: seq, Last: seq, Entries: []crdt.Entry{
			{Dot: crdt.Dot{Replica: r, Seq: seq}, Path: numbered(tSet, int(seq)), Kind: crdt.KindMember, Time: 1},
		}}
	}
	early, late, false1 := delta.Run{First: 1, Nonce: 11}, delta.Run{First: 3, Nonce: 33}, delta.Run{First: 1, Nonce: 12}
	for _, step := range []struct {
		seq        uint64
		told, want delta.Run
	}{
		{1, early, early}, {2, late, early}, {3, late, late}, {4, early, late}, {5, false1, late}, {6, delta.Run{}, late},
	} {
		if err := n.Apply(context.Background(), []delta.Unit{unit(step.seq)}, delta.Runs{r: step.told}); err != nil {
			t.Fatal(err)
		}
		if got := n.Status().Runs[r]; got != step.want {
			t.Errorf("after unit %d with run %v: %v, want %v", step.seq, step.told, got, step.want)
		}
	}
	joined := memorySpace(t, nil)
	if err := pull(t, joined, n); err != nil || joined.Status().Runs[r] != late {
		t.Errorf("joined: %v %v", joined.Status().Runs, err)
	}
	checkConsistency(t, joined)
	checkConsistency(t, n)
}

// TestFork: nobody may tell a copy of changes under its own id that it never made.
func TestFork(t *testing.T) {
	ctx := context.Background()
	n, other := memorySpace(t, nil), memorySpace(t, nil)
	mustCommit(t, n, increment(1))
	mustCommit(t, other, increment(1))
	before := checkConsistency(t, n)
	forged := delta.Unit{Origin: n.Replica(), First: 2, Last: 2}
	fine := delta.Unit{Origin: 9, First: 1, Last: 1}
	err := n.Apply(ctx, []delta.Unit{forged, {Origin: n.Replica(), First: 1, Last: 1}, fine}, nil)
	if !errors.Is(err, ErrFork) || n.Clock()[9] != 1 {
		t.Errorf("apply: %v, clock %v", err, n.Clock())
	}
	to := other.Clock().Clone()
	to[n.Replica()] = 2
	err = n.Join(ctx, StateJoin{From: crdt.VersionVector{}, To: to, Streamed: delta.NewDotSet(), Killed: delta.NewDotSet()})
	if !errors.Is(err, ErrFork) {
		t.Errorf("join: %v", err)
	}
	after := checkConsistency(t, n)
	if delete(after.Clock, 9); !after.Equal(before) {
		t.Errorf("a fork changed the state: %v", after)
	}
}

// TestMemoryNamespace: what lives in memory begins again under a fresh id, and never under that of
// another namespace.
func TestMemoryNamespace(t *testing.T) {
	r := newRig(t)
	s := r.open()
	if err := s.CreateNamespace("m", Memory); err != nil {
		t.Fatal(err)
	}
	m := namespaceOf(t, s, "m")
	mustCommit(t, m, increment(1))
	id := m.Replica()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	m = namespaceOf(t, s, "m")
	if m.Storage() != Memory || m.Replica() == id || len(m.Clock()) > 0 || counterAt(t, m, tCounter) != 0 {
		t.Errorf("%v %v %v, formerly %v", m.Storage(), m.Replica(), m.Clock(), id)
	}
	if err := s.CreateNamespace("m2", Memory); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, namespaceOf(t, s, "m2"), increment(10))
	if m.keys == namespaceOf(t, s, "m2").keys || counterAt(t, m, tCounter) != 0 {
		t.Errorf("two namespaces share the keys %q", m.keys)
	}
}

// TestCopyKnowsTheRunsOfItsFormerID: whoever heals a fork of the former id may ask the copy which of its runs
// issued what.
func TestCopyKnowsTheRunsOfItsFormerID(t *testing.T) {
	r := newRig(t)
	var id crdt.ReplicaID
	var runs []delta.Run
	for range 3 {
		s, n := r.space()
		mustCommit(t, n, increment(1))
		id, runs = n.Replica(), n.Status().OwnRuns
		s.Close()
	}
	r.print = "elsewhere"
	_, n := r.space()
	src, err := n.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if known := append(slices.Clone(src.Past()[id]), src.Status().Runs[id]); n.Replica() == id || len(runs) != 3 || !slices.Equal(known, runs) {
		t.Errorf("of %v the copy %v knows %v, it had %v", id, n.Replica(), known, runs)
	}
}
