package crdt_test

import (
	"testing"

	. "github.com/anabranchdb/anabranch/crdt"
)

// stateOf returns a state whose clock covers just what is live.
func stateOf(es ...Entry) State {
	s := NewState()
	for _, e := range es {
		s.Live[e.Dot] = e
		s.Clock.Merge(VersionVector{e.Dot.Replica: e.Dot.Seq})
	}
	return s
}

func TestStateEqual(t *testing.T) {
	a, b := value(1, 1, 1, "a"), value(1, 2, 1, "b")
	other := value(1, 1, 1, "z")
	killed := stateOf(b)
	for _, tt := range []struct {
		name string
		x, y State
		want bool
	}{
		{"empty", NewState(), State{}, true},
		{"the same", stateOf(a, b), stateOf(b, a), true},
		{"another clock", stateOf(a), stateOf(a, b), false},
		{"fewer live", stateOf(a, b), killed, false},
		{"another entry", stateOf(a), stateOf(other), false},
		{"another dot", State{Clock: VersionVector{1: 2}, Live: stateOf(a).Live}, killed, false},
	} {
		if tt.x.Equal(tt.y) != tt.want || tt.y.Equal(tt.x) != tt.want {
			t.Errorf("%s: want %v", tt.name, tt.want)
		}
	}
}

// The cases of the join, one entry at a time.
func TestJoinCases(t *testing.T) {
	e := value(1, 1, 1, "e")
	unseen, live := NewState(), stateOf(e)
	dead := State{Clock: VersionVector{1: 1}, Live: map[Dot]Entry{}}
	for _, tt := range []struct {
		name string
		x, y State
		want State
	}{
		{"live and live", live, live, live},
		{"live and not heard of", live, unseen, live},
		{"live and dead", live, dead, dead},
		{"dead and not heard of", dead, unseen, dead},
		{"dead and dead", dead, dead, dead},
	} {
		if !Join(tt.x, tt.y).Equal(tt.want) || !Join(tt.y, tt.x).Equal(tt.want) {
			t.Errorf("%s: %+v", tt.name, Join(tt.x, tt.y))
		}
	}
	// The result is the caller's to write.
	j := Join(live, unseen)
	j.Clock[9] = 9
	delete(j.Live, e.Dot)
	if len(live.Live) != 1 || len(live.Clock) != 1 {
		t.Error("the join shares its maps with an argument")
	}
}
