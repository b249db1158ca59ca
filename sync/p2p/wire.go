package p2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	peersync "github.com/anabranchdb/anabranch/sync"
)

// maxMessageBytes bounds the messages of engines and sessions, and every gossip message.
const maxMessageBytes = peersync.MaxMessageBytes

// errMalformed is returned when bytes of a peer break a rule of the protocol. A peer that sends
// them is disconnected and counted.
var errMalformed = fmt.Errorf("p2p: %w", peersync.ErrMalformed)

// writeMessage writes a message with its length before it.
func writeMessage(w *bufio.Writer, msg []byte) error {
	var head [binary.MaxVarintLen64]byte
	if _, err := w.Write(head[:binary.PutUvarint(head[:], uint64(len(msg)))]); err != nil {
		return err
	}
	_, err := w.Write(msg)
	return err
}

// readMessage reads what writeMessage wrote. The length is checked before anything is allocated.
// io.EOF means that the stream ended between two messages. The result is the caller's.
func readMessage(r *bufio.Reader, limit int) ([]byte, error) {
	n, err := readUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d allowed", errMalformed, n, limit)
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(r, msg); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return msg, nil
}

// readUvarint is binary.ReadUvarint with an overlong number reported as malformed.
func readUvarint(r *bufio.Reader) (uint64, error) {
	var n uint64
	for shift := 0; ; shift += 7 {
		c, err := r.ReadByte()
		if err != nil {
			if shift > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if shift == 63 && c > 1 {
			return 0, fmt.Errorf("%w: number too long", errMalformed)
		}
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n, nil
		}
	}
}

// takeBytes cuts a byte string with its length before it off b.
func takeBytes(b []byte, limit int) (head, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(limit) || n > uint64(len(b)-w) {
		return nil, nil, errMalformed
	}
	return b[w : w+int(n)], b[w+int(n):], nil
}
