package store

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/anabranchdb/anabranch/crdt"
)

// Item is a path and what is live there, newest first.
type Item struct {
	Path    crdt.Path
	Entries []crdt.Entry
}

// Object is an object with live content.
type Object struct {
	Path crdt.Path
	Head Head
}

// View is a consistent read of a copy at one durable clock and one time: entries whose deadline has
// come are hidden, also from heads. Close it soon: it keeps old versions of the datastore alive.
// Its methods are safe for concurrent use.
type View struct {
	n       *Namespace
	snap    Snapshot
	version version
	now     crdt.Deadline
	leases  leases
	release func() error
	once    sync.Once
}

// pinned is a snapshot that several views share.
type pinned struct {
	snap    Snapshot
	version version
	refs    atomic.Int64
}

func newPinned(snap Snapshot, v version) *pinned {
	p := &pinned{snap: snap, version: v}
	p.refs.Store(1)
	return p
}

// release gives up one reference. There is nothing to release in nil.
func (p *pinned) release() error {
	if p == nil {
		return nil
	}
	if p.refs.Add(-1) == 0 {
		return p.snap.Close()
	}
	return nil
}

// View returns a view of the newest state, once that is durable. It returns ErrDamaged or
// ErrJoining for a copy that cannot answer, and ErrClosed.
func (n *Namespace) View(ctx context.Context) (*View, error) {
	if err := n.Err(); err != nil {
		return nil, err
	}
	v, err := n.view()
	if err != nil {
		return nil, n.noteDamage(err)
	}
	if err := n.waitDurable(ctx, v.version.commit); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (n *Namespace) view() (*View, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.isClosed() {
		return nil, ErrClosed
	}
	if p := n.pinned; p != nil {
		p.refs.Add(1)
		return &View{n: n, snap: p.snap, version: p.version, now: n.now(), release: p.release}, nil
	}
	snap, err := n.backend.Snapshot()
	if err != nil {
		return nil, err
	}
	return &View{n: n, snap: snap, version: n.applied, now: n.now(), release: snap.Close}, nil
}

// waitDurable waits until the commit survives a crash: nothing is told to anybody before.
func (n *Namespace) waitDurable(ctx context.Context, commit uint64) error {
	for {
		if n.durable.Load().commit >= commit {
			return nil
		}
		moved := n.moved()
		if n.durable.Load().commit >= commit {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.dead:
			return n.failed.Load().err
		case <-n.stopped:
			return ErrClosed
		}
	}
}

// Close releases the view. It may be called more than once.
func (v *View) Close() {
	v.once.Do(func() { _ = v.release() })
}

// Clock returns the clock at which the view reads. It is shared and must not be written.
func (v *View) Clock() crdt.VersionVector { return v.version.clock }

// Commit returns the number of the commit at which the view reads.
func (v *View) Commit() uint64 { return v.version.commit }

// Entries returns what is live at p, newest first.
func (v *View) Entries(p crdt.Path) ([]crdt.Entry, error) {
	es, err := getEntries(v.snap, v.n.keys, p)
	if err == nil {
		es, err = v.seen(p, es)
	}
	return es, v.n.noteDamage(err)
}

// Head returns the head of an object, or of a set leaf in a map; the zero Head when absent.
func (v *View) Head(p crdt.Path) (Head, error) {
	h, err := getHead(v.snap, v.n.keys, p)
	if err == nil {
		h, err = v.seenHead(p, h)
	}
	return h, v.n.noteDamage(err)
}

// seenHead leaves out of a head what is over. Where nothing has a deadline it costs nothing; else it reads a
// key for each entry that is over and not removed yet.
func (v *View) seenHead(p crdt.Path, h Head) (Head, error) {
	if p.IsPresence() {
		return v.presenceHead(p, h)
	}
	if h.Timed == 0 {
		return h, nil
	}
	over, err := getOver(v.snap, v.n.keys, p, v.now)
	return h.without(over), err
}

// Scan yields the live paths with the prefix that sort after `after`, ascending, with their
// entries. Counters without content are among them: see crdt.Visible.
func (v *View) Scan(prefix, after crdt.Path) iter.Seq2[Item, error] {
	lower, upper := scanBounds(v.n.keys.data(prefix), v.n.keys.data(after), after != "")
	return func(yield func(Item, error) bool) {
		for it, err := range v.items(lower, upper) {
			if err == nil {
				it.Entries, err = v.seen(it.Path, it.Entries)
			}
			if err == nil && len(it.Entries) == 0 {
				continue
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
}

// items yields what is live, hidden or not.
func (v *View) items(lower, upper string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		v.walk(lower, upper, func(key string, value []byte) (bool, error) {
			p := v.n.keys.pathOf(key)
			es, err := decodeEntries(value, p)
			return err != nil || yield(Item{Path: p, Entries: es}, nil), err
		}, func(err error) { yield(Item{}, err) })
	}
}

// Objects yields the objects with live content whose path has the prefix and sorts after
// `after`, ascending. A prefix is a type's letter and the escaped beginning of a key, or "".
func (v *View) Objects(prefix, after crdt.Path) iter.Seq2[Object, error] {
	heads, _ := v.n.keys.table('h')
	lower, upper := scanBounds(heads+string(prefix), heads+string(after), after != "")
	return func(yield func(Object, error) bool) {
		v.walk(lower, upper, func(key string, value []byte) (bool, error) {
			p := v.n.keys.pathOf(key)
			h, err := decodeHead(value)
			if err == nil {
				h, err = v.seenHead(p, h)
			}
			if err != nil || h.Visible == 0 {
				return true, err
			}
			return yield(Object{Path: p, Head: h}, nil), nil
		}, func(err error) { yield(Object{}, err) })
	}
}

// walk calls f for the keys in [lower, upper) until it returns false or an error, which goes to
// fail.
func (v *View) walk(lower, upper string, f func(key string, value []byte) (bool, error), fail func(error)) {
	it, err := v.snap.Iterate(lower, upper)
	if err != nil {
		fail(v.n.noteDamage(err))
		return
	}
	defer it.Close()
	for it.Next() {
		more, err := f(it.Key(), it.Value())
		if err != nil {
			fail(v.n.noteDamage(fmt.Errorf("%q: %w", it.Key(), err)))
			return
		}
		if !more {
			return
		}
	}
	if err := it.Err(); err != nil {
		fail(v.n.noteDamage(err))
	}
}
