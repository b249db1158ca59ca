package crdt

import (
	"encoding/binary"
	"fmt"
)

// Cell is the value of a KindCell entry: the totals of one replica's increments and decrements
// at one counter since the increment with the seq Lineage. A replica has at most one live cell
// at a counter; only that replica writes it and kills it.
type Cell struct {
	Lineage uint64
	P, N    Uint128
}

// Component says that the first P increments and N decrements of one lineage are taken away.
// It lowers no cell of another replica or lineage.
type Component struct {
	Replica ReplicaID
	Lineage uint64
	P, N    Uint128
}

// ResetRecord is the value of a KindReset entry: components ascending by (replica, lineage),
// at most one of each.
type ResetRecord []Component

// minComponentBytes is what a component takes at least: replica, lineage, P, N.
const minComponentBytes = 8 + 1 + 1 + 1

// Encode returns the canonical encoding: lineage, P and N as base-128 varints, least
// significant group first.
func (c Cell) Encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 16), c.Lineage)
	return appendTotal(appendTotal(b, c.P), c.N)
}

// DecodeCell is the inverse of Encode. It returns an error that wraps ErrDamaged for every
// other input.
func DecodeCell(b []byte) (Cell, error) {
	d := decoder{b: b}
	c := Cell{Lineage: d.lineage(), P: d.total(), N: d.total()}
	if err := d.end(); err != nil {
		return Cell{}, err
	}
	return c, nil
}

// Encode returns the canonical encoding: the number of components as a varint, then each as
// replica (8 bytes, big-endian) and as in Cell.Encode.
func (r ResetRecord) Encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 4+len(r)*24), uint64(len(r)))
	for _, m := range r {
		b = binary.BigEndian.AppendUint64(b, uint64(m.Replica))
		b = binary.AppendUvarint(b, m.Lineage)
		b = appendTotal(appendTotal(b, m.P), m.N)
	}
	return b
}

// DecodeResetRecord is the inverse of Encode. It returns an error that wraps ErrDamaged for
// every other input; what it allocates is bounded by the length of b.
func DecodeResetRecord(b []byte) (ResetRecord, error) {
	d := decoder{b: b}
	n := d.uvarint()
	if n > uint64(len(d.b)/minComponentBytes) {
		return nil, fmt.Errorf("%w: %d components in %d bytes", ErrDamaged, n, len(d.b))
	}
	r := make(ResetRecord, n)
	for i := range r {
		r[i] = Component{Replica: d.replica(), Lineage: d.lineage(), P: d.total(), N: d.total()}
		if i > 0 && r[i-1].Compare(r[i]) >= 0 {
			d.fail("components out of order")
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return r, nil
}

func appendTotal(b []byte, u Uint128) []byte {
	for u.Hi != 0 || u.Lo >= 0x80 {
		b = append(b, byte(u.Lo)|0x80)
		u = Uint128{u.Hi >> 7, u.Lo>>7 | u.Hi<<57}
	}
	return append(b, byte(u.Lo))
}

// decoder reads from the front of b. After a failure it reads zeros, and end tells it.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	d.b = nil
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("trailing bytes")
	}
	return d.err
}

// total reads a varint of up to 128 bits and refuses every form but the shortest.
func (d *decoder) total() Uint128 {
	var u Uint128
	for i, c := range d.b {
		g := uint64(c & 0x7f)
		switch shift := 7 * i; {
		case shift < 64:
			u.Lo |= g << shift
			u.Hi |= g >> (64 - shift)
		case shift < 126:
			u.Hi |= g << (shift - 64)
		case shift == 126 && g < 4:
			u.Hi |= g << 62
		default:
			d.fail("varint out of range")
			return Uint128{}
		}
		if c < 0x80 {
			if c == 0 && i > 0 {
				break
			}
			d.b = d.b[i+1:]
			return u
		}
	}
	d.fail("bad varint")
	return Uint128{}
}

func (d *decoder) uvarint() uint64 {
	u := d.total()
	if u.Hi != 0 {
		d.fail("varint out of range")
	}
	return u.Lo
}

// lineage reads a seq, which is never 0.
func (d *decoder) lineage() uint64 {
	l := d.uvarint()
	if l == 0 {
		d.fail("seq 0")
	}
	return l
}

func (d *decoder) replica() ReplicaID {
	if len(d.b) < 8 {
		d.fail("truncated replica id")
		return 0
	}
	r := ReplicaID(binary.BigEndian.Uint64(d.b))
	if d.b = d.b[8:]; r == 0 {
		d.fail("replica id 0")
	}
	return r
}
