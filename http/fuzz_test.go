package http

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// still is a store that shows the same for ever, so that each input finds what the one before has
// found: a commit is run up to its end and given up there. Nobody waits in it.
type still struct{ Store }

func (s still) CreateNamespace(string, store.Storage) error { return nil }
func (s still) DropNamespace(string) error                  { return nil }

func (s still) Namespace(name string) (Namespace, error) {
	n, err := s.Store.Namespace(name)
	return stillNamespace{n}, err
}

type stillNamespace struct{ Namespace }

func (n stillNamespace) WaitFor(context.Context, crdt.VersionVector) error {
	return context.DeadlineExceeded
}
func (n stillNamespace) Retire(context.Context, crdt.ReplicaID) (uint64, error) { return 1, nil }
func (n stillNamespace) WaitCommit(context.Context, uint64) error               { return context.DeadlineExceeded }

func (n stillNamespace) Commit(ctx context.Context, fn func(Tx) error) (store.Receipt, error) {
	errGivenUp := errors.New("given up")
	r, err := n.Namespace.Commit(ctx, func(tx Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errGivenUp
	})
	if errors.Is(err, errGivenUp) {
		return store.Receipt{Clock: n.Clock()}, nil
	}
	return r, err
}

// fuzzHandler returns a handler on a memory store with the state of the samples, and what wraps the
// store.
func fuzzHandler(f *testing.F, wrap func(Store) Store) *Handler {
	d := newDaemon(f)
	d.holdSamples()
	d.h.Attach(wrap(Adapt(d.store)), &peers{known: map[string]*fakePeer{}})
	return d.h
}

// send lets a handler answer a request as it comes off the wire: method and target as they are
// written, headers as lines. It returns nil where the HTTP library refuses it on its own.
func send(t *testing.T, h *Handler, method, target, headers, body string) *httptest.ResponseRecorder {
	t.Helper()
	head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimRight(head, "\r\n") + "\r\n\r\n")))
	if err != nil {
		return nil
	}
	r.Body, r.ContentLength = http.NoBody, 0
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	// Nothing here has a reason to take long.
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r.WithContext(ctx)); ctx.Err() != nil {
		t.Fatalf("%s %s took too long", method, target)
	}
	checkReply(t, r, w)
	return w
}

// checkReply checks what holds for every reply to every request.
func checkReply(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	body, media := w.Body.Bytes(), w.Header().Get("Content-Type")
	fail := func(why string) {
		t.Helper()
		t.Fatalf("%s %s: %s\n%d %v\n%.2000s", r.Method, r.URL, why, w.Code, w.Header(), body)
	}
	var p Problem
	switch {
	case w.Code == http.StatusInternalServerError:
		fail("a fault of ours")
	case r.Method == http.MethodHead || w.Code == http.StatusNoContent || w.Code == http.StatusNotModified:
		if len(body) > 0 {
			fail("a body that must not be")
		}
	case w.Code >= 400:
		if err := json.Unmarshal(body, &p); err != nil || media != mediaTypeProblem || p.Status != w.Code || !strings.HasPrefix(p.Type, problemPrefix) || p.Title == "" || p.Detail == "" {
			fail("no problem")
		}
		retry := w.Code == http.StatusServiceUnavailable || w.Code == http.StatusTooManyRequests
		if retry != (w.Header().Get("Retry-After") != "") || (w.Code == http.StatusMethodNotAllowed) != (w.Header().Get("Allow") != "") {
			fail("the headers do not fit the problem")
		}
	case media == "" && len(body) == 0: // 202 in place of 204
	case media == mediaTypeJSON:
		if !json.Valid(body) {
			fail("no JSON")
		}
	case media == mediaTypeNDJSON || media == mediaTypeSSE:
		for line := range bytes.Lines(body) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); (ok || media == mediaTypeNDJSON) && !json.Valid(data) {
				fail("a line that is no JSON")
			}
		}
	default:
		fail("a reply of an unknown kind")
	}
	if token := w.Header().Get(contextHeader); token != "" {
		if _, err := decodeToken(store.Default, token); err != nil && strings.HasPrefix(r.URL.Path, ns) {
			fail("a token that is none")
		}
	}
}

// wildHeaders are headers that requests carry, and some that none should.
var wildHeaders = []string{"", "Accept: text/event-stream", "Accept: application/x-ndjson\r\nLast-Event-ID: x", "Accept: */*;q=0", "Accept: text/html, application/json;q=0.1",
	"If-Match: *", "If-None-Match: *", `If-None-Match: W/"a", "b"`, `If-Match: "`, "Prefer: wait=1", "Prefer: wait=99999999999999999999", "Prefer: wait", `Prefer: respond-async, wait="3"; x`,
	contextHeader + ": AXZEpt-tsMI_iy1VXw", contextHeader + ": " + encodeToken(store.Default, crdt.VersionVector{1: 1}), contextHeader + ": a\r\n" + contextHeader + ": b",
	"Idempotency-Key: k", "Content-Type: " + mediaTypeMerge, "Content-Type: application/json; charset=utf-8", "Content-Type: text/plain", "Content-Encoding: gzip", "Host: evil.example", "If-Range: x",
	"Expect: 100-continue", "Transfer-Encoding: chunked", "Content-Type: application/x-ndjson"}

// wildQueries are queries that routes take, and some that none does.
var wildQueries = []string{"limit=1", "limit=1001&cursor=", "limit=-1", "limit=1e3", "cursor=AQ", "prefix=a&prefix=b", "prefix=%FF", "shape=typed", "shape=typed&limit=2", "type=set&prefix=", "type=list",
	"since=now&timeout=0s", "since=start&include=value&limit=2", "timeout=1ns", "timeout=-1s", "acks=3", "acks=0", "drop=local", "drop=all", "%", "a=%zz", ";", "ttl=30s", "expires=2030-01-01T00:00:00Z", "bogus"}

// FuzzRequest: whatever is asked, the daemon answers, with what it promises to answer with, and not
// with a fault of its own.
func FuzzRequest(f *testing.F) {
	h := fuzzHandler(f, func(s Store) Store { return still{s} })
	jsonHeader := "Content-Type: application/json"
	for i, rt := range routes() {
		for _, x := range samples[rt.id] {
			f.Add(rt.method, x.target, jsonHeader+"\r\n"+strings.Join(x.headers, "\r\n"), x.body)
		}
		x := samples[rt.id][0]
		f.Add("HEAD", x.target, "", "")
		f.Add("OPTIONS", x.target, "Origin: http://evil.example", "")
		path, _, _ := strings.Cut(x.target, "?")
		for _, q := range wildQueries {
			f.Add(rt.method, path+"?"+q, jsonHeader, x.body)
		}
		for _, header := range wildHeaders {
			f.Add(rt.method, x.target, header, x.body)
		}
		for _, b := range []string{"", "{}", "[]", "null", `{"ops":null}`, `{"ops":[{}]}`, "\xff", `{"inc":1e400}`, strings.Repeat("[", 200)} {
			f.Add(rt.method, x.target, jsonHeader, b)
		}
		f.Add(rt.method, esc(path, hurtful[i%len(hurtful)]), "", x.body)
		f.Add(rt.method, esc(path[:strings.LastIndex(path, "/")], hurtful[i*7%len(hurtful)]), jsonHeader, x.body)
	}
	for _, target := range []string{"*", "/", "//", "/v1/../v1/ns", "http://localhost/v1/ns", "localhost:7700", "/v1/ns/%", "/v1/ns/default/maps/m/fields/" + strings.Repeat("a/", 33), "?", "/v1/ns?#"} {
		f.Add("GET", target, "", "")
	}
	f.Fuzz(func(t *testing.T, method, target, headers, body string) {
		send(t, h, method, target, headers, body)
	})
}

// clearAll deletes everything in a namespace.
func clearAll(t *testing.T, h *Handler, ns string) {
	t.Helper()
	for {
		var list Keys
		if err := json.Unmarshal(send(t, h, "GET", ns+"/keys", "", "").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Keys) == 0 {
			return
		}
		for _, k := range list.Keys {
			if w := send(t, h, "DELETE", esc(ns+"/"+collection(k.Type), k.Key), "", ""); w.Code != 204 {
				t.Fatalf("DELETE %v: %d %s", k, w.Code, w.Body)
			}
		}
	}
}

// FuzzOps: a batch that is taken leaves objects that are listed, read and exported, and that the
// lines of the export make again, in another namespace, with the same bytes. One that is not taken
// leaves nothing.
func FuzzOps(f *testing.F) {
	h := fuzzHandler(f, func(s Store) Store { return s })
	const copied = "/v1/ns/copy"
	f.Add(sampleState)
	for _, ops := range []string{
		`{"counter":"c","inc":"9223372036854775807"},{"counter":"c","reset":true},{"counter":"c","inc":-1}`, `{"counter":"z","inc":1},{"counter":"z","inc":-1}`,
		`{"set":"s","add":["a","","a"],"remove":["a"]}`, `{"set":"s","add":["` + strings.Repeat("é", 600) + `"]}`, `{"register":"\u0000","value":{"a":[1.0e5,null,"\ud83d\ude00"]}}`,
		`{"map":"m","path":["a"],"value":1},{"map":"m","path":["a","b"],"inc":1},{"map":"m","path":["a"],"add":["x"]}`, `{"map":"m","path":["a"],"value":1},{"map":"m","delete":true}`,
		`{"map":"m","path":["f"],"enable":true},{"flag":"f","enable":true},{"flag":"f","enable":false}`, `{"list":"l","insert":[1,"x",null]}`, `{"list":"l","insert":[]}`, `{"list":"l","insert":[1],"at":"start"},{"map":"m","path":["l"],"insert":[2,3]},{"map":"m","path":["l"],"insert":[4],"at":"start"}`,
		`{"list":"l","insert":[{"a":1}]},{"list":"l","item":"jz-3YGLT8ewrjkU","value":1}`, `{"list":"l","item":"jz-3YGLT8ewrjkU","delete":true}`, `{"list":"l","insert":[1],"after":"jz-3YGLT8ewrjkU"}`, `{"bounded":"b","inc":5}`,
		`{"register":"r","value":1,"ttl":"1h"},{"set":"s","add":["x"],"expires":"2199-01-01T00:00:00Z"}`,
	} {
		f.Add(`{"ops":[` + ops + `]}`)
		f.Add(`{"ops":[` + ops + `],"if":[{"set":"s","absent":true}]}`)
	}
	f.Fuzz(func(t *testing.T, body string) {
		const header = "Content-Type: application/json"
		send(t, h, "PUT", copied, header, `{"storage":"memory"}`)
		clearAll(t, h, ns)
		clearAll(t, h, copied)
		taken := send(t, h, "POST", ns+"/batch", header, body).Code == 200
		export := send(t, h, "GET", ns+"/export", "", "").Body.String()
		if !taken && export != "" {
			t.Fatalf("a batch that was refused left %s", export)
		}
		for line := range strings.Lines(export) {
			if w := send(t, h, "POST", copied+"/batch", header, `{"ops":[`+line+`]}`); w.Code != 200 {
				t.Fatalf("the export has the line %s, and the batch answers %s", line, w.Body)
			}
		}
		if again := send(t, h, "GET", copied+"/export", "", "").Body.String(); again != export {
			t.Fatalf("%s became\n%s", export, again)
		}
		var list Keys
		if err := json.Unmarshal(send(t, h, "GET", ns+"/keys?limit=1000", "", "").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		for _, k := range list.Keys {
			if w := send(t, h, "GET", esc(ns+"/"+collection(k.Type), k.Key), "", ""); w.Code != 200 {
				t.Fatalf("%v is listed, and its GET answers %d %s", k, w.Code, w.Body)
			}
		}
	})
}

// FuzzMergePatch: a map that was made by one patch and changed by another shows what RFC 7396 says.
func FuzzMergePatch(f *testing.F) {
	h := fuzzHandler(f, func(s Store) Store { return s })
	for _, row := range [][2]string{
		{`{"a":"b"}`, `{"a":"c","b":{"x":null}}`}, {`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`}, {`{"a":[{"b":"c"}]}`, `{"a":[1]}`}, {`{}`, `{"a":{"bb":{"ccc":null}}}`},
		{`{"a":{"b":1.0}}`, `{"a":{"b":1}}`}, {`{"a":1}`, `{"a":{}}`}, {`{"":1}`, `{}`}, {`{"a":1,"a":2}`, `null`}, {`{"a":{"b":{"c":{"d":1}}}}`, `{"a":{"b":null}}`},
	} {
		f.Add(row[0], row[1])
	}
	f.Fuzz(func(t *testing.T, before, patch string) {
		clearAll(t, h, ns)
		const path, header = ns + "/maps/m", "Content-Type: " + mediaTypeMerge
		if send(t, h, "PATCH", path, header, before).Code != 200 {
			return
		}
		w := send(t, h, "PATCH", path, header, patch)
		if w.Code != 200 {
			return
		}
		var b, p any
		if json.Unmarshal([]byte(before), &b) != nil || json.Unmarshal([]byte(patch), &p) != nil {
			t.Fatalf("%s and %s are taken, and are no JSON", before, patch)
		}
		have := rfc7396(map[string]any{}, b)
		have, _ = prune(have)
		want, _ := prune(rfc7396(have, p))
		if got := plainOf(t, w.Body.String()); string(mustJSON(t, got)) != string(mustJSON(t, want)) {
			t.Fatalf("%s over %s is %s, want %s", patch, before, mustJSON(t, got), mustJSON(t, want))
		}
	})
}

// FuzzPrefer: what is taken is a time that a request may wait.
func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"wait=5", "respond-async, wait=5", `wait="7"; x=y`, "WAIT = 61", "wait=", "wait=-1", "wait=1,wait=2", ",", "wait=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		wait, given, err := parsePrefer([]string{s})
		if err != nil && (problemOf(err).Status != 400 || given) || wait < 0 || wait > maxWait || wait > 0 && !given {
			t.Fatalf("%q: %v, %t, %v", s, wait, given, err)
		}
		if !given {
			return
		}
		again, _, err := parsePrefer([]string{fmt.Sprintf("wait=%d", wait/time.Second)})
		if err != nil || again != wait {
			t.Fatalf("%q: %v, then %v, %v", s, wait, again, err)
		}
	})
}

// FuzzFeedCursor: what is taken is a place that is written in no other way.
func FuzzFeedCursor(f *testing.F) {
	feed := &feed{query: 7, replica: 3}
	f.Add(feed.cursor(store.Position{Commit: 1, Run: 2, Piece: 3, Index: 4}))
	f.Add(feed.cursor(store.Start))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, s string) {
		replica, at, err := feed.parseCursor(s)
		if err != nil {
			return
		}
		here := *feed
		here.replica = replica
		if again := here.cursor(at); again != s {
			t.Fatalf("%q is taken, but is written %q", s, again)
		}
	})
}
