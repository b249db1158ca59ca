package crdt

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrRights is returned when a replica wants to take or to give away more of a bounded counter
// than it has rights for.
var ErrRights = errors.New("crdt: not enough rights")

// heldEscrow is a live escrow cell, and what no live record has settled of it.
//
// Invariant: left ≤ whole, in every part.
type heldEscrow struct {
	dot   Dot
	time  Timestamp
	whole EscrowCell
	left  EscrowCell
	// stale: the replica has another live cell with a higher seq. It takes a replica id that is
	// used twice to get there. Such a cell counts as settled.
	stale bool
}

type heldEscrowRecord struct {
	dot Dot
	EscrowRecord
}

// escrowEntries are the live entries of one bounded counter, read.
type escrowEntries struct {
	cells   []heldEscrow // ascending by (replica, seq)
	records []heldEscrowRecord
	foreign bool // there are entries of a kind that is not a bounded counter's
}

// readEscrow takes the live entries of a bounded counter apart. It returns an error that wraps
// ErrDamaged if a value is malformed.
func readEscrow(live []Entry) (escrowEntries, error) {
	var x escrowEntries
	for _, e := range live {
		switch e.Kind {
		case KindEscrow:
			c, err := DecodeEscrowCell(e.Value)
			if err != nil {
				return escrowEntries{}, fmt.Errorf("cell %v: %w", e.Dot, err)
			}
			x.cells = append(x.cells, heldEscrow{dot: e.Dot, time: e.Time, whole: c, left: c})
		case KindEscrowReset:
			r, err := DecodeEscrowRecord(e.Value)
			if err != nil {
				return escrowEntries{}, fmt.Errorf("reset record %v: %w", e.Dot, err)
			}
			x.records = append(x.records, heldEscrowRecord{e.Dot, r})
		default:
			x.foreign = true
		}
	}
	slices.SortFunc(x.cells, func(a, b heldEscrow) int { return a.dot.Compare(b.dot) })
	for i := range x.cells {
		x.settleByRecords(i)
	}
	return x, nil
}

func (x *escrowEntries) settleByRecords(i int) {
	h := &x.cells[i]
	if i+1 < len(x.cells) && x.cells[i+1].dot.Replica == h.dot.Replica {
		h.stale = true
		h.left = EscrowCell{Lineage: h.whole.Lineage}
		return
	}
	for _, r := range x.records {
		if row, ok := r.find(h.dot.Replica, h.whole.Lineage); ok {
			h.left = h.left.least(h.whole.without(row.EscrowCell))
		}
	}
}

// value is Σ P − Σ N: grants move rights and change no value.
func (x *escrowEntries) value() Int128 {
	var v Int128
	for _, h := range x.cells {
		v = v.Add(h.left.P.signed()).Sub(h.left.N.signed())
	}
	return v
}

// rights returns what each replica may take, without those that may take nothing:
// P − N − Σ given + Σ received.
func (x *escrowEntries) rights() map[ReplicaID]Int128 {
	m := map[ReplicaID]Int128{}
	for _, h := range x.cells {
		own := h.left.P.signed().Sub(h.left.N.signed())
		for _, g := range h.left.Given {
			own = own.Sub(g.Amount.signed())
			m[g.To] = m[g.To].Add(g.Amount.signed())
		}
		m[h.dot.Replica] = m[h.dot.Replica].Add(own)
	}
	for r, v := range m {
		if v.IsZero() {
			delete(m, r)
		}
	}
	return m
}

// matches reports whether r says something about a cell for which alive holds.
func (x *escrowEntries) matches(r EscrowRecord, alive func(heldEscrow) bool) bool {
	return slices.ContainsFunc(x.cells, func(h heldEscrow) bool {
		_, ok := r.find(h.dot.Replica, h.whole.Lineage)
		return ok && alive(h)
	})
}

// Escrow is what a bounded counter shows.
type Escrow struct {
	Value Int128
	// Rights are what each replica may take, without those that may take nothing, as far as they
	// are heard of. Their sum is Value.
	Rights map[ReplicaID]Int128
}

// ReadEscrow returns what the live entries of a bounded counter show. Entries of kinds that are
// not a bounded counter's are ignored. The error wraps ErrDamaged.
func ReadEscrow(live []Entry) (Escrow, error) {
	x, err := readEscrow(live)
	if err != nil {
		return Escrow{}, err
	}
	return Escrow{x.value(), x.rights()}, nil
}

// Stock adds amount to the bounded counter at path, or takes from it if amount is negative:
// at.Replica's own cell is superseded by one with the new totals. What is added gives
// at.Replica the rights to it; what is taken takes rights away. A cell that is settled is not
// carried on: it is killed, and the new one begins the lineage at.Seq. An amount of 0 is an empty
// edit. The error is ErrRights, ErrOverflow, or wraps ErrDamaged.
func Stock(live []Entry, path Path, at Dot, t Timestamp, amount int64) (Edit, error) {
	x, err := readEscrow(live)
	if err != nil || amount == 0 {
		return Edit{}, err
	}
	size := magnitude(amount)
	if amount > 0 {
		if v := x.value(); v.Add(size.signed()).Cmp(Int128Of(math.MaxInt64)) > 0 {
			return Edit{}, ErrOverflow
		}
	} else if !x.mayTake(at.Replica, size) {
		return Edit{}, ErrRights
	}
	return x.write(path, at, t, func(c EscrowCell) (EscrowCell, bool) {
		total := &c.P
		if amount < 0 {
			total = &c.N
		}
		var ok bool
		*total, ok = total.Add(size)
		return c, ok
	})
}

// Give moves rights to amount, at least 1, of the bounded counter at path from at.Replica to
// another. The error is ErrRights, ErrOverflow, ErrTooLarge when at.Replica's cell would outgrow
// what an entry may hold because of all those that it ever gave to, or wraps ErrDamaged.
func Give(live []Entry, path Path, at Dot, t Timestamp, to ReplicaID, amount int64) (Edit, error) {
	x, err := readEscrow(live)
	if err != nil {
		return Edit{}, err
	}
	if amount < 1 || to == 0 || to == at.Replica || !x.mayTake(at.Replica, magnitude(amount)) {
		return Edit{}, ErrRights
	}
	return x.write(path, at, t, func(c EscrowCell) (EscrowCell, bool) { return c.give(to, magnitude(amount)) })
}

// Drain takes what the bounded counter at path holds in the live cells that seen covers; nil
// stands for all of them. It is the delete of a bounded counter, and needs the rights to all
// that it takes. It returns how much that is; when there is nothing to take the edit is empty. The
// errors are those of Stock.
func Drain(live []Entry, path Path, at Dot, t Timestamp, seen VersionVector) (Edit, Uint128, error) {
	x, err := readEscrow(live)
	if err != nil {
		return Edit{}, Uint128{}, err
	}
	var v Int128
	for _, h := range x.cells {
		if covers(seen, h.dot) {
			v = v.Add(h.left.P.signed()).Sub(h.left.N.signed())
		}
	}
	if all := x.value(); v.Cmp(all) > 0 {
		v = all // what was seen has been taken from with rights that came from there
	}
	if v.Cmp(Int128{}) <= 0 {
		return Edit{}, Uint128{}, nil
	}
	size := Uint128{uint64(v.Hi), v.Lo}
	if !x.mayTake(at.Replica, size) {
		return Edit{}, Uint128{}, ErrRights
	}
	edit, err := x.write(path, at, t, func(c EscrowCell) (EscrowCell, bool) {
		var ok bool
		c.N, ok = c.N.Add(size)
		return c, ok
	})
	return edit, size, err
}

// mayTake reports whether the replica has rights to that much.
func (x *escrowEntries) mayTake(r ReplicaID, amount Uint128) bool {
	return amount.signed().Hi >= 0 && x.rights()[r].Cmp(amount.signed()) >= 0
}

// write supersedes the own cell by what change makes of it.
func (x *escrowEntries) write(path Path, at Dot, t Timestamp, change func(EscrowCell) (EscrowCell, bool)) (Edit, error) {
	var edit Edit
	cell := EscrowCell{Lineage: at.Seq}
	for _, h := range x.cells {
		if h.dot.Replica != at.Replica {
			continue
		}
		edit.Kill = append(edit.Kill, h.dot)
		if !h.left.settled() {
			cell = h.whole
		}
	}
	cell, ok := change(cell)
	if !ok {
		return Edit{}, ErrOverflow
	}
	value := cell.Encode()
	if len(value) > MaxValueBytes {
		return Edit{}, ErrTooLarge
	}
	edit.Add = []Entry{{Dot: at, Path: path, Kind: KindEscrow, Time: t, Value: value}}
	return edit, nil
}

// settleEscrow is Settle for a bounded counter. When nobody has rights left, all that the cells
// hold cancels out, and the replica that wrote the newest cell settles it: it writes a record with
// all cells as it sees them. Each replica then kills its own cell, if it has not gone on
// meanwhile, and begins a new lineage later.
func settleEscrow(live []Entry, path Path, at Dot, t Timestamp) Edit {
	x, err := readEscrow(live)
	if err != nil {
		return Edit{}
	}
	var edit Edit
	if x.newest() == at.Replica && len(x.rights()) == 0 {
		if value := x.record(at.Replica).Encode(); len(value) <= MaxValueBytes {
			edit = x.replaceRecords(path, at, t, value)
		}
	}
	purged := func(h heldEscrow) bool { return h.dot.Replica == at.Replica && h.left.settled() }
	stays := func(h heldEscrow) bool { return !purged(h) }
	for _, h := range x.cells {
		if purged(h) {
			edit.Kill = append(edit.Kill, h.dot)
		}
	}
	for _, r := range x.records {
		if r.dot.Replica == at.Replica && !x.matches(r.EscrowRecord, stays) {
			edit.Kill = append(edit.Kill, r.dot)
		}
	}
	slices.SortFunc(edit.Kill, Dot.Compare)
	return edit
}

// newest returns who wrote the newest cell that is not settled; 0 if all are.
func (x *escrowEntries) newest() ReplicaID {
	var first Entry
	for _, h := range x.cells {
		e := Entry{Dot: h.dot, Time: h.time}
		if !h.left.settled() && (first.Dot.Replica == 0 || Newer(e, first) < 0) {
			first = e
		}
	}
	return first.Dot.Replica
}

// record returns the record that settles all cells but self's own, which self kills.
func (x *escrowEntries) record(self ReplicaID) EscrowRecord {
	var r EscrowRecord
	for _, h := range x.cells {
		if h.dot.Replica != self && !h.stale {
			r = append(r, EscrowRow{h.dot.Replica, h.whole})
		}
	}
	return r
}

// replaceRecords supersedes all records, which say nothing that the new one does not, and
// regards all cells as settled from here on.
func (x *escrowEntries) replaceRecords(path Path, at Dot, t Timestamp, value []byte) Edit {
	var edit Edit
	for _, r := range x.records {
		edit.Kill = append(edit.Kill, r.dot)
	}
	x.records = nil
	for i := range x.cells {
		h := &x.cells[i]
		h.left = EscrowCell{Lineage: h.whole.Lineage}
	}
	others := func(h heldEscrow) bool { return h.dot.Replica != at.Replica && !h.stale }
	if slices.ContainsFunc(x.cells, others) {
		edit.Add = []Entry{{Dot: at, Path: path, Kind: KindEscrowReset, Time: t, Value: value}}
	}
	return edit
}
