package delta

import (
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// writer is a msgpack encoder that appends to a slice. Appending cannot fail, so the errors of
// the encoder are dropped here and nowhere else.
type writer struct {
	enc   *msgpack.Encoder
	buf   []byte
	count bool // only count: buf stays as it is
	n     int  // bytes written so far

	scratch []byte // for what is encoded only to be hashed
}

// maxScratch bounds what a pooled writer keeps.
const maxScratch = 64 << 10

var writers = sync.Pool{New: func() any {
	w := &writer{}
	w.enc = msgpack.NewEncoder(w)
	return w
}}

// appendTo returns a writer that appends to b. Finish it with done.
func appendTo(b []byte) *writer {
	w := writers.Get().(*writer)
	w.buf, w.count, w.n = b, false, 0
	return w
}

// counter returns a writer that keeps nothing. Finish it with done.
func counter() *writer {
	w := writers.Get().(*writer)
	w.buf, w.count, w.n = nil, true, 0
	return w
}

// done gives the writer back and returns the slice it appended to and the number of bytes.
func (w *writer) done() ([]byte, int) {
	b, n := w.buf, w.n
	w.buf = nil
	writers.Put(w)
	return b, n
}

func (w *writer) Write(p []byte) (int, error) {
	if w.n += len(p); !w.count {
		w.buf = append(w.buf, p...)
	}
	return len(p), nil
}

func (w *writer) WriteByte(c byte) error {
	if w.n++; !w.count {
		w.buf = append(w.buf, c)
	}
	return nil
}

func (w *writer) uint(v uint64)  { _ = w.enc.EncodeUint(v) }
func (w *writer) mapLen(n int)   { _ = w.enc.EncodeMapLen(n) }
func (w *writer) arrayLen(n int) { _ = w.enc.EncodeArrayLen(n) }
func (w *writer) str(s string)   { _ = w.enc.EncodeString(s) }
func (w *writer) raw(b []byte)   { _, _ = w.Write(b) }

func (w *writer) bin(b []byte) {
	_ = w.enc.EncodeBytesLen(len(b))
	w.raw(b)
}

// field writes a key and an unsigned value.
func (w *writer) field(key, v uint64) {
	w.uint(key)
	w.uint(v)
}

// extraFields returns how many fields extra holds.
func extraFields(extra []byte) int {
	if len(extra) == 0 {
		return 0
	}
	n := 0
	for r := (reader{b: extra}); r.err == nil && r.pos < len(r.b); n++ {
		r.uint()
		r.skip(maxSkipDepth)
	}
	return n
}

func one(present bool) int {
	if present {
		return 1
	}
	return 0
}
