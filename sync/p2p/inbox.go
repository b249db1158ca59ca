package p2p

import (
	"sync"

	"github.com/anabranchdb/anabranch/delta"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// inbox is what waits for the goroutine of one namespace copy. Nobody who puts something in is ever
// kept waiting: above the limits, gossip is dropped, a control stream is broken, and commits lose
// their units.
type inbox struct {
	limits Limits
	stats  *counters
	ready  chan struct{} // has an element whenever there is something

	mu     sync.Mutex
	events []any
	bytes  int
	commit pendingCommit
}

// pendingCommit is what was committed and not handled: several commits in one.
type pendingCommit struct {
	any    bool
	fresh  bool // status is that of the newest commit
	status peersync.Status
	units  []delta.Unit // written here
	bytes  int
}

func newInbox(l Limits, stats *counters) *inbox {
	return &inbox{limits: l, stats: stats, ready: make(chan struct{}, 1)}
}

// post puts an event of so many bytes in. It reports false, and does nothing, if too much waits.
func (b *inbox) post(ev any, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+bytes > b.limits.InboxBytes || len(b.events) >= maxInboxEvents {
		return false
	}
	b.bytes += bytes
	b.events = append(b.events, ev)
	wake(b.ready)
	return true
}

// force puts an event in that must not be lost.
func (b *inbox) force(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, ev)
	wake(b.ready)
}

// committed merges a commit into those that wait. If they are too many their units are let go:
// other members then learn of them by our clock.
func (b *inbox) committed(c Commit) {
	size := 0
	if c.Local {
		for _, u := range c.Units {
			size += u.Size()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.commit
	p.any, p.fresh, p.status = true, true, c.Status
	if p.bytes+size > b.limits.CommitBytes {
		b.stats.commitOverflows.Add(1)
		p.units, p.bytes = nil, 0
	} else if c.Local {
		p.units, p.bytes = append(p.units, c.Units...), p.bytes+size
	}
	wake(b.ready)
}

// refresh has the present status handled, whether or not something was committed.
func (b *inbox) refresh() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.commit.any, b.commit.fresh = true, false
	wake(b.ready)
}

// take empties the inbox. Commits are to be handled before events: what an event reports done is
// among them.
func (b *inbox) take() (pendingCommit, []any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, events := b.commit, b.events
	b.commit, b.events, b.bytes = pendingCommit{}, nil, 0
	return c, events
}

// maxInboxEvents bounds the events that wait for one engine, gossip and messages.
const maxInboxEvents = 1 << 15
