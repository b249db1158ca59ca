package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

func TestNamesArriveAsOneSegmentEach(t *testing.T) {
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	defer srv.Close()
	c := mustNew(t, srv.URL)
	for name, want := range map[string]string{
		"plain":    "/v1/plain/x",
		".":        "/v1/%2E/x",
		"..":       "/v1/%2E%2E/x",
		"a/b":      "/v1/a%2Fb/x",
		"/":        "/v1/%2F/x",
		"a b?c#d%": "/v1/a%20b%3Fc%23d%25/x",
		"\x00":     "/v1/%00/x",
		"é":        "/v1/%C3%A9/x",
		"\xff":     "/v1/%FF/x",
		"%2E%2E":   "/v1/%252E%252E/x",
		"a;b+c&d=": "/v1/a%3Bb%2Bc%26d%3D/x",
	} {
		if _, err := c.Do(context.Background(), Request{Method: "GET", Path: []string{"v1", name, "x"}}); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got != want {
			t.Errorf("%q: sent %s, want %s", name, got, want)
		}
	}
}

func TestHeadersAndBody(t *testing.T) {
	var got *http.Request
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set(ContextHeader, "next")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	c := mustNew(t, srv.URL)
	reply, err := c.Do(context.Background(), Request{Method: "PUT", Path: []string{"v1"}, Body: []byte("null"),
		Context: "token", Wait: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if reply.Status != 204 || reply.Context() != "next" {
		t.Errorf("reply %d %q", reply.Status, reply.Context())
	}
	if string(body) != "null" || got.Header.Get("Content-Type") != "application/json" ||
		got.Header.Get(ContextHeader) != "token" || got.Header.Get("Prefer") != "wait=2" {
		t.Errorf("sent %q %v", body, got.Header)
	}
	if _, err := c.Do(context.Background(), Request{Method: "GET", Path: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("Content-Type") != "" || got.Header.Get("Prefer") != "" || got.ContentLength != 0 {
		t.Errorf("a GET sent %v", got.Header)
	}
}

func TestProblems(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			http.Error(w, "nope", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"type":"urn:anabranch:problem:not-found","title":"Not found","status":404,"detail":"no counter \"a\"","missing":7}`)
	}))
	defer srv.Close()
	c := mustNew(t, srv.URL)
	_, err := c.Do(context.Background(), Request{Method: "GET", Path: []string{"a"}})
	if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrNamespaceNotFound) || err.Error() != `not-found: no counter "a"` {
		t.Errorf("got %v", err)
	}
	var p *Problem
	if missing := 0; !errors.As(err, &p) || p.Name() != "not-found" || !p.Extension("missing", &missing) || missing != 7 || p.Extension("title", &missing) {
		t.Errorf("got %+v", p)
	}
	_, err = c.Do(context.Background(), Request{Method: "GET", Path: []string{"other"}})
	if !errors.As(err, &p) || p.Type != "" || p.Status != 502 {
		t.Errorf("got %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}))
	defer cut.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	for name, tc := range map[string]struct {
		addr string
		ctx  context.Context
	}{
		"nobody there":    {"unix:" + filepath.Join(t.TempDir(), "none"), context.Background()},
		"reply broke off": {cut.URL, context.Background()},
		"time over":       {slow.URL, ctx},
	} {
		_, err := mustNew(t, tc.addr).Do(tc.ctx, Request{Method: "GET", Path: []string{"v1"}})
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) != (tc.ctx == ctx) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var host string
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { host = r.Host })}
	go func() { _ = srv.Serve(ln) }()
	defer func() { _ = srv.Close() }()
	if _, err := mustNew(t, "unix:"+path).Do(context.Background(), Request{Method: "GET", Path: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	if host != "localhost" {
		t.Errorf("Host %q", host)
	}
}

func TestAddresses(t *testing.T) {
	for _, good := range []string{"http://127.0.0.1:7700", "127.0.0.1:7700", "http://[::1]:7700/", "localhost:1", "unix:/x"} {
		if _, err := New(good, Options{}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "unix:", "ftp://a", "http://", "http://a/b", "http://u@a", "http://a?b", "::"} {
		if _, err := New(bad, Options{}); !errors.Is(err, ErrAddr) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func mustNew(t *testing.T, addr string) *Client {
	t.Helper()
	c, err := New(addr, Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
