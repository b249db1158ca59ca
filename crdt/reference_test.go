package crdt_test

import (
	"cmp"
	"math/big"
	"slices"

	. "github.com/anabranchdb/anabranch/crdt"
)

// The reference keeps every operation that was ever done, with all that its writer knew, and
// computes values from that, without dots, clocks, totals or records.

type opKind int

const (
	opAssign opKind = iota
	opAdd
	opEnable
	opInc
	opRemove // at one path: register, member, flag or counter
	opDelete // of everything under a prefix
)

// events is a set of events by their index in the history.
type events map[int]bool

func (s events) clone() events {
	c := make(events, len(s)+1)
	for i := range s {
		c[i] = true
	}
	return c
}

type op struct {
	kind   opKind
	path   Path // or prefix
	value  string
	amount int64
}

type event struct {
	op
	by   ReplicaID
	time Timestamp
	past events // all that its writer knew
	seen events // what a removal or an assignment claims to have seen; nil is everything in past
}

type history struct{ all []event }

func (h *history) add(e event) (index int) {
	h.all = append(h.all, e)
	return len(h.all) - 1
}

// at returns the events of a kind at a path among those known, oldest first.
func (h *history) at(known events, kind opKind, path Path) []int {
	var found []int
	for i, e := range h.all {
		if known[i] && e.kind == kind && e.path == path {
			found = append(found, i)
		}
	}
	return found
}

// removes says whether e takes away what stands at path and its writer saw.
func (e event) removes(path Path) bool {
	switch e.kind {
	case opRemove, opAssign, opAdd, opEnable:
		return e.path == path
	case opDelete:
		return e.path.Contains(path)
	}
	return false
}

// standing returns the writes of a kind at path that nothing known has superseded.
func (h *history) standing(known events, kind opKind, path Path) []int {
	return slices.DeleteFunc(h.at(known, kind, path), func(w int) bool {
		for k := range known {
			if e := h.all[k]; e.removes(path) && e.past[w] && h.saw(e, w) {
				return true
			}
		}
		return false
	})
}

// saw says whether e's removal is meant for write w, which its writer knew. A replica's
// increments are taken away together, if the last one that the writer knew had been seen.
func (h *history) saw(e event, w int) bool {
	if e.seen == nil {
		return true
	}
	write := h.all[w]
	if write.kind != opInc {
		return e.seen[w]
	}
	last := w
	for _, i := range h.at(e.past, opInc, write.path) {
		if h.all[i].by == write.by {
			last = i
		}
	}
	return e.seen[last]
}

// register returns the values at path, newest first.
func (h *history) register(known events, path Path) []string {
	ws := h.standing(known, opAssign, path)
	slices.SortFunc(ws, func(i, j int) int {
		a, b := h.all[i], h.all[j]
		return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(b.by, a.by), cmp.Compare(j, i))
	})
	var values []string
	for _, i := range ws {
		values = append(values, h.all[i].value)
	}
	return values
}

func (h *history) member(known events, path Path) bool {
	return len(h.standing(known, opAdd, path)) > 0
}

func (h *history) flag(known events, path Path) bool {
	return len(h.standing(known, opEnable, path)) > 0
}

// counter returns the value at path and whether there is one.
func (h *history) counter(known events, path Path) (*big.Int, bool) {
	sum, is := new(big.Int), h.standing(known, opInc, path)
	for _, i := range is {
		sum.Add(sum, big.NewInt(h.all[i].amount))
	}
	return sum, len(is) > 0
}

// mayIncrement is the rule for overflow: into int64, or nearer to it.
func mayIncrement(value *big.Int, amount int64) bool {
	next := new(big.Int).Add(value, big.NewInt(amount))
	return amount == 0 || next.IsInt64() || !value.IsInt64() && next.CmpAbs(value) < 0
}
