package store

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/internal/invariant"
)

// Commit runs fn in the next group of commits and returns when all that fn did is durable. fn
// runs once, on the committer: it must not block, and its reads and writes are atomic. When it
// returns an error nothing of it happens, and Commit returns that error. A transaction that
// changes nothing makes no commit.
//
// Other errors: ErrClosed, ErrDiskFull, ErrDamaged, ErrJoining, or the context's before fn began.
func (n *Namespace) Commit(ctx context.Context, fn func(*Tx) error) (Receipt, error) {
	return n.enqueue(&job{ctx: ctx, apart: true, done: make(chan struct{}), do: func(g *group) error {
		if g.n.c.Joining {
			return ErrJoining
		}
		return g.transact(fn)
	}})
}

// Tx is one transaction: what it reads is the newest state with its own edits on it, what it
// writes becomes one unit. It belongs to the function that it was passed to.
//
// The argument seen of a removal or an assignment says what its author had seen: of what was live
// before the transaction only entries that it covers are superseded. nil stands for all that is
// live here. A counter that the transaction itself has changed counts as changed since seen.
type Tx struct {
	g    *group
	over *overlay
	self crdt.ReplicaID
	time crdt.Timestamp
	now  crdt.Deadline // at which it reads
	// until is the deadline of what it writes, 0 for none.
	until crdt.Deadline
	// announced and leased are what the keeper takes over.
	announced map[crdt.Path]announcement
	leased    crdt.Deadline
	// first is the first seq of the unit, next the first that is free.
	first, next uint64
	amounts     map[crdt.Path]*amount
	order       []crdt.Path // of amounts
	taken       []taken
	killed      map[crdt.Dot]crdt.Entry
	prefixes    []prefixKill
	sides       []sideEdit
	adds        bool
	large       bool
}

func (g *group) begin() *Tx {
	g.stamp.Step++
	self := g.n.c.Replica
	next, wall := g.clock[self]+1, g.n.opts.Now()
	return &Tx{g: g, over: newOverlay(g.over), self: self, first: next, next: next,
		time: g.n.c.hlc.Next(wall), now: crdt.DeadlineOf(wall), amounts: map[crdt.Path]*amount{}, killed: map[crdt.Dot]crdt.Entry{}}
}

// Clock returns the clock before this transaction. It must not be written, and not be read after
// the transaction.
func (t *Tx) Clock() crdt.VersionVector { return t.g.clock }

// Now returns the time at which the transaction reads.
func (t *Tx) Now() crdt.Deadline { return t.now }

// Until gives all entries that are written from here on a deadline, as far as they are of a kind that can
// have one; 0 is none, as in the beginning.
func (t *Tx) Until(d crdt.Deadline) { t.until = d }

// Entries returns what is live at p and not over, newest first. The slice must not be written.
func (t *Tx) Entries(p crdt.Path) ([]crdt.Entry, error) {
	live, err := t.over.entries(p)
	if err != nil {
		return nil, err
	}
	return t.seen(p, live)
}

// Head returns the head of an object, or of a set leaf in a map; the zero Head when absent.
func (t *Tx) Head(p crdt.Path) (Head, error) {
	if p.IsPresence() {
		return t.presenceHead(p)
	}
	return seenHead(t.over, p, t.now)
}

// Scan yields the paths with the prefix that sort after `after` and hold what is live and not over,
// ascending.
func (t *Tx) Scan(prefix, after crdt.Path) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for it, err := range t.scan(prefix, after) {
			if err == nil {
				it.Entries, err = t.seen(it.Path, it.Entries)
			}
			if err == nil && len(it.Entries) == 0 {
				continue
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
}

// scan yields what is live, hidden or not: what is written supersedes that too.
func (t *Tx) scan(prefix, after crdt.Path) iter.Seq2[Item, error] {
	const page = 256
	return func(yield func(Item, error) bool) {
		for {
			paths, err := t.over.paths(prefix, after, page)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, p := range paths {
				es, err := t.over.entries(p)
				if !yield(Item{Path: p, Entries: es}, err) || err != nil {
					return
				}
			}
			if len(paths) < page {
				return
			}
			after = paths[len(paths)-1]
		}
	}
}

// dot returns the dot of the next entry. It is consumed when an edit adds an entry with it.
func (t *Tx) dot() crdt.Dot { return crdt.Dot{Replica: t.self, Seq: t.next} }

func (t *Tx) edit(p crdt.Path, e crdt.Edit) error {
	if t.until != 0 {
		e = e.Until(t.until)
	}
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	for _, x := range live {
		if slices.Contains(e.Kill, x.Dot) {
			x.Value = nil // only where it was and of what kind
			t.killed[x.Dot] = x
		}
	}
	t.next += uint64(len(e.Add))
	return t.over.edit(p, e, t.g.stamp)
}

// Increment adds amount to the counter at p; 0 changes nothing. It returns crdt.ErrOverflow when
// the value as seen here would leave int64.
func (t *Tx) Increment(p crdt.Path, n int64) error {
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	e, err := crdt.Increment(live, p, t.dot(), t.time, n)
	if err != nil || e.Empty() {
		return err
	}
	t.adds = true
	if err := t.note(p, n); err != nil {
		return err
	}
	return t.edit(p, e)
}

// amount returns what the transaction has added at p since it last reset it.
func (t *Tx) amount(p crdt.Path) *amount {
	a, ok := t.amounts[p]
	if !ok {
		a = &amount{Seq: t.first, Path: p}
		t.amounts[p] = a
		t.order = append(t.order, p)
	}
	return a
}

// note keeps what the unit adds to a counter, or takes from it if n is negative.
func (t *Tx) note(p crdt.Path, n int64) error {
	if n < 0 {
		return t.noteTotals(p, crdt.Uint128{}, crdt.Uint128{Lo: -uint64(n)})
	}
	return t.noteTotals(p, crdt.Uint128{Lo: uint64(n)}, crdt.Uint128{})
}

func (t *Tx) noteTotals(p crdt.Path, added, taken crdt.Uint128) error {
	a := t.amount(p)
	plus, ok1 := a.P.Add(added)
	minus, ok2 := a.N.Add(taken)
	if !ok1 || !ok2 {
		return crdt.ErrOverflow
	}
	a.P, a.N = plus, minus
	return nil
}

// Reset takes away what the counter at p holds, as far as seen covers it. It reports whether
// that changed anything.
func (t *Tx) Reset(p crdt.Path, seen crdt.VersionVector) (bool, error) {
	live, err := t.over.entries(p)
	if err != nil {
		return false, err
	}
	e, err := crdt.Reset(live, p, t.self, t.dot(), t.time, seen)
	if err != nil || e.Empty() {
		return false, err
	}
	if err := t.take(p, live, e); err != nil {
		return false, err
	}
	return true, t.edit(p, e)
}

// take notes what a reset takes of the own cell.
func (t *Tx) take(p crdt.Path, live []crdt.Entry, e crdt.Edit) error {
	for _, x := range live {
		if x.Kind != crdt.KindCell || x.Dot.Replica != t.self || !slices.Contains(e.Kill, x.Dot) {
			continue
		}
		cell, err := crdt.DecodeCell(x.Value)
		if err != nil {
			return err
		}
		a := t.amount(p)
		if cell.Lineage < t.first {
			t.taken = append(t.taken, taken{Seq: t.first, Path: p, Lineage: cell.Lineage, P: cell.P.Sub(a.P), N: cell.N.Sub(a.N)})
		}
		a.P, a.N = crdt.Uint128{}, crdt.Uint128{}
	}
	return nil
}

// Assign writes value to the register at p. value is kept and must not be written afterwards. It
// returns crdt.ErrTooLarge for a value above crdt.MaxValueBytes.
func (t *Tx) Assign(p crdt.Path, value []byte, seen crdt.VersionVector) error {
	if err := crdt.CheckValue(value); err != nil {
		return err
	}
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	t.adds = true
	return t.edit(p, t.supersede(live, crdt.Assign(live, p, t.dot(), t.time, value, seen)))
}

// supersede adds what this transaction itself wrote at the path to what an edit kills: a
// transaction sees its own writes, and no clock before it says so.
func (t *Tx) supersede(live []crdt.Entry, e crdt.Edit) crdt.Edit {
	for _, x := range live {
		if t.own(x.Dot) && !x.Kind.NamedOnly() && !slices.Contains(e.Kill, x.Dot) {
			e.Kill = append(e.Kill, x.Dot)
		}
	}
	slices.SortFunc(e.Kill, crdt.Dot.Compare)
	return e
}

// Add puts the member at p into its set and reports whether it was absent.
func (t *Tx) Add(p crdt.Path) (fresh bool, err error) {
	live, err := t.over.entries(p)
	if err != nil {
		return false, err
	}
	t.adds = true
	return len(unexpired(live, t.now)) == 0, t.edit(p, crdt.Add(live, p, t.dot(), t.time))
}

// Enable turns the flag at p on.
func (t *Tx) Enable(p crdt.Path) error {
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	t.adds = true
	return t.edit(p, crdt.Enable(live, p, t.dot(), t.time))
}

// Remove takes the member, the flag or the register value at p away, as far as seen covers it, and
// reports whether that changed anything.
func (t *Tx) Remove(p crdt.Path, seen crdt.VersionVector) (bool, error) {
	live, err := t.over.entries(p)
	if err != nil {
		return false, err
	}
	e := t.supersede(live, crdt.Remove(live, seen))
	if e.Empty() {
		return false, nil
	}
	return t.hits(live, e), t.edit(p, e)
}

// hits reports whether an edit kills something that is not over: only that was there for who asks.
func (t *Tx) hits(live []crdt.Entry, e crdt.Edit) bool {
	return slices.ContainsFunc(live, func(x crdt.Entry) bool { return !x.Over(t.now) && slices.Contains(e.Kill, x.Dot) })
}

// Delete takes everything under prefix away, as far as seen covers it: counters are reset, bounded
// counters are emptied, the rest is removed. It reports whether that changed anything. When rights
// to a bounded counter are missing here, nothing may be kept of the transaction: the error is
// crdt.ErrRights. However much lies there, the unit
// holds the prefix and a clock, and a reset record for each counter.
func (t *Tx) Delete(prefix crdt.Path, seen crdt.VersionVector) (changed bool, err error) {
	removed := 0
	hidden := map[crdt.Path]Head{} // what is removed but too much to be spelled out in the overlay
	for item, err := range t.scan(prefix, "") {
		if err != nil {
			return false, err
		}
		if item.Path.LeafType() == crdt.Counter {
			reset, err := t.Reset(item.Path, seen)
			if err != nil {
				return false, err
			}
			changed = changed || reset
		}
		if item.Path.LeafType() == crdt.Bounded {
			drained, err := t.drain(item.Path, seen)
			if err != nil {
				return false, err
			}
			changed = changed || drained
		}
		e := t.supersede(item.Entries, crdt.Remove(item.Entries, seen))
		if e.Empty() {
			continue
		}
		changed = changed || t.hits(item.Entries, e)
		_, touched := t.over.live[item.Path] // which hide does not hide
		for _, d := range e.Kill {
			removed += int(count(!t.own(d))) // what it wrote itself is left out, not killed
		}
		if removed <= t.g.n.opts.LargeEntries || touched {
			if err := t.edit(item.Path, e); err != nil {
				return false, err
			}
			continue
		}
		leaf := item.Path.LeafType()
		rest := slices.DeleteFunc(slices.Clone(item.Entries), func(x crdt.Entry) bool { return slices.Contains(e.Kill, x.Dot) })
		for _, at := range headsOf(item.Path) {
			h := hidden[at]
			h.Entries += uint64(len(e.Kill))
			h.Visible += count(crdt.Visible(leaf, item.Entries)) - count(crdt.Visible(leaf, rest))
			h.Timed += withDeadline(item.Entries) - withDeadline(rest)
			hidden[at] = h
		}
	}
	if removed <= min(maxKillDots, t.g.n.opts.LargeEntries) { // above LargeEntries not all are spelled out
		return changed, nil
	}
	kill := prefixKill{prefix: prefix, clock: t.killClock(seen)}
	t.prefixes = append(t.prefixes, kill)
	if removed > t.g.n.opts.LargeEntries {
		return changed, t.hide(kill, hidden)
	}
	return changed, nil
}

// hide makes the transaction a large one: the rest of a prefix kill is not spelled out in the
// overlay but hides what lies beneath.
func (t *Tx) hide(kill prefixKill, hidden map[crdt.Path]Head) error {
	t.large = true
	t.over.kills = append(t.over.kills, kill)
	for at, less := range hidden {
		h, err := t.over.head(at)
		if err != nil {
			return err
		}
		h.Entries -= less.Entries
		h.Visible -= less.Visible
		h.Timed -= less.Timed
		h.Stamp = t.g.stamp
		t.over.heads[at] = h
	}
	return nil
}

// maxKillDots is the number of dots up to which a delete spells them out.
const maxKillDots = 64

// killClock is the clock of a prefix kill: what was seen, but never more than was applied
// before this unit.
func (t *Tx) killClock(seen crdt.VersionVector) crdt.VersionVector {
	if seen == nil {
		return t.g.clock.Clone()
	}
	return seen.Min(t.g.clock)
}

// end turns the transaction into a unit of the group.
func (t *Tx) end() error {
	if t.next == t.first && len(t.killed) == 0 && !t.large {
		t.g.n.keeper.take(t.announced, t.leased)
		return t.endSides()
	}
	need := forRemovals
	if t.adds {
		need = forAdds
	}
	if err := t.g.n.spaceFor(need); err != nil {
		return err
	}
	u := delta.Unit{Origin: t.self, First: t.first, Last: max(t.first, t.next-1), Deps: t.g.since}
	for _, p := range t.over.order {
		for _, e := range t.over.live[p] {
			if t.own(e.Dot) {
				u.Entries = append(u.Entries, e)
			}
		}
	}
	slices.SortFunc(u.Entries, func(a, b crdt.Entry) int { return a.Dot.Compare(b.Dot) })
	if dots := t.named(); len(dots) > 0 {
		u.Kills = append(u.Kills, delta.Kill{Dots: dots})
	}
	for _, k := range t.prefixes {
		u.Kills = append(u.Kills, delta.Kill{Prefix: k.prefix, Clock: k.clock})
	}
	if err := checkOwn(u); err != nil {
		return err
	}
	amounts := make([]amount, 0, len(t.order))
	for _, p := range t.order {
		if a := t.amounts[p]; !a.P.IsZero() || !a.N.IsZero() {
			amounts = append(amounts, *a)
		}
	}
	if t.large {
		t.g.large = &largeChange{Unit: &u, Amounts: amounts, Taken: t.taken, Sides: t.sides}
		return nil
	}
	t.g.putSides(t.sides)
	t.g.amounts = append(t.g.amounts, amounts...)
	t.g.taken = append(t.g.taken, t.taken...)
	t.g.over.merge(t.over)
	t.g.addOwn(u)
	t.g.n.keeper.take(t.announced, t.leased)
	return nil
}

// endSides ends a transaction that changes no data.
func (t *Tx) endSides() error {
	if len(t.sides) == 0 {
		return nil
	}
	if err := t.g.n.spaceFor(forRemovals); err != nil {
		return err
	}
	t.g.putSides(t.sides)
	return nil
}

// checkOwn keeps back a unit that no peer would take. Its entries and dots were made here, one by
// one; what is put together from elsewhere is looked at: prefixes, clocks, and the size.
func checkOwn(u delta.Unit) error {
	byPrefix := func(k delta.Kill) bool { return k.Prefix != "" }
	if invariant.Enabled || slices.ContainsFunc(u.Kills, byPrefix) {
		if err := delta.Validate(u); err != nil {
			return err
		}
	}
	return checkSize(u)
}

// maxOwnUnitBytes leaves room to coalesce a unit with those of its group.
const maxOwnUnitBytes = delta.MaxUnitBytes - 2*maxGroupBytes

// checkSize returns delta.ErrTooLarge for a unit that no peer would take. It estimates: few units
// come near.
func checkSize(u delta.Unit) error {
	const overhead = 64
	size := 0
	for _, e := range u.Entries {
		size += overhead + len(e.Path) + len(e.Value)
	}
	for _, k := range u.Kills {
		size += overhead * (1 + len(k.Dots))
	}
	if size > maxOwnUnitBytes && u.Size() > maxOwnUnitBytes {
		return fmt.Errorf("%w: a transaction of %d bytes", delta.ErrTooLarge, u.Size())
	}
	return nil
}

func (t *Tx) own(d crdt.Dot) bool { return d.Replica == t.self && d.Seq >= t.first }

// named returns the dots that the unit must name: killed here, not issued here, and not hit by
// one of its prefix kills.
func (t *Tx) named() []crdt.Dot {
	var dots []crdt.Dot
	for d, e := range t.killed {
		hit := func(k prefixKill) bool { return k.prefix.Contains(e.Path) && k.hits(e) }
		if !t.own(d) && !slices.ContainsFunc(t.prefixes, hit) {
			dots = append(dots, d)
		}
	}
	slices.SortFunc(dots, crdt.Dot.Compare)
	return dots
}
