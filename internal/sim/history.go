package sim

import (
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
)

// op is one operation as its author meant it, without any dot.
type op struct {
	what   action
	path   crdt.Path
	amount int64
	to     crdt.ReplicaID
	value  string
	// seen is what a removal or assignment takes away; nil for all that its author's replica held.
	seen crdt.VersionVector
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
	case add, remove, reset, assign: // an add takes the place of earlier ones
		return d.path == p
	case del:
		return d.path.Contains(p)
	}
	return false
}

// values are what readers see at a clock, by path.
type values struct {
	members   map[crdt.Path]bool
	registers map[crdt.Path][]string // sorted
	counters  map[crdt.Path]int64    // those with increments that no reset saw
}

// at evaluates the history at a clock, of a branch or, as a rule, of none.
func (h *history) at(clock crdt.VersionVector, b *branch) values {
	v := values{map[crdt.Path]bool{}, map[crdt.Path][]string{}, map[crdt.Path]int64{}}
	var makers, takers []done
	for _, t := range h.all {
		if !covers(clock, b, t) {
			continue
		}
		for i, o := range t.ops {
			switch d := (done{o, t, i}); o.what {
			case add, assign:
				makers, takers = append(makers, d), append(takers, d)
			case increment, stock:
				makers = append(makers, d)
			case give, arrange: // give moves rights, and changes no value
			default:
				takers = append(takers, d)
			}
		}
	}
	for _, m := range makers {
		if slices.ContainsFunc(takers, func(t done) bool { return t.takes(m.path) && taken(t, m, makers) }) {
			continue
		}
		switch m.what {
		case add:
			v.members[m.path] = true
		case assign:
			v.registers[m.path] = append(v.registers[m.path], m.value)
		case increment, stock:
			v.counters[m.path] += m.amount
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

// taken reports whether t takes m away. A replica's share of a counter is covered by what the
// author saw only if its latest increment is; the author's own share has changed, for that, if the transaction itself
// has added to it.
func taken(t, m done, makers []done) bool {
	if m.what != increment || t.seen == nil {
		return t.saw(m)
	}
	if m.t == t.t || !t.saw(m) {
		return false
	}
	return !slices.ContainsFunc(makers, func(o done) bool {
		if o.what != increment || o.path != m.path || t.t.author(o.t) != t.t.author(m.t) {
			return false
		}
		held := o.t == t.t && o.at < t.at || o.t != t.t && covers(t.t.before, t.t.branch, o.t)
		return held && (o.t == t.t || !t.saw(o))
	})
}
