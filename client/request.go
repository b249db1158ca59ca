package client

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ContextHeader carries the opaque token for reads and writes across daemons.
const ContextHeader = "Anabranch-Context"

// Request is one call of the API: the form below all others, for programs that want a reply as it
// came.
//
// A GET is sent again when it failed, and a DELETE without a condition. So is a PUT that has
// neither a condition nor a token: with a token, a register that was written twice would be in
// conflict with itself. A POST or PATCH is sent again too, since it carries an idempotency key: the
// daemon does it once. Others are sent again only when nothing of them can have arrived.
type Request struct {
	Method string
	// Path holds the segments, unescaped: any names, "/", "." and ".." included.
	Path  []string
	Query url.Values
	// Body is sent as it is; nil sends none. ContentType defaults to application/json.
	Body        []byte
	ContentType string
	// Accept is the media type to ask for; empty asks for none.
	Accept string
	// Context is the token to send; empty sends none.
	Context string
	// IfMatch and IfNoneMatch are conditions on the object: ETags, or "*"; empty sends none.
	IfMatch, IfNoneMatch string
	// Wait is how long the daemon may wait for what the token stands for, for Acks, and for what a
	// route waits for itself; in steps of a second, rounded up.
	Wait time.Duration
	// Acks is how many peers shall tell that they hold a write before it is answered; 0 asks for
	// none.
	Acks int
	// IdempotencyKey names what a POST or PATCH is to do: the daemon does it once in 24 hours, and
	// answers every further time what it answered first. Without one the client draws one.
	IdempotencyKey string
	// Harmless is for a POST that changes no data: it takes no key, and is sent again without.
	Harmless bool

	body    io.ReadCloser // in place of Body
	session *Session
	ns      string // whose tokens the session sends and keeps
	ours    bool   // Context is the session's, and may be replaced by a newer one
	meta    *Meta
	// bookmarks is for the feed: they are told.
	bookmarks bool
}

// Reply is a reply with a status below 300.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Context is the token of the reply, empty when it has none.
func (r *Reply) Context() string { return r.Header.Get(ContextHeader) }

// ETag is that of the object in the reply, empty when it has none.
func (r *Reply) ETag() string { return r.Header.Get("ETag") }

// Do sends the request and reads the whole reply. Other statuses are returned as *Problem;
// ErrUnreachable is returned when there was no complete reply.
func (c *Client) Do(ctx context.Context, req Request) (*Reply, error) {
	var reply *Reply
	c.drawKey(&req)
	err := c.persist(ctx, &req, func() error {
		resp, err := c.send(ctx, &req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return c.brokenOff(err)
		}
		reply = &Reply{Status: resp.StatusCode, Header: resp.Header, Body: body}
		return nil
	})
	return reply, err
}

// Stream is like Do, but copies the body of the reply to w as it arrives. On an error w may
// have received the beginning of a body; then it is not tried again.
func (c *Client) Stream(ctx context.Context, req Request, w io.Writer) (*Reply, error) {
	resp, err := c.open(ctx, &req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	in := &source{r: resp.Body}
	if _, err := io.Copy(w, in); err != nil {
		if in.err != nil {
			return nil, c.brokenOff(in.err)
		}
		return nil, err
	}
	return &Reply{Status: resp.StatusCode, Header: resp.Header}, nil
}

// open sends a request until a reply begins, which the caller reads and closes.
func (c *Client) open(ctx context.Context, req *Request) (resp *http.Response, err error) {
	c.drawKey(req)
	err = c.persist(ctx, req, func() (err error) {
		resp, err = c.send(ctx, req) //nolint:bodyclose // the caller closes it
		return err
	})
	return resp, err
}

// send sends a request once. It returns a reply with a status below 300, and of the others the
// problem.
func (c *Client) send(ctx context.Context, req *Request) (*http.Response, error) {
	seen, err := req.session.before(ctx, c, req)
	if err != nil {
		return nil, err
	}
	hreq, err := c.httpRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(hreq)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.Header.Get("Idempotency-Replayed") != "" {
		seen = nil // the token is of then, and may cover less than what was sent now
	}
	req.session.after(c, req, seen, resp.Header.Get(ContextHeader))
	if req.meta != nil {
		req.meta.read(resp)
	}
	if resp.StatusCode >= 300 {
		defer func() { _ = resp.Body.Close() }()
		return nil, readProblem(resp)
	}
	return resp, nil
}

func (c *Client) httpRequest(ctx context.Context, req *Request) (*http.Request, error) {
	u := c.base
	u.Path, u.RawPath = joinPath(req.Path)
	query := req.Query
	if req.Acks > 0 {
		query = cloned(query)
		query.Set("acks", strconv.Itoa(req.Acks))
	}
	u.RawQuery = query.Encode()
	hreq, err := http.NewRequestWithContext(ctx, req.Method, u.String(), bytes.NewReader(req.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrName, err)
	}
	for name, values := range c.opts.Header {
		hreq.Header[http.CanonicalHeaderKey(name)] = values
	}
	set := func(name, value string) {
		if value != "" {
			hreq.Header.Set(name, value)
		}
	}
	// http.NewRequest parses the URL anew, which keeps both forms of the path.
	switch {
	case req.body != nil:
		hreq.Body, hreq.ContentLength, hreq.GetBody = req.body, -1, nil
		set("Content-Type", req.ContentType)
	case req.Body == nil:
		hreq.Body, hreq.ContentLength, hreq.GetBody = http.NoBody, 0, nil
	default:
		hreq.Header.Set("Content-Type", "application/json")
		set("Content-Type", req.ContentType)
	}
	set("Accept", req.Accept)
	set(ContextHeader, req.Context)
	set("If-Match", req.IfMatch)
	set("If-None-Match", req.IfNoneMatch)
	set("Idempotency-Key", req.IdempotencyKey)
	if req.Wait > 0 {
		seconds := int64((req.Wait + time.Second - 1) / time.Second)
		hreq.Header.Set("Prefer", "wait="+strconv.FormatInt(seconds, 10))
	}
	return hreq, nil
}

// cloned returns a copy of q that may be written to.
func cloned(q url.Values) url.Values {
	c := make(url.Values, len(q)+1)
	for name, values := range q {
		c[name] = values
	}
	return c
}

// joinPath returns a path of these segments, decoded and escaped. Everything but letters,
// digits, "-", "_" and "~" is escaped, "." included: a segment is one name, never a step.
func joinPath(segments []string) (plain, escaped string) {
	const hex = "0123456789ABCDEF"
	var p, e strings.Builder
	for _, s := range segments {
		p.WriteByte('/')
		p.WriteString(s)
		e.WriteByte('/')
		for i := range len(s) {
			if c := s[i]; unreserved(c) {
				e.WriteByte(c)
			} else {
				e.WriteByte('%')
				e.WriteByte(hex[c>>4])
				e.WriteByte(hex[c&15])
			}
		}
	}
	return p.String(), e.String()
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '~'
}

// linesOf reads the lines of a body, each of at most so many bytes. What stands behind the last line break is
// none: the connection was cut within it.
func linesOf(body io.Reader, most int) *bufio.Scanner {
	s := bufio.NewScanner(body)
	s.Buffer(nil, most)
	s.Split(func(data []byte, _ bool) (int, []byte, error) { return bufio.ScanLines(data, false) })
	return s
}

// source keeps the error of the reader apart from one of the writer in io.Copy.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
