// Package delta holds what travels between replicas: units, each of which is what one atomic
// batch did, and the frames that carry them; and DotSet, the compressed sets of dots by which
// replicas find out how they differ. It is pure: no goroutine, clock, randomness or I/O.
//
// # Format
//
// Everything is msgpack. Frames, units, entries and kills are maps whose keys are small unsigned
// integers, ascending. There is one encoding of a value, and decoders refuse every other with
// ErrMalformed: integers and lengths in their shortest form, keys and replica ids ascending
// without duplicates, and a field that has its default is left out. Bytes behind the value are
// refused where nothing may follow. So decoding and encoding again yields the same bytes, and
// the same values have the same hash everywhere.
//
// Unknown fields have greater numbers than all known ones. They are kept as they came, in Extra,
// and written again in their place, for frames, units and entries; what is inside them is not
// looked into, but they must be well formed and nested at most 32 deep. Unknown kinds are kept.
// A kill has no room for unknown fields: who does not understand what a unit kills must not
// apply it. Nothing in a result shares memory with the input.
//
// A frame:
//
//	field  type                   default
//	0      uint                   none       version, 1; another one is ErrVersion
//	1      runs                   empty      of the origins in the frame
//	2      array of units         empty      at most MaxFrameUnits
//	3      any                    absent     reserved: signature of the sender
//	4      any                    absent     reserved: hash of the origin's previous unit
//
// A unit:
//
//	field  type                   default
//	0      uint                   in a frame, the origin of the unit before   origin
//	1      uint                   if that is the origin too, its last seq + 1 first seq
//	2      uint                   0          last seq − first seq
//	3      clock                  empty      what changed of the origin's clock
//	4      array of entries       empty
//	5      array of kills         empty
//	6      any                    absent     reserved: signature of the origin
//	7      any                    absent     reserved: hash of the origin's previous unit
//
// An entry stands in a unit, in the list of the entries of one path, or alone:
//
//	field  type  default in a unit          in a list               alone
//	0      uint  the origin, always         of the entry before     none   replica
//	1      uint  of the entry before, + 1   none                    none   seq, in a unit − its first seq
//	2      str   none                       the path, always        none   path
//	3      uint  none                       none                    none   kind, at most 255
//	4      uint  of the entry before        of the entry before     0      time
//	5      bin   empty                      empty                   empty  value
//	6      uint  0                          0                       0      deadline, if the kind may have one
//
// where the default seq of the first entry in a unit is the unit's first, its default time is 0,
// and the first entry of a list has no default replica and the default time 0. A deadline is in
// milliseconds since the Unix epoch, at most crdt.MaxDeadline; in entries of other kinds, and of
// those that are not known, field 6 is an unknown field.
//
// A kill:
//
//	field  type                   default
//	0      map id → gaps          empty      dots; id 0, which comes first, is the unit's origin
//	1      str                    empty      prefix of paths
//	2      clock                  empty      the dots that the prefix reaches
//
// where gaps are an array of uints: the distance of each seq from the one before, minus 1, the
// first from 0.
//
// The rest:
//
//	clock    map id → seq                          no id is 0, no seq is 0
//	runs     map id → [first seq, nonce]           no id is 0, no first seq is 0
//	dot set  map id → [gap, chunk, gap, chunk …]   no id is 0, no array is empty
//
// A chunk holds the seqs from 65,536·k to 65,536·k + 65,535; the gap is k minus the k of the
// chunk before, minus 1, the first from −1. A chunk is a bin: one byte for its form, then the
// seqs relative to the chunk, in the form that takes the fewest bytes, on a tie in the first of
// these. All numbers in it are little-endian.
//
//	0  runs   (first, length − 1) of each longest run, 2 bytes each
//	1  list   2 bytes each
//	2  dense  65,536 bits in 64-bit words
//
// Limits: MaxFrameBytes, MaxFrameUnits, MaxUnitBytes when decoding; MaxEntryValue and the limits
// of crdt.Path in Validate. A declared count is checked against the bytes that are left before
// anything is allocated for it; decoding takes at most some 64 times the memory of its input,
// and 8 MiB more for a frame of MaxFrameUnits units that say nothing.
package delta
