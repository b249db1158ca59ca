package crdt_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

var noon = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func TestHLCGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := HLC{MaxAhead: time.Minute}
		wall := noon
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			// The wall may step back, by less than the bound.
			wall = wall.Add(time.Duration(rapid.IntRange(-40, 100).Draw(t, "ms")) * time.Millisecond)
			last := c.Last
			if rapid.Bool().Draw(t, "observe") {
				// Not close to the bound: a step back would take the clock beyond it.
				skew := rapid.OneOf(rapid.IntRange(-100, 50), rapid.IntRange(61, 100)).Draw(t, "skew")
				foreign := TimestampOf(wall.Add(time.Duration(skew) * time.Second))
				near := skew <= 50
				if ok := c.Observe(foreign, wall); ok != near {
					t.Fatalf("a reading %v ahead: %v", foreign.Time().Sub(wall), ok)
				}
				if want := last; !near && c.Last != want || near && c.Last != max(last, foreign) {
					t.Fatalf("the clock went from %v to %v by %v", last, c.Last, foreign)
				}
				continue
			}
			if got := c.Next(wall); got <= last || got != c.Last || got < TimestampOf(wall) {
				t.Fatalf("after %v at %v: %v", last, wall, got)
			}
		}
	})
}

func TestHLCCountsWithinAMillisecond(t *testing.T) {
	var c HLC
	first := c.Next(noon)
	for i := range Timestamp(1<<16 + 10) { // the counter runs over into the wall part
		if got := c.Next(noon); got != first+i+1 {
			t.Fatalf("reading %d: %v, want %v", i, got, first+i+1)
		}
	}
	if got := c.Last.Time().Sub(first.Time()); got != time.Millisecond {
		t.Errorf("ran %v ahead", got)
	}
}

func TestHLCFarAhead(t *testing.T) {
	c := HLC{MaxAhead: 10 * time.Minute}
	c.Next(noon)
	// A foreign reading at the bound drags the clock along, one beyond it does not.
	bound := TimestampOf(noon.Add(10 * time.Minute))
	if far := bound + 1<<16; c.Observe(far, noon) || c.Last >= far {
		t.Error("a reading beyond the bound was taken over")
	}
	if !c.Observe(bound, noon) || c.Next(noon) <= bound {
		t.Error("a reading at the bound was not taken over")
	}
	// The wall was wrong and has been set back by a day: fall back with it.
	yesterday := noon.Add(-24 * time.Hour)
	if got := c.Next(yesterday); got != TimestampOf(yesterday) {
		t.Errorf("stays at %v", got.Time())
	}
	if !c.Observe(TimestampOf(yesterday.Add(time.Second)), yesterday) || c.Next(yesterday) <= TimestampOf(yesterday.Add(time.Second)) {
		t.Error("does not go on after a fall back")
	}
	// It was set back again. What is taken over before the next own reading counts, too.
	before := yesterday.Add(-24 * time.Hour)
	foreign := TimestampOf(before.Add(time.Minute))
	if got := c.Observe(foreign, before); !got || c.Next(before) <= foreign {
		t.Error("forgets what it took over before it fell back")
	}
}

func TestTimestampBounds(t *testing.T) {
	if got := TimestampOf(time.Unix(-1, 0)); got != 0 {
		t.Errorf("before the epoch: %d", got)
	}
	if got := TimestampOf(time.UnixMilli(math.MaxInt64)); got != Timestamp(1<<48-1)<<16 {
		t.Errorf("at the end of time: %x", uint64(got))
	}
	if got := TimestampOf(noon).Time(); !got.Equal(noon) {
		t.Errorf("noon reads as %v", got)
	}
}

func anyClock(t *rapid.T, label string) VersionVector {
	v := VersionVector{}
	for r := range ReplicaID(4) {
		if s := rapid.Uint64Range(0, 3).Draw(t, label); s > 0 {
			v[r+1] = s
		}
	}
	return v
}

func TestVersionVectorLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, o := anyClock(t, "v"), anyClock(t, "o")
		vv, oo := v.Clone(), o.Clone()
		up, down := v.Clone(), v.Min(o)
		up.Merge(o)
		var missing uint64
		less, more := false, false
		for r := range ReplicaID(6) {
			a, b := v[r], o[r]
			less, more = less || a < b, more || a > b
			missing += max(a, b) - a
			if up[r] != max(a, b) || down[r] != min(a, b) {
				t.Fatalf("%v, %v: up %v, down %v", v, o, up, down)
			}
			if r > 0 && (!v.Covers(Dot{r, a}) || v.Covers(Dot{r, a + 1})) {
				t.Fatalf("%v covers a wrong part of %v", v, r)
			}
		}
		want := map[[2]bool]Ordering{{false, false}: Equal, {true, false}: Before, {false, true}: After, {true, true}: Concurrent}
		switch {
		case v.Compare(o) != want[[2]bool{less, more}]:
			t.Fatalf("%v is %v to %v", v, v.Compare(o), o)
		case v.CoversAll(o) != !less:
			t.Fatalf("%v covers all of %v: %v", v, o, v.CoversAll(o))
		case v.Missing(o) != missing:
			t.Fatalf("%v misses %d of %v, want %d", v, v.Missing(o), o, missing)
		case v.Compare(vv) != Equal || o.Compare(oo) != Equal:
			t.Fatal("an argument was changed")
		case !slices.IsSorted(up.Replicas()) || len(up.Replicas()) != len(up):
			t.Fatalf("replicas of %v: %v", up, up.Replicas())
		}
		for _, m := range []VersionVector{up, down} {
			for r, s := range m {
				if s == 0 {
					t.Fatalf("%v holds a component 0 of %v", m, r)
				}
			}
		}
	})
}

func TestNilClock(t *testing.T) {
	var v VersionVector
	if v.Covers(Dot{1, 1}) || !v.CoversAll(nil) || v.Compare(VersionVector{}) != Equal {
		t.Error("nil is not the empty clock")
	}
	if c := v.Clone(); c == nil {
		t.Error("a clone cannot be written")
	}
}

func TestOrderingNames(t *testing.T) {
	for o, want := range map[Ordering]string{Equal: "equal", Before: "before", After: "after", Concurrent: "concurrent"} {
		if o.String() != want {
			t.Errorf("%d is %v", o, o)
		}
	}
}

func TestReplicaID(t *testing.T) {
	for _, r := range []ReplicaID{1, 0xdeadbeef, math.MaxUint64} {
		if got, err := ParseReplicaID(r.String()); err != nil || got != r {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "1", "0000000000000000", "00000000000000001", "000000000000000g", "+000000000000001"} {
		if got, err := ParseReplicaID(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
	if got := (Dot{1, 42}).String(); got != "0000000000000001:42" {
		t.Errorf("a dot is shown as %s", got)
	}
}

func TestEntryOrderAndEquality(t *testing.T) {
	e := Entry{Dot: Dot{1, 2}, Path: "ra!r", Kind: KindValue, Time: 5, Value: []byte("1"), Extra: []byte("x")}
	for _, o := range []Entry{
		{Dot: Dot{1, 3}, Path: e.Path, Kind: e.Kind, Time: e.Time, Value: e.Value, Extra: e.Extra},
		{Dot: e.Dot, Path: "rb!r", Kind: e.Kind, Time: e.Time, Value: e.Value, Extra: e.Extra},
		{Dot: e.Dot, Path: e.Path, Kind: KindCell, Time: e.Time, Value: e.Value, Extra: e.Extra},
		{Dot: e.Dot, Path: e.Path, Kind: e.Kind, Time: 6, Value: e.Value, Extra: e.Extra},
		{Dot: e.Dot, Path: e.Path, Kind: e.Kind, Time: e.Time, Value: []byte("2"), Extra: e.Extra},
		{Dot: e.Dot, Path: e.Path, Kind: e.Kind, Time: e.Time, Value: e.Value},
	} {
		if e.Equal(o) || !o.Equal(o) {
			t.Errorf("%+v equals %+v: %v", e, o, e.Equal(o))
		}
	}
	es := []Entry{{Dot: Dot{2, 1}, Time: 1}, {Dot: Dot{1, 9}, Time: 2}, {Dot: Dot{2, 1}, Time: 2}, {Dot: Dot{1, 8}, Time: 2}}
	SortNewest(es)
	for i, want := range []Dot{{2, 1}, {1, 9}, {1, 8}, {2, 1}} {
		if es[i].Dot != want {
			t.Errorf("entry %d is %v, want %v", i, es[i].Dot, want)
		}
	}
}
