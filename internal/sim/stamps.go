package sim

import (
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
)

// stamps is what the timestamps of a replica have to be above: those that it has issued, and of what it has taken in
// those that were not too far ahead of its wall clock then. A restart changes nothing of that. A wall clock that is
// set back by more than they may be ahead ends it.
type stamps struct {
	of    crdt.ReplicaID
	floor crdt.Timestamp
	// low is the least that the wall clock has shown since the node was last looked at: what a start finds was written,
	// or taken in, no earlier.
	low time.Time
}

// maxAhead is how far ahead of a wall clock a timestamp may be and still count.
var maxAhead = store.DefaultOptions("").MaxAhead

// latest is the last timestamp that is not too far ahead of a wall clock.
func latest(wall time.Time) crdt.Timestamp {
	return crdt.TimestampOf(wall.Add(maxAhead)) | 0xffff // all of that millisecond
}

// begin has stamps follow a replica id.
func (s *stamps) begin(r crdt.ReplicaID) {
	if s.of != r {
		s.of, s.floor = r, 0
	}
}

// saw notes a timestamp that was taken in.
func (s *stamps) saw(t crdt.Timestamp) {
	if t <= latest(s.low) {
		s.floor = max(s.floor, t)
	}
}

// turn notes that the wall clock was set.
func (s *stamps) turn(wall time.Time) {
	if wall.Before(s.low) {
		s.low = wall
	}
	if s.floor > latest(s.low) {
		s.floor = 0
	}
}

// set sets the wall clock of a node.
func (n *node) set(skew time.Duration) {
	n.skew = skew
	n.stamps.turn(n.wall())
}

// checkStamps looks at the timestamps of units that a node has written, at this time by its wall clock unless a start
// has found them.
func (n *node) checkStamps(written []delta.Unit, found bool) {
	s, wall := &n.stamps, n.wall()
	for _, u := range written {
		if u.Origin != n.ns.Replica() || n.w.res.Strays > 0 || n.branch != nil && n.alone() == nil {
			continue // what heals a fork keeps the times of what it writes again
		}
		s.begin(u.Origin)
		above := s.floor
		for _, e := range u.Entries {
			switch {
			case e.Kind == crdt.KindElement || e.Kind == crdt.KindPlace || e.Kind == crdt.KindGuest:
				continue // an item that is moved keeps the times of its parts
			case e.Time <= above:
				n.w.fail("%s: %v at %q has the time %v, and %s has seen %v before", n.id, e.Dot, e.Path, e.Time, n.id, above)
			case !found && e.Time < crdt.TimestampOf(wall):
				n.w.fail("%s: %v at %q has the time %v, when it is %v there", n.id, e.Dot, e.Path, e.Time, wall)
			case !found && e.Time > latest(wall.Add(time.Millisecond)):
				n.w.fail("%s: %v at %q has the time %v: somebody's clock has dragged that of %s along, which shows %v", n.id, e.Dot, e.Path, e.Time, n.id, wall)
			}
			n.w.res.Stamps++
			s.floor = max(s.floor, e.Time)
		}
	}
	s.turn(wall) // it may have been set back since that was written
}

// sawStamps has a node know the timestamps of units of others that it has taken in, as far as they are live there.
func (n *node) sawStamps(units []delta.Unit) {
	n.stamps.begin(n.ns.Replica())
	for _, u := range units {
		if u.Origin == n.ns.Replica() {
			continue // checked when it was written; what it keeps of former times it does not take up
		}
		for _, e := range u.Entries {
			if f, ok := n.oracle.Live[e.Dot]; ok && f.Path == e.Path {
				n.stamps.saw(e.Time)
			}
		}
	}
}
