package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// checkConsistency computes everything that a copy derives once more from its data, and compares
// it: index, heads, live bits, digest, counts, log, log index and floors. It returns the state.
func checkConsistency(t testing.TB, n *Namespace) crdt.State {
	t.Helper()
	if _, err := n.Commit(context.Background(), func(*Tx) error { return nil }); err != nil {
		t.Fatalf("commit: %v", err) // behind the purges of a large change
	}
	src, err := n.Source(context.Background())
	if err != nil {
		t.Fatalf("source: %v", err)
	}
	defer src.Close()
	c := &checker{TB: t, src: src, keys: n.keys}
	c.tables()
	s := c.data()
	c.log()
	c.sides(n)
	st := src.Status()
	if st.Clock.Compare(n.Clock()) != crdt.Equal || st.Digest != n.Status().Digest {
		t.Errorf("the durable version is not the newest one at rest")
	}
	if src.v.commit != c.meta().Commit || st.Replica != c.meta().Replica {
		t.Errorf("meta on disk: %+v, in memory %+v", c.meta(), src.v)
	}
	return s
}

type checker struct {
	testing.TB
	src  *Source
	keys keyspace
}

// table returns all keys and values of a table.
func (c *checker) table(letter byte) map[string][]byte {
	c.Helper()
	all := map[string][]byte{}
	err := walk(c.src.snap, c.keys, letter, func(key string, value []byte) error {
		all[key] = slices.Clone(value)
		return nil
	})
	if err != nil {
		c.Fatalf("table %c: %v", letter, err)
	}
	return all
}

func (c *checker) meta() meta {
	v, ok, err := c.src.snap.Get(c.keys.meta())
	if err != nil || !ok {
		c.Fatalf("meta: %v %v", ok, err)
	}
	m, err := decodeMeta(v)
	if err != nil {
		c.Fatal(err)
	}
	return m
}

// tables makes sure that a copy at rest has no keys but those of its tables.
func (c *checker) tables() {
	c.Helper()
	lower, upper := c.keys.all()
	it, err := c.src.snap.Iterate(lower, upper)
	if err != nil {
		c.Fatal(err)
	}
	defer it.Close()
	for it.Next() {
		switch table := it.Key()[len(c.keys)+1]; table {
		case 'd', 'i', 'h', 'g', 'v', 'l', 'o', 's', 'e', 'x', 'w', 'k', 'u':
		default:
			if it.Key() != c.keys.meta() && it.Key() != c.keys.bequest() && it.Key() != c.keys.held() {
				c.Errorf("key %q", it.Key())
			}
		}
	}
}

// data checks what is computed from the entries, and returns the state.
func (c *checker) data() crdt.State {
	c.Helper()
	s := crdt.State{Clock: c.src.v.clock.Clone(), Live: map[crdt.Dot]crdt.Entry{}}
	heads, deadlines := map[string]Head{}, map[string][]byte{}
	var digest delta.Digest
	live := delta.NewDotSet()
	for key, value := range c.table('d') {
		p := c.keys.pathOf(key)
		es, err := decodeEntries(value, p)
		if err != nil || len(es) == 0 || !slices.IsSortedFunc(es, crdt.Newer) {
			c.Fatalf("entries at %q: %v %v", p, es, err)
		}
		for _, e := range es {
			if _, twice := s.Live[e.Dot]; twice || !s.Clock.Covers(e.Dot) {
				c.Errorf("entry %v at %q: twice, or not covered by %v", e.Dot, p, s.Clock)
			}
			s.Live[e.Dot] = e
			digest.Add(e)
			live.Add(e.Dot)
		}
		for _, at := range headsOf(p) {
			h := heads[c.keys.head(at)]
			h.Entries += uint64(len(es))
			h.Visible += count(crdt.Visible(p.LeafType(), es))
			h.Timed += withDeadline(es)
			heads[c.keys.head(at)] = h
		}
		for _, d := range timedAt(p, es) {
			deadlines[c.keys.deadline(d.expires, d.dot)] = appendTimed(d)
			for _, at := range headsOf(p) {
				deadlines[c.keys.timed(at, d.expires, d.dot)] = appendTimed(d)
			}
		}
	}
	if !live.Equal(c.src.live) {
		c.Errorf("live bits: %d, entries: %d", c.src.live.Len(), live.Len())
	}
	m := c.meta()
	if digest != m.Digest || digest != c.src.v.digest {
		c.Errorf("digest %v, in meta %v, told %v", digest, m.Digest, c.src.v.digest)
	}
	if m.Entries != live.Len() || c.src.v.entries != live.Len() {
		c.Errorf("%d entries, in meta %d, told %d", live.Len(), m.Entries, c.src.v.entries)
	}
	c.index(s)
	c.heads(heads, m)
	got := c.table('e')
	maps.Copy(got, c.table('x'))
	if !maps.EqualFunc(got, deadlines, bytes.Equal) {
		c.Errorf("deadlines: %q, want %q", got, deadlines)
	}
	return s
}

func (c *checker) index(s crdt.State) {
	c.Helper()
	index := c.table('i')
	for d, e := range s.Live {
		if p := index[c.keys.index(d)]; string(p) != string(e.Path) {
			c.Errorf("index of %v: %q, want %q", d, p, e.Path)
		}
	}
	if len(index) != len(s.Live) {
		c.Errorf("%d keys in the index, %d entries", len(index), len(s.Live))
	}
}

func (c *checker) heads(want map[string]Head, m meta) {
	c.Helper()
	got := c.table('h')
	objects := uint64(0)
	for key, v := range got {
		if h, err := decodeHead(v); err == nil && h.Visible > 0 {
			objects++
		} else if err != nil {
			c.Errorf("head %q: %v", key, err)
		}
	}
	if objects != m.Objects || objects != c.src.v.objects {
		c.Errorf("%d objects, in meta %d, told %d", objects, m.Objects, c.src.v.objects)
	}
	for key, v := range c.table('g') {
		got[key] = v
	}
	for key, w := range want {
		h, err := decodeHead(got[key])
		if err != nil || h.Entries != w.Entries || h.Visible != w.Visible || h.Timed != w.Timed || h.Commit == 0 || h.Commit > m.Commit {
			c.Errorf("head %q: %+v %v, want %+v", key, h, err, w)
		}
	}
	if len(got) != len(want) {
		c.Errorf("%d heads, want %d", len(got), len(want))
	}
}

// log checks that the log holds every unit above the floors, and nothing twice.
func (c *checker) log() {
	c.Helper()
	m, bytes, floors := c.meta(), uint64(0), crdt.VersionVector{}
	for key, v := range c.table('v') {
		r, _ := parseHex(key[len(c.keys)+3:])
		k, err := decodeComponent(v)
		if err != nil || k.Seq != c.src.v.clock[crdt.ReplicaID(r)] || k.Floor != c.src.v.floors[crdt.ReplicaID(r)] ||
			k.Run != c.src.v.runs[crdt.ReplicaID(r)] {
			c.Errorf("component %x: %+v %v, in memory %+v", r, k, err, c.src.v)
		}
		floors[crdt.ReplicaID(r)] = k.Floor
	}
	records, index := c.table('l'), c.table('o')
	touched := map[uint64]map[crdt.Path]bool{}
	for key, v := range records {
		at, ok := c.keys.positionOf(key)
		l, err := decodeLogRecord(v)
		if !ok || err != nil || at.Commit < m.LogFirst || at.Commit > m.Commit || !slices.IsSorted(l.Objects) {
			c.Fatalf("log record %q, the log has %d to %d: %v", key, m.LogFirst, m.Commit, err)
		}
		if touched[at.Commit] == nil {
			touched[at.Commit] = map[crdt.Path]bool{}
		}
		for _, p := range l.Objects {
			touched[at.Commit][p] = true
		}
		if at.Piece > 0 {
			if len(l.Objects) == 0 || len(l.Units) > 0 || len(l.Amounts) > 0 || l.Joined {
				c.Errorf("piece in the log: %+v", l)
			}
			bytes += uint64(len(v))
			delete(records, key)
		}
	}
	c.touched(touched, m)
	next := floors.Clone()
	for commit := m.LogFirst; commit <= m.Commit; commit++ {
		v, ok := records[c.keys.log(commit)]
		bytes += uint64(len(v))
		l, err := decodeLogRecord(v)
		if !ok || err != nil {
			c.Fatalf("log record %d of %d to %d: %v %v", commit, m.LogFirst, m.Commit, ok, err)
		}
		c.record(l, commit, next, index)
	}
	for r, seq := range c.src.v.clock {
		if next[r] != seq {
			c.Errorf("the log holds %v from %d to %d, the clock says %d", r, floors[r], next[r], seq)
		}
	}
	if bytes != m.LogBytes || uint64(len(records)) != m.Commit+1-m.LogFirst || len(index) != 0 {
		c.Errorf("log: %d bytes of %d, %d records from %d to %d, %d keys in its index are left",
			bytes, m.LogBytes, len(records), m.LogFirst, m.Commit, len(index))
	}
}

// touched checks that the log names each object at the commit that touched it last.
func (c *checker) touched(in map[uint64]map[crdt.Path]bool, m meta) {
	c.Helper()
	for key, v := range c.table('h') {
		p := c.keys.pathOf(key)
		if h, err := decodeHead(v); err != nil || h.Commit >= m.LogFirst && !in[h.Commit][p] {
			c.Errorf("object %q was touched by commit %d, whose record names %v: %v", p, h.Commit, in[h.Commit], err)
		}
	}
}

// sides checks that the side records and the order of their ends are the same, and what is counted.
func (c *checker) sides(n *Namespace) {
	c.Helper()
	records, bytes := c.table('k'), uint64(0)
	for end, v := range c.table('u') {
		key, until, err := c.keys.sideOf(end)
		size, err2 := decodeSideSize(v)
		at, _, err3 := decodeSide(records[key])
		if err := errors.Join(err, err2, err3); err != nil || size != uint64(len(records[key])) || !at.Equal(until) {
			c.Errorf("side record %q ends at %v, %v in the order of ends; %d bytes, told %d: %v", key, at, until, len(records[key]), size, err)
		}
		bytes += size
		delete(records, key)
	}
	if len(records) > 0 || bytes != n.c.side.bytes {
		c.Errorf("%d side records without an end, %d bytes, counted %d", len(records), bytes, n.c.side.bytes)
	}
}

// record checks one record, and takes its keys out of the index.
func (c *checker) record(l logRecord, commit uint64, next crdt.VersionVector, index map[string][]byte) {
	c.Helper()
	last := crdt.VersionVector{}
	for _, u := range l.Units {
		if err := delta.Validate(u); err != nil {
			c.Errorf("unit in the log: %v", err)
		}
		if u.First > next[u.Origin] && u.First != next[u.Origin]+1 {
			c.Errorf("unit %v:%d in the log does not follow %d", u.Origin, u.First, next[u.Origin])
		}
		next[u.Origin] = max(next[u.Origin], u.Last)
		last[u.Origin] = u.Last
	}
	for r, seq := range last {
		key := c.keys.logIndex(crdt.Dot{Replica: r, Seq: seq})
		if at, err := decodeCommit(index[key]); err != nil || at != commit {
			c.Errorf("log index of %v:%d: %d %v, want %d", r, seq, at, err, commit)
		}
		delete(index, key)
	}
	for _, a := range l.Amounts {
		of := func(u delta.Unit) bool { return u.First <= a.Seq && a.Seq <= u.Last }
		if !slices.ContainsFunc(l.Units, of) {
			c.Errorf("amount %+v without its unit", a)
		}
	}
}
