package store

import (
	"github.com/anabranchdb/anabranch/crdt"
)

// Place says where in a list an item goes: behind or before another one, at the start, or, when it
// says nothing, at the end. An item that was removed still has its place.
type Place struct {
	After, Before crdt.Position
	Start         bool
}

// Insert puts values into the list at leaf, in their order, and returns the ids of the items. The
// values are kept and must not be written afterwards. It returns crdt.ErrTooLarge for a value above
// crdt.MaxValueBytes, crdt.ErrBadPosition for a place that names none, and crdt.ErrNoPosition.
func (t *Tx) Insert(leaf crdt.Path, at Place, values [][]byte) ([]crdt.Position, error) {
	left, right, err := t.neighbours(leaf, at)
	if err != nil {
		return nil, err
	}
	ids := make([]crdt.Position, 0, len(values))
	for _, v := range values {
		if err := crdt.CheckValue(v); err != nil {
			return nil, err
		}
		id, err := crdt.Between(left, right, t.dot())
		if err != nil {
			return nil, err
		}
		t.adds = true
		p := leaf.Member(string(id))
		if err := t.edit(p, crdt.Insert(p, t.dot(), t.time, v)); err != nil {
			return nil, err
		}
		ids, left = append(ids, id), id
	}
	return ids, nil
}

// SetItem gives an item a value in place of those that seen covers. value is kept. It returns
// crdt.ErrNoElement for an item that is not in the list, and crdt.ErrTooLarge.
func (t *Tx) SetItem(leaf crdt.Path, id crdt.Position, value []byte, seen crdt.VersionVector) error {
	if err := crdt.CheckValue(value); err != nil {
		return err
	}
	e, err := t.present(leaf, id)
	if err != nil {
		return err
	}
	edits, err := e.Update(t.dot(), t.time, value, t.seenBy(seen))
	if err != nil {
		return err
	}
	t.adds = true
	return t.editAll(edits)
}

// MoveItem takes an item to another place. It returns crdt.ErrNoElement for one that is not in the
// list, and what Insert returns for places.
func (t *Tx) MoveItem(leaf crdt.Path, id crdt.Position, to Place) error {
	e, err := t.present(leaf, id)
	if err != nil {
		return err
	}
	left, right, err := t.neighbours(leaf, to)
	if err != nil {
		return err
	}
	p, err := crdt.Between(left, right, t.dot())
	if err != nil {
		return err
	}
	edits, err := e.Move(p, t.dot(), t.time)
	if err != nil {
		return err
	}
	t.adds = true
	return t.editAll(edits)
}

// RemoveItem takes an item away, as far as seen covers it, and reports whether that changed
// anything.
func (t *Tx) RemoveItem(leaf crdt.Path, id crdt.Position, seen crdt.VersionVector) (bool, error) {
	e, err := t.element(leaf, id)
	if err != nil {
		return false, err
	}
	changed, edits := false, e.Remove(t.seenBy(seen))
	for _, x := range edits {
		live, err := t.over.entries(x.Path)
		if err != nil {
			return false, err
		}
		changed = changed || t.hits(live, x.Edit) && x.Path == leaf.Member(string(id))
	}
	return changed, t.editAll(edits)
}

// present returns an element that a reader sees, else crdt.ErrNoElement.
func (t *Tx) present(leaf crdt.Path, id crdt.Position) (crdt.Element, error) {
	e, err := t.element(leaf, id)
	if err != nil {
		return e, err
	}
	live, err := t.Entries(leaf.Member(string(id)))
	if err == nil && !crdt.Visible(crdt.List, live) {
		err = crdt.ErrNoElement
	}
	return e, err
}

func (t *Tx) element(leaf crdt.Path, id crdt.Position) (crdt.Element, error) {
	if err := crdt.CheckPosition(string(id)); err != nil {
		return crdt.Element{}, err
	}
	return crdt.LoadElement(leaf, id, t.over.entries)
}

// seenBy says what an author with this clock takes the place of: a transaction sees its own writes,
// too, as in supersede. nil is everything.
func (t *Tx) seenBy(seen crdt.VersionVector) func(crdt.Dot) bool {
	if seen == nil {
		return nil
	}
	return func(d crdt.Dot) bool { return seen.Covers(d) || t.own(d) }
}

func (t *Tx) editAll(edits []crdt.PathEdit) error {
	for _, e := range edits {
		if err := t.edit(e.Path, e.Edit); err != nil {
			return err
		}
	}
	return nil
}

// neighbours returns the positions between which a place lies; "" are the ends.
func (t *Tx) neighbours(leaf crdt.Path, at Place) (left, right crdt.Position, err error) {
	switch {
	case at.Before != "":
		if right, err = t.standing(leaf, at.Before); err == nil {
			left, err = t.previous(leaf, right)
		}
	case at.After != "":
		if left, err = t.standing(leaf, at.After); err == nil {
			right, err = t.following(leaf, left)
		}
	case at.Start:
		right, err = t.following(leaf, "")
	default:
		left, err = t.previous(leaf, "")
	}
	return left, right, err
}

// standing returns where an item stands, or stood.
func (t *Tx) standing(leaf crdt.Path, id crdt.Position) (crdt.Position, error) {
	e, err := t.element(leaf, id)
	return e.Place(), err
}

// following returns the next position behind one at which something is live; whether a reader sees
// it does not matter.
func (t *Tx) following(leaf crdt.Path, p crdt.Position) (crdt.Position, error) {
	after := crdt.Path("")
	if p != "" {
		after = leaf.Member(string(p))
	}
	for {
		paths, err := t.over.paths(leaf, after, 1)
		if err != nil || len(paths) == 0 {
			return "", err
		}
		if q, ok, err := positionOf(paths[0]); ok || err != nil {
			return q, err
		}
		after = paths[0]
	}
}

// previous is following in the other direction; it begins at the end for "".
func (t *Tx) previous(leaf crdt.Path, p crdt.Position) (crdt.Position, error) {
	before := crdt.Path(prefixEnd(string(leaf)))
	if p != "" {
		before = leaf.Member(string(p))
	}
	for {
		path, err := t.over.last(leaf, before)
		if err != nil || path == "" {
			return "", err
		}
		if q, ok, err := positionOf(path); ok || err != nil {
			return q, err
		}
		before = path
	}
}

// positionOf returns the position that a path ends with, and false for the name of a later version.
func positionOf(p crdt.Path) (crdt.Position, bool, error) {
	parts, err := p.Parse()
	return crdt.Position(parts.Member), crdt.CheckPosition(parts.Member) == nil, err
}
