package delta

import (
	"fmt"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Apply applies u to s, whole or not at all: the reference that every faster way must agree
// with. s must be writable, as NewState makes it; it keeps the values of u's entries. Apply does nothing when s covers u already. It returns ErrGap when the predecessor or a
// dependency is missing, and ErrMalformed for a unit that is not valid, begins within what s
// has applied, or kills what its origin cannot have seen.
//
// A prefix kills the entries under it that its clock covers and whose kind lets anyone kill
// them. A list of dots kills what it names, whatever the kind.
func Apply(s *crdt.State, u Unit) error {
	if err := Validate(u); err != nil {
		return err
	}
	at := s.Clock[u.Origin]
	switch {
	case at >= u.Last:
		return nil
	case at >= u.First:
		return malformed("unit %v:%d to %d: a clock stands inside it, at %d", u.Origin, u.First, u.Last, at)
	case at < u.First-1 || !s.Clock.CoversAll(u.Deps):
		return fmt.Errorf("%w: unit %v:%d to %d", ErrGap, u.Origin, u.First, u.Last)
	}
	if err := checkKills(s, &u); err != nil {
		return err
	}
	for _, e := range u.Entries {
		s.Live[e.Dot] = e
	}
	for i := range u.Kills {
		applyKill(s, &u.Kills[i])
	}
	s.Clock[u.Origin] = u.Last
	return nil
}

// checkKills makes sure that the kills name only what s covers or u brings: by I4 the origin
// had seen no more. A kill of a dot that is still to come would break I3.
func checkKills(s *crdt.State, u *Unit) error {
	for i := range u.Kills {
		k := &u.Kills[i]
		if !s.Clock.CoversAll(k.Clock) {
			return malformed("unit %v:%d: a kill is ahead of its dependencies", u.Origin, u.First)
		}
		for _, d := range k.Dots {
			if d.Replica != u.Origin && !s.Clock.Covers(d) {
				return malformed("unit %v:%d: kills %v ahead of its dependencies", u.Origin, u.First, d)
			}
		}
	}
	return nil
}

func applyKill(s *crdt.State, k *Kill) {
	for _, d := range k.Dots {
		delete(s.Live, d)
	}
	if k.Prefix == "" {
		return
	}
	for d, e := range s.Live {
		if k.Removes(e) {
			delete(s.Live, d)
		}
	}
}

// Removes reports whether k removes e.
func (k Kill) Removes(e crdt.Entry) bool {
	if k.Prefix == "" {
		_, named := slices.BinarySearchFunc(k.Dots, e.Dot, crdt.Dot.Compare)
		return named
	}
	return !e.Kind.NamedOnly() && k.Prefix.Contains(e.Path) && k.Clock.Covers(e.Dot)
}
