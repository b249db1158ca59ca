package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/anabranchdb/anabranch/crdt"
)

// ErrNotMemory is returned for an announcement in a namespace copy that outlives its replica's run.
var ErrNotMemory = errors.New("store: presence is for namespaces in memory")

// What is announced lives as long as the lease of the replica that announced it. A copy keeps its own lease
// while it has announced something, and announces again what others have taken for gone. That is all in
// memory, as the copy is: the next run has another replica id and has announced nothing.

// keeper is what this run of a copy has announced. It belongs to the committer.
type keeper struct {
	own map[crdt.Path]announcement
	// due is when the lease is to be renewed, 0 without one.
	due crdt.Deadline
	// suspect: something of it was removed by another replica, which took this one for gone.
	suspect bool
}

type announcement struct {
	value []byte
	until crdt.Deadline // 0 for as long as the lease
	gone  bool          // withdrawn
}

// take takes over what a transaction announced and withdrew, and how long it made the lease, if it did.
func (k *keeper) take(changes map[crdt.Path]announcement, lease crdt.Deadline) {
	for p, a := range changes {
		if a.gone {
			delete(k.own, p)
			continue
		}
		if k.own == nil {
			k.own = map[crdt.Path]announcement{}
		}
		k.own[p] = a
	}
	if lease > 0 {
		k.due = lease - crdt.Deadline((crdt.LeaseFor - crdt.LeaseRenew).Milliseconds())
	}
}

// Announce puts value under the member at p in the name of this replica, for as long as it renews its
// lease. value is kept. It returns ErrNotMemory, and crdt.ErrTooLarge for a value above crdt.MaxValueBytes.
func (t *Tx) Announce(p crdt.Path, value []byte) error {
	if t.g.n.storage != Memory {
		return ErrNotMemory
	}
	if err := crdt.CheckValue(value); err != nil {
		return err
	}
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	t.adds = true
	t.announces(p, announcement{value: value, until: t.until})
	if err := t.edit(p, crdt.Announce(live, p, t.dot(), t.time, value)); err != nil {
		return err
	}
	return t.renew(crdt.LeaseRenew.Milliseconds())
}

// Withdraw takes away what this replica announced at p, and reports whether that was there.
func (t *Tx) Withdraw(p crdt.Path) (bool, error) {
	live, err := t.over.entries(p)
	if err != nil {
		return false, err
	}
	t.announces(p, announcement{gone: true})
	e := crdt.Withdraw(live, t.self)
	return t.hits(live, e), t.edit(p, e)
}

func (t *Tx) announces(p crdt.Path, a announcement) {
	if t.announced == nil {
		t.announced = map[crdt.Path]announcement{}
	}
	t.announced[p] = a
}

// renew makes the lease a whole one if more of it than this has passed.
func (t *Tx) renew(passedMillis int64) error {
	path, until := crdt.LeasePath(t.self), t.now+crdt.Deadline(crdt.LeaseFor.Milliseconds())
	live, err := t.over.entries(path)
	if err != nil || crdt.LeaseUntil(live, t.self)+crdt.Deadline(passedMillis) > until {
		return err
	}
	t.leased = until
	return t.edit(path, crdt.Lease(live, t.dot(), t.time, until))
}

// keepPresence renews the lease, and announces again what is missing. Without anything announced it ends
// the lease.
func (t *Tx) keepPresence() error {
	k := &t.g.n.keeper
	k.due = 0
	maps.DeleteFunc(k.own, func(_ crdt.Path, a announcement) bool { return a.until != 0 && a.until <= t.now })
	if len(k.own) == 0 {
		return t.endLease()
	}
	if k.suspect {
		for _, p := range slices.Sorted(maps.Keys(k.own)) {
			live, err := t.over.entries(p)
			if err != nil {
				return err
			}
			if !crdt.Withdraw(live, t.self).Empty() {
				continue
			}
			t.Until(k.own[p].until)
			if err := t.edit(p, crdt.Announce(live, p, t.dot(), t.time, k.own[p].value)); err != nil {
				return err
			}
			t.Until(0)
		}
		k.suspect = false
	}
	return t.renew(0)
}

func (t *Tx) endLease() error {
	path := crdt.LeasePath(t.self)
	live, err := t.over.entries(path)
	if err != nil {
		return err
	}
	return t.edit(path, crdt.EndLease(live, t.self))
}

// KeepPresence renews the lease of this replica if it has announced something. A copy does that by itself
// every crdt.LeaseRenew, unless Options.ReapEvery is negative.
func (n *Namespace) KeepPresence(ctx context.Context) error {
	_, err := n.Commit(ctx, (*Tx).keepPresence)
	return err
}

// Leave withdraws all that this replica has announced, and its lease, in one commit. It reports whether
// there was something.
func (n *Namespace) Leave(ctx context.Context) (left bool, err error) {
	_, err = n.Commit(ctx, func(t *Tx) error {
		left = len(n.keeper.own) > 0
		for _, p := range slices.Sorted(maps.Keys(n.keeper.own)) {
			if _, err := t.Withdraw(p); err != nil {
				return err
			}
		}
		return t.endLease()
	})
	return left, err
}

// diffPresence brings table w along with what is live at one path of a presence object.
func (g *group) diffPresence(b *Batch, p crdt.Path, was, is []crdt.Entry) {
	if !p.IsPresence() {
		return
	}
	for _, e := range was {
		if e.Kind == crdt.KindPresence && !holds(is, e.Dot) {
			b.Delete(g.n.keys.announced(e.Dot))
		}
	}
	for _, e := range is {
		if e.Kind == crdt.KindPresence && !holds(was, e.Dot) {
			b.Put(g.n.keys.announced(e.Dot), append([]byte{valueVersion}, p...))
			if self := g.n.c.Replica; e.Dot.Replica != self {
				// Should its lease be gone before it arrives, nobody else finds it.
				g.n.c.reaper.soon(crdt.ReapAt(self, e.Dot.Replica, g.n.now()))
			}
		}
	}
}

// announcers calls f for each replica with announcements in table w, ascending.
func announcers(snap Snapshot, keys keyspace, f func(crdt.ReplicaID) error) error {
	_, upper := keys.table('w')
	for lower := keys.announced(crdt.Dot{}); ; {
		it, err := snap.Iterate(lower, upper)
		if err != nil {
			return err
		}
		if !it.Next() {
			return it.Close()
		}
		d, ok := keys.dotOf(it.Key())
		if err := it.Close(); err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: key %q", ErrDamaged, lower)
		}
		if err := f(d.Replica); err != nil || d.Replica == ^crdt.ReplicaID(0) {
			return err
		}
		lower = keys.announced(crdt.Dot{Replica: d.Replica + 1})
	}
}

// announcedBy calls f for the paths of a replica's announcements until it returns false.
func announcedBy(snap Snapshot, keys keyspace, r crdt.ReplicaID, f func(crdt.Path) bool) error {
	it, err := snap.Iterate(keys.announced(crdt.Dot{Replica: r}), keys.announced(crdt.Dot{Replica: r, Seq: ^uint64(0)}))
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		v := it.Value()
		if len(v) < 2 || v[0] != valueVersion {
			return fmt.Errorf("%w: %q", ErrDamaged, it.Key())
		}
		if !f(crdt.Path(v[1:])) {
			break
		}
	}
	return it.Err()
}

// reapPresence removes announcements of other replicas that have no lease any more. It returns the dots,
// and whether there are more of them, or were before.
func (g *group) reapPresence(limit int, before bool) (dots []crdt.Dot, more bool, err error) {
	n := g.n
	snap, err := n.backend.Snapshot()
	if err != nil {
		return nil, false, err
	}
	defer snap.Close()
	paths, left := map[crdt.Path][]crdt.ReplicaID{}, limit
	more = before
	err = announcers(snap, n.keys, func(r crdt.ReplicaID) error {
		live, err := g.over.entries(crdt.LeasePath(r))
		if err != nil || r == n.c.Replica || crdt.LeaseUntil(live, r) > 0 {
			return err
		}
		return announcedBy(snap, n.keys, r, func(p crdt.Path) bool {
			if left--; left < 0 {
				more = true
				return false
			}
			paths[p] = append(paths[p], r)
			return true
		})
	})
	if err != nil {
		return nil, false, err
	}
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		live, err := g.over.entries(p)
		if err != nil {
			return nil, false, err
		}
		var e crdt.Edit
		for _, r := range paths[p] {
			e.Kill = append(e.Kill, crdt.Withdraw(live, r).Kill...)
		}
		slices.SortFunc(e.Kill, crdt.Dot.Compare)
		dots = append(dots, e.Kill...)
		if err := g.over.edit(p, e, g.stamp); err != nil {
			return nil, false, err
		}
	}
	return dots, more, nil
}

// leases are what a view knows of leases. They are read once each.
type leases struct {
	mu    sync.Mutex
	until map[crdt.ReplicaID]crdt.Deadline
	// lapsed are the replicas whose announcements are hidden, with the ends of their leases.
	lapsed map[crdt.ReplicaID]crdt.Deadline
}

// leaseUntil returns when the lease of r ends, or ended.
func (v *View) leaseUntil(r crdt.ReplicaID) (crdt.Deadline, error) {
	v.leases.mu.Lock()
	defer v.leases.mu.Unlock()
	if until, ok := v.leases.until[r]; ok {
		return until, nil
	}
	live, err := getEntries(v.snap, v.n.keys, crdt.LeasePath(r))
	if err != nil {
		return 0, err
	}
	if v.leases.until == nil {
		v.leases.until = map[crdt.ReplicaID]crdt.Deadline{}
	}
	v.leases.until[r] = crdt.LeaseUntil(live, r)
	return v.leases.until[r], nil
}

// lapsed returns the replicas that have announced something and have no live lease.
func (v *View) lapsed() (map[crdt.ReplicaID]crdt.Deadline, error) {
	v.leases.mu.Lock()
	known := v.leases.lapsed
	v.leases.mu.Unlock()
	if known != nil {
		return known, nil
	}
	known = map[crdt.ReplicaID]crdt.Deadline{}
	err := announcers(v.snap, v.n.keys, func(r crdt.ReplicaID) error {
		until, err := v.leaseUntil(r)
		if err == nil && until <= v.now {
			known[r] = max(until, 1)
		}
		return err
	})
	v.leases.mu.Lock()
	defer v.leases.mu.Unlock()
	v.leases.lapsed = known
	return known, err
}

// present returns what is seen at a path of a presence object.
func present(live []crdt.Entry, now crdt.Deadline, leaseUntil func(crdt.ReplicaID) (crdt.Deadline, error)) (seen []crdt.Entry, err error) {
	seen = crdt.Present(unexpired(live, now), func(r crdt.ReplicaID) bool {
		until, lerr := leaseUntil(r)
		err = errors.Join(err, lerr)
		return until > now
	})
	return seen, err
}

// presenceHead leaves out of the head of a presence object what is not seen: it reads the announcements
// of replicas without a live lease, of which there are none as a rule, and what is over.
func (v *View) presenceHead(place crdt.Path, h Head) (Head, error) {
	lapsed, err := v.lapsed()
	if err != nil || len(lapsed) == 0 && h.Timed == 0 {
		return h, err
	}
	paths := map[crdt.Path]bool{}
	over, err := getOver(v.snap, v.n.keys, place, v.now)
	if err != nil {
		return h, err
	}
	for _, t := range over {
		paths[t.path] = true
		h.Over = max(h.Over, t.expires)
	}
	for r, ended := range lapsed {
		if err := announcedBy(v.snap, v.n.keys, r, func(p crdt.Path) bool {
			if place.Contains(p) {
				paths[p] = true
				h.Over = max(h.Over, ended)
			}
			return true
		}); err != nil {
			return h, err
		}
	}
	for p := range paths {
		live, err := getEntries(v.snap, v.n.keys, p)
		if err != nil {
			return h, err
		}
		seen, err := present(live, v.now, v.leaseUntil)
		if err != nil {
			return h, err
		}
		h.Entries -= uint64(len(live) - len(seen))
		h.Timed -= withDeadline(live) - withDeadline(seen)
		h.Visible -= count(crdt.Visible(crdt.Presence, live)) - count(crdt.Visible(crdt.Presence, seen))
	}
	return h, nil
}

// presenceHead is that of a view, for a transaction: it reads the whole object.
func (t *Tx) presenceHead(place crdt.Path) (Head, error) {
	h, err := t.over.head(place)
	if err != nil {
		return h, err
	}
	h.Entries, h.Visible, h.Timed = 0, 0, 0
	for it, err := range t.scan(place, "") {
		if err != nil {
			return h, err
		}
		seen, err := t.seen(it.Path, it.Entries)
		if err != nil {
			return h, err
		}
		h.Entries += uint64(len(seen))
		h.Timed += withDeadline(seen)
		h.Visible += count(crdt.Visible(crdt.Presence, seen))
		for _, e := range it.Entries {
			if e.Over(t.now) {
				h.Over = max(h.Over, e.Expires)
			}
			until, err := t.leaseUntil(e.Dot.Replica)
			if err != nil {
				return h, err
			}
			if until <= t.now {
				h.Over = max(h.Over, until, 1)
			}
		}
	}
	return h, nil
}

func (t *Tx) leaseUntil(r crdt.ReplicaID) (crdt.Deadline, error) {
	live, err := t.over.entries(crdt.LeasePath(r))
	return crdt.LeaseUntil(live, r), err
}

// seen returns what a reader sees at a path.
func (t *Tx) seen(p crdt.Path, live []crdt.Entry) ([]crdt.Entry, error) {
	if p.IsPresence() {
		return present(live, t.now, t.leaseUntil)
	}
	return unexpired(live, t.now), nil
}

// seen returns what a reader sees at a path.
func (v *View) seen(p crdt.Path, live []crdt.Entry) ([]crdt.Entry, error) {
	if p.IsPresence() {
		return present(live, v.now, v.leaseUntil)
	}
	return unexpired(live, v.now), nil
}
