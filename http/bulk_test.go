package http

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/store"
	"pgregory.net/rapid"
)

const ndjson = "Content-Type: " + mediaTypeNDJSON

// bulk sends a bulk and returns its results without the last line, and the last line.
func (d *daemon) bulk(body string, headers ...string) ([]string, BulkResult) {
	d.t.Helper()
	r := d.do("POST", ns+"/bulk", body, append(headers, ndjson)...).ok(200)
	lines := strings.Split(r.body, "\n")
	var last BulkResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		d.t.Fatal(err)
	}
	return lines[:len(lines)-1], last
}

var problemMember = `{"line":%d,"problem":{"type":"urn:anabranch:problem:%s"`

func wantLines(t testing.TB, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, w := range want {
		if got[i] != w && !(strings.Contains(w, `"problem"`) && strings.HasPrefix(got[i], w)) {
			t.Errorf("got  %s\nwant %s", got[i], w)
		}
	}
}

func TestBulk(t *testing.T) {
	d := newDaemon(t)
	long := `{"register":"long","value":"` + strings.Repeat("x", maxOpsBytes) + `"}`
	got, last := d.bulk(strings.Join([]string{
		`{"counter":"c","inc":1}`, ``, `  {"set":"s","add":["a","b"],"remove":["c"]}` + "\r", `nonsense`, long, " \t", `{"counter":"c","inc":9223372036854775807}`,
		`{"register":"r","value":[1, 2]}`, `{"counter":"c","inc":1,"reset":true}`, `{"counter":"c","add":["x"]}`, `{"set":"s","delete":true}{}`,
		`{"map":"m","path":["p"],"value":1}`, `{"ops":[]}`, `{"counter":"c","inc":2}`, "{\"set\":\"\xff\",\"add\":[]}"}, "\n"))
	problem := func(line int, kind string) string { return fmt.Sprintf(problemMember, line, kind) }
	wantLines(t, got, `{"line":1,"status":200,"value":1}`, `{"line":3,"status":200,"added":2,"removed":0}`, problem(4, "bad-request"), problem(5, "too-large"),
		problem(7, "overflow"), `{"line":8,"status":200}`, problem(9, "bad-request"), problem(10, "wrong-type-op"), problem(11, "bad-request"),
		`{"line":12,"status":200}`, problem(13, "bad-request"), `{"line":14,"status":200,"value":3}`, problem(15, "bad-request"))
	if last.Lines == nil || *last.Lines != 15 || *last.Failed != 8 || last.Status != 200 || last.Acks != nil || last.Context != d.do("GET", ns+"/keys", "").token() {
		t.Errorf("%+v", last)
	}
	d.do("GET", ns+"/export", "").want(200, `{"counter":"c","inc":3}
{"map":"m","path":["p"],"value":1}
{"register":"r","value":[1,2]}
{"set":"s","add":["a","b"]}`)
	for _, body := range []string{"\n", "\n\n \n", ""} {
		got, last := d.bulk(body)
		if len(got) > 0 || *last.Lines != strings.Count(body, "\n") {
			t.Errorf("%q: %q, %+v", body, got, last)
		}
	}
	// Lines share commits; each is a change of its own.
	before := d.namespace().Status().Commit
	got, _ = d.bulk(strings.Repeat(`{"counter":"n","inc":1}`+"\n", 500))
	if n := d.namespace().Status().Commit - before; n > 50 || got[499] != `{"line":500,"status":200,"value":500}` {
		t.Errorf("%d commits, %s", n, got[499])
	}
	if _, last := d.bulk(`{"counter":"n","inc":1}`); last.Context == "" {
		t.Error(last)
	}
	if r := d.do("POST", ns+"/bulk?acks=1", `{"counter":"n","inc":1}`, ndjson).ok(200); !strings.Contains(r.body, `{"status":202,"lines":1,"failed":0,"context":`) || !strings.Contains(r.body, `"acks":0}`) {
		t.Error(r.body)
	}
	d.do("POST", ns+"/bulk", `{}`).problem(kindMediaType)
	d.do("POST", ns+"/bulk", `{}`, ndjson, "If-Match: *").problem(kindBadRequest)
	d.do("POST", "/v1/ns/none/bulk", `{}`, ndjson).problem(kindNamespaceNotFound)
	d.h.bulks.Add(maxBulks)
	d.do("POST", ns+"/bulk", `{}`, ndjson).problem(kindRateLimited)
	d.h.bulks.Add(-maxBulks)
}

// duplex is a bulk whose client sends and reads as the test says.
type duplex struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Reader // the body of the reply, once there is one
}

func (d *daemon) duplex(headers ...string) *duplex {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.srv.Listener.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	x := &duplex{t: d.t, conn: conn, in: bufio.NewReader(conn)}
	x.write("POST " + ns + "/bulk HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + ndjson + "\r\n" + strings.Join(append(headers, "\r\n"), "\r\n"))
	return x
}

func (x *duplex) write(s string) {
	x.t.Helper()
	if _, err := io.WriteString(x.conn, s); err != nil {
		x.t.Fatal(err)
	}
}

func (x *duplex) send(lines string) { x.write(fmt.Sprintf("%x\r\n%s\r\n", len(lines), lines)) }
func (x *duplex) end()              { x.write("0\r\n\r\n") }

// reply reads the head of the reply.
func (x *duplex) reply() *http.Response {
	x.t.Helper()
	resp, err := http.ReadResponse(x.in, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	x.out = bufio.NewReader(resp.Body)
	return resp
}

func (x *duplex) line() string {
	x.t.Helper()
	if x.out == nil {
		x.reply()
	}
	s, err := x.out.ReadString('\n')
	if err != nil {
		x.t.Fatalf("%q, %v", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// Results come while the body is sent, and what was not finished when the client goes is not done.
func TestBulkDuplex(t *testing.T) {
	d := newDaemon(t)
	x := d.duplex()
	for i := 1; i <= 3; i++ {
		x.send(fmt.Sprintf("{\"counter\":\"c\",\"inc\":%d", i))
		x.send("}\n")
		if got, want := x.line(), fmt.Sprintf(`{"line":%d,"status":200,"value":%d}`, i, i*(i+1)/2); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	x.send(`{"counter":"c","inc":100}`)
	if err := x.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := x.line(); !strings.HasPrefix(got, `{"line":4,"problem":{"type":"urn:anabranch:problem:bad-request"`) {
		t.Error(got)
	}
	if rest, err := io.ReadAll(x.out); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	d.do("GET", ns+"/counters/c", "").want(200, `{"type":"counter","key":"c","value":6}`)
	// A body that breaks off before its first line has no reply to begin.
	x = d.duplex()
	x.send(`{"counter":`)
	_ = x.conn.(*net.TCPConn).CloseWrite()
	if resp := x.reply(); resp.StatusCode != 400 {
		t.Error(resp)
	}
	// What follows a bulk that is refused is not taken for a request.
	d.bulk(`{"counter":"c","inc":1}`, key)
	x = d.duplex(key)
	x.send("{\"counter\":\"c\",\"inc\":2}\n")
	if resp := x.reply(); resp.StatusCode != 422 || !resp.Close {
		t.Error(resp)
	}
	_, _ = io.Copy(io.Discard, x.out)
	if b, err := x.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", b, err)
	}
}

// A client that asks first whether to send its body is told to.
func TestBulkExpect(t *testing.T) {
	d := newDaemon(t)
	x := d.duplex("Expect: 100-continue")
	if line, err := x.in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	_, _ = x.in.ReadString('\n')
	x.send(`{"counter":"c","inc":1}`)
	x.end()
	if got := x.line(); got != `{"line":1,"status":200,"value":1}` {
		t.Error(got)
	}
}

// A daemon that stops ends a bulk behind what it has done.
func TestBulkDrain(t *testing.T) {
	d := newDaemon(t)
	x := d.duplex()
	x.send("{\"counter\":\"c\",\"inc\":1}\n")
	if got := x.line(); got != `{"line":1,"status":200,"value":1}` {
		t.Fatal(got)
	}
	x.send(`{"counter":"c","inc":1}`)
	d.h.Drain()
	if got := x.line(); !strings.HasPrefix(got, `{"line":2,"problem":{"type":"urn:anabranch:problem:shutting-down"`) {
		t.Error(got)
	}
	if rest, err := io.ReadAll(x.out); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// A full disk ends the bulk: nothing behind the line that found it is done.
func TestBulkDiskFull(t *testing.T) {
	free, now := uint64(1<<40), time.Unix(1_700_000_000, 0)
	opts := store.DefaultOptions(t.TempDir())
	opts.FreeBytes = func(string) (uint64, error) { return free, nil }
	opts.Now = func() time.Time { return now }
	d := openDaemon(t, opts)
	x := d.duplex()
	x.send("{\"set\":\"s\",\"add\":[\"a\"]}\n")
	x.line()
	free, now = 0, now.Add(time.Minute)
	x.send("{\"set\":\"s\",\"remove\":[\"b\"]}\n{\"set\":\"s\",\"add\":[\"c\"]}\n{\"set\":\"s\",\"remove\":[\"a\"]}\n")
	if got := x.line(); got != `{"line":2,"status":200,"added":0,"removed":0}` {
		t.Error(got)
	}
	if got := x.line(); !strings.HasPrefix(got, `{"line":3,"problem":{"type":"urn:anabranch:problem:disk-full"`) {
		t.Error(got)
	}
	if rest, err := io.ReadAll(x.out); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	d.do("GET", ns+"/sets/s", "").want(200, `{"type":"set","key":"s","members":["a"],"size":1}`)
}

// A client that sends everything before it reads gets everything, though its results are more than a
// connection holds; nothing is lost when it gives up.
func TestBulkReadsLate(t *testing.T) {
	d := newDaemon(t)
	x := d.duplex()
	const n = 60_000
	lines := strings.Repeat("{\"set\":\"s\",\"delete\":true}\n", 1000)
	for range n / 1000 {
		x.send(lines)
	}
	x.end()
	for i := 1; i <= n; i++ {
		if got, want := x.line(), fmt.Sprintf(`{"line":%d,"status":200}`, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if got := x.line(); !strings.HasPrefix(got, fmt.Sprintf(`{"status":200,"lines":%d,`, n)) {
		t.Error(got)
	}
}

// stalled takes nothing before it is told to.
type stalled struct {
	http.ResponseWriter
	bytes.Buffer
	turn chan struct{}
	err  error
}

func (s *stalled) Flush() {}

func (s *stalled) Write(b []byte) (int, error) {
	<-s.turn
	_, _ = s.Buffer.Write(b)
	return len(b), s.err
}

// The writer holds so much and no more, waits for the client then, and ends when the connection breaks.
func TestBulkWriter(t *testing.T) {
	// One buffer may be on its way, of whatever length, and as many bytes fit behind it: more than both.
	const total = 3 * maxUnread
	for _, broken := range []error{nil, errors.New("gone")} {
		s := &stalled{turn: make(chan struct{}), err: broken}
		b := newBulkWriter(s, http.NewResponseController(s))
		line := bytes.Repeat([]byte{'x'}, 1023)
		added := make(chan error)
		go func() {
			for i := range total / 1024 {
				if err := b.add(line); err != nil {
					added <- err
					return
				}
				if i == 10 {
					b.push()
				}
			}
			added <- nil
		}()
		s.turn <- struct{}{} // the first 11 lines are being sent
		full := func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.urgent
		}
		for deadline := time.Now().Add(time.Minute); broken == nil && !full(); {
			if time.Now().After(deadline) {
				t.Fatal("it is never full")
			}
			select {
			case s.turn <- struct{}{}:
			default:
			}
		}
		close(s.turn)
		err := <-added
		if ferr := b.finish(); (err != nil || ferr != nil) != (broken != nil) {
			t.Errorf("%v, %v, want %v", err, ferr, broken)
		}
		if broken == nil && s.Len() != total {
			t.Errorf("%d bytes of %d", s.Len(), total)
		}
	}
}

// What an export prints, a bulk takes, and then exports the same bytes.
func TestBulkTakesExport(t *testing.T) {
	name := rapid.StringN(1, 12, 100)
	names := rapid.SliceOfN(name, 1, 3)
	values := rapid.SampledFrom([]string{`null`, `1.0`, `"é\n"`, `[1,{"a":[]}]`, `{"b":1e400}`, `false`})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := newHandler(rt), newHandler(rt)
		var ops []map[string]any
		for range rapid.IntRange(0, 40).Draw(rt, "n") {
			o := map[string]any{}
			action := rapid.SampledFrom([]string{"bounded", "counter", "flag", "list", "register", "set"}).Draw(rt, "action")
			if action != "bounded" && rapid.Bool().Draw(rt, "in a map") {
				o["map"], o["path"] = name.Draw(rt, "key"), names.Draw(rt, "path")
			} else {
				o[action] = name.Draw(rt, "key")
			}
			switch action {
			case "counter":
				o["inc"] = rapid.Int64Range(-1<<60, 1<<60).Draw(rt, "inc")
			case "bounded":
				o["inc"] = rapid.Int64Range(0, 1<<60).Draw(rt, "inc")
			case "flag":
				o["enable"] = true
			case "list":
				var items []json.RawMessage
				for _, v := range rapid.SliceOfN(values, 1, 3).Draw(rt, "items") {
					items = append(items, json.RawMessage(v))
				}
				o["insert"], o["at"] = items, rapid.SampledFrom([]string{"start", "end"}).Draw(rt, "at")
			case "register":
				o["value"] = json.RawMessage(values.Draw(rt, "value"))
			case "set":
				o["add"] = names.Draw(rt, "members")
			}
			if action != "bounded" && action != "counter" && rapid.Bool().Draw(rt, "ends") {
				o["expires"] = rapid.SampledFrom([]string{"2099-01-02T03:04:05Z", "2099-01-02T03:04:05.678Z"}).Draw(rt, "expires")
			}
			ops = append(ops, o)
		}
		for _, o := range ops {
			body, err := json.Marshal(map[string]any{"ops": []any{o}})
			if err != nil {
				rt.Fatal(err)
			}
			direct(a, "POST", ns+"/batch", string(body)) // an overflow is none of our business
		}
		export := direct(a, "GET", ns+"/export", "").Body.String()
		if got := direct(b, "POST", ns+"/bulk", export, ndjson).Body.String(); !strings.Contains(got, `"failed":0,`) {
			rt.Fatal(got)
		}
		if got := direct(b, "GET", ns+"/export", "").Body.String(); got != export {
			rt.Fatalf("got  %s\nwant %s", got, export)
		}
	})
}

// newHandler returns a handler on a store in memory, without a server.
func newHandler(rt *rapid.T) *Handler {
	s, err := store.Open(store.MemoryOptions())
	if err != nil {
		rt.Fatal(err)
	}
	rt.Cleanup(func() { _ = s.Close() })
	h := New(Options{})
	h.Attach(Adapt(s), nil)
	return h
}

// A line reader finds the same lines however the body comes, and never holds more than one.
func FuzzBulkBody(f *testing.F) {
	f.Add([]byte("{\"counter\":\"c\",\"inc\":1}\n\n{\"set\":\"s\",\"add\":[\"x\"]}"), uint8(3))
	f.Add([]byte("nonsense\r\n \t\n{\"map\":\"m\",\"path\":[],\"value\":{\"a\":1}}\n"), uint8(1))
	f.Add([]byte("{"), uint8(0)) // the end of the line is none of the op's bytes
	f.Add(append(bytes.Repeat([]byte{'x'}, maxOpsBytes+1), "\n{}\n"...), uint8(200))
	f.Fuzz(func(t *testing.T, body []byte, step uint8) {
		read := func(r io.Reader) (lines []string, err error) {
			l := newLineReader(r, true)
			for {
				line, err := l.next()
				if err != nil {
					return append(lines, fmt.Sprint(l.n)), err
				}
				lines = append(lines, fmt.Sprintf("%d %v %v %x", line.n, line.op, line.wrong, line.sum))
			}
		}
		whole, err := read(bytes.NewReader(body))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		parts, err := read(&stepReader{body, int(step) + 1})
		if !errors.Is(err, io.EOF) || !slices.Equal(whole, parts) {
			t.Fatalf("%q\n%q\n%v", whole, parts, err)
		}
		// With the end of its last line it is the same, and so is its hash.
		if len(body) > 0 && body[len(body)-1] != '\n' {
			ended, err := read(bytes.NewReader(append(slices.Clone(body), '\n')))
			if !errors.Is(err, io.EOF) || !slices.Equal(whole, ended) {
				t.Fatalf("%q\n%q\n%v", whole, ended, err)
			}
		}
		want := strings.Count(string(body), "\n")
		if len(body) > 0 && body[len(body)-1] != '\n' {
			want++
		}
		if whole[len(whole)-1] != fmt.Sprint(want) {
			t.Fatalf("%s lines, want %d", whole[len(whole)-1], want)
		}
	})
}

type stepReader struct {
	b    []byte
	step int
}

func (s *stepReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[:min(s.step, len(s.b))])
	s.b = s.b[n:]
	return n, nil
}
