package sync

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A claim is that somebody covers a replica's seqs up to Seq, the last of which was issued by
// Run. The zero Run means that it is not known which.
type claim struct {
	Replica crdt.ReplicaID
	Seq     uint64
	Run     delta.Run
}

// claimOf returns what a clock and its runs claim of one replica. A run that begins after the
// clock has issued nothing that the clock covers: it says nothing about Seq.
func claimOf(r crdt.ReplicaID, clock crdt.VersionVector, runs delta.Runs) claim {
	c := claim{Replica: r, Seq: clock[r], Run: runs[r]}
	if c.Run.First > c.Seq {
		c.Run = delta.Run{}
	}
	return c
}

// checkOwn judges a claim about the replica of the status itself, whose history is known in
// full, or back to some run. It returns ErrFork unless this copy issued that seq, in that run.
func (s Status) checkOwn(c claim) error {
	if have := s.Clock[s.Replica]; c.Seq > have {
		return fmt.Errorf("%w: seq %d of %v was seen, this copy issued %d", ErrFork, c.Seq, s.Replica, have)
	}
	if c.Run == (delta.Run{}) {
		return nil
	}
	if own := runAt(s.OwnRuns, c.Seq); own != c.Run && own != (delta.Run{}) {
		return fmt.Errorf("%w: seq %d of %v was seen from the run that began at %d as %016x, here it is from %d, %016x",
			ErrFork, c.Seq, s.Replica, c.Run.First, c.Run.Nonce, own.First, own.Nonce)
	}
	return nil
}

// runAt returns the run that issued seq, the zero run if that is older than all that are known.
func runAt(runs []delta.Run, seq uint64) delta.Run {
	var at delta.Run
	for _, r := range runs {
		if r.First <= seq {
			at = r
		}
	}
	return at
}

// contradict reports whether two claims about one replica cannot both come from one history:
// one side covers the first seq of the other side's run, and knows that seq under another run.
func contradict(a, b claim) bool {
	if a.Run == (delta.Run{}) || b.Run == (delta.Run{}) || a.Run == b.Run {
		return false
	}
	if a.Run.First > b.Run.First {
		a, b = b, a
	}
	return a.Seq >= b.Run.First // a.Run.First ≤ b.Run.First ≤ a.Seq, and a knows no later run
}

// checkForeign returns a text for the operator if the other side's claims contradict what is
// known here of some third replica, and which. Only replicas in of are looked at.
func (s Status) checkForeign(of []component, clock crdt.VersionVector, runs delta.Runs) (crdt.ReplicaID, bool) {
	for _, c := range of {
		if c.Replica != s.Replica && contradict(claimOf(c.Replica, s.Clock, s.Runs), claimOf(c.Replica, clock, runs)) {
			return c.Replica, true
		}
	}
	return 0, false
}

// toldRuns returns the runs that are told with a clock, ascending by replica: of each replica
// the run that issued the clock's component, where that is known.
func (s Status) toldRuns() delta.Runs {
	runs := make(delta.Runs, len(s.Runs))
	for r, run := range s.Runs {
		if r != s.Replica && run.First <= s.Clock[r] {
			runs[r] = run
		}
	}
	if seq := s.Clock[s.Replica]; seq > 0 {
		if run := runAt(s.OwnRuns, seq); run != (delta.Run{}) {
			runs[s.Replica] = run
		}
	}
	return runs
}

func clockList(v crdt.VersionVector) []component {
	cs := make([]component, 0, len(v))
	for r, s := range v {
		cs = append(cs, component{Replica: r, Seq: s})
	}
	slices.SortFunc(cs, func(a, b component) int { return cmp.Compare(a.Replica, b.Replica) })
	return cs
}

// runsOf returns those runs that belong to the components, in their order.
func runsOf(cs []component, runs delta.Runs) []told {
	var ts []told
	for _, c := range cs {
		if run, ok := runs[c.Replica]; ok {
			ts = append(ts, told{Replica: c.Replica, Run: run})
		}
	}
	return ts
}

// pastOf returns the past runs that belong to the components, in their order.
func pastOf(cs []component, past delta.Past) []told {
	var ts []told
	for _, c := range cs {
		for _, run := range past[c.Replica] {
			ts = append(ts, told{Replica: c.Replica, Run: run})
		}
	}
	return ts
}

// learnPast takes over told past runs.
func learnPast(into delta.Past, ts []told) {
	for _, t := range ts {
		into[t.Replica] = into.With(t.Replica, t.Run)
	}
}

// learnRuns takes over told runs. The later run of a replica wins.
func learnRuns(into delta.Runs, ts []told) {
	for _, t := range ts {
		if old, ok := into[t.Replica]; !ok || old.First <= t.Run.First {
			into[t.Replica] = t.Run
		}
	}
}
