package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

func foreign(origin crdt.ReplicaID, seq uint64, p crdt.Path, kind crdt.Kind, value string) delta.Unit {
	return delta.Unit{Origin: origin, First: seq, Last: seq, Entries: []crdt.Entry{
		{Dot: crdt.Dot{Replica: origin, Seq: seq}, Path: p, Kind: kind, Time: 1, Value: []byte(value)},
	}}
}

// TestApplyInOrder: what is due is applied, what is not is left out, whatever the order.
func TestApplyInOrder(t *testing.T) {
	n := memorySpace(t, nil)
	ctx := context.Background()
	member := func(origin crdt.ReplicaID, seq uint64) delta.Unit {
		return foreign(origin, seq, numbered(tSet, int(seq)), crdt.KindMember, "")
	}
	late := member(8, 1)
	late.Deps = crdt.VersionVector{7: 3}
	err := n.Apply(ctx, []delta.Unit{late, member(7, 2), member(7, 1), member(7, 3)}, nil)
	if !errors.Is(err, delta.ErrGap) || n.Clock()[7] != 1 || n.Clock()[8] != 0 {
		t.Errorf("%v %v", n.Clock(), err)
	}
	if err := n.Apply(ctx, []delta.Unit{member(7, 1), member(7, 2), member(7, 3), late, late}, nil); err != nil {
		t.Error(err)
	}
	commit := n.Status().Commit
	if err := n.Apply(ctx, []delta.Unit{late, member(7, 1)}, nil); err != nil || n.Status().Commit != commit {
		t.Errorf("what is covered made commit %d after %d: %v", n.Status().Commit, commit, err)
	}
	if s := checkConsistency(t, n); s.Clock[7] != 3 || s.Clock[8] != 1 || len(s.Live) != 4 {
		t.Errorf("%v", s)
	}
}

// TestApplyRefuses what would break the copy, and applies the rest.
func TestApplyRefuses(t *testing.T) {
	ctx := context.Background()
	far := crdt.VersionVector{99: 1}
	stranger := foreign(7, 1, tRegister, crdt.KindValue, "1")
	stranger.Entries[0].Dot.Replica = 8
	ahead := delta.Unit{Origin: 7, First: 1, Last: 1}
	for name, u := range map[string]delta.Unit{
		"an entry of another":          stranger,
		"a path that is an object":     foreign(7, 1, tSet.ObjectPath(), crdt.KindValue, "1"),
		"a path that is none":          foreign(7, 1, "x", crdt.KindValue, "1"),
		"a cell that is none":          foreign(7, 1, tCounter, crdt.KindCell, "?"),
		"a reset record that is not":   foreign(7, 1, tCounter, crdt.KindReset, "?"),
		"an escrow cell that is none":  foreign(7, 1, tBounded, crdt.KindEscrow, "?"),
		"an escrow record that is not": foreign(7, 1, tBounded, crdt.KindEscrowReset, "?"),
		"no origin":                    {First: 1, Last: 1},
		"a kill ahead":                 with(ahead, delta.Kill{Dots: []crdt.Dot{{Replica: 9, Seq: 1}}}),
		"a prefix kill ahead":          with(ahead, delta.Kill{Prefix: "ss!", Clock: far}),
		"seqs backwards":               {Origin: 7, First: 2, Last: 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := memorySpace(t, nil)
			err := n.Apply(ctx, []delta.Unit{u, foreign(6, 1, tRegister, crdt.KindValue, "1")}, nil)
			if !errors.Is(err, delta.ErrMalformed) || n.Clock()[6] != 1 || n.Clock()[7] != 0 {
				t.Errorf("%v, clock %v", err, n.Clock())
			}
			mustCommit(t, n, increment(1))
			checkConsistency(t, n)
		})
	}
}

// TestClockAhead: a timestamp far ahead is told once in a commit, and moves no clock here.
func TestClockAhead(t *testing.T) {
	r := newRig(t)
	_, n := r.space()
	var units []delta.Unit
	far := crdt.TimestampOf(r.now.Add(time.Hour))
	for seq := range uint64(10) {
		u := foreign(7, seq+1, tRegister, crdt.KindValue, "1")
		u.Entries[0].Time = far
		units = append(units, u)
	}
	if err := n.Apply(context.Background(), units, nil); err != nil {
		t.Fatal(err)
	}
	if e := <-r.events; e.Kind != EventClockAhead || len(r.events) > 0 {
		t.Errorf("%+v, and %d more", e, len(r.events))
	}
	mustCommit(t, n, increment(1))
	for _, e := range checkConsistency(t, n).At(tCounter) {
		if e.Time >= far {
			t.Errorf("own time %v", e.Time)
		}
	}
}

func with(u delta.Unit, k delta.Kill) delta.Unit {
	u.Kills = []delta.Kill{k}
	return u
}

// TestHalfAUnit: a unit that cannot be read through leaves nothing behind, and takes nobody of its
// group with it for good.
func TestHalfAUnit(t *testing.T) {
	r := newRig(t)
	_, n := r.space()
	addMembers(t, n, tSet, 0, 3)
	before := checkConsistency(t, n)
	dots := []crdt.Dot{{Replica: n.Replica(), Seq: 1}, {Replica: n.Replica(), Seq: 3}}
	u := with(foreign(7, 1, tRegister, crdt.KindValue, "1"), delta.Kill{Dots: dots})
	u.Deps = n.Clock().Clone()
	failing, failed := n.keys.index(dots[1]), false
	r.backend.disturb(func(d *disturbed) {
		d.onRead = func(key string, value []byte) ([]byte, error) {
			if key == failing && !failed {
				failed = true
				return nil, errStop
			}
			return value, nil
		}
	})
	if err := n.Apply(context.Background(), []delta.Unit{u}, nil); !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	r.backend.calm()
	if s := checkConsistency(t, n); !s.Equal(before) {
		t.Errorf("half a unit is there:\n%s", describe(s))
	}
	if err := n.Apply(context.Background(), []delta.Unit{u}, nil); err != nil {
		t.Fatal(err)
	}
	if s := checkConsistency(t, n); len(s.Live) != 2 {
		t.Errorf("%s", describe(s))
	}
}

// TestJoinRefuses what contradicts itself.
func TestJoinRefuses(t *testing.T) {
	ctx := context.Background()
	n := memorySpace(t, nil)
	mustCommit(t, n, increment(1))
	before := checkConsistency(t, n)
	e := foreign(7, 5, tRegister, crdt.KindValue, "1").Entries[0]
	streamed := delta.NewDotSet()
	streamed.Add(e.Dot)
	if err := n.Stage([]crdt.Entry{{Dot: e.Dot, Path: tCounter, Kind: crdt.KindCell, Value: []byte("?")}}); !errors.Is(err, delta.ErrMalformed) {
		t.Errorf("staged a cell that is none: %v", err)
	}
	join := StateJoin{From: n.Clock(), To: crdt.VersionVector{7: 5}, Streamed: streamed, Killed: delta.NewDotSet()}
	if err := n.Join(ctx, join); !errors.Is(err, ErrIncomplete) {
		t.Errorf("joined what was not staged: %v", err)
	}
	if err := n.Stage([]crdt.Entry{e}); err != nil {
		t.Fatal(err)
	}
	beyond, early := join, join
	beyond.To = crdt.VersionVector{7: 4}
	early.From = crdt.VersionVector{7: 1}
	for what, j := range map[string]StateJoin{"an entry beyond the clock": beyond, "from a clock that never was": early} {
		if err := n.Join(ctx, j); !errors.Is(err, delta.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s := checkConsistency(t, n); !s.Equal(before) {
		t.Errorf("%s", describe(s))
	}
	if err := n.Join(ctx, join); err != nil || n.Staged().Len() != 0 {
		t.Errorf("%v, %d staged", err, n.Staged().Len())
	}
	checkConsistency(t, n)
}

// TestTooLarge: a transaction that no peer would take is refused whole.
func TestTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("moves hundreds of megabytes")
	}
	n := memorySpace(t, nil)
	value := []byte(strings.Repeat("7", crdt.MaxValueBytes))
	_, err := n.Commit(context.Background(), func(tx *Tx) error {
		for i := range delta.MaxUnitBytes / len(value) {
			if err := tx.Assign(crdt.Object(crdt.Register, numbers(i)).Leaf(crdt.Register), value, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, delta.ErrTooLarge) || len(n.Clock()) > 0 {
		t.Errorf("%v, clock %v", err, n.Clock())
	}
}

func numbers(i int) string { return strings.Repeat("n", i+1) }

// TestCancelWhileWaiting: who gives up before the work begins is answered at once, and the work is
// not done.
func TestCancelWhileWaiting(t *testing.T) {
	n := memorySpace(t, nil)
	held, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- second(n.Commit(context.Background(), func(*Tx) error { close(held); <-goOn; return nil }))
	}()
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan error, 2)
	go func() { waiting <- second(n.Commit(ctx, increment(1))) }()
	go func() {
		waiting <- n.Join(ctx, StateJoin{To: crdt.VersionVector{7: 1}, Streamed: delta.NewDotSet(), Killed: delta.NewDotSet()})
	}()
	for len(n.queue) < 2 {
		yieldNow()
	}
	cancel()
	for range 2 {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := checkConsistency(t, n); len(s.Clock) > 0 {
		t.Errorf("%v", s)
	}
}
