package sim

import (
	"container/heap"
	"time"

	peersync "github.com/anabranchdb/anabranch/sync"
)

// event is something that happens at a virtual time. Events of one time happen in the order in
// which they were scheduled.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(*event)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// after schedules do.
func (w *World) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.agenda, &event{at: w.now.Add(d), seq: w.seq, do: do})
}

// delay is the time that one message takes: short mostly, long now and then.
func (w *World) delay() time.Duration {
	d := time.Duration(w.rng.IntN(5_000)) * time.Microsecond
	if w.rng.IntN(10) == 0 {
		d += time.Duration(w.rng.IntN(400)) * time.Millisecond
	}
	return d
}

// chance is true with the probability p, in percent.
func (w *World) chance(p int) bool { return w.rng.IntN(100) < p }

// link is one ordered stream from a node to another. It breaks as a whole: a message is never
// lost in the middle of it.
type link struct {
	from, to *node
	last     time.Time // arrival of the last message
	broken   bool
	noticed  bool // the sending engine knows of it
	slow     int  // how many times as long its messages take, 0 for once
}

// send delivers do behind all that was sent before, unless the link breaks first.
func (w *World) send(l *link, do func()) {
	at := w.now.Add(w.delay() * time.Duration(max(l.slow, 1)))
	if at.Before(l.last) {
		at = l.last
	}
	l.last = at
	w.after(at.Sub(w.now), func() {
		if !l.broken {
			do()
		}
	})
}

// hears reports whether both nodes run and what b says reaches a.
func (w *World) hears(a, b *node) bool {
	if a.branch != nil || b.branch != nil {
		return a.up && b.up && (a.contact == b || b.contact == a)
	}
	return a != b && !a.away && !b.away && a.up && b.up && a.side == b.side && !w.blocked[[2]peersync.PeerID{b.id, a.id}]
}

// connected reports whether streams between two nodes live: they need both directions.
func (w *World) connected(a, b *node) bool { return w.hears(a, b) && w.hears(b, a) }

// rewire brings links and engines to what connected says. Links that broke are reported to both
// ends, each at its own time.
func (w *World) rewire() {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a == b {
				continue
			}
			l := a.links[b.id]
			switch is := w.connected(a, b); {
			case is && l == nil:
				l = &link{from: a, to: b, last: w.now}
				a.links[b.id] = l
				w.notice(l, true)
			case !is && l != nil:
				l.broken = true
				delete(a.links, b.id)
				w.notice(l, false)
			}
		}
	}
	w.cutSessions()
}

// notice tells the sending end that its link came up or broke. Messages of a link that is up
// arrive only after the receiver noticed its own. What happens to one pair is noticed in order: else an
// end that hears last that the link before broke takes its peer for gone.
func (w *World) notice(l *link, up bool) {
	a, b, start := l.from, l.to, l.from.start
	at := w.now.Add(w.delay())
	if last := a.noticed[b.id]; at.Before(last) {
		at = last
	}
	a.noticed[b.id] = at
	w.after(at.Sub(w.now), func() {
		if !a.up || a.start != start {
			return
		}
		if up && !l.broken {
			l.noticed = true
			a.peerUp(b)
		}
		if !up && l.noticed {
			a.peerDown(b)
		}
	})
}
