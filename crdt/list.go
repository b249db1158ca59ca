package crdt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrNoElement is returned for an item that is not in the list.
var ErrNoElement = errors.New("crdt: the list has no such item")

// ElementValue is the value of a KindElement entry. A move writes the values of an element anew, so
// that they outlive a removal that did not see it; such an entry names the write that it carries.
// A write names the writes that it took the place of: one of them may still be carried by a move
// that was made at the same time.
type ElementValue struct {
	// Written is the dot of the write; the zero Dot stands for that of the entry.
	Written Dot
	// Replaces are the latest writes of their replicas that this one has seen, the newest first; of
	// each replica one, at most maxReplaces. What these replicas wrote before is replaced, too.
	Replaces []Dot
	JSON     []byte
}

// maxReplaces bounds Replaces. Beyond it a value that was overwritten long ago can come up again beside the
// new one, if it is carried by a move that was made before all those writes were heard of.
const maxReplaces = 64

// Encode returns the canonical encoding: twice the number of dots in Replaces, and one if Written is
// there, as a varint; Written; Replaces; each dot as replica (8 bytes, big-endian) and seq as a
// varint; then the JSON.
func (v ElementValue) Encode() []byte {
	carried := v.Written != (Dot{})
	b := make([]byte, 0, 1+12*len(v.Replaces)+12+len(v.JSON))
	head := uint64(2 * len(v.Replaces))
	if carried {
		head++
	}
	if b = binary.AppendUvarint(b, head); carried {
		b = appendDot(b, v.Written)
	}
	for _, d := range v.Replaces {
		b = appendDot(b, d)
	}
	return append(b, v.JSON...)
}

func appendDot(b []byte, d Dot) []byte {
	return binary.AppendUvarint(binary.BigEndian.AppendUint64(b, uint64(d.Replica)), d.Seq)
}

// DecodeElementValue is the inverse of Encode. It returns an error that wraps ErrDamaged for every
// other input. JSON shares memory with b.
func DecodeElementValue(b []byte) (ElementValue, error) {
	d := decoder{b: b}
	head := d.uvarint()
	if head/2 > maxReplaces {
		d.fail("too many writes")
		head = 0
	}
	var v ElementValue
	if head%2 == 1 {
		v.Written = d.dot()
	}
	for range head / 2 {
		w := d.dot()
		if slices.ContainsFunc(v.Replaces, func(o Dot) bool { return o.Replica == w.Replica }) {
			d.fail("a replica twice")
		}
		v.Replaces = append(v.Replaces, w)
	}
	if d.err == nil && len(d.b) == 0 {
		d.fail("no value")
	}
	v.JSON = d.b
	return v, d.err
}

func (d *decoder) dot() Dot { return Dot{Replica: d.replica(), Seq: d.lineage()} }

// covers reports whether the write v has seen w.
func (v ElementValue) covers(w Dot) bool {
	return slices.ContainsFunc(v.Replaces, func(o Dot) bool { return o.Replica == w.Replica && w.Seq <= o.Seq })
}

// Item is an element of a list as a reader sees it.
type Item struct {
	ID Position
	// Place is where it stands: its id until it was moved.
	Place Position
	// Values are JSON, newest first: more than one after concurrent writes.
	Values [][]byte
	// Expires is the deadline of the newest value, 0 for none.
	Expires Deadline
}

// ReadItem returns the element with this id from the live entries at its id, and false when there
// is none. Of several places, after concurrent moves, the newest counts. The values are shared. The
// error wraps ErrDamaged.
func ReadItem(id Position, live []Entry) (Item, bool, error) {
	values, err := elementValues(live)
	if err != nil || len(values) == 0 {
		return Item{}, false, err
	}
	item := Item{ID: id, Place: id, Expires: values[0].Expires}
	if p, ok := newestPlace(live, nil); ok {
		item.Place = Position(p.Value)
	}
	for _, v := range values {
		item.Values = append(item.Values, v.JSON)
	}
	return item, true, nil
}

// GuestIDs returns the ids of the elements that were moved to a position, from the live entries
// there. Whether one stands there still is said at its id.
func GuestIDs(live []Entry) []Position {
	var ids []Position
	for _, e := range live {
		if id := Position(e.Value); e.Kind == KindGuest && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// heldValue is a write that nothing live has taken the place of, and an entry that holds it.
type heldValue struct {
	Entry
	ElementValue
}

// elementValues returns the values of an element, newest first. A write that several entries hold
// is one.
func elementValues(live []Entry) ([]heldValue, error) {
	var all []heldValue
	for _, e := range live {
		if e.Kind != KindElement {
			continue
		}
		v, err := DecodeElementValue(e.Value)
		if err != nil {
			return nil, fmt.Errorf("element %v: %w", e.Dot, err)
		}
		if v.Written == (Dot{}) {
			v.Written = e.Dot
		}
		all = append(all, heldValue{e, v})
	}
	slices.SortFunc(all, func(a, b heldValue) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), b.Written.Compare(a.Written), b.Dot.Compare(a.Dot))
	})
	all = slices.CompactFunc(all, func(a, b heldValue) bool { return a.Written == b.Written })
	standing := slices.DeleteFunc(slices.Clone(all), func(v heldValue) bool {
		return slices.ContainsFunc(all, func(o heldValue) bool { return o.covers(v.Written) })
	})
	if len(standing) == 0 { // writes that claim to have replaced each other are not ours
		standing = all[:min(len(all), 1)]
	}
	return standing, nil
}

// newestPlace returns the newest of the places that seen covers: by time, and then by where it is,
// since copies of one place have different dots.
func newestPlace(live []Entry, seen func(Dot) bool) (newest Entry, ok bool) {
	for _, e := range live {
		if e.Kind != KindPlace || seen != nil && !seen(e.Dot) {
			continue
		}
		if !ok || cmp.Or(cmp.Compare(e.Time, newest.Time), bytes.Compare(e.Value, newest.Value)) > 0 {
			newest, ok = e, true
		}
	}
	return newest, ok
}

// CheckListEntry reports why an entry of one of the kinds of a list cannot be read, as an error
// that wraps ErrDamaged, ErrBadPosition, ErrTooLarge or ErrNotJSON.
func CheckListEntry(e Entry) error {
	parts, err := e.Path.Parse()
	if err != nil {
		return err
	}
	if parts.Leaf == List {
		err = CheckPosition(parts.Member)
	}
	if err == nil && e.Kind != KindElement {
		return CheckPosition(string(e.Value))
	}
	if err != nil {
		return err
	}
	v, err := DecodeElementValue(e.Value)
	if err == nil {
		err = CheckValue(v.JSON)
	}
	return err
}
