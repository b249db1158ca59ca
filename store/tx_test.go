package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func memoryNamespace(t *testing.T, large int) *Namespace {
	t.Helper()
	opts := MemoryOptions()
	opts.LargeEntries = large
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	n, err := s.Namespace(Default)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOwnWritesAreSeen: whatever clock an author hands over, a transaction supersedes what it
// wrote itself.
func TestOwnWritesAreSeen(t *testing.T) {
	r := crdt.Object(crdt.Register, "r").Leaf(crdt.Register)
	set := crdt.Object(crdt.Set, "s")
	for _, large := range []int{2, 4096} {
		t.Run(fmt.Sprint(large), func(t *testing.T) {
			n := memoryNamespace(t, large)
			ctx := context.Background()
			if _, err := n.Commit(ctx, func(t *Tx) error {
				if err := t.Assign(r, []byte("0"), nil); err != nil {
					return err
				}
				for i := range 100 {
					if _, err := t.Add(set.Leaf(crdt.Set).Member(fmt.Sprint("old", i))); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			seen := crdt.VersionVector{n.Replica(): 1} // the register's first value only
			if _, err := n.Commit(ctx, func(t *Tx) error {
				for _, v := range []string{"1", "2"} {
					if err := t.Assign(r, []byte(v), seen); err != nil {
						return err
					}
				}
				if _, err := t.Add(set.Leaf(crdt.Set).Member("zzz")); err != nil {
					return err
				}
				_, err := t.Delete(set, seen)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			v, err := n.View(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			es, err := v.Entries(r)
			if err != nil || len(es) != 1 || string(es[0].Value) != "2" {
				t.Errorf("register: %v %v", es, err)
			}
			h, err := v.Head(set)
			if err != nil || h.Visible != 100 {
				t.Errorf("set: %+v %v: want the 100 members that seen does not cover", h, err)
			}
			if es, err := v.Entries(set.Leaf(crdt.Set).Member("zzz")); err != nil || len(es) != 0 {
				t.Errorf("a member that the transaction added and deleted: %v %v", es, err)
			}
		})
	}
}
