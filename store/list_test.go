package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

var tList = crdt.Object(crdt.List, "l").Leaf(crdt.List)

// listed returns the values of a list in order, from what is live at all its paths.
func listed(t testing.TB, v *View, leaf crdt.Path) string {
	t.Helper()
	b, err := crdt.NewTreeBuilder(leaf.ObjectPath())
	if err != nil {
		t.Fatal(err)
	}
	for item, err := range v.Scan(leaf, "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(item.Path, item.Entries); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := b.Tree().Child(crdt.List)
	var values []string
	for _, i := range c.Items {
		values = append(values, strings.Trim(string(i.Values[0]), `"`))
	}
	return strings.Join(values, " ")
}

func wantList(t *testing.T, n *Namespace, want string) {
	t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if got := listed(t, v, tList); got != want {
		t.Fatalf("the list is %q, want %q", got, want)
	}
	h, err := v.Head(tList.ObjectPath())
	if err != nil || h.Visible != uint64(len(strings.Fields(want))) {
		t.Fatalf("head %+v %v for %q", h, err, want)
	}
}

// texts are values of items: words are written as JSON, and listed without their quotes.
func texts(values ...string) [][]byte {
	var bs [][]byte
	for _, v := range values {
		if !json.Valid([]byte(v)) {
			v = strconv.Quote(v)
		}
		bs = append(bs, []byte(v))
	}
	return bs
}

func TestListPlaces(t *testing.T) {
	n := memorySpace(t, nil)
	var ids []crdt.Position
	insert := func(at Place, values ...string) {
		t.Helper()
		mustCommit(t, n, func(tx *Tx) (err error) { ids, err = tx.Insert(tList, at, texts(values...)); return err })
	}
	insert(Place{}, "b", "e")
	b, e := ids[0], ids[1]
	insert(Place{Start: true}, "a")
	insert(Place{After: b}, "c")
	insert(Place{Before: e}, "d")
	insert(Place{}, "f")
	wantList(t, n, "a b c d e f")
	mustCommit(t, n, func(tx *Tx) error { return tx.MoveItem(tList, b, Place{}) })
	mustCommit(t, n, func(tx *Tx) error { return tx.MoveItem(tList, e, Place{Start: true}) })
	wantList(t, n, "e a c d f b")
	insert(Place{After: e}, "x") // behind where it stands now
	insert(Place{Before: b}, "y")
	wantList(t, n, "e x a c d f y b")
	mustCommit(t, n, func(tx *Tx) error {
		if _, err := tx.RemoveItem(tList, b, nil); err != nil {
			return err
		}
		if _, err := tx.RemoveItem(tList, ids[0], nil); err != nil {
			return err
		}
		if err := tx.SetItem(tList, e, []byte(`"z"`), nil); err != nil {
			return err
		}
		_, err := tx.Insert(tList, Place{}, texts("end"))
		return err
	})
	insert(Place{After: b}, "q") // where it was inserted: that it was moved is forgotten
	wantList(t, n, "z x a q c d f end")
	checkConsistency(t, n)
	for _, err := range []error{
		commitError(n, func(tx *Tx) error { return tx.SetItem(tList, b, []byte("1"), nil) }),
		commitError(n, func(tx *Tx) error { return tx.MoveItem(tList, b, Place{}) }),
	} {
		if !errors.Is(err, crdt.ErrNoElement) {
			t.Errorf("an item that is not there: %v", err)
		}
	}
	for _, err := range []error{
		commitError(n, func(tx *Tx) error { return tx.SetItem(tList, "b", []byte("1"), nil) }),
		commitError(n, func(tx *Tx) error { _, err := tx.RemoveItem(tList, "", nil); return err }),
		commitError(n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{After: "x"}, texts("1")); return err }),
		commitError(n, func(tx *Tx) error { return tx.MoveItem(tList, e, Place{Before: "x"}) }),
	} {
		if !errors.Is(err, crdt.ErrBadPosition) {
			t.Errorf("an id that is none: %v", err)
		}
	}
	if err := commitError(n, func(tx *Tx) error {
		_, err := tx.Insert(tList, Place{}, [][]byte{make([]byte, crdt.MaxValueBytes+1)})
		return err
	}); !errors.Is(err, crdt.ErrTooLarge) {
		t.Errorf("a large value: %v", err)
	}
	mustCommit(t, n, func(tx *Tx) error { _, err := tx.Delete(tList.ObjectPath(), nil); return err })
	if _, entries := n.Counts(); entries != 0 {
		t.Errorf("%d entries are left", entries)
	}
	checkConsistency(t, n)
}

func commitError(n *Namespace, fn func(*Tx) error) error {
	_, err := n.Commit(context.Background(), fn)
	return err
}

// TestListInOneTransaction: what a transaction does to a list is seen by what it does next, also
// behind a delete that it does not spell out.
func TestListInOneTransaction(t *testing.T) {
	for _, large := range []int{3, 4096} {
		n := memoryNamespace(t, large)
		mustCommit(t, n, func(tx *Tx) error {
			_, err := tx.Insert(tList, Place{}, texts("1", "2", "3", "4", "5", "6", "7", "8"))
			return err
		})
		mustCommit(t, n, func(tx *Tx) error {
			ids, err := tx.Insert(tList, Place{Start: true}, texts("a", "b"))
			if err != nil {
				return err
			}
			if err := tx.MoveItem(tList, ids[0], Place{}); err != nil {
				return err
			}
			if _, err := tx.Delete(tList.ObjectPath(), nil); err != nil {
				return err
			}
			for _, v := range []string{"x", "y", "z"} {
				if ids, err = tx.Insert(tList, Place{}, texts(v)); err != nil {
					return err
				}
			}
			if err := tx.MoveItem(tList, ids[0], Place{Start: true}); err != nil {
				return err
			}
			h, err := tx.Head(tList.ObjectPath())
			if err != nil || h.Visible != 3 {
				t.Errorf("head %+v %v within the transaction", h, err)
			}
			return nil
		})
		wantList(t, n, "z x y")
		checkConsistency(t, n)
	}
}

// TestListOfTwoReplicas: a move wins against a removal, and leaves nothing when it is removed.
func TestListOfTwoReplicas(t *testing.T) {
	for _, state := range []bool{true, false} {
		a, b := memorySpace(t, nil), memorySpace(t, nil)
		var ids []crdt.Position
		mustCommit(t, a, func(tx *Tx) (err error) {
			ids, err = tx.Insert(tList, Place{}, texts("1", "2", "3"))
			return err
		})
		exchange(t, b, a, state)
		mustCommit(t, a, func(tx *Tx) error { return tx.MoveItem(tList, ids[0], Place{}) })
		mustCommit(t, b, func(tx *Tx) error { _, err := tx.RemoveItem(tList, ids[0], nil); return err })
		mustCommit(t, b, func(tx *Tx) error { return tx.SetItem(tList, ids[1], []byte(`"two"`), nil) })
		mustCommit(t, a, func(tx *Tx) error { return tx.MoveItem(tList, ids[1], Place{After: ids[0]}) })
		exchange(t, b, a, state)
		exchange(t, a, b, state)
		wantList(t, a, "3 1 two")
		wantList(t, b, "3 1 two")
		mustCommit(t, b, func(tx *Tx) error {
			for _, id := range ids {
				if _, err := tx.RemoveItem(tList, id, nil); err != nil {
					return err
				}
			}
			return nil
		})
		exchange(t, a, b, state)
		for _, n := range []*Namespace{a, b} {
			if _, entries := n.Counts(); entries != 0 {
				t.Errorf("%d entries are left", entries)
			}
			checkConsistency(t, n)
		}
	}
}

// TestForeignNamesInLists: a list that holds what a later version writes, at names that are no
// positions, is read and written around it.
func TestForeignNamesInLists(t *testing.T) {
	n := memorySpace(t, nil)
	mustCommit(t, n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{}, texts("1", "2")); return err })
	mustCommit(t, n, func(tx *Tx) error {
		for i, name := range []string{"!", "zzzz", "\U0010ffff"} {
			p := tList.Member(name)
			if err := tx.edit(p, crdt.Edit{Add: []crdt.Entry{{Dot: tx.dot(), Path: p, Kind: crdt.Kind(0x70 + i), Time: 1}}}); err != nil {
				return err
			}
		}
		return nil
	})
	mustCommit(t, n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{}, texts("3")); return err })
	mustCommit(t, n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{Start: true}, texts("0")); return err })
	wantList(t, n, "0 1 2 3")
}

// BenchmarkListAppend appends one item a commit to a list that grows, or stays large.
func BenchmarkListAppend(b *testing.B) {
	for _, size := range []int{0, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			n := benchList(b, size)
			for b.Loop() {
				mustCommit(b, n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{}, texts(`"an item"`)); return err })
			}
		})
	}
}

// BenchmarkListPage reads 100 items from the middle of a list.
func BenchmarkListPage(b *testing.B) {
	n := benchList(b, 100_000)
	v, err := n.View(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	var paths []crdt.Path
	for item, err := range v.Scan(tList, "") {
		if err != nil {
			b.Fatal(err)
		}
		paths = append(paths, item.Path)
	}
	for i := 0; b.Loop(); i++ {
		read := 0
		for _, err := range v.Scan(tList, paths[i*7919%90_000]) {
			if err != nil {
				b.Fatal(err)
			}
			if read++; read == 100 {
				break
			}
		}
	}
}

func benchList(b *testing.B, size int) *Namespace {
	n := memorySpace(b, nil)
	for values := range slices.Chunk(slices.Repeat(texts(`"an item"`), size), 1000) {
		mustCommit(b, n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{}, values); return err })
	}
	return n
}

// TestItemsWithDeadlines: an item is gone at its deadline wherever it was moved, and leaves nothing; a
// later write lets it stay.
func TestItemsWithDeadlines(t *testing.T) {
	c := newClock()
	n := memorySpace(t, c.options)
	var ids []crdt.Position
	mustCommit(t, n, func(tx *Tx) (err error) {
		tx.Until(c.in(10 * time.Second))
		ids, err = tx.Insert(tList, Place{}, texts("a", "b", "c"))
		return err
	})
	mustCommit(t, n, func(tx *Tx) error { _, err := tx.Insert(tList, Place{}, texts("d")); return err })
	mustCommit(t, n, func(tx *Tx) error { return tx.MoveItem(tList, ids[0], Place{}) })
	mustCommit(t, n, func(tx *Tx) error { return tx.MoveItem(tList, ids[1], Place{Start: true}) })
	mustCommit(t, n, func(tx *Tx) error { return tx.SetItem(tList, ids[1], []byte(`"B"`), nil) })
	wantList(t, n, "B c d a")
	c.pass(10 * time.Second)
	wantList(t, n, "B d")
	for what, err := range map[string]error{
		"set":  commitError(n, func(tx *Tx) error { return tx.SetItem(tList, ids[0], []byte("1"), nil) }),
		"move": commitError(n, func(tx *Tx) error { return tx.MoveItem(tList, ids[2], Place{}) }),
	} {
		if !errors.Is(err, crdt.ErrNoElement) {
			t.Errorf("%s of an item that is over: %v", what, err)
		}
	}
	c.pass(time.Minute)
	mustReap(t, n)
	wantList(t, n, "B d")
	checkConsistency(t, n)
	mustCommit(t, n, func(tx *Tx) error {
		_, err := tx.RemoveItem(tList, ids[1], nil)
		return err
	})
	if _, entries := n.Counts(); entries != 1 {
		t.Errorf("%d entries are left, want that of d", entries)
	}
}
