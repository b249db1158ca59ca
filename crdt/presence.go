package crdt

import (
	"slices"
	"time"
)

// Presence: who is there now. Each replica announces members under its own name, and keeps one lease
// beside them, which it renews as long as it runs. What a replica announced is seen as long as its lease is
// live: it ends with the replica, whether that says so or not.
//
// Announcements and leases are killed by name alone: by the replica that wrote them, or, when the lease has
// been over for some time, by anybody.

// A lease is renewed when a third of it has passed, so that a late or lost message ends nothing.
const (
	LeaseFor   = 15 * time.Second
	LeaseRenew = LeaseFor / 3
)

// leaseType is the letter of the objects that hold leases, one for each replica. It is no type of an
// object that anybody names: what stands there is never visible.
const leaseType Type = 'q'

// LeasePath is where the lease of a replica stands.
func LeasePath(r ReplicaID) Path { return Object(leaseType, r.String()).Leaf(leaseType) }

// IsLease reports whether p is where a lease stands.
func (p Path) IsLease() bool { return p != "" && Type(p[0]) == leaseType }

// IsPresence reports whether p belongs to a presence object, whose content leases decide on.
func (p Path) IsPresence() bool { return p != "" && Type(p[0]) == Presence }

// Announce puts value under the member at path in the name of at.Replica, in place of what that replica
// announced there before.
func Announce(live []Entry, path Path, at Dot, t Timestamp, value []byte) Edit {
	e := Entry{Dot: at, Path: path, Kind: KindPresence, Time: t, Value: value}
	return Edit{Add: []Entry{e}, Kill: ofReplica(live, KindPresence, at.Replica)}
}

// Withdraw takes away what a replica announced at a member. Only that replica does so, and whoever reaps it.
func Withdraw(live []Entry, r ReplicaID) Edit { return Edit{Kill: ofReplica(live, KindPresence, r)} }

// Lease renews the lease of at.Replica until a deadline.
func Lease(live []Entry, at Dot, t Timestamp, until Deadline) Edit {
	e := Entry{Dot: at, Path: LeasePath(at.Replica), Kind: KindLease, Time: t, Expires: until}
	return Edit{Add: []Entry{e}, Kill: ofReplica(live, KindLease, at.Replica)}
}

// EndLease takes the lease of a replica away.
func EndLease(live []Entry, r ReplicaID) Edit { return Edit{Kill: ofReplica(live, KindLease, r)} }

// LeaseUntil returns when the lease of r ends, from the live entries at its path; 0 when it has none.
func LeaseUntil(live []Entry, r ReplicaID) (until Deadline) {
	for _, e := range live {
		if e.Kind == KindLease && e.Dot.Replica == r {
			until = max(until, e.Expires)
		}
	}
	return until
}

// Present returns what a reader sees of the live entries at a member, in their order: announcements of
// replicas with a live lease.
func Present(live []Entry, alive func(ReplicaID) bool) []Entry {
	return slices.DeleteFunc(slices.Clone(live), func(e Entry) bool { return e.Kind != KindPresence || !alive(e.Dot.Replica) })
}

func ofReplica(live []Entry, k Kind, r ReplicaID) []Dot {
	var dots []Dot
	for _, e := range live {
		if e.Kind == k && e.Dot.Replica == r {
			dots = append(dots, e.Dot)
		}
	}
	slices.SortFunc(dots, Dot.Compare)
	return dots
}
