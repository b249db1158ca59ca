package crdt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	. "github.com/anabranchdb/anabranch/crdt"
)

func value(r ReplicaID, seq uint64, at Timestamp, v string) Entry {
	return Entry{Dot: Dot{Replica: r, Seq: seq}, Kind: KindValue, Time: at, Value: []byte(v)}
}

func buildTree(t *testing.T, prefix Path, at map[Path][]Entry) Tree {
	t.Helper()
	b, err := NewTreeBuilder(prefix)
	if err != nil {
		t.Fatal(err)
	}
	var paths []Path
	for p := range at {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := b.Add(p, at[p]); err != nil {
			t.Fatalf("%q: %v", p, err)
		}
	}
	return b.Tree()
}

// One field holds every type at once, one below the other in age.
func TestTreeOfEveryType(t *testing.T) {
	f := Object(Map, "m").Field("f")
	add := func(seq uint64, at Timestamp) Entry {
		return Entry{Dot: Dot{Replica: 1, Seq: seq}, Kind: KindMember, Time: at}
	}
	count := cell(1, 1, Cell{Lineage: 1, P: total(3)})
	count.Time = 10
	reset := record(2, 1, Component{Replica: 1, Lineage: 1, P: total(1)})
	reset.Time = 99 // a removal makes nothing newer
	tree := buildTree(t, Object(Map, "m"), map[Path][]Entry{
		f.Leaf(Counter):                     {count, reset},
		f.Leaf(Register):                    {value(1, 2, 19, "old"), value(2, 2, 20, "new")},
		f.Leaf(Set).Member("y"):             {add(3, 2)},
		f.Leaf(Set).Member("x"):             {add(4, 30)},
		f.Fields("sub", "b").Leaf('z'):      {add(8, 100)},
		f.Fields("sub", "c").Leaf(Counter):  {cell(3, 1, Cell{Lineage: 1, P: total(1)}), record(4, 1, Component{Replica: 3, Lineage: 1, P: total(1)})},
		f.Fields("sub", "b").Leaf(Register): {value(1, 5, 40, "deep")},
		f.Fields("sub", "a").Leaf(Register): {value(1, 6, 5, "low")},
	})
	root, ok := tree.Plain()
	if !ok || tree.Name != "m" || root.Type != Map || len(root.Fields) != 1 || root.Fields[0].Name != "f" {
		t.Fatalf("%+v", tree)
	}
	field := root.Fields[0]
	var order []string
	for _, c := range field.Children {
		order = append(order, c.Type.String())
	}
	if got, want := strings.Join(order, " "), "map set register counter"; got != want {
		t.Errorf("newest first: %s, want %s", got, want)
	}
	if !field.Conflict() || tree.Conflict() {
		t.Error("a conflict at the field, and only there")
	}
	if root.Time != 40 || root.Dot != (Dot{Replica: 1, Seq: 5}) {
		t.Errorf("the newest below is %v at %d", root.Dot, root.Time)
	}
	if c, ok := field.Child(Set); !ok || !slices.Equal(c.Members, []string{"x", "y"}) {
		t.Errorf("set: %+v", c)
	}
	if c, ok := field.Child(Register); !ok || !slices.Equal(asStrings(c.Values), []string{"new", "old"}) {
		t.Errorf("register: %+v", c)
	}
	if c, ok := field.Child(Counter); !ok || c.Count != Int128Of(2) {
		t.Errorf("counter: %+v", c)
	}
	want := []string{"sub.a register low", "sub.b register deep"}
	if m, ok := field.Child(Map); !ok || !slices.Equal(flatten(Tree{Children: []Child{m}}, nil), want) {
		t.Errorf("map: %+v", m)
	}
	if _, ok := tree.Child(Set); ok {
		t.Error("a set at the object")
	}
}

func TestTreeOfAField(t *testing.T) {
	f := Object(Map, "m").Fields("f", "g")
	tree := buildTree(t, f, map[Path][]Entry{
		f.Leaf(Register):            {value(1, 1, 1, "1")},
		f.Field("h").Leaf(Register): {value(1, 2, 2, "2")},
	})
	want := []string{"h register 2", " register 1"}
	if got := flatten(tree, nil); tree.Name != "g" || !slices.Equal(got, want) {
		t.Errorf("%q: %q, want %q", tree.Name, got, want)
	}
}

func TestEmptyTree(t *testing.T) {
	tree := buildTree(t, Object(Map, "m"), nil)
	if c, ok := tree.Plain(); ok || tree.Conflict() {
		t.Errorf("%+v", c)
	}
}

func TestTreeBuilderRefuses(t *testing.T) {
	m := Object(Map, "m")
	for _, p := range []Path{"", "M", m.Field("f").Leaf(Set), m.Leaf(Set).Member("x")} {
		if _, err := NewTreeBuilder(p); !errors.Is(err, ErrBadPath) {
			t.Errorf("prefix %q: %v", p, err)
		}
	}
	live := []Entry{value(1, 1, 1, "1")}
	broken := []Entry{{Dot: Dot{Replica: 1, Seq: 1}, Kind: KindCell}}
	for _, tt := range []struct {
		path Path
		live []Entry
		want error
	}{
		{m.Field("a").Leaf(Register), live, ErrOrder}, // before what is there
		{m.Field("b").Leaf(Register), live, ErrOrder}, // twice
		{m.Field("c"), live, ErrBadPath},
		{m.Field("c").Leaf(Set), live, ErrBadPath},
		{m.Field("c").Leaf(Register).Member("x"), live, ErrBadPath},
		{m.Field("c").Leaf(Counter), broken, ErrDamaged},
		{m.Field("c") + "?", live, ErrBadPath},
		{Object(Map, "n").Field("c").Leaf(Register), live, ErrBadPath},
	} {
		b, err := NewTreeBuilder(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(m.Field("b").Leaf(Register), live); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(tt.path, tt.live); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.path, err, tt.want)
		}
	}
}
