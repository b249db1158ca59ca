package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Anomaly is a broken promise.
type Anomaly struct {
	// Kind is one of the kinds below.
	Kind string
	Text string
	// Ops show it.
	Ops []Op
}

// The kinds of anomalies.
const (
	Phantom     = "phantom"      // shown, and never written
	Stale       = "stale"        // known to the asker, and not shown
	Torn        = "torn"         // shown, without what it was written with or after
	Resurrected = "resurrected"  // removed, and shown again
	Twice       = "twice"        // two of one element
	Order       = "order"        // items of a writer in another order
	Sum         = "sum"          // of a counter, beyond what the increments allow
	BelowZero   = "below zero"   // a bounded counter
	Oversold    = "oversold"     // more taken of a bounded counter than was put there
	Condition   = "condition"    // two writes that both required one and the same state
	Diverged    = "diverged"     // daemons that differ in the end
	Missing     = "lost"         // acknowledged, and not there in the end
	Undone      = "undone"       // a removal that was acknowledged, and undone in the end
	FeedMissed  = "feed missed"  // the feed did not tell the last state
	FeedRegress = "feed regress" // the feed told an older state after a newer one
)

func (a Anomaly) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", a.Kind, a.Text)
	for _, o := range a.Ops {
		fmt.Fprintf(&b, "\n    %v", o)
	}
	return b.String()
}

// Report is a judgement.
type Report struct {
	Finals    int // daemons that were looked at in the end: without any, nothing of the end was judged
	Anomalies []Anomaly
	// Counts are the anomalies by kind, those beyond the first few of each kind included.
	Counts map[string]int
	// AtRisk counts the acknowledged writes that a lost directory may have taken along.
	AtRisk int
	// Sums counts the counters that there were in the end, and Exact those for which one value alone was right.
	Sums, Exact int
	// SumsRead counts the reads of one counter, and ExactRead those for which, by what was known before, one value alone was right.
	SumsRead, ExactRead int
}

// mostOfAKind bounds the anomalies of a kind that are told.
const mostOfAKind = 10

func (r *Report) add(kind, text string, ops ...*Op) {
	if r.Counts[kind]++; r.Counts[kind] > mostOfAKind {
		return
	}
	a := Anomaly{Kind: kind, Text: text}
	for _, o := range ops {
		if o != nil {
			a.Ops = append(a.Ops, *o)
		}
	}
	r.Anomalies = append(r.Anomalies, a)
}

// knowledge is, for each session by number, up to which of its writes is known. A write whose outcome is unknown
// counts as a session of its own: it may take effect after later ones of its session, so they tell nothing of it.
type knowledge []uint32

func (k *knowledge) learn(other knowledge) {
	k.grow(len(other))
	for i, n := range other {
		(*k)[i] = max((*k)[i], n)
	}
}

func (k *knowledge) grow(n int) {
	if n > len(*k) {
		*k = append(*k, make(knowledge, n-len(*k))...)
	}
}

func (k *knowledge) learnOne(session int, n uint32) {
	k.grow(session + 1)
	(*k)[session] = max((*k)[session], n)
}

// learnWrite adds a write, whole, and all that it knew.
func (k *knowledge) learnWrite(w *write) {
	if w.session < len(*k) && (*k)[w.session] >= w.index {
		return // with what it knew
	}
	w.happened = true
	k.learn(w.knew)
	k.learnOne(w.session, w.index)
}

// write is an op that writes.
type write struct {
	*Op
	session int
	index   uint32 // in its session, from 1
	knew    knowledge
	heldAt  []int64 // by daemon: since when it is known to hold the write; never if it is not
	unnamed int     // how many more are known to hold it
	// happened says that it did: it was acknowledged, or something of it was seen.
	happened bool
}

const never = int64(1) << 62

// known reports whether somebody with this knowledge has to be shown the write.
func (w *write) known(k knowledge) bool {
	return w.Outcome != Refused && w.session < len(k) && k[w.session] >= w.index
}

// held reports whether somebody is known to hold the write.
func (w *write) held() bool {
	return w.unnamed > 0 || slices.ContainsFunc(w.heldAt, func(at int64) bool { return at != never })
}

// stands reports whether the write has to be there in the end.
func (c *checker) stands(w *write) bool { return w.held() || w.known(c.finally) }

type element struct {
	name    string
	by      *write
	removed []*write
}

type inc struct {
	by     *write
	amount int64
}

// object is all that was ever done to one.
type object struct {
	name     string
	elements []*element
	byName   map[string]*element
	incs     []inc
	began    int64 // when the first write of it did
	// Who knows done knows a removal of each element, but for an object that is lasting, and each increment. sum is what these make.
	done    []mark
	lasting bool
	sum     int64
}

// mark is a write of a session.
type mark struct {
	session int
	index   uint32
}

func (k knowledge) covers(marks []mark) bool {
	return !slices.ContainsFunc(marks, func(m mark) bool { return m.session >= len(k) || k[m.session] < m.index })
}

// sumUp fills done. Of the removals of an element the first counts.
func (o *object) sumUp() {
	last := map[int]uint32{}
	add := func(w *write) { last[w.session] = max(last[w.session], w.index) }
	for _, e := range o.elements {
		switch {
		case len(e.removed) > 0:
			add(e.removed[0])
		case e.by.Outcome != Refused:
			o.lasting = true
		}
	}
	for _, i := range o.incs {
		if i.by.Outcome != Refused {
			add(i.by)
			o.sum += i.amount
		}
	}
	for s, n := range last {
		o.done = append(o.done, mark{s, n})
	}
}

type checker struct {
	Report
	ops      []*Op
	writes   []*write
	byOp     map[*Op]*write
	objects  map[string]*object
	sorted   []*object
	sessions map[string]int
	daemons  map[string]int
	// finally is what the daemons are known to hold in the end, by what they show and what was known of it.
	finally knowledge
	now     known
}

type place struct {
	daemon string
	epoch  int
}

// Check judges a history. The order of ops does not matter.
func Check(ops []Op) Report {
	c := &checker{Report: Report{Counts: map[string]int{}}, byOp: map[*Op]*write{}, objects: map[string]*object{}, sessions: map[string]int{}, daemons: map[string]int{}}
	c.now = known{daemon: map[place]knowledge{}, epoch: map[string]int{}, backup: map[string]knowledge{}, lost: map[string][]*Op{}}
	for i := range ops {
		c.ops = append(c.ops, &ops[i])
	}
	slices.SortStableFunc(c.ops, func(a, b *Op) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID)) })
	c.index()
	c.follow()
	c.holders()
	c.oversold()
	c.feeds()
	c.conditions()
	c.final()
	return c.Report
}

func (c *checker) object(name string) *object {
	o := c.objects[name]
	if o == nil {
		o = &object{name: name, byName: map[string]*element{}, began: never}
		c.objects[name] = o
		c.sorted = append(c.sorted, o)
	}
	return o
}

func number(of map[string]int, name string) int {
	n, ok := of[name]
	if !ok {
		n = len(of)
		of[name] = n
	}
	return n
}

// add notes who adds an element. A write that was refused, which is kept to tell of it, makes room for one that was not.
func (o *object) add(name string, w *write) {
	e := o.byName[name]
	switch {
	case e == nil:
		e = &element{name: name, by: w}
		o.byName[name] = e
		o.elements = append(o.elements, e)
	case e.by.Outcome == Refused:
		e.by = w
	case w.Outcome != Refused:
		panic(fmt.Sprintf("%s: %s is added by two ops: the history can not be judged", o.name, name))
	}
}

// index finds what was ever written, in the order in which the writes began.
func (c *checker) index() {
	last := map[int]uint32{}
	for _, o := range c.ops {
		for _, d := range slices.Concat([]string{o.Daemon}, o.Peers) {
			number(c.daemons, d)
		}
		if o.Kind == Call {
			number(c.sessions, o.Session)
		}
		if len(o.Writes) == 0 || o.Kind != Call {
			continue
		}
		s := number(c.sessions, o.Session)
		if o.Outcome == Unknown || o.Session == "" {
			s = number(c.sessions, fmt.Sprintf("write %d", len(c.writes)))
		}
		last[s]++
		w := &write{Op: o, session: s, index: last[s], happened: o.Outcome == OK}
		c.writes = append(c.writes, w)
		c.byOp[o] = w
		for _, wr := range o.Writes {
			obj := c.object(wr.Object)
			obj.began = min(obj.began, o.Start)
			for _, name := range wr.Add {
				obj.add(name, w)
			}
			if isSum(wr.Object) {
				obj.incs = append(obj.incs, inc{w, wr.Inc})
			}
		}
	}
	for _, w := range c.writes {
		if w.Outcome == Refused {
			continue
		}
		for _, wr := range w.Writes {
			for _, name := range wr.Remove {
				if e := c.objects[wr.Object].byName[name]; e != nil {
					e.removed = append(e.removed, w)
				}
			}
		}
	}
	for _, obj := range c.sorted {
		obj.sumUp()
	}
	c.now.session = make([]knowledge, len(c.sessions))
}
