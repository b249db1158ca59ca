package crdt_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

// anyPositions draws positions that random writers have made between random neighbours, ascending.
func anyPositions(t *rapid.T) []Position {
	var ps []Position
	for i := range rapid.IntRange(0, 30).Draw(t, "positions") {
		at := Dot{ReplicaID(rapid.Uint64Min(math.MaxUint64-3).Draw(t, "replica")), uint64(i+1) * rapid.Uint64Range(1, 1<<40).Draw(t, "scale")}
		n := rapid.IntRange(0, len(ps)).Draw(t, "place")
		p, err := Between(neighbour(ps, n-1), neighbour(ps, n), at)
		if err != nil {
			t.Fatal(err)
		}
		ps = slices.Insert(ps, n, p)
	}
	return ps
}

func neighbour(ps []Position, i int) Position {
	if i < 0 || i >= len(ps) {
		return ""
	}
	return ps[i]
}

func TestBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := anyPositions(t)
		if !slices.IsSorted(ps) || len(slices.Compact(slices.Clone(ps))) != len(ps) {
			t.Fatalf("out of order: %q", ps)
		}
		for _, p := range ps {
			if err := CheckPosition(string(p)); err != nil {
				t.Fatalf("%q: %v", p, err)
			}
			if err := CheckName(string(p)); err != nil || strings.Trim(string(p), "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") != "" {
				t.Fatalf("%q is no name, or needs an escape in a URL: %v", p, err)
			}
		}
	})
}

// TestPositionGolden: positions are stored and sent, so what they look like stays.
func TestPositionGolden(t *testing.T) {
	const a, b = ReplicaID(0x0123456789abcdef), ReplicaID(0xfedcba9876543210)
	between := func(l, r Position, at Dot) Position {
		t.Helper()
		p, err := Between(l, r, at)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := between("", "", Dot{a, 1})
	next := between(first, "", Dot{a, 1000})
	other := between(next, "", Dot{b, 12})
	before := between("", first, Dot{b, 13})
	child := between(first, next, Dot{b, 14})
	deep := between(first, child, Dot{a, math.MaxInt64})
	for i, p := range []Position{first, next, other, before, child, deep} {
		if want := goldenPositions[i]; string(p) != want {
			t.Errorf("position %d: %q, want %q", i, p, want)
		}
	}
}

var goldenPositions = []string{
	"jz-3YGLT8ewrjkU",
	"jz-3YGLT8ewrjpEYU",
	"kzEvRidWqK27Fo6U",
	"izEvRidWqK27FerU",
	"jz-3YGLT8ewrjkjzEvRidWqK27Fo8U",
	"jz-3YGLT8ewrjkj-y6zzzzzzzzzuU",
}

func TestCheckPosition(t *testing.T) {
	p, err := Between("", "", Dot{7, 1})
	if err != nil {
		t.Fatal(err)
	}
	good := string(p)
	for _, s := range []string{"", "V", "x", good[:len(good)-1], good + "V", good + good, good[1:], "a" + good, good[:3] + "." + good[4:], good + "\x00",
		strings.Repeat(good[:len(good)-1], 100) + "V"} {
		if err := CheckPosition(s); !errors.Is(err, ErrBadPosition) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, c := range []struct {
		left, right Position
		at          Dot
	}{{p, p, Dot{7, 2}}, {"x", "", Dot{7, 2}}, {"", "x", Dot{7, 2}}, {"", "", Dot{7, 0}}, {"", "", Dot{7, math.MaxInt64 + 1}}} {
		if _, err := Between(c.left, c.right, c.at); !errors.Is(err, ErrBadPosition) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestPositionsStayShort: writers who take turns at either end, and one who goes on in either
// direction, make no longer positions after thousands of items.
func TestPositionsStayShort(t *testing.T) {
	writers := []ReplicaID{0x1111111111111111, 0xeeeeeeeeeeeeeeee}
	for _, c := range []struct {
		name    string
		writers int
		place   func(n int) int // among n items
		most    int
	}{
		{"one appends", 1, func(n int) int { return n }, 20},
		{"one puts in front", 1, func(int) int { return 0 }, 26},
		{"two append by turns", 2, func(n int) int { return n }, 20},
		{"two put in front by turns", 2, func(int) int { return 0 }, 22},
		{"two write in the middle by turns, onwards", 2, func(n int) int { return min(n, n/2+1) }, 40},
		{"two write behind the first by turns", 2, func(n int) int { return min(n, 1) }, 40},
	} {
		var ps []Position
		for i := range 4000 {
			n := c.place(len(ps))
			p, err := Between(neighbour(ps, n-1), neighbour(ps, n), Dot{writers[i%c.writers], uint64(i/c.writers + 1)})
			if err != nil {
				t.Fatalf("%s: item %d: %v", c.name, i, err)
			}
			if ps = slices.Insert(ps, n, p); len(p) > c.most {
				t.Fatalf("%s: position %d has %d bytes: %s", c.name, i, len(p), p)
			}
		}
	}
}

// TestRunsBesideRemovedItems: somebody inserts behind an item that the writer of a run has removed
// meanwhile. Neither of two items of the run was seen by that, so it is not between them.
func TestRunsBesideRemovedItems(t *testing.T) {
	between := func(l, r Position, replica ReplicaID, seq uint64) Position {
		t.Helper()
		p, err := Between(l, r, Dot{replica, seq})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	base := between("", "", 5, 1)

	// A run in front of base, which then goes on behind its last item.
	x, removed := between("", base, 9, 2), between("", base, 1, 3)
	first := between("", removed, 1, 5)
	other := between(removed, x, 2, 4)
	if second := between(first, x, 1, 6); first < other && other < second {
		t.Errorf("%q is between %q and %q", other, first, second)
	}
	// A run behind base, which then goes on before its last item.
	x, removed = between(base, "", 9, 2), between(base, "", 1, 3)
	first = between(removed, x, 1, 5)
	other = between(removed, x, 2, 4)
	if second := between(base, first, 1, 6); second < other && other < first {
		t.Errorf("%q is between %q and %q", other, second, first)
	}
}

// TestNoPositionIsLeft: halving the same gap again and again ends, and says so.
func TestNoPositionIsLeft(t *testing.T) {
	left, right := Position(""), Position("")
	for i := range uint64(10_000) {
		p, err := Between(left, right, Dot{ReplicaID(1 + i%50), i + 1})
		if errors.Is(err, ErrNoPosition) {
			if i < 100 {
				t.Fatalf("after %d items", i)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			left = p
		} else {
			right = p
		}
	}
	t.Fatal("there is always one more")
}

// A position that is accepted is the only text for its place.
func FuzzPosition(f *testing.F) {
	for _, s := range append(goldenPositions, "", "V", "x", strings.Repeat("z", 30)) {
		f.Add(s, uint64(1), uint64(1))
	}
	f.Fuzz(func(t *testing.T, s string, replica, seq uint64) {
		if CheckPosition(s) != nil {
			return
		}
		at := Dot{ReplicaID(max(replica, 1)), min(max(seq, 1), math.MaxInt64)}
		for _, c := range [][2]Position{{Position(s), ""}, {"", Position(s)}} {
			p, err := Between(c[0], c[1], at)
			if errors.Is(err, ErrNoPosition) {
				continue
			}
			if err != nil || CheckPosition(string(p)) != nil || p <= c[0] || c[1] != "" && p >= c[1] {
				if p != c[0] && p != c[1] { // the same dot can only have made s itself
					t.Fatalf("between %q and %q: %q, %v", c[0], c[1], p, err)
				}
			}
		}
	})
}
