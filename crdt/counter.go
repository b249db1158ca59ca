package crdt

import (
	"cmp"
	"fmt"
	"slices"
)

// heldCell is a live cell, and how much of it the live reset records take away.
//
// Invariant: low ≤ Cell, in P and in N.
type heldCell struct {
	dot Dot
	Cell
	lowP, lowN Uint128
	// stale: the replica has another live cell with a higher seq. It takes a replica id that
	// is used twice to get there. Such a cell counts as fully reset.
	stale bool
}

func (h heldCell) full() bool { return h.lowP == h.P && h.lowN == h.N }

func (h heldCell) value() Int128 {
	return h.P.Sub(h.lowP).signed().Sub(h.N.Sub(h.lowN).signed())
}

// lower takes all of the cell away.
func (h *heldCell) lower() { h.lowP, h.lowN = h.P, h.N }

// component is what a record must say to take away what is taken away now.
func (h heldCell) component() Component {
	return Component{Replica: h.dot.Replica, Lineage: h.Lineage, P: h.lowP, N: h.lowN}
}

type heldRecord struct {
	dot Dot
	ResetRecord
}

// counter is the live entries of one counter, read.
type counter struct {
	cells   []heldCell // ascending by (replica, seq)
	records []heldRecord
	foreign bool // there are entries of a kind that is not a counter's
}

// readCounter takes the live entries of a counter apart. It returns an error that wraps
// ErrDamaged if a value is malformed.
func readCounter(live []Entry) (counter, error) {
	var c counter
	for _, e := range live {
		switch e.Kind {
		case KindCell:
			cell, err := DecodeCell(e.Value)
			if err != nil {
				return counter{}, fmt.Errorf("cell %v: %w", e.Dot, err)
			}
			c.cells = append(c.cells, heldCell{dot: e.Dot, Cell: cell})
		case KindReset:
			r, err := DecodeResetRecord(e.Value)
			if err != nil {
				return counter{}, fmt.Errorf("reset record %v: %w", e.Dot, err)
			}
			c.records = append(c.records, heldRecord{e.Dot, r})
		default:
			c.foreign = true
		}
	}
	slices.SortFunc(c.cells, func(a, b heldCell) int { return a.dot.Compare(b.dot) })
	for i := range c.cells {
		c.lowerByRecords(i)
	}
	return c, nil
}

func (c *counter) lowerByRecords(i int) {
	h := &c.cells[i]
	if i+1 < len(c.cells) && c.cells[i+1].dot.Replica == h.dot.Replica {
		h.stale = true
		h.lower()
		return
	}
	for _, r := range c.records {
		if m, ok := r.find(h.dot.Replica, h.Lineage); ok {
			h.lowP, h.lowN = h.lowP.Max(m.P), h.lowN.Max(m.N)
		}
	}
	if h.P.Cmp(h.lowP) < 0 {
		h.lowP = h.P
	}
	if h.N.Cmp(h.lowN) < 0 {
		h.lowN = h.N
	}
}

func (c *counter) value() Int128 {
	var v Int128
	for _, h := range c.cells {
		v = v.Add(h.value())
	}
	return v
}

// matches reports whether r says something about a cell for which alive holds.
func (c *counter) matches(r ResetRecord, alive func(heldCell) bool) bool {
	return slices.ContainsFunc(c.cells, func(h heldCell) bool {
		_, ok := r.find(h.dot.Replica, h.Lineage)
		return ok && alive(h)
	})
}

// CounterValue returns the value of a counter: Σ over live cells of what live reset records do
// not take away. Of several components for one (replica, lineage) the greatest counts. Entries
// of kinds that are not a counter's are ignored. The error wraps ErrDamaged.
func CounterValue(live []Entry) (Int128, error) {
	c, err := readCounter(live)
	return c.value(), err
}

// Increment adds amount to the counter at path: at.Replica's own cell is superseded by one with
// the new totals; no other entry is touched. A cell that is fully reset is not carried on: it
// is killed, and the new one begins the lineage at.Seq. An amount of 0 is an empty edit. The
// error is ErrOverflow, or wraps ErrDamaged.
func Increment(live []Entry, path Path, at Dot, t Timestamp, amount int64) (Edit, error) {
	c, err := readCounter(live)
	if err != nil || amount == 0 {
		return Edit{}, err
	}
	if v := c.value(); !mayStep(v, v.Add(Int128Of(amount))) {
		return Edit{}, ErrOverflow
	}
	edit, cell := c.carryOn(at)
	total := &cell.P
	if amount < 0 {
		total = &cell.N
	}
	var ok bool
	if *total, ok = total.Add(magnitude(amount)); !ok {
		return Edit{}, ErrOverflow
	}
	edit.Add = []Entry{{Dot: at, Path: path, Kind: KindCell, Time: t, Value: cell.Encode()}}
	return edit, nil
}

// carryOn returns the cell that at.Replica's next one continues, or a fresh one, and an edit that kills
// what it takes the place of.
func (c *counter) carryOn(at Dot) (edit Edit, cell Cell) {
	cell = Cell{Lineage: at.Seq}
	for _, h := range c.cells {
		if h.dot.Replica != at.Replica {
			continue
		}
		edit.Kill = append(edit.Kill, h.dot)
		if !h.full() {
			cell = h.Cell
		}
	}
	return edit, cell
}

// Reset takes away what the counter at path holds in the live cells that seen covers; nil
// stands for all of them. It is also the delete of a counter, and of a counter in a subtree.
//
// It kills no cell but self's own when that one is fully reset afterwards. For the cells that
// stay it writes one reset record, which takes the place of all live ones, whether seen covers
// them or not: the new one says all that they say about live cells. Without a cell to lower
// the edit is empty; without a cell to speak of it only kills. The error wraps ErrDamaged.
func Reset(live []Entry, path Path, self ReplicaID, at Dot, t Timestamp, seen VersionVector) (Edit, error) {
	c, err := readCounter(live)
	if err != nil {
		return Edit{}, err
	}
	lowered := false
	for i := range c.cells {
		if h := &c.cells[i]; !h.full() && covers(seen, h.dot) {
			h.lower()
			lowered = true
		}
	}
	if !lowered {
		return Edit{}, nil
	}
	return c.rewrite(path, self, at, t), nil
}

// Lower takes away what the components say, of cells of their lineage that are live: it is a Reset
// whose author had seen these totals, of which only the record is left. It writes one record in
// the place of all live ones, also when it lowers nothing; without a record it then changes
// nothing. The error wraps ErrDamaged.
func Lower(live []Entry, path Path, self ReplicaID, at Dot, t Timestamp, by ResetRecord) (Edit, error) {
	c, err := readCounter(live)
	if err != nil {
		return Edit{}, err
	}
	lowered := len(c.records) > 0
	for i := range c.cells {
		h := &c.cells[i]
		m, ok := by.find(h.dot.Replica, h.Lineage)
		if !ok || h.stale {
			continue
		}
		lowered = true
		h.lowP, h.lowN = h.lowP.Max(m.P.Min(h.P)), h.lowN.Max(m.N.Min(h.N))
	}
	if !lowered {
		return Edit{}, nil
	}
	return c.rewrite(path, self, at, t), nil
}

// Again adds totals of increments and decrements to at.Replica's own cell of the counter at path,
// whatever the value is then: they were accepted once, under another id. Otherwise it is Increment.
func Again(live []Entry, path Path, at Dot, t Timestamp, p, n Uint128) (Edit, error) {
	c, err := readCounter(live)
	if err != nil || p.IsZero() && n.IsZero() {
		return Edit{}, err
	}
	edit, cell := c.carryOn(at)
	var ok [2]bool
	cell.P, ok[0] = cell.P.Add(p)
	cell.N, ok[1] = cell.N.Add(n)
	if !ok[0] || !ok[1] {
		return Edit{}, ErrOverflow
	}
	edit.Add = []Entry{{Dot: at, Path: path, Kind: KindCell, Time: t, Value: cell.Encode()}}
	return edit, nil
}

// rewrite returns the edit that makes what is taken away now the whole truth: one record for the
// cells that stay, in the place of all live ones.
func (c *counter) rewrite(path Path, self ReplicaID, at Dot, t Timestamp) Edit {
	var edit Edit
	var record ResetRecord
	for _, h := range c.cells {
		switch m := h.component(); {
		case h.full() && h.dot.Replica == self:
			edit.Kill = append(edit.Kill, h.dot)
		case !h.stale && !(m.P.IsZero() && m.N.IsZero()):
			record = append(record, m)
		}
	}
	for _, r := range c.records {
		edit.Kill = append(edit.Kill, r.dot)
	}
	slices.SortFunc(edit.Kill, Dot.Compare)
	if len(record) > 0 {
		edit.Add = []Entry{{Dot: at, Path: path, Kind: KindReset, Time: t, Value: record.Encode()}}
	}
	return edit
}

// purgeCounter is Settle for a counter: it kills self's own cells that are fully reset, and then
// self's own reset records that say nothing about a live cell.
func purgeCounter(live []Entry, self ReplicaID) Edit {
	c, err := readCounter(live)
	if err != nil {
		return Edit{}
	}
	purged := func(h heldCell) bool { return h.dot.Replica == self && h.full() }
	stays := func(h heldCell) bool { return !purged(h) }
	var edit Edit
	for _, h := range c.cells {
		if purged(h) {
			edit.Kill = append(edit.Kill, h.dot)
		}
	}
	for _, r := range c.records {
		if r.dot.Replica == self && !c.matches(r.ResetRecord, stays) {
			edit.Kill = append(edit.Kill, r.dot)
		}
	}
	slices.SortFunc(edit.Kill, Dot.Compare)
	return edit
}

// find returns the component for a replica's lineage.
func (r ResetRecord) find(replica ReplicaID, lineage uint64) (Component, bool) {
	i, ok := slices.BinarySearchFunc(r, Component{Replica: replica, Lineage: lineage}, Component.Compare)
	if !ok {
		return Component{}, false
	}
	return r[i], true
}

// Compare orders components by (replica, lineage).
func (m Component) Compare(o Component) int {
	return cmp.Or(cmp.Compare(m.Replica, o.Replica), cmp.Compare(m.Lineage, o.Lineage))
}
