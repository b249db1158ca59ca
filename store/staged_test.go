package store

import (
	"errors"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// TestStagedOf stages what one sender holds of a replica, and asks what of it may stand for what another holds. Where the
// two tell histories that part, whichever of them is ahead, it is nothing.
func TestStagedOf(t *testing.T) {
	type told struct {
		seq  uint64
		runs []delta.Run // ascending
	}
	first, second, third, other := delta.Run{First: 1, Nonce: 1}, delta.Run{First: 11, Nonce: 2}, delta.Run{First: 21, Nonce: 3}, delta.Run{First: 8, Nonce: 4}
	staged := told{20, []delta.Run{first, second}}
	for what, c := range map[string]struct {
		then  told
		stays bool
	}{
		"the same":                                   {staged, true},
		"one run more":                               {told{30, []delta.Run{first, second, third}}, true},
		"one run more, and no past":                  {told{30, []delta.Run{third}}, true},
		"one run less":                               {told{9, []delta.Run{first}}, true},
		"no runs":                                    {told{30, nil}, true},
		"a run from a seq that is staged":            {told{30, []delta.Run{first, second, {First: 20, Nonce: 5}}}, false},
		"the same seq in another run":                {told{30, []delta.Run{first, {First: 11, Nonce: 5}}}, false},
		"rolled back to before the run, and ahead":   {told{30, []delta.Run{first, other}}, false},
		"rolled back to before the run, and behind":  {told{9, []delta.Run{first, other}}, false},
		"rolled back to before the run, and further": {told{30, []delta.Run{first, other, third}}, false},
	} {
		t.Run(what, func(t *testing.T) {
			n := memorySpace(t, nil)
			ask := func(by told) *delta.DotSet {
				runs, past := delta.Runs{}, delta.Past{}
				if last := len(by.runs) - 1; last >= 0 {
					runs[7], past[7] = by.runs[last], by.runs[:last]
				}
				dots, err := n.StagedOf(crdt.VersionVector{7: by.seq}, runs, past)
				if err != nil {
					t.Fatal(err)
				}
				return dots
			}
			ask(staged)
			if err := n.Stage([]crdt.Entry{foreign(7, 9, tRegister, crdt.KindValue, "1").Entries[0]}); err != nil {
				t.Fatal(err)
			}
			if got := ask(c.then).Len() == 1; got != c.stays {
				t.Errorf("is taken for what the next sender holds: %v, want %v", got, c.stays)
			}
		})
	}
}

// TestStagedOfIsWritten beside the entries, also when the first attempt to stage them failed.
func TestStagedOfIsWritten(t *testing.T) {
	r := newRig(t)
	_, n := r.space()
	run := delta.Run{First: 1, Nonce: 1}
	if _, err := n.StagedOf(crdt.VersionVector{7: 9}, delta.Runs{7: run}, nil); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	entries := foreign(7, 9, tRegister, crdt.KindValue, "1").Entries
	r.backend.disturb(func(d *disturbed) { d.onApply = func(*Batch) error { return failed } })
	if err := n.Stage(entries); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	r.backend.calm()
	if err := n.Stage(entries); err != nil {
		t.Fatal(err)
	}
	h, err := readStagedHistory(n.backend, n.keys)
	if err != nil || h.clock[7] != 9 || len(h.runs[7]) != 1 || h.runs[7][0] != run {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestStagedOfIsBounded: senders that each tell of other replicas, and stage nothing, leave nothing.
func TestStagedOfIsBounded(t *testing.T) {
	n := memorySpace(t, nil)
	if _, err := n.StagedOf(crdt.VersionVector{7: 9}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := n.Stage(foreign(7, 9, tRegister, crdt.KindValue, "1").Entries); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		to, runs := crdt.VersionVector{}, delta.Runs{}
		for j := range 50 {
			id := crdt.ReplicaID(100 + 50*i + j)
			to[id], runs[id] = 1, delta.Run{First: 1, Nonce: 1}
		}
		if _, err := n.StagedOf(to, runs, nil); err != nil {
			t.Fatal(err)
		}
	}
	if h := n.stagedOf; len(h.clock) != 51 || len(h.runs) != 50 || h.clock[7] != 9 {
		t.Errorf("%d components and the runs of %d replicas are kept, %d of the staged one", len(h.clock), len(h.runs), h.clock[7])
	}
}
