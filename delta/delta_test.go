package delta

import (
	"bytes"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// Replicas of the tests, so that idB has one neighbour on either side.
const (
	idA crdt.ReplicaID = 0x1111_2222_3333_4444
	idB crdt.ReplicaID = 0x2222_2222_2222_2222
	idC crdt.ReplicaID = 0x3333_0000_0000_0001
)

func dot(r crdt.ReplicaID, seq uint64) crdt.Dot { return crdt.Dot{Replica: r, Seq: seq} }

func register(key string) crdt.Path { return crdt.Object(crdt.Register, key).Leaf(crdt.Register) }

func member(key, name string) crdt.Path {
	return crdt.Object(crdt.Set, key).Leaf(crdt.Set).Member(name)
}

// fullUnit returns a unit that has everything a unit can have.
func fullUnit() Unit {
	return Unit{
		Origin: idB, First: 70_000, Last: 70_004,
		Deps: crdt.VersionVector{idA: 5, idC: 1 << 40},
		Entries: []crdt.Entry{
			{Dot: dot(idB, 70_000), Path: register("r"), Kind: crdt.KindValue, Time: 77 << 16, Value: []byte(`"x"`)},
			{Dot: dot(idB, 70_003), Path: member("s", "m"), Kind: crdt.KindMember, Time: 77 << 16},
			{Dot: dot(idB, 70_004), Path: member("s", "n"), Kind: 0x7e, Time: 78 << 16, Extra: []byte{6, 0xc0}},
		},
		Kills: []Kill{
			{Dots: []crdt.Dot{dot(idA, 3), dot(idB, 9), dot(idB, 10), dot(idC, 1)}},
			{Prefix: crdt.Object(crdt.Set, "gone"), Clock: crdt.VersionVector{idA: 5, idB: 69_999}},
		},
		Extra: []byte{8, 0xa1, 'x', 9, 0x91, 0xc3},
	}
}

// fullFrame returns a frame of units with every relation between neighbours.
func fullFrame() Frame {
	after := Unit{Origin: idB, First: 70_005, Last: 70_005}
	jump := Unit{Origin: idB, First: 70_010, Last: 70_012}
	other := Unit{Origin: idA, First: 6, Last: 6, Deps: crdt.VersionVector{idB: 70_012},
		Entries: []crdt.Entry{{Dot: dot(idA, 6), Path: register("r"), Kind: crdt.KindValue, Time: 1, Value: []byte("2")}},
		Kills:   []Kill{{Dots: []crdt.Dot{dot(idB, 70_000)}}}}
	return Frame{
		Runs:  Runs{idB: {First: 60_000, Nonce: 99}, idA: {First: 1, Nonce: 0xffff_ffff_ffff_ffff}},
		Units: []Unit{fullUnit(), after, jump, other},
		Extra: []byte{3, 0xc4, 1, 0, 4, 0xd4, 1, 2, 0xcc, 200, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8},
	}
}

func sameUnit(a, b Unit) bool {
	return a.Origin == b.Origin && a.First == b.First && a.Last == b.Last &&
		a.Deps.Compare(b.Deps) == crdt.Equal && bytes.Equal(a.Extra, b.Extra) &&
		slices.EqualFunc(a.Entries, b.Entries, crdt.Entry.Equal) &&
		slices.EqualFunc(a.Kills, b.Kills, func(a, b Kill) bool {
			return slices.Equal(a.Dots, b.Dots) && a.Prefix == b.Prefix && a.Clock.Compare(b.Clock) == crdt.Equal
		})
}

func TestFrameRoundTrip(t *testing.T) {
	f := fullFrame()
	for i, u := range f.Units {
		if err := Validate(u); err != nil {
			t.Fatal(err)
		}
		enc := AppendUnit([]byte("head"), u)[4:]
		if u.Size() != len(enc) {
			t.Errorf("unit %d: Size is %d, encoded %d", i, u.Size(), len(enc))
		}
		got, err := DecodeUnit(enc)
		if err != nil || !sameUnit(got, u) {
			t.Errorf("unit %d: got %+v, %v, want %+v", i, got, err, u)
		}
	}
	enc := AppendFrame(nil, f)
	got, err := DecodeFrame(enc)
	if err != nil {
		t.Fatal(err)
	}
	clear(enc) // nothing may be shared with the input
	if !slices.EqualFunc(got.Units, f.Units, sameUnit) || !bytes.Equal(got.Extra, f.Extra) ||
		len(got.Runs) != 2 || got.Runs[idA] != f.Runs[idA] || got.Runs[idB] != f.Runs[idB] {
		t.Errorf("got %+v, want %+v", got, f)
	}
}

func TestEntriesRoundTrip(t *testing.T) {
	p := register("k")
	es := []crdt.Entry{
		{Dot: dot(idB, 7), Path: p, Kind: crdt.KindValue, Time: 9, Value: []byte("1")},
		{Dot: dot(idB, 5), Path: p, Kind: crdt.KindValue, Time: 9},
		{Dot: dot(idA, 5), Path: p, Kind: 0xff, Time: 8, Extra: []byte{7, 0xc2}},
	}
	got, err := DecodeEntries(AppendEntries(nil, es), p)
	if err != nil || !slices.EqualFunc(got, es, crdt.Entry.Equal) {
		t.Errorf("list: got %+v, %v", got, err)
	}
	enc := AppendEntry(nil, es[2])
	e, rest, err := DecodeEntry(append(enc, "rest"...))
	if err != nil || !e.Equal(es[2]) || string(rest) != "rest" {
		t.Errorf("alone: got %+v, %q, %v", e, rest, err)
	}
	if got, err := DecodeEntries(AppendEntries(nil, nil), p); err != nil || len(got) != 0 {
		t.Errorf("empty list: got %v, %v", got, err)
	}
}

func TestClockAndRunsRoundTrip(t *testing.T) {
	for _, v := range []crdt.VersionVector{nil, {idA: 1}, {idA: 1, idB: 1 << 33, idC: 300}} {
		got, rest, err := DecodeClock(append(AppendClock(nil, v), 1))
		if err != nil || got.Compare(v) != crdt.Equal || len(rest) != 1 {
			t.Errorf("clock %v: got %v, %v, %v", v, got, rest, err)
		}
	}
	want := Runs{idA: {First: 1, Nonce: 0}, idC: {First: 1 << 40, Nonce: 1 << 63}}
	got, rest, err := DecodeRuns(append(AppendRuns(nil, want), 1))
	if err != nil || len(got) != 2 || got[idA] != want[idA] || got[idC] != want[idC] || len(rest) != 1 {
		t.Errorf("runs: got %v, %v, %v", got, rest, err)
	}
}

func TestDigestIsASetHash(t *testing.T) {
	es := fullUnit().Entries
	var a, b, part Digest
	for _, e := range es {
		a.Add(e)
	}
	for _, i := range []int{2, 0, 1} {
		b.Add(es[i])
	}
	if a != b || a == (Digest{}) {
		t.Fatalf("in another order: %v and %v", a, b)
	}
	part.Add(es[0])
	if rest := a.Sub(part); rest.Plus(part) != a || rest == a {
		t.Error("Plus does not undo Sub")
	}
	for _, e := range es {
		a.Remove(e)
	}
	if a != (Digest{}) {
		t.Errorf("empty again: %v", a)
	}
}
