package crdt

import (
	"bytes"
	"slices"
)

// Kind says what an entry's value means. The highest bit is the kill rule, so that a replica
// that does not know a kind still treats it right: without the bit anyone who has seen an entry
// may kill it, alone or with all that lies under a prefix; with the bit only an operation that
// knows the kind may, by the entry's dot.
type Kind uint8

// The kinds.
const (
	KindValue  Kind = 0x01 // register: the value is JSON
	KindMember Kind = 0x02 // set: no value; the member stands in the path
	KindFlag   Kind = 0x03 // flag: no value; that it is there says on
	// A list. The value of an element stands at its id, the position where it was inserted. One that
	// was moved has there, too, the position where it stands now, and is a guest at that.
	KindElement Kind = 0x04 // see ElementValue
	KindPlace   Kind = 0x05 // the value is a position
	KindGuest   Kind = 0x06 // the value is an id
	KindCell    Kind = 0x81 // counter: the running total of one replica, see Cell
	KindReset   Kind = 0x82 // counter: a reset record, see ResetRecord

	KindEscrow      Kind = 0x83 // bounded counter: the totals of one replica, see EscrowCell
	KindEscrowReset Kind = 0x84 // bounded counter: a reset record, see EscrowRecord

	KindPresence Kind = 0x85 // what one replica announces at a member: the value is JSON
	KindLease    Kind = 0x86 // no value: until its deadline the announcements of its replica are seen

	namedOnly Kind = 0x80
)

// NamedOnly reports the kill rule: true means that a kill by prefix spares the entry, which dies
// only when its dot is named. A cell is named by the replica in its dot alone (or that replica's
// heir), a reset record by its author or by the record that supersedes it, an announcement and a
// lease by their replica or by whoever finds that the lease is over. Were a record killed
// by prefix, a delete that has nothing left to lower would kill what holds the counter down.
func (k Kind) NamedOnly() bool { return k&namedOnly != 0 }

// content reports whether entries of the kind are what a reader sees, rather than a record about
// others.
func (k Kind) content() bool { return k != KindReset && k != KindEscrowReset }

// MaxValueBytes bounds the value of one entry that a client writes.
const MaxValueBytes = 256 << 10

// Entry is an immutable datum named by its dot. It is never changed, only superseded or
// removed. Value is shared by all copies of an entry and must not be written.
type Entry struct {
	Dot  Dot
	Path Path
	Kind Kind
	Time Timestamp
	// Expires hides the entry from reads from then on, if Kind.MayExpire; 0 is never.
	Expires Deadline
	Value   []byte
	// Extra holds fields of a later version, as they were encoded: kept, never read.
	Extra []byte
}

// Equal reports whether e and o are the same datum in every part.
func (e Entry) Equal(o Entry) bool {
	return e.Dot == o.Dot && e.Path == o.Path && e.Kind == o.Kind && e.Time == o.Time && e.Expires == o.Expires &&
		bytes.Equal(e.Value, o.Value) && bytes.Equal(e.Extra, o.Extra)
}

// Newer orders entries for display, newest first: by (time, replica, seq), descending.
func Newer(a, b Entry) int {
	switch {
	case a.Time != b.Time:
		if a.Time > b.Time {
			return -1
		}
		return 1
	default:
		return -a.Dot.Compare(b.Dot)
	}
}

// SortNewest sorts entries by Newer, in place.
func SortNewest(es []Entry) { slices.SortFunc(es, Newer) }
