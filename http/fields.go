package http

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
)

// field is one field of a map that holds something itself: a register, a counter, a flag, a list, a set,
// or several of them after concurrent writes.
type field struct {
	path  crdt.Path
	names []string // from the object down
	// found are the children that stand here, ascending by type.
	found []child
}

// child is what stands at a field with one type.
type child struct {
	leaf   crdt.Type
	live   []crdt.Entry // of all but a list and a set
	newest crdt.Entry   // of all but a list and a set
}

// Bytes that order behind all leaves of a field and before the fields under it, and behind all
// members of a set or a list. No path has them.
const (
	behindLeaves  = "{"
	behindMembers = "\x7f"
)

// under is the prefix of the fields below an object or a field.
func under(p crdt.Path) crdt.Path { return p + "|" }

// fieldsOf yields the fields with visible content whose path has the prefix, behind `after`, in
// path order. Of a set or a list it reads one member and steps over the others.
func fieldsOf(rd Reader, prefix, after crdt.Path) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		var f field
		for more := true; more; {
			more = false
			for it, err := range rd.Scan(prefix, after) {
				var c child
				var at place
				if err == nil {
					at, c, err = readChild(it.Path, it.Entries)
				}
				if err != nil {
					yield(field{}, err)
					return
				}
				if c.leaf == 0 {
					continue
				}
				if at.path != f.path {
					if f.path != "" && !yield(f, nil) {
						return
					}
					f = field{path: at.path, names: at.names}
				}
				f.found = append(f.found, c)
				if c.leaf == crdt.Set || c.leaf == crdt.List {
					after, more = f.path.Leaf(c.leaf)+behindMembers, true
					break
				}
			}
		}
		if f.path != "" {
			yield(f, nil)
		}
	}
}

// place is where a child stands.
type place struct {
	path  crdt.Path
	names []string
}

// readChild takes apart what a scan yields. The child's leaf is 0 for what is not shown:
// counters without content and types that are not known here.
func readChild(p crdt.Path, live []crdt.Entry) (place, child, error) {
	parts, err := p.Parse()
	if err != nil {
		return place{}, child{}, err
	}
	leaf := p
	if parts.Member != "" {
		leaf, _ = p.SetLeaf()
	}
	newest, ok := newestContent(live)
	if !inMaps(parts.Leaf) || !ok || !crdt.Visible(parts.Leaf, live) {
		return place{}, child{}, nil
	}
	return place{leaf[:len(leaf)-1], parts.Fields}, child{parts.Leaf, live, newest}, nil
}

// inMaps reports whether a field of a map can hold the type itself.
func inMaps(t crdt.Type) bool {
	return t == crdt.Counter || t == crdt.Flag || t == crdt.List || t == crdt.Register || t == crdt.Set
}

// newestContent returns the newest entry that is no reset record: what dates a child.
func newestContent(live []crdt.Entry) (newest crdt.Entry, ok bool) {
	for _, e := range live {
		if e.Kind != crdt.KindReset && (!ok || crdt.Newer(e, newest) < 0) {
			newest, ok = e, true
		}
	}
	return newest, ok
}

// shownAt returns the type that the plain shape shows at a field: of the types that stand there
// the one with the newest entry, where crdt.Map stands for all that lies below. It returns 0
// when there is nothing. Only where concurrent writes left two types is anything read twice.
func shownAt(rd Reader, at crdt.Path) (crdt.Type, error) {
	var found []crdt.Type
	for f, err := range fieldsOf(rd, at, "") {
		if err != nil {
			return 0, err
		}
		if f.path != at {
			found = append(found, crdt.Map)
			break
		}
		for _, c := range f.found {
			found = append(found, c.leaf)
		}
	}
	switch len(found) {
	case 0:
		return 0, nil
	case 1:
		return found[0], nil
	}
	types, err := typesAt(rd, at)
	if err != nil || len(types) == 0 {
		return 0, err
	}
	return types[0], nil
}

// typesAt returns the types that stand at a field, newest first, where crdt.Map stands for all
// that lies below. It reads everything there.
func typesAt(rd Reader, at crdt.Path) ([]crdt.Type, error) {
	newest := map[crdt.Type]crdt.Entry{}
	for it, err := range rd.Scan(at, "") {
		if err != nil {
			return nil, err
		}
		p, c, err := readChild(it.Path, it.Entries)
		if err != nil {
			return nil, err
		}
		if c.leaf == 0 {
			continue
		}
		if p.path != at {
			c.leaf = crdt.Map
		}
		if e, ok := newest[c.leaf]; !ok || crdt.Newer(c.newest, e) < 0 {
			newest[c.leaf] = c.newest
		}
	}
	return slices.SortedFunc(maps.Keys(newest), func(a, b crdt.Type) int { return crdt.Newer(newest[a], newest[b]) }), nil
}

// standing is a field with what is shown of it.
type standing struct {
	field
	// types are all that stand here, newest first; crdt.Map stands for the fields below. The
	// plain shape shows the first.
	types []crdt.Type
	// hidden: the plain shape shows something else at a field above.
	hidden bool
}

// child returns what stands here with a type that is not crdt.Map.
func (s standing) child(t crdt.Type) child {
	for _, c := range s.found {
		if c.leaf == t {
			return c
		}
	}
	return child{}
}

// standings yields the fields whose path has the prefix, which is a field or what is under one,
// behind `after`, in path order.
func standings(rd Reader, prefix, after crdt.Path) iter.Seq2[standing, error] {
	return func(yield func(standing, error) bool) {
		hidden, err := hiddenAbove(rd, prefix, after)
		if err != nil {
			yield(standing{}, err)
			return
		}
		var last field
		// show yields the last field, now that it is known whether fields lie below it.
		show := func(below bool) bool {
			s := standing{field: last, types: []crdt.Type{last.found[0].leaf}, hidden: hidden != "" && hidden.Contains(last.path)}
			if len(last.found) > 1 || below {
				if s.types, err = typesAt(rd, last.path); err != nil {
					yield(standing{}, err)
					return false
				}
			}
			if below && !s.hidden && s.types[0] != crdt.Map {
				hidden = under(last.path)
			}
			return yield(s, nil)
		}
		for f, err := range fieldsOf(rd, prefix, after) {
			if err != nil {
				yield(standing{}, err)
				return
			}
			if last.path != "" && !show(under(last.path).Contains(f.path)) {
				return
			}
			last = f
		}
		if last.path != "" {
			show(false)
		}
	}
}

// plainField is a field as the plain shape shows it: with one child.
type plainField struct {
	path  crdt.Path
	names []string
	child
}

// plainFields yields what the plain shape shows of the fields under an object or a field, in
// path order, behind `after`: of two types at one field the newer. A field that is not shown is
// yielded with no leaf, so that the caller can count it.
func plainFields(rd Reader, base, after crdt.Path) iter.Seq2[plainField, error] {
	return func(yield func(plainField, error) bool) {
		for s, err := range standings(rd, under(base), after) {
			p := plainField{path: s.path, names: s.names}
			if err == nil && !s.hidden {
				p.child = s.child(s.types[0])
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// hiddenAbove returns the prefix that is hidden at the beginning of a page, "" if none is: when
// the page before ended below a field at which something newer stands.
func hiddenAbove(rd Reader, prefix, after crdt.Path) (crdt.Path, error) {
	if after == "" {
		return "", nil
	}
	after = crdt.Path(strings.TrimSuffix(string(after), behindLeaves))
	for i := len(prefix) - 1; i < len(after); i++ {
		if after[i] != '!' {
			continue
		}
		at := after[:i+1]
		shown, err := shownAt(rd, at)
		if err != nil {
			return "", err
		}
		if shown != crdt.Map && shown != 0 {
			return under(at), nil
		}
	}
	return "", nil
}
