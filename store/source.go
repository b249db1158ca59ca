package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Source is one snapshot of a copy, store and live bitmaps together, to repair another replica
// from. It belongs to one session.
type Source struct {
	n    *Namespace
	snap Snapshot
	v    version
	live *delta.DotSet
	// release ends the use of snap.
	release func() error
}

// Source returns a snapshot of the newest state, once that is durable. While a large change is
// applied it waits for its end.
func (n *Namespace) Source(ctx context.Context) (*Source, error) {
	if n.durable.Load().joining {
		return nil, ErrJoining
	}
	return n.waitSource(ctx)
}

// Live returns the state and the live dots of one instant. The set is the caller's own.
func (n *Namespace) Live(ctx context.Context) (Status, *delta.DotSet, error) {
	s, err := n.waitSource(ctx)
	if err != nil {
		return Status{}, nil, err
	}
	return s.Status(), s.live, s.Close()
}

func (n *Namespace) waitSource(ctx context.Context) (*Source, error) {
	for {
		if f := n.failed.Load(); f != nil {
			return nil, f.err
		}
		s, calm, err := n.source()
		if err != nil {
			return nil, n.noteDamage(err)
		}
		if s != nil {
			if err := n.waitDurable(ctx, s.v.commit); err != nil {
				return nil, fmt.Errorf("%w (%w)", err, s.Close())
			}
			return s, nil
		}
		select {
		case <-calm:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.dead:
		case <-n.stopped:
			return nil, ErrClosed
		}
	}
}

func (n *Namespace) source() (*Source, <-chan struct{}, error) {
	n.mu.Lock() // a clone of the bitmaps marks the original
	defer n.mu.Unlock()
	if n.isClosed() {
		return nil, nil, ErrClosed
	}
	if n.calm != nil {
		return nil, n.calm, nil
	}
	if p := n.pinned; p != nil { // a commit is under way, and has not moved the live bits
		p.refs.Add(1)
		return &Source{n: n, snap: p.snap, v: p.version, live: n.live.Clone(), release: p.release}, nil, nil
	}
	snap, err := n.backend.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	return &Source{n: n, snap: snap, v: n.applied, live: n.live.Clone(), release: snap.Close}, nil, nil
}

// Status returns the state of the snapshot.
func (s *Source) Status() Status { return s.v.status() }

// Past returns what is known of the runs before those of Status, of this replica too. It is shared
// and must not be written.
func (s *Source) Past() delta.Past {
	if len(s.v.ownRuns) < 2 {
		return s.v.past
	}
	past := maps.Clone(s.v.past)
	past[s.v.replica] = ownPast(s.v.ownRuns)
	return past
}

// Live returns the dots of all live entries. It must not be written.
func (s *Source) Live() *delta.DotSet { return s.live }

// Close releases the snapshot.
func (s *Source) Close() error { return s.release() }

// Log returns the units that since does not cover, in an order in which they can be applied, and the
// runs that issued them. It returns false when the log no longer holds all of them, and for an empty clock: who has nothing
// takes the state, which is never more than its history, and whole at once.
func (s *Source) Log(since crdt.VersionVector) (iter.Seq2[delta.Issued, error], bool, error) {
	if len(since) == 0 && len(s.v.clock) > 0 {
		return nil, false, nil
	}
	for r, floor := range s.v.floors {
		if since[r] < floor {
			return nil, false, nil
		}
	}
	first, err := s.firstRecord(since)
	if err != nil {
		return nil, false, s.n.noteDamage(err)
	}
	return func(yield func(delta.Issued, error) bool) {
		if first == 0 {
			return
		}
		_, upper := s.n.keys.table('l')
		err := s.records(s.n.keys.log(first), upper, func(l logRecord) bool {
			for _, u := range l.Units {
				if u.Last > since[u.Origin] && !yield(delta.Issued{Unit: u, Run: issuerOf(u, l.Issuers)}, nil) {
					return false
				}
			}
			return true
		})
		if err != nil {
			yield(delta.Issued{}, s.n.noteDamage(err))
		}
	}, true, nil
}

// firstRecord returns the number of the oldest record with a unit that since does not cover, 0
// if there is none.
func (s *Source) firstRecord(since crdt.VersionVector) (uint64, error) {
	var first uint64
	for r, seq := range s.v.clock {
		if since[r] >= seq {
			continue
		}
		commit, ok, err := s.recordWith(crdt.Dot{Replica: r, Seq: since[r] + 1})
		if err != nil {
			return 0, err
		}
		if ok && (first == 0 || commit < first) {
			first = commit
		}
	}
	return first, nil
}

// recordWith returns the number of the record that holds the unit with the dot d.
func (s *Source) recordWith(d crdt.Dot) (uint64, bool, error) {
	upper := prefixEnd(s.n.keys.logIndex(d)[:len(s.n.keys)+3+16])
	it, err := s.snap.Iterate(s.n.keys.logIndex(d), upper)
	if err != nil {
		return 0, false, err
	}
	defer it.Close()
	if !it.Next() {
		return 0, false, it.Err()
	}
	commit, err := decodeCommit(it.Value())
	return commit, err == nil, err
}

// records calls f for the log records in a range of keys until it returns false.
func (s *Source) records(lower, upper string, f func(logRecord) bool) error {
	it, err := s.snap.Iterate(lower, upper)
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		l, err := decodeLogRecord(it.Value())
		if err != nil {
			return err
		}
		if !f(l) {
			return nil
		}
	}
	return it.Err()
}

// Unit returns the unit of origin that begins at first, if the log holds it.
func (s *Source) Unit(origin crdt.ReplicaID, first uint64) (u delta.Issued, ok bool, err error) {
	commit, ok, err := s.recordWith(crdt.Dot{Replica: origin, Seq: first})
	if err != nil || !ok {
		return u, false, s.n.noteDamage(err)
	}
	ok = false
	err = s.records(s.n.keys.log(commit), s.n.keys.log(commit+1), func(l logRecord) bool {
		for _, v := range l.Units {
			if v.Origin == origin && v.First == first {
				u, ok = delta.Issued{Unit: v, Run: issuerOf(v, l.Issuers)}, true
			}
		}
		return false
	})
	return u, ok, s.n.noteDamage(err)
}

// Entries yields every live entry whose dot since does not cover, each once, in no particular
// order.
func (s *Source) Entries(since crdt.VersionVector) iter.Seq2[crdt.Entry, error] {
	wanted := s.live.Uncovered(since)
	if wanted.Len() > s.live.Len()/4 {
		return s.scanEntries(since, wanted.Len())
	}
	return func(yield func(crdt.Entry, error) bool) {
		for d := range wanted.All() {
			e, err := s.entry(d)
			if !yield(e, s.n.noteDamage(err)) || err != nil {
				return
			}
		}
	}
}

// scanEntries walks over all paths: cheaper than an index look-up an entry when most are wanted.
// An entry that is live and not there would be read as dead: wanted is how many there must be.
func (s *Source) scanEntries(since crdt.VersionVector, wanted uint64) iter.Seq2[crdt.Entry, error] {
	v := &View{n: s.n, snap: s.snap, version: s.v}
	return func(yield func(crdt.Entry, error) bool) {
		for item, err := range v.items(s.n.keys.table('d')) {
			if err != nil {
				yield(crdt.Entry{}, err)
				return
			}
			for _, e := range item.Entries {
				if since.Covers(e.Dot) {
					continue
				}
				if wanted--; !yield(e, nil) {
					return
				}
			}
		}
		if wanted != 0 {
			err := fmt.Errorf("%w: the live dots and the entries do not match", ErrDamaged)
			yield(crdt.Entry{}, s.n.noteDamage(err))
		}
	}
}

// entry reads the live entry with the dot d.
func (s *Source) entry(d crdt.Dot) (crdt.Entry, error) {
	p, ok, err := s.snap.Get(s.n.keys.index(d))
	if err != nil {
		return crdt.Entry{}, err
	}
	if ok {
		es, err := getEntries(s.snap, s.n.keys, crdt.Path(p))
		if err != nil {
			return crdt.Entry{}, err
		}
		for _, e := range es {
			if e.Dot == d {
				return e, nil
			}
		}
	}
	return crdt.Entry{}, fmt.Errorf("%w: live dot %v has no entry", ErrDamaged, d)
}

func appendCommit(commit uint64) []byte {
	return binary.AppendUvarint([]byte{valueVersion}, commit)
}

func decodeCommit(v []byte) (uint64, error) {
	r := newReader(v)
	c := r.uint()
	return c, r.err
}
