package store

import (
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/internal/invariant"
)

// table is a layer that answers what is live at a path and what the heads are: the datastore,
// the commit being built on it, or one transaction on that.
type table interface {
	entries(p crdt.Path) ([]crdt.Entry, error)
	// head returns a head as it is stored, whatever the time is.
	head(p crdt.Path) (Head, error)
	// over returns the live entries under a place with a head whose deadline has come at now.
	over(place crdt.Path, now crdt.Deadline) ([]timed, error)
	// paths appends the live paths with the prefix that sort after `after`, ascending, at most
	// limit of them.
	paths(prefix, after crdt.Path, limit int) ([]crdt.Path, error)
	// last returns the last live path with the prefix that sorts before `before`, "" if there is none.
	last(prefix, before crdt.Path) (crdt.Path, error)
}

// base reads the newest applied state of the datastore. Only the committer may use it.
type base struct {
	backend Backend
	keys    keyspace
	// What was read since the last commit, up to maxCachedPaths and maxPieceBytes.
	live  map[crdt.Path][]crdt.Entry
	bytes int // of the values in live
	heads map[crdt.Path]Head
	snap  Snapshot // for walks, taken when first needed
	// Nothing is stored at absentFrom and behind it, if it is not nil: what is written in the order
	// of paths into an empty copy need not be looked for.
	absentFrom *crdt.Path
	// damage is the first damage that was read, for those who read it may not pass it on.
	damage error
}

// maxCachedPaths bounds what a base remembers: a transaction can walk over a whole set.
const maxCachedPaths = 1 << 16

func (b *base) note(err error) error {
	if b.damage == nil && isDamage(err) {
		b.damage = err
	}
	return err
}

func newBase(backend Backend, keys keyspace) *base {
	return &base{backend: backend, keys: keys, live: map[crdt.Path][]crdt.Entry{}, heads: map[crdt.Path]Head{}}
}

func (b *base) entries(p crdt.Path) ([]crdt.Entry, error) {
	if es, ok := b.live[p]; ok {
		return es, nil
	}
	if b.absent(p) {
		return nil, nil
	}
	es, err := getEntries(b.backend, b.keys, p)
	if err == nil {
		b.cache(p, es)
	}
	return es, b.note(err)
}

func (b *base) absent(p crdt.Path) bool { return b.absentFrom != nil && p >= *b.absentFrom }

func (b *base) head(p crdt.Path) (Head, error) {
	if h, ok := b.heads[p]; ok {
		return h, nil
	}
	if b.absent(p) {
		return Head{}, nil
	}
	h, err := getHead(b.backend, b.keys, p)
	if err == nil {
		b.heads[p] = h
	}
	return h, b.note(err)
}

// getter is what a backend and its snapshots have in common.
type getter interface {
	Get(key string) ([]byte, bool, error)
}

func getEntries(g getter, keys keyspace, p crdt.Path) ([]crdt.Entry, error) {
	v, ok, err := g.Get(keys.data(p))
	if err != nil || !ok {
		return nil, err
	}
	return decodeEntries(v, p)
}

func getHead(g getter, keys keyspace, p crdt.Path) (Head, error) {
	v, ok, err := g.Get(keys.head(p))
	if err != nil || !ok {
		return Head{}, err
	}
	return decodeHead(v)
}

func (b *base) paths(prefix, after crdt.Path, limit int) ([]crdt.Path, error) {
	snap, err := b.snapshot()
	if err != nil {
		return nil, err
	}
	lower, upper := scanBounds(b.keys.data(prefix), b.keys.data(after), after != "")
	it, err := snap.Iterate(lower, upper)
	if err != nil {
		return nil, b.note(err)
	}
	defer it.Close()
	if b.full() {
		clear(b.live)
		b.bytes = 0
	}
	var ps []crdt.Path
	for len(ps) < limit && it.Next() {
		p := b.keys.pathOf(it.Key())
		if err := b.found(p, it.Value()); err != nil {
			return nil, b.note(err)
		}
		ps = append(ps, p)
	}
	return ps, b.note(it.Err())
}

func (b *base) last(prefix, before crdt.Path) (crdt.Path, error) {
	snap, err := b.snapshot()
	if err != nil {
		return "", err
	}
	lower, end := b.keys.data(prefix), b.keys.data(before)
	upper := min(end, prefixEnd(lower))
	key, ok, err := snap.Last(lower, upper)
	if err != nil || !ok {
		return "", b.note(err)
	}
	return b.keys.pathOf(key), nil
}

// snapshot returns the one for walks.
func (b *base) snapshot() (Snapshot, error) {
	if b.snap == nil {
		s, err := b.backend.Snapshot()
		if err != nil {
			return nil, err
		}
		b.snap = s
	}
	return b.snap, nil
}

// found remembers what lies at a path: who walks over paths reads their entries next.
func (b *base) found(p crdt.Path, value []byte) error {
	if _, ok := b.live[p]; ok || b.full() {
		return nil
	}
	es, err := decodeEntries(value, p)
	if err == nil {
		b.cache(p, es)
	}
	return err
}

func (b *base) full() bool { return len(b.live) >= maxCachedPaths || b.bytes >= maxPieceBytes }

func (b *base) cache(p crdt.Path, es []crdt.Entry) {
	if !b.full() {
		b.live[p] = es
		b.bytes += valueBytes(es)
	}
}

// valueBytes is the size of the values of entries.
func valueBytes(es []crdt.Entry) int {
	n := 0
	for _, e := range es {
		n += len(e.Value)
	}
	return n
}

// moved forgets what was read: the datastore has changed.
func (b *base) moved() error {
	clear(b.live)
	clear(b.heads)
	b.bytes = 0
	if b.snap == nil {
		return nil
	}
	s := b.snap
	b.snap = nil
	return s.Close()
}

// scanBounds returns the keys from which and up to which a walk over a prefix goes.
func scanBounds(prefix, after string, hasAfter bool) (lower, upper string) {
	lower, upper = prefix, prefixEnd(prefix)
	if hasAfter && after >= lower {
		lower = min(after+"\x00", upper)
	}
	return lower, upper
}

// overlay holds changes to a table that are not in it yet.
type overlay struct {
	under table
	// live is what is live at each changed path; the order of first change is in order, so that
	// what is written does not depend on the order of a map.
	live  map[crdt.Path][]crdt.Entry
	order []crdt.Path
	// sorted holds the first of them, as many as there were at the last walk.
	sorted btree.Set[crdt.Path]
	heads  map[crdt.Path]Head
	// bytes is the size of the values that changes touched.
	bytes int
	// kills hide what lies beneath: prefix kills too large to be spelled out.
	kills []prefixKill
}

type prefixKill struct {
	prefix crdt.Path
	clock  crdt.VersionVector
}

func (k prefixKill) hits(e crdt.Entry) bool { return k.clock.Covers(e.Dot) && !e.Kind.NamedOnly() }

func newOverlay(under table) *overlay {
	return &overlay{under: under, live: map[crdt.Path][]crdt.Entry{}, heads: map[crdt.Path]Head{}}
}

func (o *overlay) entries(p crdt.Path) ([]crdt.Entry, error) {
	if es, ok := o.live[p]; ok {
		return es, nil
	}
	es, err := o.under.entries(p)
	if err != nil {
		return nil, err
	}
	for _, k := range o.kills {
		if k.prefix.Contains(p) {
			es = slices.DeleteFunc(slices.Clone(es), k.hits)
		}
	}
	return es, nil
}

func (o *overlay) head(p crdt.Path) (Head, error) {
	if h, ok := o.heads[p]; ok {
		return h, nil
	}
	return o.under.head(p)
}

func (o *overlay) paths(prefix, after crdt.Path, limit int) ([]crdt.Path, error) {
	own := o.changed(prefix, after, limit)
	var ps []crdt.Path
	for {
		below, err := o.under.paths(prefix, after, limit)
		if err != nil {
			return nil, err
		}
		whole := len(below) < limit
		for _, p := range below {
			after = p
			for len(own) > 0 && own[0] <= p {
				ps = append(ps, own[0])
				own = own[1:]
			}
			if _, changed := o.live[p]; changed {
				continue
			}
			if es, err := o.entries(p); err != nil {
				return nil, err
			} else if len(es) > 0 {
				ps = append(ps, p)
			}
		}
		if whole {
			ps = append(ps, own...)
		}
		if whole || len(ps) >= limit {
			return ps[:min(limit, len(ps))], nil
		}
	}
}

func (o *overlay) last(prefix, before crdt.Path) (crdt.Path, error) {
	own := o.lastChanged(prefix, before)
	for {
		below, err := o.under.last(prefix, before)
		if err != nil || below <= own {
			return own, err
		}
		if _, changed := o.live[below]; !changed {
			if es, err := o.entries(below); err != nil || len(es) > 0 {
				return below, err
			}
		}
		before = below
	}
}

// lastChanged is last for what the overlay itself holds.
func (o *overlay) lastChanged(prefix, before crdt.Path) (last crdt.Path) {
	o.sort()
	o.sorted.Descend(before, func(p crdt.Path) bool {
		if p < before && prefix.Contains(p) && len(o.live[p]) > 0 {
			last = p
		}
		return last == "" && p >= prefix
	})
	return last
}

// changed is paths for what the overlay itself holds.
func (o *overlay) changed(prefix, after crdt.Path, limit int) []crdt.Path {
	o.sort()
	var ps []crdt.Path
	o.sorted.Ascend(max(prefix, after), func(p crdt.Path) bool {
		if p > after && prefix.Contains(p) && len(o.live[p]) > 0 {
			ps = append(ps, p)
		}
		return prefix.Contains(p) && len(ps) < limit
	})
	return ps
}

// sort puts the paths that were changed last in order, too.
func (o *overlay) sort() {
	for _, p := range o.order[o.sorted.Len():] {
		o.sorted.Insert(p)
	}
}

// set replaces what is live at p and brings the heads along. es is kept.
func (o *overlay) set(p crdt.Path, es []crdt.Entry, at Stamp) error {
	old, err := o.entries(p)
	if err != nil {
		return err
	}
	o.bytes += valueBytes(old) + valueBytes(es)
	leaf := p.LeafType()
	entries := uint64(len(es)) - uint64(len(old))
	visible := count(crdt.Visible(leaf, es)) - count(crdt.Visible(leaf, old))
	timed := withDeadline(es) - withDeadline(old)
	for _, place := range headsOf(p) {
		h, err := o.head(place)
		if err != nil {
			return err
		}
		h.Entries += entries // wraps around to subtract
		h.Visible += visible
		h.Timed += timed
		h.Stamp = at
		invariant.Check(h.Entries < 1<<63 && h.Visible <= h.Entries && h.Timed <= h.Entries, "head of %q: %+v", place, h)
		o.heads[place] = h
	}
	if _, ok := o.live[p]; !ok {
		o.order = append(o.order, p)
	}
	o.live[p] = es
	return nil
}

// objects returns the objects that o changed, ascending.
func (o *overlay) objects() []crdt.Path {
	var ps []crdt.Path
	for p := range o.heads {
		if p == p.ObjectPath() {
			ps = append(ps, p)
		}
	}
	slices.Sort(ps)
	return ps
}

// edit applies the edit of one operation at p.
func (o *overlay) edit(p crdt.Path, e crdt.Edit, at Stamp) error {
	live, err := o.entries(p)
	if err != nil {
		return err
	}
	next := make([]crdt.Entry, 0, len(live)+len(e.Add))
	for _, x := range live {
		if !slices.Contains(e.Kill, x.Dot) {
			next = append(next, x)
		}
	}
	next = append(next, e.Add...)
	crdt.SortNewest(next)
	return o.set(p, next, at)
}

// merge takes over the changes of a transaction on top of o.
func (o *overlay) merge(t *overlay) {
	for _, p := range t.order {
		if _, ok := o.live[p]; !ok {
			o.order = append(o.order, p)
		}
		o.live[p] = t.live[p]
	}
	for p, h := range t.heads {
		o.heads[p] = h
	}
}

// headsOf returns the places whose heads count what is live at p: its object, and the set in a
// map that it is a member of.
func headsOf(p crdt.Path) []crdt.Path {
	object := p.ObjectPath()
	if set, ok := p.SetLeaf(); ok && strings.HasPrefix(string(set[len(object):]), "|") {
		return []crdt.Path{object, set}
	}
	return []crdt.Path{object}
}

func count(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
