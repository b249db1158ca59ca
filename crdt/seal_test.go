package crdt_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	. "github.com/anabranchdb/anabranch/crdt"
)

// TestSealVectors: the encoding is what it was, and the only one.
func TestSealVectors(t *testing.T) {
	for want, s := range map[string]Seal{
		"010000000000000007":         {Final: 1, Heir: 7},
		"ac02fedcba9876543210":       {Final: 300, Heir: 0xfedcba9876543210},
		"80808080108000000000000000": {Final: 1 << 32, Heir: 1 << 63},
	} {
		b := s.Encode()
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
		if got, err := DecodeSeal(b); err != nil || got != s {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
		for _, bad := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0), nil, append([]byte{0}, b[1:]...), make([]byte, len(b))} {
			if _, err := DecodeSeal(bad); !errors.Is(err, ErrDamaged) && len(bad) != len(b) {
				t.Errorf("%x: %v", bad, err)
			}
		}
	}
}

// TestSealOf: of several seals the one counts that knows most; a seal takes the place of those that its
// author saw.
func TestSealOf(t *testing.T) {
	path := SealPath(9)
	if r, ok := SealedAt(path); !ok || r != 9 {
		t.Fatal(r, ok)
	}
	if _, ok := SealedAt(visits); ok {
		t.Error("a counter seals")
	}
	of := func(r ReplicaID, at Timestamp, s Seal) Entry {
		e := s.Close(nil, path, Dot{Replica: r, Seq: 5}, at)
		return e.Add[0]
	}
	early, late, late2 := of(1, 30, Seal{4, 1}), of(2, 10, Seal{7, 2}), of(3, 20, Seal{7, 3})
	for _, c := range []struct {
		live []Entry
		want Seal
	}{
		{[]Entry{early, late}, Seal{7, 2}}, {[]Entry{late, late2, early}, Seal{7, 3}}, {[]Entry{early}, Seal{4, 1}}, {nil, Seal{}},
	} {
		if got, ok, err := SealOf(c.live); err != nil || got != c.want || ok != (len(c.live) > 0) {
			t.Errorf("%v: %+v %t %v", c.live, got, ok, err)
		}
	}
	e := Seal{8, 4}.Close([]Entry{late, early}, path, Dot{Replica: 4, Seq: 1}, 1)
	if !slices.Equal(e.Kill, []Dot{early.Dot, late.Dot}) || len(e.Add) != 1 || Visible(System, e.Add) || !e.Add[0].Kind.NamedOnly() {
		t.Errorf("%+v", e)
	}
	if _, _, err := SealOf([]Entry{{Kind: KindSeal, Value: []byte{1}}}); !errors.Is(err, ErrDamaged) {
		t.Errorf("damage: %v", err)
	}
}

// TestInherit: an heir does at a counter what the sealed replica would do, and no more.
func TestInherit(t *testing.T) {
	gone := cell(9, 3, Cell{Lineage: 1, P: total(5)})
	left := cell(9, 3, Cell{Lineage: 1, P: total(6)})
	by := record(2, 4, Component{Replica: 9, Lineage: 1, P: total(5)})
	own := record(9, 4, Component{Replica: 7, Lineage: 1, P: total(5)})
	for _, c := range []struct {
		live []Entry
		want []Dot
	}{
		{[]Entry{gone, by}, []Dot{gone.Dot}}, {[]Entry{left, by}, nil}, {[]Entry{own}, []Dot{own.Dot}}, {nil, nil},
	} {
		if e := Inherit(c.live, visits, 9); !slices.Equal(e.Kill, c.want) || len(e.Add) > 0 {
			t.Errorf("%v: %+v, want %v", c.live, e, c.want)
		}
	}
}
