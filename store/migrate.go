package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// A directory of an earlier layout is brought to the present one by Open, before anything else looks at
// it. Meanwhile it has the layout 0, which no version opens but one that can go on; every step can be
// taken twice.

// layoutBetween is that of a directory that is being migrated.
const layoutBetween = 0

// migrationBytes is how much is written at a time.
const migrationBytes = 64 << 10

// checkLayout migrates what an earlier version wrote, refuses what a later one wrote, and marks a
// new directory.
func (s *Store) checkLayout() error {
	v, ok, err := s.disk.Get(keyLayout)
	if err != nil {
		return err
	}
	if !ok {
		if s.opts.Dir != "" {
			if err := checkUsed(s.opts.Dir); err != nil {
				return err
			}
		}
		return s.putLayout(layoutVersion)
	}
	n, k := binary.Uvarint(v)
	switch {
	case k <= 0:
		return fmt.Errorf("%w: %s: layout %x", ErrDamaged, s.opts.Dir, v)
	case n == layoutVersion:
		return nil
	case n < layoutVersion:
		return s.migrate()
	}
	return fmt.Errorf("%w: %s has layout %d, this version reads layouts up to %d: use a newer anabranch", ErrLayout, s.opts.Dir, n, layoutVersion)
}

func (s *Store) putLayout(version uint64) error {
	return s.put(keyLayout, binary.AppendUvarint(nil, version))
}

// migrate brings every copy on disk from layout 1 to layout 2.
func (s *Store) migrate() error {
	if err := s.putLayout(layoutBetween); err != nil {
		return err
	}
	err := s.eachRegistered(func(name string, storage Storage, id string) error {
		if storage != Disk {
			return nil
		}
		m := migration{backend: s.disk, keys: keyspace("/" + id)}
		err := m.run()
		if isDamage(err) {
			// This copy alone is set aside when it is opened.
			s.opts.Event(Event{Namespace: name, Kind: EventDamaged, Detail: err.Error()})
			return s.put(m.keys.aside(), []byte{valueVersion})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store: migrating %s: %w", s.opts.Dir, err)
	}
	if err := s.putLayout(layoutVersion); err != nil {
		return err
	}
	s.opts.Event(Event{Kind: EventMigrated, Detail: "the data directory was written by an earlier version, and was brought to the present layout: earlier versions do not read it any more"})
	return nil
}

// A migration brings one copy from layout 1, which knew nothing of deadlines, to layout 2. It computes
// from the entries what layout 2 keeps of them besides: how many in an object have a deadline (tables h
// and g), the order of deadlines (e, x), and announcements (w). Entries with a deadline can be there: a
// version that does not know a field keeps it.
type migration struct {
	backend Backend
	keys    keyspace
	snap    Snapshot
	batch   Batch
	objects uint64
	// open are the heads of the path that is looked at, the object first: what is under a place is
	// contiguous.
	open []openHead
}

type openHead struct {
	place crdt.Path
	Head
}

func (m *migration) run() (err error) {
	if m.snap, err = m.backend.Snapshot(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.snap.Close()) }()
	v, ok, err := m.snap.Get(m.keys.meta())
	if err != nil || !ok {
		return err
	}
	state, err := decodeMeta(v)
	if err != nil {
		return err
	}
	err = walk(m.snap, m.keys, 'd', func(key string, value []byte) error {
		p := m.keys.pathOf(key)
		live, err := decodeEntries(slices.Clone(value), p)
		if err != nil {
			return err
		}
		return m.path(p, live)
	})
	if err := errors.Join(err, m.leave("")); err != nil {
		return err
	}
	state.Objects = m.objects
	m.batch.Put(m.keys.meta(), appendMeta(nil, state))
	return m.flush(0)
}

// path takes in what is live at a path.
func (m *migration) path(p crdt.Path, live []crdt.Entry) error {
	if err := m.leave(p); err != nil {
		return err
	}
	places := headsOf(p)
	for _, place := range places[len(m.open):] {
		m.open = append(m.open, openHead{place: place})
	}
	for i := range m.open {
		h := &m.open[i].Head
		h.Entries += uint64(len(live))
		h.Visible += count(crdt.Visible(p.LeafType(), live))
		h.Timed += withDeadline(live)
	}
	for _, t := range timedAt(p, live) {
		m.batch.Put(m.keys.deadline(t.expires, t.dot), appendTimed(t))
		for _, place := range places {
			m.batch.Put(m.keys.timed(place, t.expires, t.dot), appendTimed(t))
		}
	}
	for _, e := range live {
		if p.IsPresence() && e.Kind == crdt.KindPresence {
			m.batch.Put(m.keys.announced(e.Dot), append([]byte{valueVersion}, p...))
		}
	}
	return m.flush(migrationBytes)
}

// leave writes the heads of places that p is not under.
func (m *migration) leave(p crdt.Path) error {
	places := []crdt.Path{}
	if p != "" {
		places = headsOf(p)
	}
	for i := len(m.open) - 1; i >= 0; i-- {
		h := m.open[i]
		if i < len(places) && places[i] == h.place {
			return nil
		}
		m.open = m.open[:i]
		var err error
		if h.Stamp, err = m.stamp(h.place); err != nil {
			return err
		}
		if h.place == h.place.ObjectPath() {
			m.objects += count(h.Visible > 0)
		}
		m.batch.Put(m.keys.head(h.place), appendHead(nil, h.Head))
	}
	return nil
}

// stamp returns that of a head as layout 1 has it, without the number of deadlines, or as it was
// migrated already.
func (m *migration) stamp(place crdt.Path) (Stamp, error) {
	v, ok, err := m.snap.Get(m.keys.head(place))
	if err != nil {
		return Stamp{}, err
	}
	if !ok {
		return Stamp{}, fmt.Errorf("%w: %q has entries and no head", ErrDamaged, place)
	}
	if h, err := decodeHead(v); err == nil {
		return h.Stamp, nil
	}
	r := newReader(v)
	r.uint() // entries
	r.uint() // of them visible
	stamp := Stamp{Commit: r.uint(), Step: r.uint()}
	return stamp, r.finish()
}

// flush writes what has come together, if it is more than so many bytes.
func (m *migration) flush(over int) error {
	if m.batch.Bytes() <= over {
		return nil
	}
	err := applySync(m.backend, &m.batch)
	m.batch.Reset()
	return err
}
