package sync

import (
	"iter"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Source is one snapshot of a copy, store and live dots together, for one session that another
// copy pulls. Two of its answers never belong to different instants. What it returns is shared
// and is not written by the session.
type Source interface {
	// Replica and OwnRuns are those of the copy, as in Status.
	Replica() crdt.ReplicaID
	OwnRuns() []delta.Run
	Clock() crdt.VersionVector
	Runs() delta.Runs
	// Past returns what is known of runs before those of Runs, of this copy too.
	Past() delta.Past
	Digest() delta.Digest
	Live() *delta.DotSet
	// Log returns the units in (since, Clock()] in an order in which they can be applied, each
	// with the run that issued it, which need not be the latest one. ok is false when the log no
	// longer holds every one of them.
	Log(since crdt.VersionVector) (units iter.Seq2[delta.Issued, error], ok bool, err error)
	// Unit returns the unit of origin that begins at first, if the log holds it.
	Unit(origin crdt.ReplicaID, first uint64) (delta.Issued, bool, error)
	// Entries returns every live entry whose dot since does not cover, once each, in any order.
	Entries(since crdt.VersionVector) iter.Seq2[crdt.Entry, error]
	Close() error
}

// SinkState is what a copy is when a pull begins.
type SinkState struct {
	Status
	// Live holds the live dots at Clock.
	Live *delta.DotSet
}

// Sink is the copy that a pull repairs. Writes, local or from gossip, go on while a pull runs.
type Sink interface {
	// Begin returns the present state. A session calls it at its start, and may call it again
	// for a newer look; the first one stays the session's c1.
	Begin() (SinkState, error)
	// Cached returns the dots whose entries were staged before and may stand for those of a sender with this
	// clock, and these runs and past runs; nil is empty. What was staged under runs that contradict them is
	// forgotten: it is of another history, in which the same dots name something else.
	Cached(to crdt.VersionVector, runs delta.Runs, past delta.Past) (*delta.DotSet, error)
	// Stage keeps entries by dot until a flip takes them, also across sessions. It may forget
	// them between sessions, never within one.
	Stage([]crdt.Entry) error
	// ApplyUnits applies units as gossip does: in order, dropping what is covered. The runs,
	// which issued all of the units of their replicas, are taken over with them. It returns
	// delta.ErrMalformed for a unit that nobody may apply.
	ApplyUnits([]delta.Unit, delta.Runs) error
	// Flip joins what was pulled, atomically. See Flip. It returns ErrFork, and changes
	// nothing, when To covers a seq of the own replica id that was not issued.
	Flip(Flip) error
}

// Flip is the end of a pull from the state. With c the clock under the commit lock:
//
//	a live dot d dies    ⇔ d ∈ Killed ∨ (d ≤ To ∧ d ≰ From ∧ d ∉ Streamed)
//	a streamed entry e is added ⇔ dot(e) ∈ Streamed ∧ dot(e) ≰ c
//	clock                := max(c, To)
//
// Every dot of Streamed was staged, in this session or before it. The sets must not be turned
// into edits before the lock is held: what is written in between would be judged by a clock
// that is no longer the copy's.
type Flip struct {
	From, To crdt.VersionVector // the copy's clock as the session asked; the sender's
	Runs     delta.Runs         // the sender's
	Past     delta.Past         // the sender's: may be kept, for a fork that shows later
	Streamed *delta.DotSet      // ⊆ (To, not From]: live at the sender
	Killed   *delta.DotSet      // ≤ min(From, To): live here at From, dead at the sender
}
