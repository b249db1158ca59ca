package sync

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// What a session streams is one sequence of bytes, cut into chunks of at most maxChunkBytes, each
// packed by itself. In it stand items: a length as uvarint, then that many bytes.
const (
	maxChunkBytes = 256 << 10
	packBytes     = 256 // smaller chunks are not worth packing

	// maxWindow bounds the credit that a sender believes.
	maxWindow = 64

	// maxStateItem bounds an item that is an entry or a piece of a set of dots.
	maxStateItem = 2 << 20
)

// The packers hold no state between two chunks, and no goroutine.
var (
	packers = sync.Pool{New: func() any {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxChunkBytes),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		must(err)
		return enc
	}}
	unpackers = sync.Pool{New: func() any {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxChunkBytes),
			zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
		must(err)
		return dec
	}}
)

// pack returns the message that carries b, 0 < len(b) ≤ maxChunkBytes.
func pack(b []byte) *message {
	m := &message{kind: kindChunk, size: uint64(len(b)), data: b}
	if len(b) < packBytes {
		return m
	}
	enc := packers.Get().(*zstd.Encoder)
	defer packers.Put(enc)
	if z := enc.EncodeAll(b, nil); len(z) < len(b) {
		m.data = z
	}
	return m
}

// unpack appends what a chunk carries to buf.
func unpack(buf []byte, m *message) ([]byte, error) {
	switch {
	case m.size == 0 || m.size > maxChunkBytes || uint64(len(m.data)) > m.size:
		return nil, fmt.Errorf("%w: a chunk of %d bytes in %d", ErrMalformed, m.size, len(m.data))
	case uint64(len(m.data)) == m.size:
		return append(buf, m.data...), nil
	}
	dec := unpackers.Get().(*zstd.Decoder)
	defer unpackers.Put(dec)
	b, err := dec.DecodeAll(m.data, make([]byte, 0, m.size))
	if err == nil && uint64(len(b)) != m.size {
		err = fmt.Errorf("%d bytes, %d announced", len(b), m.size)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: chunk: %w", ErrMalformed, err)
	}
	return append(buf, b...), nil
}

// appendItem appends an item.
func appendItem(b, item []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(item))), item...)
}

// cutItem takes the first item from b if b holds all of it.
func cutItem(b []byte, limit uint64) (item, rest []byte, ok bool, err error) {
	n, used := binary.Uvarint(b)
	switch {
	case used < 0 || used == 0 && len(b) >= binary.MaxVarintLen64 || used > 0 && n > limit:
		return nil, nil, false, fmt.Errorf("%w: an item of %d bytes", ErrMalformed, n)
	case used == 0 || uint64(len(b)-used) < n:
		return nil, b, false, nil
	}
	return b[used : used+int(n)], b[used+int(n):], true, nil
}
