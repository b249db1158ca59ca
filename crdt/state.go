package crdt

// State is what a replica knows of a namespace: the causal dot store of Shapiro et al. (RR-7506)
// with the causal compression of Almeida, Shoker and Baquero ("Delta State Replicated Data
// Types", JPDC 2018, section 7.2): a clock and the live entries.
//
// Invariants:
//
//	I2  ∀ d ∈ Live: d ≤ Clock
//	I3  d ≤ Clock ∧ d ∉ Live ⇒ d is dead, for good
//	I5  equal clocks ⇒ equal live sets
type State struct {
	Clock VersionVector
	Live  map[Dot]Entry
}

// NewState returns an empty state that can be written.
func NewState() State { return State{Clock: VersionVector{}, Live: map[Dot]Entry{}} }

// Clone returns a copy that shares only the immutable values of entries.
func (s State) Clone() State {
	c := State{Clock: s.Clock.Clone(), Live: make(map[Dot]Entry, len(s.Live))}
	for d, e := range s.Live {
		c.Live[d] = e
	}
	return c
}

// Join returns the least upper bound of a and b: the clock is the pointwise maximum; an entry
// survives if it is live on both sides, or live on one and not covered by the clock of the
// other. Neither argument is changed; the result shares only the values of entries.
func Join(a, b State) State {
	j := State{Clock: a.Clock.Clone(), Live: make(map[Dot]Entry, max(len(a.Live), len(b.Live)))}
	j.Clock.Merge(b.Clock)
	for d, e := range a.Live {
		if _, ok := b.Live[d]; ok || !b.Clock.Covers(d) {
			j.Live[d] = e
		}
	}
	for d, e := range b.Live {
		if !a.Clock.Covers(d) {
			j.Live[d] = e
		}
	}
	return j
}

// Equal reports whether both states have the same clock and the same live entries.
func (s State) Equal(o State) bool {
	if s.Clock.Compare(o.Clock) != Equal || len(s.Live) != len(o.Live) {
		return false
	}
	for d, e := range s.Live {
		if f, ok := o.Live[d]; !ok || !e.Equal(f) {
			return false
		}
	}
	return true
}

// At returns the live entries at exactly path p, newest first, in a new slice.
func (s State) At(p Path) []Entry {
	var es []Entry
	for _, e := range s.Live {
		if e.Path == p {
			es = append(es, e)
		}
	}
	SortNewest(es)
	return es
}
