package http

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Times and sizes of a connection.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute     // for a whole request
	writeTimeout  = 2 * time.Minute // for a whole reply, the longest wait included
	idleTimeout   = 2 * time.Minute
	chunkTimeout  = 30 * time.Second // for each part of a streamed reply
	// maxHeaderBytes leaves room for a token of 16 KiB and for a path of 34 names of 1 KiB with
	// every byte escaped.
	maxHeaderBytes = 192 << 10
)

// Options are what a handler is made of besides the store and the cluster.
type Options struct {
	// Version is the version of the daemon, told by /v1/status and /openapi.json.
	Version string
	// Hosts are names that are taken in the Host header besides those of the listener.
	Hosts []string
	// Log receives failures of the daemon. Nil discards them.
	Log *slog.Logger
}

// Handler serves the API. It answers from the first moment: until Attach with 503 to everything
// that needs the store, and after Drain again.
type Handler struct {
	version string
	hosts   map[string]bool
	log     *slog.Logger
	started time.Time
	mux     *http.ServeMux
	api     huma.API
	spec    []byte // of /openapi.json

	backend atomic.Pointer[backend]
	feeds   atomic.Int64 // readers that follow changes
	shared  sharedFeeds
	stalled atomic.Int64 // clients that were cut off since they took nothing
	waiters atomic.Int64 // requests that wait for peers
	asks    asks
	running running
	bulks   atomic.Int64 // that run
	// drained ends, with errDraining as its cause, when the daemon begins to stop.
	drained context.Context
	drain   context.CancelCauseFunc
}

type backend struct {
	store   Store
	cluster Cluster
}

var errDraining = errors.New("the daemon is shutting down")

// New returns a handler without a store.
func New(opts Options) *Handler {
	h := &Handler{version: opts.Version, hosts: map[string]bool{}, log: opts.Log, started: time.Now(), mux: http.NewServeMux()}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for _, name := range opts.Hosts {
		h.hosts[hostName(name)] = true
	}
	h.drained, h.drain = context.WithCancelCause(context.Background())
	h.api = humago.New(h.mux, apiConfig(opts.Version))
	h.register()
	h.mux.HandleFunc("/", h.noRoute)
	return h
}

// Attach gives the handler an open store, and a cluster or nil. From now on it is ready.
func (h *Handler) Attach(s Store, c Cluster) { h.backend.Store(&backend{s, c}) }

// Drain is the first step of a stop: /readyz and every new request get 503, and requests that
// wait for something stop waiting. It does not wait for those in flight: http.Server.Shutdown
// does.
func (h *Handler) Drain() { h.drain(errDraining) }

// NewServer returns a server for h with the limits that the API promises: headers of 16 KiB and
// paths of any escaped names, and timeouts that no slow client outlives.
func NewServer(h *Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is for the handler to refuse, too.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := &tracker{ResponseWriter: w}
	defer h.recover(t, r)
	if err := h.checkHost(r); err != nil {
		h.fail(t, r, err)
		return
	}
	names, err := h.split(r)
	if err != nil {
		h.fail(t, r, err)
		return
	}
	routed := *r
	routed.URL = new(*r.URL)
	routed.URL.Path, routed.URL.RawPath = muxPath(names), ""
	h.mux.ServeHTTP(t, &routed)
}

// split takes the path apart. Outside /v1 names are fixed: a path that is nothing there, for its
// final slash too, is a route that does not exist and not a malformed name.
func (h *Handler) split(r *http.Request) ([]string, error) {
	escaped := r.URL.EscapedPath()
	names, err := splitPath(escaped)
	if err != nil && strings.HasSuffix(escaped, "/") && !strings.HasPrefix(escaped, "/v1/") && !strings.Contains(escaped, "//") {
		return nil, kindNotFound.with("there is no such resource")
	}
	return names, err
}

// noRoute answers what no pattern matches: 405 when another method has one, else 404.
func (h *Handler) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		probe := *r
		probe.Method = method
		if _, pattern := h.mux.Handler(&probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		h.fail(w, r, kindNotFound.with("there is no such resource"))
		return
	}
	allow := strings.Join(allowed, ", ")
	h.fail(w, r, kindMethodNotAllowed.with("%s is not a method of this resource; it has %s", r.Method, allow).setHeader("Allow", allow))
}

// fail tells err to the client. What is our fault is logged with the cause.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	h.note(r, err)
	problemOf(err).write(w, r)
}

// note logs an error that is our fault.
func (h *Handler) note(r *http.Request, err error) {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError || errors.Is(err, store.ErrDamaged) || errors.Is(err, crdt.ErrDamaged) {
		h.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
}

// recover turns a panic into a problem that tells nothing, if nothing was written yet.
func (h *Handler) recover(t *tracker, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint // it is the panic's value
		panic(cause)
	}
	h.log.Error("panic in a request", "method", r.Method, "path", r.URL.Path, "panic", cause, "stack", string(debug.Stack()))
	if t.wrote {
		panic(http.ErrAbortHandler)
	}
	clear(t.Header())
	kindInternal.with("an error that is no fault of the request; the daemon's log has it").write(t, r)
}

// tracker remembers whether a reply has begun.
type tracker struct {
	http.ResponseWriter
	wrote bool
}

func (t *tracker) WriteHeader(status int) {
	t.wrote = true
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracker) Write(b []byte) (int, error) {
	t.wrote = true
	return t.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (t *tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }
