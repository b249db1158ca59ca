package http

import (
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Field is a register, a counter, a flag, a list, a set or a map at a field of a map.
type Field struct {
	Type    string       `json:"type" enum:"counter,flag,list,map,register,set"`
	Key     string       `json:"key"`
	Path    []string     `json:"path"`
	Value   *jsonValue   `json:"value,omitempty" doc:"Of all but a list and a set."`
	Values  []jsonValue  `json:"values,omitempty" doc:"Of a register with siblings: all values, the newest first."`
	Members []string     `json:"members,omitempty" doc:"Of a set, with size and next, as for sets."`
	Items   []Item       `json:"items,omitempty" doc:"Of a list, with size and next, as for lists."`
	Size    uint64       `json:"size,omitempty"`
	Omitted []OmittedSet `json:"omitted,omitempty" doc:"Of a map in pages."`
	Next    string       `json:"next,omitempty"`
	// Conflict is there only when it is true.
	Conflict bool      `json:"conflict,omitempty" doc:"Of a register with siblings."`
	Expires  timestamp `json:"expires,omitempty" doc:"Of a flag, and of the newest value of a register: when it is hidden, in UTC."`
}

func getField(r *request, v View) (any, error) {
	key, names := r.name("key"), r.fields()
	at := crdt.Object(crdt.Map, key).Fields(names...)
	typed, err := r.typed()
	if err != nil {
		return nil, err
	}
	if typed {
		return r.typedField(v, at)
	}
	shown, err := shownAt(v, at)
	if err != nil {
		return nil, err
	}
	if _, ok := r.param("prefix"); ok && shown != crdt.Set && shown != 0 {
		return nil, badRequest("prefix is for sets; this field is a %v", shown)
	}
	switch shown {
	case 0:
		return nil, absentField(key)
	case crdt.Set:
		s, _, err := r.readSet(v, at.Leaf(crdt.Set), at.Leaf(crdt.Set))
		s.Key, s.Path = key, names
		return s, err
	case crdt.List:
		l, _, err := r.readList(v, at.Leaf(crdt.List), at.Leaf(crdt.List))
		l.Key, l.Path = key, names
		return l, err
	case crdt.Map:
		p, err := r.page(under(at), string(at))
		if err != nil {
			return nil, err
		}
		m, err := readMap(v, at, p)
		m.Key, m.Path = key, names
		return m, err
	}
	// A cursor is none of these types'.
	if _, err := r.page("", string(at), shown.String()); err != nil {
		return nil, err
	}
	switch shown {
	case crdt.Counter:
		c, _, err := readCounter(v, at.Leaf(crdt.Counter))
		return Counter{Type: "counter", Key: key, Path: names, Value: c}, err
	case crdt.Flag:
		live, err := v.Entries(at.Leaf(crdt.Flag))
		return Flag{Type: "flag", Key: key, Path: names, Value: true, Expires: timestampOf(crdt.VisibleUntil(crdt.Flag, live))}, err
	}
	return readRegisterField(v, at, key, names)
}

func absentField(key string) *Problem {
	return kindNotFound.with("the map %s has nothing at this path", quoted(key))
}

func readRegisterField(rd Reader, at crdt.Path, key string, names []string) (any, error) {
	values, expires, err := readRegister(rd, at.Leaf(crdt.Register))
	if err != nil {
		return nil, err
	}
	f := Field{Type: "register", Key: key, Path: names, Value: new(jsonValue("null")), Expires: expires}
	if len(values) > 0 {
		f.Value = &values[0]
	}
	if len(values) > 1 {
		f.Conflict, f.Values = true, slices.Clone(values)
	}
	return f, nil
}

func putField(r *request) (*reply, error) {
	value, err := readValue(r.body)
	if err != nil {
		return nil, err
	}
	o := op{target: crdt.Map, key: r.name("key"), path: r.fields(), action: actValue, value: value}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		_, err := o.apply(tx, seen)
		return nil, err
	})
}

func deleteField(r *request) (*reply, error) {
	o := op{target: crdt.Map, key: r.name("key"), path: r.fields(), action: actDelete}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		_, err := o.apply(tx, seen)
		return nil, err
	})
}
