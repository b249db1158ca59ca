package crdt

import (
	"cmp"
	"slices"
	"time"
)

// Deadline is the moment from which on an entry is hidden, in milliseconds since the Unix epoch; 0
// is none. It is absolute, so that it means the same at every replica, and it decides nothing but
// what is read: replication knows no time. A replica whose wall clock is wrong hides early or
// late, and loses nothing: what it removes is what it saw, and a later write has a dot of its own.
type Deadline uint64

// MaxDeadline is the last millisecond of the year 9999: what RFC 3339 can write.
const MaxDeadline Deadline = 253_402_300_799_999

// DeadlineOf returns the deadline at t, or the nearest one that there is.
func DeadlineOf(t time.Time) Deadline {
	return Deadline(min(max(t.UnixMilli(), 1), int64(MaxDeadline)))
}

// Time returns the moment in UTC.
func (d Deadline) Time() time.Time { return time.UnixMilli(int64(d)).UTC() }

// before returns the deadline that lies by earlier, 0 when there is none.
func (d Deadline) before(by time.Duration) Deadline {
	if ms := Deadline(by.Milliseconds()); d > ms {
		return d - ms
	}
	return 0
}

// MayExpire reports whether entries of the kind can have a deadline. With other kinds the encoded
// field has no meaning here, and is kept as it came.
func (k Kind) MayExpire() bool { return slices.Contains(mayExpire, k) }

// mayExpire: where an item of a list stands has no deadline, for a concurrent write may keep the item.
var mayExpire = []Kind{KindValue, KindMember, KindFlag, KindElement, KindPresence, KindLease}

// Over reports whether the entry's deadline has come at now.
func (e Entry) Over(now Deadline) bool { return e.Expires != 0 && e.Expires <= now }

// Until gives the entries that the edit adds a deadline; 0 is none. Leases have their own.
func (e Edit) Until(d Deadline) Edit {
	add := slices.Clone(e.Add)
	for i := range add {
		if add[i].Kind.MayExpire() && add[i].Kind != KindLease {
			add[i].Expires = d
		}
	}
	return Edit{Add: add, Kill: e.Kill}
}

// Unexpired returns what a reader sees at now of the live entries at a path, in their order.
func Unexpired(live []Entry, now Deadline) []Entry {
	return slices.DeleteFunc(slices.Clone(live), func(e Entry) bool { return e.Over(now) })
}

// VisibleUntil returns the deadline at which the last of the live entries at a path that make it
// visible is over, 0 when it stays visible, or is not visible now.
func VisibleUntil(leaf Type, live []Entry) Deadline {
	if !slices.ContainsFunc(live, func(e Entry) bool { return e.Expires != 0 }) || !Visible(leaf, live) {
		return 0
	}
	ends := slices.SortedFunc(slices.Values(live), func(a, b Entry) int { return cmp.Compare(a.Expires, b.Expires) })
	for _, e := range ends {
		if e.Expires != 0 && !Visible(leaf, Unexpired(live, e.Expires)) {
			return e.Expires
		}
	}
	return 0
}

// How long an entry stays behind its deadline before somebody removes it. The replica that wrote it
// is first; the others, who find it gone as a rule, stand in for one that does not return, and not
// all at once, so that n replicas do not write n kills of one entry.
const (
	ownGrace    = 5 * time.Second
	othersGrace = 60 * time.Second
	graceSpread = 60 * time.Second
)

// graces returns how long self waits for entries of its own, and for those of others.
func graces(self ReplicaID) (own, others time.Duration) {
	spread := time.Duration(uint64(self)%uint64(graceSpread.Milliseconds())) * time.Millisecond
	return ownGrace, othersGrace + spread
}

// ReapBefore returns up to which deadlines self removes at now what it wrote itself, and what
// others wrote.
func ReapBefore(self ReplicaID, now Deadline) (own, others Deadline) {
	o, x := graces(self)
	return now.before(o), now.before(x)
}

// ReapAt returns when self removes an entry of replica with the deadline.
func ReapAt(self, replica ReplicaID, expires Deadline) Deadline {
	own, others := graces(self)
	if replica != self {
		own = others
	}
	return expires + Deadline(own.Milliseconds())
}

// Reap removes the live entries at a path that self wrote and that were over at own, and those of
// others that were over at others: an ordinary removal of what was seen.
func Reap(live []Entry, self ReplicaID, own, others Deadline) Edit {
	var edit Edit
	for _, e := range live {
		if e.Over(others) || e.Dot.Replica == self && e.Over(own) {
			edit.Kill = append(edit.Kill, e.Dot)
		}
	}
	slices.SortFunc(edit.Kill, Dot.Compare)
	return edit
}
