package http

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
)

// daemon is a handler on a memory store behind a real server.
type daemon struct {
	t     testing.TB
	store *store.Store
	h     *Handler
	srv   *httptest.Server
}

func newDaemon(t testing.TB) *daemon {
	t.Helper()
	return openDaemon(t, store.MemoryOptions())
}

// openDaemon is newDaemon with a store of one's own.
func openDaemon(t testing.TB, opts store.Options) *daemon {
	t.Helper()
	s, err := store.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Version: "test", Hosts: []string{"db.example"}})
	h.Attach(Adapt(s), nil)
	d := &daemon{t: t, store: s, h: h, srv: httptest.NewUnstartedServer(h)}
	d.srv.Config = NewServer(h)
	d.srv.Config.Handler = observe(h)
	d.srv.Start()
	t.Cleanup(func() {
		d.srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

type result struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// do sends a request. The path goes out as it is written. Headers are "Name: value"; a body
// has a JSON media type unless they say otherwise.
func (d *daemon) do(method, path, body string, headers ...string) result {
	d.t.Helper()
	req, err := http.NewRequest(method, d.srv.URL, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL.Opaque, req.URL.RawQuery = path, query
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		switch {
		case name == "Host":
			req.Host = value
		case value == "":
			req.Header.Del(name)
		default:
			req.Header.Set(name, value)
		}
	}
	resp, err := d.srv.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return result{d.t, resp.StatusCode, resp.Header, strings.TrimSuffix(string(b), "\n")}
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *number) UnmarshalJSON(b []byte) error {
	v, err := parseInteger(strings.Trim(string(b), `"`))
	*n = number(crdt.Int128Of(v))
	return err
}

var feedMember = regexp.MustCompile(`,"feed":"[A-Za-z0-9_-]+"`)

// want checks the status and the body; "" stands for no body.
func (r result) want(status int, body string) result {
	r.t.Helper()
	r.body = feedMember.ReplaceAllString(r.body, "") // different in each store
	if r.status != status || r.body != body {
		r.t.Fatalf("got %d %s\nwant %d %s", r.status, r.body, status, body)
	}
	return r
}

// ok checks the status alone.
func (r result) ok(status int) result {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("got %d %s, want %d", r.status, r.body, status)
	}
	return r
}

// contains checks for a part of the body.
func (r result) contains(part string) result {
	r.t.Helper()
	if !strings.Contains(r.body, part) {
		r.t.Fatalf("%s does not have %s", r.body, part)
	}
	return r
}

// problem checks that the reply is a problem of a kind.
func (r result) problem(k kind) Problem {
	r.t.Helper()
	var p Problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		r.t.Fatalf("%d %q is no problem: %v", r.status, r.body, err)
	}
	if r.status != k.status || p.Type != problemPrefix+k.name || p.Status != k.status || p.Title == "" || p.Detail == "" {
		r.t.Fatalf("got %d %s, want %s", r.status, r.body, k.name)
	}
	if ct := r.header.Get("Content-Type"); ct != mediaTypeProblem {
		r.t.Fatalf("a problem as %q", ct)
	}
	return p
}

func (r result) token() string {
	r.t.Helper()
	token := r.header.Get(contextHeader)
	if token == "" {
		r.t.Fatalf("%d %s without a token", r.status, r.body)
	}
	return token
}

func (r result) into(v any) {
	r.t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(r.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		r.t.Fatalf("%s: %v", r.body, err)
	}
}

func (d *daemon) namespace() *store.Namespace {
	d.t.Helper()
	n, err := d.store.Namespace(store.Default)
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// other writes as another replica would: what it saw is not what this one has.
type other struct {
	d   *daemon
	id  crdt.ReplicaID
	seq uint64
	now crdt.Timestamp
}

// apply sends a unit with these entries; dots and times are filled in.
func (o *other) apply(es ...crdt.Entry) {
	o.d.t.Helper()
	first := o.seq + 1
	for i := range es {
		o.seq++
		es[i].Dot = crdt.Dot{Replica: o.id, Seq: o.seq}
		if es[i].Time == 0 {
			es[i].Time = o.now
		}
	}
	u := delta.Unit{Origin: o.id, First: first, Last: o.seq, Entries: es}
	if err := o.d.namespace().Apply(o.d.t.Context(), []delta.Unit{u}, nil); err != nil {
		o.d.t.Fatal(err)
	}
}

// esc writes names as a path.
func esc(prefix string, names ...string) string {
	for _, n := range names {
		prefix += "/" + strings.ReplaceAll(url.PathEscape(n), ".", "%2E")
	}
	return prefix
}

const ns = "/v1/ns/default"

// collection returns the segment of paths that stands for a type.
func collection(typ string) string {
	if typ == "bounded" || typ == "presence" {
		return typ
	}
	return typ + "s"
}
