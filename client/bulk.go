package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxResultBytes bounds a line of results.
const maxResultBytes = 1 << 20

// BulkResult is what became of one line.
type BulkResult struct {
	// Line counts from 1, empty lines too, which have no result.
	Line   int64 `json:"line"`
	Status int   `json:"status"`
	Result
	// Problem says why the line was refused; nil when it is done.
	Problem *Problem `json:"problem"`
	// Replayed is set when the line had been done before, under the same idempotency key; then there is
	// no Result.
	Replayed bool `json:"replayed"`
	// JSON is all this as it came.
	JSON json.RawMessage `json:"-"`
}

// bulkEnd is the last line of a reply: without it the bulk has not ended well.
type bulkEnd struct {
	Lines   *int64 `json:"lines"`
	Status  int    `json:"status"`
	Context string `json:"context"`
	Acks    int    `json:"acks"`
}

// Bulk sends operations, one JSON object a line, as Export writes them, and yields what became of each,
// in order, while it sends. A line that is refused does not stop the others. All together they are not
// one change: parts may be seen before the rest. A pair with an error is the last: then the lines behind
// the one that was told last may or may not have happened. Meta tells of the end, with the token of all
// that was written.
//
// When lines is an io.Seeker, a file for example, what was cut off is sent again from the beginning, under
// the idempotency key of the call: the daemon does not do lines again that it has done. With
// IdempotencyKey that goes for another process, too. With a key a bulk ends at a thousand refused lines.
// In a Session, and with a token, lines that write one register twice leave a conflict. No Read of lines begins behind the end of the loop.
func (ns *Namespace) Bulk(ctx context.Context, lines io.Reader, opts ...Option) iter.Seq2[BulkResult, error] {
	return func(yield func(BulkResult, error) bool) {
		b := bulk{c: ns.c, req: ns.request(opts, http.MethodPost, "bulk"), lines: lines, yield: yield}
		b.req.ContentType, b.req.Accept = "application/x-ndjson", "application/x-ndjson"
		b.c.drawKey(&b.req)
		if seeker, ok := lines.(io.Seeker); ok {
			if at, err := seeker.Seek(0, io.SeekCurrent); err == nil { // a pipe has Seek and no position
				b.rewind = func() error {
					_, err := seeker.Seek(at, io.SeekStart)
					return err
				}
			}
		}
		if err := b.run(ctx); err != nil && !errors.Is(err, errLeft) {
			yield(BulkResult{}, err)
		}
	}
}

// bulk is one call of Bulk, over as many connections as it takes.
type bulk struct {
	c      *Client
	req    Request
	lines  io.Reader
	rewind func() error // nil when lines are read once
	yield  func(BulkResult, error) bool
	told   int64 // the last line that was told of
}

func (b *bulk) run(ctx context.Context) error {
	for n := 0; ; n++ {
		before := b.told
		err := b.connection(ctx)
		if b.told > before {
			n = 0
		}
		again := err != nil && b.rewind != nil && b.req.IdempotencyKey != "" && n < b.c.retries() && ctx.Err() == nil && b.passing(err)
		if !again || !b.c.rest(ctx, n, err) {
			return err
		}
		if err := b.rewind(); err != nil {
			return err
		}
	}
}

// passing reports whether a failure may pass. A problem among the results has no Retry-After.
func (b *bulk) passing(err error) bool {
	var p *Problem
	if errors.As(err, &p) && (errors.Is(p, ErrShuttingDown) || errors.Is(p, ErrStoreBusy)) {
		return true
	}
	return passing(&b.req, err)
}

// connection sends the lines once, and tells of those that were not told of before.
func (b *bulk) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	body := &upload{r: b.lines}
	defer func() {
		cancel()
		body.end(b.rewind != nil)
	}()
	b.req.body = body
	resp, err := b.c.send(ctx, &b.req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	results := linesOf(resp.Body, maxResultBytes)
	var last BulkResult
	for results.Scan() {
		last = BulkResult{JSON: bytes.Clone(results.Bytes())}
		if err := decode(last.JSON, &last); err != nil {
			return err
		}
		switch {
		case last.Line == 0:
			return b.end(last.JSON)
		case last.Line <= b.told:
			continue
		case last.Problem != nil && last.Problem.Status >= http.StatusInternalServerError:
			return last.Problem // the daemon's trouble, not the line's
		}
		b.told = last.Line
		if !b.yield(last, nil) {
			return errLeft
		}
	}
	if err := results.Err(); err != nil {
		return b.c.brokenOff(err)
	}
	if last.Problem != nil { // and the daemon left it there
		return last.Problem
	}
	return b.c.brokenOff(io.ErrUnexpectedEOF)
}

// end reads the last line.
func (b *bulk) end(text []byte) error {
	var end bulkEnd
	if err := decode(text, &end); err != nil {
		return err
	}
	if end.Lines == nil {
		return fmt.Errorf("%w: a bulk ends with %s", ErrReply, text)
	}
	b.req.session.after(b.c, &b.req, nil, end.Context)
	if b.req.meta != nil {
		*b.req.meta = Meta{Status: end.Status, Context: end.Context, Acks: end.Acks}
	}
	return nil
}

// upload is a body that is taken away from the connection at the end.
type upload struct {
	r     io.Reader
	ended atomic.Bool
	mu    sync.Mutex // held while r is read
}

func (u *upload) Read(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended.Load() {
		return 0, io.ErrClosedPipe
	}
	return u.r.Read(b)
}

// Close leaves the reader open: it is the caller's.
func (u *upload) Close() error { return nil }

// end has no Read begin any more. With wait none is under way either when it returns: a file's ends
// soon, while one of a terminal may take for ever.
func (u *upload) end(wait bool) {
	u.ended.Store(true)
	if wait {
		u.mu.Lock()
		defer u.mu.Unlock()
	}
}
