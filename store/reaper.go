package store

import (
	"context"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// The reaper removes entries whose deadline has passed some time ago: the replica that wrote them
// soon, the others much later and each at its own time, so that n replicas do not write n kills. It
// is part of the committer. What it writes is an ordinary unit that kills what was seen, so a later
// write survives it, whatever the clocks say.

// Bounds of the reaper.
const (
	reapPage  = 1024             // entries in one commit
	reapScan  = 8 * reapPage     // entries of others that are stepped over for it
	reapSleep = time.Minute      // longest time without a look at the wall clock, which may jump
	reapRetry = 10 * time.Second // after a failure
)

// reaper is when the committer removes what is over. It belongs to the committer.
type reaper struct {
	armed time.Time // when the timer fires, by the wall clock; zero while it does not run
	// due is when there may be something to remove; 0 while no entry has a deadline.
	due crdt.Deadline
	// more: the last run left something that is due.
	more bool
	// own is a key of table e: before it there is nothing that this replica removes as its writer.
	own string
}

// note is told of an entry that was written or arrived, with its key in table e.
func (r *reaper) note(self crdt.ReplicaID, t timed, key string) {
	r.soon(crdt.ReapAt(self, t.dot.Replica, t.expires))
	if t.dot.Replica == self {
		r.own = min(r.own, key)
	}
}

func (r *reaper) soon(at crdt.Deadline) {
	if r.due == 0 || at < r.due {
		r.due = at
	}
}

// arm lets the committer wake up when something may have to be removed, or the lease renewed.
func (n *Namespace) arm() {
	r, due := &n.c.reaper, n.keeper.due
	if r.due != 0 && (due == 0 || r.due < due) {
		due = r.due
	}
	if n.opts.ReapEvery < 0 || due == 0 || n.failed.Load() != nil {
		return
	}
	now := n.opts.Now()
	at := now.Add(min(max(due.Time().Sub(now), n.opts.ReapEvery), reapSleep))
	if r.more {
		at = now
	}
	if !r.armed.IsZero() && !r.armed.After(at) {
		return
	}
	r.armed = at
	n.timer.Reset(at.Sub(now))
}

// wakeUp does what is due, as commits of their own: first the lease, so that a replica that has slept does
// not take itself for gone.
func (n *Namespace) wakeUp() {
	r, k := &n.c.reaper, &n.keeper
	r.armed = time.Time{}
	retry := n.now() + crdt.Deadline(reapRetry.Milliseconds())
	if k.due != 0 && k.due <= n.now() {
		err := n.runOwn(&job{apart: true, do: func(g *group) error {
			t := g.begin()
			if err := t.keepPresence(); err != nil {
				return err
			}
			return t.end()
		}})
		if err != nil {
			k.due = retry
		}
	}
	if r.due == 0 || r.due > n.now() {
		return
	}
	err := n.runOwn(&job{do: func(g *group) error {
		_, err := g.reap()
		return err
	}})
	if err != nil {
		r.due, r.more, r.own = retry, false, ""
	}
}

// runOwn runs a job of the committer itself, in a commit of its own.
func (n *Namespace) runOwn(j *job) error {
	j.ctx, j.done = context.Background(), make(chan struct{})
	g := n.newGroup()
	if err := g.take(j); err != nil {
		j.end(err)
	}
	n.finish(g)
	return j.err
}

// Reap removes entries whose deadline has passed some time ago, up to 1,024 of them, in a commit of its
// own or with others, and returns how many. A copy does that by itself, unless Options.ReapEvery is
// negative.
func (n *Namespace) Reap(ctx context.Context) (removed int, err error) {
	_, err = n.submit(ctx, func(g *group) error {
		removed, err = g.reap()
		return err
	})
	return removed, err
}

// reap adds a unit that removes what is to be removed now, and finds out when that is the next time.
func (g *group) reap() (int, error) {
	n := g.n
	if n.c.Joining {
		return 0, nil
	}
	if err := n.spaceFor(forRemovals); err != nil {
		return 0, err
	}
	now := n.now()
	own, others := crdt.ReapBefore(n.c.Replica, now)
	paths, err := n.findOver(own, others)
	if err != nil {
		return 0, err
	}
	g.stamp.Step++
	dots, err := g.reapPaths(paths, own, others)
	if err == nil {
		var more []crdt.Dot
		more, n.c.reaper.more, err = g.reapPresence(reapPage, n.c.reaper.more)
		if dots = append(dots, more...); n.c.reaper.more {
			n.c.reaper.soon(now)
		}
	}
	if err != nil {
		g.broken = err // half of it is in the group
		return 0, err
	}
	if len(dots) == 0 {
		return 0, nil
	}
	slices.SortFunc(dots, crdt.Dot.Compare)
	self, seq := n.c.Replica, g.clock[n.c.Replica]+1
	g.addOwn(delta.Unit{Origin: self, First: seq, Last: seq, Deps: g.since, Kills: []delta.Kill{{Dots: dots}}})
	return len(dots), nil
}

// reapPaths removes what is to be removed at the paths, and returns the dots.
func (g *group) reapPaths(paths []crdt.Path, own, others crdt.Deadline) (dots []crdt.Dot, err error) {
	for _, p := range paths {
		edits, err := g.reapAt(p, own, others)
		if err != nil {
			return nil, err
		}
		for _, e := range edits {
			dots = append(dots, e.Kill...)
			if err := g.over.edit(e.Path, e.Edit, g.stamp); err != nil {
				return nil, err
			}
		}
	}
	return dots, nil
}

// reapAt returns what removes what is to be removed at a path. With the last value of an item of a list goes
// where it stands.
func (g *group) reapAt(p crdt.Path, own, others crdt.Deadline) ([]crdt.PathEdit, error) {
	if p == crdt.LeasePath(g.n.c.Replica) {
		return nil, nil // which the keeper renews or ends
	}
	live, err := g.over.entries(p)
	if err != nil {
		return nil, err
	}
	e := crdt.Reap(live, g.n.c.Replica, own, others)
	left := slices.DeleteFunc(slices.Clone(live), func(x crdt.Entry) bool { return slices.Contains(e.Kill, x.Dot) })
	leaf, _ := p.SetLeaf()
	if p.LeafType() != crdt.List || e.Empty() || crdt.Visible(crdt.List, left) {
		return []crdt.PathEdit{{Path: p, Edit: e}}, nil
	}
	id, _, err := positionOf(p)
	if err != nil {
		return nil, err
	}
	item, err := crdt.LoadElement(leaf, id, g.over.entries)
	return item.Remove(nil), err
}

// findOver returns the paths of entries that were over at others, and of those of this replica that were over
// at own, and moves the reaper to what is next.
func (n *Namespace) findOver(own, others crdt.Deadline) ([]crdt.Path, error) {
	snap, err := n.backend.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	f := reapFinder{self: n.c.Replica, keys: n.keys, snap: snap, r: &n.c.reaper, seen: map[crdt.Path]bool{}}
	f.r.due, f.r.more = 0, false
	// Whoever wrote it: these are at the front of the table, and leave it.
	err = f.walk(n.keys.deadline(0, crdt.Dot{}), func(t timed, _ string) bool {
		if t.expires > others {
			f.r.soon(crdt.ReapAt(f.self, 0, t.expires))
			return false
		}
		return f.take(t)
	})
	if err != nil || f.r.more {
		return f.paths, err
	}
	err = f.walk(max(f.r.own, n.keys.deadline(others+1, crdt.Dot{})), func(t timed, key string) bool {
		f.r.own = key
		if t.dot.Replica != f.self {
			return f.look(t, own)
		}
		if t.expires > own {
			f.r.soon(crdt.ReapAt(f.self, f.self, t.expires))
			return false
		}
		return f.take(t)
	})
	return f.paths, err
}

// reapFinder looks for entries that are to be removed, within bounds.
type reapFinder struct {
	self  crdt.ReplicaID
	keys  keyspace
	snap  Snapshot
	r     *reaper
	seen  map[crdt.Path]bool
	paths []crdt.Path
	found int // entries to be removed
	left  int // keys of others that were stepped over
}

// walk calls each for table e from a key on until it returns false.
func (f *reapFinder) walk(from string, each func(t timed, key string) bool) error {
	_, upper := f.keys.table('e')
	it, err := f.snap.Iterate(from, upper)
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		t, err := f.keys.timedOf(it.Key(), it.Value())
		if err != nil {
			return err
		}
		if !each(t, it.Key()) {
			break
		}
	}
	return it.Err()
}

// take notes an entry to be removed. It returns false when the page is full.
func (f *reapFinder) take(t timed) bool {
	if !f.seen[t.path] {
		f.seen[t.path] = true
		f.paths = append(f.paths, t.path)
	}
	if f.found++; f.found < reapPage {
		return true
	}
	f.r.soon(t.expires)
	f.r.more = true
	return false
}

// look steps over an entry of another replica. It returns false when there were enough of them: the
// next run goes on from there, at once if own entries behind it may be due.
func (f *reapFinder) look(t timed, own crdt.Deadline) bool {
	if f.left++; f.left < reapScan {
		return true
	}
	f.r.soon(crdt.ReapAt(f.self, f.self, t.expires))
	f.r.more = t.expires <= own
	return false
}
