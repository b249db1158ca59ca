package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// holders goes through what tells who holds which write, and what was lost.
func (c *checker) holders() {
	for _, w := range c.writes {
		w.heldAt = make([]int64, len(c.daemons))
		for i := range w.heldAt {
			w.heldAt[i] = never
		}
	}
	ended := slices.SortedStableFunc(slices.Values(c.ops), func(a, b *Op) int { return cmp.Compare(a.End, b.End) })
	epoch, backup, lost := map[string]int{}, map[string]int64{}, map[string][]*Op{}
	for _, o := range ended {
		d := c.daemons[o.Daemon]
		if o.Outcome != OK {
			continue
		}
		switch o.Kind {
		case Call, Final:
			if o.Epoch < epoch[o.Daemon] {
				continue
			}
			if w := c.byOp[o]; w != nil {
				w.hold(d, o.End)
				w.unnamed = max(0, o.Acks-lostOthers(lost, o))
			}
			for _, r := range o.Reads {
				for _, name := range r.Elements {
					if e := c.objects[r.Object].byName[name]; e != nil {
						e.by.hold(d, o.End)
					}
				}
			}
		case Held:
			for _, p := range o.Peers {
				if lostSince(lost[p], o.Start) > 0 {
					continue
				}
				to := c.daemons[p]
				for _, w := range c.writes {
					if w.heldAt[d] <= o.Start {
						w.hold(to, o.End)
					}
				}
			}
		case Backup:
			backup[o.Daemon] = o.Start
		case Lost:
			epoch[o.Daemon] = o.Epoch
			lost[o.Daemon] = append(lost[o.Daemon], o)
			for _, w := range c.writes {
				if !o.Kept || w.heldAt[d] > backup[o.Daemon] {
					w.heldAt[d] = never
				}
				if w.unnamed > 0 && w.Daemon != o.Daemon {
					w.unnamed--
				}
			}
		}
	}
	for _, w := range c.writes {
		if w.Outcome == OK && !c.stands(w) {
			c.AtRisk++
		}
	}
}

// lostSince counts the losses that were not over at a time.
func lostSince(lost []*Op, since int64) (n int) {
	for _, l := range lost {
		if l.End >= since {
			n++
		}
	}
	return n
}

// lostOthers counts the losses of other daemons during a call: each may have been of one that had acknowledged it.
func lostOthers(lost map[string][]*Op, o *Op) (n int) {
	for d, of := range lost {
		if d != o.Daemon {
			n += lostSince(of, o.Start)
		}
	}
	return n
}

func (w *write) hold(daemon int, since int64) { w.heldAt[daemon] = min(w.heldAt[daemon], since) }

// feeds: what a reader is told of an object was written, and never goes back.
func (c *checker) feeds() {
	type of struct{ reader, object string }
	seen, gone := map[of]map[string]*Op{}, map[of]map[string]*Op{}
	for _, o := range c.ops {
		if o.Kind != Feed {
			continue
		}
		a := c.answer(o)
		for _, r := range o.Reads {
			obj := c.object(r.Object)
			if isSum(r.Object) {
				a.judgeSum(obj, nil)
				continue
			}
			for _, name := range r.Elements {
				if a.written(obj, name) {
					obj.byName[name].by.happened = true
				}
			}
			if r.Partial || r.Later {
				continue
			}
			at := of{o.Session, r.Object}
			if seen[at] == nil {
				seen[at], gone[at] = map[string]*Op{}, map[string]*Op{}
			}
			shown := setOf(r.Elements)
			for name, before := range seen[at] {
				if !shown[name] {
					delete(seen[at], name)
					gone[at][name] = before
					if e := obj.byName[name]; e != nil && !e.removable(o.End) {
						c.add(FeedRegress, fmt.Sprintf("%s had been told, of %s, and is no longer there, and nobody removed it", name, r.Object), before, o)
					}
				}
			}
			for name := range shown {
				if before := gone[at][name]; before != nil {
					c.add(FeedRegress, fmt.Sprintf("%s was gone from %s, and is told again", name, r.Object), before, o)
				}
				seen[at][name] = o
			}
		}
	}
}

// final judges the end: daemons are alike, what was acknowledged is there, what was removed is not, and
// the feeds have told all of it.
func (c *checker) final() {
	var first *Op
	for _, o := range c.ops {
		if o.Kind != Final {
			continue
		}
		c.Finals++
		if first == nil {
			first = o
		}
		if o.Digest != first.Digest || o.Token != first.Token {
			c.add(Diverged, fmt.Sprintf("%s and %s differ in the end", first.Daemon, o.Daemon), first, o)
		}
		c.finalState(o, o == first)
		c.finalFeed(o)
	}
}

// finalState judges what a daemon holds in the end. Of one of them the sums are counted.
func (c *checker) finalState(o *Op, count bool) {
	reads := map[string]Read{}
	for _, r := range o.Reads {
		reads[r.Object] = r
	}
	for _, obj := range c.sorted {
		r := reads[obj.name]
		shown := setOf(r.Elements)
		for _, e := range obj.elements {
			removed := slices.IndexFunc(e.removed, c.stands)
			switch {
			case shown[e.name] && removed >= 0:
				c.add(Undone, fmt.Sprintf("%s: %s has %s in the end, though it was removed", o.Daemon, obj.name, e.name), e.by.Op, e.removed[removed].Op)
			case !shown[e.name] && !r.Partial && c.stands(e.by) && len(e.removed) == 0:
				c.add(Missing, fmt.Sprintf("%s: %s has no %s in the end", o.Daemon, obj.name, e.name), e.by.Op)
			}
		}
		if !isSum(obj.name) {
			continue
		}
		s := c.finalSums(obj)
		if count {
			c.Sums++
			if s.exact() {
				c.Exact++
			}
		}
		if !s.allow(r.Sum) {
			c.add(Missing, fmt.Sprintf("%s: %s is %d in the end; what was acknowledged and what is unknown allow %v", o.Daemon, obj.name, r.Sum, s))
		}
	}
}

// finalSums returns the sums that a counter may have in the end. With an increment that stands there are all earlier ones of its session.
func (c *checker) finalSums(obj *object) *sums {
	stand := map[int]uint32{}
	for _, i := range obj.incs {
		if c.stands(i.by) {
			stand[i.by.session] = max(stand[i.by.session], i.by.index)
		}
	}
	return obj.sums(func(w *write) bool { return w.index <= stand[w.session] }, func(*write) bool { return true })
}

// finalFeed compares the end with what the last reader at the daemon was told.
func (c *checker) finalFeed(final *Op) {
	reader, told := "", map[string]Read{}
	for _, o := range c.ops {
		if o.Kind != Feed || o.Daemon != final.Daemon {
			continue
		}
		if o.Session != reader {
			reader, told = o.Session, map[string]Read{}
		}
		for _, r := range o.Reads {
			told[r.Object] = r
		}
	}
	if reader == "" {
		return
	}
	for _, r := range final.Reads {
		t := told[r.Object]
		delete(told, r.Object)
		if r.Partial || t.Partial {
			continue
		}
		if t.Sum != r.Sum || !maps.Equal(setOf(t.Elements), setOf(r.Elements)) {
			c.add(FeedMissed, fmt.Sprintf("%s: the last that the feed told of %s is %v %d, and it holds %v %d", final.Daemon, r.Object, t.Elements, t.Sum, r.Elements, r.Sum))
		}
	}
	for name, t := range told {
		if len(t.Elements) > 0 || t.Sum != 0 {
			c.add(FeedMissed, fmt.Sprintf("%s: the feed never told that %s is gone", final.Daemon, name))
		}
	}
}

// removable reports whether somebody may have removed the element by a time.
func (e *element) removable(by int64) bool {
	return slices.ContainsFunc(e.removed, func(w *write) bool { return w.Start <= by })
}
