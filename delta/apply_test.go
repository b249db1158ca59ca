package delta

import (
	"errors"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func TestValidate(t *testing.T) {
	if err := Validate(fullUnit()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(u *Unit)
		want error
	}{
		{"no origin", func(u *Unit) { u.Origin = 0 }, ErrMalformed},
		{"first 0", func(u *Unit) { u.First = 0 }, ErrMalformed},
		{"last before first", func(u *Unit) { u.Last = u.First - 1 }, ErrMalformed},
		{"depends on itself", func(u *Unit) { u.Deps[idB] = 3 }, ErrMalformed},
		{"dependency at 0", func(u *Unit) { u.Deps[idA] = 0 }, ErrMalformed},
		{"dependency on nobody", func(u *Unit) { u.Deps[0] = 1 }, ErrMalformed},
		{"entry of another replica", func(u *Unit) { u.Entries[0].Dot.Replica = idA }, ErrMalformed},
		{"entry before the unit", func(u *Unit) { u.Entries[0].Dot.Seq = u.First - 1 }, ErrMalformed},
		{"entry behind the unit", func(u *Unit) { u.Entries[2].Dot.Seq = u.Last + 1 }, ErrMalformed},
		{"dot twice", func(u *Unit) { u.Entries[1].Dot = u.Entries[0].Dot }, ErrMalformed},
		{"deadline of another kind", func(u *Unit) { u.Entries[2].Expires = 1 }, ErrMalformed},
		{"deadline too late", func(u *Unit) { u.Entries[0].Expires = crdt.MaxDeadline + 1 }, ErrMalformed},
		{"lease of another", func(u *Unit) {
			u.Entries[2] = crdt.Entry{Dot: u.Entries[2].Dot, Path: crdt.LeasePath(idA), Kind: crdt.KindLease, Expires: 1}
		}, ErrMalformed},
		{"lease without an end", func(u *Unit) {
			u.Entries[2] = crdt.Entry{Dot: u.Entries[2].Dot, Path: crdt.LeasePath(idB), Kind: crdt.KindLease}
		}, ErrMalformed},
		{"announcement at no member", func(u *Unit) {
			u.Entries[2].Path, u.Entries[2].Kind = crdt.Object(crdt.Presence, "p").Leaf(crdt.Presence), crdt.KindPresence
		}, ErrMalformed},
		{"no kind", func(u *Unit) { u.Entries[0].Kind = 0 }, ErrMalformed},
		{"path of an object", func(u *Unit) { u.Entries[0].Path = crdt.Object(crdt.Map, "m") }, ErrMalformed},
		{"path of a field", func(u *Unit) { u.Entries[0].Path = crdt.Object(crdt.Map, "m").Field("f") }, ErrMalformed},
		{"no path", func(u *Unit) { u.Entries[0].Path = "" }, crdt.ErrBadPath},
		{"long name", func(u *Unit) { u.Entries[0].Path = register(strings.Repeat("x", crdt.MaxNameBytes+1)) }, crdt.ErrLongName},
		{"largest value", func(u *Unit) { u.Entries[0].Value = make([]byte, MaxEntryValue) }, nil},
		{"larger value", func(u *Unit) { u.Entries[0].Value = make([]byte, MaxEntryValue+1) }, ErrTooLarge},
		{"empty kill", func(u *Unit) { u.Kills[0] = Kill{} }, ErrMalformed},
		{"prefix with dots", func(u *Unit) { u.Kills[1].Dots = u.Kills[0].Dots }, ErrMalformed},
		{"prefix without a clock", func(u *Unit) { u.Kills[1].Clock = nil }, ErrMalformed},
		{"clock without a prefix", func(u *Unit) { u.Kills[1].Prefix = "" }, ErrMalformed},
		{"dots with a clock", func(u *Unit) { u.Kills[0].Clock = u.Kills[1].Clock }, ErrMalformed},
		{"clock covers the unit", func(u *Unit) { u.Kills[1].Clock[idB] = u.First }, ErrMalformed},
		{"clock component 0", func(u *Unit) { u.Kills[1].Clock[idA] = 0 }, ErrMalformed},
		{"prefix of half a name", func(u *Unit) { u.Kills[1].Prefix = "sgo" }, crdt.ErrBadPath},
		{"dots out of order", func(u *Unit) { d := u.Kills[0].Dots; d[0], d[1] = d[1], d[0] }, ErrMalformed},
		{"killed dot twice", func(u *Unit) { d := u.Kills[0].Dots; d[1] = d[0] }, ErrMalformed},
		{"kills seq 0", func(u *Unit) { u.Kills[0].Dots[0].Seq = 0 }, ErrMalformed},
		{"kills what comes later", func(u *Unit) { u.Kills[0].Dots[2].Seq = u.Last + 1 }, ErrMalformed},
		{"kills within itself", func(u *Unit) { u.Kills[0].Dots[2].Seq = u.Last }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := fullUnit()
			if c.edit(&u); !errors.Is(Validate(u), c.want) {
				t.Errorf("%v, want %v", Validate(u), c.want)
			}
		})
	}
}

// applied returns the state after units, which must all apply.
func applied(t *testing.T, units ...Unit) crdt.State {
	t.Helper()
	s := crdt.NewState()
	for _, u := range units {
		if err := Apply(&s, u); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func value(d crdt.Dot, p crdt.Path) crdt.Entry {
	return crdt.Entry{Dot: d, Path: p, Kind: crdt.KindValue, Time: 1}
}

func cell(d crdt.Dot, p crdt.Path) crdt.Entry {
	return crdt.Entry{Dot: d, Path: p, Kind: crdt.KindCell, Time: 1}
}

// The kill rules, as a table: what is left of four entries under one map.
func TestApplyKillRules(t *testing.T) {
	m := crdt.Object(crdt.Map, "m")
	x, n := m.Field("x").Leaf(crdt.Register), m.Field("n").Leaf(crdt.Counter)
	before := []Unit{
		{Origin: idA, First: 1, Last: 2, Entries: []crdt.Entry{value(dot(idA, 1), x), cell(dot(idA, 2), n)}},
		{Origin: idB, First: 1, Last: 1, Entries: []crdt.Entry{value(dot(idB, 1), x)}},
		{Origin: idB, First: 2, Last: 2, Entries: []crdt.Entry{cell(dot(idB, 2), n)}},
	}
	all := []crdt.Dot{dot(idA, 1), dot(idA, 2), dot(idB, 1), dot(idB, 2)}
	for _, c := range []struct {
		name string
		kill Kill
		left []crdt.Dot
	}{
		{"prefix, all seen", Kill{Prefix: m, Clock: crdt.VersionVector{idA: 2, idB: 2}}, []crdt.Dot{all[1], all[3]}},
		{"prefix, one side seen", Kill{Prefix: m, Clock: crdt.VersionVector{idA: 2}}, []crdt.Dot{all[1], all[2], all[3]}},
		{"prefix of the counter", Kill{Prefix: m.Field("n"), Clock: crdt.VersionVector{idA: 2, idB: 2}}, all},
		{"prefix of another object", Kill{Prefix: crdt.Object(crdt.Map, "mm"), Clock: crdt.VersionVector{idA: 2, idB: 2}}, all},
		{"dots, a cell too", Kill{Dots: []crdt.Dot{all[0], all[1]}}, all[2:]},
		{"dots that are dead", Kill{Dots: []crdt.Dot{all[0]}}, all[1:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := applied(t, before...)
			live := s.Clone()
			u := Unit{Origin: idC, First: 1, Last: 1, Deps: crdt.VersionVector{idA: 2, idB: 2}, Kills: []Kill{c.kill}}
			for range 2 { // the second time, nothing happens
				if err := Apply(&s, u); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.Live) != len(c.left) {
				t.Errorf("left: %v, want %v", s.Live, c.left)
			}
			for _, d := range c.left {
				if _, ok := s.Live[d]; !ok {
					t.Errorf("%v is gone", d)
				}
			}
			for d, e := range live.Live {
				if _, left := s.Live[d]; left == c.kill.Removes(e) {
					t.Errorf("%v: Removes disagrees with Apply", d)
				}
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	p := register("r")
	base := []Unit{
		{Origin: idA, First: 1, Last: 3, Entries: []crdt.Entry{value(dot(idA, 2), p)}},
		{Origin: idB, First: 1, Last: 1},
	}
	for _, c := range []struct {
		name string
		u    Unit
		want error
	}{
		{"next", Unit{Origin: idA, First: 4, Last: 4}, nil},
		{"covered", Unit{Origin: idA, First: 2, Last: 3}, nil},
		{"predecessor missing", Unit{Origin: idA, First: 5, Last: 5}, ErrGap},
		{"dependency missing", Unit{Origin: idA, First: 4, Last: 4, Deps: crdt.VersionVector{idB: 2}}, ErrGap},
		{"covered in part", Unit{Origin: idA, First: 3, Last: 4}, ErrMalformed},
		{"kills what is not covered", Unit{Origin: idA, First: 4, Last: 4, Kills: []Kill{{Dots: []crdt.Dot{dot(idB, 2)}}}}, ErrMalformed},
		{"kills by a clock ahead of its own", Unit{Origin: idA, First: 4, Last: 4,
			Kills: []Kill{{Prefix: "rr!", Clock: crdt.VersionVector{idB: 2}}}}, ErrMalformed},
		{"not valid", Unit{Origin: idA, First: 4, Last: 3}, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := applied(t, base...)
			want := s.Clone()
			if err := Apply(&s, c.u); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want != nil && !s.Equal(want) {
				t.Error("the state changed")
			}
		})
	}
}

func TestApplyKillsWhatItAdds(t *testing.T) {
	p := register("r")
	s := applied(t, Unit{Origin: idA, First: 1, Last: 2,
		Entries: []crdt.Entry{value(dot(idA, 1), p), value(dot(idA, 2), p)},
		Kills:   []Kill{{Dots: []crdt.Dot{dot(idA, 1)}}}})
	if len(s.Live) != 1 || s.Clock[idA] != 2 {
		t.Errorf("%v", s)
	}
}
