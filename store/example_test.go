package store_test

import (
	"context"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// A store holds namespaces; a transaction is applied whole or not at all, and is durable when
// Commit returns. A view reads at one clock.
func Example() {
	ctx := context.Background()
	s, err := store.Open(store.MemoryOptions()) // store.DefaultOptions("a/directory") keeps it on disk
	if err != nil {
		panic(err)
	}
	defer s.Close()
	ns, err := s.Namespace(store.Default)
	if err != nil {
		panic(err)
	}

	sold := crdt.Object(crdt.Counter, "sold").Leaf(crdt.Counter)
	cart := crdt.Object(crdt.Set, "cart").Leaf(crdt.Set)
	receipt, err := ns.Commit(ctx, func(t *store.Tx) error {
		if _, err := t.Add(cart.Member("apples")); err != nil {
			return err
		}
		return t.Increment(sold, 2)
	})
	if err != nil {
		panic(err)
	}

	v, err := ns.View(ctx)
	if err != nil {
		panic(err)
	}
	defer v.Close()
	live, err := v.Entries(sold)
	if err != nil {
		panic(err)
	}
	value, err := crdt.CounterValue(live)
	fmt.Println("sold", value, err)
	fmt.Println("read what was written:", v.Clock().CoversAll(receipt.Clock))
	// Output:
	// sold 2 <nil>
	// read what was written: true
}

// A removal supersedes what its author saw. Here that is the clock of the first add: the second
// add of the same member is newer than that, and stays.
func ExampleTx_Remove() {
	ctx := context.Background()
	s, err := store.Open(store.MemoryOptions())
	if err != nil {
		panic(err)
	}
	defer s.Close()
	ns, err := s.Namespace(store.Default)
	if err != nil {
		panic(err)
	}
	milk := crdt.Object(crdt.Set, "cart").Leaf(crdt.Set).Member("milk")
	add := func(t *store.Tx) error { _, err := t.Add(milk); return err }

	seen, err := ns.Commit(ctx, add)
	if err != nil {
		panic(err)
	}
	if _, err := ns.Commit(ctx, add); err != nil {
		panic(err)
	}
	_, err = ns.Commit(ctx, func(t *store.Tx) error {
		stale, err := t.Remove(milk, seen.Clock)
		fmt.Println("by somebody who saw the first add only:", stale)
		if err != nil {
			return err
		}
		fresh, err := t.Remove(milk, nil) // nil: all that is live here
		fmt.Println("by somebody who sees both:", fresh)
		return err
	})
	fmt.Println(err)
	// Output:
	// by somebody who saw the first add only: false
	// by somebody who sees both: true
	// <nil>
}
