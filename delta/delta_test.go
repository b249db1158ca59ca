package delta

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func TestUnitRoundTrip(t *testing.T) {
	const a, b, c = 0x1111222233334444, 0x2222222222222222, 0x3333333333333333
	u := Unit{
		Origin: b, First: 70000, Last: 70004,
		Deps: crdt.VersionVector{a: 5, c: 1 << 40},
		Entries: []crdt.Entry{
			{Dot: crdt.Dot{Replica: b, Seq: 70000}, Path: crdt.Object(crdt.Register, "r").Leaf(crdt.Register), Kind: crdt.KindValue, Time: 77 << 16, Value: []byte(`"x"`)},
			{Dot: crdt.Dot{Replica: b, Seq: 70003}, Path: crdt.Object(crdt.Set, "s").Leaf(crdt.Set).Member("m"), Kind: crdt.KindMember, Time: 77 << 16},
			{Dot: crdt.Dot{Replica: b, Seq: 70004}, Path: crdt.Object(crdt.Set, "s").Leaf(crdt.Set).Member("n"), Kind: crdt.KindMember, Time: 78 << 16, Extra: []byte{6, 0xc0}},
		},
		Kills: []Kill{
			{Dots: []crdt.Dot{{Replica: a, Seq: 3}, {Replica: b, Seq: 9}, {Replica: b, Seq: 10}, {Replica: c, Seq: 1}}},
			{Prefix: crdt.Object(crdt.Set, "gone"), Clock: crdt.VersionVector{a: 5, b: 69999}},
		},
		Extra: []byte{8, 0xa1, 'x', 9, 0x91, 0xc3},
	}
	if err := Validate(u); err != nil {
		t.Fatal(err)
	}
	enc := AppendUnit(nil, u)
	if u.Size() != len(enc) {
		t.Fatalf("Size %d, encoded %d", u.Size(), len(enc))
	}
	got, err := DecodeUnit(enc)
	if err != nil {
		t.Fatal(err)
	}
	equalUnits(t, got, u)
	v := u
	v.First, v.Last, v.Entries = 70005, 70005, nil
	f := Frame{Runs: Runs{b: {First: 1, Nonce: 99}}, Units: []Unit{u, v}, Extra: []byte{3, 0xc4, 1, 0}}
	fenc := AppendFrame(nil, f)
	fgot, err := DecodeFrame(fenc)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Units {
		equalUnits(t, fgot.Units[i], f.Units[i])
	}
	if !slices.Equal(AppendFrame(nil, fgot), fenc) {
		t.Fatal("frame does not round-trip")
	}
}

func equalUnits(t *testing.T, got, want Unit) {
	t.Helper()
	if g, w := AppendUnit(nil, got), AppendUnit(nil, want); !slices.Equal(g, w) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if got.Origin != want.Origin || got.First != want.First || got.Last != want.Last ||
		got.Deps.Compare(want.Deps) != crdt.Equal || !slices.Equal(got.Extra, want.Extra) ||
		!slices.EqualFunc(got.Entries, want.Entries, crdt.Entry.Equal) ||
		!slices.EqualFunc(got.Kills, want.Kills, func(a, b Kill) bool {
			return slices.Equal(a.Dots, b.Dots) && a.Prefix == b.Prefix && a.Clock.Compare(b.Clock) == crdt.Equal
		}) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// model is a dumb DotSet.
type model map[crdt.Dot]bool

func (m model) sorted() []crdt.Dot {
	var ds []crdt.Dot
	for d := range m {
		ds = append(ds, d)
	}
	slices.SortFunc(ds, crdt.Dot.Compare)
	return ds
}

func TestDotSetAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s, m := NewDotSet(), model{}
	type snap struct {
		s    *DotSet
		dots []crdt.Dot
	}
	var snaps []snap
	for i := range 60_000 {
		d := crdt.Dot{Replica: crdt.ReplicaID(1 + rng.IntN(3)), Seq: 1 + rng.Uint64N(200_000)>>rng.IntN(12)}
		switch rng.IntN(20) {
		case 0:
			n := rng.Uint64N(300)
			s.AddRange(d.Replica, d.Seq, d.Seq+n)
			for k := range n + 1 {
				m[crdt.Dot{Replica: d.Replica, Seq: d.Seq + k}] = true
			}
		case 1, 2, 3, 4, 5, 6, 7, 8:
			if s.Remove(d) != m[d] {
				t.Fatal("remove", d)
			}
			delete(m, d)
		default:
			if s.Add(d) == m[d] {
				t.Fatal("add", d)
			}
			m[d] = true
		}
		if i%6000 == 0 {
			snaps = append(snaps, snap{s.Clone(), m.sorted()})
		}
	}
	snaps = append(snaps, snap{s, m.sorted()})
	for _, sn := range snaps {
		if got := slices.Collect(sn.s.All()); !slices.Equal(got, sn.dots) {
			t.Fatalf("%d dots, want %d", len(got), len(sn.dots))
		}
		if sn.s.Len() != uint64(len(sn.dots)) {
			t.Fatal("len")
		}
		enc := AppendDotSet(nil, sn.s)
		back, rest, err := DecodeDotSet(enc)
		if err != nil || len(rest) > 0 || !back.Equal(sn.s) || !slices.Equal(AppendDotSet(nil, back), enc) {
			t.Fatal("codec", err)
		}
		for r := crdt.ReplicaID(1); r <= 3; r++ {
			if back.HashRange(r, 100, 150_000) != sn.s.HashRange(r, 100, 150_000) {
				t.Fatal("hash")
			}
		}
	}
	x, y := snaps[3], snaps[8]
	v := crdt.VersionVector{1: 70_000, 2: 65_535, 3: 65_536}
	check := func(name string, got *DotSet, keep func(d crdt.Dot) bool) {
		t.Helper()
		want := model{}
		for _, d := range append(slices.Clone(x.dots), y.dots...) {
			if keep(d) {
				want[d] = true
			}
		}
		if !slices.Equal(slices.Collect(got.All()), want.sorted()) || got.Len() != uint64(len(want)) {
			t.Fatalf("%s: %d dots, want %d", name, got.Len(), len(want))
		}
	}
	check("and", x.s.And(y.s), func(d crdt.Dot) bool { return x.s.Contains(d) && y.s.Contains(d) })
	check("andnot", x.s.AndNot(y.s), func(d crdt.Dot) bool { return x.s.Contains(d) && !y.s.Contains(d) })
	check("or", x.s.Or(y.s), func(d crdt.Dot) bool { return true })
	check("cut", x.s.CutAt(v), func(d crdt.Dot) bool { return x.s.Contains(d) && v.Covers(d) })
	check("uncovered", x.s.Uncovered(v), func(d crdt.Dot) bool { return x.s.Contains(d) && !v.Covers(d) })
}
