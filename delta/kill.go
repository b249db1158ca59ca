package delta

import (
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Fields of a kill. There is no room for unknown ones: a replica that does not understand what
// a unit kills must not apply it.
const (
	killDots = iota
	killPrefix
	killClock
)

const minKillBytes = 3

func (w *writer) kill(k *Kill, origin crdt.ReplicaID) {
	dots, prefix, clock := len(k.Dots) > 0, k.Prefix != "", len(k.Clock) > 0
	w.mapLen(one(dots) + one(prefix) + one(clock))
	if dots {
		w.uint(killDots)
		w.dots(k.Dots, origin)
	}
	if prefix {
		w.uint(killPrefix)
		w.str(string(k.Prefix))
	}
	if clock {
		w.uint(killClock)
		w.clock(k.Clock)
	}
}

func (r *reader) kills(origin crdt.ReplicaID) []Kill {
	n := r.arrayLen(minKillBytes)
	ks := make([]Kill, 0, n)
	for ; n > 0 && r.err == nil; n-- {
		ks = append(ks, r.kill(origin))
	}
	return ks
}

func (r *reader) kill(origin crdt.ReplicaID) Kill {
	var k Kill
	f := r.fields()
	for key, ok := f.key(); ok; key, ok = f.key() {
		switch key {
		case killDots:
			k.Dots = r.dots(origin)
			r.omit(len(k.Dots) == 0, "dots")
		case killPrefix:
			k.Prefix = crdt.Path(r.str())
			r.omit(k.Prefix == "", "prefix")
		case killClock:
			k.Clock = r.clock()
			r.omit(len(k.Clock) == 0, "clock")
		default:
			r.fail("kill: unknown field %d", key)
		}
	}
	return k
}

// dots writes ascending dots as a map from replica id to gaps: how many seqs lie between a dot
// and the one before it, from 0. The origin's own group comes first, under id 0.
func (w *writer) dots(ds []crdt.Dot, origin crdt.ReplicaID) {
	n := 0
	for i := range ds {
		n += one(i == 0 || ds[i].Replica != ds[i-1].Replica)
	}
	w.mapLen(n)
	own, ownEnd := replicaGroup(ds, origin)
	if own < ownEnd {
		w.dotGroup(0, ds[own:ownEnd])
	}
	for i, j := 0, 0; i < len(ds); i = j {
		for j = i + 1; j < len(ds) && ds[j].Replica == ds[i].Replica; j++ {
		}
		if i != own || own == ownEnd {
			w.dotGroup(ds[i].Replica, ds[i:j])
		}
	}
}

func (w *writer) dotGroup(id crdt.ReplicaID, ds []crdt.Dot) {
	w.uint(uint64(id))
	w.arrayLen(len(ds))
	var last uint64
	for _, d := range ds {
		w.uint(d.Seq - last - 1)
		last = d.Seq
	}
}

// replicaGroup returns the bounds of the dots of r in ascending dots.
func replicaGroup(ds []crdt.Dot, r crdt.ReplicaID) (from, to int) {
	from, _ = slices.BinarySearchFunc(ds, crdt.Dot{Replica: r}, crdt.Dot.Compare)
	for to = from; to < len(ds) && ds[to].Replica == r; to++ {
	}
	return from, to
}

func (r *reader) dots(origin crdt.ReplicaID) []crdt.Dot {
	n := r.mapLen(3)
	var own, ds []crdt.Dot
	var last crdt.ReplicaID
	for first := true; n > 0 && r.err == nil; n, first = n-1, false {
		id := crdt.ReplicaID(r.uint())
		if id == origin || !first && id <= last {
			r.fail("dots: want ascending replica ids, the origin as 0")
			return nil
		}
		if last = id; id == 0 {
			own = r.dotGroup(nil, origin)
		} else {
			ds = r.dotGroup(ds, id)
		}
	}
	if len(own) == 0 || len(ds) == 0 {
		return append(own, ds...)
	}
	at, _ := replicaGroup(ds, origin)
	return slices.Insert(ds, at, own...)
}

func (r *reader) dotGroup(ds []crdt.Dot, id crdt.ReplicaID) []crdt.Dot {
	n := r.arrayLen(1)
	r.omit(n == 0, "group of dots")
	ds = slices.Grow(ds, n) // each takes at least a byte
	var last uint64
	for ; n > 0 && r.err == nil; n-- {
		seq := last + r.uint() + 1
		if seq <= last {
			r.fail("dots: seq overflows")
		}
		ds = append(ds, crdt.Dot{Replica: id, Seq: seq})
		last = seq
	}
	return ds
}
