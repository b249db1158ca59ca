package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// feedReader keeps the heads of all objects by what the log names alone.
type feedReader struct {
	t     testing.TB
	at    Position
	heads map[crdt.Path]Head
	// page is how many changes it takes from one view.
	page int
}

func newFeedReader(t testing.TB, page int) *feedReader {
	return &feedReader{t: t, at: Start, heads: map[crdt.Path]Head{}, page: page}
}

// follow reads to the end, a page from each view.
func (f *feedReader) follow(n *Namespace) error {
	for {
		more, err := f.read(n)
		if err != nil || !more {
			return err
		}
	}
}

func (f *feedReader) read(n *Namespace) (more bool, err error) {
	v, err := n.View(context.Background())
	if err != nil {
		return false, err
	}
	defer v.Close()
	left, last := f.page, uint64(0)
	for c, err := range v.Changes(f.at) {
		if err != nil {
			return false, err
		}
		if left == 0 {
			return true, nil
		}
		if left--; c.Commit < last || c.Commit > v.Commit() || c.Next.Commit != c.Commit {
			f.t.Errorf("change %+v behind commit %d, the view is at %d", c, last, v.Commit())
		}
		f.at, last = c.Next, c.Commit
		if c.Object == "" {
			continue
		}
		h, err := v.Head(c.Object)
		if err != nil {
			return false, err
		}
		if h.Entries > 0 && h.Commit < c.Commit {
			f.t.Errorf("change %+v, but the head says %+v", c, h)
		}
		if f.heads[c.Object] = h; h.Visible == 0 {
			delete(f.heads, c.Object)
		}
	}
	f.at = v.End()
	return false, nil
}

// equal compares with a list of the objects.
func (f *feedReader) equal(n *Namespace) {
	f.t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	defer v.Close()
	want := map[crdt.Path]Head{}
	for o, err := range v.Objects("", "") {
		if err != nil {
			f.t.Fatal(err)
		}
		want[o.Path] = o.Head
	}
	if !maps.Equal(f.heads, want) {
		f.t.Errorf("the reader has %v, want %v", f.heads, want)
	}
}

// TestChangesAtEveryStop follows a history with large changes, joins and purges, which is stopped
// for good before or behind each of its batches and goes on behind a restart.
func TestChangesAtEveryStop(t *testing.T) {
	golden := newHistory(t)
	batches := 0
	golden.rig.backend.onApply = func(*Batch) error { batches++; return nil }
	if err := golden.live(); err != nil {
		t.Fatal(err)
	}
	golden.rig.backend.calm()
	for stop := 1; stop <= batches+1; stop += 3 {
		t.Run(fmt.Sprint(stop), func(t *testing.T) {
			h := newHistory(t)
			h.rig.opts.MaxLogBytes = 1 << 20
			h.stopAt(stop, stop%2 == 0)
			f := newFeedReader(t, 1+stop%4)
			// It reads now and then, so that pages end in all places.
			h.onAnnounce = func(c Commit) {
				if c.Status.Commit%uint64(1+stop%3) != 0 {
					return
				}
				if _, err := f.read(h.n); err != nil {
					t.Error(err)
				}
			}
			if err := h.live(); err != nil && !errors.Is(err, errStop) {
				t.Fatal(err)
			}
			h.rig.backend.calm()
			s, n := h.rig.space()
			checkConsistency(t, n)
			if err := f.follow(n); err != nil {
				t.Fatal(err)
			}
			f.equal(n)
			whole := newFeedReader(t, 1000)
			if err := whole.follow(n); err != nil {
				t.Fatal(err)
			}
			whole.equal(n)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChangesExpire: a position is refused exactly when something behind it has left the log.
func TestChangesExpire(t *testing.T) {
	n := memorySpace(t, func(o *Options) { o.MaxLogBytes, o.LargeEntries = 2000, 8 })
	expired, given := 0, 0
	for i := range 100 {
		mustCommit(t, n, increment(1))
		if i%10 == 0 {
			addMembers(t, n, tSet, 0, 30)
			mustCommit(t, n, func(tx *Tx) error { _, err := tx.Delete(tSet.ObjectPath(), nil); return err })
		}
		v, err := n.View(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, commit := range []uint64{1, v.version.logFirst - 1, v.version.logFirst, v.Commit(), v.Commit() + 1, v.Commit() + 2} {
			held := commit >= v.version.logFirst && commit <= v.Commit()+1
			var failed error
			for _, err := range v.Changes(Position{Commit: commit}) {
				failed = err
				break
			}
			if held == errors.Is(failed, ErrCursorExpired) {
				t.Fatalf("position %d, the log has %d to %d: %v", commit, v.version.logFirst, v.Commit(), failed)
			}
			if held {
				given++
			} else {
				expired++
			}
		}
		v.Close()
	}
	if expired < 100 || given < 100 {
		t.Errorf("%d expired, %d given", expired, given)
	}
	checkConsistency(t, n)
}

// TestChangesAfterClock: who comes with the clock of another replica gets all that it has not seen.
func TestChangesAfterClock(t *testing.T) {
	n, peer := memorySpace(t, nil), memorySpace(t, nil)
	after := func(clock crdt.VersionVector) ([]crdt.Path, error) {
		v, err := n.View(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		at, err := v.After(clock)
		if err != nil {
			return nil, err
		}
		var ps []crdt.Path
		for c, err := range v.Changes(at) {
			if err != nil {
				t.Fatal(err)
			}
			ps = append(ps, c.Object)
		}
		return ps, nil
	}
	mustCommit(t, n, increment(1))
	mustCommit(t, n, func(tx *Tx) error { return tx.Assign(tRegister, []byte("1"), nil) })
	if err := pull(t, peer, n); err != nil {
		t.Fatal(err)
	}
	if ps, err := after(peer.Clock()); err != nil || len(ps) != 0 {
		t.Errorf("behind all: %v %v", ps, err)
	}
	seen := peer.Clock()
	mustCommit(t, peer, func(tx *Tx) error { return tx.Increment(tMap.Field("n").Leaf(crdt.Counter), 1) })
	ahead := peer.Clock()
	addMembers(t, n, tSet, 0, 3)
	if err := pull(t, n, peer); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clock crdt.VersionVector
		want  int
	}{"all": {crdt.VersionVector{}, 4}, "first": {crdt.VersionVector{n.Replica(): 1}, 3}, "seen": {seen, 2}, "ahead": {ahead, 2}, "now": {n.Clock(), 0}} {
		if ps, err := after(c.clock); err != nil || len(ps) != c.want {
			t.Errorf("%s: %v %v, want %d", name, ps, err, c.want)
		}
	}
	// A state brings changes without their units: the log cannot tell who has not seen them.
	mustCommit(t, peer, increment(1))
	exchange(t, n, peer, true)
	if _, err := after(seen); !errors.Is(err, ErrCursorExpired) {
		t.Errorf("behind a join: %v", err)
	}
	if ps, err := after(peer.Clock()); err != nil {
		t.Errorf("with what was joined: %v %v", ps, err)
	}
}
