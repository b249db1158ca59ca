// Package crdttest runs a data type of one's own through what replicas go through: writes at several
// of them at once, changes that arrive late, twice or in another order, whole states that are joined, copies
// that are put back. A seed decides everything; a failure is made smaller and prints the Config that replays it.
//
// A [Type] is, as in package crdt, a view over live entries: operations that draw an
// [crdt.Edit] from what is live, and a reader. After each step the driver checks, on the replica
// that was moved, that
//
//   - an edit adds under its own dots and kills only what is live (see crdt.Edit), and what it adds may
//     travel (delta.Validate, delta.ValidateValue, and the encoding of delta);
//   - the live entries are those that a reference without any clever rule computes from all
//     units that the replica has seen: nothing is lost, nothing comes back;
//   - the reader answers without an error, the same for equal live entries whatever way they were reached, and, if the
//     type has a Want, what its specification says;
//   - settling changes nothing that a reader sees.
//
// Every run is done twice: a type that does or shows something else the second time is told so. At the end all
// replicas hear of everything, and have to read alike. Without a Want that is all that is shown: replicas
// that agree can agree on something wrong, an increment that is lost for instance.
//
// The specification is about history, not about entries: which operations there were, and which of them each
// one had seen (Burckhardt, Gotsman, Yang, Zawirski, "Replicated Data Types: Specification, Verification,
// Optimality", POPL 2014). So it does not repeat the mistakes of the implementation.
//
//	func TestVotes(t *testing.T) {
//		crdttest.Run(t, votes, crdttest.Config{Seeds: 500})
//	}
package crdttest
