package history

import (
	"cmp"
	"slices"
)

// span is an op that has begun.
type span struct {
	op *Op
	// base is what was known when it began: of a call to the session and the daemon, of others to the daemon. Of a loss, it is what the
	// backup has that is put back.
	base knowledge
	// k is what is known by the answer, once that is judged.
	k      knowledge
	judged bool
}

// follow goes through the ops as they began and ended, and keeps what each session and each daemon knows.
func (c *checker) follow() {
	var open []*span // by End
	last := map[string]*span{}
	finish := func(until int64) {
		for len(open) > 0 && open[0].op.End < until {
			c.ended(open[0])
			open = open[1:]
		}
	}
	for _, o := range c.ops {
		if o.Kind == Feed {
			continue
		}
		finish(o.Start)
		if l := last[o.Session]; l != nil && l.op.End <= o.Start {
			c.judge(l) // within the same microsecond, but a session makes one call after the other
		}
		s := &span{op: o, base: c.base(o)}
		if w := c.byOp[o]; w != nil {
			w.knew = s.base
		}
		if o.Session != "" {
			last[o.Session] = s
		}
		at, _ := slices.BinarySearchFunc(open, o.End, func(e *span, t int64) int { return cmp.Compare(e.op.End, t) })
		open = slices.Insert(open, at, s)
	}
	finish(never)
}

func (c *checker) base(o *Op) (k knowledge) {
	switch o.Kind {
	case Call, Final:
		k.learn(c.now.daemon[place{o.Daemon, o.Epoch}])
		if o.Session != "" {
			k.learn(c.now.session[c.sessions[o.Session]])
		}
	case Held, Backup:
		k.learn(c.now.daemon[c.now.place(o.Daemon)])
	case Lost:
		if o.Kept {
			k = c.now.backup[o.Daemon]
		}
	}
	return k
}

// judge judges the answer of a call, and notes what its session knows by it.
func (c *checker) judge(s *span) {
	if s.judged || s.op.Outcome != OK || s.op.Kind != Call && s.op.Kind != Final {
		return
	}
	s.judged = true
	base := s.base
	if w := c.byOp[s.op]; w != nil { // what it wrote is in what it shows
		base = slices.Clone(base)
		base.learnOne(w.session, w.index)
	}
	s.k = c.answer(s.op).judge(base)
	if s.op.Session != "" {
		c.now.session[c.sessions[s.op.Session]].learn(s.k)
	}
}

// ended notes what is known now that an op has ended.
func (c *checker) ended(s *span) {
	o := s.op
	if o.Outcome != OK {
		return
	}
	switch o.Kind {
	case Call, Final:
		c.judge(s)
		c.now.learn(place{o.Daemon, o.Epoch}, s.k)
		c.now.epoch[o.Daemon] = max(c.now.epoch[o.Daemon], o.Epoch)
		if o.Kind == Final {
			c.finally.learn(s.k)
		}
	case Held:
		for _, p := range o.Peers { // each was asked, and told, between Start and End
			if lostSince(c.now.lost[p], o.Start) == 0 {
				c.now.learn(c.now.place(p), s.base)
			}
		}
	case Backup:
		c.now.backup[o.Daemon] = s.base
	case Lost:
		c.now.epoch[o.Daemon] = o.Epoch
		c.now.lost[o.Daemon] = append(c.now.lost[o.Daemon], o)
		c.now.learn(c.now.place(o.Daemon), s.base)
	}
}

// known is what is known at the moment that follow has come to.
type known struct {
	session []knowledge // by number
	daemon  map[place]knowledge
	epoch   map[string]int       // of daemons: the latest that was seen. Where a later one has begun, nobody has called it
	backup  map[string]knowledge // what the last backup has
	lost    map[string][]*Op     // the directories that were
}

func (n *known) place(daemon string) place { return place{daemon, n.epoch[daemon]} }

func (n *known) learn(at place, k knowledge) {
	all := n.daemon[at]
	all.learn(k)
	n.daemon[at] = all
}
