package crdt

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// CheckValue returns ErrTooLarge or ErrNotJSON for a value that no register, item of a list or announcement may
// hold: readers put it into what they answer as it is.
func CheckValue(value []byte) error {
	switch {
	case len(value) > MaxValueBytes:
		return ErrTooLarge
	case !json.Valid(value) || !utf8.Valid(value):
		return ErrNotJSON
	}
	return nil
}

// Assign writes value to the register at path: it adds one entry and kills those that are live
// and covered by seen; nil stands for everything live here. The edit keeps value, which must
// not be written afterwards.
func Assign(live []Entry, path Path, at Dot, t Timestamp, value []byte, seen VersionVector) Edit {
	e := Entry{Dot: at, Path: path, Kind: KindValue, Time: t, Value: value}
	return Edit{Add: []Entry{e}, Kill: superseded(live, seen)}
}

// RegisterValues returns the values of a register: more than one when writes were concurrent.
// The newest is first and is the register's value. The slice is new and shares the values.
func RegisterValues(live []Entry) [][]byte {
	es := slices.Clone(live)
	SortNewest(es)
	var values [][]byte
	for _, e := range es {
		if e.Kind == KindValue {
			values = append(values, e.Value)
		}
	}
	return values
}
