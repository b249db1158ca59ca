package history

import (
	"fmt"
	"slices"
)

// answer is what an op showed: one state of some objects, or of all. That state has a set of writes, which is
// closed: with a write it has all that this one knew. Everything here tells which writes must, or may, be in that set.
type answer struct {
	c       *checker
	op      *Op
	objects []*object // that it tells of
	reads   map[*object]Read
	shown   map[*object]map[string]bool
	may     map[*write]bool // what mayHave found
}

func (c *checker) answer(o *Op) *answer {
	a := &answer{c: c, op: o, reads: map[*object]Read{}, shown: map[*object]map[string]bool{}, may: map[*write]bool{}}
	for _, r := range o.Reads {
		obj := c.object(r.Object)
		a.objects = append(a.objects, obj)
		a.reads[obj], a.shown[obj] = r, setOf(r.Elements)
	}
	return a
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// judge judges what was shown to somebody who knew base, and returns what is known by it.
func (a *answer) judge(base knowledge) knowledge {
	if a.op.Whole {
		a.objects = slices.DeleteFunc(slices.Clone(a.c.sorted), func(obj *object) bool { return a.settled(obj, base) })
	}
	k := slices.Clone(base)
	for _, r := range a.op.Reads {
		a.learnShown(&k, r)
	}
	for again := true; again; { // each may tell more to the other
		a.learnAbsent(&k)
		again = a.learnSums(&k)
	}
	for _, obj := range a.objects {
		if isSum(obj.name) {
			a.countSum(obj, base)
			a.judgeSum(obj, k)
		} else {
			a.judgeElements(obj, base, k)
		}
	}
	return k
}

// settled reports whether an object is as it must be, and tells nothing new. Most objects of a long history are: it saves most of the time.
func (a *answer) settled(obj *object, base knowledge) bool {
	r := a.reads[obj]
	switch {
	case len(r.Elements) > 0 || r.Partial:
		return false
	case obj.began > a.op.End:
		return r.Sum == 0
	}
	return !obj.lasting && base.covers(obj.done) && r.Sum == obj.sum && (r.Sum >= 0 || !isBounded(obj.name))
}

// learnShown adds what the writers of the elements knew. Of one session the last write is enough.
func (a *answer) learnShown(k *knowledge, r Read) {
	obj := a.c.object(r.Object)
	latest := map[int]*write{}
	for _, name := range r.Elements {
		if e := obj.byName[name]; e != nil {
			if l := latest[e.by.session]; l == nil || l.index < e.by.index {
				latest[e.by.session] = e.by
			}
		}
	}
	for _, w := range latest {
		k.learnWrite(w)
	}
}

// learnAbsent adds what is known since elements are gone: if somebody must have been shown an element, was not, and one write alone can
// have removed it, then that write is there, whole, with all that it knew. That may tell of more elements that
// must have been shown, so it goes on until nothing is added.
func (a *answer) learnAbsent(k *knowledge) {
	type absence struct{ by, remover *write }
	var open []absence
	for _, obj := range a.objects {
		if isSum(obj.name) || a.reads[obj].Partial {
			continue
		}
		for _, e := range obj.elements {
			if len(e.removed) == 0 || a.shown[obj][e.name] || e.removerKnown(*k) {
				continue
			}
			if only := a.onlyRemover(e); only != nil {
				open = append(open, absence{e.by, only})
			}
		}
	}
	for again := true; again; {
		again = false
		open = slices.DeleteFunc(open, func(gone absence) bool {
			if gone.by.known(*k) && !gone.remover.known(*k) {
				k.learnWrite(gone.remover)
				again = true
			}
			return gone.remover.known(*k)
		})
	}
}

// onlyRemover returns the write that must have removed an absent element, if it was there, and nil if there are
// several that may have, or none.
func (a *answer) onlyRemover(e *element) (only *write) {
	for _, w := range e.removed {
		if !a.mayHave(w) {
			continue
		}
		if only != nil {
			return nil
		}
		only = w
	}
	return only
}

// mayHave reports whether the state may have a write. It does not if the write began later; if something that the
// write removed is shown; or if something that the write added is not there, and nothing that the state may have, in turn, removed
// it. So who put a value in the place of another does not explain that there is none.
func (a *answer) mayHave(w *write) bool {
	may, found := a.may[w]
	if !found {
		a.may[w] = true // in a circle, which no real history has, it counts as possible
		may = w.Start <= a.op.End && !slices.ContainsFunc(w.Writes, func(wr Write) bool { return a.refutes(w, wr) })
		a.may[w] = may
	}
	return may
}

// refutes reports whether what is shown of an object rules out what a write did to it.
func (a *answer) refutes(w *write, wr Write) bool {
	obj := a.c.objects[wr.Object]
	r, looked := a.reads[obj]
	if !looked && !a.op.Whole {
		return false
	}
	shown := a.shown[obj]
	if slices.ContainsFunc(wr.Remove, func(name string) bool { return shown[name] }) {
		return true
	}
	return !r.Partial && slices.ContainsFunc(wr.Add, func(name string) bool {
		return !shown[name] && !slices.ContainsFunc(obj.byName[name].removed, func(r *write) bool { return r == w || a.mayHave(r) })
	})
}

// removerKnown reports whether a removal of the element is known.
func (e *element) removerKnown(k knowledge) bool {
	return slices.ContainsFunc(e.removed, func(w *write) bool { return w.known(k) })
}

// judgeElements judges what was shown of one object to somebody who knew base, and by the answer k.
func (a *answer) judgeElements(obj *object, base, k knowledge) {
	c, o, r, shown := a.c, a.op, a.reads[obj], a.shown[obj]
	if len(shown) < len(r.Elements) {
		c.add(Twice, fmt.Sprintf("%s shows an element twice", obj.name), o)
	}
	for name := range shown {
		if !a.written(obj, name) {
			continue
		}
		e := obj.byName[name]
		for _, w := range e.removed {
			if w.known(k) || a.shows(w, obj) {
				c.add(Resurrected, fmt.Sprintf("%s shows %s, and its removal was known, or is shown", obj.name, name), e.by.Op, w.Op, o)
			}
		}
	}
	if isList(obj.name) {
		c.order(o, r, obj)
	}
	if r.Partial {
		return
	}
	for _, e := range obj.elements {
		// A removal that is known explains it: if that can not be in this state, something else of it is found.
		if shown[e.name] || !e.by.known(k) || e.removerKnown(k) || slices.ContainsFunc(e.removed, a.mayHave) {
			continue
		}
		if e.by.known(base) {
			c.add(Stale, fmt.Sprintf("%s does not show %s, which was known before, and nothing that may be there removed it", obj.name, e.name), e.by.Op, o)
		} else {
			c.add(Torn, fmt.Sprintf("%s does not show %s, which belongs to, or was known to, something that is shown, or to the removal of something that is not", obj.name, e.name), e.by.Op, o)
		}
	}
}

// written reports whether an element that is shown may have been written by then.
func (a *answer) written(obj *object, name string) bool {
	e := obj.byName[name]
	switch {
	case e == nil:
		a.c.add(Phantom, fmt.Sprintf("%s shows %s, which nobody wrote", obj.name, name), a.op)
	case e.by.Outcome == Refused:
		a.c.add(Phantom, fmt.Sprintf("%s shows %s, whose write was refused", obj.name, name), e.by.Op, a.op)
	case e.by.Start > a.op.End:
		a.c.add(Phantom, fmt.Sprintf("%s shows %s before it was written", obj.name, name), e.by.Op, a.op)
	default:
		return true
	}
	return false
}

// shows reports whether the write has an element that is shown of this object, so that it is there, also
// when its outcome is unknown.
func (a *answer) shows(w *write, obj *object) bool {
	for _, wr := range w.Writes {
		if wr.Object == obj.name && slices.ContainsFunc(wr.Add, func(n string) bool { return a.shown[obj][n] }) {
			return true
		}
	}
	return false
}

// order judges the order of items: each writer's as they were appended.
func (c *checker) order(o *Op, r Read, obj *object) {
	last := map[int]*write{}
	for _, name := range r.Elements {
		e := obj.byName[name]
		if e == nil || e.by.Outcome != OK {
			continue
		}
		if l := last[e.by.session]; l != nil && l.index > e.by.index {
			c.add(Order, fmt.Sprintf("%s shows %s behind what its writer appended later", r.Object, name), e.by.Op, l.Op, o)
		}
		last[e.by.session] = e.by
	}
}
