package crdt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

var words = rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{
	0, 1, 9, 10, 0x7f, 0x80, 1e19, 1e19 - 1, 1 << 62, 1 << 63, 1<<63 - 1, math.MaxUint64}))

func anyTotal(t *rapid.T, label string) Uint128 {
	return Uint128{words.Draw(t, label+" hi"), words.Draw(t, label+" lo")}
}

func anyInt128(t *rapid.T, label string) Int128 {
	u := anyTotal(t, label)
	return Int128{int64(u.Hi), u.Lo}
}

func bigU(u Uint128) *big.Int {
	b := new(big.Int).Lsh(new(big.Int).SetUint64(u.Hi), 64)
	return b.Or(b, new(big.Int).SetUint64(u.Lo))
}

func bigI(i Int128) *big.Int {
	b := new(big.Int).Lsh(big.NewInt(i.Hi), 64)
	return b.Add(b, new(big.Int).SetUint64(i.Lo))
}

var two127, two128 = new(big.Int).Lsh(big.NewInt(1), 127), new(big.Int).Lsh(big.NewInt(1), 128)

// wrap reduces b to the range of Int128.
func wrap(b *big.Int) *big.Int {
	b = new(big.Int).Mod(b, two128)
	if b.Cmp(two127) >= 0 {
		b.Sub(b, two128)
	}
	return b
}

func TestInt128(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i, j := anyInt128(t, "i"), anyInt128(t, "j")
		a, b := bigI(i), bigI(j)
		sum, diff := wrap(new(big.Int).Add(a, b)), wrap(new(big.Int).Sub(a, b))
		v, ok := i.Int64()
		switch {
		case bigI(i.Add(j)).Cmp(sum) != 0:
			t.Fatalf("%v + %v = %v, want %v", a, b, i.Add(j), sum)
		case bigI(i.Sub(j)).Cmp(diff) != 0:
			t.Fatalf("%v - %v = %v, want %v", a, b, i.Sub(j), diff)
		case i.Cmp(j) != a.Cmp(b):
			t.Fatalf("%v cmp %v = %d", a, b, i.Cmp(j))
		case i.String() != a.String():
			t.Fatalf("%v is shown as %v", a, i)
		case ok != a.IsInt64() || ok && v != a.Int64():
			t.Fatalf("%v as int64: %v, %v", a, v, ok)
		case i.IsZero() != (a.Sign() == 0):
			t.Fatalf("%v is zero: %v", a, i.IsZero())
		}
		n := int64(words.Draw(t, "n"))
		if got, ok := Int128Of(n).Int64(); !ok || got != n {
			t.Fatalf("%d: %d, %v", n, got, ok)
		}
	})
}

func TestUint128(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, v := anyTotal(t, "u"), anyTotal(t, "v")
		a, b := bigU(u), bigU(v)
		sum := new(big.Int).Add(a, b)
		diff := new(big.Int).Sub(a, b)
		if diff.Sign() < 0 {
			diff.SetInt64(0)
		}
		got, ok := u.Add(v)
		switch {
		case ok != (sum.Cmp(two128) < 0) || bigU(got).Cmp(new(big.Int).Mod(sum, two128)) != 0:
			t.Fatalf("%v + %v = %v, %v", a, b, got, ok)
		case bigU(u.Sub(v)).Cmp(diff) != 0:
			t.Fatalf("%v - %v = %v", a, b, u.Sub(v))
		case u.Cmp(v) != a.Cmp(b) || u.Max(v).Cmp(v.Max(u)) != 0 || u.Max(v).Cmp(u) < 0:
			t.Fatalf("%v cmp %v = %d", a, b, u.Cmp(v))
		case u.String() != a.String():
			t.Fatalf("%v is shown as %v", a, u)
		}
	})
}

func anyRecord(t *rapid.T) ResetRecord {
	r := ResetRecord{}
	for range rapid.IntRange(0, 5).Draw(t, "components") {
		r = append(r, Component{
			Replica: ReplicaID(words.Draw(t, "replica") | 1),
			Lineage: words.Draw(t, "lineage") | 1,
			P:       anyTotal(t, "P"), N: anyTotal(t, "N"),
		})
	}
	slices.SortFunc(r, compareComponents)
	return slices.CompactFunc(r, func(a, b Component) bool { return compareComponents(a, b) == 0 })
}

func compareComponents(a, b Component) int {
	return Dot{Replica: a.Replica, Seq: a.Lineage}.Compare(Dot{Replica: b.Replica, Seq: b.Lineage})
}

func TestEncodings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Cell{Lineage: words.Draw(t, "lineage") | 1, P: anyTotal(t, "P"), N: anyTotal(t, "N")}
		if got, err := DecodeCell(c.Encode()); err != nil || got != c {
			t.Fatalf("%+v: %+v, %v", c, got, err)
		}
		r := anyRecord(t)
		if got, err := DecodeResetRecord(r.Encode()); err != nil || !slices.Equal(got, r) {
			t.Fatalf("%+v: %+v, %v", r, got, err)
		}
		for n := range c.Encode() {
			if _, err := DecodeCell(c.Encode()[:n]); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%+v cut at %d: %v", c, n, err)
			}
		}
	})
}

// The encodings are part of the protocol.
func TestGoldenEncodings(t *testing.T) {
	c := Cell{Lineage: 300, P: Uint128{1, 0}, N: total(127)}
	want := []byte{0xac, 0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0x7f}
	if got := c.Encode(); !bytes.Equal(got, want) {
		t.Errorf("cell: % x, want % x", got, want)
	}
	r := ResetRecord{{Replica: 0x0102030405060708, Lineage: 1, P: total(2)}}
	want = []byte{1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0}
	if got := r.Encode(); !bytes.Equal(got, want) {
		t.Errorf("record: % x, want % x", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := bytes.Repeat([]byte{0xff}, 18)
	for name, b := range map[string][]byte{
		"empty":                {},
		"seq 0":                {0, 1, 1},
		"not the shortest":     {0x81, 0x00, 1, 1},
		"zero, not shortest":   {1, 0x80, 0x00, 1},
		"trailing":             {1, 1, 1, 1},
		"seq above 64 bits":    append(append([]byte{}, long[:10]...), 1, 1, 1),
		"total above 128":      append(append([]byte{1}, long...), 4, 1),
		"total of 20 bytes":    append(append([]byte{1}, long...), 0x83, 1, 1),
		"total without an end": append([]byte{1}, long...),
	} {
		if c, err := DecodeCell(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("cell, %s: %+v, %v", name, c, err)
		}
	}
	one := []byte{0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 1}
	zero := []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1}
	for name, b := range map[string][]byte{
		"empty":        {},
		"too many":     append([]byte{2}, one...),
		"huge":         append(binary.AppendUvarint(nil, 1<<40), one...),
		"twice":        slices.Concat([]byte{2}, one, one),
		"out of order": slices.Concat([]byte{2}, one, []byte{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1}),
		"replica 0":    append([]byte{1}, zero...),
		"trailing":     slices.Concat([]byte{1}, one, []byte{0}),
		"truncated":    {1, 0, 0, 0, 0, 0, 0, 0, 2, 0x80, 0x80, 0x80},
		"short":        {2, 0, 0, 0, 0, 0, 0, 0, 2, 0x81, 0x81, 0x01, 0x81, 0x81, 0x81, 0x81, 1, 1, 1, 1, 1, 1, 1},
	} {
		if r, err := DecodeResetRecord(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("record, %s: %+v, %v", name, r, err)
		}
	}
}

// What decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	f.Add(Cell{Lineage: 300, P: Uint128{1, 0}, N: total(127)}.Encode())
	f.Add(ResetRecord{{Replica: 1, Lineage: 1, P: total(2)}, {Replica: 1, Lineage: 2, N: total(200)}}.Encode())
	f.Add(ResetRecord{}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeCell(b); err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatalf("cell % x is encoded as % x", b, c.Encode())
		}
		if r, err := DecodeResetRecord(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Fatalf("record % x is encoded as % x", b, r.Encode())
		}
	})
}
