package delta

import "github.com/anabranchdb/anabranch/crdt"

// Run is one start of a daemon on a namespace copy: the first seq it issued and a random nonce.
// Two nonces for one first seq prove that a replica id is used twice.
type Run struct {
	First uint64
	Nonce uint64
}

// Runs holds the latest run that is known of each replica.
type Runs map[crdt.ReplicaID]Run

// Unit is what one atomic batch did. It is applied whole or not at all, after the unit of the
// same origin that ends at First−1 and after everything in Deps.
type Unit struct {
	Origin crdt.ReplicaID
	First  uint64 // first seq that the batch consumed
	Last   uint64 // last seq, ≥ First
	// Deps is what changed of the origin's clock since its previous unit, without the origin's
	// own component. With the predecessor applied, the rest follows from I4.
	Deps crdt.VersionVector
	// Entries are new; each has a dot (Origin, s) with First ≤ s ≤ Last, ascending, no dot twice.
	Entries []crdt.Entry
	Kills   []Kill
	// Extra holds fields of a later version, as they were encoded: kept, never read.
	Extra []byte
}

// Issued is a unit together with the run that issued it: what a log knows of a unit. The zero Run
// means that it is not known.
type Issued struct {
	Unit
	Run Run
}

// Kill removes entries that were live at the origin. It is either a list of dots (then Prefix
// is empty), or all entries whose path has Prefix, whose dot Clock covers, and whose kind lets
// anyone kill them.
type Kill struct {
	Dots   []crdt.Dot // ascending, no duplicates
	Prefix crdt.Path
	Clock  crdt.VersionVector
}

// Frame is what travels: units in an order in which they can be applied, and the runs of their
// origins.
type Frame struct {
	Runs  Runs
	Units []Unit
	// Extra holds the reserved fields and those of a later version, as they were encoded.
	Extra []byte
}
