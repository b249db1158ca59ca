package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// garbage breaks a value: no value of the store begins with this byte.
func garbage(v []byte) []byte { return append([]byte{0xff}, v[1:]...) }

func truncated(v []byte) []byte { return v[:len(v)-1] }

// ways are all ways by which a copy is read.
var ways = map[string]func(n *Namespace) error{
	"view entries": func(n *Namespace) error {
		v, err := n.View(context.Background())
		if err != nil {
			return err
		}
		defer v.Close()
		return second(v.Entries(tCounter))
	},
	"view head": func(n *Namespace) error {
		v, err := n.View(context.Background())
		if err != nil {
			return err
		}
		defer v.Close()
		return second(v.Head(tCounter.ObjectPath()))
	},
	"view scan": func(n *Namespace) error {
		v, err := n.View(context.Background())
		if err != nil {
			return err
		}
		defer v.Close()
		for _, err := range v.Scan("c", "") {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"view objects": func(n *Namespace) error {
		v, err := n.View(context.Background())
		if err != nil {
			return err
		}
		defer v.Close()
		for _, err := range v.Objects("", "") {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"source entries, all": func(n *Namespace) error { return sourceEntries(n, nil) },
	"source entries, few": func(n *Namespace) error { return sourceEntries(n, beforeLast(n)) },
	"source log": func(n *Namespace) error {
		src, err := n.Source(context.Background())
		if err != nil {
			return err
		}
		defer src.Close()
		units, _, err := src.Log(beforeLast(n))
		if err != nil {
			return err
		}
		for _, err := range units {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"source unit": func(n *Namespace) error {
		src, err := n.Source(context.Background())
		if err != nil {
			return err
		}
		defer src.Close()
		_, _, err = src.Unit(n.Replica(), n.Clock()[n.Replica()])
		return err
	},
	"commit": func(n *Namespace) error { return second(n.Commit(context.Background(), increment(1))) },
	"commit that hides it": func(n *Namespace) error {
		return second(n.Commit(context.Background(), func(tx *Tx) error {
			if err := tx.Increment(tCounter, 1); err != nil {
				return tx.Assign(tRegister, []byte("0"), nil)
			}
			return nil
		}))
	},
	"commit delete": func(n *Namespace) error {
		return second(n.Commit(context.Background(), func(tx *Tx) error { _, err := tx.Delete(tCounter.ObjectPath(), nil); return err }))
	},
	"apply": func(n *Namespace) error {
		clock := n.Clock().Clone()
		own := crdt.Dot{Replica: n.Replica(), Seq: max(1, clock[n.Replica()])}
		return n.Apply(context.Background(), []delta.Unit{{Origin: 5, First: 1, Last: 1, Deps: clock, Kills: []delta.Kill{{Dots: []crdt.Dot{own}}}}}, nil)
	},
	"join": func(n *Namespace) error {
		killed := delta.NewDotSet()
		killed.Add(crdt.Dot{Replica: n.Replica(), Seq: n.Clock()[n.Replica()]})
		return n.Join(context.Background(), StateJoin{From: n.Clock(), To: n.Clock(), Streamed: delta.NewDotSet(), Killed: killed})
	},
}

// beforeLast is the clock before the counter was written.
func beforeLast(n *Namespace) crdt.VersionVector {
	v := n.Clock().Clone()
	v[n.Replica()]--
	return v
}

func sourceEntries(n *Namespace, since crdt.VersionVector) error {
	src, err := n.Source(context.Background())
	if err != nil {
		return err
	}
	defer src.Close()
	for _, err := range src.Entries(since) {
		if err != nil {
			return err
		}
	}
	return nil
}

// damaged fills a copy, with the counter last.
func damaged(t testing.TB) (*rig, *Store, *Namespace) {
	r := newRig(t)
	s, n := r.space()
	addMembers(t, n, tSet, 0, 50)
	mustCommit(t, n, func(tx *Tx) error { return tx.Assign(tRegister, []byte("1"), nil) })
	mustCommit(t, n, increment(3))
	return r, s, n
}

// TestDamage damages a value below a running store. Whoever reads it gets ErrDamaged, never
// absence, from then on nothing else is answered, and the next open sets the copy aside. Other
// namespaces go on.
func TestDamage(t *testing.T) {
	data := func(n *Namespace) string { return n.keys.data(tCounter) }
	head := func(n *Namespace) string { return n.keys.head(tCounter.ObjectPath()) }
	last := func(n *Namespace) crdt.Dot { return crdt.Dot{Replica: n.Replica(), Seq: n.Clock()[n.Replica()]} }
	index := func(n *Namespace) string { return n.keys.index(last(n)) }
	record := func(n *Namespace) string { return n.keys.log(n.Status().Commit) }
	logIndex := func(n *Namespace) string { return n.keys.logIndex(last(n)) }
	for _, c := range []struct {
		name string
		key  func(n *Namespace) string
		ways []string
	}{
		{"data", data, []string{"view entries", "view scan", "source entries, all", "source entries, few",
			"commit", "commit that hides it", "commit delete", "apply", "join"}},
		{"head", head, []string{"view head", "view objects", "commit", "commit that hides it", "apply", "join"}},
		{"index", index, []string{"source entries, few", "apply", "join"}},
		{"log", record, []string{"source log", "source unit"}},
		{"log index", logIndex, []string{"source log", "source unit"}},
	} {
		for _, way := range c.ways {
			for name, breaks := range map[string]func([]byte) []byte{"garbage": garbage, "truncated": truncated} {
				t.Run(c.name+"/"+way+"/"+name, func(t *testing.T) {
					r, s, n := damaged(t)
					r.backend.rewrite(t, c.key(n), breaks)
					isSetAside(t, r, s, n, ways[way])
				})
			}
		}
	}
}

func isSetAside(t *testing.T, r *rig, s *Store, n *Namespace, read func(*Namespace) error) {
	t.Helper()
	if err := s.CreateNamespace("other", Disk); err != nil {
		t.Fatal(err)
	}
	other := namespaceOf(t, s, "other")
	mustCommit(t, other, increment(1))
	if err := read(n); !isDamage(err) {
		t.Fatalf("damage was read: %v", err)
	}
	for name, way := range ways {
		if err := way(n); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s after damage: %v", name, err)
		}
	}
	if err := n.WaitFor(context.Background(), crdt.VersionVector{1: 1}); !errors.Is(err, ErrDamaged) {
		t.Errorf("WaitFor after damage: %v", err)
	}
	if err := n.Stage(nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("Stage after damage: %v", err)
	}
	mustCommit(t, other, increment(1))
	formerly := n.Replica()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	n = namespaceOf(t, s, Default)
	if n.Replica() == formerly || len(n.Clock()) > 0 || !errors.Is(n.Err(), ErrJoining) || !n.Status().Joining {
		t.Errorf("after the next open: %+v", n.Status())
	}
	if got := counterAt(t, namespaceOf(t, s, "other"), tCounter); got != 2 {
		t.Errorf("the other namespace: %d", got)
	}
	isJoining(t, n)
}

func isJoining(t *testing.T, n *Namespace) {
	t.Helper()
	for name, way := range ways {
		if err := way(n); !errors.Is(err, ErrJoining) && name != "join" {
			t.Errorf("%s while it joins: %v", name, err)
		}
	}
	if !n.Status().Joining { // "join" has joined a peer that has nothing
		t.Error("it ends without having joined anything")
	}
}

// TestDamageAtOpen damages what is read at open.
func TestDamageAtOpen(t *testing.T) {
	var gone Batch
	for name, breaks := range map[string]func(r *rig, n *Namespace){
		"meta garbage":      func(r *rig, n *Namespace) { r.backend.rewrite(t, n.keys.meta(), garbage) },
		"meta truncated":    func(r *rig, n *Namespace) { r.backend.rewrite(t, n.keys.meta(), truncated) },
		"meta gone":         func(r *rig, n *Namespace) { gone.Delete(n.keys.meta()) },
		"clock garbage":     func(r *rig, n *Namespace) { r.backend.rewrite(t, n.keys.clock(n.Replica()), garbage) },
		"clock gone":        func(r *rig, n *Namespace) { gone.Delete(n.keys.clock(n.Replica())) },
		"index gone":        func(r *rig, n *Namespace) { gone.Delete(n.keys.index(crdt.Dot{Replica: n.Replica(), Seq: 1})) },
		"index key":         func(r *rig, n *Namespace) { gone.Put(string(n.keys)+"/i/0", []byte("x")) },
		"redo garbage":      func(r *rig, n *Namespace) { gone.Put(n.keys.redo(), []byte{valueVersion, redoUnit, 200}) },
		"redo of a new way": func(r *rig, n *Namespace) { gone.Put(n.keys.redo(), []byte{valueVersion, 77}) },
		"too many live":     func(r *rig, n *Namespace) { gone.Put(n.keys.index(crdt.Dot{Replica: 1, Seq: 1}), []byte("x")) },
	} {
		for _, copied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,copied=%t", name, copied), func(t *testing.T) {
				r, s, n := damaged(t)
				formerly := n.Replica()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if copied {
					r.print = "there"
				}
				gone.Reset()
				breaks(r, n)
				if err := applySync(r.backend.Backend, &gone); err != nil {
					t.Fatal(err)
				}
				s, n = r.space()
				if n.Replica() == formerly || len(n.Clock()) > 0 || !n.Status().Joining {
					t.Errorf("%+v", n.Status())
				}
				isJoining(t, n)
				id := n.Replica()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if _, n = r.space(); n.Replica() != id || !n.Status().Joining {
					t.Errorf("at the open after: %+v, want %v", n.Status(), id)
				}
			})
		}
	}
}

// TestFirstJoin: the first complete join ends what damage began, and so does the operator's word.
func TestFirstJoin(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(n, peer *Namespace) error{
		"join":   func(n, peer *Namespace) error { return pull(t, n, peer) },
		"accept": func(n, _ *Namespace) error { return n.AcceptLoss(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			r, s, n := damaged(t)
			peer := memorySpace(t, nil)
			if err := pull(t, peer, n); err != nil {
				t.Fatal(err)
			}
			mustCommit(t, n, add("only here"))
			r.backend.rewrite(t, n.keys.data(tCounter), garbage)
			if err := ways["view entries"](n); !isDamage(err) {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, n = r.space()
			src, err := peer.Source(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var es []crdt.Entry
			for e, err := range src.Entries(nil) {
				if err != nil {
					t.Fatal(err)
				}
				es = append(es, e)
			}
			if err := errors.Join(n.Stage(es), src.Close()); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, n = r.space() // what was staged has survived, and says nothing yet
			if n.Staged().Len() != uint64(len(es)) || !errors.Is(n.Err(), ErrJoining) {
				t.Fatalf("%d staged, %v", n.Staged().Len(), n.Err())
			}
			if err := end(n, peer); err != nil || n.Err() != nil {
				t.Fatal(err, n.Err())
			}
			mustCommit(t, n, increment(1))
			for range 2 {
				if err := errors.Join(pull(t, n, peer), pull(t, peer, n)); err != nil {
					t.Fatal(err)
				}
			}
			if got := counterAt(t, n, tCounter); got != 4 || n.Status().Digest != peer.Status().Digest {
				t.Errorf("counter %d, %v, %v", got, n.Status(), peer.Status())
			}
			checkConsistency(t, n)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, n = r.space(); n.Err() != nil || counterAt(t, n, tCounter) != 4 {
				t.Error(n.Err())
			}
		})
	}
}
