package delta_test

import (
	"errors"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// What a replica writes becomes units. They travel in frames, and are applied in the order of
// their causes.
func Example() {
	milk := crdt.Object(crdt.Set, "cart").Leaf(crdt.Set).Member("milk")
	const ann = crdt.ReplicaID(1)

	added := crdt.Dot{Replica: ann, Seq: 1}
	add := delta.Unit{Origin: ann, First: 1, Last: 1, Entries: crdt.Add(nil, milk, added, 100).Add}
	remove := delta.Unit{Origin: ann, First: 2, Last: 2, Kills: []delta.Kill{{Dots: []crdt.Dot{added}}}}

	bytes := delta.AppendFrame(nil, delta.Frame{Units: []delta.Unit{add, remove}})
	frame, err := delta.DecodeFrame(bytes) // checks every length before it allocates
	if err != nil {
		panic(err)
	}

	bob := crdt.NewState()
	err = delta.Apply(&bob, frame.Units[1])
	fmt.Println("too early:", errors.Is(err, delta.ErrGap))
	for _, u := range frame.Units {
		if err := delta.Apply(&bob, u); err != nil {
			panic(err)
		}
	}
	fmt.Println(len(bob.Live), "live entries at", bob.Clock)
	// Output:
	// too early: true
	// 0 live entries at map[0000000000000001:2]
}

// A set of dots is small where seqs are dense, and hashes by ranges: replicas compare ranges to
// find out which of their live entries the other one has removed.
func ExampleDotSet() {
	here, there := delta.NewDotSet(), delta.NewDotSet()
	here.AddRange(1, 1, 100_000)
	there.AddRange(1, 1, 100_000)
	there.Remove(crdt.Dot{Replica: 1, Seq: 70_001})

	fmt.Println(here.HashRange(1, 1, 65_535) == there.HashRange(1, 1, 65_535))
	fmt.Println(here.HashRange(1, 65_536, 100_000) == there.HashRange(1, 65_536, 100_000))
	for d := range here.AndNot(there).All() {
		fmt.Println(d)
	}
	fmt.Println(len(delta.AppendDotSet(nil, there)), "bytes for", there.Len(), "dots")
	// Output:
	// true
	// false
	// 0000000000000001:70001
	// 23 bytes for 99999 dots
}
