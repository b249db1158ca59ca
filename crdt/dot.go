package crdt

import (
	"cmp"
	"fmt"
	"strconv"
)

// ReplicaID names one incarnation of one copy of a namespace: 64 random bits. It is data
// identity, not the network identity of a peer. Zero is not a valid id.
type ReplicaID uint64

// String returns the id as 16 lower-case hexadecimal digits.
func (r ReplicaID) String() string { return fmt.Sprintf("%016x", uint64(r)) }

// ParseReplicaID is the inverse of String.
func ParseReplicaID(s string) (ReplicaID, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 || v == 0 {
		return 0, fmt.Errorf("crdt: replica id %q: want 16 hexadecimal digits, not all zero", s)
	}
	return ReplicaID(v), nil
}

// Dot names one event of one replica. Seq counts from 1 without gaps.
//
// Invariant I1: a dot names at most one entry, ever, anywhere.
type Dot struct {
	Replica ReplicaID
	Seq     uint64
}

// String returns "replica:seq".
func (d Dot) String() string { return d.Replica.String() + ":" + strconv.FormatUint(d.Seq, 10) }

// Compare orders dots by replica, then seq. The order is total and has no causal meaning.
func (d Dot) Compare(o Dot) int {
	if c := cmp.Compare(d.Replica, o.Replica); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, o.Seq)
}
