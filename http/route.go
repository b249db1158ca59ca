package http

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	mediaTypeJSON   = "application/json"
	mediaTypeNDJSON = "application/x-ndjson"
	mediaTypeMerge  = "application/merge-patch+json"
)

// route is one line of the table: what the router, the checks and /openapi.json need to know.
type route struct {
	method  string
	pattern string // as ServeMux and OpenAPI write it
	id      string // operationId
	tag     string
	summary string
	doc     string

	query []string // names of query parameters, keys of queryParams
	// token: the route reads or writes data, so it takes and returns a context token.
	token bool
	// waits: the route is about no data, but honours Prefer: wait.
	waits bool
	// object is the type of the object that the route is about, with the key in the path: requests
	// may have conditions on it. 0 for routes about none and for reads of its parts.
	object crdt.Type
	// takes is a value of the type that describes the body; nil for a route without one.
	takes     any
	bodyLimit int64
	merges    bool // the body may also be a merge patch
	lines     bool // the body is a stream of lines of what takes says, which the route reads by itself
	// gives is a value of the type that describes the reply's body; nil for none.
	gives   any
	typed   any  // the same with shape=typed, nil if there is no such shape
	ndjson  bool // the reply is a stream of lines
	streams any  // the reply may also be a stream of these, as lines or events; the route looks at Accept
	status  int  // of success
	also    int  // another status of success, 0 for none
	// fails are problems of this route besides those that follow from the rest of the row.
	fails     []kind
	storeless bool // answers without a store

	handle func(*request) (*reply, error)
}

// writes reports whether the route changes data.
func (rt *route) writes() bool { return rt.token && rt.method != http.MethodGet }

// keyed reports whether the route takes an idempotency key: those that the method makes idempotent need
// none.
func (rt *route) keyed() bool {
	return rt.writes() && (rt.method == http.MethodPost || rt.method == http.MethodPatch)
}

// register puts every route of the table into the router and the description.
func (h *Handler) register() {
	var requests []*huma.Schema
	for _, rt := range routes() {
		op := rt.operation(h.api.OpenAPI())
		h.api.OpenAPI().AddOperation(op)
		if op.RequestBody != nil {
			requests = append(requests, op.RequestBody.Content[rt.mediaTypes()[0]].Schema)
		}
		h.api.Adapter().Handle(op, func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			h.serve(&rt, w, r)
		})
	}
	h.spec = encodeSpec(h.api.OpenAPI(), requests)
}

// serve runs one request through the checks of its route, and then the route.
func (h *Handler) serve(rt *route, w http.ResponseWriter, r *http.Request) {
	rq := &request{began: time.Now(), route: rt, handler: h, http: r, backend: h.backend.Load()}
	rep, err := rq.run(w)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	rep.write(h, w, r)
}

func (r *request) run(w http.ResponseWriter) (*reply, error) {
	r.control = http.NewResponseController(w)
	for _, check := range []func() error{r.checkReady, r.checkHeaders, r.checkQuery, r.checkConditions, r.checkAccept, r.checkNames} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if err := r.readBody(w); err != nil {
		return nil, err
	}
	if r.once != nil && !r.route.lines {
		return r.runOnce()
	}
	return r.route.handle(r)
}

func (r *request) checkReady() error {
	switch {
	case r.route.storeless:
		return nil
	case r.handler.drained.Err() != nil:
		return kindShuttingDown.with("the daemon is shutting down").setHeader("Retry-After", "1")
	case r.backend == nil:
		return kindStoreBusy.with("the store is being opened").setHeader("Retry-After", "1")
	}
	return nil
}

// refused are headers that would change what a request means and that this version does not
// honour: to ignore them would break what the client relies on.
var refused = []string{"If-Modified-Since", "If-Unmodified-Since", "If-Range"}

func (r *request) checkHeaders() error {
	for _, name := range refused {
		if _, ok := r.http.Header[name]; ok {
			return badRequest("the header %s is not supported by this version", name)
		}
	}
	var err error
	if values, ok := r.http.Header[keyHeader]; ok {
		if !r.route.keyed() {
			return badRequest("the header %s has no meaning here: only POST and PATCH of data take one", keyHeader)
		}
		if r.once, err = parseKey(values); err != nil {
			return err
		}
	}
	r.wait, r.waits, err = parsePrefer(r.http.Header["Prefer"])
	return err
}

// checkQuery parses the query and refuses what the route does not know.
func (r *request) checkQuery() error {
	if r.http.URL.RawQuery == "" {
		return nil
	}
	var err error
	if r.query, err = url.ParseQuery(r.http.URL.RawQuery); err != nil {
		return badRequest("the query is malformed")
	}
	for name, values := range r.query {
		switch {
		case !slices.Contains(r.route.query, name) && !(name == acksParam && r.route.writes()):
			return badRequest("the query parameter %q is not one of this route%s", name, listed(r.route.query))
		case len(values) > 1:
			return badRequest("the query parameter %q stands twice", name)
		case !utf8.ValidString(values[0]):
			return badRequest("the query parameter %q is not valid UTF-8", name)
		}
	}
	if n, ok := r.param(acksParam); ok {
		if r.acks, err = parseAcks(n); err != nil {
			return err
		}
	}
	return r.readLifetime()
}

func listed(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

// checkAccept answers 406 when the client takes no form in which the reply's body comes.
func (r *request) checkAccept() error {
	accept := r.http.Header["Accept"]
	want := mediaTypeJSON
	if r.route.ndjson {
		want = mediaTypeNDJSON
	}
	if r.route.gives == nil || r.route.streams != nil || len(accept) == 0 || accepts(strings.Join(accept, ","), want) {
		return nil
	}
	return kindNotAcceptable.with("the reply is %s, which the Accept header leaves out", want)
}

// accepts applies the media ranges of RFC 9110, section 12.5.1: the most specific one counts.
func accepts(accept, want string) bool {
	group, _, _ := strings.Cut(want, "/")
	best, ok := 0, false
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		rank := slices.Index([]string{"", "*/*", group + "/*", want}, media)
		if rank > 0 && rank >= best {
			best, ok = rank, strings.Trim(params["q"], "0.") != "" || params["q"] == ""
		}
	}
	return ok
}

// checkNames applies the limits of names to those in the path.
func (r *request) checkNames() error {
	for _, param := range []string{"key", "member"} {
		if v := r.http.PathValue(param); v != "" {
			if err := checkNames(nameOf(v)); err != nil {
				return err
			}
		}
	}
	if v := r.http.PathValue("item"); v != "" && crdt.CheckPosition(nameOf(v)) != nil {
		return crdt.ErrBadPosition
	}
	if v := r.http.PathValue("path"); v != "" {
		return checkFields(namesOf(v))
	}
	return nil
}

// operation describes rt. The same value is the route's pattern.
func (rt *route) operation(api *huma.OpenAPI) *huma.Operation {
	op := &huma.Operation{
		OperationID: rt.id, Method: rt.method, Path: rt.pattern, Summary: rt.summary, Description: rt.doc,
		Tags: []string{rt.tag}, Parameters: rt.parameters(), Responses: map[string]*huma.Response{},
	}
	for _, status := range rt.successes() {
		op.Responses[statusText(status)] = rt.success(api.Components.Schemas, status)
	}
	maps.Copy(op.Responses, rt.problems(api))
	op.RequestBody = rt.requestBody(api.Components.Schemas)
	return op
}

// requestBody describes the body that the route takes; it is nil for none.
func (rt *route) requestBody(schemas huma.Registry) *huma.RequestBody {
	if rt.takes == nil {
		return nil
	}
	body := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{rt.mediaTypes()[0]: {Schema: schemaOf(schemas, rt.takes)}}}
	if rt.lines {
		body.Description = "A stream of lines: the schema is that of one line."
	}
	if rt.merges {
		body.Content[mediaTypeMerge] = &huma.MediaType{Schema: mergeSchema(schemas)}
	}
	for _, x := range samples[rt.id] {
		if x.body != "" {
			addExample(body.Content[x.sent()], x.sent(), x, x.body)
		}
	}
	return body
}

// mediaTypes lists what the body may be.
func (rt *route) mediaTypes() []string {
	switch {
	case rt.merges:
		return []string{mediaTypeJSON, mediaTypeMerge}
	case rt.lines:
		return []string{mediaTypeNDJSON}
	}
	return []string{mediaTypeJSON}
}

func schemaOf(schemas huma.Registry, v any) *huma.Schema {
	t := reflect.TypeOf(v)
	return schemas.Schema(t, true, t.Name())
}
