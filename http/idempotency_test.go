package http

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

const key = "Idempotency-Key: k1"

// same checks that r is the reply first was, sent again.
func (r result) same(first result) result {
	r.t.Helper()
	r.want(first.status, first.body)
	if r.header.Get(replayHeader) != "true" || first.header.Get(replayHeader) != "" {
		r.t.Fatalf("%s: %q, first %q", replayHeader, r.header.Get(replayHeader), first.header.Get(replayHeader))
	}
	for _, name := range []string{contextHeader, "Etag", "Content-Type"} {
		if r.header.Get(name) != first.header.Get(name) {
			r.t.Fatalf("%s: %q, first %q", name, r.header.Get(name), first.header.Get(name))
		}
	}
	return r
}

// Every route that takes a key answers again with the same bytes, and does it once.
func TestIdempotencyKey(t *testing.T) {
	d := newDaemon(t)
	d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["n"],"inc":1},{"path":["t"],"add":["x"]}]}`).ok(200)
	const merge = "Content-Type: " + mediaTypeMerge
	for i, c := range []struct{ method, path, body, header, want string }{
		{"POST", "/counters/c", `{"inc":2}`, "", `{"type":"counter","key":"c","value":2}`},
		{"POST", "/counters/c", `{"inc":0}`, "", `{"type":"counter","key":"c","value":2}`},
		{"POST", "/counters/c", `{"reset":true}`, "", `{"type":"counter","key":"c","value":0}`},
		{"POST", "/counters/none", `{"reset":true}`, "", `{"type":"counter","key":"none","value":0}`},
		{"POST", "/sets/s", `{"add":["a","b"],"remove":["c"]}`, "", `{"added":2,"removed":0}`},
		{"POST", "/batch", `{"ops":[{"counter":"c","inc":1},{"set":"s","add":["c"]},{"register":"r","value":1}]}`, "", `{"results":[{"value":1},{"added":1,"removed":0},{}]}`},
		{"POST", "/batch", `{"ops":[]}`, "", `{"results":[]}`},
		{"PATCH", "/maps/m", `{"ops":[{"path":["n"],"inc":1}]}`, "", `{"type":"map","key":"m","value":{"n":2,"t":["x"]}}`},
		{"PATCH", "/maps/m", `{"ops":[{"path":["n"],"reset":true}]}`, "", `{"type":"map","key":"m","value":{"t":["x"]}}`},
		{"PATCH", "/maps/m", `{"city":"Delft"}`, merge, `{"type":"map","key":"m","value":{"city":"Delft","t":["x"]}}`},
		{"PATCH", "/maps/m", `{"city":null,"t":null}`, merge, `{"type":"map","key":"m","value":{}}`},
	} {
		key := fmt.Sprint("Idempotency-Key: k", i)
		first := d.do(c.method, ns+c.path, c.body, key, c.header).want(200, c.want)
		before := d.namespace().Clock()
		d.do("POST", ns+"/batch", `{"ops":[{"counter":"c","inc":1},{"map":"m","path":["other"],"value":1}]}`).ok(200)
		d.do(c.method, ns+c.path, c.body, key, c.header).same(first)
		if token := encodeToken(store.Default, before); first.token() != token {
			t.Errorf("%s: the token is not that of the commit", c.body)
		}
		d.do("POST", ns+"/batch", `{"ops":[{"counter":"c","inc":-1},{"map":"m","path":["other"],"delete":true}]}`).ok(200)
	}
	d.do("GET", ns+"/counters/c", "").want(200, `{"type":"counter","key":"c","value":1}`)
}

// The ETag of a reply that was kept is that of the object, where it is told.
func TestIdempotencyTag(t *testing.T) {
	d := newDaemon(t)
	for i, c := range []struct{ method, path, body string }{
		{"POST", "/counters/c", `{"inc":1}`},
		{"PATCH", "/maps/m", `{"ops":[{"path":["n"],"inc":1},{"path":["a"],"value":1}]}`},
		{"PATCH", "/maps/m", `{"ops":[{"path":["n"],"reset":true}]}`},
		{"PATCH", "/maps/m", `{"ops":[{"path":["n"],"inc":1},{"path":["n"],"reset":true},{"path":["n"],"inc":2}]}`},
	} {
		key := fmt.Sprint("Idempotency-Key: k", i)
		first := d.do(c.method, ns+c.path, c.body, key).ok(200)
		if tag := d.do("GET", ns+c.path, "").header.Get("Etag"); tag == "" || first.header.Get("Etag") != tag {
			t.Errorf("%s: %q, GET has %q", c.body, first.header.Get("Etag"), tag)
		}
		d.do(c.method, ns+c.path, c.body, key).same(first)
	}
}

// A key belongs to one request in one namespace.
func TestIdempotencyReused(t *testing.T) {
	d := newDaemon(t)
	const c = ns + "/counters/c"
	first := d.do("POST", c, `{"inc":1}`, key).ok(200)
	d.do("POST", c, `{"inc":2}`, key).problem(kindKeyReused)
	d.do("POST", c, `{"inc": 1}`, key).problem(kindKeyReused)
	d.do("POST", ns+"/counters/d", `{"inc":1}`, key).problem(kindKeyReused)
	d.do("PATCH", ns+"/maps/c", `{"inc":1}`, key, "Content-Type: "+mediaTypeMerge).problem(kindKeyReused)
	d.do("POST", c, `{"inc":1}`, key, "Anabranch-Context: "+first.token(), "If-Match: *").same(first)
	d.do("POST", c+"?acks=1", `{"inc":1}`, key).ok(202)
	d.do("PUT", "/v1/ns/other", "{}").ok(201)
	d.do("POST", "/v1/ns/other/counters/c", `{"inc":5}`, key).want(200, `{"type":"counter","key":"c","value":5}`)
	d.do("DELETE", "/v1/ns/other?drop=local", "").ok(204)
	d.do("PUT", "/v1/ns/other", "{}").ok(201)
	d.do("POST", "/v1/ns/other/counters/c", `{"inc":6}`, key).want(200, `{"type":"counter","key":"c","value":6}`)
	d.do("GET", c, "").want(200, `{"type":"counter","key":"c","value":1}`)
}

func TestIdempotencyKeySyntax(t *testing.T) {
	d := newDaemon(t)
	const c = ns + "/counters/c"
	long := strings.Repeat("k", maxKeyBytes)
	for i, same := range [][]string{
		{`8e03978e-40d5-43dd-bc93-6894a57f9324`, `"8e03978e-40d5-43dd-bc93-6894a57f9324"`},
		{`a"b\`, `"a\"b\\"`},
		{long, `"` + long + `"`},
		{`!~;,=`, `"!~;,="`},
	} {
		want := fmt.Sprintf(`{"type":"counter","key":"c","value":%d}`, i+1)
		for _, k := range same {
			d.do("POST", c, `{"inc":1}`, "Idempotency-Key: "+k).want(200, want)
		}
	}
	for _, k := range []string{`""`, `"`, `"a`, `a b`, `"a b"`, `"a"b"`, `"a\b"`, `"a\"`, `"a";x=1`, "ü", "a\tb", long + "k", `"` + long + `k"`} {
		d.do("POST", c, `{"inc":1}`, "Idempotency-Key: "+k).problem(kindBadRequest)
	}
	if _, err := parseKey([]string{"a", "a"}); err == nil {
		t.Error("two keys")
	}
	if _, err := parseKey([]string{""}); err == nil {
		t.Error("an empty key")
	}
}

// What a transaction refuses it refuses again, though it would do it by now. What is wrong with a request
// before that, and what is our fault, is looked at anew.
func TestIdempotencyRefusals(t *testing.T) {
	free := uint64(1 << 40)
	opts := store.DefaultOptions(t.TempDir())
	opts.FreeBytes = func(string) (uint64, error) { return free, nil }
	now := time.Unix(1_700_000_000, 0)
	opts.Now = func() time.Time { return now }
	d := openDaemon(t, opts)
	const c, batch = ns + "/counters/c", ns + "/batch"
	d.do("POST", c, `{"inc":9223372036854775807}`).ok(200)
	first := d.do("POST", c, `{"inc":1}`, key)
	first.problem(kindOverflow)
	const guarded = `{"if":[{"register":"r","absent":false}],"ops":[]}`
	d.do("POST", batch, guarded, "Idempotency-Key: k2").problem(kindBadRequest)
	const present = `{"if":[{"register":"r","etag":"*"}],"ops":[{"set":"s","add":["x"]}]}`
	refused := d.do("POST", batch, present, "Idempotency-Key: k3")
	refused.problem(kindPrecondition)
	absent := d.do("POST", ns+"/sets/s", `{"add":["x"]}`, "If-Match: *", "Idempotency-Key: k4")
	absent.problem(kindPrecondition)
	d.do("POST", c, `{"reset":true}`).ok(200)
	d.do("PUT", ns+"/registers/r", "1").ok(204)
	d.do("POST", c, `{"inc":1}`, key).same(first).problem(kindOverflow)
	d.do("POST", batch, guarded, "Idempotency-Key: k2").problem(kindBadRequest)
	d.do("POST", batch, present, "Idempotency-Key: k3").same(refused)
	d.do("POST", ns+"/sets/s", `{"add":["x"]}`, "Idempotency-Key: k4").same(absent)
	d.do("GET", ns+"/sets/s", "").problem(kindNotFound)

	free, now = 0, now.Add(time.Minute)
	d.do("POST", c, `{"inc":1}`, "Idempotency-Key: k5").problem(kindDiskFull)
	free, now = 1<<40, now.Add(time.Minute)
	d.do("POST", c, `{"inc":1}`, "Idempotency-Key: k5").want(200, `{"type":"counter","key":"c","value":1}`)
	// After a day nothing is left of it.
	now = now.Add(keepReplies)
	d.do("POST", c, `{"inc":1}`, key).want(200, `{"type":"counter","key":"c","value":2}`)
}

// A large map is not kept: a replay shows it as it is then.
func TestIdempotencyLargeMap(t *testing.T) {
	d := newDaemon(t)
	var ops []string
	for i := range maxKeptEntries {
		ops = append(ops, fmt.Sprintf(`{"path":["f%04d"],"value":%d}`, i, i))
	}
	d.do("PATCH", ns+"/maps/m", `{"ops":[`+strings.Join(ops, ",")+`]}`).ok(200)
	d.do("PATCH", ns+"/maps/v", `{"ops":[{"path":["v"],"value":"`+strings.Repeat("v", maxKeptBytes)+`"}]}`).ok(200)
	for _, m := range []string{"m", "v"} {
		first := d.do("PATCH", ns+"/maps/"+m, `{"ops":[{"path":["n"],"inc":1}]}`, "Idempotency-Key: "+m).ok(200)
		d.do("PATCH", ns+"/maps/"+m, `{"ops":[{"path":["n"],"inc":1}]}`, "Idempotency-Key: "+m).same(first)
		d.do("PATCH", ns+"/maps/"+m, `{"ops":[{"path":["n"],"inc":10}]}`).ok(200)
		again := d.do("PATCH", ns+"/maps/"+m, `{"ops":[{"path":["n"],"inc":1}]}`, "Idempotency-Key: "+m)
		if again.ok(200).header.Get(replayHeader) != "true" || !strings.Contains(again.body, `"n":11`) || again.token() == first.token() {
			t.Errorf("%s: %v %.100s", m, again.header, again.body)
		}
	}
}

// The same key again while the request runs is refused; a replay waits for acks of the first commit.
func TestIdempotencyRunning(t *testing.T) {
	b := newDaemon(t)
	a, cl := newCluster(t, b)
	inc := func() result { return a.do("POST", ns+"/counters/c?acks=1", `{"inc":1}`, key, longest) }
	done := make(chan result)
	go func() { done <- inc() }()
	<-cl.asked
	if r := inc(); r.problem(kindInProgress).Status != 409 || r.header.Get("Retry-After") == "" {
		t.Error(r.header)
	}
	a.do("POST", ns+"/counters/c", `{"inc":1}`, "Idempotency-Key: other").want(200, `{"type":"counter","key":"c","value":2}`)
	exchange(t, a, b)
	first := (<-done).want(200, `{"type":"counter","key":"c","value":1}`)
	// The peer holds what the first commit wrote, and not what comes now.
	a.do("POST", ns+"/counters/c?acks=1", `{"inc":1}`).ok(202)
	if r := inc().same(first); r.header.Get(acksHeader) != "1" || r.header.Get("Preference-Applied") != "wait=60" {
		t.Error(r.header)
	}
	late := a.do("POST", ns+"/counters/c?acks=1", `{"inc":1}`, "Idempotency-Key: late").ok(202)
	go func() {
		done <- a.do("POST", ns+"/counters/c?acks=1", `{"inc":1}`, "Idempotency-Key: late", longest)
	}()
	<-cl.asked
	exchange(t, a, b)
	if r := (<-done).want(200, late.body); r.token() != late.token() || r.header.Get(acksHeader) != "1" || r.header.Get(replayHeader) != "true" {
		t.Error(r.header)
	}
}

// cut is a datastore that stops for good before or behind one of its batches. It lives on in the next
// store.
type cut struct {
	store.Backend
	left   int  // batches until the stop; negative for none
	behind bool // the last one is applied, and nobody is told
}

var errCut = errors.New("cut off")

func (c *cut) Apply(b *store.Batch) (func() error, error) {
	if c.left == 0 || c.left == 1 && !c.behind {
		c.left = 0
		return nil, errCut
	}
	wait, err := c.Backend.Apply(b)
	if c.left--; err == nil && c.left == 0 {
		return func() error { return errors.Join(wait(), errCut) }, nil
	}
	return wait, err
}

func (c *cut) Close() error { return nil }

func (c *cut) options(t testing.TB) store.Options {
	opts := store.DefaultOptions(t.TempDir())
	opts.LargeEntries = 8
	opts.Fingerprint = func(string) (store.Fingerprint, error) { return "here", nil }
	opts.OpenBackend = func(string) (store.Backend, error) { return c, nil }
	return opts
}

// direct answers a request without a connection.
func direct(h *Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", mediaTypeJSON)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The datastore stops at each batch while a client, which tries again until it has an answer, counts to
// ten and deletes a large set with each step. Whatever was cut off, every step is done once.
func TestIdempotencyCut(t *testing.T) {
	const steps = 4
	add := make([]string, 100)
	for i := range add {
		add[i] = fmt.Sprintf(`"m%d"`, i)
	}
	ops := `{"ops":[{"set":"s","delete":true},{"counter":"c","inc":1},{"set":"s","add":[` + strings.Join(add, ",") + `]}]}`
	run := func(t *testing.T, h *Handler, from int) int {
		for i := from; i < steps; i++ {
			w := direct(h, "POST", ns+"/batch", ops, fmt.Sprintf("Idempotency-Key: step%d", i))
			if w.Code != 200 {
				return i
			}
			if want := fmt.Sprintf(`{"results":[{},{"value":%d},{"added":100,"removed":0}]}`+"\n", i+1); w.Body.String() != want {
				t.Fatalf("step %d: %s", i, w.Body)
			}
		}
		return steps
	}
	replayed, step := 0, 1
	if testing.Short() {
		step = 5
	}
	for stop := 1; ; stop += step {
		for _, behind := range []bool{false, true} {
			c := &cut{Backend: store.NewMemoryBackend(), left: stop, behind: behind}
			opts := c.options(t)
			done := 0
			if s, err := store.Open(opts); err == nil {
				h := New(Options{})
				h.Attach(Adapt(s), nil)
				done = run(t, h, 0)
				_ = s.Close()
			}
			whole := c.left != 0
			c.left = -1
			s, err := store.Open(opts)
			if err != nil {
				t.Fatal(err)
			}
			h := New(Options{})
			h.Attach(Adapt(s), nil)
			if w := direct(h, "POST", ns+"/batch", ops, fmt.Sprintf("Idempotency-Key: step%d", done)); done < steps && w.Header().Get(replayHeader) != "" {
				replayed++
			}
			if got := run(t, h, min(done, steps-1)); got != steps {
				t.Fatalf("stopped at %d: ended at step %d", stop, got)
			}
			_ = s.Close()
			_ = c.Backend.Close()
			if whole {
				if stop < 10 || replayed == 0 {
					t.Errorf("%d batches, %d replies were found", stop, replayed)
				}
				return
			}
		}
	}
}

// Kept replies of any content are read back, and anything else is an error.
func FuzzKeptReply(f *testing.F) {
	k := keptReply{replica: crdt.ReplicaID(1 << 63), status: 200, etag: `"x"`, body: []byte(`{}`)}
	f.Add(k.append(nil))
	f.Add((&keptReply{status: 412, problem: true, unkept: true}).append(nil))
	f.Add([]byte{})
	f.Add(append(slices.Repeat([]byte{keptVersion}, 41), 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeKeptReply(b)
		if err != nil {
			return
		}
		again, err := decodeKeptReply(k.append(nil))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(k) {
			t.Errorf("%+v, %+v, %v", k, again, err)
		}
	})
}
