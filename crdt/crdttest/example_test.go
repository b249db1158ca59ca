package crdttest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/crdt/crdttest"
)

// A bid: the highest offer that anybody made and nobody took back after having seen it. It is a type of one's
// own over the entries of a register.
func Example() {
	path := crdt.Object(crdt.Register, "bid").Leaf(crdt.Register)
	bids := crdttest.Type{
		Draw: func(rng *rand.Rand) crdttest.Op {
			amount := 1 + rng.IntN(99)
			if rng.IntN(4) == 0 {
				return crdttest.Op{Name: "withdraw", Args: 0, Do: func(tx *crdttest.Tx) error {
					return tx.Edit(crdt.Remove(tx.Live(path), nil))
				}}
			}
			return crdttest.Op{Name: fmt.Sprint("offer ", amount), Args: amount, Do: func(tx *crdttest.Tx) error {
				at, now := tx.Next()
				// Nothing is superseded: a lower offer must not hide a higher one.
				return tx.Edit(crdt.Assign(nil, path, at, now, fmt.Append(nil, amount), nil))
			}}
		},
		Read: func(s crdt.State) (string, error) {
			highest := 0
			for _, v := range crdt.RegisterValues(s.At(path)) {
				var n int
				if _, err := fmt.Sscan(string(v), &n); err != nil {
					return "", err
				}
				highest = max(highest, n)
			}
			return fmt.Sprint(highest), nil
		},
		Want: func(h crdttest.History) string {
			highest := 0
			for i, offer := range h {
				withdrawn := false
				for j := range h {
					withdrawn = withdrawn || h[j].Name == "withdraw" && h.Sees(j, i)
				}
				if !withdrawn {
					highest = max(highest, offer.Args.(int))
				}
			}
			return fmt.Sprint(highest)
		},
	}
	fmt.Println("as it is:", crdttest.Try(bids, crdttest.Config{First: 1}))

	// A reader that shows the newest offer instead of the highest.
	bids.Read = func(s crdt.State) (string, error) {
		values := crdt.RegisterValues(s.At(path))
		if len(values) == 0 {
			return "0", nil
		}
		return string(values[0]), nil
	}
	err := crdttest.Try(bids, crdttest.Config{First: 1})
	fmt.Println("the newest:", strings.SplitN(errors.Unwrap(err).Error(), ": ", 3)[2])
	// Output:
	// as it is: <nil>
	// the newest: reads "26", the specification says "88"
}
