// Package sim runs replicas in one goroutine under virtual time: the real store, the real sync
// engine and its sessions, over a network that loses, repeats, reorders, cuts and heals. A seed
// decides everything, so a failure is replayed by its seed alone.
//
// After every event that moved a replica the invariants of the model are checked on it, against
// an oracle that knows every unit that was ever written:
//
//	I1  no two units hold the same dot
//	I2  every live dot is covered by the clock, and its live bit is set
//	I3  what is covered and not live stays dead
//	I4  the clock is causally closed, and stands at borders of units only
//	I5  equal clocks have equal live entries and digests
//	I6  no entry is missing that the clock claims
//
// At the end the network is healed and all replicas must answer alike within a bounded time.
package sim
