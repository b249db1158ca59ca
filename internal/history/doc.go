// Package history judges what clients saw of a cluster. Every call that they made is an Op, with when it
// began and ended, what came of it, what it wrote and what it showed; Check finds what no cluster that
// keeps its promises could have answered. It reads nothing but the history, and it may be used on one
// that was recorded anywhere.
//
// # The model
//
// Everything but counters is a collection of elements: a set of members, a map of fields, a list of items, a
// register of values, a flag of one element. An element is added by one op in the whole history, so who
// wrote it is known. A removal names the elements that its writer had seen, and removes these and no others. A
// removed element is gone for good: nobody adds it again.
//
// Ops of one session run one after the other and carry its token, so each knows all that was shown to,
// or written in, the session before. Each op knows, too, what the same daemon had shown before it began.
// Whoever sees an element knows the op that added it, whole, and all that this op knew. What is known has to
// be in every later answer: an element, unless somebody may have removed it; a removal, without exception; an
// increment, in the sum. That is read-your-writes, monotonic reads, monotonic writes, writes that follow
// reads, causal order and atomic batches in one rule.
//
// A removal explains that an element is absent only if all else that its op did fits what is shown with it. If there is one
// such op alone, whoever should have been shown the element knows that op as well.
//
// A sum is made by some of the increments: all up to one of each session. Those without which it does not come about are known.
//
// What a daemon knew when a barrier began (Held) its peers know at the end; what it knew when it was copied (Backup) it knows when the copy is put
// back (Lost, Kept).
//
// An op whose outcome is unknown happened if anything of it was seen, and is then as any other, but that it may have
// come after later ones of its session.
//
// # What may be lost
//
// A write that was acknowledged has to be there at the end, but for one case, in which the disk that had it
// was taken away before anybody else was known to have it. A daemon is known to hold a write
//
//   - when it acknowledged it, or has shown an element of it;
//   - when another daemon, which held it when a barrier began, was told so by it (Held);
//   - without a name, when the write was acknowledged by so many more (Acks);
//   - in the end, when it shows something whose writer knew the write.
//
// When a directory is lost (Lost), the daemon no longer counts, unless the backup that was put back (Kept)
// is known to hold the write; and one of those without a name may have been it. A write that nobody is
// known to hold any more is then as one whose outcome is unknown: it may be there or not, and all other rules
// go on. An epoch of a daemon is the time between two such losses; sessions do not outlive it.
package history
