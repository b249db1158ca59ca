package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// The store's own values are a version byte and unsigned varints. What also travels is encoded
// by package delta.

const valueVersion = 1

// reader takes a value apart and remembers the first failure.
type reader struct {
	b   []byte
	err error
}

func newReader(b []byte) *reader {
	r := &reader{b: b}
	if len(b) == 0 || b[0] != valueVersion {
		r.fail()
		return r
	}
	r.b = b[1:]
	return r
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("%w: malformed value", ErrDamaged)
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// count reads the number of items that follow, each of least bytes or more.
func (r *reader) count(least int) int {
	n := r.uint()
	if n > uint64(len(r.b)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

// finish returns the first failure, and one for bytes that are left.
func (r *reader) finish() error {
	if len(r.b) > 0 {
		r.fail()
	}
	return r.err
}

// Head is what is known of an object, or of a set inside a map, without reading it.
type Head struct {
	// Entries is the number of live entries, reset records included.
	Entries uint64
	// Visible is the number of paths with live content: the members of a set, the fields of a
	// map that hold something, 1 or 0 for a register or a counter.
	Visible uint64
	// Timed is the number of live entries with a deadline.
	Timed uint64
	// Stamp says which change last touched the live entries here.
	Stamp
}

// Stamp names one change in this copy: the number of its commit, and its place among the changes
// that share the commit. It never comes twice for different live entries of one object.
type Stamp struct {
	Commit uint64
	Step   uint64
	// Over is the latest deadline that has come, of entries that are hidden and not removed yet; 0 is
	// none. It is part of what a reader sees, and is not stored.
	Over crdt.Deadline
}

func appendHead(b []byte, h Head) []byte {
	b = binary.AppendUvarint(append(b, valueVersion), h.Entries)
	b = binary.AppendUvarint(b, h.Visible)
	b = binary.AppendUvarint(b, h.Timed)
	return binary.AppendUvarint(binary.AppendUvarint(b, h.Commit), h.Step)
}

func decodeHead(b []byte) (Head, error) {
	r := newReader(b)
	h := Head{Entries: r.uint(), Visible: r.uint(), Timed: r.uint()}
	h.Commit, h.Step = r.uint(), r.uint()
	if h.Visible > h.Entries || h.Timed > h.Entries {
		r.fail()
	}
	return h, r.finish()
}

// component is what is kept per replica beside its place in the clock.
type component struct {
	Seq   uint64
	Floor uint64 // highest seq whose unit the log no longer holds
	Run   delta.Run
	Past  []delta.Run // before Run; left out by the versions that did not keep it
}

func appendComponent(b []byte, c component) []byte {
	b = binary.AppendUvarint(append(b, valueVersion), c.Seq)
	b = binary.AppendUvarint(b, c.Floor)
	b = appendRun(b, c.Run)
	for _, run := range c.Past {
		b = appendRun(b, run)
	}
	return b
}

func appendRun(b []byte, run delta.Run) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, run.First), run.Nonce)
}

func (r *reader) run() delta.Run { return delta.Run{First: r.uint(), Nonce: r.uint()} }

func decodeComponent(b []byte) (component, error) {
	r := newReader(b)
	c := component{Seq: r.uint(), Floor: r.uint(), Run: r.run()}
	for len(r.b) > 0 && len(c.Past) < delta.MaxPast {
		c.Past = append(c.Past, r.run())
	}
	if c.Floor > c.Seq {
		r.fail()
	}
	return c, r.finish()
}

// meta is the state of a namespace copy that changes with every commit.
type meta struct {
	Replica  crdt.ReplicaID
	Commit   uint64 // number of the last commit
	HLC      crdt.Timestamp
	Digest   delta.Digest
	Objects  uint64 // objects with live content
	Entries  uint64 // live entries
	LogFirst uint64 // number of the oldest commit in the log
	LogBytes uint64
	// Joining: the copy was set aside for damage and begins again from nothing. It answers
	// nothing until its first complete join.
	Joining bool
	// OwnRuns are all runs of Replica that issued a seq, ascending by First.
	OwnRuns []delta.Run
}

func appendMeta(b []byte, m meta) []byte {
	b = append(b, valueVersion)
	for _, v := range []uint64{uint64(m.Replica), m.Commit, uint64(m.HLC)} {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, m.Digest[:]...)
	for _, v := range []uint64{m.Objects, m.Entries, m.LogFirst, m.LogBytes, count(m.Joining), uint64(len(m.OwnRuns))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, r := range m.OwnRuns {
		b = appendRun(b, r)
	}
	return b
}

func decodeMeta(b []byte) (meta, error) {
	r := newReader(b)
	m := meta{Replica: crdt.ReplicaID(r.uint()), Commit: r.uint(), HLC: crdt.Timestamp(r.uint())}
	if len(r.b) < len(m.Digest) {
		r.fail()
		return m, r.err
	}
	r.b = r.b[copy(m.Digest[:], r.b):]
	m.Objects, m.Entries, m.LogFirst, m.LogBytes = r.uint(), r.uint(), r.uint(), r.uint()
	m.Joining = r.uint() == 1
	for n := r.count(2); n > 0; n-- {
		m.OwnRuns = append(m.OwnRuns, r.run())
	}
	if m.Replica == 0 || m.Objects > m.Entries {
		r.fail()
	}
	return m, r.finish()
}

// amount is what one unit added to one counter: the operation behind the new total, kept with
// own units so that they can be issued again under another id.
type amount struct {
	Seq  uint64 // a seq of the unit
	Path crdt.Path
	P, N crdt.Uint128
}

// logRecord is what one commit did, in the order in which it was applied.
type logRecord struct {
	Time    time.Time
	Joined  bool        // a state was joined: what changed is not in Units
	Objects []crdt.Path // that were touched, ascending; those of pieces are in records of their own
	Units   []delta.Unit
	Amounts []amount // of own units
	Issuers []issuer // the runs of Units, where they are known
	Taken   []taken  // by own units
}

// taken is what a reset of this replica took of its own cell at one counter, which it then killed: no
// record says so, and another id could not say it again.
type taken struct {
	Seq     uint64 // a seq of the unit
	Path    crdt.Path
	Lineage uint64
	P, N    crdt.Uint128 // without the amounts that the unit itself added before
}

// issuer is a run of a replica.
type issuer struct {
	Replica crdt.ReplicaID
	Run     delta.Run
}

// issuerOf returns the run that issued u: the latest one that had begun.
func issuerOf(u delta.Unit, of []issuer) delta.Run {
	var run delta.Run
	for _, i := range of {
		if i.Replica == u.Origin && i.Run.First <= u.First && i.Run.First >= run.First {
			run = i.Run
		}
	}
	return run
}

func appendLogRecord(b []byte, l logRecord) []byte {
	b = binary.AppendUvarint(append(b, valueVersion), uint64(max(l.Time.Unix(), 0)))
	b = binary.AppendUvarint(b, count(l.Joined))
	b = binary.AppendUvarint(b, uint64(len(l.Objects)))
	for _, p := range l.Objects {
		b = appendBytes(b, []byte(p))
	}
	b = binary.AppendUvarint(b, uint64(len(l.Units)))
	for _, u := range l.Units {
		b = appendBytes(b, delta.AppendUnit(nil, u))
	}
	b = binary.AppendUvarint(b, uint64(len(l.Amounts)))
	for _, a := range l.Amounts {
		b = appendBytes(binary.AppendUvarint(b, a.Seq), []byte(a.Path))
		for _, v := range []uint64{a.P.Hi, a.P.Lo, a.N.Hi, a.N.Lo} {
			b = binary.AppendUvarint(b, v)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(l.Issuers)))
	for _, i := range l.Issuers {
		for _, v := range []uint64{uint64(i.Replica), i.Run.First, i.Run.Nonce} {
			b = binary.AppendUvarint(b, v)
		}
	}
	for _, t := range l.Taken {
		b = appendBytes(binary.AppendUvarint(b, t.Seq), []byte(t.Path))
		for _, v := range []uint64{t.Lineage, t.P.Hi, t.P.Lo, t.N.Hi, t.N.Lo} {
			b = binary.AppendUvarint(b, v)
		}
	}
	return b
}

func (r *reader) uint128() crdt.Uint128 { return crdt.Uint128{Hi: r.uint(), Lo: r.uint()} }

func decodeLogRecord(b []byte) (logRecord, error) {
	r := newReader(b)
	l := r.logHead()
	for n := r.count(2); n > 0; n-- {
		u, err := delta.DecodeUnit(r.bytes())
		if err != nil {
			return l, fmt.Errorf("%w: unit in the log: %w", ErrDamaged, err)
		}
		l.Units = append(l.Units, u)
	}
	for n := r.count(6); n > 0; n-- {
		a := amount{Seq: r.uint(), Path: crdt.Path(r.bytes())}
		a.P, a.N = r.uint128(), r.uint128()
		l.Amounts = append(l.Amounts, a)
	}
	for n := r.count(3); n > 0; n-- {
		l.Issuers = append(l.Issuers, issuer{crdt.ReplicaID(r.uint()), r.run()})
	}
	for len(r.b) > 0 { // nothing, in records of the versions that did not keep it
		t := taken{Seq: r.uint(), Path: crdt.Path(r.bytes()), Lineage: r.uint()}
		t.P, t.N = r.uint128(), r.uint128()
		l.Taken = append(l.Taken, t)
	}
	return l, r.finish()
}

// logHead reads what stands before the units of a log record.
func (r *reader) logHead() logRecord {
	l := logRecord{Time: time.Unix(int64(r.uint()), 0), Joined: r.uint() == 1}
	for n := r.count(2); n > 0; n-- {
		l.Objects = append(l.Objects, crdt.Path(r.bytes()))
	}
	return l
}

// decodeLogObjects returns the objects of a log record.
func decodeLogObjects(b []byte) ([]crdt.Path, error) {
	r := newReader(b)
	l := r.logHead()
	return l.Objects, r.err
}
