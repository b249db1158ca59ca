package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DefaultAddr is where a daemon listens unless it was told otherwise.
const DefaultAddr = "http://127.0.0.1:7700"

// ContextHeader carries the opaque token for reads and writes across daemons.
const ContextHeader = "Anabranch-Context"

// ErrUnreachable is returned, wrapped, when no daemon answered: it refused the connection, it
// closed it before the reply was complete, or the context ended first.
var ErrUnreachable = errors.New("no answer from the daemon")

// ErrAddr is returned, wrapped, for an address that is neither a URL nor unix:PATH.
var ErrAddr = errors.New("not an address of a daemon")

// Client speaks to one daemon. It is safe for concurrent use.
type Client struct {
	addr string // as it was given, for messages
	base url.URL
	http *http.Client
}

// New returns a client for addr: http://HOST:PORT, HOST:PORT or unix:PATH. It does not connect.
// ErrAddr is returned when addr is none of these.
func New(addr string) (*Client, error) {
	tr := &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, DisableCompression: true}
	c := &Client{addr: addr, http: &http.Client{
		Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return nil, fmt.Errorf("%w: %q: write unix:PATH", ErrAddr, addr)
		}
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		c.base = url.URL{Scheme: "http", Host: "localhost"}
		return c, nil
	}
	full := addr
	if !strings.Contains(addr, "://") {
		full = "http://" + addr
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%w: %q: write http://HOST:PORT or unix:PATH", ErrAddr, addr)
	}
	c.base = url.URL{Scheme: u.Scheme, Host: u.Host}
	return c, nil
}

// Addr is the address as it was given to New.
func (c *Client) Addr() string { return c.addr }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one call of the API.
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
	// Wait is how long the daemon may wait for that token, in steps of a second, rounded up.
	Wait time.Duration
}

// Reply is a reply with a status below 400.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Context is the token of the reply, empty when it has none.
func (r *Reply) Context() string { return r.Header.Get(ContextHeader) }

// ETag is that of the object in the reply, empty when it has none.
func (r *Reply) ETag() string { return r.Header.Get("ETag") }

// Do sends the request and reads the whole reply. Statuses from 400 are returned as *Problem;
// ErrUnreachable is returned when there was no complete reply.
func (c *Client) Do(ctx context.Context, req Request) (*Reply, error) {
	var body bytes.Buffer
	reply, err := c.Stream(ctx, req, &body)
	if err != nil {
		return nil, err
	}
	reply.Body = body.Bytes()
	return reply, nil
}

// Stream is like Do, but copies the body of the reply to w as it arrives. On an error w may
// have received the beginning of a body.
func (c *Client) Stream(ctx context.Context, req Request, w io.Writer) (*Reply, error) {
	hreq, err := c.request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(hreq)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return nil, readProblem(resp)
	}
	in := &source{r: resp.Body}
	if _, err := io.Copy(w, in); err != nil {
		if in.err != nil {
			return nil, c.unreachable(fmt.Errorf("the reply broke off: %w", in.err))
		}
		return nil, err
	}
	return &Reply{Status: resp.StatusCode, Header: resp.Header}, nil
}

func (c *Client) request(ctx context.Context, req Request) (*http.Request, error) {
	u := c.base
	u.Path, u.RawPath = joinPath(req.Path)
	u.RawQuery = req.Query.Encode()
	hreq, err := http.NewRequestWithContext(ctx, req.Method, u.String(), bytes.NewReader(req.Body))
	if err != nil {
		return nil, err
	}
	// http.NewRequest parses the URL anew, which keeps both forms of the path.
	if req.Body == nil {
		hreq.Body, hreq.ContentLength, hreq.GetBody = http.NoBody, 0, nil
	} else {
		ct := req.ContentType
		if ct == "" {
			ct = "application/json"
		}
		hreq.Header.Set("Content-Type", ct)
	}
	if req.Accept != "" {
		hreq.Header.Set("Accept", req.Accept)
	}
	if req.Context != "" {
		hreq.Header.Set(ContextHeader, req.Context)
	}
	if req.IfMatch != "" {
		hreq.Header.Set("If-Match", req.IfMatch)
	}
	if req.IfNoneMatch != "" {
		hreq.Header.Set("If-None-Match", req.IfNoneMatch)
	}
	if req.Wait > 0 {
		seconds := int64((req.Wait + time.Second - 1) / time.Second)
		hreq.Header.Set("Prefer", "wait="+strconv.FormatInt(seconds, 10))
	}
	return hreq, nil
}

func (c *Client) unreachable(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("the time is over")
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.addr, err)
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
