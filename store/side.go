package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// A side record remembers something about a commit for those who use this copy: which request made
// it, and what was answered. It is written in the batch of that commit, and in no delta: it is of this
// copy alone, and is gone with it. It ends after its time, or before when the records of the copy
// together pass Options.MaxSideBytes: then those that end soonest go first.

// Limits of a side record, in bytes.
const (
	MaxSideKeyBytes   = 512
	MaxSideValueBytes = 2 << 20
)

// ErrLargeSide is returned for a side record beyond MaxSideKeyBytes or MaxSideValueBytes.
var ErrLargeSide = errors.New("store: side record too large")

// SideRecord is a side record as it is found.
type SideRecord struct {
	Value []byte
	// Clock is the clock behind the commit that wrote the record.
	Clock crdt.VersionVector
}

// sideEdit is a record that a transaction writes.
type sideEdit struct {
	Key   string
	Until time.Time // in whole seconds
	Value []byte
}

// sideTable is what the committer knows of its side records.
type sideTable struct {
	bytes uint64
	// oldest is the least key of the table u that there may be, "" when there is none: a sweep begins
	// there and does not step over all that was swept before.
	oldest string
}

// sweepPage is the number of records that one commit takes off because their time is over. Those
// that have to go for want of room go in the commit that makes it too much.
const sweepPage = 256

func (k keyspace) side(key string) string {
	return string(crdt.EscapeName([]byte(string(k)+"/k/"), key))
}

// sideEnd is the key that orders side records by the second at which they end.
func (k keyspace) sideEnd(until time.Time, key string) string {
	b := appendHex([]byte(string(k)+"/u/"), uint64(until.Unix()))
	return string(crdt.EscapeName(b, key))
}

// sideOf returns the key in table k and the end of the record that a key of table u stands for.
func (k keyspace) sideOf(end string) (key string, until time.Time, err error) {
	s := end[len(k)+3:]
	if len(s) > 16 {
		if at, ok := parseHex(s[:16]); ok {
			return string(k) + "/k/" + s[16:], time.Unix(int64(at), 0), nil
		}
	}
	return "", time.Time{}, fmt.Errorf("%w: side key %q", ErrDamaged, end)
}

// PutSide writes the side record with a key, in place of one that is there, in the commit of this
// transaction; when nothing else is changed, in a commit of its own. It is kept for the time given.
// value is kept and must not be written afterwards. It returns ErrLargeSide.
func (t *Tx) PutSide(key string, value []byte, keep time.Duration) error {
	if len(key) > MaxSideKeyBytes || len(value) > MaxSideValueBytes {
		return fmt.Errorf("%w: key of %d bytes, value of %d", ErrLargeSide, len(key), len(value))
	}
	until := t.g.n.opts.Now().Add(keep)
	t.sides = append(t.sides, sideEdit{Key: key, Until: time.Unix(max(until.Unix(), 0), 0), Value: value})
	return nil
}

// Side returns the side record with a key, once it is durable; false when there is none, or its time is
// over. Like a view it does not see what is being committed, but to learn that there is none takes no
// waiting.
func (n *Namespace) Side(ctx context.Context, key string) (SideRecord, bool, error) {
	if err := n.Err(); err != nil {
		return SideRecord{}, false, err
	}
	b, ok, commit, err := n.getSide(key)
	if err != nil || !ok {
		return SideRecord{}, false, n.noteDamage(err)
	}
	until, r, err := decodeSide(b)
	if err != nil {
		return SideRecord{}, false, n.noteDamage(err)
	}
	return r, until.After(n.opts.Now()), n.waitDurable(ctx, commit)
}

// getSide returns what is stored under a key, and the commit that this was read at.
func (n *Namespace) getSide(key string) (b []byte, ok bool, commit uint64, err error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.isClosed() {
		return nil, false, 0, ErrClosed
	}
	if p := n.pinned; p != nil { // something is being applied
		b, ok, err = p.snap.Get(n.keys.side(key))
		return b, ok, p.version.commit, err
	}
	b, ok, err = n.backend.Get(n.keys.side(key))
	return b, ok, n.applied.commit, err
}

func appendSide(b []byte, until time.Time, r SideRecord) []byte {
	b = binary.AppendUvarint(append(b, valueVersion), uint64(until.Unix()))
	b = delta.AppendClock(b, r.Clock)
	return append(b, r.Value...)
}

func decodeSide(b []byte) (until time.Time, r SideRecord, err error) {
	d := newReader(b)
	if until = time.Unix(int64(d.uint()), 0); d.err != nil {
		return until, r, d.err
	}
	if r.Clock, r.Value, err = delta.DecodeClock(d.b); err != nil {
		return until, r, fmt.Errorf("%w: side record: %w", ErrDamaged, err)
	}
	return until, r, nil
}

// putSides takes over the side records of a transaction. Of one key the last counts.
func (g *group) putSides(edits []sideEdit) {
	for _, e := range edits {
		if g.sides == nil {
			g.sides = map[string]sideEdit{}
		}
		key := g.n.keys.side(e.Key)
		if _, ok := g.sides[key]; !ok {
			g.sideOrder = append(g.sideOrder, key)
		}
		g.bytes += len(e.Value) - len(g.sides[key].Value)
		g.sides[key] = e
	}
}

// buildSides writes the side records of the group, with the clock that it ends at, and takes off
// those whose time is over or whose room is wanted.
func (g *group) buildSides(b *Batch) error {
	n, table := g.n, &g.n.c.side
	for _, key := range g.sideOrder {
		e := g.sides[key]
		was, ok, err := n.backend.Get(key)
		if err != nil {
			return err
		}
		if ok {
			until, _, err := decodeSide(was)
			if err != nil {
				return err
			}
			b.Delete(n.keys.sideEnd(until, e.Key))
			table.bytes -= uint64(len(was))
		}
		is, end := appendSide(nil, e.Until, SideRecord{Value: e.Value, Clock: g.clock}), n.keys.sideEnd(e.Until, e.Key)
		b.Put(key, is)
		b.Put(end, binary.AppendUvarint([]byte{valueVersion}, uint64(len(is))))
		table.bytes += uint64(len(is))
		if table.oldest == "" || end < table.oldest {
			table.oldest = end
		}
	}
	return g.sweepSides(b)
}

// sweepSides takes off the oldest side records. Those of the group itself stay, so that the table
// passes its bound by one group at most.
func (g *group) sweepSides(b *Batch) error {
	n, table, now := g.n, &g.n.c.side, g.n.opts.Now()
	if table.oldest == "" {
		return nil
	}
	if _, until, err := n.keys.sideOf(table.oldest); err != nil || table.bytes <= n.opts.MaxSideBytes && until.After(now) {
		return err
	}
	snap, err := n.backend.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	_, upper := n.keys.table('u')
	it, err := snap.Iterate(table.oldest, upper)
	if err != nil {
		return err
	}
	defer it.Close()
	table.oldest = ""
	for swept := 0; it.Next(); {
		key, until, err := n.keys.sideOf(it.Key())
		if err != nil {
			return err
		}
		if _, own := g.sides[key]; own {
			continue
		}
		if table.bytes <= n.opts.MaxSideBytes && (until.After(now) || swept >= sweepPage) {
			table.oldest = it.Key()
			break
		}
		size, err := decodeSideSize(it.Value())
		if err != nil {
			return err
		}
		b.Delete(it.Key())
		b.Delete(key)
		table.bytes -= size
		swept++
	}
	for _, e := range g.sides {
		if end := n.keys.sideEnd(e.Until, e.Key); table.oldest == "" || end < table.oldest {
			table.oldest = end
		}
	}
	return it.Err()
}

// takeSides takes over the side records of a former copy: who asks again is answered as before.
func (g *group) takeSides(src *Source) error {
	n := g.n
	for _, table := range []byte{'k', 'u'} {
		err := walk(src.snap, src.n.keys, table, func(key string, value []byte) error {
			g.side.Put(string(n.keys)+key[len(src.n.keys):], slices.Clone(value))
			return nil
		})
		if err != nil {
			return formerly(err)
		}
	}
	n.c.side = src.n.c.side
	if old := n.c.side.oldest; old != "" {
		n.c.side.oldest = string(n.keys) + old[len(src.n.keys):]
	}
	return nil
}

func decodeSideSize(b []byte) (uint64, error) {
	r := newReader(b)
	size := r.uint()
	return size, r.finish()
}

// loadSides counts the side records.
func (n *Namespace) loadSides(snap Snapshot) error {
	n.c.side = sideTable{}
	return walk(snap, n.keys, 'u', func(key string, value []byte) error {
		if n.c.side.oldest == "" {
			n.c.side.oldest = key
		}
		size, err := decodeSideSize(value)
		n.c.side.bytes += size
		if _, _, kerr := n.keys.sideOf(key); kerr != nil {
			return kerr
		}
		return err
	})
}

func appendSideEdits(b []byte, edits []sideEdit) []byte {
	b = binary.AppendUvarint(b, uint64(len(edits)))
	for _, e := range edits {
		b = binary.AppendUvarint(appendBytes(b, []byte(e.Key)), uint64(e.Until.Unix()))
		b = appendBytes(b, e.Value)
	}
	return b
}

func (r *reader) sideEdits() []sideEdit {
	var edits []sideEdit
	for n := r.count(3); n > 0; n-- {
		e := sideEdit{Key: string(r.bytes()), Until: time.Unix(int64(r.uint()), 0)}
		e.Value = append([]byte{}, r.bytes()...)
		edits = append(edits, e)
	}
	return edits
}
