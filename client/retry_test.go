package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper answers requests without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return f(r)
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func problemAnswer(status int, name string, header ...string) *http.Response {
	return answer(status, `{"type":"`+problemPrefix+name+`","title":"t"}`, append(header, "Content-Type", "application/problem+json")...)
}

// cutBody breaks off.
type cutBody struct{ io.Reader }

func (cutBody) Close() error { return nil }

func (c cutBody) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestWhatIsSentAgain: each failure, and which requests are sent again after it.
func TestWhatIsSentAgain(t *testing.T) {
	failures := map[string]func() (*http.Response, error){
		"refused": func() (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		},
		"cut": func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"half": func() (*http.Response, error) {
			r := answer(200, "")
			r.Body = cutBody{strings.NewReader("half")}
			return r, nil
		},
		"busy": func() (*http.Response, error) {
			return problemAnswer(503, "store-busy", "Retry-After", "1"), nil
		},
		"running":     func() (*http.Response, error) { return problemAnswer(409, "idempotency-in-progress"), nil },
		"proxy":       func() (*http.Response, error) { return answer(502, "bad gateway"), nil },
		"limited":     func() (*http.Response, error) { return problemAnswer(429, "rate-limited", "Retry-After", "1"), nil },
		"not visible": func() (*http.Response, error) { return problemAnswer(503, "not-yet-visible", "Retry-After", "1"), nil },
		"full":        func() (*http.Response, error) { return problemAnswer(507, "disk-full"), nil },
		"absent":      func() (*http.Response, error) { return problemAnswer(404, "not-found"), nil },
	}
	requests := map[string]Request{
		"read":               {Method: "GET"},
		"put":                {Method: "PUT", Body: []byte("1")},
		"put with token":     {Method: "PUT", Body: []byte("1"), Context: "t"},
		"put if":             {Method: "PUT", Body: []byte("1"), IfMatch: "*"},
		"delete":             {Method: "DELETE"},
		"delete with token":  {Method: "DELETE", Context: "t"},
		"delete if":          {Method: "DELETE", IfMatch: "*"},
		"post":               {Method: "POST", Body: []byte("{}")},
		"post without harm":  {Method: "POST", Body: []byte("{}"), Harmless: true},
		"patch":              {Method: "PATCH", Body: []byte("{}")},
		"put within session": {Method: "PUT", Body: []byte("1"), session: &Session{}},
	}
	safe := "read, put, delete, delete with token, post without harm, post, patch"
	again := map[string]string{"refused": "all", "cut": safe, "half": safe, "busy": safe, "proxy": safe, "running": safe, "limited": safe}
	for failure, fail := range failures {
		for name, req := range requests {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				c := fake(t, func(r *http.Request) (*http.Response, error) {
					if tries++; tries < 3 {
						return fail()
					}
					return answer(200, "{}"), nil
				})
				_, err := c.Do(t.Context(), req)
				want := again[failure] == "all" || contains(again[failure], name)
				if (err == nil) != want || (tries == 3) != want || !want && tries != 1 {
					t.Errorf("%s, %s: %d tries, %v", failure, name, tries, err)
				}
			})
		}
	}
}

// TestKeys: the tries of a call have one key, other calls have others, and calls that are never sent
// again have none.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		c := fake(t, func(r *http.Request) (*http.Response, error) {
			if keys = append(keys, r.Header.Get("Idempotency-Key")); len(keys)%2 == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return answer(200, `{"results":[{}]}`), nil
		})
		ns := c.Namespace("n")
		err := errors.Join(ns.Counter("k").Reset(t.Context()), ns.Counter("k").Reset(t.Context()), ns.Counter("k").Reset(t.Context(), IdempotencyKey("mine")))
		if err != nil || len(keys) != 6 || keys[0] != keys[1] || keys[2] != keys[3] || keys[0] == keys[2] || keys[0] == "" || keys[4] != "mine" || keys[5] != "mine" {
			t.Errorf("%q, %v", keys, err)
		}
		c.opts.Retries = -1
		if err := ns.Counter("k").Reset(t.Context()); err == nil || keys[6] != "" {
			t.Errorf("%q, %v", keys, err)
		}
	})
}

func contains(list, name string) bool {
	for s := range strings.SplitSeq(list, ", ") {
		if s == name {
			return true
		}
	}
	return false
}

func fake(t *testing.T, f roundTripper) *Client {
	t.Helper()
	c, err := New(DefaultAddr, Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRetriesAreBounded: by their number, by the context, and by what the daemon says.
func TestRetriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, began := 0, time.Now()
		c := fake(t, func(*http.Request) (*http.Response, error) {
			tries++
			return nil, io.ErrUnexpectedEOF
		})
		_, err := c.Do(t.Context(), Request{Method: "GET"})
		// 100, 200, 400 and 800 ms, each by half at least
		if took := time.Since(began); !errors.Is(err, ErrUnreachable) || tries != 1+defaultRetries || took < 750*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("%d tries in %v: %v", tries, took, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		c := fake(t, func(*http.Request) (*http.Response, error) {
			tries++
			return problemAnswer(503, "shutting-down", "Retry-After", "3"), nil
		})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Do(ctx, Request{Method: "GET"})
		if took := time.Since(began); !errors.Is(err, ErrShuttingDown) || tries != 2 || took != 3*time.Second {
			t.Errorf("%d tries in %v: %v", tries, took, err)
		}
	})
}

func TestBackoffStaysInBounds(t *testing.T) {
	c := &Client{opts: Options{Backoff: time.Second, MaxBackoff: 10 * time.Second}}
	for n := range 70 {
		want := min(10*time.Second, time.Second<<min(n, 5))
		if d := c.backoff(n); d < want/2 || d > want {
			t.Errorf("%d: %v", n, d)
		}
	}
}
