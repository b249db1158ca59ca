package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Every way to be refused, and as what.
func TestProblems(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", ns+"/registers/r", `1`).ok(204)
	d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["a"],"value":1}]}`).ok(200)
	long, deep := strings.Repeat("x", 1025), strings.Repeat("/a", 33)
	many := `["` + strings.Repeat(`a","`, 1000) + `b"]`
	for _, c := range []struct {
		kind    kind
		method  string
		path    string
		body    string
		headers []string
	}{
		// paths
		{kindBadRequest, "GET", "/v1/ns/", "", nil},
		{kindBadRequest, "GET", "/v1//ns", "", nil},
		{kindBadRequest, "GET", ns + "/sets/", "", nil},
		{kindBadRequest, "GET", ns + "/sets/./members/x", "", nil},
		{kindBadRequest, "DELETE", ns + "/sets/s/members/..", "", nil},
		{kindBadRequest, "GET", ns + "/sets/%FF", "", nil},
		{kindBadRequest, "GET", ns + "/maps/m/fields/", "", nil},
		{kindBadRequest, "GET", ns + "/maps/m/fields/a//b", "", nil},
		{kindNotFound, "GET", "/", "", nil},
		{kindNotFound, "GET", "/ui/", "", nil},
		{kindNotFound, "GET", "/v1", "", nil},
		{kindNotFound, "GET", "/v1/ns/default/nothing", "", nil},
		{kindNotFound, "GET", ns + "/maps/m/fields", "", nil},
		{kindNotFound, "GET", "/metrics", "", nil},
		{kindNotFound, "GET", ns + "/nothing", "", nil},
		{kindNotFound, "POST", ns + "/bulks", "", nil},
		{kindNotFound, "GET", "/v1/peers/pending", "", nil},
		{kindNotFound, "GET", "/v1/discovery", "", nil},
		{kindNotFound, "POST", "/v1/backup", "", nil},
		{kindMethodNotAllowed, "DELETE", ns + "/sync", "", nil},
		{kindMethodNotAllowed, "POST", ns + "/registers/r", `1`, nil},
		{kindMethodNotAllowed, "OPTIONS", ns + "/registers/r", "", nil},
		{kindMethodNotAllowed, "DELETE", "/healthz", "", nil},
		{kindMethodNotAllowed, "PUT", "/v1/ns", "{}", nil},
		// names
		{kindTooLarge, "GET", ns + "/sets/" + long, "", nil},
		{kindTooLarge, "GET", ns + "/sets/s/members/" + long, "", nil},
		{kindTooLarge, "GET", ns + "/maps/m/fields/a/" + long, "", nil},
		{kindTooLarge, "GET", ns + "/maps/m/fields" + deep, "", nil},
		{kindTooLarge, "POST", ns + "/sets/s", `{"add":["` + long + `"]}`, nil},
		{kindTooLarge, "POST", ns + "/batch", `{"ops":[{"set":"` + long + `","delete":true}]}`, nil},
		{kindBadRequest, "POST", ns + "/sets/s", `{"add":[""]}`, nil},
		{kindBadRequest, "POST", ns + "/batch", `{"ops":[{"set":"","delete":true}]}`, nil},
		{kindNamespaceNotFound, "GET", "/v1/ns/nope/keys", "", nil},
		{kindNamespaceNotFound, "PUT", "/v1/ns/nope/registers/r", "1", nil},
		{kindNamespaceNotFound, "GET", "/v1/ns/_system/keys", "", nil},
		{kindNamespaceNotFound, "GET", "/v1/ns/nope/sync", "", nil},
		{kindBadRequest, "PUT", "/v1/ns/No", `{}`, nil},
		{kindBadRequest, "PUT", "/v1/ns/a%2Fb", `{}`, nil},
		{kindForbidden, "PUT", "/v1/ns/_system", `{}`, nil},
		{kindBadRequest, "PUT", "/v1/ns/default", `{"storage":"memory"}`, nil},
		{kindBadRequest, "PUT", "/v1/ns/x", `{"storage":"tape"}`, nil},
		{kindBadRequest, "PUT", "/v1/ns/x", `{"storage":null}`, nil},
		{kindForbidden, "DELETE", "/v1/ns/default?drop=local", "", nil},
		{kindBadRequest, "DELETE", "/v1/ns/x", "", nil},
		{kindBadRequest, "DELETE", "/v1/ns/x?drop=all", "", nil},
		// headers
		{kindPrecondition, "PUT", ns + "/registers/r", "2", []string{"If-None-Match: *"}},
		{kindPrecondition, "PUT", ns + "/registers/r", "2", []string{`If-Match: "x"`}},
		{kindBadRequest, "GET", ns + "/keys", "", []string{"If-None-Match: *"}},
		{kindBadRequest, "GET", ns + "/registers/r", "", []string{"If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT"}},
		{kindBadRequest, "PUT", ns + "/registers/r", "1", []string{"Idempotency-Key: k"}},
		{kindBadRequest, "DELETE", ns + "/registers/r", "", []string{"Idempotency-Key: k"}},
		{kindBadRequest, "POST", ns + "/sync", "{}", []string{"Idempotency-Key: k"}},
		{kindBadRequest, "POST", ns + "/counters/c", `{"inc":1}`, []string{"Idempotency-Key: a b"}},
		{kindNamespaceNotFound, "POST", "/v1/ns/nope/counters/c", `{"inc":1}`, []string{"Idempotency-Key: k"}},
		{kindBadRequest, "GET", ns + "/registers/r", "", []string{"Prefer: wait=soon"}},
		{kindBadRequest, "GET", ns + "/registers/r", "", []string{"Prefer: wait=-1"}},
		{kindBadRequest, "GET", ns + "/registers/r", "", []string{"Prefer: respond-async, wait"}},
		{kindBadContext, "GET", ns + "/registers/r", "", []string{"Anabranch-Context: nonsense"}},
		{kindBadContext, "GET", ns + "/registers/r", "", []string{"Anabranch-Context: " + encodeToken("other", nil)}},
		{kindBadContext, "PUT", ns + "/registers/r", "1", []string{"Anabranch-Context: " + encodeToken(store.Default, nil) + "A"}},
		{kindNotYetVisible, "GET", ns + "/registers/r", "", []string{"Anabranch-Context: " + encodeToken(store.Default, crdt.VersionVector{7: 3})}},
		{kindNotYetVisible, "DELETE", ns + "/registers/r", "", []string{"Anabranch-Context: " + encodeToken(store.Default, crdt.VersionVector{7: 3})}},
		{kindNotAcceptable, "GET", ns + "/registers/r", "", []string{"Accept: text/html"}},
		{kindNotAcceptable, "GET", ns + "/registers/r", "", []string{"Accept: application/json;q=0, text/*"}},
		{kindNotAcceptable, "GET", ns + "/export", "", []string{"Accept: application/json"}},
		{kindForbidden, "GET", "/healthz", "", []string{"Host: evil.example"}},
		{kindForbidden, "GET", "/v1/status", "", []string{"Host: 192.0.2.1:7700"}},
		// queries
		{kindBadRequest, "GET", ns + "/registers/r?shape=typed", "", nil},
		{kindBadRequest, "GET", ns + "/maps/m?shape=Typed", "", nil},
		{kindBadRequest, "PUT", ns + "/registers/r?acks=0", "1", nil},
		{kindBadRequest, "PUT", ns + "/registers/r?acks=1001", "1", nil},
		{kindBadRequest, "PUT", ns + "/registers/r?acks=", "1", nil},
		{kindBadRequest, "GET", ns + "/registers/r?acks=1", "", nil},
		{kindBadRequest, "POST", ns + "/sync?acks=1", "{}", nil},
		{kindBadRequest, "GET", ns + "/maps/m?prefix=a", "", nil},
		{kindBadRequest, "GET", ns + "/keys?limit=0", "", nil},
		{kindBadRequest, "GET", ns + "/keys?limit=-1", "", nil},
		{kindBadRequest, "GET", ns + "/keys?limit=1.5", "", nil},
		{kindBadRequest, "GET", ns + "/keys?limit=", "", nil},
		{kindBadRequest, "GET", ns + "/keys?limit=1&limit=2", "", nil},
		{kindBadRequest, "GET", ns + "/keys?type=lists", "", nil},
		{kindBadRequest, "GET", ns + "/keys?type=", "", nil},
		{kindBadRequest, "GET", ns + "/keys?prefix=%FF", "", nil},
		{kindBadRequest, "GET", ns + "/keys?prefix=%zz", "", nil},
		{kindBadCursor, "GET", ns + "/keys?cursor=abc", "", nil},
		{kindBadCursor, "GET", ns + "/keys?cursor=", "", nil},
		{kindBadCursor, "GET", ns + "/conflicts?cursor=abc", "", nil},
		{kindBadRequest, "GET", ns + "/conflicts?prefix=a", "", nil},
		{kindBadCursor, "GET", ns + "/maps/m/fields/a?cursor=abc", "", nil},
		{kindBadRequest, "GET", ns + "/maps/m/fields/a?prefix=abc", "", nil},
		// bodies
		{kindMediaType, "PUT", ns + "/registers/r", "1", []string{"Content-Type: application/x-www-form-urlencoded"}},
		{kindMediaType, "PUT", ns + "/registers/r", "1", []string{"Content-Type: "}},
		{kindMediaType, "PUT", ns + "/registers/r", "1", []string{"Content-Type: application/json; charset=latin1"}},
		{kindMediaType, "PUT", ns + "/registers/r", "1", []string{"Content-Encoding: gzip"}},
		{kindMediaType, "PATCH", ns + "/maps/m", "{}", []string{"Content-Type: application/json-patch+json"}},
		{kindBadRequest, "PUT", ns + "/sets/s/members/x", "1", nil},
		{kindBadRequest, "DELETE", ns + "/sets/s", "{}", nil},
		{kindTooLarge, "PUT", ns + "/registers/r", `"` + strings.Repeat("x", 256<<10) + `"`, nil},
		{kindTooLarge, "PUT", ns + "/registers/r", strings.Repeat(" ", 1<<20) + "1", nil},
		{kindTooLarge, "POST", ns + "/sets/s", strings.Repeat(" ", 512<<10) + `{"add":[]}`, nil},
		{kindTooLarge, "POST", ns + "/sets/s", `{"add":` + many + `}`, nil},
		{kindTooLarge, "POST", ns + "/batch", `{"ops":[{"set":"s","add":` + many + `}]}`, nil},
		{kindTooLarge, "POST", ns + "/batch", `{"ops":[` + strings.Repeat(`{"counter":"c","inc":1},`, 1000) + `{"counter":"c","inc":1}]}`, nil},
		{kindTooLarge, "PATCH", ns + "/maps/m", `{"ops":[{"path":["a"],"value":"` + strings.Repeat("x", 256<<10) + `"}]}`, nil},
		{kindTooLarge, "PATCH", ns + "/maps/m", `{"ops":[{"path":["a"` + strings.Repeat(`,"a"`, 32) + `],"value":1}]}`, nil},
		{kindWrongType, "POST", ns + "/batch", `{"ops":[{"counter":"c","add":["x"]}]}`, nil},
		{kindWrongType, "POST", ns + "/batch", `{"ops":[{"set":"c","reset":true}]}`, nil},
		{kindWrongType, "POST", ns + "/batch", `{"ops":[{"register":"c","inc":1}]}`, nil},
		{kindWrongType, "POST", ns + "/counters/c", `{"value":1}`, nil},
		{kindWrongType, "POST", ns + "/sets/c", `{"inc":1}`, nil},
		{kindOverflow, "POST", ns + "/counters/c", `{"inc":9223372036854775808}`, nil},
		{kindOverflow, "POST", ns + "/counters/c", `{"inc":1e400}`, nil},
		{kindForbidden, "POST", "/v1/peers", `{"addr":"/ip4/127.0.0.1/tcp/1/p2p/x"}`, nil},
		{kindBadRequest, "POST", "/v1/peers", `{}`, nil},
		{kindBadRequest, "POST", "/v1/peers", `{"addr":"a","x":1}`, nil},
	} {
		r := d.do(c.method, c.path, c.body, c.headers...)
		name := c.method + " " + c.path
		t.Run(name[:min(len(name), 80)], func(t *testing.T) {
			r.t = t
			p := r.problem(c.kind)
			if (c.kind == kindTooLarge) != (p.Limit > 0) || (c.kind == kindNotYetVisible) != (p.Missing > 0) {
				t.Error(r.body)
			}
			if p.Detail == "" || strings.Contains(p.Detail, "store: ") || strings.Contains(p.Detail, "crdt: ") {
				t.Errorf("the detail is %q", p.Detail)
			}
			if c.kind.status == 503 && r.header.Get("Retry-After") == "" || c.kind.status == 405 && r.header.Get("Allow") == "" {
				t.Error(r.header)
			}
			if c.kind == kindMediaType && !strings.Contains(p.Detail, "--json") && len(c.headers[0]) < 40 && !strings.Contains(c.headers[0], "Encoding") {
				t.Error(p.Detail)
			}
		})
	}
	d.do("GET", ns+"/registers/r", "").want(200, `{"type":"register","key":"r","value":1,"conflict":false}`)
}

// Bodies that are no JSON, or none that is taken.
func TestBadBodies(t *testing.T) {
	d := newDaemon(t)
	deep := strings.Repeat("[", maxJSONDepth+1) + strings.Repeat("]", maxJSONDepth+1)
	values := []string{"", " ", "{", "[1,]", "[,1]", `{"a":1,}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{a:1}`, "01", "1.", ".5", "+1", "1e", "--1", "NaN", "nul", "truex",
		"1 2", `"\x"`, `"\u12"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, "\"\n\"", "\"\xff\"", "\"\xed\xa0\x80\"", `"`, "\ufeff1", deep, "1\x00", "{}{}", `[1 2]`, `{"a" 1}`}
	for _, v := range values {
		d.do("PUT", ns+"/registers/r", v, "Content-Type: application/json").problem(kindBadRequest)
		d.do("PUT", ns+"/maps/m/fields/f", v, "Content-Type: application/json").problem(kindBadRequest)
	}
	d.do("PUT", ns+"/registers/r", deep[1:len(deep)-1]).ok(204)
	for _, v := range append(values, `[]`, `null`, `1`, `{}`, `{"inc":null}`, `{"inc":1.5}`, `{"inc":1e-400}`, `{"inc":"1.0"}`, `{"inc":""}`, `{"inc":"-"}`, `{"inc":"+1"}`, `{"inc":true}`,
		`{"reset":false}`, `{"reset":1}`, `{"inc":1,"reset":true}`, `{"Inc":1}`, `{"inc":1,"x":1}`, `{"counter":"c","inc":1}`, `{"path":["a"],"inc":1}`, `{"delete":true}`) {
		d.do("POST", ns+"/counters/c", v, "Content-Type: application/json").problem(kindBadRequest)
	}
	for _, v := range append(values, `{}`, `{"add":null}`, `{"add":"x"}`, `{"add":[1]}`, `{"add":["x"],"inc":1}`, `{"delete":true}`) {
		d.do("POST", ns+"/sets/s", v, "Content-Type: application/json").problem(kindBadRequest)
	}
	for _, v := range append(values, `{}`, `{"ops":null}`, `{"ops":{}}`, `{"ops":[],"if":{}}`, `{"ops":[],"if":[1]}`, `{"if":[]}`, `{"ops":[],"ops":[]}`, `{"ops":[1]}`, `{"ops":[{}]}`,
		`{"ops":[{"counter":"a"}]}`, `{"ops":[{"inc":1}]}`, `{"ops":[{"counter":"a","set":"b","delete":true}]}`, `{"ops":[{"counter":1,"delete":true}]}`,
		`{"ops":[{"counter":"a","inc":1,"delete":true}]}`, `{"ops":[{"counter":"a","path":["x"],"inc":1}]}`, `{"ops":[{"map":"m","inc":1}]}`,
		`{"ops":[{"map":"m","path":[],"delete":true}]}`, `{"ops":[{"map":"m","path":"x","inc":1}]}`, `{"ops":[{"map":"m","path":["x",1],"inc":1}]}`,
		`{"ops":[{"map":"m","path":[""],"inc":1}]}`, `{"ops":[{"lists":"m","delete":true}]}`, `{"ops":[{"set":"s","delete":false}]}`) {
		d.do("POST", ns+"/batch", v, "Content-Type: application/json").problem(kindBadRequest)
	}
	for _, v := range append(values, `{}`, `{"ops":[{"delete":true}]}`, `{"ops":[{"path":["a"]}]}`, `{"ops":[{"map":"m","path":["a"],"inc":1}]}`, `{"ops":[{"path":["a"],"inc":1,"value":1}]}`) {
		d.do("PATCH", ns+"/maps/m", v, "Content-Type: application/json").problem(kindBadRequest)
	}
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[{"type":"register","key":"r"}]}`)
}

// broken is a store that fails as it is told.
type broken struct {
	Store
	err error
}

func (b broken) Namespace(string) (Namespace, error) {
	if b.err == nil {
		panic("deliberate")
	}
	return nil, b.err
}

func (broken) Namespaces() []store.Info { return nil }

func TestErrorsOfTheStore(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind kind
	}{
		{store.ErrNamespaceNotFound, kindNamespaceNotFound},
		{store.ErrClosed, kindShuttingDown},
		{store.ErrDamaged, kindStoreBusy},
		{store.ErrJoining, kindStoreBusy},
		{crdt.ErrDamaged, kindStoreBusy},
		{store.ErrDiskFull, kindDiskFull},
		{context.DeadlineExceeded, kindStoreBusy},
		{crdt.ErrOverflow, kindOverflow},
		{errors.New("secret"), kindInternal},
		{nil, kindInternal}, // a panic
	} {
		h := New(Options{})
		b := broken{err: c.err}
		if b.err != nil {
			b.err = fmt.Errorf("wrapped: %w", c.err)
		}
		h.Attach(b, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+ns+"/keys", nil))
		r := result{t, w.Code, w.Header(), w.Body.String()}
		if p := r.problem(c.kind); strings.Contains(p.Detail, "secret") || strings.Contains(p.Detail, "deliberate") || strings.Contains(p.Detail, "wrapped") || p.Detail == "" {
			t.Error(p.Detail)
		}
		if c.kind.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
}
