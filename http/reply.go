package http

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// reply is what a route answers when nothing went wrong.
type reply struct {
	status   int
	token    string // of a data reply
	etag     string // of an object
	applied  string // Preference-Applied
	location string
	acks     string // Anabranch-Acks
	replayed bool   // Idempotency-Replayed
	body     any    // written as JSON; nil for none
	media    string // of a body that is not JSON, of a stream that is not of lines
	// stream writes a body of lines, or of media, in place of body; close is called in any case.
	stream func(*lines) error
	close  func()
	// duplex writes a body of lines while it reads that of the request, in place of both.
	duplex func(http.ResponseWriter) error
}

// read runs fn on a view of the namespace that is as fresh as the request asks for.
func read(fn func(r *request, v View) (body any, err error)) func(*request) (*reply, error) {
	return func(r *request) (*reply, error) {
		v, err := r.view()
		if err != nil {
			return nil, err
		}
		defer v.Close()
		etag, fresh, err := r.readTag(v)
		if err != nil {
			return nil, err
		}
		var body any
		if !fresh {
			body, err = fn(r, v)
		}
		rep, err := r.reply(v.Clock(), body, err)
		if err != nil {
			return nil, err
		}
		if rep.etag = etag; fresh {
			rep.status = http.StatusNotModified
		}
		return rep, nil
	}
}

func (r *request) view() (View, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	if _, err := r.catchUp(ns); err != nil {
		return nil, err
	}
	return ns.View(r.http.Context())
}

// commit runs fn in a transaction. seen is the clock of the request's token: removals and
// register writes supersede exactly what it covers; nil stands for what this daemon has seen.
// fn runs on the store's committer and must not wait for anything.
func (r *request) commit(fn func(tx Tx, seen crdt.VersionVector) (body any, err error)) (*reply, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	seen, err := r.catchUp(ns)
	if err != nil {
		return nil, err
	}
	var body any
	receipt, err := ns.Commit(r.http.Context(), func(tx Tx) (err error) {
		if err = r.checkWrite(tx); err == nil {
			body, err = writeFor(tx, r.life, func() (any, error) { return fn(tx, seen) })
		}
		if r.once == nil {
			return err
		}
		if r.once.refused = err != nil; err == nil {
			body, err = r.keep(tx, body)
		}
		return err
	})
	if errors.Is(err, crdt.ErrNoElement) {
		return r.reply(ns.Clock(), nil, problemOf(err)) // it tells of data
	}
	if err != nil {
		return nil, err
	}
	rep, err := r.reply(receipt.Clock, body, nil)
	if err != nil {
		return nil, err
	}
	rep.etag = r.etag
	return rep, r.acknowledge(rep, ns, ns.Replica(), receipt.Clock)
}

// acknowledge waits for the acks that the request asks for, of what a replica had written at the clock,
// and tells in the reply how many there are.
func (r *request) acknowledge(rep *reply, ns Namespace, replica crdt.ReplicaID, clock crdt.VersionVector) error {
	acks, err := r.acknowledged(ns, replica, clock)
	if err != nil {
		return err
	}
	if r.applied {
		rep.applied = r.preference()
	}
	if r.acks > 0 {
		rep.acks = strconv.Itoa(acks)
		if acks < r.acks {
			rep.status = http.StatusAccepted
		}
	}
	return nil
}

// reply adds the token of clock to a body or to a problem that tells of absence.
func (r *request) reply(clock crdt.VersionVector, body any, err error) (*reply, error) {
	token := encodeToken(r.name("ns"), clock)
	if p := (*Problem)(nil); errors.As(err, &p) && p.Status == http.StatusNotFound {
		p.setHeader(contextHeader, token)
		if r.applied {
			p.setHeader("Preference-Applied", r.preference())
		}
	}
	if err != nil {
		return nil, err
	}
	rep := &reply{status: r.route.status, token: token, body: body}
	if r.applied {
		rep.applied = r.preference()
	}
	return rep, nil
}

func (r *request) preference() string { return "wait=" + strconv.Itoa(int(r.wait/time.Second)) }

// write sends the reply.
func (rep *reply) write(h *Handler, w http.ResponseWriter, r *http.Request) {
	if rep.close != nil {
		defer rep.close()
	}
	header := w.Header()
	setHeader(header, contextHeader, rep.token)
	setHeader(header, "Etag", rep.etag)
	setHeader(header, "Preference-Applied", rep.applied)
	setHeader(header, "Location", rep.location)
	setHeader(header, acksHeader, rep.acks)
	if rep.replayed {
		header.Set(replayHeader, "true")
	}
	header["Cache-Control"] = noStore
	switch {
	case rep.stream != nil:
		rep.writeLines(h, w, r)
	case rep.duplex != nil:
		header.Set("Connection", "close") // for the reason of closing
		header.Set("Content-Type", mediaTypeNDJSON)
		w.WriteHeader(rep.status)
		if err := rep.duplex(w); err != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
	case rep.body == nil:
		w.WriteHeader(rep.status)
	default:
		body, err := encodeJSON(rep.body)
		if err != nil {
			panic(err) // our own types, and values that were checked when they came in
		}
		header.Set("Content-Type", cmp.Or(rep.media, mediaTypeJSON))
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rep.status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // a client that has gone needs no answer
		}
	}
}

// noStore is a value of a header that all replies share. Nobody writes to it.
var noStore = []string{"no-store"}

func setHeader(h http.Header, name, value string) {
	if value != "" {
		h[name] = []string{value}
	}
}

// appender is a body that writes its own JSON.
type appender interface{ appendJSON(b []byte) []byte }

func encodeJSON(v any) ([]byte, error) {
	if a, ok := v.(appender); ok {
		return append(a.appendJSON(make([]byte, 0, 256)), '\n'), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// lines is a streamed body. It holds little in memory, and gives up on a client that does not
// take what it was sent within chunkTimeout.
type lines struct {
	buf *bufio.Writer
}

const chunkBytes = 64 << 10

func (rep *reply) writeLines(h *Handler, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", cmp.Or(rep.media, mediaTypeNDJSON))
	w.WriteHeader(rep.status)
	if r.Method == http.MethodHead {
		return
	}
	out := &lines{bufio.NewWriterSize(chunkWriter{w, http.NewResponseController(w)}, chunkBytes)}
	err := rep.stream(out)
	if err == nil {
		err = out.buf.Flush()
	}
	if err != nil {
		h.brokeOff(r, err)
		// The status is sent: only a connection that breaks tells the client.
		panic(http.ErrAbortHandler)
	}
}

// brokeOff logs why a streamed reply ended too early. That a client has gone is no news.
func (h *Handler) brokeOff(r *http.Request, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.log.Warn("cut off a client", "reason", "it took nothing for "+chunkTimeout.String(), "path", r.URL.Path, "client", r.RemoteAddr, "cut_off_so_far", h.stalled.Add(1))
	case r.Context().Err() == nil:
		h.log.Error("a streamed reply broke off", "method", r.Method, "path", r.URL.Path, "err", err)
	}
}

func (l *lines) write(line []byte) error {
	_, err := l.buf.Write(append(line, '\n'))
	return err
}

// chunkWriter gives each write its own deadline.
type chunkWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (c chunkWriter) Write(b []byte) (int, error) {
	// A writer without deadlines, as in tests, has no slow clients.
	_ = c.control.SetWriteDeadline(time.Now().Add(chunkTimeout))
	n, err := c.ResponseWriter.Write(b)
	if err == nil {
		err = c.control.Flush()
	}
	return n, err
}
