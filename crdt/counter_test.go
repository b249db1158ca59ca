package crdt_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	. "github.com/anabranchdb/anabranch/crdt"
)

func total(n uint64) Uint128 { return Uint128{Lo: n} }

func cell(r ReplicaID, seq uint64, c Cell) Entry {
	return Entry{Dot: Dot{Replica: r, Seq: seq}, Path: visits, Kind: KindCell, Value: c.Encode()}
}

func record(r ReplicaID, seq uint64, ms ...Component) Entry {
	return Entry{Dot: Dot{Replica: r, Seq: seq}, Path: visits, Kind: KindReset, Value: ResetRecord(ms).Encode()}
}

func TestIncrement(t *testing.T) {
	own := cell(1, 7, Cell{Lineage: 3, P: total(5), N: total(2)})
	whole := record(2, 1, Component{Replica: 1, Lineage: 3, P: total(5), N: total(2)})
	part := record(2, 1, Component{Replica: 1, Lineage: 3, P: total(4), N: total(2)})
	for _, tt := range []struct {
		name   string
		live   []Entry
		amount int64
		want   Cell
		kills  []Dot
	}{
		{"the first", nil, 5, Cell{Lineage: 9, P: total(5)}, nil},
		{"down", nil, -5, Cell{Lineage: 9, N: total(5)}, nil},
		{"the least", nil, math.MinInt64, Cell{Lineage: 9, N: total(1 << 63)}, nil},
		{"the most", nil, math.MaxInt64, Cell{Lineage: 9, P: total(1<<63 - 1)}, nil},
		{"carried on", []Entry{own}, 1, Cell{Lineage: 3, P: total(6), N: total(2)}, []Dot{own.Dot}},
		{"partly reset", []Entry{own, part}, 1, Cell{Lineage: 3, P: total(6), N: total(2)}, []Dot{own.Dot}},
		{"fully reset", []Entry{own, whole}, 1, Cell{Lineage: 9, P: total(1)}, []Dot{own.Dot}},
		{"another's", []Entry{cell(2, 7, Cell{Lineage: 3, P: total(5)})}, 1, Cell{Lineage: 9, P: total(1)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := Dot{Replica: 1, Seq: 9}
			e, err := Increment(tt.live, visits, at, 4, tt.amount)
			if err != nil {
				t.Fatal(err)
			}
			want := cell(1, 9, tt.want)
			want.Time = 4
			if len(e.Add) != 1 || !e.Add[0].Equal(want) || !slices.Equal(e.Kill, tt.kills) {
				t.Errorf("%+v, want %+v and kills %v", e, want, tt.kills)
			}
		})
	}
}

func TestIncrementOverflow(t *testing.T) {
	most := cell(2, 1, Cell{Lineage: 1, P: total(math.MaxInt64)})
	least := cell(3, 1, Cell{Lineage: 1, N: total(1 << 63)})
	above := []Entry{most, cell(4, 1, Cell{Lineage: 1, P: total(10)})}
	below := []Entry{least, cell(4, 1, Cell{Lineage: 1, N: total(10)})}
	for _, tt := range []struct {
		live   []Entry
		amount int64
		want   error
	}{
		{[]Entry{most}, 1, ErrOverflow},
		{[]Entry{most}, -1, nil},
		{[]Entry{least}, -1, ErrOverflow},
		{[]Entry{least}, 1, nil},
		{[]Entry{most, least}, math.MinInt64, ErrOverflow},
		{above, 1, ErrOverflow},
		{above, -1, nil}, // still above, but nearer
		{above, math.MinInt64, nil},
		{above, 0, nil},
		{below, -1, ErrOverflow},
		{below, 1, nil},
		{below, math.MaxInt64, nil},
		// A total that no history can reach.
		{[]Entry{cell(1, 1, Cell{Lineage: 1, P: Uint128{math.MaxUint64, math.MaxUint64}})}, 1, ErrOverflow},
	} {
		e, err := Increment(tt.live, visits, Dot{Replica: 1, Seq: 9}, 1, tt.amount)
		if !errors.Is(err, tt.want) {
			t.Errorf("%v + %d: %v, want %v", tt.live, tt.amount, err, tt.want)
		}
		if e.Empty() != (tt.want != nil || tt.amount == 0) {
			t.Errorf("%v + %d: %+v", tt.live, tt.amount, e)
		}
	}
	if v, err := CounterValue(above); err != nil || v.String() != "9223372036854775817" {
		t.Errorf("a merge leaves int64: %v, %v", v, err)
	}
}

func TestReset(t *testing.T) {
	a := cell(1, 7, Cell{Lineage: 3, P: total(5), N: total(2)})
	b := cell(2, 4, Cell{Lineage: 4, P: total(9)})
	aGone := Component{Replica: 1, Lineage: 3, P: total(5), N: total(2)}
	aPart := Component{Replica: 1, Lineage: 3, P: total(1)}
	bGone := Component{Replica: 2, Lineage: 4, P: total(9)}
	bPart := Component{Replica: 2, Lineage: 4, P: total(8)}
	dead := Component{Replica: 3, Lineage: 1, P: total(1)}
	old, other := Dot{Replica: 3, Seq: 2}, Dot{Replica: 4, Seq: 2}
	for _, tt := range []struct {
		name  string
		live  []Entry
		self  ReplicaID
		seen  VersionVector
		adds  ResetRecord
		kills []Dot
	}{
		{name: "nothing", self: 3},
		{name: "another's cell", live: []Entry{a}, self: 3, adds: ResetRecord{aGone}},
		{name: "all cells", live: []Entry{b, a}, self: 3, adds: ResetRecord{aGone, bGone}},
		{name: "the own cell", live: []Entry{a}, self: 1, kills: []Dot{a.Dot}},
		{name: "own and other", live: []Entry{a, b}, self: 1, adds: ResetRecord{bGone}, kills: []Dot{a.Dot}},
		{name: "again", live: []Entry{a, record(3, 2, aGone)}, self: 3},
		{name: "again, elsewhere", live: []Entry{a, record(3, 2, aGone)}, self: 4},
		{name: "more", live: []Entry{a, b, record(3, 2, aPart, bGone)}, self: 4,
			adds: ResetRecord{aGone, bGone}, kills: []Dot{old}},
		{name: "concurrent records", live: []Entry{a, b, record(3, 2, aPart, bGone), record(4, 2, bPart)}, self: 5,
			adds: ResetRecord{aGone, bGone}, kills: []Dot{old, other}},
		{name: "a record of the dead", live: []Entry{a, record(3, 2, dead)}, self: 4,
			adds: ResetRecord{aGone}, kills: []Dot{old}},
		{name: "another lineage", live: []Entry{a, record(3, 2, Component{Replica: 1, Lineage: 2, P: total(5), N: total(2)})},
			self: 4, adds: ResetRecord{aGone}, kills: []Dot{old}},
		{name: "a token that saw one", live: []Entry{a, b}, self: 3, seen: VersionVector{2: 4},
			adds: ResetRecord{bGone}},
		{name: "a token from before the last increment", live: []Entry{a}, self: 3, seen: VersionVector{1: 6}},
		{name: "an empty token", live: []Entry{a}, self: 3, seen: VersionVector{}},
		// What the token did not see is superseded all the same, see TestRecordsDoNotPileUp.
		{name: "a token from before a record", live: []Entry{a, b, record(3, 2, aPart)}, self: 3, seen: VersionVector{2: 4},
			adds: ResetRecord{aPart, bGone}, kills: []Dot{old}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := Dot{Replica: tt.self, Seq: 9}
			e, err := Reset(tt.live, visits, tt.self, at, 4, tt.seen)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(e.Kill, tt.kills) {
				t.Errorf("kills %v, want %v", e.Kill, tt.kills)
			}
			if tt.adds == nil {
				if len(e.Add) > 0 {
					t.Errorf("adds %+v", e.Add)
				}
				return
			}
			want := record(tt.self, 9, tt.adds...)
			want.Time = 4
			if len(e.Add) != 1 || !e.Add[0].Equal(want) {
				t.Errorf("adds %+v, want %+v", e.Add, want)
			}
		})
	}
}

// The tokens of a replica that never hears of the resets never cover a record of them.
func TestRecordsDoNotPileUp(t *testing.T) {
	deaf, resets := newReplica(1), newReplica(2)
	for range 20 {
		x := deaf.begin()
		e, err := Increment(deaf.state.At(visits), visits, x.next(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		x.apply(e)
		x.commit()
		resets.join(deaf)
		x = resets.begin()
		x.delete(visits, 1, deaf.state.Clock, false)
		x.commit()
		if live := resets.state.At(visits); Visible(Counter, live) || len(live) > 2 {
			t.Fatalf("live: %v", live)
		}
	}
}

func TestSettleCounter(t *testing.T) {
	a := cell(1, 7, Cell{Lineage: 3, P: total(5)})
	b := cell(2, 4, Cell{Lineage: 4, P: total(9)})
	aGone := Component{Replica: 1, Lineage: 3, P: total(5)}
	bGone := Component{Replica: 2, Lineage: 4, P: total(9)}
	for _, tt := range []struct {
		name  string
		live  []Entry
		self  ReplicaID
		kills []Dot
	}{
		{"nothing", nil, 1, nil},
		{"a live cell", []Entry{a}, 1, nil},
		{"the own cell", []Entry{a, record(2, 9, aGone)}, 1, []Dot{a.Dot}},
		{"another's cell", []Entry{a, record(2, 9, aGone)}, 3, nil},
		{"the own record, that is needed", []Entry{a, record(2, 9, aGone)}, 2, nil},
		{"the own record, of no live cell", []Entry{b, record(2, 9, aGone)}, 2, []Dot{{Replica: 2, Seq: 9}}},
		{"another's record, of no live cell", []Entry{b, record(3, 9, aGone)}, 2, nil},
		{"own cell and own record", []Entry{a, record(1, 9, aGone)}, 1, []Dot{a.Dot, {Replica: 1, Seq: 9}}},
		{"own cell, own record of another, too", []Entry{a, b, record(1, 9, aGone, bGone)}, 1, []Dot{a.Dot}},
	} {
		if e := Settle(tt.live, visits, Dot{Replica: tt.self, Seq: 10}, 1); len(e.Add) > 0 || !slices.Equal(e.Kill, tt.kills) {
			t.Errorf("%s: %+v, want %v", tt.name, e, tt.kills)
		}
	}
}

// A replica id that is used twice can leave two cells of one replica. The later one counts,
// everywhere, and the owner kills both.
func TestTwoCellsOfOneReplica(t *testing.T) {
	early := cell(1, 7, Cell{Lineage: 3, P: total(5)})
	late := cell(1, 8, Cell{Lineage: 3, P: total(6)})
	for _, live := range [][]Entry{{early, late}, {late, early}} {
		if v, err := CounterValue(live); err != nil || v != Int128Of(6) {
			t.Errorf("value %v, %v", v, err)
		}
		e, err := Increment(live, visits, Dot{Replica: 1, Seq: 9}, 1, 1)
		if err != nil || !slices.Equal(e.Kill, []Dot{early.Dot, late.Dot}) {
			t.Errorf("increment: %+v, %v", e, err)
		}
		e, err = Reset(live, visits, 2, Dot{Replica: 2, Seq: 9}, 1, nil)
		if err != nil || len(e.Add) != 1 {
			t.Fatalf("reset: %+v, %v", e, err)
		}
		if Visible(Counter, append(slices.Clone(live), e.Add...)) {
			t.Error("visible after a reset")
		}
	}
}

// No history leads there: a record that takes away more than the cell holds.
func TestRecordBeyondCell(t *testing.T) {
	live := []Entry{
		cell(1, 7, Cell{Lineage: 3, P: total(5), N: total(2)}),
		record(2, 1, Component{Replica: 1, Lineage: 3, P: total(9), N: total(9)}),
	}
	if v, err := CounterValue(live); err != nil || !v.IsZero() || Visible(Counter, live) {
		t.Errorf("value %v, %v", v, err)
	}
}

func TestDamagedCounter(t *testing.T) {
	good := cell(1, 7, Cell{Lineage: 3, P: total(5)})
	for _, bad := range []Entry{
		{Dot: Dot{Replica: 2, Seq: 1}, Kind: KindCell, Value: []byte{1}},
		{Dot: Dot{Replica: 2, Seq: 1}, Kind: KindReset, Value: []byte{1}},
	} {
		live := []Entry{good, bad}
		_, valueErr := CounterValue(live)
		_, incErr := Increment(live, visits, Dot{Replica: 1, Seq: 9}, 1, 1)
		_, resetErr := Reset(live, visits, 1, Dot{Replica: 1, Seq: 9}, 1, nil)
		for _, err := range []error{valueErr, incErr, resetErr} {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v: %v", bad.Kind, err)
			}
		}
		if !Settle(live, visits, Dot{Replica: 1, Seq: 10}, 1).Empty() || !Visible(Counter, live) {
			t.Errorf("%v: purged, or not visible", bad.Kind)
		}
	}
}

// Entries of a later version's kinds are carried along, and go when a remove may kill them.
func TestUnknownKinds(t *testing.T) {
	free := Entry{Dot: Dot{Replica: 2, Seq: 1}, Path: visits, Kind: 0x7f}
	bound := Entry{Dot: Dot{Replica: 2, Seq: 2}, Path: visits, Kind: 0xff}
	live := []Entry{free, bound, cell(1, 1, Cell{Lineage: 1, P: total(5)})}
	if v, err := CounterValue(live); err != nil || v != Int128Of(5) {
		t.Errorf("value %v, %v", v, err)
	}
	if !Visible(Counter, live[:2]) {
		t.Error("not visible")
	}
	if e := Remove(live, nil); !slices.Equal(e.Kill, []Dot{free.Dot}) {
		t.Errorf("remove: %+v", e)
	}
	if e := Assign(live, visits, Dot{Replica: 1, Seq: 9}, 1, nil, nil); !slices.Equal(e.Kill, []Dot{free.Dot}) {
		t.Errorf("assign: %+v", e)
	}
	if vs := RegisterValues(live); len(vs) > 0 {
		t.Errorf("values %v", vs)
	}
}

func TestCheckValue(t *testing.T) {
	for value, want := range map[string]error{
		strings.Repeat("1", MaxValueBytes):   nil,
		strings.Repeat("1", MaxValueBytes+1): ErrTooLarge,
		` {"a": [1e9, null]} `:               nil,
		"":                                   ErrNotJSON,
		"{":                                  ErrNotJSON,
		"1 2":                                ErrNotJSON,
		"\"\xff\"":                           ErrNotJSON,
	} {
		if err := CheckValue([]byte(value)); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", value, err, want)
		}
	}
}

// TestLower: a record that another author left takes away what it says, and what stood in the records
// that are live, whatever has been added since.
func TestLower(t *testing.T) {
	grown := cell(2, 7, Cell{Lineage: 3, P: total(9), N: total(2)})
	held := record(3, 1, Component{Replica: 2, Lineage: 3, P: total(4)})
	of := func(p, n uint64) ResetRecord {
		return ResetRecord{{Replica: 2, Lineage: 3, P: total(p), N: total(n)}}
	}
	for _, tt := range []struct {
		name  string
		live  []Entry
		by    ResetRecord
		want  ResetRecord
		kills []Dot
	}{
		{"a part", []Entry{grown}, of(5, 1), of(5, 1), nil},
		{"more than there is", []Entry{grown}, of(50, 1), of(9, 1), nil},
		{"less than is gone", []Entry{grown, held}, of(3, 1), of(4, 1), []Dot{held.Dot}},
		{"another lineage", []Entry{grown}, ResetRecord{{Replica: 2, Lineage: 4, P: total(5)}}, nil, nil},
		{"only what is gone", []Entry{grown, held}, nil, of(4, 0), []Dot{held.Dot}},
		{"a record about nothing", []Entry{held}, nil, nil, []Dot{held.Dot}},
		{"nothing", nil, of(5, 1), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Lower(tt.live, visits, 1, Dot{Replica: 1, Seq: 9}, 4, tt.by)
			if err != nil {
				t.Fatal(err)
			}
			var got ResetRecord
			if len(e.Add) > 0 {
				if got, err = DecodeResetRecord(e.Add[0].Value); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, tt.want) || !slices.Equal(e.Kill, tt.kills) {
				t.Errorf("%v and kills %v, want %v and %v", got, e.Kill, tt.want, tt.kills)
			}
		})
	}
	if _, err := Lower([]Entry{{Kind: KindCell, Value: []byte{9}}}, visits, 1, Dot{Replica: 1, Seq: 9}, 4, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("damage: %v", err)
	}
}

// TestAgain: what was accepted once is added, also where an increment would be refused.
func TestAgain(t *testing.T) {
	most := cell(2, 1, Cell{Lineage: 1, P: total(math.MaxInt64)})
	own := cell(1, 7, Cell{Lineage: 3, P: total(5)})
	e, err := Again([]Entry{most, own}, visits, Dot{Replica: 1, Seq: 9}, 4, total(6), total(2))
	if err != nil {
		t.Fatal(err)
	}
	want := cell(1, 9, Cell{Lineage: 3, P: total(11), N: total(2)})
	want.Time = 4
	if len(e.Add) != 1 || !e.Add[0].Equal(want) || !slices.Equal(e.Kill, []Dot{own.Dot}) {
		t.Errorf("%+v, want %+v", e, want)
	}
	if e, err := Again([]Entry{own}, visits, Dot{Replica: 1, Seq: 9}, 4, total(0), total(0)); err != nil || !e.Empty() {
		t.Errorf("nothing: %+v, %v", e, err)
	}
	full := Uint128{Hi: math.MaxUint64, Lo: math.MaxUint64}
	if _, err := Again([]Entry{own}, visits, Dot{Replica: 1, Seq: 9}, 4, full, total(0)); !errors.Is(err, ErrOverflow) {
		t.Errorf("beyond all totals: %v", err)
	}
}
