package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrOrder is returned when paths do not come ascending.
var ErrOrder = errors.New("crdt: paths out of order")

// Tree is what stands at one name: an object, or a field of a map. Two types can stand at one
// name, after concurrent writes.
type Tree struct {
	Name     string  // the key or the field's name
	Children []Child // at most one of a type, newest first; empty when nothing is visible
}

// Child is what stands at one name with one type. Only the part of that type is set.
type Child struct {
	Type Type
	// Time and Dot are those of the newest live entry of this child, for a map of all entries
	// below it, reset records left aside. They order the children of a tree.
	Time Timestamp
	Dot  Dot

	Values  [][]byte // Register: siblings, newest first
	Count   Int128   // Counter
	Members []string // Set, ascending bytewise
	Items   []Item   // List, in the order of its items
	Fields  []Tree   // Map, ascending bytewise by name
}

// Plain returns the child that the plain shape of a map shows: the one with the newest entry.
// It reports false for an empty tree.
func (t Tree) Plain() (Child, bool) {
	if len(t.Children) == 0 {
		return Child{}, false
	}
	return t.Children[0], true
}

// Child returns the child of one type.
func (t Tree) Child(of Type) (Child, bool) {
	for _, c := range t.Children {
		if c.Type == of {
			return c, true
		}
	}
	return Child{}, false
}

// Conflict reports whether concurrent writes have left more than one thing at this name: two
// types, or siblings of a register or of an item of a list. It does not look at fields below.
func (t Tree) Conflict() bool {
	c, _ := t.Plain()
	several := func(i Item) bool { return len(i.Values) > 1 }
	return len(t.Children) > 1 || len(c.Values) > 1 || slices.ContainsFunc(c.Items, several)
}

// TreeBuilder makes the tree of an object or a field from the live entries below it. Its size
// is that of what is added: callers bound it.
type TreeBuilder struct {
	prefix Path
	depth  int  // fields in prefix
	last   Path // added last
	root   Tree
}

// NewTreeBuilder returns a builder for what is at and under prefix: the path of an object or of
// a field. The error is that of Path.Parse, or ErrBadPath for a leaf or a member.
func NewTreeBuilder(prefix Path) (*TreeBuilder, error) {
	parts, err := prefix.Parse()
	if err != nil {
		return nil, err
	}
	if parts.Leaf != 0 {
		return nil, fmt.Errorf("%w: a leaf has no tree", ErrBadPath)
	}
	name, depth := parts.Key, len(parts.Fields)
	if depth > 0 {
		name = parts.Fields[depth-1]
	}
	return &TreeBuilder{prefix: prefix, depth: depth, root: Tree{Name: name}}, nil
}

// Add takes the live entries at one path. Paths come in ascending order, as a scan gives them:
// else the error is ErrOrder. What is not visible and types that are not known here are left
// out. Other errors are those of Path.Parse and CounterValue, and ErrBadPath for what is not a
// leaf or a member under the prefix. The tree shares the values of the entries.
func (b *TreeBuilder) Add(path Path, live []Entry) error {
	if path <= b.last {
		return ErrOrder
	}
	b.last = path
	parts, err := path.Parse()
	if err != nil {
		return err
	}
	if !b.prefix.Contains(path) || parts.Leaf == 0 || hasMembers(parts.Leaf) != (parts.Member != "") {
		return fmt.Errorf("%w: not a place under the prefix", ErrBadPath)
	}
	newest, ok := newestContent(live)
	if !ok || !Visible(parts.Leaf, live) {
		return nil
	}
	leaf := Child{Type: parts.Leaf, Time: newest.Time, Dot: newest.Dot}
	switch parts.Leaf {
	case Counter:
		if leaf.Count, err = CounterValue(live); err != nil {
			return fmt.Errorf("counter at %q: %w", path, err)
		}
	case Flag: // that it is there says all
	case Register:
		leaf.Values = RegisterValues(live)
	case Set:
		leaf.Members = []string{parts.Member}
	case List:
		item, _, err := ReadItem(Position(parts.Member), live)
		if err != nil {
			return fmt.Errorf("list item at %q: %w", path, err)
		}
		leaf.Items = []Item{item}
	default:
		return nil
	}
	b.root.add(parts.Fields[b.depth:], leaf)
	return nil
}

// hasMembers reports whether what is live of a type stands at members of its leaf.
func hasMembers(t Type) bool { return t == Set || t == List }

// Tree returns what was built. The builder must not be used afterwards.
func (b *TreeBuilder) Tree() Tree {
	b.root.sortChildren()
	return b.root
}

// add puts leaf at the end of fields. Because paths come ascending, a field that is there
// already is the last one.
func (t *Tree) add(fields []string, leaf Child) {
	if len(fields) == 0 {
		c := t.child(leaf)
		c.Values, c.Count = leaf.Values, leaf.Count
		c.Members = append(c.Members, leaf.Members...)
		c.Items = append(c.Items, leaf.Items...)
		return
	}
	c := t.child(Child{Type: Map, Time: leaf.Time, Dot: leaf.Dot})
	if n := len(c.Fields); n == 0 || c.Fields[n-1].Name != fields[0] {
		c.Fields = append(c.Fields, Tree{Name: fields[0]})
	}
	c.Fields[len(c.Fields)-1].add(fields[1:], leaf)
}

// child returns the child of like's type, which is made if need be and at least as new as like.
func (t *Tree) child(like Child) *Child {
	i := slices.IndexFunc(t.Children, func(c Child) bool { return c.Type == like.Type })
	if i < 0 {
		t.Children = append(t.Children, Child{Type: like.Type, Time: like.Time, Dot: like.Dot})
		return &t.Children[len(t.Children)-1]
	}
	c := &t.Children[i]
	if like.newer(*c) < 0 {
		c.Time, c.Dot = like.Time, like.Dot
	}
	return c
}

func (t *Tree) sortChildren() {
	slices.SortFunc(t.Children, Child.newer)
	for _, c := range t.Children {
		slices.SortFunc(c.Items, func(a, b Item) int { return cmp.Compare(a.Place, b.Place) })
		for i := range c.Fields {
			c.Fields[i].sortChildren()
		}
	}
}

func (c Child) newer(o Child) int {
	return Newer(Entry{Time: c.Time, Dot: c.Dot}, Entry{Time: o.Time, Dot: o.Dot})
}

// newestContent returns the newest entry that is no reset record.
func newestContent(live []Entry) (newest Entry, ok bool) {
	for _, e := range live {
		if e.Kind.content() && (!ok || Newer(e, newest) < 0) {
			newest, ok = e, true
		}
	}
	return newest, ok
}
