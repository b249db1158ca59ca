package crdttest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Type is the type that is tested. Its functions are called by one goroutine at a time, for many runs, and may
// only use what they are given: no clock, no other randomness, nothing that they keep from one call to the next.
type Type struct {
	// Draw returns an operation that a replica does next.
	Draw func(rng *rand.Rand) Op
	// Read returns what a reader of s sees, as text: it follows from the live entries alone. It must not change s.
	Read func(s crdt.State) (string, error)
	// Want, if not nil, returns what a reader sees who has seen h, from the specification of the type. Without
	// it all that is shown is that replicas agree, on something wrong perhaps.
	Want func(h History) string
	// Settle, if not nil, is done by a replica after every change, its own or another's: what only it may
	// kill and nobody needs. A reader sees no difference.
	Settle func(tx *Tx) error
}

// Op is one operation: atomic, whatever it edits.
type Op struct {
	// Name says what is done, and with what. It is printed in failures; Want may look at it.
	Name string
	// Args is for Want.
	Args any
	// Do edits. An error aborts the operation, which then has not happened; it is a failure unless it
	// is ErrRefused.
	Do func(tx *Tx) error
}

// ErrRefused is returned by an Op that cannot be done where it was tried.
var ErrRefused = errors.New("crdttest: the operation is refused")

// Tx is what an operation works on: the state of one replica with the operation's own edits on it.
type Tx struct {
	state crdt.State
	unit  delta.Unit
	time  crdt.Timestamp
}

// Replica returns the id of the replica.
func (t *Tx) Replica() crdt.ReplicaID { return t.unit.Origin }

// State returns a copy of the state.
func (t *Tx) State() crdt.State { return t.state.Clone() }

// Live returns what is live at p, newest first.
func (t *Tx) Live(p crdt.Path) []crdt.Entry { return t.state.At(p) }

// Next returns the dot under which the next edit adds its first entry, and the time of the operation. The
// dots of further entries of one edit follow.
func (t *Tx) Next() (crdt.Dot, crdt.Timestamp) {
	return crdt.Dot{Replica: t.unit.Origin, Seq: t.unit.Last + 1}, t.time
}

// Edit carries out an edit. It returns an error for one that breaks the rules of crdt.Edit.
func (t *Tx) Edit(e crdt.Edit) error {
	for _, d := range e.Kill {
		if _, live := t.state.Live[d]; !live {
			return fmt.Errorf("the edit kills %v, which is not live", d)
		}
	}
	if !slices.IsSortedFunc(e.Kill, crdt.Dot.Compare) || len(slices.Compact(slices.Clone(e.Kill))) != len(e.Kill) {
		return fmt.Errorf("the edit kills %v: not ascending, or one twice", e.Kill)
	}
	if e.Empty() {
		return nil
	}
	next, _ := t.Next()
	for _, x := range e.Add {
		if x.Dot != next {
			return fmt.Errorf("the edit adds %v, the next dot is %v", x.Dot, next)
		}
		next.Seq++
	}
	t.unit.Last = max(next.Seq-1, t.unit.Last)
	var others []crdt.Dot
	for _, d := range e.Kill {
		delete(t.state.Live, d)
		if !t.added(d) {
			others = append(others, d)
			continue
		}
		// What the operation itself has added never leaves it.
		t.unit.Entries = slices.DeleteFunc(t.unit.Entries, func(x crdt.Entry) bool { return x.Dot == d })
	}
	if len(others) > 0 {
		t.unit.Kills = append(t.unit.Kills, delta.Kill{Dots: others})
		t.unit.Last = max(t.unit.Last, t.unit.First)
	}
	for _, x := range e.Add {
		t.state.Live[x.Dot] = x
		t.unit.Entries = append(t.unit.Entries, x)
	}
	return nil
}

// KillAll kills all that is live at and below p, but for entries that only their owner may kill: as a delete of
// an object, or of a field with all that is in it, does (see delta.Kill).
func (t *Tx) KillAll(p crdt.Path) {
	k := delta.Kill{Prefix: p, Clock: t.state.Clock.Clone()}
	before := len(t.state.Live)
	maps.DeleteFunc(t.state.Live, func(_ crdt.Dot, e crdt.Entry) bool { return k.Removes(e) })
	seen := len(t.state.Live) < before
	own := func(e crdt.Entry) bool { return p.Contains(e.Path) && !e.Kind.NamedOnly() }
	for _, e := range t.unit.Entries {
		if own(e) {
			delete(t.state.Live, e.Dot)
		}
	}
	t.unit.Entries = slices.DeleteFunc(t.unit.Entries, own)
	if !seen {
		return
	}
	t.unit.Kills = append(t.unit.Kills, k)
	t.unit.Last = max(t.unit.Last, t.unit.First)
}

// added reports whether d is of this operation.
func (t *Tx) added(d crdt.Dot) bool { return d.Replica == t.unit.Origin && d.Seq >= t.unit.First }

// changes reports whether the operation did anything.
func (t *Tx) changes() bool { return len(t.unit.Entries)+len(t.unit.Kills) > 0 }

// Done is an operation that was done.
type Done struct {
	Name    string
	Args    any
	Replica crdt.ReplicaID
	Time    crdt.Timestamp
	sees    map[int]bool // of the whole history
	number  int
}

// History is operations that a reader has seen, with all that they had seen: in an order in which each one
// comes after those that it had seen.
type History []Done

// Sees reports whether h[i] had seen h[j].
func (h History) Sees(i, j int) bool { return h[i].sees[h[j].number] }

// Concurrent reports whether neither had seen the other. An operation is not concurrent with itself.
func (h History) Concurrent(i, j int) bool { return i != j && !h.Sees(i, j) && !h.Sees(j, i) }
