package store

import (
	"maps"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// addOwn adds a unit of this replica to the group. Its changes are in the overlay.
//
// When the unit supersedes a counter cell that the group itself wrote, that cell never becomes
// visible: it is left out, and the units from the one that wrote it up to this one become one
// unit, for a unit that lacks an entry of its own cannot be applied alone.
func (g *group) addOwn(u delta.Unit) {
	g.clock[u.Origin] = u.Last
	g.since = crdt.VersionVector{}
	if i := g.coalescedWith(u); i >= 0 {
		u = g.coalesce(i, u)
	}
	g.units = append(g.units, u)
	g.bytes += u.Size()
}

// coalescedWith returns the index of the first own unit of the group with a cell that u kills,
// or -1.
func (g *group) coalescedWith(u delta.Unit) int {
	at := -1
	for _, k := range u.Kills {
		for _, d := range k.Dots {
			if d.Replica != u.Origin || d.Seq <= g.n.c.clock[u.Origin] {
				continue
			}
			i := slices.IndexFunc(g.units, func(v delta.Unit) bool {
				return v.Origin == u.Origin && v.First <= d.Seq && d.Seq <= v.Last
			})
			isCell := func(e crdt.Entry) bool {
				return e.Dot == d && (e.Kind == crdt.KindCell || e.Kind == crdt.KindEscrow)
			}
			if i >= 0 && (at < 0 || i < at) && slices.ContainsFunc(g.units[i].Entries, isCell) {
				at = i
			}
		}
	}
	return at
}

// coalesce takes the own units from index i on out of the group and returns them and u as one.
func (g *group) coalesce(i int, u delta.Unit) delta.Unit {
	m := delta.Unit{Origin: u.Origin, First: g.units[i].First, Last: u.Last, Deps: crdt.VersionVector{}}
	rest := slices.Clone(g.units[:i])
	var dots []crdt.Dot
	for _, v := range append(g.units[i:len(g.units):len(g.units)], u) {
		if v.Origin != u.Origin {
			rest = append(rest, v)
			continue
		}
		m.Deps.Merge(v.Deps)
		for _, e := range v.Entries {
			if slices.ContainsFunc(g.over.live[e.Path], func(x crdt.Entry) bool { return x.Dot == e.Dot }) {
				m.Entries = append(m.Entries, e)
			}
		}
		for _, k := range v.Kills {
			if k.Prefix != "" {
				// A kill's clock stands before its unit. What it covers of this unit is left out above.
				k.Clock = k.Clock.Clone()
				if k.Clock[m.Origin] = min(k.Clock[m.Origin], m.First-1); k.Clock[m.Origin] == 0 {
					delete(k.Clock, m.Origin)
				}
				if len(k.Clock) > 0 {
					m.Kills = append(m.Kills, k)
				}
				continue
			}
			dots = append(dots, k.Dots...)
		}
	}
	g.units = rest
	dots = slices.DeleteFunc(dots, func(d crdt.Dot) bool { return d.Replica == m.Origin && d.Seq >= m.First })
	if len(dots) > 0 {
		slices.SortFunc(dots, crdt.Dot.Compare)
		m.Kills = slices.Insert(m.Kills, 0, delta.Kill{Dots: slices.Compact(dots)})
	}
	return m
}

// settleCounters looks at the counters of both types that the group touched and does what only this
// replica does there: see crdt.Settle.
func (g *group) settleCounters() error {
	if g.n.c.Joining {
		return nil
	}
	var paths []crdt.Path
	for _, p := range g.over.order {
		if crdt.Settles(p.LeafType()) {
			paths = append(paths, p)
		}
	}
	if g.large != nil {
		// The next own seq belongs to the large unit: later.
		ids := g.heritage()
		for _, p := range paths {
			live, err := g.over.entries(p)
			if err != nil {
				return err
			}
			if crdt.Settle(live, p, crdt.Dot{Replica: g.n.c.Replica}, 0).Empty() && inherit(live, p, ids).Empty() {
				continue
			}
			g.noteSettle(p)
		}
		return nil
	}
	return g.settle(paths)
}

// noteSettle writes down that a path is to be looked at after this commit.
func (g *group) noteSettle(p crdt.Path) {
	g.side.Put(g.n.keys.purge(p), []byte{valueVersion})
	g.n.c.purges++
}

// settle writes one own unit that settles what can be settled at the paths. When its records come to
// maxGroupBytes the rest of the paths is left for later.
func (g *group) settle(paths []crdt.Path) error {
	if len(paths) == 0 {
		return nil
	}
	g.stamp.Step++
	self := g.n.c.Replica
	now := g.n.c.hlc.Next(g.n.opts.Now())
	u := delta.Unit{Origin: self, First: g.clock[self] + 1, Last: g.clock[self] + 1, Deps: g.since}
	var dots []crdt.Dot
	bytes, ids := 0, g.heritage()
	for _, p := range paths {
		live, err := g.over.entries(p)
		if err != nil {
			return err
		}
		if e := inherit(live, p, ids); !e.Empty() {
			dots = append(dots, e.Kill...)
			if err := g.over.edit(p, e, g.stamp); err != nil {
				return err
			}
			if live, err = g.over.entries(p); err != nil {
				return err
			}
		}
		at := crdt.Dot{Replica: self, Seq: u.First + uint64(len(u.Entries))}
		e := crdt.Settle(live, p, at, now)
		if e.Empty() {
			continue
		}
		if bytes += valueBytes(e.Add); bytes > maxGroupBytes {
			g.noteSettle(p)
			continue
		}
		dots = append(dots, e.Kill...)
		if len(e.Add) > 0 {
			u.Entries, u.Last = append(u.Entries, e.Add...), at.Seq
		}
		if err := g.over.edit(p, e, g.stamp); err != nil {
			return err
		}
	}
	if len(dots) == 0 {
		return nil // a record is never all: its author's cell goes, or an older record
	}
	slices.SortFunc(dots, crdt.Dot.Compare)
	u.Kills = []delta.Kill{{Dots: dots}}
	g.addOwn(u)
	return nil
}

// build makes the batch of the group and moves the committer's state to what it will be.
func (g *group) build() (*Batch, error) {
	n := g.n
	b := &Batch{}
	if err := g.buildEntries(b); err != nil {
		return nil, err
	}
	g.recordRun()
	n.c.Commit = g.stamp.Commit
	n.c.since = g.since
	g.buildClock(b)
	n.tellReturned()
	if held := min(n.held.Load(), n.c.clock[n.c.Replica]); held > n.c.held {
		n.c.held = held
		b.Put(n.keys.held(), appendCommit(held))
	}
	if err := g.buildLog(b); err != nil {
		return nil, err
	}
	if err := g.buildSides(b); err != nil {
		return nil, err
	}
	n.c.HLC = n.c.hlc.Last
	b.Put(n.keys.meta(), appendMeta(nil, n.c.meta))
	for op := range g.side.Ops() {
		b.add(op)
	}
	return b, nil
}

// buildEntries writes what the overlay changed: data, index and heads.
func (g *group) buildEntries(b *Batch) error {
	n := g.n
	for _, p := range g.over.order {
		was, err := n.c.base.entries(p)
		if err != nil {
			return err
		}
		is := g.over.live[p]
		g.diff(b, was, is)
		g.diffTimed(b, p, was, is)
		g.diffPresence(b, p, was, is)
		if len(is) > 0 {
			b.Put(n.keys.data(p), delta.AppendEntries(nil, is))
		} else if len(was) > 0 {
			b.Delete(n.keys.data(p))
		}
	}
	for p, h := range g.over.heads {
		was, err := n.c.base.head(p)
		if err != nil {
			return err
		}
		if p == p.ObjectPath() {
			n.c.Objects += count(h.Visible > 0) - count(was.Visible > 0)
		}
		if h.Entries == 0 {
			b.Delete(n.keys.head(p))
		} else {
			b.Put(n.keys.head(p), appendHead(nil, h))
		}
	}
	return g.buildSeals()
}

// diff writes the index of one path and keeps the digest.
func (g *group) diff(b *Batch, was, is []crdt.Entry) {
	n := g.n
	for _, e := range was {
		if !holds(is, e.Dot) {
			n.c.Digest.Remove(e)
			n.c.Entries--
			g.removed = append(g.removed, e.Dot)
			b.Delete(n.keys.index(e.Dot))
		}
	}
	for _, e := range is {
		if !holds(was, e.Dot) {
			n.c.Digest.Add(e)
			n.c.Entries++
			g.added = append(g.added, e.Dot)
			b.Put(n.keys.index(e.Dot), []byte(e.Path))
		}
	}
}

// recordRun notes the run with the first seq that it issues.
func (g *group) recordRun() {
	c := &g.n.c
	first := c.clock[c.Replica] + 1
	if g.clock[c.Replica] < first || (len(c.OwnRuns) > 0 && c.OwnRuns[len(c.OwnRuns)-1].Nonce == c.nonce) {
		return
	}
	run := delta.Run{First: first, Nonce: c.nonce}
	c.OwnRuns = append(c.OwnRuns, run)
	if extra := len(c.OwnRuns) - maxOwnRuns; extra > 0 {
		c.OwnRuns = slices.Delete(c.OwnRuns, 0, extra)
	}
	g.runs[c.Replica] = run
}

// maxOwnRuns bounds the history of own runs that is kept.
const maxOwnRuns = 1024

// buildClock writes the components that moved.
func (g *group) buildClock(b *Batch) {
	c := &g.n.c
	for _, r := range slices.Sorted(maps.Keys(g.clock)) {
		run, told := g.runs[r]
		if !told {
			run = c.runs[r]
		}
		_, longer := g.past[r]
		if g.clock[r] == c.clock[r] && run == c.runs[r] && !longer {
			continue
		}
		if run != (delta.Run{}) {
			c.runs[r] = run
		}
		if longer {
			c.past = maps.Clone(c.past) // which versions share
			c.past[r] = g.past[r]
		}
		b.Put(g.n.keys.clock(r), appendComponent(nil, c.component(r, g.clock[r])))
	}
	c.clock = g.clock
}

// component is what is kept of r, whose place in the clock is seq.
func (c *committer) component(r crdt.ReplicaID, seq uint64) component {
	return component{Seq: seq, Floor: c.floors[r], Run: c.runs[r], Past: c.past[r]}
}

// moveLive brings the live bitmaps along. The caller holds mu.
func (g *group) moveLive() {
	for _, d := range g.removed {
		g.n.live.Remove(d)
	}
	for _, d := range g.added {
		g.n.live.Add(d)
	}
}
