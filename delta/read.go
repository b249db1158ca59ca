package delta

import (
	"encoding/binary"
	"math"
)

// reader is a cursor over canonical msgpack. It accepts only the shortest form of each integer
// and length, so that whatever it accepts is what writer would have written. The first error
// sticks, and every read after it returns zero: loops end because nothing is left.
//
// The library's decoder reads the same bytes (TestLibraryReadsOurBytes), but it accepts every
// other form as well, so that what it read would have to be encoded again and compared.
type reader struct {
	b   []byte
	pos int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = malformed(format, args...)
	}
	r.pos = len(r.b)
}

func (r *reader) left() int { return len(r.b) - r.pos }

// take returns the next n bytes, which belong to the input.
func (r *reader) take(n uint64) []byte {
	if n > uint64(r.left()) {
		r.fail("truncated")
		return nil
	}
	p := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return p
}

func (r *reader) byte() byte {
	if r.pos >= len(r.b) {
		r.fail("truncated")
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

// be reads a big-endian number of size bytes that must be at least min.
func (r *reader) be(size int, min uint64) uint64 {
	p := r.take(uint64(size))
	if p == nil {
		return 0
	}
	var v uint64
	switch size {
	case 1:
		v = uint64(p[0])
	case 2:
		v = uint64(binary.BigEndian.Uint16(p))
	case 4:
		v = uint64(binary.BigEndian.Uint32(p))
	default:
		v = binary.BigEndian.Uint64(p)
	}
	if v < min {
		r.fail("integer or length not in its shortest form")
		return 0
	}
	return v
}

func (r *reader) uint() uint64 {
	switch c := r.byte(); {
	case c <= 0x7f:
		return uint64(c)
	case c == 0xcc:
		return r.be(1, 1<<7)
	case c == 0xcd:
		return r.be(2, 1<<8)
	case c == 0xce:
		return r.be(4, 1<<16)
	case c == 0xcf:
		return r.be(8, 1<<32)
	default:
		r.fail("want an unsigned integer, got code %#02x", c)
		return 0
	}
}

// bounded checks a declared count against the bytes that are left: each item has at least
// itemBytes. It is what every allocation rests on.
func (r *reader) bounded(n uint64, itemBytes int) int {
	if n > uint64(r.left()/itemBytes) {
		r.fail("%d items declared, %d bytes left", n, r.left())
		return 0
	}
	return int(n)
}

// mapLen reads the header of a map; itemBytes is the least size of a key and its value.
func (r *reader) mapLen(itemBytes int) int {
	switch c := r.byte(); {
	case c&0xf0 == 0x80:
		return r.bounded(uint64(c&0x0f), itemBytes)
	case c == 0xde:
		return r.bounded(r.be(2, 16), itemBytes)
	case c == 0xdf:
		return r.bounded(r.be(4, 1<<16), itemBytes)
	default:
		r.fail("want a map, got code %#02x", c)
		return 0
	}
}

// arrayLen reads the header of an array; itemBytes is the least size of an item.
func (r *reader) arrayLen(itemBytes int) int {
	switch c := r.byte(); {
	case c&0xf0 == 0x90:
		return r.bounded(uint64(c&0x0f), itemBytes)
	case c == 0xdc:
		return r.bounded(r.be(2, 16), itemBytes)
	case c == 0xdd:
		return r.bounded(r.be(4, 1<<16), itemBytes)
	default:
		r.fail("want an array, got code %#02x", c)
		return 0
	}
}

// str returns a copy.
func (r *reader) str() string {
	switch c := r.byte(); {
	case c&0xe0 == 0xa0:
		return string(r.take(uint64(c & 0x1f)))
	case c == 0xd9:
		return string(r.take(r.be(1, 32)))
	case c == 0xda:
		return string(r.take(r.be(2, 1<<8)))
	case c == 0xdb:
		return string(r.take(r.be(4, 1<<16)))
	default:
		r.fail("want a string, got code %#02x", c)
		return ""
	}
}

// bin returns bytes that belong to the input.
func (r *reader) bin() []byte {
	switch c := r.byte(); c {
	case 0xc4:
		return r.take(r.be(1, 0))
	case 0xc5:
		return r.take(r.be(2, 1<<8))
	case 0xc6:
		return r.take(r.be(4, 1<<16))
	default:
		r.fail("want bytes, got code %#02x", c)
		return nil
	}
}

// skip passes over any one value, which is kept by the caller and not looked into: only its
// extent must be well formed.
func (r *reader) skip(depth int) {
	if depth == 0 {
		r.fail("nested too deep")
		return
	}
	switch c := r.byte(); {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small integers, nil, booleans
	case c&0xf0 == 0x80:
		r.skipItems(2*uint64(c&0x0f), depth)
	case c&0xf0 == 0x90:
		r.skipItems(uint64(c&0x0f), depth)
	case c&0xe0 == 0xa0:
		r.take(uint64(c & 0x1f))
	case c == 0xc1:
		r.fail("reserved code 0xc1")
	default:
		r.skipLong(c, depth)
	}
}

// skipLong handles the codes 0xc4 to 0xdf.
func (r *reader) skipLong(c byte, depth int) {
	switch c {
	case 0xc4, 0xd9:
		r.take(r.be(1, 0))
	case 0xc5, 0xda:
		r.take(r.be(2, 0))
	case 0xc6, 0xdb:
		r.take(r.be(4, 0))
	case 0xc7, 0xc8, 0xc9: // ext: length, type, data
		r.take(r.be(1<<(c-0xc7), 0) + 1)
	case 0xca, 0xce, 0xd2:
		r.take(4)
	case 0xcb, 0xcf, 0xd3:
		r.take(8)
	case 0xcc, 0xd0:
		r.take(1)
	case 0xcd, 0xd1:
		r.take(2)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext: type, data
		r.take(1 + 1<<(c-0xd4))
	case 0xdc:
		r.skipItems(r.be(2, 0), depth)
	case 0xdd:
		r.skipItems(r.be(4, 0), depth)
	case 0xde:
		r.skipItems(2*r.be(2, 0), depth)
	case 0xdf:
		r.skipItems(2*r.be(4, 0), depth)
	}
}

func (r *reader) skipItems(n uint64, depth int) {
	for i := r.bounded(n, 1); i > 0 && r.err == nil; i-- {
		r.skip(depth - 1)
	}
}

// fields walks a map whose keys are unsigned integers in ascending order. Keys that the caller
// does not know are greater than all that it knows, so they are one run at the end of the map:
// extra returns it.
type fields struct {
	r     *reader
	n     int
	next  uint64 // least key that may follow
	at    int    // position of the current key
	extra int    // position of the first unknown key
}

func (r *reader) fields() fields { return fields{r: r, n: r.mapLen(2), extra: -1} }

// key returns the next key, or false at the end of the map and after an error.
func (f *fields) key() (uint64, bool) {
	if f.n == 0 || f.r.err != nil {
		return 0, false
	}
	f.n--
	f.at = f.r.pos
	k := f.r.uint()
	if f.r.err == nil && (k < f.next || k == math.MaxUint64) {
		f.r.fail("fields out of order")
	}
	f.next = k + 1
	return k, f.r.err == nil
}

// unknown passes over the value of a key that the caller does not know.
func (f *fields) unknown() {
	if f.extra < 0 {
		f.extra = f.at
	}
	f.r.skip(maxSkipDepth)
}

// rest returns a copy of the unknown fields, nil when there are none.
func (f *fields) rest() []byte {
	if f.extra < 0 || f.r.err != nil {
		return nil
	}
	return append([]byte(nil), f.r.b[f.extra:f.r.pos]...)
}

// finish returns the first error, or ErrMalformed when bytes are left.
func (r *reader) finish() error {
	if r.err == nil && r.left() > 0 {
		r.fail("%d trailing bytes", r.left())
	}
	return r.err
}
