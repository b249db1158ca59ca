package delta

import "github.com/anabranchdb/anabranch/crdt"

// Fields of a unit. 6 and 7 are reserved, see doc.go.
const (
	unitOrigin = iota
	unitFirst
	unitSpan
	unitDeps
	unitEntries
	unitKills
)

// unitContext is the unit before this one in a frame: consecutive units of one origin repeat
// neither the origin nor the first seq.
type unitContext struct {
	origin crdt.ReplicaID
	last   uint64
}

func (c *unitContext) follows(u *Unit) bool { return u.Origin == c.origin && u.First == c.last+1 }

// AppendUnit appends u as it stands alone.
func AppendUnit(b []byte, u Unit) []byte {
	w := appendTo(b)
	w.unit(&u, &unitContext{})
	b, _ = w.done()
	return b
}

// DecodeUnit reads what AppendUnit wrote. It returns ErrTooLarge for more than MaxUnitBytes and
// ErrMalformed for what is not canonical, trailing bytes included. The unit shares no memory
// with b. It is well formed, not yet valid: see Validate.
func DecodeUnit(b []byte) (Unit, error) {
	if len(b) > MaxUnitBytes {
		return Unit{}, tooLarge("a unit of %d bytes", len(b))
	}
	r := reader{b: b}
	u := r.unit(&unitContext{})
	if err := r.finish(); err != nil {
		return Unit{}, err
	}
	return u, nil
}

// Size returns the number of bytes that AppendUnit appends.
func (u Unit) Size() int { return u.sizeAfter(&unitContext{}) }

func (u *Unit) sizeAfter(c *unitContext) int {
	w := counter()
	w.unit(u, c)
	_, n := w.done()
	return n
}

func (w *writer) unit(u *Unit, c *unitContext) {
	origin, first, span := u.Origin != c.origin, !c.follows(u), u.Last != u.First
	deps, entries, kills := len(u.Deps) > 0, len(u.Entries) > 0, len(u.Kills) > 0
	w.mapLen(one(origin) + one(first) + one(span) + one(deps) + one(entries) + one(kills) +
		extraFields(u.Extra))
	if origin {
		w.field(unitOrigin, uint64(u.Origin))
	}
	if first {
		w.field(unitFirst, u.First)
	}
	if span {
		w.field(unitSpan, u.Last-u.First)
	}
	if deps {
		w.uint(unitDeps)
		w.clock(u.Deps)
	}
	if entries {
		w.uint(unitEntries)
		w.arrayLen(len(u.Entries))
		c := entryContext{replica: u.Origin, base: u.First, inUnit: true}
		for i := range u.Entries {
			w.entry(&u.Entries[i], &c)
			c.after(&u.Entries[i])
		}
	}
	if kills {
		w.uint(unitKills)
		w.arrayLen(len(u.Kills))
		for i := range u.Kills {
			w.kill(&u.Kills[i], u.Origin)
		}
	}
	w.raw(u.Extra)
}

func (r *reader) unit(c *unitContext) Unit {
	u := Unit{Origin: c.origin, First: c.last + 1}
	f := r.fields()
	var span uint64
	sawFirst := false
	for k, ok := f.key(); ok; k, ok = f.key() {
		switch k {
		case unitOrigin:
			u.Origin = crdt.ReplicaID(r.uint())
			r.omit(u.Origin == c.origin, "origin")
		case unitFirst:
			u.First, sawFirst = r.uint(), true
			r.omit(c.follows(&u), "first seq")
		case unitSpan:
			span = r.uint()
			r.omit(span == 0, "span")
		case unitDeps:
			u.Deps = r.clock()
			r.omit(len(u.Deps) == 0, "dependencies")
		case unitEntries:
			u.Entries = r.entries(entryContext{replica: u.Origin, base: u.First, inUnit: true})
			r.omit(len(u.Entries) == 0, "entries")
		case unitKills:
			u.Kills = r.kills(u.Origin)
			r.omit(len(u.Kills) == 0, "kills")
		default:
			f.unknown()
		}
		if k >= unitSpan && (u.Origin == 0 || u.Origin != c.origin && !sawFirst) {
			r.fail("unit: without an origin or a first seq")
		}
	}
	u.Extra = f.rest()
	u.Last = u.First + span
	if r.err == nil && (u.Origin == 0 || u.Origin != c.origin && !sawFirst || u.First == 0 || u.Last < u.First) {
		r.fail("unit: origin %v, seqs %d to %d", u.Origin, u.First, u.Last)
	}
	return u
}
