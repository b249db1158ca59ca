package crdt

import (
	"maps"
	"slices"
)

// Ordering is the causal relation of two version vectors.
type Ordering int

// The four causal relations.
const (
	Equal Ordering = iota
	Before
	After
	Concurrent
)

// String returns the relation's name in lower case.
func (o Ordering) String() string {
	return [...]string{"equal", "before", "after", "concurrent"}[o]
}

// VersionVector is the clock of a replica: for every replica the highest seq that was applied.
// A missing component is 0, and no component is ever stored as 0. The zero value is an empty
// clock that can be read but not written.
type VersionVector map[ReplicaID]uint64

// Covers reports whether d ≤ v.
func (v VersionVector) Covers(d Dot) bool { return d.Seq <= v[d.Replica] }

// CoversAll reports whether o ≤ v, component by component.
func (v VersionVector) CoversAll(o VersionVector) bool {
	for r, s := range o {
		if v[r] < s {
			return false
		}
	}
	return true
}

// Compare returns how v stands to o: Before means v < o.
func (v VersionVector) Compare(o VersionVector) Ordering {
	switch le, ge := o.CoversAll(v), v.CoversAll(o); {
	case le && ge:
		return Equal
	case le:
		return Before
	case ge:
		return After
	default:
		return Concurrent
	}
}

// Clone returns a copy that shares nothing with v and can be written.
func (v VersionVector) Clone() VersionVector {
	c := make(VersionVector, len(v)+1)
	maps.Copy(c, v)
	return c
}

// Merge raises v to the pointwise maximum of v and o, in place.
func (v VersionVector) Merge(o VersionVector) {
	for r, s := range o {
		if v[r] < s {
			v[r] = s
		}
	}
}

// Min returns the pointwise minimum of v and o in a new vector.
func (v VersionVector) Min(o VersionVector) VersionVector {
	m := make(VersionVector)
	for r, s := range v {
		if t := min(s, o[r]); t > 0 {
			m[r] = t
		}
	}
	return m
}

// Missing returns how many dots o covers and v does not: Σ over replicas of max(0, o − v).
func (v VersionVector) Missing(o VersionVector) uint64 {
	var n uint64
	for r, s := range o {
		if t := v[r]; s > t {
			n += s - t
		}
	}
	return n
}

// Replicas returns the replicas with a component, ascending.
func (v VersionVector) Replicas() []ReplicaID {
	return slices.Sorted(maps.Keys(v))
}
