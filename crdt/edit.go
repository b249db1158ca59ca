package crdt

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of edits and views.
var (
	// ErrOverflow is returned when an increment would take a counter's value, as it is seen
	// here, out of int64.
	ErrOverflow = errors.New("crdt: the counter's value would leave int64")
	// ErrDamaged is returned when the value of a live entry is not what its kind promises.
	ErrDamaged = errors.New("crdt: damaged entry")
	// ErrTooLarge is returned when a value is longer than MaxValueBytes.
	ErrTooLarge = fmt.Errorf("crdt: a value must not be longer than %d bytes", MaxValueBytes)
	// ErrNotJSON is returned when a value is no JSON text in UTF-8.
	ErrNotJSON = errors.New("crdt: a value must be JSON in UTF-8")
)

// Edit is what an operation does at one path: entries to add, and dots of live entries to kill,
// ascending and without duplicates. Both take effect together. No edit adds an entry and kills
// it, and none kills an entry that was not live.
type Edit struct {
	Add  []Entry
	Kill []Dot
}

// Empty reports whether the edit changes nothing; such an edit consumes no seq.
func (e Edit) Empty() bool { return len(e.Add) == 0 && len(e.Kill) == 0 }

// Remove kills what is live at a register or at a set member and covered by seen; nil stands
// for everything. It spares the kinds that only their own operations kill. So at a counter it
// kills nothing but entries of later kinds.
func Remove(live []Entry, seen VersionVector) Edit {
	return Edit{Kill: superseded(live, seen)}
}

// Visible reports whether the live entries at a path make something that a reader can see:
// for a counter a cell that is not fully reset, for a bounded counter a value above 0, for a list
// the element that has its id there, else any entry. What cannot be understood here counts as
// visible, but in lists, so that it is not taken for absence.
func Visible(leaf Type, live []Entry) bool {
	switch leaf {
	case Counter:
		c, err := readCounter(live)
		return err != nil || c.foreign || slices.ContainsFunc(c.cells, func(h heldCell) bool { return !h.full() })
	case Bounded:
		x, err := readEscrow(live)
		return err != nil || x.foreign || x.value().Cmp(Int128{}) > 0
	case Presence:
		return slices.ContainsFunc(live, func(e Entry) bool { return e.Kind == KindPresence })
	case leaseType, System:
		return false
	case List: // a place and a guest are no item
		return slices.ContainsFunc(live, func(e Entry) bool { return e.Kind == KindElement })
	}
	return len(live) > 0
}

// Settles reports whether a replica must call Settle for the paths of a leaf.
func Settles(leaf Type) bool { return leaf == Counter || leaf == Bounded }

// Settle is what self does at path after a commit that changed anything there, its own or foreign:
// it kills what only it may kill and nobody needs. Each replica settles what is its own, so that n
// replicas do not write n kills of one entry. An edit that adds nothing does not use at and t but
// for at.Replica, which is self. Where something is damaged nothing is settled.
func Settle(live []Entry, path Path, at Dot, t Timestamp) Edit {
	switch path.LeafType() {
	case Counter:
		return purgeCounter(live, at.Replica)
	case Bounded:
		return settleEscrow(live, path, at, t)
	}
	return Edit{}
}

// superseded returns the dots that a write which saw seen kills, ascending.
func superseded(live []Entry, seen VersionVector) []Dot {
	var dots []Dot
	for _, e := range live {
		if !e.Kind.NamedOnly() && covers(seen, e.Dot) {
			dots = append(dots, e.Dot)
		}
	}
	slices.SortFunc(dots, Dot.Compare)
	return dots
}

// covers is seen.Covers(d), where nil stands for a clock that covers everything live here.
func covers(seen VersionVector, d Dot) bool { return seen == nil || seen.Covers(d) }
