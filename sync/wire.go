package sync

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// fieldWriter encodes into a buffer, which cannot fail.
type fieldWriter struct{ enc *msgpack.Encoder }

func (w fieldWriter) open(k kind, fields int) {
	must(w.enc.EncodeArrayLen(3))
	must(w.enc.EncodeUint(ProtocolVersion))
	must(w.enc.EncodeUint(uint64(k)))
	must(w.enc.EncodeMapLen(fields))
}

func (w fieldWriter) field(key int, v any) {
	must(w.enc.EncodeUint(uint64(key)))
	switch v := v.(type) {
	case uint64:
		must(w.enc.EncodeUint(v))
	case []byte:
		must(w.enc.EncodeBytes(v))
	case []uint64:
		must(w.enc.EncodeArrayLen(len(v)))
		for _, x := range v {
			must(w.enc.EncodeUint(x))
		}
	}
}

func must(err error) {
	if err != nil {
		panic("sync: encoding into memory: " + err.Error())
	}
}

// decode reads one message. It returns ErrMalformed or ErrVersion, and a nil message without
// an error for a kind that is to be skipped. The message shares no memory with data.
func decode(data []byte) (*message, error) {
	if len(data) > MaxMessageBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(data))
	}
	r := bytes.NewReader(data)
	m, err := decodeFrom(reader{Decoder: msgpack.NewDecoder(r), in: r})
	switch {
	case errors.Is(err, ErrVersion), errors.Is(err, ErrMalformed):
		return nil, err
	case err != nil:
		return nil, malformed(err)
	case r.Len() != 0:
		return nil, fmt.Errorf("%w: %d bytes too many", ErrMalformed, r.Len())
	case m.kind >= firstSkippable:
		return nil, nil
	}
	return m, nil
}

func malformed(err error) error {
	if err == nil {
		return ErrMalformed
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func decodeFrom(r reader) (*message, error) {
	if n, err := r.DecodeArrayLen(); err != nil || n != 3 {
		return nil, malformed(err)
	}
	version, err := r.number()
	if err != nil {
		return nil, err
	}
	if version < 1 || version > ProtocolVersion+1 {
		return nil, fmt.Errorf("%w: version %d", ErrVersion, version)
	}
	k, err := r.number()
	if err != nil || k > 127 {
		return nil, malformed(err)
	}
	n, err := r.DecodeMapLen()
	if err != nil || n < 0 || n > 127 {
		return nil, malformed(err)
	}
	m := &message{kind: kind(k)}
	last := uint64(0)
	for range n {
		key, err := r.number()
		if err != nil || key <= last || key > 127 {
			return nil, malformed(err)
		}
		last = key
		if err := r.field(m, key); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// reader knows how much is left, so that no length is believed that cannot be true.
type reader struct {
	*msgpack.Decoder
	in *bytes.Reader
}

func (r reader) field(m *message, key uint64) error {
	v, err := r.value()
	if err != nil || m.kind >= firstSkippable {
		return err
	}
	known, err := m.take(key, v)
	if err == nil && !known && key < firstSkippable {
		err = fmt.Errorf("%w: kind %d, field %d", ErrVersion, m.kind, key)
	}
	return err
}

// number reads an unsigned integer in its shortest form or any other.
func (r reader) number() (uint64, error) {
	c, err := r.PeekCode()
	if err != nil {
		return 0, err
	}
	if !isUint(c) {
		return 0, fmt.Errorf("%w: code %#x, want a number", ErrMalformed, c)
	}
	return r.DecodeUint64()
}

func isUint(c byte) bool {
	return c <= msgpcode.PosFixedNumHigh || c == msgpcode.Uint8 || c == msgpcode.Uint16 ||
		c == msgpcode.Uint32 || c == msgpcode.Uint64
}

// fieldValue is a decoded field of any shape.
type fieldValue struct {
	shape byte // 'n', 'a' or 'b'
	n     uint64
	a     []uint64
	b     []byte
}

func (r reader) value() (fieldValue, error) {
	c, err := r.PeekCode()
	if err != nil {
		return fieldValue{}, err
	}
	switch {
	case isUint(c):
		n, err := r.DecodeUint64()
		return fieldValue{shape: 'n', n: n}, err
	case msgpcode.IsBin(c):
		b, err := r.bytes()
		return fieldValue{shape: 'b', b: b}, err
	case msgpcode.IsFixedArray(c), c == msgpcode.Array16, c == msgpcode.Array32:
		a, err := r.array()
		return fieldValue{shape: 'a', a: a}, err
	}
	return fieldValue{}, fmt.Errorf("%w: code %#x", ErrMalformed, c)
}

func (r reader) bytes() ([]byte, error) {
	n, err := r.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > r.in.Len() {
		return nil, fmt.Errorf("%w: %d bytes announced, %d left", ErrMalformed, n, r.in.Len())
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r.in, b)
	return b, err
}

func (r reader) array() ([]uint64, error) {
	n, err := r.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > r.in.Len() {
		return nil, fmt.Errorf("%w: %d numbers announced, %d bytes left", ErrMalformed, n, r.in.Len())
	}
	a := make([]uint64, n)
	for i := range a {
		if a[i], err = r.number(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

var errShape = fmt.Errorf("%w: shape", ErrMalformed)

func (v fieldValue) number() (uint64, error) {
	if v.shape != 'n' {
		return 0, errShape
	}
	return v.n, nil
}

// raw returns the bytes; want is their number, or -1 for any.
func (v fieldValue) raw(want int) ([]byte, error) {
	if v.shape != 'b' || want >= 0 && len(v.b) != want {
		return nil, errShape
	}
	return v.b, nil
}

// list returns the numbers; their count must be a multiple of n.
func (v fieldValue) list(n int) ([]uint64, error) {
	if v.shape != 'a' || len(v.a)%n != 0 {
		return nil, errShape
	}
	return v.a, nil
}

func (v fieldValue) clock() ([]component, error) {
	a, err := v.list(2)
	if err != nil {
		return nil, err
	}
	cs := make([]component, 0, len(a)/2)
	for i := 0; i < len(a); i += 2 {
		c := component{Replica: crdt.ReplicaID(a[i]), Seq: a[i+1]}
		if c.Replica == 0 || c.Seq > maxSeq {
			return nil, fmt.Errorf("%w: component %v:%d", ErrMalformed, c.Replica, c.Seq)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

func (v fieldValue) runs() ([]told, error) {
	a, err := v.list(3)
	if err != nil {
		return nil, err
	}
	ts := make([]told, 0, len(a)/3)
	for i := 0; i < len(a); i += 3 {
		t := told{Replica: crdt.ReplicaID(a[i]), Run: delta.Run{First: a[i+1], Nonce: a[i+2]}}
		if t.Replica == 0 || t.Run.First > maxSeq {
			return nil, fmt.Errorf("%w: run of %v", ErrMalformed, t.Replica)
		}
		ts = append(ts, t)
	}
	return ts, nil
}

func (v fieldValue) nodes() ([]node, error) {
	a, err := v.list(3)
	if err != nil {
		return nil, err
	}
	ns := make([]node, 0, len(a)/3)
	for i := 0; i < len(a); i += 3 {
		n := node{replica: crdt.ReplicaID(a[i]), level: uint8(a[i+1]), index: a[i+2]}
		if a[i+1] > maxLevel {
			return nil, fmt.Errorf("%w: level %d", ErrMalformed, a[i+1])
		}
		ns = append(ns, n)
	}
	return ns, nil
}
