// Package sim runs replicas in one goroutine under virtual time: the real store, the real sync
// engine and its sessions, over a network that loses, repeats, reorders, cuts, deafens one side
// and heals, on disks that lose what was not synced, rot, fill up, are copied and put back. A
// seed decides everything, so a failure is replayed by its seed alone; [Shrink] then leaves out what it
// does not take.
//
// Now and then several writers share a commit, with units from others among them; some worlds begin with many seqs, have
// small frames of gossip, or cut clocks into small pages.
//
// After every commit, join and start, and at the end, the invariants of the model are checked on the replica
// that it moved, against every unit that was ever written:
//
//	I1  no two units hold the same dot
//	I2  every live dot is covered by the clock, and its live bit is set
//	I3  what is covered and not live stays dead
//	I4  the clock is causally closed, and stands at borders of units only
//	I5  equal clocks have equal live entries and digests
//	I6  no entry is missing that the clock claims
//
// A second reference knows no dots and no entries: only which transactions there were, and which
// of them each author had seen. What readers see has to follow from that by the rules of the types. So
// a transaction that is seen in part, a removal that takes too much or too little, or an add that comes back is
// found, whatever the units say. What was acknowledged is there after a crash; clients that move
// from node to node with a token find what they wrote. The time of what a replica writes is above that of all that
// it has seen, but for what was too far ahead of its clock.
//
// At the end the network is healed and all replicas must answer alike within a bounded time.
package sim
