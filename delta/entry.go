package delta

import (
	"bytes"

	"github.com/anabranchdb/anabranch/crdt"
)

// Fields of an entry.
const (
	entryReplica = iota
	entrySeq
	entryPath
	entryKind
	entryTime
	entryValue
	entryExpires // of kinds that may have a deadline
)

// minEntryBytes is the least size of an entry: a kind, and a path or a seq.
const minEntryBytes = 5

// entryContext holds what an entry need not repeat: a field that equals its value here is
// omitted, and must be. The zero context omits nothing that an entry must have.
type entryContext struct {
	replica crdt.ReplicaID
	base    uint64    // seqs are written as their distance from base
	next    uint64    // the distance that is expected
	path    crdt.Path // of all entries of the list, "" if each has its own
	time    crdt.Timestamp
	inUnit  bool // seqs count up
}

func (c *entryContext) after(e *crdt.Entry) {
	c.replica, c.time = e.Dot.Replica, e.Time
	if c.inUnit {
		c.next = e.Dot.Seq - c.base + 1
	}
}

// AppendEntry appends e with its path and its whole dot.
func AppendEntry(b []byte, e crdt.Entry) []byte {
	w := appendTo(b)
	w.entry(&e, &entryContext{})
	b, _ = w.done()
	return b
}

// DecodeEntry reads what AppendEntry wrote and returns the bytes behind it. The entry shares no
// memory with b. Its path is not taken apart: see Validate and crdt.Path.Parse.
func DecodeEntry(b []byte) (crdt.Entry, []byte, error) {
	r := reader{b: b}
	e := r.entry(&entryContext{})
	if r.err != nil {
		return crdt.Entry{}, nil, r.err
	}
	return e, b[r.pos:], nil
}

// AppendEntries appends the entries of one path, without the path, in the order given.
func AppendEntries(b []byte, es []crdt.Entry) []byte {
	w := appendTo(b)
	w.arrayLen(len(es))
	var c entryContext
	for i := range es {
		c.path = es[i].Path
		w.entry(&es[i], &c)
		c.after(&es[i])
	}
	b, _ = w.done()
	return b
}

// DecodeEntries reads what AppendEntries wrote for path. Bytes behind it are ErrMalformed. The
// entries share no memory with b.
func DecodeEntries(b []byte, path crdt.Path) ([]crdt.Entry, error) {
	r := reader{b: b}
	es := r.entries(entryContext{path: path})
	if err := r.finish(); err != nil {
		return nil, err
	}
	return es, nil
}

func (r *reader) entries(c entryContext) []crdt.Entry {
	n := r.arrayLen(minEntryBytes)
	es := make([]crdt.Entry, 0, n)
	for ; n > 0 && r.err == nil; n-- {
		es = append(es, r.entry(&c))
		c.after(&es[len(es)-1])
	}
	return es
}

func (w *writer) entry(e *crdt.Entry, c *entryContext) {
	replica, seq := e.Dot.Replica != c.replica, e.Dot.Seq-c.base != c.next
	path, time, value := e.Path != c.path, e.Time != c.time, len(e.Value) > 0
	expires := e.Expires != 0
	w.mapLen(1 + one(replica) + one(seq) + one(path) + one(time) + one(value) + one(expires) + extraFields(e.Extra))
	if replica {
		w.field(entryReplica, uint64(e.Dot.Replica))
	}
	if seq {
		w.field(entrySeq, e.Dot.Seq-c.base)
	}
	if path {
		w.uint(entryPath)
		w.str(string(e.Path))
	}
	w.field(entryKind, uint64(e.Kind))
	if time {
		w.field(entryTime, uint64(e.Time))
	}
	if value {
		w.uint(entryValue)
		w.bin(e.Value)
	}
	if expires {
		w.field(entryExpires, uint64(e.Expires))
	}
	w.raw(e.Extra)
}

func (r *reader) entry(c *entryContext) crdt.Entry {
	e := crdt.Entry{
		Dot:  crdt.Dot{Replica: c.replica, Seq: c.base + c.next},
		Path: c.path,
		Time: c.time,
	}
	f := r.fields()
	for k, ok := f.key(); ok; k, ok = f.key() {
		switch k {
		case entryReplica:
			e.Dot.Replica = crdt.ReplicaID(r.uint())
			r.omit(e.Dot.Replica == c.replica || c.inUnit, "replica")
		case entrySeq:
			e.Dot.Seq = c.base + r.uint()
			r.omit(e.Dot.Seq-c.base == c.next, "seq")
		case entryPath:
			r.omit(c.path != "", "path")
			e.Path = crdt.Path(r.str())
		case entryKind:
			k := r.uint()
			if e.Kind = crdt.Kind(k); uint64(e.Kind) != k {
				r.fail("entry: kind %d", k)
			}
		case entryTime:
			e.Time = crdt.Timestamp(r.uint())
			r.omit(e.Time == c.time, "time")
		case entryValue:
			e.Value = bytes.Clone(r.bin())
			r.omit(len(e.Value) == 0, "value")
		case entryExpires:
			if !e.Kind.MayExpire() {
				f.unknown()
				break
			}
			if e.Expires = crdt.Deadline(r.uint()); e.Expires > crdt.MaxDeadline {
				r.fail("entry: deadline %d", e.Expires)
			}
			r.omit(e.Expires == 0, "deadline")
		default:
			f.unknown()
		}
	}
	e.Extra = f.rest()
	if r.err == nil && (e.Dot.Replica == 0 || e.Dot.Seq == 0 || e.Path == "" || e.Kind == 0) {
		r.fail("entry: without a dot, a path or a kind")
	}
	return e
}

// omit fails when a field is there that the canonical form leaves out.
func (r *reader) omit(redundant bool, field string) {
	if redundant {
		r.fail("redundant %s", field)
	}
}
