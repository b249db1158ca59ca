package http

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// Limits of bodies, in bytes.
const (
	maxOpsBytes  = 512 << 10 // of bodies with operations
	maxBodyBytes = 1 << 20   // of all others
)

// maxWait bounds what Prefer: wait=… may ask for.
const maxWait = 60 * time.Second

// request is one request on its way through a route.
type request struct {
	route   *route
	handler *Handler
	http    *http.Request
	control *http.ResponseController
	backend *backend
	query   url.Values
	body    []byte
	media   string // of the body
	began   time.Time
	wait    time.Duration // of Prefer: wait, at most maxWait
	waits   bool          // Prefer: wait was given
	applied bool          // … and honoured
	match   conditions
	life    lifetime  // of what is written
	acks    int       // how many are asked for, 0 for none
	etag    string    // that the write made, where it is known
	ns      Namespace // once it was looked up
	once    *once     // of a request with an idempotency key
}

// name returns a name in the path, decoded.
func (r *request) name(param string) string { return nameOf(r.http.PathValue(param)) }

// fields returns the fields in the path, decoded.
func (r *request) fields() []string { return namesOf(r.http.PathValue("path")) }

// param returns a query parameter.
func (r *request) param(name string) (string, bool) {
	values := r.query[name]
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// prefix returns the query parameter prefix. A prefix may end within a name, but not within a
// character, and no name is longer than crdt.MaxNameBytes.
func (r *request) prefix() string {
	s, _ := r.param("prefix")
	return s
}

// readBody reads and checks the body, or its absence.
func (r *request) readBody(w http.ResponseWriter) error {
	if r.route.takes == nil {
		if r.http.ContentLength == 0 || r.http.Body == nil {
			return nil
		}
		if n, _ := r.http.Body.Read(make([]byte, 1)); n > 0 {
			return badRequest("this route takes no body")
		}
		return nil
	}
	if err := r.checkMediaType(); err != nil {
		return err
	}
	if r.route.lines {
		return nil
	}
	limit := r.route.bodyLimit
	if r.http.ContentLength > limit {
		return &http.MaxBytesError{Limit: limit}
	}
	var err error
	if r.body, err = readAll(http.MaxBytesReader(w, r.http.Body, limit), r.http.ContentLength); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return badRequest("the body broke off")
	}
	return nil
}

// readAll reads from body; size is how much is expected, -1 when unknown.
func readAll(body io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(body)
	}
	b := make([]byte, size)
	n, err := io.ReadFull(body, b)
	return b[:n], err
}

func (r *request) checkMediaType() error {
	takes := r.route.mediaTypes()
	hint := "this route takes " + strings.Join(takes, " or ") + "; with curl write --json instead of -d or --data"
	if r.route.lines {
		hint = "this route takes " + mediaTypeNDJSON + "; with curl write -H 'Content-Type: " + mediaTypeNDJSON + "' --data-binary @FILE"
	}
	header := r.http.Header
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, ok := params["charset"]
	switch {
	case header.Get("Content-Type") == "":
		return r.unsupported("the body has no media type: " + hint)
	case err != nil || !slices.Contains(takes, media) || len(header["Content-Type"]) > 1:
		return r.unsupported(hint)
	case ok && !strings.EqualFold(charset, "utf-8"):
		return r.unsupported("JSON is UTF-8, not " + charset)
	case header.Get("Content-Encoding") != "":
		return r.unsupported("the body must not be encoded").setHeader("Accept-Encoding", "identity")
	}
	r.media = media
	return nil
}

func (r *request) unsupported(detail string) *Problem {
	p := kindMediaType.with("%s", detail)
	switch takes := strings.Join(r.route.mediaTypes(), ", "); r.route.method {
	case http.MethodPost:
		p.setHeader("Accept-Post", takes)
	case http.MethodPatch:
		p.setHeader("Accept-Patch", takes)
	}
	return p
}

// parsePrefer looks for wait in Prefer headers (RFC 7240). Other preferences are left alone, as
// that document wants it; a wait that is no number of seconds is a problem.
func parsePrefer(headers []string) (wait time.Duration, given bool, err error) {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		preference, _, _ := strings.Cut(part, ";")
		name, value, _ := strings.Cut(preference, "=")
		if given || !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue // of one that stands twice, the first counts
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if value == "" || strings.Trim(value, "0123456789") != "" {
			return 0, false, badRequest("Prefer: wait is a whole number of seconds, at most %d", maxWait/time.Second)
		}
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || seconds > uint64(maxWait/time.Second) {
			seconds = uint64(maxWait / time.Second)
		}
		wait, given = time.Duration(seconds)*time.Second, true
	}
	return wait, given, nil
}

// namespace returns the namespace in the path.
func (r *request) namespace() (Namespace, error) {
	name := r.name("ns")
	if strings.HasPrefix(name, "_") {
		return nil, kindNamespaceNotFound.with("names that begin with an underscore are the system's")
	}
	var err error
	r.ns, err = r.backend.store.Namespace(name)
	return r.ns, err
}

// catchUp reads the request's token and waits, as long as the client prefers, until this daemon
// has seen what it covers. Without a token the clock is nil. It returns not-yet-visible when
// the time is over.
func (r *request) catchUp(ns Namespace) (crdt.VersionVector, error) {
	tokens := r.http.Header[contextHeader]
	if len(tokens) == 0 {
		return nil, nil
	}
	if len(tokens) > 1 {
		return nil, kindBadContext.with("the header %s stands twice", contextHeader)
	}
	clock, err := decodeToken(ns.Name(), tokens[0])
	if err != nil {
		return nil, err
	}
	r.applied = r.waits
	if ns.Clock().CoversAll(clock) {
		return clock, nil
	}
	if r.wait > 0 {
		if err := r.waitFor(ns, clock); err != nil {
			return nil, err
		}
	}
	missing := ns.Clock().Missing(clock)
	if missing == 0 {
		return clock, nil
	}
	p := kindNotYetVisible.with("%d changes that the token covers have not arrived at this daemon", missing)
	p.Missing = missing
	return nil, p.setHeader("Retry-After", "1")
}

// waitFor returns nil when the clock is covered and when the time is over.
func (r *request) waitFor(ns Namespace, clock crdt.VersionVector) error {
	ctx, cancel := context.WithTimeout(r.http.Context(), r.wait)
	defer cancel()
	defer context.AfterFunc(r.handler.drained, cancel)()
	err := ns.WaitFor(ctx, clock)
	switch {
	case err == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) && r.http.Context().Err() == nil:
		return nil
	case r.handler.drained.Err() != nil:
		return kindShuttingDown.with("the daemon is shutting down").setHeader("Retry-After", "1")
	}
	return err
}
