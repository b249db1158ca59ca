package http

import (
	"errors"

	"github.com/anabranchdb/anabranch/crdt"
)

// A merge patch (RFC 7396) is read whole before anything is written: a tree of changes. What it
// says of a field is held against what the plain shape of the map shows there.

// change is what a merge patch says of one field. It is a null when it has neither a value nor
// is an object.
type change struct {
	name   string
	value  []byte // to be written as a register
	object bool
	under  []change // of an object
}

func (c *change) null() bool { return c.value == nil && !c.object }

// mergeReader counts what a merge patch would do.
type mergeReader struct {
	d       *jsonReader
	items   int // values, nulls and empty objects
	objects int // that are not empty
	path    []string
}

// readMerge reads a merge patch of a map.
func readMerge(body []byte) ([]change, error) {
	m := mergeReader{d: &jsonReader{b: body}}
	changes, err := m.object()
	if err == nil {
		err = m.d.end()
	}
	return changes, err
}

func (m *mergeReader) object() ([]change, error) {
	changes := []change{}
	err := m.d.object(func(name string) error {
		m.path = append(m.path, name)
		if err := checkFields(m.path); err != nil {
			return err
		}
		c := change{name: name}
		if err := m.member(&c); err != nil {
			return err
		}
		changes = append(changes, c)
		m.path = m.path[:len(m.path)-1]
		return nil
	})
	return changes, err
}

func (m *mergeReader) member(c *change) (err error) {
	if m.d.peek() == '{' {
		c.object = true
		if c.under, err = m.object(); err == nil && len(c.under) > 0 {
			return m.count(&m.objects)
		}
	} else if c.value, err = m.d.value(); string(c.value) == "null" {
		c.value = nil
	}
	if err == nil && c.value != nil {
		err = crdt.CheckValue(c.value)
	}
	if err != nil {
		return err
	}
	return m.count(&m.items)
}

func (m *mergeReader) count(n *int) error {
	if *n++; *n > maxItems {
		return errLargeMerge
	}
	return nil
}

var errLargeMerge = tooLarge(maxItems, "a merge patch changes at most %d fields, in at most as many objects", maxItems)

func mergeMap(r *request) (*reply, error) {
	key := r.name("key")
	changes, err := readMerge(r.body)
	if err != nil {
		return nil, err
	}
	rep, err := r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		m := merger{tx: tx, seen: seen}
		if err := m.fields(crdt.Object(crdt.Map, key), changes); err != nil {
			return nil, err
		}
		return r.keptMap(tx, key)
	})
	if err != nil || rep.body != nil {
		return rep, err
	}
	return r.answerMap(rep, key)
}

// merger applies a merge patch in a transaction.
type merger struct {
	tx   Tx
	seen crdt.VersionVector
	made int // registers that were made of members of a register's value
}

func (m *merger) fields(base crdt.Path, changes []change) error {
	for i := range changes {
		if err := m.field(base.Field(changes[i].name), &changes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) field(at crdt.Path, c *change) error {
	if c.null() {
		_, err := m.tx.Delete(at, m.seen)
		return err
	}
	shown, err := shownAt(m.tx, at)
	switch {
	case err != nil:
		return err
	case c.object:
		return m.object(at, shown, c.under)
	}
	same, err := m.shows(at, shown, c.value)
	if err != nil || same {
		return err
	}
	array := c.value[0] == '['
	scalars := shown == crdt.Counter || shown == crdt.Flag
	arrays := shown == crdt.Set || shown == crdt.List
	if scalars && !array || arrays && array {
		return kindWrongType.with("the field %s is a %v, which no value replaces: change it by ops, or delete it first", quoted(c.name), shown)
	}
	return assignField(m.tx, at, c.value, m.seen)
}

// object goes into a field. What shows there and is no map gives way, as a value would.
func (m *merger) object(at crdt.Path, shown crdt.Type, under []change) error {
	if shown == crdt.Map || shown == 0 {
		return m.fields(at, under)
	}
	if shown == crdt.Register {
		was, err := m.register(at)
		if err != nil {
			return err
		}
		if jsonClass(was) == '{' {
			changed := false
			if under, changed = overlay(membersOf(was), under); !changed {
				return nil
			}
		}
	}
	if _, err := m.tx.Delete(at, m.seen); err != nil {
		return err
	}
	return m.create(at, under)
}

// create writes what changes say where nothing shows.
func (m *merger) create(base crdt.Path, changes []change) error {
	for _, c := range changes {
		if c.null() {
			continue
		}
		at := base.Field(c.name)
		// A name in a register's value may be one that no field can have.
		if _, err := at.Parse(); errors.Is(err, crdt.ErrEmptyName) {
			return kindWrongType.with("the register here holds an object with an empty name, which no field can have: write it whole, or delete it first")
		} else if err != nil {
			return err
		}
		if c.object {
			if err := m.create(at, c.under); err != nil {
				return err
			}
			continue
		}
		if m.made++; m.made > maxItems {
			return errLargeMerge
		}
		if err := assignField(m.tx, at, c.value, m.seen); err != nil {
			return err
		}
	}
	return nil
}

// register returns the value that a register shows.
func (m *merger) register(at crdt.Path) ([]byte, error) {
	live, err := m.tx.Entries(at.Leaf(crdt.Register))
	if err != nil {
		return nil, err
	}
	return appendFirst(nil, crdt.RegisterValues(live)), nil
}

// shows reports whether the plain shape of a field is this value.
func (m *merger) shows(at crdt.Path, shown crdt.Type, value []byte) (bool, error) {
	switch shown {
	case crdt.Counter:
		c, _, err := readCounter(m.tx, at.Leaf(crdt.Counter))
		return equalJSON(c.appendTo(nil), value), err
	case crdt.Flag:
		return equalJSON(flagValue(), value), nil
	case crdt.Register:
		was, err := m.register(at)
		return err == nil && equalJSON(was, value), err
	case crdt.List:
		return m.showsList(at.Leaf(crdt.List), value)
	case crdt.Set:
		return m.showsSet(at.Leaf(crdt.Set), value)
	}
	return false, nil
}

func (m *merger) showsList(leaf crdt.Path, value []byte) (bool, error) {
	if value[0] != '[' {
		return false, nil
	}
	var want [][]byte
	d := &jsonReader{b: value}
	if err := d.array(func() error {
		v, err := d.value()
		want = append(want, v)
		return err
	}); err != nil {
		return false, err // it was read before
	}
	h, err := m.tx.Head(leaf)
	if err != nil || h.Visible != uint64(len(want)) {
		return false, err
	}
	for i, err := range itemsOf(m.tx, leaf, "") {
		if err != nil || len(want) == 0 || !equalJSON(i.Values[0], want[0]) {
			return false, err
		}
		want = want[1:]
	}
	return len(want) == 0, nil
}

func (m *merger) showsSet(leaf crdt.Path, value []byte) (bool, error) {
	if value[0] != '[' {
		return false, nil
	}
	want, err := (&jsonReader{b: value}).strings()
	if err != nil {
		return false, nil // not an array of strings alone
	}
	h, err := m.tx.Head(leaf)
	if err != nil || h.Visible != uint64(len(want)) {
		return false, err
	}
	for it, err := range m.tx.Scan(leaf, "") {
		if err != nil {
			return false, err
		}
		member, err := memberOf(it.Path)
		if err != nil || len(want) == 0 || member != want[0] {
			return false, err
		}
		want = want[1:]
	}
	return len(want) == 0, nil
}

// membersOf returns the members of a JSON object that was checked when it came in, each as a
// value that stays as it is.
func membersOf(object []byte) []change {
	var members []change
	d := &jsonReader{b: object}
	if err := d.object(func(name string) error {
		value, err := d.value()
		members = append(members, change{name: name, value: value})
		return err
	}); err != nil {
		return nil // not written by this API; what shows is replaced
	}
	return members
}

// overlay applies changes to the members of an object that is the value of a register. What it
// returns makes the merged object as fields of a map: members that stay, stay whole. It reports
// false when the changes change nothing.
func overlay(members, changes []change) (merged []change, changed bool) {
	at := make(map[string]int, len(members))
	for i := range members {
		at[members[i].name] = i
	}
	for _, c := range changes {
		i, ok := at[c.name]
		switch {
		case !ok && !c.makes():
			continue
		case !ok:
			members = append(members, c)
		case c.null():
			members[i].value = nil
		case c.object && jsonClass(members[i].value) == '{':
			under, differs := overlay(membersOf(members[i].value), c.under)
			if !differs {
				continue
			}
			members[i] = change{name: c.name, object: true, under: under}
		case !c.object && equalJSON(members[i].value, c.value):
			continue
		default:
			members[i] = c
		}
		changed = true
	}
	return members, changed
}

// makes reports whether the change makes something where nothing was.
func (c *change) makes() bool {
	if !c.object {
		return c.value != nil
	}
	for i := range c.under {
		if c.under[i].makes() {
			return true
		}
	}
	return false
}
