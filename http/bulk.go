package http

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
)

// A bulk is read by one goroutine, committed by the one that serves the request, and its results are
// sent by a third: each line goes through them in order. Between the first two there is one group of
// lines, so that lines are read while those before them are committed, and what comes in meanwhile
// makes the next group.

// maxBulks bounds the bulks that run at the same time: each may hold its groups and maxUnread.
const maxBulks = 16

// BulkResult is a line of the reply to a bulk: the result of one line, or at the end what came of all.
type BulkResult struct {
	Line   int `json:"line,omitempty" minimum:"1" doc:"Which line of the body it is about, counted from 1, empty lines too."`
	Status int `json:"status,omitempty" doc:"200 for a line that was done; in the last line 202 when too few acks came, else 200."`
	opResult
	Problem  *Problem `json:"problem,omitempty" doc:"Why the line was not done, or why the bulk ended before it."`
	Replayed bool     `json:"replayed,omitempty" doc:"The line had been done by an earlier request with the same Idempotency-Key. Its result is not kept."`
	Lines    *int     `json:"lines,omitempty" doc:"In the last line: how many lines there were. Without it the bulk has not ended well."`
	Failed   *int     `json:"failed,omitempty" doc:"In the last line: how many of them have a problem."`
	Context  string   `json:"context,omitempty" doc:"In the last line: the token of what was written."`
	Acks     *int     `json:"acks,omitempty" doc:"In the last line, with acks: how many peers have told that they hold it."`
}

// TransformSchema adds what ops answer, which the library does not look for in an embedded type.
func (BulkResult) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	maps.Copy(s.Properties, huma.SchemaFromType(r, reflect.TypeFor[opResult]()).Properties)
	return s
}

// bulk is one bulk on its way.
type bulk struct {
	r    *request
	ns   Namespace
	seen crdt.VersionVector
	body *patientBody
	in   *lineReader
	out  *bulkWriter
	// groups are lines in the order of the body. It is closed behind the last one; err is set before.
	groups chan []bulkLine
	err    error

	resume *resume // nil without an idempotency key
	clock  crdt.VersionVector
	failed int
	next   int // the first line of which nothing is known to have happened
}

func postBulk(r *request) (*reply, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	seen, err := r.catchUp(ns)
	if err != nil {
		return nil, err
	}
	if r.handler.bulks.Add(1) > maxBulks {
		r.handler.bulks.Add(-1)
		return nil, kindRateLimited.with("%d bulks run here already", maxBulks).setHeader("Retry-After", "1")
	}
	b := &bulk{r: r, ns: ns, seen: seen, body: &patientBody{r: r, rest: lingerBytes}, groups: make(chan []bulkLine), clock: ns.Clock(), next: 1}
	if r.once != nil {
		if b.resume, err = r.resume(ns); err != nil {
			r.handler.bulks.Add(-1)
			return nil, err
		}
	}
	return b.start()
}

// start reads the first lines. Nothing is answered before: a client that asks whether to send its body
// is told so when that is read.
func (b *bulk) start() (*reply, error) {
	// Over a connection that cannot do both at once the reply has to wait; there is none but in tests.
	_ = b.r.control.EnableFullDuplex()
	b.in = newLineReader(b.body, b.resume != nil)
	go b.read()
	end := func() {
		b.stopReading(0)
		b.resume.release()
		b.r.handler.bulks.Add(-1)
	}
	first, err := b.nextGroup()
	switch {
	case err != nil:
	case first != nil:
		err = b.resume.begins(first)
	case !errors.Is(b.err, io.EOF):
		err = brokenBody(b.err)
	}
	if err != nil {
		end()
		return nil, closing(err)
	}
	return &reply{status: http.StatusOK, close: end, duplex: func(w http.ResponseWriter) error { return b.run(w, first) }}, nil
}

// closing has the connection closed behind the problem that tells err: what is left of a body that is
// not read to its end must not be taken for the next request.
func closing(err error) error {
	p := *problemOf(err)
	p.header = p.header.Clone()
	return errors.Join(p.setHeader("Connection", "close"), err)
}

// nextGroup returns the next lines, nil when there are no more. It returns shutting-down when the daemon
// stops first.
func (b *bulk) nextGroup() ([]bulkLine, error) {
	select {
	case group := <-b.groups:
		return group, nil
	case <-b.r.handler.drained.Done():
		return nil, kindShuttingDown.with("the daemon is shutting down").setHeader("Retry-After", "1")
	}
}

// read is the goroutine that reads and parses.
func (b *bulk) read() {
	defer close(b.groups)
	var group []bulkLine
	size := 0
	for {
		full := len(group) == maxGroupLines || size >= maxGroupBytes
		if len(group) > 0 && (full || b.err != nil || !b.in.ready()) {
			b.groups <- group
			group, size = nil, 0
		}
		if b.err != nil {
			return
		}
		line, err := b.in.next()
		if b.err = err; err == nil {
			group = append(group, line)
			size += line.size
		}
	}
}

// run commits the groups and sends the results. It returns the error of a connection that broke.
func (b *bulk) run(w http.ResponseWriter, group []bulkLine) error {
	b.out = newBulkWriter(w, b.r.control)
	defer func() { _ = b.out.finish() }() // also after a panic
	var err error
	for group != nil && err == nil {
		if err = b.group(group); err == nil {
			b.out.push()
			group, err = b.nextGroup()
		}
	}
	if err == nil { // so there are no more groups, and b.err says why
		err = b.last()
	}
	broken := brokenReply{}
	switch {
	case err == nil:
		return b.out.finish()
	case !errors.As(err, &broken):
		b.r.handler.note(b.r.http, err)
		err = b.result(BulkResult{Line: b.next, Problem: problemOf(err)})
	}
	err = errors.Join(err, b.out.finish())
	if err == nil {
		b.stopReading(lingerTime)
	}
	return err
}

// last ends the reply, if the body had an end and nothing is missing.
func (b *bulk) last() error {
	if !errors.Is(b.err, io.EOF) {
		return brokenBody(b.err)
	}
	if err := b.resume.ended(); err != nil {
		return err
	}
	return b.end()
}

// stopReading returns when the reader has ended. For a while it may take what the client still sends.
func (b *bulk) stopReading(linger time.Duration) {
	b.body.stop(linger)
	for range b.groups { // it closes them
	}
}

// brokenReply is the error of a connection over which nothing more can be told.
type brokenReply struct{ error }

func (b brokenReply) Unwrap() error { return b.error }

// group answers the lines that were done before, and commits the others. An error ends the bulk before
// the line next.
func (b *bulk) group(lines []bulkLine) error {
	for len(lines) > 0 && b.resume.done(lines[0].n) {
		res, err := b.resume.replay(&lines[0])
		if err == nil {
			err = b.result(res)
		}
		if err != nil {
			return err
		}
		lines = lines[1:]
	}
	for len(lines) > 0 {
		if err := b.resume.ended(); err != nil {
			return err
		}
		n, err := b.commit(lines)
		if err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

// commit commits as many lines as fit into one commit, and answers them.
func (b *bulk) commit(lines []bulkLine) (int, error) {
	results := make([]opResult, len(lines))
	series, err := b.ns.CommitEach(b.r.http.Context(), len(lines), func(i int, tx Tx) error {
		line := &lines[i]
		if line.wrong != nil {
			return line.wrong
		}
		var err error
		if results[i], err = line.op.apply(tx, b.seen); err != nil {
			return err
		}
		return b.resume.keep(tx, line)
	}, func(i int, err error, tx Tx) error {
		p := problemOf(err)
		if p.Status >= http.StatusInternalServerError {
			return err // it is not the line's fault
		}
		return b.resume.keepRefused(tx, &lines[i], p)
	})
	if err != nil {
		return 0, err
	}
	b.clock = series.Clock
	for i, err := range series.Errs {
		res := BulkResult{Line: lines[i].n, Status: http.StatusOK, opResult: results[i]}
		if err != nil {
			res = BulkResult{Line: lines[i].n, Problem: problemOf(err)}
		}
		if err := b.result(res); err != nil {
			return 0, err
		}
	}
	return len(series.Errs), series.Stopped
}

// result sends a line of the reply.
func (b *bulk) result(res BulkResult) error {
	if res.Problem != nil {
		b.failed++
	}
	if res.Line > 0 {
		b.next = res.Line + 1
	}
	if err := b.out.add(res.appendJSON(nil)); err != nil {
		return brokenReply{err}
	}
	return nil
}

func (res BulkResult) appendJSON(b []byte) []byte {
	if res.opResult.empty() && res.Problem == nil && res.Lines == nil && res.Failed == nil && res.Context == "" && res.Acks == nil {
		b = strconv.AppendInt(append(b, `{"line":`...), int64(res.Line), 10)
		b = strconv.AppendInt(append(b, `,"status":`...), int64(res.Status), 10)
		if res.Replayed {
			b = append(b, `,"replayed":true`...)
		}
		return append(b, '}')
	}
	text, err := json.Marshal(res)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(b, text...)
}

// end waits for acks and sends the last line.
func (b *bulk) end() error {
	replica := b.ns.Replica()
	if b.resume != nil {
		b.clock, replica = b.resume.clock(b.clock, replica)
	}
	var rep reply
	b.r.began = time.Now() // the wait begins now
	if err := b.r.acknowledge(&rep, b.ns, replica, b.clock); err != nil {
		return brokenReply{err}
	}
	last := BulkResult{Lines: &b.in.n, Failed: &b.failed, Status: max(rep.status, http.StatusOK), Context: encodeToken(b.ns.Name(), b.clock)}
	if n, err := strconv.Atoi(rep.acks); err == nil {
		last.Acks = &n
	}
	return b.result(last)
}
