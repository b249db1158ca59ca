package sim

import (
	"maps"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// action is what an op does.
type action int

const (
	add action = iota
	remove
	increment
	reset
	assign
	del   // everything under a path
	stock // a bounded counter, which no reset lowers
	give
	arrange // a list; what readers see of it is not evaluated
	insert  // an item that nothing else changes into a list
	announce
	withdraw
	lease // of the author
	end   // the lease of the author
	reap  // what is over
	empty // a bounded counter, by a delete of all under a path
)

// op is one operation as its author meant it, without any dot.
type op struct {
	what   action
	path   crdt.Path
	amount int64
	to     crdt.ReplicaID
	value  string
	until  crdt.Deadline // of what it writes, 0 for none
	reap   *reaped
	// seen is what a removal or assignment takes away; nil for all that its author's replica held.
	seen crdt.VersionVector
}

// reaped says what a reaper removes.
type reaped struct {
	own, others crdt.Deadline // what was over by then, of its own and of others
	lapsed      map[crdt.ReplicaID]bool
}

// transaction is what one author did at once. It knows nothing of entries, units and joins: a state that covers
// its end has seen all of it.
type transaction struct {
	end    crdt.Dot // the last dot of its unit
	before crdt.VersionVector
	ops    []op
	marker crdt.Path // a member that nothing else touches, by which its unit is known; "" for none
	// branch, if not nil, is where it was written, at was: on one side of a fork. Its end is then where it was
	// written again, and lies behind everything before that.
	branch *branch
	was    crdt.Dot
	self   crdt.ReplicaID // of its author
}

// covers reports whether a clock covers a transaction. A clock of a branch means by the seqs of its id those
// that were written there.
func covers(clock crdt.VersionVector, b *branch, t *transaction) bool {
	if t.branch != nil && t.branch == b {
		return clock[t.was.Replica] >= t.was.Seq
	}
	seq := clock[t.end.Replica]
	if b != nil && t.end.Replica == b.id {
		seq = min(seq, b.fork-1)
	}
	return seq >= t.end.Seq
}

// author is the id under which o was written, as the author of t knows it.
func (t *transaction) author(o *transaction) crdt.ReplicaID {
	if o.branch != nil && o.branch == t.branch {
		return o.was.Replica
	}
	return o.end.Replica
}

// history is every transaction. It is the reference for what readers see: values follow from who
// had seen what, by the rules in the package comment of crdt, and from nothing else.
type history struct {
	all []*transaction
}

func newHistory() *history { return &history{} }

// put adds a transaction. One that changed nothing has no unit, and the next one takes its place.
func (h *history) put(t *transaction) {
	for i, o := range t.ops { // what empties a bounded counter takes what its author saw there, and nothing else
		if o.what == empty {
			t.ops[i] = op{what: stock, path: seats, amount: -h.at(t.before, t.branch, 0).counters[seats]}
		}
	}
	i := slices.IndexFunc(h.all, func(o *transaction) bool { return o.end == t.end && o.branch == t.branch && o.was == t.was })
	if i >= 0 {
		h.all[i] = t
		return
	}
	h.all = append(h.all, t)
}

// done is an op and where it stands.
type done struct {
	op
	t  *transaction
	at int
}

// saw reports whether d takes away what o did.
func (d done) saw(o done) bool {
	if d.t == o.t {
		return o.at < d.at
	}
	if !covers(d.t.before, d.t.branch, o.t) {
		return false
	}
	return d.seen == nil || covers(d.seen, d.t.branch, o.t)
}

// takes reports whether d removes, resets or overwrites what stands at a path.
func (d done) takes(p crdt.Path) bool {
	switch d.what {
	case add, remove, reset, assign, announce, withdraw, lease, end: // an add takes the place of earlier ones
		return d.path == p
	case del:
		return d.path.Contains(p)
	case reap:
		return true
	}
	return false
}

// values are what readers see at a clock, by path.
type values struct {
	members   map[crdt.Path]bool
	registers map[crdt.Path][]string // sorted; and what is announced, and the values of items
	counters  map[crdt.Path]int64    // those with increments that no reset saw
}

func newValues() values {
	return values{map[crdt.Path]bool{}, map[crdt.Path][]string{}, map[crdt.Path]int64{}}
}

// ops are the operations that a clock covers: those that put something there, and those that take it away, by
// path and, if that is a whole subtree, apart.
type ops struct {
	makers []done
	at     map[crdt.Path][]done
	wide   []done
}

// covered returns the operations up to a clock, of a branch or, as a rule, of none.
func (h *history) covered(clock crdt.VersionVector, b *branch) ops {
	x := ops{at: map[crdt.Path][]done{}}
	for _, t := range h.all {
		if !covers(clock, b, t) {
			continue
		}
		for i, o := range t.ops {
			d := done{o, t, i}
			switch o.what {
			case add, assign, announce, lease:
				x.makers, x.at[o.path] = append(x.makers, d), append(x.at[o.path], d)
			case increment, stock, insert:
				x.makers = append(x.makers, d)
			case give, arrange: // give moves rights, and changes no value
			case del, reap:
				x.wide = append(x.wide, d)
			default:
				x.at[o.path] = append(x.at[o.path], d)
			}
		}
	}
	return x
}

// taken reports whether something takes m away.
func (x ops) taken(m done) bool {
	takes := func(t done) bool { return t.takes(m.path) && x.takenBy(t, m) }
	return slices.ContainsFunc(x.at[m.path], takes) || slices.ContainsFunc(x.wide, takes)
}

// at evaluates the history at a clock and a time.
func (h *history) at(clock crdt.VersionVector, b *branch, now crdt.Deadline) values {
	v, x := newValues(), h.covered(clock, b)
	var announced []done
	leased := map[crdt.ReplicaID]bool{}
	for _, m := range x.makers {
		if m.until != 0 && m.until <= now || x.taken(m) {
			continue
		}
		switch m.what {
		case add:
			v.members[m.path] = true
		case assign, insert:
			v.registers[m.path] = append(v.registers[m.path], m.value)
		case increment, stock:
			v.counters[m.path] += m.amount
		case announce:
			announced = append(announced, m)
		case lease:
			leased[m.t.end.Replica] = true
		}
	}
	for _, m := range announced {
		if leased[m.t.end.Replica] {
			v.registers[m.path] = append(v.registers[m.path], m.value)
		}
	}
	for p, n := range v.counters {
		if n == 0 && p.LeafType() == crdt.Bounded {
			delete(v.counters, p)
		}
	}
	for _, values := range v.registers {
		slices.Sort(values)
	}
	return v
}

// leases returns until when each replica that has announced something has a lease at a clock, in the eyes of
// nobody's wall clock: 0 when it has none.
func (h *history) leases(clock crdt.VersionVector) map[crdt.ReplicaID]crdt.Deadline {
	x, until := h.covered(clock, nil), map[crdt.ReplicaID]crdt.Deadline{}
	for _, m := range x.makers {
		switch r := m.t.end.Replica; {
		case m.what == announce && !x.taken(m):
			until[r] += 0
		case m.what == lease && !x.taken(m):
			until[r] = max(until[r], m.until)
		}
	}
	return until
}

// announces reports whether what r has announced at p is there at a clock.
func (h *history) announces(clock crdt.VersionVector, r crdt.ReplicaID, p crdt.Path) bool {
	x := h.covered(clock, nil)
	return slices.ContainsFunc(x.makers, func(m done) bool {
		return m.what == announce && m.t.end.Replica == r && m.path == p && !x.taken(m)
	})
}

// takenBy reports whether t takes m away. A replica's share of a counter is covered by what the
// author saw only if its latest increment is; the author's own share has changed, for that, if the transaction itself
// has added to it. What is announced only its author takes away, and a reaper.
func (x ops) takenBy(t, m done) bool {
	own := t.t.author(m.t) == t.t.author(t.t)
	switch {
	case t.what == reap:
		late := m.until != 0 && (m.until <= t.reap.others || own && m.until <= t.reap.own) && !(m.what == lease && own)
		return t.saw(m) && (late || m.what == announce && t.reap.lapsed[m.t.end.Replica])
	case m.what == announce || m.what == lease:
		return own && t.saw(m)
	case m.what != increment || t.seen == nil:
		return t.saw(m)
	case m.t == t.t || !t.saw(m):
		return false
	}
	return !slices.ContainsFunc(x.makers, func(o done) bool {
		if o.what != increment || o.path != m.path || t.t.author(o.t) != t.t.author(m.t) {
			return false
		}
		held := o.t == t.t && o.at < t.at || o.t != t.t && covers(t.t.before, t.t.branch, o.t)
		return held && (o.t == t.t || !t.saw(o))
	})
}

// again returns what increments of some replicas add up to that were taken away from the counter at p, in every
// choice of them.
func (h *history) again(clock crdt.VersionVector, p crdt.Path, of map[crdt.ReplicaID]bool) map[int64]bool {
	sums, x := map[int64]bool{0: true}, h.covered(clock, nil)
	for _, m := range x.makers {
		if m.what != increment || m.path != p || !of[m.t.end.Replica] || !x.taken(m) {
			continue
		}
		for _, s := range slices.Collect(maps.Keys(sums)) {
			sums[s+m.amount] = true
		}
	}
	return sums
}
