package delta

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranchdb/anabranch/crdt"
)

// site is a replica of the properties below: it makes units from what it sees, and takes those
// of others in any causal order.
type site struct {
	id    crdt.ReplicaID
	state crdt.State
	told  crdt.VersionVector // the clock at its previous unit
}

// world is a set of sites and all units that they made, in an order in which they can be
// applied.
type world struct {
	sites []*site
	log   []Unit
}

func drawWorld(t *rapid.T) *world {
	w := &world{}
	for _, id := range rapid.SliceOfNDistinct(rapid.Uint64Min(1), 1, 4, rapid.ID[uint64]).Draw(t, "ids") {
		w.sites = append(w.sites, &site{id: crdt.ReplicaID(id), state: crdt.NewState(), told: crdt.VersionVector{}})
	}
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		s := rapid.SampledFrom(w.sites).Draw(t, "site")
		if rapid.Bool().Draw(t, "write") {
			w.write(t, s)
			continue
		}
		for _, u := range w.log { // a causal cut of what there is
			if rapid.Bool().Draw(t, "deliver") {
				if err := Apply(&s.state, u); err != nil && !errors.Is(err, ErrGap) {
					t.Fatal(err)
				}
			}
		}
	}
	return w
}

// write makes a unit of s, applies it there and logs it.
func (w *world) write(t *rapid.T, s *site) {
	first := s.state.Clock[s.id] + 1
	u := Unit{Origin: s.id, First: first, Last: first - 1}
	for r, seq := range s.state.Clock {
		if r != s.id && seq != s.told[r] {
			if u.Deps == nil {
				u.Deps = crdt.VersionVector{}
			}
			u.Deps[r] = seq
		}
	}
	for range rapid.IntRange(1, 3).Draw(t, "operations") {
		u.Last++
		s.operation(t, &u)
	}
	if err := Apply(&s.state, u); err != nil {
		t.Fatalf("own unit: %v", err)
	}
	s.told = s.state.Clock.Clone()
	w.log = append(w.log, u)
}

var propertyPaths = []crdt.Path{
	register("r"), member("s", "x"), member("s", "y"),
	crdt.Object(crdt.Map, "m").Field("a").Leaf(crdt.Register),
	crdt.Object(crdt.Map, "m").Fields("a", "b").Leaf(crdt.Set).Member("z"),
}

var propertyPrefixes = []crdt.Path{
	crdt.Object(crdt.Register, "r"), crdt.Object(crdt.Set, "s").Leaf(crdt.Set),
	crdt.Object(crdt.Map, "m"), crdt.Object(crdt.Map, "m").Field("a"), crdt.Object(crdt.Map, "m").Fields("a", "b"),
}

// operation adds one operation with seq u.Last to u.
func (s *site) operation(t *rapid.T, u *Unit) {
	at := dot(s.id, u.Last)
	counter := crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Counter)
	switch rapid.IntRange(0, 5).Draw(t, "operation") {
	case 0: // a cell: supersedes the own one only
		u.Entries = append(u.Entries, crdt.Entry{Dot: at, Path: counter, Kind: crdt.KindCell, Time: 5, Value: []byte{byte(u.Last)}})
		s.kill(u, func(e crdt.Entry) bool { return e.Kind == crdt.KindCell && e.Dot.Replica == s.id })
	case 1:
		if clock := s.state.Clock.Clone(); len(clock) > 0 {
			u.Kills = append(u.Kills, Kill{Prefix: rapid.SampledFrom(propertyPrefixes).Draw(t, "prefix"), Clock: clock})
		}
	case 2:
		p := rapid.SampledFrom(propertyPaths).Draw(t, "path")
		s.kill(u, func(e crdt.Entry) bool { return e.Path == p })
	default:
		e := crdt.Entry{Dot: at, Path: rapid.SampledFrom(propertyPaths).Draw(t, "path"), Kind: crdt.KindValue,
			Time:    crdt.Timestamp(rapid.Uint64().Draw(t, "time")),
			Expires: crdt.Deadline(rapid.Uint64Max(uint64(crdt.MaxDeadline)).Draw(t, "deadline")),
			Value:   rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")}
		u.Entries = append(u.Entries, e)
		s.kill(u, func(o crdt.Entry) bool { return o.Path == e.Path })
	}
}

// kill adds a list of the live dots that match.
func (s *site) kill(u *Unit, match func(crdt.Entry) bool) {
	var k Kill
	for d, e := range s.state.Live {
		if match(e) {
			k.Dots = append(k.Dots, d)
		}
	}
	if len(k.Dots) > 0 {
		slices.SortFunc(k.Dots, crdt.Dot.Compare)
		u.Kills = append(u.Kills, k)
	}
}

// joined returns the join of all sites.
func (w *world) joined() crdt.State {
	j := crdt.NewState()
	for _, s := range w.sites {
		j = crdt.Join(j, s.state)
	}
	return j
}

func checkInvariants(t *rapid.T, s crdt.State) {
	for d, e := range s.Live {
		if !s.Clock.Covers(d) || e.Dot != d {
			t.Fatalf("I2: %v is live and not covered by %v", d, s.Clock)
		}
	}
}

// Applying units in any causal order yields what joining the states yields.
func TestApplyInAnyOrderIsJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		want := w.joined()
		s := crdt.NewState()
		waiting := rapid.Permutation(w.log).Draw(t, "order")
		for len(waiting) > 0 {
			n := len(waiting)
			waiting = slices.DeleteFunc(waiting, func(u Unit) bool { return Apply(&s, u) == nil })
			if len(waiting) == n {
				t.Fatalf("%d units wait for each other", n)
			}
			checkInvariants(t, s)
		}
		if !s.Equal(want) {
			t.Fatalf("applied: %v\njoined:  %v", s, want)
		}
		for _, u := range w.log { // once more changes nothing
			if err := Apply(&s, u); err != nil {
				t.Fatal(err)
			}
		}
		if !s.Equal(want) {
			t.Fatal("applied twice, the state differs")
		}
	})
}

// Applying the rest of the units to one site is joining another site into it.
func TestApplyToASiteIsJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		s := w.sites[0].state.Clone()
		for _, u := range w.log {
			if err := Apply(&s, u); err != nil {
				t.Fatal(err)
			}
		}
		if want := w.joined(); !s.Equal(want) {
			t.Fatalf("applied: %v\njoined:  %v", s, want)
		}
	})
}

func TestUnitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, u := range drawWorld(t).log {
			enc := AppendUnit(nil, u)
			got, err := DecodeUnit(enc)
			if err != nil || !sameUnit(got, u) || u.Size() != len(enc) {
				t.Fatalf("%v: got %+v, want %+v", err, got, u)
			}
			if err := Validate(got); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Split into frames, sent, and applied in the order of the frames: the same state.
func TestSplitThenApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		runs := Runs{}
		for _, s := range w.sites[1:] { // one run is not known
			runs[s.id] = Run{First: 1, Nonce: uint64(s.id)}
		}
		maxBytes := rapid.IntRange(20, 1000).Draw(t, "maxBytes")
		frames, large := Split(w.log, runs, maxBytes)
		var sent []Unit
		for _, f := range frames {
			sent = append(sent, checkFrame(t, f, runs, maxBytes)...)
		}
		i := 0
		s := crdt.NewState()
		for _, u := range w.log {
			if len(large) > 0 && large[0] == (Announce{u.Origin, u.First, u.Last, u.Size()}) {
				if large = large[1:]; u.Size()+frameOverhead+runBytes <= maxBytes {
					t.Fatalf("announced: a unit of %d bytes, with %d in a frame", u.Size(), maxBytes)
				}
			} else if i == len(sent) || !sameUnit(sent[i], u) {
				t.Fatalf("unit %v:%d is missing or out of order", u.Origin, u.First)
			} else {
				u, i = sent[i], i+1
			}
			if err := Apply(&s, u); err != nil {
				t.Fatal(err)
			}
		}
		if i != len(sent) || len(large) > 0 || !s.Equal(w.joined()) {
			t.Fatalf("%d of %d units, %d announced too many", i, len(sent), len(large))
		}
	})
}

// checkFrame sends f over the wire and returns its units.
func checkFrame(t *rapid.T, f Frame, runs Runs, maxBytes int) []Unit {
	enc := AppendFrame(nil, f)
	if len(enc) > maxBytes {
		t.Fatalf("a frame of %d bytes, at most %d wanted", len(enc), maxBytes)
	}
	got, err := DecodeFrame(enc)
	if err != nil {
		t.Fatal(err)
	}
	want := Runs{}
	for _, u := range got.Units {
		if run, ok := runs[u.Origin]; ok {
			want[u.Origin] = run
		}
	}
	if fmt.Sprint(want) != fmt.Sprint(got.Runs) {
		t.Fatalf("runs %v, want %v", got.Runs, want)
	}
	return got.Units
}

func TestSplitFillsFrames(t *testing.T) {
	units := sampleUnits("register", 20_000)
	frames, large := Split(units, nil, 1<<30)
	total := 0
	for i, f := range frames {
		n := len(AppendFrame(nil, f))
		total += len(f.Units)
		if n > MaxFrameBytes || i < len(frames)-1 && n < MaxFrameBytes*99/100 {
			t.Errorf("frame %d of %d: %d bytes", i, len(frames), n)
		}
	}
	if total != len(units) || len(large) > 0 {
		t.Errorf("%d units in frames, %d announced", total, len(large))
	}
	empty := make([]Unit, MaxFrameUnits+1)
	for i := range empty {
		empty[i] = Unit{Origin: idA, First: uint64(i + 1), Last: uint64(i + 1)}
	}
	if frames, _ := Split(empty, nil, MaxFrameBytes); len(frames) != 2 {
		t.Errorf("%d frames for one unit more than fit", len(frames))
	}
}
