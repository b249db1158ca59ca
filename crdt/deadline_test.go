package crdt_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

func TestDeadlineOf(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want Deadline
	}{
		{time.UnixMilli(1), 1},
		{time.UnixMilli(1_700_000_000_123), 1_700_000_000_123},
		{time.UnixMilli(-5), 1},
		{time.Unix(1<<40, 0), MaxDeadline},
	} {
		if got := DeadlineOf(c.at); got != c.want {
			t.Errorf("%v: %d, want %d", c.at, got, c.want)
		}
	}
	if s := MaxDeadline.Time().Format(time.RFC3339Nano); s != "9999-12-31T23:59:59.999Z" {
		t.Errorf("the last deadline is %s", s)
	}
}

// TestUntilSparesOtherKinds: an edit of a counter gets no deadline, and the edit that it is made of
// stays as it was.
func TestUntilSparesOtherKinds(t *testing.T) {
	p := Object(Counter, "c").Leaf(Counter)
	e, err := Increment(nil, p, Dot{Replica: 1, Seq: 1}, 1, 5)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Until(9); got.Add[0].Expires != 0 {
		t.Error("a cell has a deadline")
	}
	r := Assign(nil, Object(Register, "r").Leaf(Register), Dot{Replica: 1, Seq: 1}, 1, []byte("1"), nil)
	if got := r.Until(9); got.Add[0].Expires != 9 || r.Add[0].Expires != 0 {
		t.Errorf("%+v made of %+v", got, r)
	}
}

func drawTimed(t *rapid.T) []Entry {
	var live []Entry
	for i := range rapid.IntRange(0, 5).Draw(t, "entries") {
		live = append(live, Entry{
			Dot:     Dot{Replica: ReplicaID(rapid.IntRange(1, 3).Draw(t, "replica")), Seq: uint64(i + 1)},
			Path:    Object(Set, "s").Leaf(Set).Member("x"),
			Kind:    KindMember,
			Expires: Deadline(rapid.IntRange(0, 4).Draw(t, "deadline")),
		})
	}
	return live
}

// TestVisibleUntil: at every moment it agrees with what is seen then.
func TestVisibleUntil(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live := drawTimed(t)
		until := VisibleUntil(Set, live)
		for now := range Deadline(6) {
			seen := Visible(Set, Unexpired(live, now))
			if want := len(live) > 0 && (until == 0 || now < until); seen != want {
				t.Fatalf("until %d, at %d visible is %v: %v", until, now, seen, live)
			}
		}
	})
}

// TestReap: only what is over dies, each entry at the moment that ReapAt says, and the writer of an
// entry comes before everybody else.
func TestReap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live := drawTimed(t)
		self := ReplicaID(rapid.Uint64Min(1).Draw(t, "self"))
		now := Deadline(rapid.Uint64Range(0, 200_000).Draw(t, "now"))
		own, others := ReapBefore(self, now)
		if own > 0 && others >= own || own > now {
			t.Fatalf("own %d, others %d, now %d", own, others, now)
		}
		killed := map[Dot]bool{}
		for _, d := range Reap(live, self, own, others).Kill {
			killed[d] = true
		}
		for _, e := range live {
			want := e.Expires != 0 && ReapAt(self, e.Dot.Replica, e.Expires) <= now
			if killed[e.Dot] != want {
				t.Fatalf("%v reaps %v with %d at %d: %v", self, e.Dot, e.Expires, now, killed[e.Dot])
			}
		}
	})
	if _, others := ReapBefore(math.MaxUint64, 1<<40); others < 1<<40-121_000 {
		t.Errorf("others wait until %d", others)
	}
}
