package http

import (
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// TypedMap is a map, or what is at and under one of its fields, with every type and every
// concurrent value: the typed shape.
type TypedMap struct {
	Type     string       `json:"type" enum:"counter,flag,list,map,register,set" doc:"What the plain shape shows here."`
	Key      string       `json:"key"`
	Path     []string     `json:"path,omitempty" doc:"The fields that lead here; none for the whole map."`
	Conflict bool         `json:"conflict" doc:"Whether a field in this reply has a conflict."`
	Fields   []TypedField `json:"fields" doc:"The fields that hold something themselves, in bytewise order of their paths."`
	Next     string       `json:"next,omitempty" doc:"In a page: the cursor of the next one; there is none behind the last."`
}

// TypedField is one field: what the plain shape shows of it, and what else stands there.
type TypedField struct {
	Path []string `json:"path" doc:"From the map down."`
	TypedChild
	Conflict bool         `json:"conflict,omitempty" doc:"Whether a register or an item of a list here has several values, or two types stand here."`
	Others   []TypedChild `json:"others,omitempty" doc:"Of two types at one field the older ones, the newest first."`
	Hidden   bool         `json:"hidden,omitempty" doc:"Whether the plain shape shows something else at a field above."`
}

// TypedChild is what stands at a field with one type. A map stands for the fields below, which
// are listed on their own.
type TypedChild struct {
	Type    string      `json:"type" enum:"counter,flag,list,map,register,set"`
	Value   *jsonValue  `json:"value,omitempty" doc:"Of a counter and a flag, and the newest of a register."`
	Values  []jsonValue `json:"values,omitempty" doc:"Of a register with siblings: all values, the newest first."`
	Members []string    `json:"members,omitempty" doc:"Of a set; left out in a page when there are more than 1000."`
	Items   []Item      `json:"items,omitempty" doc:"Of a list; left out in a page when there are more than 1000, or more than 4 MiB of them."`
	Size    uint64      `json:"size,omitempty" doc:"Of a set or a list: how many members or items it has."`
	Expires timestamp   `json:"expires,omitempty" doc:"Of a flag, and of the newest value of a register: when it is hidden, in UTC."`
	// Deadlines are those of members.
	Deadlines map[string]timestamp `json:"deadlines,omitempty" doc:"Of a set: when members are hidden that have a deadline, in UTC, by member."`
}

// typed reads the query parameter shape.
func (r *request) typed() (bool, error) {
	shape, ok := r.param("shape")
	if ok && shape != "plain" && shape != "typed" {
		return false, badRequest("shape is plain or typed")
	}
	return shape == "typed", nil
}

// typedMap answers with a map, whole or a page of it.
func (r *request) typedMap(v View, base crdt.Path, p page) (any, error) {
	t := TypedMap{Type: "map", Key: r.name("key")}
	return &t, t.read(v, under(base), p)
}

// typedField answers with what is at and under a field.
func (r *request) typedField(v View, at crdt.Path) (any, error) {
	if _, ok := r.param("prefix"); ok {
		return nil, badRequest("prefix is for the plain shape of sets")
	}
	p, err := r.page(at, mapQuery(at, true)...)
	if err != nil {
		return nil, err
	}
	shown, err := shownAt(v, at)
	if err != nil {
		return nil, err
	}
	t := TypedMap{Type: shown.String(), Key: r.name("key"), Path: r.fields()}
	if shown == 0 {
		return nil, absentField(t.Key)
	}
	return &t, t.read(v, at, p)
}

// read reads the fields whose path has the prefix.
func (t *TypedMap) read(rd Reader, prefix crdt.Path, p page) error {
	t.Fields = []TypedField{}
	b := typedBuilder{rd: rd, page: p}
	after := p.after
	if after != "" {
		after += behindLeaves
	}
	var last crdt.Path
	for s, err := range standings(rd, prefix, after) {
		if err != nil {
			return err
		}
		if p.asked && (len(t.Fields) == p.limit || b.bytes > maxPageBytes) {
			t.Next = p.next(last)
			return nil
		}
		f, err := b.field(s)
		if err != nil {
			return err
		}
		t.Fields, t.Conflict, last = append(t.Fields, f), t.Conflict || f.Conflict, s.path
	}
	return nil
}

// typedBuilder makes typed fields and counts what they hold.
type typedBuilder struct {
	rd      Reader
	page    page
	entries uint64
	bytes   int
}

func (b *typedBuilder) field(s standing) (TypedField, error) {
	f := TypedField{Path: s.names, Conflict: len(s.types) > 1, Hidden: s.hidden}
	for _, name := range s.names {
		b.bytes += len(name)
	}
	for i, t := range s.types {
		c, err := b.child(s, t)
		if err != nil {
			return f, err
		}
		conflict := func(i Item) bool { return i.Conflict }
		f.Conflict = f.Conflict || len(c.Values) > 0 || slices.ContainsFunc(c.Items, conflict)
		if i == 0 {
			f.TypedChild = c
		} else {
			f.Others = append(f.Others, c)
		}
	}
	return f, nil
}

func (b *typedBuilder) child(s standing, t crdt.Type) (TypedChild, error) {
	c := TypedChild{Type: t.String()}
	live := s.child(t).live
	switch t {
	case crdt.Counter:
		v, err := crdt.CounterValue(live)
		if err != nil {
			return c, err
		}
		c.Value = new(jsonValue(number(v).appendTo(nil)))
	case crdt.Flag:
		c.Value, c.Expires = new(flagValue()), timestampOf(crdt.VisibleUntil(crdt.Flag, live))
	case crdt.Register:
		values := crdt.RegisterValues(live)
		c.Value, c.Expires = new(jsonValue(appendFirst(nil, values))), timestampOf(newestDeadline(live))
		if len(values) > 1 {
			for _, v := range values {
				c.Values = append(c.Values, v)
			}
		}
	case crdt.List:
		return c, b.list(&c, s.path.Leaf(crdt.List))
	case crdt.Set:
		return c, b.set(&c, s.path.Leaf(crdt.Set))
	}
	for _, e := range live {
		b.bytes += len(e.Value)
	}
	return c, b.count(uint64(len(live)))
}

func (b *typedBuilder) list(c *TypedChild, leaf crdt.Path) error {
	h, err := b.rd.Head(leaf)
	if err != nil {
		return err
	}
	if c.Size = h.Visible; b.page.asked && h.Visible > maxPageMembers {
		return nil
	}
	limit := maxPageBytes
	if !b.page.asked {
		limit = maxWholeBytes - b.bytes
	}
	if err := b.count(h.Entries); err != nil {
		return err
	}
	items, whole, err := allItems(b.rd, leaf, limit)
	if err != nil || !whole {
		if err == nil && !b.page.asked {
			err = errLargeMap
		}
		return err
	}
	for _, i := range items {
		c.Items = append(c.Items, itemOf(i))
		b.bytes += c.Items[len(c.Items)-1].bytes()
	}
	return nil
}

func (b *typedBuilder) set(c *TypedChild, leaf crdt.Path) error {
	h, err := b.rd.Head(leaf)
	if err != nil {
		return err
	}
	if c.Size = h.Visible; b.page.asked && h.Visible > maxPageMembers {
		return nil
	}
	if err := b.count(h.Visible); err != nil {
		return err
	}
	for it, err := range b.rd.Scan(leaf, "") {
		if err != nil {
			return err
		}
		member, err := memberOf(it.Path)
		if err != nil {
			return err
		}
		c.Members = append(c.Members, member)
		if d := crdt.VisibleUntil(crdt.Set, it.Entries); d != 0 {
			if c.Deadlines == nil {
				c.Deadlines = map[string]timestamp{}
			}
			c.Deadlines[member] = timestampOf(d)
			b.bytes += len(member)
		}
		b.bytes += len(member)
	}
	return nil
}

// count returns errLargeMap for a map that is too large to be shown whole.
func (b *typedBuilder) count(entries uint64) error {
	b.entries += entries
	if !b.page.asked && (b.entries > maxWholeEntries || b.bytes > maxWholeBytes) {
		return errLargeMap
	}
	return nil
}
