package crdt_test

import (
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// Two replicas write to one register while they cannot hear each other. Both values survive
// the join; the next write, which has seen them, takes the place of both.
func Example() {
	title := crdt.Object(crdt.Register, "title").Leaf(crdt.Register)
	ann, bob := crdt.NewState(), crdt.NewState()

	write := func(s crdt.State, at crdt.Dot, t crdt.Timestamp, value string) {
		// An operation is a pure function of what is live at the path; the caller applies
		// the edit and moves its clock.
		edit := crdt.Assign(s.At(title), title, at, t, []byte(value), nil)
		for _, d := range edit.Kill {
			delete(s.Live, d)
		}
		for _, e := range edit.Add {
			s.Live[e.Dot] = e
		}
		s.Clock[at.Replica] = at.Seq
	}
	write(ann, crdt.Dot{Replica: 1, Seq: 1}, 100, `"Delta"`)
	write(bob, crdt.Dot{Replica: 2, Seq: 1}, 200, `"Estuary"`)

	ann = crdt.Join(ann, bob)
	for _, v := range crdt.RegisterValues(ann.At(title)) {
		fmt.Println(string(v))
	}
	write(ann, crdt.Dot{Replica: 1, Seq: 2}, 300, `"Anabranch"`)
	bob = crdt.Join(bob, ann)
	for _, v := range crdt.RegisterValues(bob.At(title)) {
		fmt.Println("then", string(v))
	}
	// Output:
	// "Estuary"
	// "Delta"
	// then "Anabranch"
}

// A removal leaves nothing behind. That a member is dead follows from the clock, which covers
// its dot, so an old replica that still holds it cannot bring it back.
func ExampleJoin() {
	path := crdt.Object(crdt.Set, "members").Leaf(crdt.Set).Member("eve")
	added := crdt.NewState()
	for _, e := range crdt.Add(nil, path, crdt.Dot{Replica: 1, Seq: 1}, 1).Add {
		added.Live[e.Dot] = e
	}
	added.Clock[1] = 1

	removed := added.Clone()
	for _, d := range crdt.Remove(removed.At(path), nil).Kill {
		delete(removed.Live, d)
	}
	removed.Clock[1] = 2

	joined := crdt.Join(added, removed)
	fmt.Println(len(joined.Live), "entries at", joined.Clock)
	// Output:
	// 0 entries at map[0000000000000001:2]
}

// A reset takes away the increments that it saw, and no other: here 5 of 12.
func ExampleReset() {
	path := crdt.Object(crdt.Counter, "visits").Leaf(crdt.Counter)
	five, _ := crdt.Increment(nil, path, crdt.Dot{Replica: 1, Seq: 1}, 1, 5)

	// Replica 2 has seen the 5 and resets, while replica 1 counts on.
	reset, _ := crdt.Reset(five.Add, path, 2, crdt.Dot{Replica: 2, Seq: 1}, 1, nil)
	seven, _ := crdt.Increment(five.Add, path, crdt.Dot{Replica: 1, Seq: 2}, 1, 7)

	live := append(seven.Add, reset.Add...) // the 5 is superseded
	v, err := crdt.CounterValue(live)
	fmt.Println(v, err)
	// Output:
	// 7 <nil>
}

// Paths name places and prefixes of places. They are safe as one segment of a datastore key,
// whatever the names hold.
func ExamplePath() {
	user := crdt.Object(crdt.Map, "user/../7")
	city := user.Fields("address", "city").Leaf(crdt.Register)
	fmt.Println(city)
	fmt.Println(user.Field("address").Contains(city), user.Field("addr").Contains(city))

	parts, err := city.Parse()
	fmt.Println(parts.Type, parts.Key, parts.Fields, parts.Leaf, err)
	// Output:
	// muser#_#^#^#_7!|address!|city!r
	// true false
	// map user/../7 [address city] register <nil>
}

// A tree shows a map as its readers want it.
func ExampleTreeBuilder() {
	m := crdt.Object(crdt.Map, "user")
	name := m.Field("name").Leaf(crdt.Register)
	tag := m.Field("tags").Leaf(crdt.Set).Member("admin")
	now := crdt.TimestampOf(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))

	b, _ := crdt.NewTreeBuilder(m)
	// In ascending order, as a scan of a store gives them.
	_ = b.Add(name, crdt.Assign(nil, name, crdt.Dot{Replica: 1, Seq: 1}, now, []byte(`"Ada"`), nil).Add)
	_ = b.Add(tag, crdt.Add(nil, tag, crdt.Dot{Replica: 1, Seq: 2}, now).Add)

	root, _ := b.Tree().Plain()
	for _, f := range root.Fields {
		c, _ := f.Plain()
		fmt.Printf("%s: %v %s%s\n", f.Name, c.Type, c.Values, c.Members)
	}
	// Output:
	// name: register ["Ada"][]
	// tags: set [][admin]
}

// A hybrid logical clock follows the wall, never goes back, and is not dragged along by a
// replica whose wall is wrong.
func ExampleHLC() {
	wall := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	clock := crdt.HLC{MaxAhead: 10 * time.Minute}
	first := clock.Next(wall)
	fmt.Println(clock.Next(wall.Add(-time.Second)) > first)
	fmt.Println(clock.Observe(crdt.TimestampOf(wall.Add(time.Minute)), wall))
	fmt.Println(clock.Observe(crdt.TimestampOf(wall.AddDate(10, 0, 0)), wall))
	fmt.Println(clock.Next(wall).Time().UTC().Format(time.TimeOnly))
	// Output:
	// true
	// true
	// false
	// 12:01:00
}
