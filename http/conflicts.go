package http

import (
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Limits of a page of conflicts.
const (
	// maxConflictScan bounds the work for one page: objects, and fields of maps.
	maxConflictScan  = 20_000
	maxConflictPaths = 10      // of one map, and items of one list
	maxConflictBytes = 1 << 20 // of names; a page ends behind the object that passes it
)

// Conflicts is a page of the list of objects with more than one concurrent value.
type Conflicts struct {
	Conflicts []Conflict `json:"conflicts" doc:"Objects in bytewise order of type and key."`
	Next      string     `json:"next,omitempty" doc:"The cursor of the next page. A page may be short or empty and have one; there is none behind the last."`
}

// Conflict is an object that holds more than one concurrent value.
type Conflict struct {
	Type  string     `json:"type" enum:"list,map,register"`
	Key   string     `json:"key"`
	Paths [][]string `json:"paths,omitempty" doc:"Of a map: the first fields with siblings, items with several values, or two types, up to 10."`
	Items []string   `json:"items,omitempty" doc:"Of a list: the first items with several values, up to 10."`
	More  bool       `json:"more,omitempty" doc:"Whether there may be more such fields or items. Of a map, shape=typed shows all."`
}

func getConflicts(r *request, v View) (any, error) {
	p, err := r.page("")
	if err != nil {
		return nil, err
	}
	f := conflictFinder{v: v, page: p, last: p.after, left: maxConflictScan, done: r.http.Context().Err}
	f.list.Conflicts = []Conflict{}
	err = f.run()
	return f.list, err
}

// conflictFinder makes one page.
type conflictFinder struct {
	v    View
	page page
	done func() error

	list  Conflicts
	last  crdt.Path // up to here, an object or a field of a map, everything was looked at
	left  int       // of the work for this page
	bytes int       // of names in the list
	full  bool      // the page has ended and there is more
}

func (f *conflictFinder) run() error {
	// A page may have ended within a map or a list.
	parts, err := f.last.Parse()
	switch {
	case f.last == "" || err != nil:
	case parts.Type == crdt.List && parts.Member != "":
		if err := f.listAt(f.last.ObjectPath(), f.last); err != nil {
			return err
		}
	case len(parts.Fields) > 0:
		if err := f.mapAt(f.last.ObjectPath(), f.last+behindLeaves); err != nil {
			return err
		}
	}
	for _, t := range []crdt.Type{crdt.List, crdt.Map, crdt.Register} {
		if f.full || f.last != "" && t < crdt.Type(f.last[0]) {
			continue
		}
		for o, err := range f.v.Objects(crdt.Path(rune(t)), f.last) {
			if err == nil && f.left <= 0 {
				f.end()
			}
			if err != nil || f.full {
				return err
			}
			if f.left--; o.Head.Entries < 2 || t == crdt.List && o.Head.Entries == o.Head.Visible {
				f.last = o.Path
				continue
			}
			switch t {
			case crdt.List:
				err = f.listAt(o.Path, "")
			case crdt.Map:
				err = f.mapAt(o.Path, "")
			default:
				err = f.register(o.Path)
			}
			if err != nil || f.full {
				return err
			}
		}
	}
	return nil
}

// end ends the page behind f.last.
func (f *conflictFinder) end() { f.list.Next, f.full = f.page.next(f.last), true }

// add puts an object into the list, or ends the page before it.
func (f *conflictFinder) add(object crdt.Path, c Conflict) error {
	if len(f.list.Conflicts) == f.page.limit || f.bytes > maxConflictBytes {
		f.end()
		return nil
	}
	parts, err := object.Parse()
	if err != nil {
		return err
	}
	c.Type, c.Key = parts.Type.String(), parts.Key
	f.bytes += len(c.Key)
	for _, id := range c.Items {
		f.bytes += len(id)
	}
	for _, path := range c.Paths {
		for _, name := range path {
			f.bytes += len(name)
		}
	}
	f.list.Conflicts = append(f.list.Conflicts, c)
	f.last = object
	return f.done()
}

func (f *conflictFinder) register(object crdt.Path) error {
	values, _, err := readRegister(f.v, object.Leaf(crdt.Register))
	if err != nil {
		return err
	}
	if len(values) > 1 {
		return f.add(object, Conflict{})
	}
	f.last = object
	return f.done()
}

// listAt looks at the items of a list behind `after`, as mapAt does at the fields of a map.
func (f *conflictFinder) listAt(object, after crdt.Path) error {
	var c Conflict
	leaf := object.Leaf(crdt.List)
	for i, err := range itemsOf(f.v, leaf, after) {
		if err == nil {
			err = f.done()
		}
		if err != nil {
			return err
		}
		if c.More = len(c.Items) > 0 && f.left <= 0 || len(c.Items) == maxConflictPaths; c.More {
			break
		}
		if f.left <= 0 {
			f.end()
			return nil
		}
		if f.left--; len(i.Values) > 1 {
			c.Items = append(c.Items, string(i.ID))
		}
		if len(c.Items) == 0 {
			f.last = leaf.Member(string(i.Place))
		}
	}
	if len(c.Items) > 0 {
		return f.add(object, c)
	}
	f.last = object
	return nil
}

// mapAt looks at the fields of a map behind `after`. The map is listed once: what lies behind the
// place where the work for this page is done is not looked at if a conflict was found before it.
func (f *conflictFinder) mapAt(object, after crdt.Path) error {
	var c Conflict
	var last field
	inList := false // an item of a list at the last field has several values
	// decide says whether there is a conflict at the last field, now that it is known whether
	// fields lie below it. It returns false when no more need be found.
	decide := func(below bool) bool {
		if below || last.concurrent() || inList {
			c.More = len(c.Paths) == maxConflictPaths
			if !c.More {
				c.Paths = append(c.Paths, last.names)
			}
		}
		return !c.More
	}
	for next, err := range fieldsOf(f.v, under(object), after) {
		if err == nil {
			err = f.done()
		}
		if err != nil {
			return err
		}
		if last.path != "" {
			if !decide(under(last.path).Contains(next.path)) {
				return f.add(object, c)
			}
			if len(c.Paths) == 0 {
				f.last = last.path
			}
		}
		if f.left <= 0 {
			if c.More = true; len(c.Paths) > 0 {
				return f.add(object, c)
			}
			f.end()
			return nil
		}
		f.left -= next.entries()
		last = next
		if inList, err = f.inList(next); err != nil {
			return err
		}
	}
	if last.path != "" {
		decide(false)
	}
	if len(c.Paths) > 0 {
		return f.add(object, c)
	}
	f.last = object
	return nil
}

// inList reports whether an item of a list at a field of a map has several values. A list is looked
// at to its end: pages end between fields.
func (f *conflictFinder) inList(at field) (bool, error) {
	leaf := at.path.Leaf(crdt.List)
	if !slices.ContainsFunc(at.found, func(c child) bool { return c.leaf == crdt.List }) {
		return false, nil
	}
	h, err := f.v.Head(leaf)
	if err != nil || h.Entries == h.Visible {
		return false, err
	}
	for i, err := range itemsOf(f.v, leaf, "") {
		if err == nil {
			err = f.done()
		}
		if f.left--; err != nil || len(i.Values) > 1 {
			return err == nil, err
		}
	}
	return false, nil
}

// concurrent reports whether more than one concurrent value stands at the field itself: siblings
// of a register, or two types.
func (f field) concurrent() bool {
	return len(f.found) > 1 || f.found[0].leaf == crdt.Register && len(crdt.RegisterValues(f.found[0].live)) > 1
}

// entries is at least 1, and how many were read.
func (f field) entries() int {
	n := 0
	for _, c := range f.found {
		n += max(1, len(c.live))
	}
	return n
}
