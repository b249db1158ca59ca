package http

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Every exchange of the tests of this package is held against the description: its status, headers
// and body must be described, and so must a request that was granted. When all tests have run,
// what is described must have been exercised.

// maxObserved bounds the bodies that are looked at.
const maxObserved = 128 << 10

// maxWrong bounds what is told.
const maxWrong = 20

// observed is what the tests have seen.
var observed = struct {
	sync.Mutex
	seen  map[string]map[int]bool // statuses of success, by route
	kinds map[string]bool         // of problems, by name
	wrong map[string]bool         // what is not as described
}{seen: map[string]map[int]bool{}, kinds: map[string]bool{}, wrong: map[string]bool{}}

// watched are the tests, and then what they have seen.
type watched struct{ *testing.M }

func (w watched) Run() int {
	code := w.M.Run()
	for line := range observed.wrong {
		fmt.Fprintf(os.Stderr, "not as /openapi.json describes it: %.1000s\n", line)
		code = max(code, 1)
	}
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return code // some of the tests only
		}
	}
	if code == 0 && !testing.Short() {
		for _, line := range unseen() {
			fmt.Fprintln(os.Stderr, "described in /openapi.json, and exercised by no test here:", line)
			code = 1
		}
	}
	return code
}

// unseen lists what is described and was never seen.
func unseen() (lines []string) {
	for _, rt := range routes() {
		for _, status := range rt.successes() {
			if !observed.seen[rt.id][status] {
				lines = append(lines, fmt.Sprintf("%s %s, status %d", rt.method, rt.pattern, status))
			}
		}
	}
	for _, k := range kinds {
		if !observed.kinds[k.name] {
			lines = append(lines, "problem "+k.name)
		}
	}
	return lines
}

// description is /openapi.json as a client reads it.
type description struct {
	doc     map[string]any
	schemas *jsonschema.Compiler
}

// described is the description that exchanges are held against, with replies closed: what a
// reply has must be described, though a client must bear with more.
var described = sync.OnceValue(func() *description {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(New(Options{}).spec))
	if err != nil {
		panic(err)
	}
	d := &description{doc: doc.(map[string]any), schemas: jsonschema.NewCompiler()}
	for _, s := range at(doc, "components", "schemas").(map[string]any) {
		if s := s.(map[string]any); s["properties"] != nil && s["additionalProperties"] == nil {
			s["additionalProperties"] = false
		}
	}
	d.schemas.DefaultDraft(jsonschema.Draft2020)
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("openapi.json", doc); err != nil {
		panic(err)
	}
	return d
})

// at returns what stands at a path of the document, nil for nothing.
func at(doc any, path ...string) any {
	for _, name := range path {
		members, _ := doc.(map[string]any)
		doc = members[name]
	}
	return doc
}

// sub returns a longer path.
func sub(path []string, name string) []string { return append(slices.Clone(path), name) }

// response returns where a reply is described, as a path of the document.
func (d *description) response(rt *route, status int) []string {
	path := []string{"paths", rt.pattern, strings.ToLower(rt.method), "responses", statusText(status)}
	if ref, ok := at(d.doc, sub(path, "$ref")...).(string); ok {
		return strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	}
	return path
}

// check holds a JSON text against the schema of a media type, at a path of the document.
func (d *description) check(media []string, body []byte, wrong func(string, ...any)) {
	if at(d.doc, media...) == nil {
		wrong("the media type %q is not described", media[len(media)-1])
		return
	}
	location := "openapi.json#"
	for _, name := range sub(media, "schema") {
		location += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	schema, err := d.schemas.Compile(location)
	if err != nil {
		panic(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		wrong("%v: %.300s", err, body)
	}
}

// observe wraps a handler.
func observe(h *Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rt := matched(h, r)
		sent := &head{}
		copied := *r
		copied.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, sent), r.Body}
		o := &observedReply{ResponseWriter: w}
		defer func() { o.check(rt, r, sent) }() // also when the handler breaks off
		h.ServeHTTP(o, &copied)
	})
}

// matched returns the route that a request goes to, nil for none.
func matched(h *Handler, r *http.Request) *route {
	names, err := splitPath(r.URL.EscapedPath())
	if err != nil {
		return nil
	}
	routed := *r
	routed.URL = new(*r.URL)
	routed.URL.Path, routed.URL.RawPath = muxPath(names), ""
	_, pattern := h.mux.Handler(&routed)
	for _, rt := range routes() {
		if rt.method+" "+rt.pattern == pattern {
			return &rt
		}
	}
	return nil
}

// head keeps the first maxObserved bytes, and knows when there were more.
type head struct {
	bytes.Buffer
	more bool
}

func (h *head) Write(b []byte) (int, error) {
	if room := maxObserved - h.Len(); len(b) > room {
		h.more = true
		h.Buffer.Write(b[:room])
	} else {
		h.Buffer.Write(b)
	}
	return len(b), nil
}

type observedReply struct {
	http.ResponseWriter
	status int
	body   head
}

func (o *observedReply) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observedReply) Write(b []byte) (int, error) {
	_, _ = o.body.Write(b)
	return o.ResponseWriter.Write(b)
}

func (o *observedReply) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *observedReply) check(rt *route, r *http.Request, sent *head) {
	observed.Lock()
	defer observed.Unlock()
	if o.Header().Get("Content-Type") == mediaTypeProblem {
		o.noteKind()
	}
	if o.status == 0 || rt == nil {
		return // the connection broke first, or there is no such route
	}
	wrong := func(format string, args ...any) {
		if len(observed.wrong) == maxWrong {
			return
		}
		observed.wrong[fmt.Sprintf("%s %s, status %d: ", r.Method, rt.pattern, o.status)+fmt.Sprintf(format, args...)] = true
	}
	d := described()
	res := d.response(rt, o.status)
	if at(d.doc, res...) == nil {
		wrong("the status is not described: %.300s", o.body.Bytes())
		return
	}
	o.checkHeaders(at(d.doc, sub(res, "headers")...), wrong)
	if o.status < 400 {
		if observed.seen[rt.id] == nil {
			observed.seen[rt.id] = map[int]bool{}
		}
		observed.seen[rt.id][o.status] = true
		if rt.takes != nil && !rt.lines && !sent.more {
			media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
			d.check([]string{"paths", rt.pattern, strings.ToLower(rt.method), "requestBody", "content", media}, sent.Bytes(),
				func(format string, args ...any) { wrong("the request that was granted: "+format, args...) })
		}
	}
	if r.Method != http.MethodHead && !o.body.more {
		o.checkReply(d, sub(res, "content"), wrong)
	}
}

func (o *observedReply) noteKind() {
	var p Problem
	if err := json.Unmarshal(o.body.Bytes(), &p); err == nil { // it has no body in reply to HEAD
		observed.kinds[strings.TrimPrefix(p.Type, problemPrefix)] = true
	}
}

// checkHeaders looks for headers that are not described. Those of every reply are not.
func (o *observedReply) checkHeaders(headers any, wrong func(string, ...any)) {
	for name := range o.Header() {
		ours := !slices.Contains([]string{"Content-Type", "Content-Length", "Cache-Control", "Connection"}, name)
		described := false
		if headers, ok := headers.(map[string]any); ok {
			for h := range headers {
				described = described || http.CanonicalHeaderKey(h) == name
			}
		}
		if ours && !described {
			wrong("the header %s is not described", name)
		}
	}
}

func (o *observedReply) checkReply(d *description, content []string, wrong func(string, ...any)) {
	contentType := o.Header().Get("Content-Type")
	body := o.body.Bytes()
	switch {
	case contentType == "":
		if len(body) > 0 || at(d.doc, content...) != nil {
			wrong("%d bytes without a media type", len(body))
		}
		return
	case contentType == mediaTypeSSE && at(d.doc, sub(content, contentType)...) != nil:
		return // its schema is that of a text
	}
	texts := [][]byte{body}
	if contentType == mediaTypeNDJSON {
		texts = bytes.Split(body, []byte("\n"))
		texts = texts[:len(texts)-1]
	}
	for _, text := range texts {
		d.check(sub(content, contentType), text, wrong)
	}
}
