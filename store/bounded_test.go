package store

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func stock(n int64) func(*Tx) error { return func(tx *Tx) error { return tx.Stock(tBounded, n) } }

func give(to *Namespace, n, want int64) func(*Tx) error {
	return func(tx *Tx) error {
		got, err := tx.Give(tBounded, to.Replica(), n)
		if err == nil && got != want {
			return errors.New("another amount was given")
		}
		return err
	}
}

func deleteBounded(tx *Tx) error {
	_, err := tx.Delete(tBounded.ObjectPath(), nil)
	return err
}

// escrowOf returns what n shows of the bounded counter, and how many entries it holds there.
func escrowOf(t *testing.T, n *Namespace) (crdt.Escrow, int) {
	t.Helper()
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	live, err := v.Entries(tBounded)
	if err != nil {
		t.Fatal(err)
	}
	x, err := crdt.ReadEscrow(live)
	if err != nil {
		t.Fatal(err)
	}
	return x, len(live)
}

func wantEscrow(t *testing.T, n *Namespace, value int64, entries int) {
	t.Helper()
	if x, live := escrowOf(t, n); x.Value != crdt.Int128Of(value) || live != entries {
		t.Errorf("value %v in %d entries, want %d in %d", x.Value, live, value, entries)
	}
}

// TestBounded follows a bounded counter over two replicas from the first unit to the last.
func TestBounded(t *testing.T) {
	ctx := context.Background()
	a, b := memorySpace(t, nil), memorySpace(t, nil)
	both := func() {
		t.Helper()
		for range 3 {
			if err := errors.Join(pull(t, a, b), pull(t, b, a)); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustCommit(t, a, stock(10))
	both()
	if _, err := b.Commit(ctx, stock(-1)); !errors.Is(err, crdt.ErrRights) {
		t.Errorf("taken without rights: %v", err)
	}
	mustCommit(t, b, give(a, 1, 0))
	mustCommit(t, a, give(a, 1, 0))
	mustCommit(t, a, give(b, 4, 4))
	mustCommit(t, a, give(b, 0, 0))
	both()
	if _, err := b.Commit(ctx, deleteBounded); !errors.Is(err, crdt.ErrRights) {
		t.Errorf("deleted without all rights: %v", err)
	}
	mustCommit(t, b, stock(-4))
	mustCommit(t, a, stock(-5))
	mustCommit(t, a, give(b, 9, 1))
	if _, err := a.Commit(ctx, stock(-1)); !errors.Is(err, crdt.ErrRights) {
		t.Errorf("taken what was given away: %v", err)
	}
	both()
	wantEscrow(t, a, 1, 2)
	mustCommit(t, b, deleteBounded)
	wantEscrow(t, b, 0, 2) // a's cell, and a record of it
	both()
	for _, n := range []*Namespace{a, b} {
		wantEscrow(t, n, 0, 0)
		if objects, entries := n.Counts(); objects != 0 || entries != 0 {
			t.Errorf("%d objects, %d entries are left", objects, entries)
		}
		checkConsistency(t, n)
	}
}

// TestBoundedAlone: what one replica takes back leaves nothing, in the same commit.
func TestBoundedAlone(t *testing.T) {
	n := memorySpace(t, nil)
	mustCommit(t, n, stock(3))
	wantEscrow(t, n, 3, 1)
	mustCommit(t, n, stock(-3))
	wantEscrow(t, n, 0, 0)
	mustCommit(t, n, func(tx *Tx) error {
		return errors.Join(tx.Stock(tBounded, 2), deleteBounded(tx), tx.Stock(tBounded, 0))
	})
	wantEscrow(t, n, 0, 0)
	before := n.Clock()
	mustCommit(t, n, deleteBounded)
	if n.Clock().Compare(before) != crdt.Equal {
		t.Error("a delete of nothing has made a commit")
	}
	if _, err := n.Commit(context.Background(), func(tx *Tx) error {
		return errors.Join(tx.Stock(tBounded, math.MaxInt64), tx.Stock(tBounded, 1))
	}); !errors.Is(err, crdt.ErrOverflow) {
		t.Errorf("more than an int64: %v", err)
	}
	wantEscrow(t, n, 0, 0)
	checkConsistency(t, n)
}

// TestBoundedAmounts: the log keeps what was added and taken, not the totals.
func TestBoundedAmounts(t *testing.T) {
	n := memorySpace(t, nil)
	mustCommit(t, n, func(tx *Tx) error { return errors.Join(tx.Stock(tBounded, 5), tx.Stock(tBounded, -2)) })
	mustCommit(t, n, deleteBounded)
	var got []amount
	for _, r := range logged(t, n) {
		got = append(got, r.Amounts...)
	}
	want := []amount{{Seq: 1, Path: tBounded, P: crdt.Uint128{Lo: 5}, N: crdt.Uint128{Lo: 2}}, {Seq: 3, Path: tBounded, N: crdt.Uint128{Lo: 3}}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestBoundedAfterLargeChange: what becomes settled with a large change is settled behind it.
func TestBoundedAfterLargeChange(t *testing.T) {
	a, b := memorySpace(t, nil), memorySpace(t, func(o *Options) { o.LargeEntries = 3 })
	mustCommit(t, a, stock(2))
	mustCommit(t, a, give(b, 2, 2))
	if err := pull(t, b, a); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, a, stock(1))
	addMembers(t, a, tSet, 0, 20)
	mustCommit(t, a, stock(-1))
	mustCommit(t, b, stock(-2))
	src, err := a.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := pullState(t, b, src); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, b, func(*Tx) error { return nil }) // waits behind what settles
	if x, _ := escrowOf(t, b); !x.Value.IsZero() {
		t.Errorf("%+v", x)
	}
	for range 3 {
		if err := errors.Join(pull(t, a, b), pull(t, b, a)); err != nil {
			t.Fatal(err)
		}
	}
	wantEscrow(t, a, 0, 0)
	wantEscrow(t, b, 0, 0)
	checkConsistency(t, b)
}
