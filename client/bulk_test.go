package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bulkServer answers each line as it comes, and breaks off behind a number of them, within the next
// result, connection after connection.
type bulkServer struct {
	t      *testing.T
	breaks []int // behind how many lines the connections break off; those after that do not
	stop   struct {
		name   string
		status int
	}
	conns atomic.Int64
	keys  []string
}

func (s *bulkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(s.conns.Add(1)) - 1
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	c := http.NewResponseController(w)
	if err := c.EnableFullDuplex(); err != nil {
		s.t.Error(err)
	}
	lines, i := bufio.NewScanner(r.Body), 0
	for lines.Scan() {
		if i++; lines.Text() == "" {
			continue
		}
		if n < len(s.breaks) && i > s.breaks[n] {
			_, _ = fmt.Fprintf(w, `{"line":%d,"sta`, i)
			_ = c.Flush()
			panic(http.ErrAbortHandler)
		}
		result := `"status":200`
		switch lines.Text() {
		case "stop":
			_, _ = fmt.Fprintf(w, `{"line":%d,"problem":{"type":"urn:anabranch:problem:%s","status":%d,"title":"t"}}`+"\n", i, s.stop.name, s.stop.status)
			_ = r.Body.Close() // or net/http may panic in the next request (go.dev/issue/68560)
			return
		case "bad":
			result = `"problem":{"type":"urn:anabranch:problem:overflow","status":422,"title":"t","detail":"d"}`
		}
		_, _ = fmt.Fprintf(w, `{"line":%d,%s}`+"\n", i, result)
		_ = c.Flush()
	}
	_, _ = fmt.Fprintf(w, `{"lines":%d,"failed":0,"status":202,"context":"token","acks":1}`+"\n", i)
}

func (s *bulkServer) client(opts Options) *Client {
	srv := httptest.NewServer(s)
	s.t.Cleanup(srv.Close)
	c, err := New(srv.URL, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// results tells what a bulk yields: "ok", or the names of problems, line by line.
func results(c *Client, lines io.Reader, opts ...Option) string {
	var told []string
	for r, err := range c.Namespace("n").Bulk(context.Background(), lines, opts...) {
		switch {
		case err != nil && errors.Is(err, ErrUnreachable):
			told = append(told, "cut")
		case err != nil:
			told = append(told, err.Error())
		case r.Problem != nil:
			told = append(told, fmt.Sprint(r.Line, r.Problem.Name()))
		default:
			told = append(told, fmt.Sprint(r.Line))
		}
	}
	return strings.Join(told, " ")
}

// TestBulkIsTakenUp: each line is told of once, over as many connections as it takes; what can be read
// once only is not sent again.
func TestBulkIsTakenUp(t *testing.T) {
	fast := Options{Backoff: time.Millisecond}
	for name, tc := range map[string]struct {
		breaks []int
		once   bool // the lines can be read once
		opts   Options
		want   string
		conns  int
	}{
		"whole":       {nil, false, fast, "1 2 overflow 3", 1},
		"a pipe":      {nil, true, fast, "1 2 overflow 3", 1},
		"cuts":        {[]int{1, 0, 2}, false, fast, "1 2 overflow 3", 4},
		"cut pipe":    {[]int{1}, true, fast, "1 cut", 1},
		"no retries":  {[]int{1}, false, Options{Retries: -1}, "1 cut", 1},
		"no progress": {[]int{1, 1, 1}, false, Options{Retries: 2, Backoff: time.Millisecond}, "1 cut", 3},
	} {
		s := &bulkServer{t: t, breaks: tc.breaks}
		var lines io.Reader = strings.NewReader("a\nbad\nc\n")
		if tc.once {
			lines = io.MultiReader(lines)
		}
		if got := strings.ReplaceAll(results(s.client(tc.opts), lines), "2overflow", "2 overflow"); got != tc.want || int(s.conns.Load()) != tc.conns {
			t.Errorf("%s: %q over %d connections, want %q over %d", name, got, s.conns.Load(), tc.want, tc.conns)
		}
		for _, key := range s.keys {
			if key != s.keys[0] || (key == "") != (tc.opts.Retries < 0) {
				t.Errorf("%s: keys %q", name, s.keys)
			}
		}
	}
}

// TestBulkEnds: what the last line tells, and what a bulk that ends early does.
func TestBulkEnds(t *testing.T) {
	s := &bulkServer{t: t}
	var (
		meta    Meta
		session Session
	)
	c := s.client(Options{Retries: -1})
	if got := results(c, strings.NewReader("a\n\nb\n"), WithMeta(&meta), In(&session)); got != "1 3" {
		t.Errorf("told %q", got)
	}
	if want := (Meta{Status: 202, Context: "token", Acks: 1}); meta != want || session.Context("n") != "token" {
		t.Errorf("got %+v, %q", meta, session.Context("n"))
	}
	s.stop.name, s.stop.status = "shutting-down", 503
	if got := results(c, strings.NewReader("a\nstop\nb\n")); got != "1 shutting-down: t" && got != "1 shutting-down (503)" {
		t.Errorf("told %q", got)
	}
	s.stop.name, s.stop.status = "too-large", 413
	if got := results(c, strings.NewReader("a\nstop\nb\n")); got != "1 2too-large too-large (413)" {
		t.Errorf("told %q", got)
	}
}

// TestBulkStreams: results come while lines are still being made.
func TestBulkStreams(t *testing.T) {
	s := &bulkServer{t: t}
	c := s.client(Options{})
	r, w := io.Pipe()
	next := make(chan struct{}, 1)
	next <- struct{}{}
	go func() {
		for range 3 {
			<-next
			_, _ = io.WriteString(w, "x\n")
		}
		_ = w.Close()
	}()
	n := int64(0)
	for result, err := range c.Namespace("n").Bulk(t.Context(), r) {
		if n++; err != nil || result.Line != n {
			t.Fatalf("%v, %v", result, err)
		}
		next <- struct{}{}
	}
	if n != 3 {
		t.Errorf("%d results", n)
	}
}

// TestBulkIsLeft: nothing is read behind the loop.
func TestBulkIsLeft(t *testing.T) {
	s, lines := &bulkServer{t: t}, &endless{}
	t.Cleanup(func() { // behind the end of the server, and so of the connection
		if lines.late.Load() {
			t.Error("it went on reading")
		}
	})
	for range s.client(Options{}).Namespace("n").Bulk(t.Context(), lines) {
		break
	}
	lines.left.Store(true)
}

// endless are lines without an end, that can be sought.
type endless struct{ left, late atomic.Bool }

func (e *endless) Read(b []byte) (int, error) {
	if e.left.Load() {
		e.late.Store(true)
	}
	return copy(b, "x\n"), nil
}

func (e *endless) Seek(int64, int) (int64, error) { return 0, nil }
