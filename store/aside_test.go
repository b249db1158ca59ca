package store

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// breakCopy damages the counter of a copy, and has somebody find that.
func breakCopy(t testing.TB, r *rig, n *Namespace) {
	t.Helper()
	r.backend.rewrite(t, n.keys.data(tCounter), garbage)
	if err := ways["view entries"](n); !errors.Is(err, ErrDamaged) {
		t.Fatalf("damage was read: %v", err)
	}
}

// TestSetAsideWhileOpen: a damaged copy begins anew under a running store, answers once it has
// joined a peer, and the next open finds what it has become.
func TestSetAsideWhileOpen(t *testing.T) {
	r, s, former := damaged(t)
	if err := s.CreateNamespace("other", Disk); err != nil {
		t.Fatal(err)
	}
	other := namespaceOf(t, s, "other")
	mustCommit(t, other, increment(1))
	peer := memorySpace(t, nil)
	if err := pull(t, peer, former); err != nil {
		t.Fatal(err)
	}
	if done, err := s.SetAside(Default); done || err != nil {
		t.Errorf("a sound copy: %v, %v", done, err)
	}
	breakCopy(t, r, former)
	if done, err := s.SetAside(Default); !done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	if done, err := s.SetAside(Default); done || err != nil {
		t.Errorf("again: %v, %v", done, err)
	}
	n := namespaceOf(t, s, Default)
	if n == former || n.Replica() == former.Replica() || len(n.Clock()) > 0 {
		t.Errorf("it is the former copy: %+v", n.Status())
	}
	isJoining(t, n)
	for name, way := range ways {
		if err := way(former); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s of the former copy: %v", name, err)
		}
	}
	if namespaceOf(t, s, "other") != other {
		t.Error("the other namespace is another copy")
	}
	mustCommit(t, other, increment(1))
	if err := errors.Join(pull(t, n, peer), pull(t, peer, n)); err != nil { // with the seal of the former id
		t.Fatal(err)
	}
	if n.Err() != nil || counterAt(t, n, tCounter) != 3 || n.Status().Digest != peer.Status().Digest {
		t.Errorf("after the join: %v, %+v", n.Err(), n.Status())
	}
	mustCommit(t, n, increment(1))
	checkConsistency(t, n)
	id := n.Replica()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.expect(t, EventDamaged, EventSetAside)
	s, n = r.space()
	if n.Replica() != id || n.Err() != nil || counterAt(t, n, tCounter) != 4 || counterAt(t, namespaceOf(t, s, "other"), tCounter) != 2 {
		t.Errorf("after the next open: %v, %+v", n.Err(), n.Status())
	}
	r.expect(t)
}

// expect compares the events so far.
func (r *rig) expect(t testing.TB, kinds ...EventKind) {
	t.Helper()
	for {
		select {
		case e := <-r.events:
			if len(kinds) == 0 || e.Kind != kinds[0] || e.Namespace != Default {
				t.Fatalf("event %+v, want %v", e, kinds)
			}
			kinds = kinds[1:]
			continue
		default:
		}
		if len(kinds) > 0 {
			t.Fatalf("no event %v", kinds)
		}
		return
	}
}

// TestSetAsideFails: what could not be set aside stays damaged, and is tried again.
func TestSetAsideFails(t *testing.T) {
	r, s, n := damaged(t)
	breakCopy(t, r, n)
	full := errors.New("no space")
	for name, fail := range map[string]func(d *disturbed){
		"not applied": func(d *disturbed) { d.onApply = func(*Batch) error { return full } },
		"not durable": func(d *disturbed) { d.onWait = func() error { return full } },
	} {
		r.backend.disturb(fail)
		if done, err := s.SetAside(Default); done || !errors.Is(err, full) {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		if err := namespaceOf(t, s, Default).Err(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		r.backend.calm()
	}
	if done, err := s.SetAside(Default); !done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
	isJoining(t, namespaceOf(t, s, Default))
	if _, err := s.SetAside("none"); !errors.Is(err, ErrNamespaceNotFound) {
		t.Errorf("what is not held: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetAside(Default); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSetAsideInMemory: a copy in memory leaves nothing behind, and is a fresh one after a restart.
func TestSetAsideInMemory(t *testing.T) {
	r := newRig(t)
	s := r.open()
	if err := s.CreateNamespace("m", Memory); err != nil {
		t.Fatal(err)
	}
	former := namespaceOf(t, s, "m")
	mustCommit(t, former, increment(3))
	peer := memorySpace(t, nil)
	if err := pull(t, peer, former); err != nil {
		t.Fatal(err)
	}
	var b Batch
	b.Put(former.keys.data(tCounter), []byte{0xff})
	if err := applySync(s.memory, &b); err != nil {
		t.Fatal(err)
	}
	if err := ways["view entries"](former); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if done, err := s.SetAside("m"); !done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	n := namespaceOf(t, s, "m")
	if !errors.Is(n.Err(), ErrJoining) {
		t.Errorf("%v", n.Err())
	}
	if err := pull(t, n, peer); err != nil || counterAt(t, n, tCounter) != 3 {
		t.Errorf("%v, %+v", err, n.Status())
	}
	if snap, err := s.memory.Snapshot(); err != nil {
		t.Error(err)
	} else {
		it, err := snap.Iterate(former.keys.all())
		if err != nil || it.Next() {
			t.Errorf("keys of the former copy are left, %v", err)
		}
		if err := errors.Join(it.Close(), snap.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	if n := namespaceOf(t, s, "m"); n.Err() != nil || len(n.Clock()) > 0 {
		t.Errorf("after the next open: %v, %v", n.Err(), n.Clock())
	}
}

// TestSetAsideRaces has a damaged copy set aside while it is used, dropped and made, and the store closed.
func TestSetAsideRaces(t *testing.T) {
	for range 20 {
		r := newRig(t)
		s := r.open()
		if err := s.CreateNamespace("x", Disk); err != nil {
			t.Fatal(err)
		}
		n := namespaceOf(t, s, "x")
		mustCommit(t, n, increment(1))
		r.backend.rewrite(t, n.keys.data(tCounter), garbage)
		var all sync.WaitGroup
		for _, f := range []func() error{
			func() error { return ways["view entries"](n) },
			func() error { return second(n.Commit(context.Background(), increment(1))) },
			func() error { return second(s.SetAside("x")) },
			func() error { return second(s.SetAside("x")) },
			func() error { return s.DropNamespace("x") },
			func() error { return s.CreateNamespace("x", Disk) },
			s.Close,
		} {
			all.Go(func() { _ = f() })
		}
		all.Wait()
		s = r.open()
		if n, err := s.Namespace("x"); err == nil {
			if err := ways["view entries"](n); err != nil && !errors.Is(err, ErrJoining) && !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
