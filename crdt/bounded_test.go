package crdt_test

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

var seats = Object(Bounded, "seats").Leaf(Bounded)

func escrowCell(r ReplicaID, seq uint64, at Timestamp, c EscrowCell) Entry {
	return Entry{Dot: Dot{Replica: r, Seq: seq}, Path: seats, Kind: KindEscrow, Time: at, Value: c.Encode()}
}

func escrowRecord(r ReplicaID, seq uint64, rows ...EscrowRow) Entry {
	return Entry{Dot: Dot{Replica: r, Seq: seq}, Path: seats, Kind: KindEscrowReset, Value: EscrowRecord(rows).Encode()}
}

func TestStock(t *testing.T) {
	own := EscrowCell{Lineage: 3, P: total(5), N: total(2)}
	ownEntry := escrowCell(1, 7, 1, own)
	settled := escrowRecord(2, 1, EscrowRow{1, own})
	gave := EscrowCell{Lineage: 1, P: total(9), Given: []Grant{{1, total(4)}}}
	for _, tt := range []struct {
		name   string
		live   []Entry
		amount int64
		want   EscrowCell
		kills  []Dot
		err    error
	}{
		{"the first", nil, 5, EscrowCell{Lineage: 9, P: total(5)}, nil, nil},
		{"nothing to take", nil, -1, EscrowCell{}, nil, ErrRights},
		{"nothing to take the least of", nil, math.MinInt64, EscrowCell{}, nil, ErrRights},
		{"carried on", []Entry{ownEntry}, 1, EscrowCell{Lineage: 3, P: total(6), N: total(2)}, []Dot{ownEntry.Dot}, nil},
		{"taken", []Entry{ownEntry}, -3, EscrowCell{Lineage: 3, P: total(5), N: total(5)}, []Dot{ownEntry.Dot}, nil},
		{"too much", []Entry{ownEntry}, -4, EscrowCell{}, nil, ErrRights},
		{"settled", []Entry{ownEntry, settled}, 1, EscrowCell{Lineage: 9, P: total(1)}, []Dot{ownEntry.Dot}, nil},
		{"received", []Entry{escrowCell(2, 4, 1, gave)}, -4, EscrowCell{Lineage: 9, N: total(4)}, nil, nil},
		{"another's", []Entry{escrowCell(2, 4, 1, gave)}, -5, EscrowCell{}, nil, ErrRights},
		{"the most", []Entry{escrowCell(2, 4, 1, EscrowCell{Lineage: 1, P: total(1)})}, math.MaxInt64, EscrowCell{}, nil, ErrOverflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Stock(tt.live, seats, Dot{Replica: 1, Seq: 9}, 4, tt.amount)
			if !errors.Is(err, tt.err) {
				t.Fatal(err)
			}
			if err != nil {
				if !e.Empty() {
					t.Errorf("%+v with an error", e)
				}
				return
			}
			if len(e.Add) != 1 || !e.Add[0].Equal(escrowCell(1, 9, 4, tt.want)) || !slices.Equal(e.Kill, tt.kills) {
				t.Errorf("%+v, want %+v and kills %v", e, tt.want, tt.kills)
			}
		})
	}
	if e, err := Stock(nil, seats, Dot{Replica: 1, Seq: 9}, 1, 0); err != nil || !e.Empty() {
		t.Errorf("nothing: %+v, %v", e, err)
	}
}

func TestGive(t *testing.T) {
	own := escrowCell(1, 7, 1, EscrowCell{Lineage: 3, P: total(5), Given: []Grant{{3, total(1)}}})
	for _, tt := range []struct {
		name   string
		to     ReplicaID
		amount int64
		want   []Grant
	}{
		{"to a new one", 2, 4, []Grant{{2, total(4)}, {3, total(1)}}},
		{"to one that had some", 3, 4, []Grant{{3, total(5)}}},
		{"more than there is", 2, 5, nil},
		{"to itself", 1, 1, nil},
		{"to nobody", 0, 1, nil},
		{"nothing", 2, 0, nil},
		{"less than nothing", 2, -1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Give([]Entry{own}, seats, Dot{Replica: 1, Seq: 9}, 4, tt.to, tt.amount)
			if tt.want == nil {
				if !errors.Is(err, ErrRights) || !e.Empty() {
					t.Errorf("%+v, %v", e, err)
				}
				return
			}
			want := escrowCell(1, 9, 4, EscrowCell{Lineage: 3, P: total(5), Given: tt.want})
			if err != nil || len(e.Add) != 1 || !e.Add[0].Equal(want) || !slices.Equal(e.Kill, []Dot{own.Dot}) {
				t.Errorf("%+v, %v, want %+v", e, err, want)
			}
		})
	}
}

// A cell holds a grant for everybody whom its replica ever gave to since nobody had any rights.
func TestGiveTooMany(t *testing.T) {
	var given []Grant
	for i := range ReplicaID(MaxValueBytes / 9) {
		given = append(given, Grant{i + 2, total(1)})
	}
	n := uint64(len(given)) + 9
	own := escrowCell(1, 7, 1, EscrowCell{Lineage: 1, P: total(n), Given: given})
	if _, err := Give([]Entry{own}, seats, Dot{Replica: 1, Seq: 9}, 1, 1<<60, 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("given: %v", err)
	}
}

func TestDrain(t *testing.T) {
	own := escrowCell(1, 7, 1, EscrowCell{Lineage: 1, P: total(5), Given: []Grant{{2, total(2)}}})
	other := escrowCell(2, 4, 1, EscrowCell{Lineage: 1, P: total(1), N: total(3)})
	for _, tt := range []struct {
		name string
		live []Entry
		seen VersionVector
		take uint64
		err  error
	}{
		{"nothing", nil, nil, 0, nil},
		{"all", []Entry{own, other}, nil, 3, nil},
		{"all that was seen", []Entry{own, other}, VersionVector{1: 7, 2: 4}, 3, nil},
		{"nothing that was seen", []Entry{own, other}, VersionVector{1: 6, 2: 4}, 0, nil},
		{"of what was seen all that is left", []Entry{own, other}, VersionVector{1: 7}, 3, nil},
		{"what another has", []Entry{own}, nil, 0, ErrRights},
	} {
		e, took, err := Drain(tt.live, seats, Dot{Replica: 1, Seq: 9}, 4, tt.seen)
		if !errors.Is(err, tt.err) || e.Empty() != (tt.take == 0) || took != total(tt.take) {
			t.Errorf("%s: %+v, %v", tt.name, e, err)
			continue
		}
		if tt.take > 0 {
			want := escrowCell(1, 9, 4, EscrowCell{Lineage: 1, P: total(5), N: total(tt.take), Given: []Grant{{2, total(2)}}})
			if !e.Add[0].Equal(want) {
				t.Errorf("%s: %+v, want %+v", tt.name, e.Add[0], want)
			}
		}
	}
}

func TestSettleBounded(t *testing.T) {
	a := EscrowCell{Lineage: 3, P: total(5), N: total(5)}
	b := EscrowCell{Lineage: 2, P: total(4), Given: []Grant{{1, total(4)}}}
	b4 := EscrowCell{Lineage: 1, P: total(4), N: total(4)}
	aUsed := EscrowCell{Lineage: 3, P: total(5), N: total(9)}
	cell := escrowCell
	for _, tt := range []struct {
		name  string
		live  []Entry
		self  ReplicaID
		rows  EscrowRecord
		kills []Dot
	}{
		{name: "nothing", self: 1},
		{name: "alone", live: []Entry{cell(1, 7, 1, a)}, self: 1, kills: []Dot{{1, 7}}},
		{name: "somebody has rights", live: []Entry{cell(1, 7, 2, a), cell(2, 4, 1, b)}, self: 1},
		{name: "the newest settles", live: []Entry{cell(1, 7, 2, aUsed), cell(2, 4, 1, b)}, self: 1,
			rows: EscrowRecord{{2, b}}, kills: []Dot{{1, 7}}},
		{name: "the others do not", live: []Entry{cell(1, 7, 2, aUsed), cell(2, 4, 1, b)}, self: 2},
		{name: "a third does not", live: []Entry{cell(1, 7, 2, aUsed), cell(2, 4, 1, b)}, self: 3},
		{name: "a record takes the place of all", live: []Entry{cell(1, 7, 2, a), cell(2, 4, 1, b4), escrowRecord(3, 2, EscrowRow{2, b4})},
			self: 1, rows: EscrowRecord{{2, b4}}, kills: []Dot{{1, 7}, {3, 2}}},
		{name: "the own cell is settled", live: []Entry{cell(2, 4, 1, b4), escrowRecord(1, 2, EscrowRow{2, b4})}, self: 2, kills: []Dot{{2, 4}}},
		{name: "the own cell has gone on", live: []Entry{cell(2, 4, 1, EscrowCell{Lineage: 1, P: total(5), N: total(4)}),
			escrowRecord(1, 2, EscrowRow{2, b4})}, self: 2},
		{name: "the own record is needed", live: []Entry{cell(2, 4, 1, b4), escrowRecord(1, 2, EscrowRow{2, b4})}, self: 1},
		{name: "the own record matches nothing", live: []Entry{escrowRecord(1, 2, EscrowRow{2, b4})}, self: 1, kills: []Dot{{1, 2}}},
		{name: "the own record of another lineage", live: []Entry{cell(2, 4, 1, EscrowCell{Lineage: 4, P: total(1)}),
			escrowRecord(1, 2, EscrowRow{2, b4})}, self: 1, kills: []Dot{{1, 2}}},
		{name: "another's record", live: []Entry{escrowRecord(1, 2, EscrowRow{2, b4})}, self: 2},
		{name: "damaged", live: []Entry{cell(1, 7, 1, a), {Dot: Dot{2, 1}, Path: seats, Kind: KindEscrow, Value: []byte{0}}}, self: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Settle(tt.live, seats, Dot{Replica: tt.self, Seq: 9}, 4)
			if !slices.Equal(e.Kill, tt.kills) {
				t.Errorf("kills %v, want %v", e.Kill, tt.kills)
			}
			if len(e.Add) != min(len(tt.rows), 1) {
				t.Fatalf("adds %+v, want %+v", e.Add, tt.rows)
			}
			want := escrowRecord(tt.self, 9, tt.rows...)
			if want.Time = 4; len(tt.rows) > 0 && !e.Add[0].Equal(want) {
				t.Errorf("adds %+v, want %+v", e.Add, want)
			}
		})
	}
}

// Two replicas can settle at the same time, at different cuts. For each cell the later one counts.
func TestConcurrentEscrowRecords(t *testing.T) {
	gave := func(p uint64, given ...Grant) EscrowCell { return EscrowCell{Lineage: 1, P: total(p), Given: given} }
	took := func(n uint64) EscrowCell { return EscrowCell{Lineage: 1, N: total(n)} }
	early := escrowRecord(4, 1, EscrowRow{1, gave(3, Grant{2, total(3)})}, EscrowRow{2, took(3)})
	last := gave(5, Grant{2, total(3)}, Grant{3, total(2)})
	late := escrowRecord(5, 1, EscrowRow{1, last}, EscrowRow{2, took(3)}, EscrowRow{3, took(2)})
	now := gave(6, last.Given...)
	for _, records := range [][]Entry{{early, late}, {late, early}} {
		live := append([]Entry{escrowCell(1, 9, 1, now), escrowCell(2, 9, 1, took(3)), escrowCell(3, 9, 1, took(2))}, records...)
		x, err := ReadEscrow(live)
		if err != nil || x.Value != Int128Of(1) || len(x.Rights) != 1 || x.Rights[1] != Int128Of(1) {
			t.Errorf("%+v, %v", x, err)
		}
		for _, r := range []ReplicaID{2, 3} {
			if e := Settle(live, seats, Dot{Replica: r, Seq: 20}, 1); len(e.Add) > 0 || !slices.Equal(e.Kill, []Dot{{r, 9}}) {
				t.Errorf("%v settles %+v", r, e)
			}
		}
	}
}

// A record that would be larger than a value is not written: the cells stay, with the value 0.
func TestSettleTooLarge(t *testing.T) {
	var given []Grant
	for i := range ReplicaID(MaxValueBytes / 9) {
		given = append(given, Grant{i + 2, total(1)})
	}
	n := total(uint64(len(given)))
	live := []Entry{escrowCell(1, 1, 1, EscrowCell{Lineage: 1, P: n, Given: given}), escrowCell(1<<60, 1, 3, EscrowCell{Lineage: 1, P: total(1), N: total(1)})}
	for _, g := range given {
		live = append(live, escrowCell(g.To, 1, 2, EscrowCell{Lineage: 1, N: total(1)}))
	}
	x, err := ReadEscrow(live)
	if err != nil || !x.Value.IsZero() || len(x.Rights) > 0 {
		t.Fatalf("%v, %d with rights, %v", x.Value, len(x.Rights), err)
	}
	if e := Settle(live, seats, Dot{Replica: 1 << 60, Seq: 9}, 4); !e.Empty() {
		t.Errorf("%d adds, %d kills", len(e.Add), len(e.Kill))
	}
}

// A replica id that is used twice can leave two cells of one replica. The later one counts,
// everywhere, and the owner kills both.
func TestTwoEscrowCellsOfOneReplica(t *testing.T) {
	early := escrowCell(1, 7, 1, EscrowCell{Lineage: 3, P: total(5)})
	late := escrowCell(1, 8, 1, EscrowCell{Lineage: 3, P: total(6)})
	for _, live := range [][]Entry{{early, late}, {late, early}} {
		if x, err := ReadEscrow(live); err != nil || x.Value != Int128Of(6) || x.Rights[1] != Int128Of(6) {
			t.Errorf("%+v, %v", x, err)
		}
		e, _, err := Drain(live, seats, Dot{Replica: 1, Seq: 9}, 1, nil)
		if err != nil || !slices.Equal(e.Kill, []Dot{early.Dot, late.Dot}) {
			t.Errorf("drain: %+v, %v", e, err)
		}
	}
}

func TestDamagedBounded(t *testing.T) {
	good := escrowCell(1, 7, 1, EscrowCell{Lineage: 3, P: total(5)})
	for _, kind := range []Kind{KindEscrow, KindEscrowReset} {
		live := []Entry{good, {Dot: Dot{Replica: 2, Seq: 1}, Kind: kind, Value: []byte{1}}}
		at := Dot{Replica: 1, Seq: 9}
		_, readErr := ReadEscrow(live)
		_, stockErr := Stock(live, seats, at, 1, 1)
		_, giveErr := Give(live, seats, at, 1, 2, 1)
		_, _, drainErr := Drain(live, seats, at, 1, nil)
		for _, err := range []error{readErr, stockErr, giveErr, drainErr} {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v: %v", kind, err)
			}
		}
		if !Visible(Bounded, live) {
			t.Errorf("%v: not visible", kind)
		}
	}
}

// FuzzDecodeEscrow checks that what is accepted is canonical.
func FuzzDecodeEscrow(f *testing.F) {
	c := EscrowCell{Lineage: 3, P: Uint128{1, 2}, N: total(2), Given: []Grant{{2, total(1)}, {9, Uint128{1 << 40, 0}}}}
	f.Add(c.Encode())
	f.Add(EscrowCell{Lineage: 1}.Encode())
	f.Add(EscrowRecord{{2, c}, {4, EscrowCell{Lineage: 7}}}.Encode())
	f.Add(EscrowRecord{}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeEscrowCell(b); err == nil && !slices.Equal(c.Encode(), b) {
			t.Errorf("%x is read as %+v", b, c)
		} else if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if r, err := DecodeEscrowRecord(b); err == nil && !slices.Equal(r.Encode(), b) {
			t.Errorf("%x is read as %+v", b, r)
		} else if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}

// stocks is a random history of one bounded counter, with a reference beside it that keeps all
// that was ever done and computes rights from that.
type stocks struct {
	replicas []*replica
	moves    []move
}

// move is an operation: rights come to one replica, or go from one, or both.
type move struct {
	from, to ReplicaID // 0 is the world outside
	amount   int64
}

func newStocks(n int) *stocks {
	s := &stocks{}
	for i := range n {
		s.replicas = append(s.replicas, newReplica(ReplicaID(i+1)))
	}
	return s
}

func (s *stocks) rights(known events) map[ReplicaID]int64 {
	m := map[ReplicaID]int64{}
	for i := range known {
		m[s.moves[i].from] -= s.moves[i].amount
		m[s.moves[i].to] += s.moves[i].amount
	}
	delete(m, 0)
	for r, n := range m {
		if n == 0 {
			delete(m, r)
		}
	}
	return m
}

// do performs a move at the replica that has a say in it, and reports why not.
func (s *stocks) do(r *replica, m move) error {
	x := r.begin()
	live := r.state.At(seats)
	var e Edit
	var err error
	switch at := x.next(); {
	case m.from == 0:
		e, err = Stock(live, seats, at, s.time(), m.amount)
	case m.to == 0:
		e, err = Stock(live, seats, at, s.time(), -m.amount)
	default:
		e, err = Give(live, seats, at, s.time(), m.to, m.amount)
	}
	if err != nil {
		return err
	}
	x.apply(e)
	s.moves = append(s.moves, m)
	r.known[len(s.moves)-1] = true
	x.commit()
	return nil
}

// time is that of replicas with clocks apart: it says nothing about causes.
func (s *stocks) time() Timestamp { return Timestamp(len(s.moves) * 7919 % 13) }

func (s *stocks) operate(t *rapid.T) {
	r := rapid.SampledFrom(s.replicas).Draw(t, "replica")
	has := s.rights(r.known)[r.id]
	amount := rapid.OneOf(rapid.Int64Range(1, 4), rapid.Just(max(has, 1))).Draw(t, "amount")
	m := move{to: r.id, amount: amount}
	switch rapid.IntRange(0, 4).Draw(t, "operation") {
	case 0: // stock
	case 1:
		o := rapid.SampledFrom(s.replicas).Draw(t, "to")
		m.from, m.to = r.id, o.id
	case 2:
		s.drain(t, r)
		return
	default:
		m.from, m.to = r.id, 0
	}
	before := r.state.Clone()
	err := s.do(r, m)
	if want := m.from != 0 && (has < amount || m.from == m.to); errors.Is(err, ErrRights) != want || err != nil && !want {
		t.Fatalf("%v has %d: %+v: %v", r.id, has, m, err)
	}
	if err != nil && !r.state.Equal(before) {
		t.Fatal("a refusal has left a trace")
	}
	s.check(t, r)
}

// drain takes everything, which takes all rights.
func (s *stocks) drain(t *rapid.T, r *replica) {
	all := s.rights(r.known)
	var value int64
	for _, n := range all {
		value += n
	}
	x := r.begin()
	e, _, err := Drain(r.state.At(seats), seats, x.next(), s.time(), nil)
	if errors.Is(err, ErrRights) != (all[r.id] < value) || e.Empty() != (err != nil || value == 0) {
		t.Fatalf("%v has %d of %d: %+v, %v", r.id, all[r.id], value, e, err)
	}
	if e.Empty() {
		return
	}
	x.apply(e)
	s.moves = append(s.moves, move{from: r.id, amount: value})
	r.known[len(s.moves)-1] = true
	x.commit()
	s.check(t, r)
}

func (s *stocks) settle(t *rapid.T, r *replica) {
	if rapid.IntRange(0, 3).Draw(t, "settle") > 0 {
		r.purge()
		s.check(t, r)
	}
}

func (s *stocks) join(t *rapid.T) {
	to, from := rapid.SampledFrom(s.replicas).Draw(t, "to"), rapid.SampledFrom(s.replicas).Draw(t, "from")
	to.join(from)
	s.check(t, to)
	s.settle(t, to)
}

func (s *stocks) deliver(t *rapid.T) {
	to, from := rapid.SampledFrom(s.replicas).Draw(t, "to"), rapid.SampledFrom(s.replicas).Draw(t, "from")
	for _, u := range from.units {
		if to.canApply(u) {
			to.applyUnit(u)
			s.check(t, to)
			break
		}
	}
	s.settle(t, to)
}

// check compares what r shows with the reference.
func (s *stocks) check(t rapid.TB, r *replica) {
	t.Helper()
	live := r.state.At(seats)
	got, err := ReadEscrow(live)
	if err != nil {
		t.Fatal(err)
	}
	want, sum := s.rights(r.known), int64(0)
	for id, n := range want {
		if n < 0 || got.Rights[id] != Int128Of(n) {
			t.Fatalf("%v: rights of %v are %v, want %d", r.id, id, got.Rights[id], n)
		}
		sum += n
	}
	if len(got.Rights) != len(want) || got.Value != Int128Of(sum) || Visible(Bounded, live) != (sum > 0) {
		t.Fatalf("%v: %+v, want %v of %d", r.id, got, want, sum)
	}
	if len(live) > 2*len(s.replicas) {
		t.Fatalf("%v: %d live entries with %d replicas", r.id, len(live), len(s.replicas))
	}
	for _, o := range s.replicas {
		if o.state.Clock.Compare(r.state.Clock) == Equal && !o.state.Equal(r.state) {
			t.Fatalf("%v and %v differ at equal clocks", r.id, o.id)
		}
	}
}

// finish has everybody take what it has, at once, and then hear of the others: nothing is left.
func (s *stocks) finish(t rapid.TB) {
	settle(s.replicas)
	for _, r := range s.replicas {
		s.check(t, r)
		if n := s.rights(r.known)[r.id]; n > 0 {
			if err := s.do(r, move{from: r.id, amount: n}); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle(s.replicas)
	for _, r := range s.replicas {
		s.check(t, r)
		if len(r.state.Live) > 0 {
			t.Fatalf("%v: left after everything was taken: %v", r.id, r.state.Live)
		}
	}
}

// TestStocks checks the bounded counter against the reference after every step: values and rights
// are those of all that was done, nobody takes what it lacks, and nothing is left at the end.
func TestStocks(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		rapid.Check(t, func(t *rapid.T) {
			s := newStocks(n)
			t.Repeat(map[string]func(*rapid.T){
				"operate": s.operate, "operate again": s.operate, "join": s.join, "deliver": s.deliver, "deliver more": s.deliver,
			})
			s.finish(t)
		})
	}
}

// TestBoundedSchemes shows why rights are counted: the two ways to do without go below 0 as soon as
// replicas are apart.
func TestBoundedSchemes(t *testing.T) {
	const runs, replicas, steps = 100, 4, 200
	checked := func(live []Entry, at Dot, amount int64) (Edit, error) {
		v, err := CounterValue(live)
		if err != nil || v.Add(Int128Of(amount)).Cmp(Int128{}) < 0 {
			return Edit{}, cmp.Or(err, ErrRights)
		}
		return Increment(live, visits, at, 1, amount)
	}
	value := func(live []Entry) Int128 { v, _ := CounterValue(live); return v }
	for _, scheme := range []struct {
		name  string
		stock func(live []Entry, at Dot, amount int64) (Edit, error)
		// empty is a delete. Without one of its own a scheme takes what it sees.
		empty func(live []Entry, at Dot) (Edit, error)
		path  Path
		value func([]Entry) Int128
		safe  bool
	}{
		{
			name: "escrow", path: seats, safe: true,
			stock: func(live []Entry, at Dot, amount int64) (Edit, error) { return Stock(live, seats, at, 1, amount) },
			empty: func(live []Entry, at Dot) (Edit, error) { e, _, err := Drain(live, seats, at, 1, nil); return e, err },
			value: func(live []Entry) Int128 { x, _ := ReadEscrow(live); return x.Value },
		},
		{
			name: "value looked at", path: visits, value: value, stock: checked,
			empty: func(live []Entry, at Dot) (Edit, error) {
				n, _ := value(live).Int64()
				return checked(live, at, -n)
			},
		},
		{
			// Rights as in escrow, but a delete kills all cells that it saw.
			name: "rights, cells removed", path: seats,
			stock: func(live []Entry, at Dot, amount int64) (Edit, error) { return Stock(live, seats, at, 1, amount) },
			empty: func(live []Entry, _ Dot) (e Edit, _ error) {
				for _, c := range live {
					e.Kill = append(e.Kill, c.Dot)
				}
				return e, nil
			},
			value: func(live []Entry) Int128 { x, _ := ReadEscrow(live); return x.Value },
		},
	} {
		below := 0
		for seed := range uint64(runs) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var rs []*replica
			for i := range replicas {
				rs = append(rs, newReplica(ReplicaID(i+1)))
			}
			negative := false
			for range steps {
				r := rs[rng.IntN(replicas)]
				x := r.begin()
				live := r.state.At(scheme.path)
				var e Edit
				switch n := rng.IntN(20); {
				case n < 5:
					e, _ = scheme.stock(live, x.next(), 1+rng.Int64N(5))
				case n < 10:
					e, _ = scheme.stock(live, x.next(), -1-rng.Int64N(5))
				case n < 11:
					e, _ = scheme.empty(live, x.next())
				case n < 15 && scheme.path == seats:
					e, _ = Give(live, seats, x.next(), 1, rs[rng.IntN(replicas)].id, 1+rng.Int64N(5))
				default:
					r.join(rs[rng.IntN(replicas)])
				}
				x.apply(e)
				x.commit()
				negative = negative || scheme.value(r.state.At(scheme.path)).Cmp(Int128{}) < 0
			}
			if negative {
				below++
			}
		}
		t.Logf("%-22s below 0 in %5.1f %% of %d histories", scheme.name, 100*float64(below)/runs, runs)
		if scheme.safe && below > 0 || !scheme.safe && below < runs/20 {
			t.Errorf("%s is below 0 in %d of %d histories", scheme.name, below, runs)
		}
	}
}
