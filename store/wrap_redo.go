package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
)

// The redo record of a WrappedBackend, version 1:
//
//	record = "ABR1" count op… checksum
//	op     = kind key            of OpDelete
//	       | kind key value      of OpPut
//	       | kind lower upper    of OpDeleteRange
//
// kind is a byte, count a uvarint, keys and values have their length before them as a uvarint. The
// checksum is the CRC-32C of all before it, little-endian.
const redoMagic = "ABR1"

const checksumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeRedo(b *Batch) []byte {
	record := make([]byte, 0, b.Bytes()+16*(b.Len()+1))
	record = append(record, redoMagic...)
	record = binary.AppendUvarint(record, uint64(b.Len()))
	for _, o := range b.ops {
		record = append(record, byte(o.Kind))
		record = appendBytes(record, o.Key)
		switch o.Kind {
		case OpPut:
			record = appendBytes(record, o.Value)
		case OpDeleteRange:
			record = appendBytes(record, o.Upper)
		}
	}
	return withChecksum(record)
}

func withChecksum(record []byte) []byte {
	return binary.LittleEndian.AppendUint32(record, crc32.Checksum(record, castagnoli))
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeRedo returns the batch of a record. Its values share memory with it. It returns an error
// that wraps ErrDamaged if a single bit of the record is not what encodeRedo wrote.
func decodeRedo(record []byte) (*Batch, error) {
	n := len(record) - checksumBytes
	if n < len(redoMagic) || string(record[:len(redoMagic)]) != redoMagic {
		return nil, fmt.Errorf("%w: redo record: unknown format", ErrDamaged)
	}
	if binary.LittleEndian.Uint32(record[n:]) != crc32.Checksum(record[:n], castagnoli) {
		return nil, fmt.Errorf("%w: redo record: checksum", ErrDamaged)
	}
	r := redoReader{rest: record[len(redoMagic):n]}
	b := &Batch{}
	for count := r.uvarint(); count > 0 && !r.bad; count-- {
		switch kind := OpKind(r.byte()); kind {
		case OpPut:
			key := string(r.bytes())
			b.Put(key, r.bytes())
		case OpDelete:
			b.Delete(string(r.bytes()))
		case OpDeleteRange:
			lower := string(r.bytes())
			b.DeleteRange(lower, string(r.bytes()))
		default:
			r.bad = true
		}
	}
	if r.bad || len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: redo record: malformed", ErrDamaged)
	}
	return b, nil
}

// redoReader reads from rest, and only zeros once it has gone bad.
type redoReader struct {
	rest []byte
	bad  bool
}

func (r *redoReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *redoReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.take(uint64(max(n, 0)))
	r.bad = r.bad || n <= 0
	return v
}

func (r *redoReader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *redoReader) bytes() []byte { return r.take(r.uvarint()) }

// resolve returns what b comes to: one Put or Delete for each key that it changes, ascending.
func (w *WrappedBackend) resolve(b *Batch) ([]Op, error) {
	last := make(map[string]Op, b.Len())
	for _, o := range b.ops {
		if o.Kind != OpDeleteRange {
			last[o.Key] = o
			continue
		}
		for key := range last {
			if o.Key <= key && key < o.Upper {
				last[key] = Op{Kind: OpDelete, Key: key}
			}
		}
		present, err := w.keys(o.Key, o.Upper)
		if err != nil {
			return nil, err
		}
		for _, key := range present {
			last[key] = Op{Kind: OpDelete, Key: key}
		}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b Op) int { return strings.Compare(a.Key, b.Key) }), nil
}
