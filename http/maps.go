package http

import (
	"errors"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Limits of a map that is shown whole, and of a page of one.
const (
	maxWholeEntries = 10_000
	maxWholeBytes   = 64 << 20
	maxPageBytes    = 4 << 20 // a page ends early behind the field that passes it
	maxPageMembers  = 1000    // of a set in a page
)

// Map is a map in a reply, whole or a page of it.
type Map struct {
	Type  string    `json:"type" enum:"map"`
	Key   string    `json:"key" minLength:"1"`
	Path  []string  `json:"path,omitempty" doc:"The fields that lead to it, for a map in a map."`
	Value jsonValue `json:"value" doc:"An object: counters as numbers, flags as true, registers as their values, sets and lists as arrays, maps as objects."`
	// Omitted are sets and lists that are too large for a page.
	Omitted []OmittedSet `json:"omitted,omitempty" doc:"In a page: sets of more than 1000 members and lists of more than 1000 items or 4 MiB, which are left out of value. Their own resource pages over them."`
	Next    string       `json:"next,omitempty" doc:"In a page: the cursor of the next one; there is none behind the last."`
}

// OmittedSet names a set or a list that a page of a map leaves out.
type OmittedSet struct {
	Path []string `json:"path"`
	Size uint64   `json:"size"`
}

// MapOps is the body of PATCH to a map.
type MapOps struct {
	Ops []MapOp `json:"ops" maxItems:"1000"`
}

// MapOp is one action at one field of a map: one of inc, reset, enable, value, delete,
// insert, or add and remove together or alone; or one of value, a place and delete of an item.
type MapOp struct {
	Path    []string    `json:"path" minItems:"1" maxItems:"32"`
	Inc     *amount     `json:"inc,omitempty"`
	Reset   bool        `json:"reset,omitempty" enum:"true"`
	Enable  *bool       `json:"enable,omitempty"`
	Value   *jsonValue  `json:"value,omitempty"`
	Add     []string    `json:"add,omitempty"`
	Remove  []string    `json:"remove,omitempty"`
	Insert  []jsonValue `json:"insert,omitempty" doc:"Values for a list, at its end, or where one of after, before and at says."`
	Item    string      `json:"item,omitempty" doc:"An item of a list to set, by value, to move, by one of after, before and at, or to delete."`
	After   string      `json:"after,omitempty"`
	Before  string      `json:"before,omitempty"`
	At      string      `json:"at,omitempty" enum:"start,end"`
	Delete  bool        `json:"delete,omitempty" enum:"true"`
	TTL     string      `json:"ttl,omitempty" doc:"How long what is written is to be seen, as 90s, 15m or 36h; with value, add, enable and insert."`
	Expires timestamp   `json:"expires,omitempty" doc:"In place of ttl: until when."`
}

func getMap(r *request, v View) (any, error) {
	key := r.name("key")
	base := crdt.Object(crdt.Map, key)
	typed, err := r.typed()
	if err != nil {
		return nil, err
	}
	p, err := r.page(under(base), mapQuery(base, typed)...)
	if err != nil {
		return nil, err
	}
	h, err := v.Head(base)
	if err != nil {
		return nil, err
	}
	if h.Visible == 0 {
		return nil, absent(crdt.Map, key)
	}
	if !p.asked && h.Entries > maxWholeEntries {
		return nil, errLargeMap
	}
	if typed {
		return r.typedMap(v, base, p)
	}
	m, err := readMap(v, base, p)
	m.Key = key
	return m, err
}

var errLargeMap = tooLarge(maxWholeEntries, "the map has more than %d live entries or its values more than %d bytes: page over it with limit and cursor", maxWholeEntries, maxWholeBytes)

// mapQuery is what cursors over a map or a field are bound to: those of one shape are none of the
// other's.
func mapQuery(base crdt.Path, typed bool) []string {
	if typed {
		return []string{string(base), "typed"}
	}
	return []string{string(base)}
}

// readMap reads the page of a map that is asked for, or the whole. base is the path of an
// object or of a field.
func readMap(rd Reader, base crdt.Path, p page) (Map, error) {
	m := Map{Type: "map"}
	if p.asked {
		return m, m.readPage(rd, base, p)
	}
	b, err := crdt.NewTreeBuilder(base)
	if err != nil {
		return m, err
	}
	entries, bytes := 0, 0
	for it, err := range rd.Scan(under(base), "") {
		if err != nil {
			return m, err
		}
		entries += len(it.Entries)
		for _, e := range it.Entries {
			bytes += len(e.Value) + len(e.Path)
		}
		if entries > maxWholeEntries || bytes > maxWholeBytes {
			return m, errLargeMap
		}
		if err := b.Add(it.Path, it.Entries); err != nil {
			return m, err
		}
	}
	tree := b.Tree()
	c, _ := tree.Child(crdt.Map)
	m.Value = appendFields(nil, c.Fields)
	return m, nil
}

// appendFields appends the plain shape of fields as a JSON object.
func appendFields(b []byte, fields []crdt.Tree) []byte {
	b = append(b, '{')
	for _, f := range fields {
		c, ok := f.Plain()
		if !ok {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, f.Name), ':')
		switch c.Type {
		case crdt.Counter:
			b = number(c.Count).appendTo(b)
		case crdt.Flag:
			b = append(b, flagValue()...)
		case crdt.Register:
			b = appendFirst(b, c.Values)
		case crdt.Set:
			b = appendStrings(b, c.Members)
		case crdt.List:
			b = appendItems(b, c.Items)
		case crdt.Map:
			b = appendFields(b, c.Fields)
		}
	}
	return append(b, '}')
}

// appendFirst appends the newest value of a register. One that holds only what is not known
// here shows as null.
func appendFirst(b []byte, values [][]byte) []byte {
	if len(values) == 0 {
		return append(b, "null"...)
	}
	return append(b, values[0]...)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, s)
	}
	return append(b, ']')
}

// readPage reads a page: up to p.limit fields that hold something themselves, in path order, in
// the nested object that they make. A set is one field.
func (m *Map) readPage(rd Reader, base crdt.Path, p page) error {
	parts, err := base.Parse()
	if err != nil {
		return err
	}
	out := nested{b: []byte{'{'}}
	after := p.after
	if after != "" {
		after += behindLeaves
	}
	n := 0
	var last crdt.Path
	for f, err := range plainFields(rd, base, after) {
		if err != nil {
			return err
		}
		if n == p.limit || len(out.b) > maxPageBytes {
			m.Next = p.next(last)
			break
		}
		n++
		last = f.path
		if err := m.appendField(&out, rd, f, len(parts.Fields)); err != nil {
			return err
		}
	}
	m.Value = out.end()
	return nil
}

func (m *Map) appendField(out *nested, rd Reader, f plainField, depth int) error {
	switch f.leaf {
	case crdt.Counter:
		v, err := crdt.CounterValue(f.live)
		if err != nil {
			return err
		}
		out.field(f.names[depth:])
		out.b = number(v).appendTo(out.b)
	case crdt.Flag:
		out.field(f.names[depth:])
		out.b = append(out.b, flagValue()...)
	case crdt.Register:
		out.field(f.names[depth:])
		out.b = appendFirst(out.b, crdt.RegisterValues(f.live))
	case crdt.List, crdt.Set:
		return m.appendMembers(out, rd, f, depth)
	}
	return nil
}

// appendMembers appends a set or a list, or says that it is left out.
func (m *Map) appendMembers(out *nested, rd Reader, f plainField, depth int) error {
	leaf := f.path.Leaf(f.leaf)
	h, err := rd.Head(leaf)
	if err != nil {
		return err
	}
	if h.Visible > maxPageMembers {
		m.Omitted = append(m.Omitted, OmittedSet{Path: f.names, Size: h.Visible})
		return nil
	}
	if f.leaf == crdt.List {
		items, whole, err := allItems(rd, leaf, maxPageBytes)
		if err != nil {
			return err
		}
		if !whole {
			m.Omitted = append(m.Omitted, OmittedSet{Path: f.names, Size: h.Visible})
			return nil
		}
		out.field(f.names[depth:])
		out.b = appendItems(out.b, items)
		return nil
	}
	out.field(f.names[depth:])
	var members []string
	for it, err := range rd.Scan(leaf, "") {
		if err != nil {
			return err
		}
		member, err := memberOf(it.Path)
		if err != nil {
			return err
		}
		members = append(members, member)
	}
	out.b = appendStrings(out.b, members)
	return nil
}

// nested writes nested objects from fields that come in path order.
type nested struct {
	b    []byte
	open []string // objects that are open below the outermost
}

// field writes everything up to the value of a field.
func (n *nested) field(names []string) {
	parents := names[:len(names)-1]
	same := 0
	for same < len(parents) && same < len(n.open) && parents[same] == n.open[same] {
		same++
	}
	for range n.open[same:] {
		n.b = append(n.b, '}')
	}
	for i, name := range names[same:] {
		if i > 0 {
			n.b = append(n.b, '{')
		} else if n.b[len(n.b)-1] != '{' {
			n.b = append(n.b, ',')
		}
		n.b = append(appendQuoted(n.b, name), ':')
	}
	n.open = append(n.open[:same], parents[same:]...)
}

func (n *nested) end() []byte {
	for range n.open {
		n.b = append(n.b, '}')
	}
	return append(n.b, '}')
}

func changeMap(r *request) (*reply, error) {
	if r.media == mediaTypeMerge {
		return mergeMap(r)
	}
	key := r.name("key")
	ops, _, err := readOps(r.body, opForm{path: true})
	if err != nil {
		return nil, err
	}
	for i := range ops {
		if ops[i].target, ops[i].key = crdt.Map, key; len(ops[i].path) == 0 {
			return nil, badRequest("op %d has no path", i+1)
		}
	}
	rep, err := r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		for i := range ops {
			if _, err := ops[i].apply(tx, seen); err != nil {
				return nil, inOp(i, err)
			}
		}
		return r.keptMap(tx, key)
	})
	if err != nil || rep.body != nil {
		return rep, err
	}
	return r.answerMap(rep, key)
}

// answerMap replies with the map as it is after the commit: the whole, or the first page of one
// that is too large to be shown whole.
func (r *request) answerMap(rep *reply, key string) (*reply, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	v, err := ns.View(r.http.Context())
	if err != nil {
		return nil, err
	}
	defer v.Close()
	base := crdt.Object(crdt.Map, key)
	m, err := readMap(v, base, page{})
	switch {
	case errors.Is(err, errLargeMap):
		// The cursor in the reply is one of GET.
		first := page{limit: defaultLimit, asked: true, query: binding(mapPattern, ns.Name(), string(base))}
		m, err = readMap(v, base, first)
	case err == nil:
		var h store.Head
		if h, err = v.Head(base); h.Visible > 0 {
			rep.etag = quoteTag(opaqueTag(ns.Replica(), h))
		}
	}
	m.Key = key
	rep.body, rep.token = m, encodeToken(ns.Name(), v.Clock())
	return rep, err
}
