package http

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync/atomic"
	"time"
)

// Bounds of the lines of a bulk that are read and not committed yet.
const (
	maxGroupLines = 1000
	maxGroupBytes = 1 << 20
)

// silence is how long a bulk waits for more of its body.
const silence = time.Minute

// bulkLine is one line of a bulk that is not empty.
type bulkLine struct {
	n    int // counted from 1, empty lines too
	op   op
	size int
	// wrong is why the line is no op; nil if it is one.
	wrong error
	// sum is of all lines up to this one; only with an idempotency key.
	sum [sha256.Size]byte
}

// lineReader reads a bulk line by line, and holds no more of it than the longest line.
type lineReader struct {
	buf *bufio.Reader
	n   int       // lines that were read
	sum hash.Hash // of them; nil if nobody wants to know
}

func newLineReader(body io.Reader, summed bool) *lineReader {
	l := &lineReader{buf: bufio.NewReaderSize(body, maxOpsBytes+1)}
	if summed {
		l.sum = sha256.New()
	}
	return l
}

var errLongLine = tooLarge(maxOpsBytes, "a line has at most %d bytes", maxOpsBytes)

// next returns the next line that is not empty. At the end it returns io.EOF; with any other error
// the body broke off, and what came of its last line is no line.
func (l *lineReader) next() (bulkLine, error) {
	for {
		text, err := l.buf.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			l.note(text)
			text, err = l.buf.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) || len(text) == 0 && !long {
			return bulkLine{}, err
		}
		l.note(text)
		if err != nil {
			l.note([]byte{'\n'}) // the last line is the same with its end and without
		}
		l.n++
		if !long && len(bytes.Trim(text, " \t\r\n")) == 0 {
			continue
		}
		line := bulkLine{n: l.n, size: len(text), wrong: errLongLine}
		if !long {
			line.op, line.wrong = readLine(bytes.TrimSuffix(text, []byte{'\n'}))
		}
		if l.sum != nil {
			line.sum = [sha256.Size]byte(l.sum.Sum(nil))
		}
		return line, nil
	}
}

func (l *lineReader) note(text []byte) {
	if l.sum != nil {
		_, _ = l.sum.Write(text) // a hash never fails
	}
}

// ready reports whether a whole line can be had without waiting for the client.
func (l *lineReader) ready() bool {
	b, err := l.buf.Peek(l.buf.Buffered())
	return err == nil && bytes.IndexByte(b, '\n') >= 0
}

// readLine reads an op as a batch has it.
func readLine(text []byte) (op, error) {
	d := &jsonReader{b: text}
	o, err := readOp(d, opForm{targets: true, path: true})
	if err == nil {
		err = d.end()
	}
	if err == nil && o.items() > maxItems {
		err = errManyItems
	}
	return o, err
}

// patientBody is the body of a bulk. The server's limit of time for a whole request does not hold for
// it: what is limited is the silence of the client.
type patientBody struct {
	r     *request
	until atomic.Int64 // when reading ends, in nanoseconds; 0 while the bulk goes on
	rest  int          // bytes that may still be read then
}

// Of a client that is still sending when its bulk has ended so much is taken: a connection that is closed
// on top of it would take the reply's last lines with it.
const (
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

var errStopped = errors.New("http: the bulk has ended")

func (b *patientBody) Read(p []byte) (int, error) {
	// A connection without deadlines, as in tests, has no slow clients.
	_ = b.r.control.SetReadDeadline(time.Now().Add(silence))
	if at := b.until.Load(); at != 0 { // behind the deadline above, which stop brings forward
		_ = b.r.control.SetReadDeadline(time.Unix(0, at))
		if b.rest -= len(p); b.rest <= 0 {
			return 0, errStopped
		}
	}
	n, err := b.r.http.Body.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.r.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// stop ends reading, that which is under way too, after a while at most.
func (b *patientBody) stop(after time.Duration) {
	at := time.Now().Add(after)
	b.until.Store(at.UnixNano())
	_ = b.r.control.SetReadDeadline(at)
}

// brokenBody is what a bulk answers when its body ends early.
func brokenBody(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return badRequest("nothing more of the body came within %v", silence)
	}
	return badRequest("the body broke off")
}
