package history

import (
	"cmp"
	"fmt"
	"slices"
)

// oversold: at no time was more taken than had been put there, or may have been.
func (c *checker) oversold() {
	for _, obj := range c.sorted {
		if !isBounded(obj.name) {
			continue
		}
		takes := slices.DeleteFunc(slices.Clone(obj.incs), func(i inc) bool { return i.amount > 0 || i.by.Outcome != OK })
		slices.SortFunc(takes, func(a, b inc) int { return cmp.Compare(a.by.End, b.by.End) })
		taken := int64(0)
		for _, t := range takes {
			taken -= t.amount
			put := int64(0)
			for _, i := range obj.incs {
				if i.amount > 0 && i.by.Outcome != Refused && i.by.Start < t.by.End {
					put += i.amount
				}
			}
			if taken > put {
				c.add(Oversold, fmt.Sprintf("%d were taken of %s, and %d at most had been put there", taken, obj.name, put), t.by.Op)
			}
		}
	}
}

// conditions: of writes that require one and the same state of an object at a daemon, one happens. And that state is what the
// writer may have seen: see required.
func (c *checker) conditions() {
	type state struct {
		place
		object, etag string
	}
	first := map[state]*write{}
	for _, w := range c.writes {
		if w.ETag == "" || !w.happened {
			continue
		}
		s := state{place{w.Daemon, w.Epoch}, w.Writes[0].Object, w.ETag}
		if f := first[s]; f != nil {
			c.add(Condition, fmt.Sprintf("two writes of %s required the state %s", s.object, s.etag), f.Op, w.Op)
		} else {
			first[s] = w
		}
		if isRegister(s.object) {
			c.required(w)
		}
	}
}

// required judges the state of a register that a write required, and found: the values that it removes, and no others. What the writer knew when it
// began was there then, but for what may have been removed before.
func (c *checker) required(w *write) {
	wr := w.Writes[0]
	found := &Op{End: w.End, Reads: []Read{{Object: wr.Object, Elements: wr.Remove}}}
	if w.Outcome == Unknown {
		found.End = never // it may have come at any time
	}
	a, obj := c.answer(found), c.objects[wr.Object]
	for _, e := range obj.elements {
		for _, r := range e.removed {
			if r != w && r.known(w.knew) && slices.Contains(wr.Remove, e.name) {
				c.add(Condition, fmt.Sprintf("a write of %s required a state with %s, whose removal was known", obj.name, e.name), r.Op, w.Op)
			}
		}
		explained := func(r *write) bool { return r != w && a.mayHave(r) }
		if !slices.Contains(wr.Remove, e.name) && e.by != w && e.by.known(w.knew) && !slices.ContainsFunc(e.removed, explained) {
			c.add(Condition, fmt.Sprintf("a write of %s required a state without %s, which was known", obj.name, e.name), e.by.Op, w.Op)
		}
	}
}
