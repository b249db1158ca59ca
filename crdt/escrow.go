package crdt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// EscrowCell is the value of a KindEscrow entry: what one replica has added to a bounded counter,
// taken from it and given away of its rights since the operation with the seq Lineage. A replica
// has at most one live cell at a bounded counter; only that replica writes it and kills it.
type EscrowCell struct {
	Lineage uint64
	P, N    Uint128
	Given   []Grant // ascending by receiver, at most one for each, none of 0
}

// Grant is the total of the rights that a replica has given to another.
type Grant struct {
	To     ReplicaID
	Amount Uint128
}

// EscrowRow says of one replica's cell that all of it, as it was then, is settled.
type EscrowRow struct {
	Replica ReplicaID
	EscrowCell
}

// EscrowRecord is the value of a KindEscrowReset entry: rows ascending by (replica, lineage), at
// most one of each. Its writer saw these cells whole, and nobody with rights left.
type EscrowRecord []EscrowRow

const (
	minGrantBytes = 8 + 1
	minRowBytes   = 8 + 1 + 1 + 1 + 1 // replica, lineage, P, N, number of grants
)

// Encode returns the canonical encoding: lineage, P and N as in Cell.Encode, the number of grants,
// then each as receiver (8 bytes, big-endian) and amount.
func (c EscrowCell) Encode() []byte { return c.append(make([]byte, 0, 16+16*len(c.Given))) }

func (c EscrowCell) append(b []byte) []byte {
	b = binary.AppendUvarint(b, c.Lineage)
	b = appendTotal(appendTotal(b, c.P), c.N)
	b = binary.AppendUvarint(b, uint64(len(c.Given)))
	for _, g := range c.Given {
		b = binary.BigEndian.AppendUint64(b, uint64(g.To))
		b = appendTotal(b, g.Amount)
	}
	return b
}

// DecodeEscrowCell is the inverse of Encode. It returns an error that wraps ErrDamaged for every
// other input; what it allocates is bounded by the length of b.
func DecodeEscrowCell(b []byte) (EscrowCell, error) {
	d := decoder{b: b}
	c := d.escrowCell()
	if err := d.end(); err != nil {
		return EscrowCell{}, err
	}
	return c, nil
}

func (d *decoder) escrowCell() EscrowCell {
	c := EscrowCell{Lineage: d.lineage(), P: d.total(), N: d.total()}
	n := d.uvarint()
	if n > uint64(len(d.b)/minGrantBytes) {
		d.fail("more grants than bytes")
		return EscrowCell{}
	}
	if n > 0 {
		c.Given = make([]Grant, n)
	}
	for i := range c.Given {
		g := Grant{To: d.replica(), Amount: d.total()}
		if g.Amount.IsZero() || i > 0 && c.Given[i-1].To >= g.To {
			d.fail("grants out of order, or of nothing")
		}
		c.Given[i] = g
	}
	return c
}

// Encode returns the canonical encoding: the number of rows as a varint, then each as replica
// (8 bytes, big-endian) and as in EscrowCell.Encode.
func (r EscrowRecord) Encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 4+len(r)*32), uint64(len(r)))
	for _, row := range r {
		b = binary.BigEndian.AppendUint64(b, uint64(row.Replica))
		b = row.append(b)
	}
	return b
}

// DecodeEscrowRecord is the inverse of Encode. It returns an error that wraps ErrDamaged for
// every other input; what it allocates is bounded by the length of b.
func DecodeEscrowRecord(b []byte) (EscrowRecord, error) {
	d := decoder{b: b}
	n := d.uvarint()
	if n > uint64(len(d.b)/minRowBytes) {
		return nil, fmt.Errorf("%w: %d rows in %d bytes", ErrDamaged, n, len(d.b))
	}
	r := make(EscrowRecord, n)
	for i := range r {
		r[i] = EscrowRow{Replica: d.replica(), EscrowCell: d.escrowCell()}
		if i > 0 && r[i-1].compare(r[i]) >= 0 {
			d.fail("rows out of order")
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return r, nil
}

// compare orders rows by (replica, lineage).
func (r EscrowRow) compare(o EscrowRow) int {
	return cmp.Or(cmp.Compare(r.Replica, o.Replica), cmp.Compare(r.Lineage, o.Lineage))
}

// find returns the row of a replica's lineage.
func (r EscrowRecord) find(replica ReplicaID, lineage uint64) (EscrowRow, bool) {
	row := EscrowRow{Replica: replica, EscrowCell: EscrowCell{Lineage: lineage}}
	i, ok := slices.BinarySearchFunc(r, row, EscrowRow.compare)
	if !ok {
		return EscrowRow{}, false
	}
	return r[i], true
}

// given returns what the cell has given to a replica.
func (c EscrowCell) given(to ReplicaID) Uint128 {
	i, ok := slices.BinarySearchFunc(c.Given, to, Grant.compareTo)
	if !ok {
		return Uint128{}
	}
	return c.Given[i].Amount
}

func (g Grant) compareTo(to ReplicaID) int { return cmp.Compare(g.To, to) }

// give returns the cell after it has given amount more to a replica; false if the total does not
// fit. It shares nothing with c.
func (c EscrowCell) give(to ReplicaID, amount Uint128) (EscrowCell, bool) {
	sum, ok := c.given(to).Add(amount)
	c.Given = slices.Clone(c.Given)
	i, found := slices.BinarySearchFunc(c.Given, to, Grant.compareTo)
	if !found {
		c.Given = slices.Insert(c.Given, i, Grant{To: to})
	}
	c.Given[i].Amount = sum
	return c, ok
}

// without returns what is left of the cell when that much of it is settled: never less than 0.
func (c EscrowCell) without(settled EscrowCell) EscrowCell {
	left := EscrowCell{Lineage: c.Lineage, P: c.P.Sub(settled.P), N: c.N.Sub(settled.N)}
	for _, g := range c.Given {
		if rest := g.Amount.Sub(settled.given(g.To)); !rest.IsZero() {
			left.Given = append(left.Given, Grant{g.To, rest})
		}
	}
	return left
}

// least returns the pointwise minimum of two cells of one lineage.
func (c EscrowCell) least(o EscrowCell) EscrowCell {
	m := EscrowCell{Lineage: c.Lineage, P: c.P.Min(o.P), N: c.N.Min(o.N)}
	for _, g := range c.Given {
		if both := g.Amount.Min(o.given(g.To)); !both.IsZero() {
			m.Given = append(m.Given, Grant{g.To, both})
		}
	}
	return m
}

// settled reports whether nothing is left.
func (c EscrowCell) settled() bool { return c.P.IsZero() && c.N.IsZero() && len(c.Given) == 0 }
