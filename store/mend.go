package store

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// mending is what is left of step 3 of healing a fork, by path. It grows with what the former copy
// wrote and removed alone.
type mending struct {
	heal  *healing
	src   *Source
	paths map[crdt.Path]*mend
	order []crdt.Path // of paths, those that are to be done
	// lost are the seqs whose operations have left the former copy's log; the zero span is none.
	lost span
	// What was done, for the operator.
	entries, kills, counters, left int
}

type span struct{ first, last uint64 }

// mend is what there is to do at one path.
type mend struct {
	written []crdt.Dot       // live at the former copy, and written there after the fork
	gone    []crdt.Dot       // live here and dead there
	p, n    crdt.Uint128     // what it added to a counter
	lowered crdt.ResetRecord // what it took of totals that others have, too
}

func (m *mending) at(p crdt.Path) *mend {
	if m.paths[p] == nil {
		m.paths[p] = &mend{}
	}
	return m.paths[p]
}

// planMending compares the two copies.
func (n *Namespace) planMending(src *Source) (*mending, error) {
	h := n.c.heal
	m := &mending{heal: h, src: src, paths: map[crdt.Path]*mend{}}
	for seq := range src.live.Range(h.Replica, h.Fork, h.Seq) {
		d := crdt.Dot{Replica: h.Replica, Seq: seq}
		e, err := src.entry(d)
		if err != nil {
			return nil, formerly(err)
		}
		m.at(e.Path).written = append(m.at(e.Path).written, d)
	}
	for d := range n.live.CutAt(h.shared(src.v.clock)).AndNot(src.live).All() {
		p, err := n.pathOf(d)
		if err != nil {
			return nil, err
		}
		m.at(p).gone = append(m.at(p).gone, d)
	}
	if err := m.readLog(); err != nil {
		return nil, formerly(err)
	}
	m.order = slices.Sorted(maps.Keys(m.paths))
	m.order = slices.DeleteFunc(m.order, func(p crdt.Path) bool { return p <= h.After })
	return m, nil
}

// readLog adds up the former copy's operations on counters since the fork.
func (m *mending) readLog() error {
	h := m.heal
	if floor := m.src.v.floors[h.Replica]; floor >= h.Fork {
		m.lost = span{h.Fork, floor}
	}
	first, ok, err := m.src.recordWith(crdt.Dot{Replica: h.Replica, Seq: max(h.Fork, m.lost.last+1)})
	if err != nil || !ok {
		return err
	}
	_, upper := m.src.n.keys.table('l')
	return m.src.records(m.src.n.keys.log(first), upper, func(l logRecord) bool {
		m.addRecord(l)
		return true
	})
}

// addRecord adds what one log record did. In one unit the amounts come after what it took.
func (m *mending) addRecord(l logRecord) {
	taken := l.Taken
	for _, a := range l.Amounts {
		if a.Seq < m.heal.Fork {
			continue
		}
		for len(taken) > 0 && taken[0].Seq <= a.Seq {
			m.take(taken[0])
			taken = taken[1:]
		}
		at := m.at(a.Path)
		at.p, at.n = sum(at.p, a.P), sum(at.n, a.N)
	}
	for _, t := range taken {
		m.take(t)
	}
}

// take forgets what was added before a reset, and remembers what the reset took of the total from
// before the fork: as a record, for that total may have grown elsewhere.
func (m *mending) take(t taken) {
	if t.Seq < m.heal.Fork {
		return
	}
	at := m.at(t.Path)
	if t.Lineage < m.heal.Fork {
		at.lower(crdt.Component{Replica: m.heal.Replica, Lineage: t.Lineage, P: less(t.P, at.p), N: less(t.N, at.n)})
	}
	at.p, at.n = crdt.Uint128{}, crdt.Uint128{}
}

func (at *mend) lower(c crdt.Component) {
	i, in := slices.BinarySearchFunc(at.lowered, c, crdt.Component.Compare)
	if !in {
		at.lowered = slices.Insert(at.lowered, i, c)
		return
	}
	at.lowered[i].P, at.lowered[i].N = at.lowered[i].P.Max(c.P), at.lowered[i].N.Max(c.N)
}

// sum stays at the greatest total: what is added up was one total once.
func sum(a, b crdt.Uint128) crdt.Uint128 {
	if s, ok := a.Add(b); ok {
		return s
	}
	return crdt.Uint128{Hi: 1<<64 - 1, Lo: 1<<64 - 1}
}

func less(a, b crdt.Uint128) crdt.Uint128 {
	if a.Cmp(b) < 0 {
		return crdt.Uint128{}
	}
	return a.Sub(b)
}

// Bounds of one unit of a healing: few are as large.
const (
	maxMendDots  = 100_000
	maxMendBytes = 16 << 20
)

// mendPage does what is next, as one unit of this replica, and with the last one ends the healing.
func (n *Namespace) mendPage(m *mending) error {
	g := n.newGroup()
	t := g.begin()
	h := *n.c.heal
	for dots := 0; len(m.order) > 0 && dots < maxMendDots && t.over.bytes < maxMendBytes; m.order = m.order[1:] {
		p := m.order[0]
		at := m.paths[p]
		if err := m.mendPath(t, p, at); err != nil {
			return err
		}
		dots += len(at.written) + len(at.gone)
		h.After = p
	}
	t.adds = false // nothing that was not accepted before: it may use the reserve
	if err := t.end(); err != nil {
		return err
	}
	if len(m.order) == 0 {
		if err := g.takeSides(m.src); err != nil {
			return err
		}
		n.endHealing(g)
		if m.whole() {
			g.side.DeleteRange(m.src.n.keys.all())
		}
	} else {
		n.c.heal = &h
		g.side.Put(n.keys.heal(), appendHealing(nil, &h))
	}
	return n.commitGroup(g)
}

func (m *mending) mendPath(t *Tx, p crdt.Path, at *mend) error {
	lower, err := m.killGone(t, p, at.gone)
	if err != nil {
		return err
	}
	for _, d := range at.written {
		e, err := m.src.entry(d)
		if err != nil {
			return formerly(err)
		}
		if err := m.writeAgain(t, e, at); err != nil {
			return err
		}
	}
	if lower || len(at.lowered) > 0 {
		if err := t.lower(p, at.lowered); err != nil {
			return err
		}
	}
	if at.p.IsZero() && at.n.IsZero() {
		return nil
	}
	m.counters++
	if p.LeafType() == crdt.Bounded {
		return m.stockAgain(t, p, at)
	}
	return t.again(p, at.p, at.n)
}

// stockAgain adds to a bounded counter what was added, and takes as much of what was taken as that
// gives rights to: the others stay with the former id.
func (m *mending) stockAgain(t *Tx, p crdt.Path, at *mend) error {
	added, ok := int64Of(at.p)
	taken, ok2 := int64Of(at.n)
	take := min(taken, added)
	if !ok || !ok2 || take < taken {
		m.left++
	}
	for _, n := range []int64{added, -take} {
		switch err := t.Stock(p, n); {
		case errors.Is(err, crdt.ErrOverflow), errors.Is(err, crdt.ErrRights):
			m.left++
		case err != nil:
			return err
		}
	}
	return nil
}

// int64Of returns the nearest int64, and whether it is u.
func int64Of(u crdt.Uint128) (int64, bool) {
	if u.Hi > 0 || u.Lo > math.MaxInt64 {
		return math.MaxInt64, false
	}
	return int64(u.Lo), true
}

// killGone kills what was dead at the former copy. A record that was superseded there may hold down
// a total that has grown elsewhere: it goes when its components have been taken over. A cell of the
// former id lives on: that it was replaced belongs to a history which nobody else has.
func (m *mending) killGone(t *Tx, p crdt.Path, gone []crdt.Dot) (lower bool, err error) {
	if len(gone) == 0 {
		return false, nil
	}
	live, err := t.over.entries(p)
	if err != nil {
		return false, err
	}
	var e crdt.Edit
	for _, x := range live {
		switch {
		case !slices.Contains(gone, x.Dot):
		case x.Kind == crdt.KindReset:
			lower = true
		case x.Kind.NamedOnly() && x.Dot.Replica == m.heal.Replica:
		default:
			e.Kill = append(e.Kill, x.Dot)
		}
	}
	if len(e.Kill) == 0 {
		return lower, nil
	}
	slices.SortFunc(e.Kill, crdt.Dot.Compare)
	m.kills += len(e.Kill)
	return lower, t.edit(p, e)
}

// writeAgain writes an entry of the former copy under this id. Totals are made of what was added; a
// kind that only its owner may kill, and that is not known here, cannot be written for another.
func (m *mending) writeAgain(t *Tx, e crdt.Entry, at *mend) error {
	switch {
	case e.Kind == crdt.KindCell:
		return nil
	case e.Kind == crdt.KindReset:
		record, err := crdt.DecodeResetRecord(e.Value)
		if err != nil {
			return err
		}
		for _, c := range record {
			if c.Replica != m.heal.Replica || c.Lineage < m.heal.Fork {
				at.lower(c)
			}
		}
		return nil
	case e.Kind == crdt.KindSeal:
		seal, err := crdt.DecodeSeal(e.Value)
		if err != nil {
			return err
		}
		id, _ := crdt.SealedAt(e.Path)
		return t.seal(id, seal.Final)
	case e.Kind.NamedOnly():
		m.left++
		return nil
	}
	m.entries++
	e.Dot = t.dot()
	return t.edit(e.Path, crdt.Edit{Add: []crdt.Entry{e}})
}

// whole reports whether nothing had to be given up, so that nobody needs the former copy.
func (m *mending) whole() bool { return m.lost == span{} && m.left == 0 }

// told is what the operator hears.
func (m *mending) told() string {
	text := fmt.Sprintf("a fork was healed: the former replica id %v was in use twice from seq %d on; written again under the new one: "+
		"%d values and members, %d removals, increments of %d counters", m.heal.Replica, m.heal.Fork, m.entries, m.kills, m.counters)
	if m.lost != (span{}) {
		text += fmt.Sprintf("; seqs %d to %d had left the log: what they added to counters, or took from them, is given up", m.lost.first, m.lost.last)
	}
	if m.left > 0 {
		text += fmt.Sprintf("; %d changes of bounded counters, or of kinds that only their author can write, are given up", m.left)
	}
	return text
}

// lower takes away from the counter at p what a record says.
func (t *Tx) lower(p crdt.Path, by crdt.ResetRecord) error {
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	e, err := crdt.Lower(live, p, t.self, t.dot(), t.time, by)
	if err != nil || e.Empty() {
		return err
	}
	return t.edit(p, e)
}

// again adds to the counter at p what had been added under another id.
func (t *Tx) again(p crdt.Path, plus, minus crdt.Uint128) error {
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	e, err := crdt.Again(live, p, t.dot(), t.time, plus, minus)
	if err != nil {
		return err
	}
	a := t.amount(p)
	a.P, a.N = plus, minus
	return t.edit(p, e)
}
