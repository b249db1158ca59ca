package delta

import (
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
)

// Validate reports how u breaks the rules of a unit's structure, as ErrMalformed or
// ErrTooLarge: what can be said without the state that it is applied to.
func Validate(u Unit) error {
	switch {
	case u.Origin == 0:
		return malformed("unit: no origin")
	case u.First == 0 || u.Last < u.First:
		return malformed("unit: seqs %d to %d", u.First, u.Last)
	case u.Deps[u.Origin] != 0:
		return malformed("unit: depends on its own origin")
	}
	if err := validateClock(u.Deps); err != nil {
		return err
	}
	if err := validateEntries(&u); err != nil {
		return err
	}
	for i := range u.Kills {
		if err := validateKill(&u, &u.Kills[i]); err != nil {
			return err
		}
	}
	return nil
}

func validateClock(v crdt.VersionVector) error {
	for r, s := range v {
		if r == 0 || s == 0 {
			return malformed("clock: component %v at %d", r, s)
		}
	}
	return nil
}

func validateEntries(u *Unit) error {
	next := u.First
	for i := range u.Entries {
		e := &u.Entries[i]
		if e.Dot.Replica != u.Origin || e.Dot.Seq < next || e.Dot.Seq > u.Last {
			return malformed("unit %v:%d to %d: entry %v out of place", u.Origin, u.First, u.Last, e.Dot)
		}
		if err := ValidateEntry(*e); err != nil {
			return err
		}
		next = e.Dot.Seq + 1
	}
	return nil
}

// ValidateEntry reports how e breaks the rules of an entry's structure, as ErrMalformed or
// ErrTooLarge: for entries that arrive outside of a unit.
func ValidateEntry(e crdt.Entry) error {
	if e.Dot.Replica == 0 || e.Dot.Seq == 0 || e.Kind == 0 {
		return malformed("entry %v: no dot or no kind", e.Dot)
	}
	if len(e.Value) > MaxEntryValue {
		return tooLarge("entry %v: a value of %d bytes", e.Dot, len(e.Value))
	}
	if e.Expires > crdt.MaxDeadline || e.Expires != 0 && !e.Kind.MayExpire() {
		return malformed("entry %v: deadline %d of kind %#x", e.Dot, e.Expires, e.Kind)
	}
	parts, err := e.Path.Parse()
	if err != nil {
		return fmt.Errorf("%w: entry %v: %w", ErrMalformed, e.Dot, err)
	}
	member := parts.Member != ""
	if e.Kind == crdt.KindLease && (e.Path != crdt.LeasePath(e.Dot.Replica) || e.Expires == 0) {
		return malformed("entry %v: a lease of another, or without an end", e.Dot)
	}
	switch parts.Leaf {
	case crdt.List, crdt.Presence, crdt.Set, crdt.System:
		if !member {
			return malformed("entry %v: at a %v, and at none of its members", e.Dot, parts.Leaf)
		}
	case crdt.Bounded, crdt.Counter, crdt.Flag, crdt.Register:
		if member {
			return malformed("entry %v: at a member of a %v", e.Dot, parts.Leaf)
		}
	case crdt.Map, 0:
		return malformed("entry %v: its path is no leaf and no member", e.Dot)
	}
	return nil
}

// ValidateValue reports a value of a known kind that cannot be read, as ErrMalformed: it would be
// taken for damage wherever it is stored, or spoil the answers that it is a part of.
func ValidateValue(e crdt.Entry) error {
	var err error
	switch e.Kind {
	case crdt.KindValue, crdt.KindPresence:
		err = crdt.CheckValue(e.Value)
	case crdt.KindCell:
		_, err = crdt.DecodeCell(e.Value)
	case crdt.KindReset:
		_, err = crdt.DecodeResetRecord(e.Value)
	case crdt.KindEscrow:
		_, err = crdt.DecodeEscrowCell(e.Value)
	case crdt.KindEscrowReset:
		_, err = crdt.DecodeEscrowRecord(e.Value)
	case crdt.KindSeal:
		_, err = crdt.DecodeSeal(e.Value)
	case crdt.KindElement, crdt.KindPlace, crdt.KindGuest:
		err = crdt.CheckListEntry(e)
	}
	if err != nil {
		return malformed("entry %v: %v", e.Dot, err)
	}
	return nil
}

func validateKill(u *Unit, k *Kill) error {
	if k.Prefix == "" {
		return validateDots(u, k)
	}
	if len(k.Dots) > 0 || len(k.Clock) == 0 {
		return malformed("kill: a prefix goes with a clock and without dots")
	}
	if k.Clock[u.Origin] >= u.First {
		return malformed("kill: its clock covers its own unit")
	}
	if _, err := k.Prefix.Parse(); err != nil {
		return fmt.Errorf("%w: kill: %w", ErrMalformed, err)
	}
	return validateClock(k.Clock)
}

func validateDots(u *Unit, k *Kill) error {
	if len(k.Dots) == 0 || len(k.Clock) > 0 {
		return malformed("kill: neither dots nor a prefix with a clock")
	}
	var last crdt.Dot
	for _, d := range k.Dots {
		if d.Replica == 0 || d.Seq == 0 || d.Compare(last) <= 0 {
			return malformed("kill: dots not ascending at %v", d)
		}
		if d.Replica == u.Origin && d.Seq > u.Last {
			return malformed("kill: %v is later than its unit", d)
		}
		last = d
	}
	return nil
}
