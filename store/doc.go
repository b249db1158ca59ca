// Package store is the durable causal dot store of Anabranch: namespaces on disk or in memory, with
// atomic commits, consistent reads, a log of units, and the two ways to repair a replica, unit by
// unit or as a whole state. DESIGN.md beside this file has the keys, the order of writes and the
// reasons.
//
// A [Store] is one data directory, held by a lock. A [Namespace] in it is one copy of a namespace,
// with a replica id of its own. One goroutine per copy, the committer, makes all changes: it takes
// what waits, runs it as one group, and makes one batch of it. [Namespace.Commit] runs a function
// there, [Namespace.Apply] units of other replicas, [Namespace.Join] a whole state that
// [Namespace.Stage] has collected. Reads never wait for it: a [View] and a [Source] are snapshots.
//
// What a [Backend] must be able to do is little, and storetest proves it: one batch atomic, in the
// order of durability, with snapshots and ordered walks. [OpenPebble] is the default,
// [NewMemoryBackend] forgets, and [WrapDatastore] makes one of other go-datastores.
//
// # Invariants
//
// They are those of package crdt, kept through crashes. Of them these decide what the code does:
//
//	I2  a live dot is covered by the clock
//	I5  equal clocks ⇒ equal live entries
//	I6  a clock never runs ahead of its entries
//
// By I3 an entry is dead when the clock covers its dot and the entry is not there. So a lost entry,
// or a clock that claims too much, is a delete, here and on every replica that hears of it. Hence:
// an entry, its index, its live bit, the heads that count it and the clock change in one batch, or,
// in a change that is too large for that, under a redo record and out of sight. And damage is
// never read as absence: what cannot be read is [ErrDamaged], the copy answers nothing any more,
// and begins anew under a fresh id with an empty clock.
//
// Nothing is told to anybody before it is durable: not by an answer, not by [Namespace.Clock], not
// by [Namespace.Subscribe], and not by a view, which waits.
//
// # Ownership
//
// Entries, units and clocks that the package returns or announces are shared: nobody may write to
// them. It keeps the units given to Apply, the values given to [Tx.Assign] and the sets of a
// [StateJoin]; the slice given to Stage is the caller's again when it returns. A [Tx], what it
// returns and its clock belong to the function that it was passed to, until that returns. A
// [View] may be used by many goroutines, a [Source] by one; both must be closed, for they keep old
// versions of the datastore alive.
//
// A [Batch] keeps the values that are put into it until it is applied, and a backend keeps nothing
// of it. The value that [Iterator.Value] returns is valid until the next step.
package store
