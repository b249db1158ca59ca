package delta

import (
	"cmp"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Run is one start of a daemon on a namespace copy: the first seq it issued and a random nonce.
// Two nonces for one first seq prove that a replica id is used twice.
type Run struct {
	First uint64
	Nonce uint64
}

// Runs holds the latest run that is known of each replica.
type Runs map[crdt.ReplicaID]Run

// MaxPast is how many runs of a replica before its latest one are remembered.
const MaxPast = 16

// Past holds the runs that are known of replicas before their latest ones, ascending by first seq:
// at most MaxPast of each, the later ones. When an id proves to be used twice it tells where the
// two histories part. The slices are shared and are not written.
type Past map[crdt.ReplicaID][]Run

// With returns the runs in p of r and one more, in a slice of their own.
func (p Past) With(r crdt.ReplicaID, run Run) []Run {
	runs := p[r]
	i, in := slices.BinarySearchFunc(runs, run, Run.compare)
	if in {
		return runs
	}
	runs = slices.Insert(slices.Clone(runs), i, run)
	return runs[max(0, len(runs)-MaxPast):]
}

func (a Run) compare(b Run) int {
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Nonce, b.Nonce))
}

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
