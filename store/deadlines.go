package store

import (
	"fmt"
	"math"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Entries with a deadline stand in two more tables: e, ordered by deadline, for the reaper; and x,
// for each place that has a head ordered by deadline, so that a read of the head can leave out
// what is over and not removed yet. What is live is not changed by time, and neither is what
// is kept of it here.

// timed is what both tables say of one entry with a deadline.
type timed struct {
	expires crdt.Deadline
	dot     crdt.Dot
	path    crdt.Path
	// last: when it is over, nothing visible is left at the path.
	last bool
}

// timedAt returns the entries with a deadline among those that are live at p.
func timedAt(p crdt.Path, live []crdt.Entry) []timed {
	if !hasDeadline(live) {
		return nil
	}
	until := crdt.VisibleUntil(p.LeafType(), live)
	var ts []timed
	for _, e := range live {
		if e.Expires != 0 {
			last := e.Expires == until
			if last {
				until = 0 // one of them stands for the path
			}
			ts = append(ts, timed{expires: e.Expires, dot: e.Dot, path: p, last: last})
		}
	}
	return ts
}

func hasDeadline(live []crdt.Entry) bool {
	return slices.ContainsFunc(live, func(e crdt.Entry) bool { return e.Expires != 0 })
}

// withDeadline counts the entries that have one.
func withDeadline(live []crdt.Entry) (n uint64) {
	for _, e := range live {
		n += count(e.Expires != 0)
	}
	return n
}

// unexpired returns what a reader sees at now. It is live itself when that is all of it.
func unexpired(live []crdt.Entry, now crdt.Deadline) []crdt.Entry {
	if !slices.ContainsFunc(live, func(e crdt.Entry) bool { return e.Over(now) }) {
		return live
	}
	return crdt.Unexpired(live, now)
}

// without returns the head as a reader sees it, without entries that are over.
func (h Head) without(over []timed) Head {
	for _, t := range over {
		h.Entries--
		h.Timed--
		h.Visible -= count(t.last)
		h.Over = max(h.Over, t.expires)
	}
	return h
}

// now is the wall clock as deadlines are compared with it.
func (n *Namespace) now() crdt.Deadline { return crdt.DeadlineOf(n.opts.Now()) }

func appendTimed(t timed) []byte {
	return append([]byte{valueVersion, byte(count(t.last))}, t.path...)
}

// timedOf reads a key of the tables e and x, both of which end in a deadline and a dot, and its value.
func (k keyspace) timedOf(key string, value []byte) (timed, error) {
	t := timed{}
	dot, ok := k.dotOf(key)
	if at := len(key) - 48; ok && at >= len(k)+3 {
		var d uint64
		d, ok = parseHex(key[at : at+16])
		t.expires, t.dot = crdt.Deadline(d), dot
	} else {
		ok = false
	}
	if !ok || len(value) < 2 || value[0] != valueVersion || value[1] > 1 {
		return t, fmt.Errorf("%w: deadline at %q", ErrDamaged, key)
	}
	t.last, t.path = value[1] == 1, crdt.Path(value[2:])
	return t, nil
}

// getOver reads the entries under a place with a head that are over at now.
func getOver(snap Snapshot, keys keyspace, place crdt.Path, now crdt.Deadline) ([]timed, error) {
	it, err := snap.Iterate(keys.timed(place, 0, crdt.Dot{}), keys.timed(place, now+1, crdt.Dot{}))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var ts []timed
	for it.Next() {
		t, err := keys.timedOf(it.Key(), it.Value())
		if err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	return ts, it.Err()
}

func (b *base) over(place crdt.Path, now crdt.Deadline) ([]timed, error) {
	if b.absent(place) {
		return nil, nil
	}
	snap, err := b.snapshot()
	if err != nil {
		return nil, err
	}
	ts, err := getOver(snap, b.keys, place, now)
	return ts, b.note(err)
}

func (o *overlay) over(place crdt.Path, now crdt.Deadline) ([]timed, error) {
	below, err := o.under.over(place, now)
	if err != nil {
		return nil, err
	}
	var ts []timed
	paths := o.changed(place, "", math.MaxInt)
	hidden := map[crdt.Path]bool{}
	for _, t := range below {
		inKill := func(k prefixKill) bool { return k.prefix.Contains(t.path) }
		switch _, changed := o.live[t.path]; {
		case changed || hidden[t.path]:
		case slices.ContainsFunc(o.kills, inKill): // which may have left a part of what is there
			hidden[t.path] = true
			paths = append(paths, t.path)
		default:
			ts = append(ts, t)
		}
	}
	for _, p := range paths {
		live, err := o.entries(p)
		if err != nil {
			return nil, err
		}
		for _, t := range timedAt(p, live) {
			if t.expires <= now {
				ts = append(ts, t)
			}
		}
	}
	return ts, nil
}

// seenHead returns a head as a reader sees it at now. Without deadlines there it costs nothing more.
func seenHead(t table, place crdt.Path, now crdt.Deadline) (Head, error) {
	h, err := t.head(place)
	if err != nil || h.Timed == 0 {
		return h, err
	}
	over, err := t.over(place, now)
	return h.without(over), err
}

// diffTimed brings the tables e and x along with what is live at one path.
func (g *group) diffTimed(b *Batch, p crdt.Path, was, is []crdt.Entry) {
	if !hasDeadline(was) && !hasDeadline(is) {
		return
	}
	keys, places := g.n.keys, headsOf(p)
	old := timedAt(p, was)
	for _, t := range old {
		if holds(is, t.dot) {
			continue // written again below, if it changes
		}
		b.Delete(keys.deadline(t.expires, t.dot))
		for _, at := range places {
			b.Delete(keys.timed(at, t.expires, t.dot))
		}
	}
	for _, t := range timedAt(p, is) {
		if slices.Contains(old, t) {
			continue
		}
		key := keys.deadline(t.expires, t.dot)
		b.Put(key, appendTimed(t))
		for _, at := range places {
			b.Put(keys.timed(at, t.expires, t.dot), appendTimed(t))
		}
		g.n.c.reaper.note(g.n.c.Replica, t, key)
	}
}
