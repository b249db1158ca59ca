package http

import (
	"bytes"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Limits of what the feed reads of one object.
const (
	maxFeedValue = 64 << 10 // of a list, a set or a map as JSON
	maxFeedRead  = 1 << 20  // of its paths and entries
)

// inConflict reports whether an object holds more than one concurrent value. A map of more than
// maxWholeEntries is not looked at.
func inConflict(v View, object crdt.Path, h store.Head, done func() error) (bool, error) {
	t := crdt.Type(object[0])
	if h.Entries < 2 || h.Entries > maxWholeEntries {
		return false, nil
	}
	f := conflictFinder{v: v, page: page{limit: 1}, left: maxWholeEntries + 1, done: done}
	var err error
	switch t {
	case crdt.Register:
		err = f.register(object)
	case crdt.List:
		err = f.listAt(object, "")
	case crdt.Map:
		err = f.mapAt(object, "")
	}
	return len(f.list.Conflicts) > 0, err
}

// feedValue returns the value of an object as GET shows it, nil for a list, a set or a map that is
// too large, and for what is announced.
func feedValue(v View, object crdt.Path, h store.Head) (*jsonValue, error) {
	var value jsonValue
	switch t := crdt.Type(object[0]); t {
	case crdt.Counter:
		n, _, err := readCounter(v, object.Leaf(t))
		if err != nil {
			return nil, err
		}
		value = number(n).appendTo(nil)
	case crdt.Bounded:
		live, err := v.Entries(object.Leaf(t))
		if err != nil {
			return nil, err
		}
		x, err := crdt.ReadEscrow(live)
		if err != nil {
			return nil, err
		}
		value = number(x.Value).appendTo(nil)
	case crdt.Flag:
		value = flagValue()
	case crdt.Presence:
		return nil, nil // not only the object's own changes end it
	case crdt.Register:
		values, _, err := readRegister(v, object.Leaf(t))
		if err != nil || len(values) == 0 {
			return nil, err
		}
		value = values[0]
	default:
		return feedTree(v, object, h)
	}
	return &value, nil
}

// feedTree returns the value of a list, a set or a map.
func feedTree(v View, object crdt.Path, h store.Head) (*jsonValue, error) {
	if h.Visible > maxFeedValue/3 {
		return nil, nil // more members or fields than fit
	}
	b, err := crdt.NewTreeBuilder(object)
	if err != nil {
		return nil, err
	}
	read := 0
	for it, err := range v.Scan(object, "") {
		if err == nil {
			err = b.Add(it.Path, it.Entries)
		}
		if err != nil {
			return nil, err
		}
		read += len(it.Path)
		for _, e := range it.Entries {
			read += len(e.Value)
		}
		if read > maxFeedRead {
			return nil, nil
		}
	}
	var value jsonValue
	t := crdt.Type(object[0])
	switch c, _ := b.Tree().Child(t); t {
	case crdt.List:
		items := make([]Item, 0, len(c.Items))
		for _, i := range c.Items {
			items = append(items, itemOf(i))
		}
		if value, err = encodeJSON(items); err != nil {
			return nil, err
		}
		value = bytes.TrimSpace(value)
	case crdt.Set:
		value = appendStrings(nil, c.Members)
	default:
		value = appendFields(nil, c.Fields)
	}
	if len(value) > maxFeedValue {
		return nil, nil
	}
	return &value, nil
}
