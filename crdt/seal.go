package crdt

import (
	"encoding/binary"
	"slices"
)

// System is the type of what replicas tell each other by entries: no object of any reader, and
// never visible.
const System Type = 'z'

// KindSeal is the kind of a seal; see Seal.
const KindSeal Kind = 0x88

// Seal is the value of a KindSeal entry: a replica id has issued its last seq and never returns. From
// then on its heir does what only that replica could: see Inherit.
type Seal struct {
	Final uint64 // the last seq
	Heir  ReplicaID
}

// SealPath returns where the seals of a replica stand.
func SealPath(r ReplicaID) Path { return Seals.Member(r.String()) }

// Seals is the prefix of all paths of seals.
var Seals = Object(System, "seals").Leaf(System)

// SealedAt returns the replica whose seals stand at p, and false if p is another path.
func SealedAt(p Path) (ReplicaID, bool) {
	if !Seals.Contains(p) {
		return 0, false
	}
	parts, err := p.Parse()
	if err != nil {
		return 0, false
	}
	r, err := ParseReplicaID(parts.Member)
	return r, err == nil
}

// Encode returns the canonical encoding: the last seq as a varint, and the heir in 8 bytes, big-endian.
func (s Seal) Encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 12), s.Final)
	return binary.BigEndian.AppendUint64(b, uint64(s.Heir))
}

// DecodeSeal is the inverse of Encode. It returns an error that wraps ErrDamaged for every other input.
func DecodeSeal(b []byte) (Seal, error) {
	d := decoder{b: b}
	s := Seal{Final: d.lineage(), Heir: d.replica()}
	if err := d.end(); err != nil {
		return Seal{}, err
	}
	return s, nil
}

// SealOf returns the seal that counts among the live entries at one path: that with the greatest last
// seq, of several the newest. The error wraps ErrDamaged.
func SealOf(live []Entry) (seal Seal, sealed bool, err error) {
	live = slices.Clone(live)
	SortNewest(live)
	for _, e := range live {
		if e.Kind != KindSeal {
			continue
		}
		s, err := DecodeSeal(e.Value)
		if err != nil {
			return Seal{}, false, err
		}
		if !sealed || s.Final > seal.Final {
			seal, sealed = s, true
		}
	}
	return seal, sealed, nil
}

// Close writes a seal at path, in the place of those that are live there.
func (s Seal) Close(live []Entry, path Path, at Dot, t Timestamp) Edit {
	var edit Edit
	for _, e := range live {
		if e.Kind == KindSeal {
			edit.Kill = append(edit.Kill, e.Dot)
		}
	}
	slices.SortFunc(edit.Kill, Dot.Compare)
	edit.Add = []Entry{{Dot: at, Path: path, Kind: KindSeal, Time: t, Value: s.Encode()}}
	return edit
}

// Inherit is what the heir of a sealed replica does at path in its place, once the heir's clock stands at
// the last seq: of a counter it kills the cells that are fully reset, and the reset records that say
// nothing about a live cell. Before that seq, or for an id that returns, it would bring back what was
// reset: a cell that is still to come would count from its beginning.
func Inherit(live []Entry, path Path, sealed ReplicaID) Edit {
	if path.LeafType() != Counter {
		return Edit{}
	}
	return purgeCounter(live, sealed)
}
