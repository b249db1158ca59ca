package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(watched{m}) }

// A read with a token of the future waits until it comes, if it prefers to.
func TestWaitForToken(t *testing.T) {
	d := newDaemon(t)
	o := other{d: d, id: 9}
	token := contextHeader + ": " + encodeToken(store.Default, crdt.VersionVector{9: 1})
	const r = ns + "/registers/r"
	if p := d.do("GET", r, "", token).problem(kindNotYetVisible); p.Missing != 1 {
		t.Error(p)
	}
	d.do("GET", r, "", token, "Prefer: wait=0").problem(kindNotYetVisible)
	d.do("PUT", r, "1", token).problem(kindNotYetVisible)
	d.do("POST", ns+"/counters/c", `{"inc":1}`, token).problem(kindNotYetVisible)
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[]}`)
	for i, prefer := range []string{"wait=30", "respond-async, WAIT=30", `wait="30"; x=y`, "wait=30, wait=soon"} {
		seq := uint64(i + 1)
		token := contextHeader + ": " + encodeToken(store.Default, crdt.VersionVector{9: seq})
		done := make(chan result)
		go func() { done <- d.do("GET", r, "", token, "Prefer: "+prefer) }()
		o.apply(value(crdt.Object(crdt.Register, fmt.Sprint(seq)).Leaf(crdt.Register), "1", newer), value(crdt.Object(crdt.Register, "r").Leaf(crdt.Register), "1", newer))
		got := <-done
		got.ok(200)
		if got.header.Get("Preference-Applied") != "wait=30" {
			t.Error(got.header)
		}
	}
	// Too long counts as 60; a token that is covered needs no wait; without a token none is told.
	token = contextHeader + ": " + d.do("GET", r, "").token()
	if got := d.do("DELETE", r, "", token, "Prefer: wait=99999999999999999999").want(204, ""); got.header.Get("Preference-Applied") != "wait=60" {
		t.Error(got.header)
	}
	if got := d.do("GET", r, "", token, "Prefer: wait=5"); got.header.Get("Preference-Applied") != "wait=5" || got.problem(kindNotFound).Status != 404 {
		t.Error(got.header)
	}
	if got := d.do("GET", ns+"/keys", "", "Prefer: wait=5").ok(200); got.header.Get("Preference-Applied") != "" {
		t.Error(got.header)
	}
	// The time is over.
	p := d.do("GET", r, "", contextHeader+": "+encodeToken(store.Default, crdt.VersionVector{9: 1000}), "Prefer: wait=1").problem(kindNotYetVisible)
	if p.Missing != 1000-8 {
		t.Error(p)
	}
}

// Every data reply has a token; on a write it covers the write.
func TestTokenOnEveryDataReply(t *testing.T) {
	d := newDaemon(t)
	empty := encodeToken(store.Default, nil)
	for _, path := range []string{"/keys", "/conflicts", "/export", "/counters/x", "/flags/x", "/sets/x", "/sets/x/members/y", "/registers/x", "/maps/x", "/maps/x/fields/y"} {
		if got := d.do("GET", ns+path, "").token(); got != empty {
			t.Errorf("%s: token %q on an empty namespace", path, got)
		}
	}
	clock := crdt.VersionVector{}
	for _, w := range [][3]string{
		{"POST", "/counters/c", `{"inc":1}`}, {"PUT", "/flags/f", ""}, {"PUT", "/sets/s/members/m", ""}, {"POST", "/sets/s", `{"add":["x"]}`}, {"PUT", "/registers/r", "1"},
		{"PATCH", "/maps/m", `{"ops":[{"path":["a"],"inc":1}]}`}, {"PUT", "/maps/m/fields/b", "1"}, {"POST", "/batch", `{"ops":[{"counter":"c","inc":1}]}`},
		{"DELETE", "/sets/s/members/m", ""}, {"DELETE", "/counters/c", ""}, {"DELETE", "/flags/f", ""}, {"DELETE", "/sets/s", ""}, {"DELETE", "/registers/r", ""}, {"DELETE", "/maps/m/fields/b", ""}, {"DELETE", "/maps/m", ""},
	} {
		after, err := decodeToken(store.Default, d.do(w[0], ns+w[1], w[2]).token())
		if err != nil || after.Compare(clock) != crdt.After {
			t.Errorf("%v: clock %v after %v, %v", w, after, clock, err)
		}
		clock = after
		// Once more, a removal sees nothing and makes no commit.
		if w[0] == "DELETE" {
			again, err := decodeToken(store.Default, d.do(w[0], ns+w[1], "").want(204, "").token())
			if err != nil || again.Compare(clock) != crdt.Equal {
				t.Errorf("%v: clock %v after %v, %v", w, again, clock, err)
			}
		}
	}
}

func TestNamespaces(t *testing.T) {
	d := newDaemon(t)
	d.do("GET", "/v1/ns", "").want(200, `{"namespaces":[{"name":"default","storage":"disk"}]}`)
	if got := d.do("PUT", "/v1/ns/a.b-c_d", `{"storage":"memory"}`).want(201, `{"name":"a.b-c_d","storage":"memory"}`); got.header.Get("Location") != "/v1/ns/a.b-c_d" {
		t.Error(got.header)
	}
	d.do("PUT", "/v1/ns/a.b-c_d", `{"storage":"memory"}`).want(200, `{"name":"a.b-c_d","storage":"memory"}`)
	d.do("PUT", "/v1/ns/a.b-c_d/registers/r", `1`).ok(204)
	d.do("GET", "/v1/ns", "").want(200, `{"namespaces":[{"name":"a.b-c_d","storage":"memory"},{"name":"default","storage":"disk"}]}`)
	d.do("DELETE", "/v1/ns/a.b-c_d?drop=local", "").want(204, "")
	d.do("DELETE", "/v1/ns/a.b-c_d?drop=local", "").want(204, "")
	d.do("GET", "/v1/ns/a.b-c_d/registers/r", "").problem(kindNamespaceNotFound)
	d.do("PUT", "/v1/ns/n", `{}`).want(201, `{"name":"n","storage":"disk"}`)
}

// fake is a cluster with these peers.
type fake struct {
	sync   []PeerSync
	halted string
	added  []string
}

func (*fake) PeerID() string           { return "12D3" }
func (*fake) Addresses() []string      { return []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3"} }
func (*fake) Ask(string, string)       {}
func (*fake) Peers() []Peer            { return []Peer{{ID: "a", Connected: true}} }
func (f *fake) Sync(string) []PeerSync { return f.sync }
func (f *fake) AskRights(context.Context, string, string, int64, []crdt.ReplicaID) (int64, crdt.VersionVector, error) {
	return 0, nil, nil
}
func (f *fake) Halted(string) string { return f.halted }
func (f *fake) AddPeer(addr string) error {
	if !strings.HasPrefix(addr, "/") {
		return errors.New("no multiaddr")
	}
	f.added = append(f.added, addr)
	return nil
}

func TestStatusSyncAndPeers(t *testing.T) {
	d := newDaemon(t)
	token := d.do("PUT", ns+"/registers/r", `1`).token()
	d.do("GET", ns+"/sync", "").want(200, `{"converged":true,"context":"`+token+`","peers":[]}`)
	d.do("GET", "/v1/peers", "").want(200, `{"peers":[]}`)

	f := &fake{}
	d.h.Attach(Adapt(d.store), f)
	own := d.namespace().Clock()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.sync = []PeerSync{{ID: "a", Connected: true, Clock: own, LastExchange: at}}
	d.do("GET", ns+"/sync", "").want(200, `{"converged":true,"context":"`+token+`","peers":[{"id":"a","state":"connected","missing_here":0,"missing_there":0,"last_exchange":"2026-01-02T03:04:05Z"}]}`)
	f.sync = []PeerSync{{ID: "a", Connected: true, Clock: crdt.VersionVector{9: 4}}}
	d.do("GET", ns+"/sync", "").want(200, `{"converged":false,"context":"`+token+`","peers":[{"id":"a","state":"connected","missing_here":4,"missing_there":1,"last_exchange":null}]}`)
	f.sync = []PeerSync{{ID: "a"}}
	d.do("GET", ns+"/sync", "").want(200, `{"converged":false,"context":"`+token+`","peers":[{"id":"a","state":"unreachable","missing_here":null,"missing_there":null,"last_exchange":null}]}`)
	f.sync = []PeerSync{{ID: "a", Clock: own}}
	d.do("GET", ns+"/sync", "").want(200, `{"converged":true,"context":"`+token+`","peers":[{"id":"a","state":"unreachable","missing_here":0,"missing_there":0,"last_exchange":null}]}`)

	f.halted = "a fork"
	d.do("GET", ns+"/sync", "").want(200, `{"converged":false,"halted":"a fork","context":"`+token+`","peers":[{"id":"a","state":"unreachable","missing_here":0,"missing_there":0,"last_exchange":null}]}`)

	d.do("GET", "/v1/peers", "").want(200, `{"peers":[{"id":"a","connected":true,"addresses":[]}]}`)
	d.do("POST", "/v1/peers", `{"addr":"nonsense"}`).problem(kindBadRequest)
	d.do("POST", "/v1/peers", `{"addr":"/ip4/192.0.2.1/tcp/1/p2p/x"}`).want(202, `{"addr":"/ip4/192.0.2.1/tcp/1/p2p/x"}`)
	if !slices.Equal(f.added, []string{"/ip4/192.0.2.1/tcp/1/p2p/x"}) {
		t.Error(f.added)
	}
	var s Status
	d.do("GET", "/v1/status", "").ok(200).into(&s)
	if s.Version != "test" || s.PeerID != "12D3" || len(s.Addresses) != 1 || len(s.Namespaces) != 1 {
		t.Errorf("%+v", s)
	}
	if n := s.Namespaces[0]; n.Name != "default" || n.Objects != 1 || n.Entries != 1 || n.Context != token || len(n.ReplicaID) != 16 {
		t.Errorf("%+v", n)
	}
}

func TestReadiness(t *testing.T) {
	h := New(Options{})
	get := func(path string) result {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
		return result{t, w.Code, w.Header(), strings.TrimSpace(w.Body.String())}
	}
	get("/healthz").want(200, `{"status":"ok"}`)
	get("/readyz").problem(kindStoreBusy)
	get(ns + "/keys").problem(kindStoreBusy)
	get("/openapi.json").ok(200)
	s, err := store.Open(store.MemoryOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h.Attach(Adapt(s), nil)
	get("/readyz").want(200, `{"status":"ok"}`)
	// A drain ends what waits.
	waiting := make(chan result)
	go func() {
		r := httptest.NewRequest("GET", "http://localhost"+ns+"/keys", nil)
		r.Header.Set(contextHeader, encodeToken("default", crdt.VersionVector{7: 7}))
		r.Header.Set("Prefer", "wait=60")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		waiting <- result{t, w.Code, w.Header(), w.Body.String()}
	}()
	h.Drain()
	(<-waiting).problem(kindShuttingDown)
	get("/readyz").problem(kindShuttingDown)
	get("/v1/status").problem(kindShuttingDown)
	get("/healthz").want(200, `{"status":"ok"}`)
}

func TestHost(t *testing.T) {
	h := New(Options{Hosts: []string{"db.example", "Other.Example:7700"}})
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7700}
	lan := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7700}
	unix := &net.UnixAddr{Name: "/run/a.sock", Net: "unix"}
	for _, c := range []struct {
		local net.Addr
		host  string
		ok    bool
	}{
		{loopback, "localhost", true}, {loopback, "LOCALHOST:7700", true}, {loopback, "localhost.", true}, {loopback, "a.localhost:1", true},
		{loopback, "127.0.0.1:7700", true}, {loopback, "127.1.2.3", true}, {loopback, "[::1]:7700", true}, {loopback, "[::1]", true}, {loopback, "[::ffff:127.0.0.1]:7700", true},
		{loopback, "db.example:7700", true}, {loopback, "other.example", true},
		{loopback, "evil.example", false}, {loopback, "localhost.evil.example", false}, {loopback, "evillocalhost", false}, {loopback, "192.0.2.7", false},
		{loopback, "0.0.0.0:7700", false}, {loopback, "127.0.0.1.evil.example", false}, {loopback, "", false}, {loopback, "localhost:x", false}, {loopback, "2130706433", false},
		{nil, "localhost", true}, {nil, "192.0.2.7", false},
		{lan, "192.0.2.7:7700", true}, {lan, "198.51.100.1", true}, {lan, "[2001:db8::1]:7700", true}, {lan, "localhost", true}, {lan, "db.example", true}, {lan, "evil.example", false},
		{unix, "", true}, {unix, "evil.example", true},
	} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Host = c.host
		if c.local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.local))
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); (w.Code == 200) != c.ok {
			t.Errorf("Host %q at %v: %d", c.host, c.local, w.Code)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(New(Options{}))
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
	}}
	resp, err := (&http.Client{Transport: tr}).Get("http://anything.example/healthz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	tr.CloseIdleConnections()
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	<-done
}

// HEAD is GET without the body, with the same headers.
func TestHead(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", ns+"/registers/r", `"x"`).ok(204)
	for _, path := range []string{ns + "/registers/r", ns + "/registers/none", ns + "/keys", "/healthz", ns + "/nothing/x"} {
		get, head := d.do("GET", path, ""), d.do("HEAD", path, "")
		if head.body != "" || head.status != get.status || head.header.Get("Content-Length") != get.header.Get("Content-Length") ||
			head.header.Get(contextHeader) != get.header.Get(contextHeader) {
			t.Errorf("%s: GET %d %v, HEAD %d %v %q", path, get.status, get.header, head.status, head.header, head.body)
		}
	}
	d.do("HEAD", ns+"/export", "").want(200, "").token()
}

// A token of 16 KiB and the longest path there is both arrive.
func TestLongHeaders(t *testing.T) {
	d := newDaemon(t)
	d.do("GET", ns+"/keys", "", contextHeader+": "+strings.Repeat("A", maxTokenBytes)).problem(kindBadContext)
	names := slices.Repeat([]string{strings.Repeat("é", 512)}, 32)
	path := esc(esc(ns+"/maps", names[0])+"/fields", names...)
	d.do("PUT", path, `1`).want(204, "")
	d.do("GET", path, "").ok(200)
}

// The description is OpenAPI 3.1 and lists the routes and no other; no reply speaks of $schema.
func TestOpenAPI(t *testing.T) {
	d := newDaemon(t)
	r := d.do("GET", "/openapi.json", "").ok(200)
	var spec struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct {
			Schemas map[string]struct {
				AdditionalProperties any
				Properties           map[string]struct {
					Type  any
					Items struct{ Type any }
				}
			}
		}
	}
	decode(t, r.body, &spec)
	if !strings.HasPrefix(spec.OpenAPI, "3.1.") || strings.Contains(r.body, "$schema") {
		t.Error(spec.OpenAPI)
	}
	listed := 0
	for _, rt := range routes() {
		if spec.Paths[rt.pattern][strings.ToLower(rt.method)].OperationID != rt.id {
			t.Errorf("%s %s is not described", rt.method, rt.pattern)
		}
		path := strings.NewReplacer("{ns}", "nope", "{key}", "k", "{member}", "m", "{item}", exampleItem, "{path}", "f").Replace(rt.pattern)
		if p := d.do(rt.method, path, ""); p.status == 405 || p.status == 404 && strings.Contains(p.body, "no such resource") {
			t.Errorf("%s %s is described but does not exist: %s", rt.method, rt.pattern, p.body)
		}
	}
	for _, methods := range spec.Paths {
		listed += len(methods)
	}
	if listed != len(routes()) {
		t.Errorf("%d operations for %d routes", listed, len(routes()))
	}
	for name, s := range spec.Components.Schemas {
		request := slices.Contains([]string{"Barrier", "BoundedOp", "Batch", "BatchCondition", "BatchOp", "CounterOp", "ListOp", "MapOp", "MapOps", "NamespaceOptions", "NewPeer", "Retirement", "SetOp"}, name)
		if closed := s.AdditionalProperties == false; closed != request {
			t.Errorf("%s: closed is %v", name, closed)
		}
		for prop, v := range s.Properties {
			for _, of := range []any{v.Type, v.Items.Type} {
				if types, ok := of.([]any); ok && types[0] == "array" {
					t.Errorf("%s.%s may be null", name, prop)
				}
			}
		}
	}
	// What the schemas of requests name is what the readers take.
	for name, form := range map[string]opForm{"BatchOp": {targets: true, path: true}, "MapOp": {path: true}, "CounterOp": {}, "ListOp": {}, "SetOp": {}} {
		for prop := range spec.Components.Schemas[name].Properties {
			_, err := readOp(&jsonReader{b: []byte(`{"` + prop + `":}`)}, form)
			if err == nil || strings.Contains(err.Error(), "has no meaning") {
				t.Errorf("%s.%s: %v", name, prop, err)
			}
		}
	}
}

// A reader that takes nothing holds neither the server nor a view for ever.
func TestExportToAClientThatLeaves(t *testing.T) {
	d := newDaemon(t)
	value := `"` + strings.Repeat("x", 100<<10) + `"`
	for i := range 100 {
		d.do("PUT", fmt.Sprintf("%s/registers/%d", ns, i), value).ok(204)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", d.srv.URL+ns+"/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	d.srv.Close() // waits for the request to end
}

// slow is a writer that takes no more after its deadline, as a connection does.
type slow struct {
	http.ResponseWriter
	deadlines, flushes int
}

func (s *slow) SetWriteDeadline(time.Time) error { s.deadlines++; return nil }
func (s *slow) FlushError() error                { s.flushes++; return nil }

// Each part of an export has its own deadline, and is sent at once.
func TestExportDeadlines(t *testing.T) {
	d := newDaemon(t)
	for i := range 10 {
		d.do("PUT", fmt.Sprintf("%s/registers/%d", ns, i), `"`+strings.Repeat("x", 100<<10)+`"`).ok(204)
	}
	w := &slow{ResponseWriter: httptest.NewRecorder()}
	d.h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+ns+"/export", nil))
	if w.deadlines < 10 || w.flushes < 10 {
		t.Errorf("%d deadlines, %d flushes for 1 MB", w.deadlines, w.flushes)
	}
}

// No reply has a body that is not JSON, or a type that does not say so.
func TestMediaTypes(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", ns+"/registers/r", `"<a>&\u2028"`).ok(204)
	for _, accept := range []string{"", "*/*", "application/*", "application/json", "application/json;q=0.1", "text/html, */*;q=0.1", "application/xml, Application/JSON"} {
		r := d.do("GET", ns+"/registers/r", "", "Accept: "+accept)
		r.want(200, `{"type":"register","key":"r","value":"<a>&\u2028","conflict":false}`)
		if r.header.Get("Content-Type") != mediaTypeJSON || !json.Valid([]byte(r.body)) {
			t.Error(r.header)
		}
	}
	d.do("PUT", ns+"/registers/r", `1`, "Content-Type: Application/JSON; charset=UTF-8").ok(204)
}
