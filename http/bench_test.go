package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// empty is a store whose commits do nothing: what is left is the cost of HTTP and of this
// package.
type empty struct {
	Store
	ns Namespace
}

func (e empty) Namespace(string) (Namespace, error) { return e.ns, nil }

type emptyNamespace struct {
	Namespace
	clock crdt.VersionVector
}

func (n emptyNamespace) Commit(_ context.Context, fn func(Tx) error) (store.Receipt, error) {
	return store.Receipt{Clock: n.clock}, fn(emptyTx{})
}

func (emptyNamespace) Replica() crdt.ReplicaID { return 1 }

type emptyTx struct{ Tx }

func (emptyTx) Increment(crdt.Path, int64) error        { return nil }
func (emptyTx) Head(crdt.Path) (store.Head, error)      { return store.Head{}, nil }
func (emptyTx) Entries(crdt.Path) ([]crdt.Entry, error) { return nil, nil }

// BenchmarkIncrement is POST to a counter: "http" through a server, client included, "handler"
// without the connection; on a store that does nothing, in memory, and on disk.
func BenchmarkIncrement(b *testing.B) {
	nothing := empty{ns: emptyNamespace{clock: crdt.VersionVector{1: 1, 2: 2, 3: 3}}}
	for _, c := range []struct {
		name string
		open func(b *testing.B) Store
	}{
		{"nothing", func(*testing.B) Store { return nothing }},
		{"memory", func(b *testing.B) Store { return openBench(b, store.MemoryOptions()) }},
		{"disk", func(b *testing.B) Store { return openBench(b, store.DefaultOptions(b.TempDir())) }},
	} {
		b.Run("handler/"+c.name, func(b *testing.B) {
			h := New(Options{})
			h.Attach(c.open(b), nil)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := httptest.NewRequest("POST", "http://localhost/v1/ns/default/counters/visits", strings.NewReader(`{"inc":1}`))
					r.Header.Set("Content-Type", "application/json")
					w := httptest.NewRecorder()
					if h.ServeHTTP(w, r); w.Code != 200 {
						b.Error(w.Body)
						return
					}
				}
			})
		})
		b.Run("http/"+c.name, func(b *testing.B) {
			h := New(Options{})
			h.Attach(c.open(b), nil)
			srv := httptest.NewUnstartedServer(h)
			srv.Config = NewServer(h)
			srv.Start()
			defer srv.Close()
			client := srv.Client()
			client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Post(srv.URL+"/v1/ns/default/counters/visits", "application/json", strings.NewReader(`{"inc":1}`))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		})
	}
}

func openBench(b *testing.B, opts store.Options) Store {
	s, err := store.Open(opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return Adapt(s)
}

// BenchmarkLines is the same ops as a bulk, as a bulk with a key, and as batches of 1000, through a server
// on a store on disk. One is one op.
func BenchmarkLines(b *testing.B) {
	op := func(i int) string {
		return fmt.Sprintf(`{"map":"m%d","path":["field"],"value":"some text of a register, %d"}`, i%5000, i)
	}
	start := func(b *testing.B) (*httptest.Server, *http.Client) {
		h := New(Options{})
		h.Attach(openBench(b, store.DefaultOptions(b.TempDir())), nil)
		srv := httptest.NewUnstartedServer(h)
		srv.Config = NewServer(h)
		srv.Start()
		b.Cleanup(srv.Close)
		return srv, srv.Client()
	}
	post := func(b *testing.B, c *http.Client, url, media, key string, body io.Reader) {
		req, err := http.NewRequest("POST", url, body)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		if key != "" {
			req.Header.Set(keyHeader, key)
		}
		resp, err := c.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.Status, err)
		}
		_ = resp.Body.Close()
	}
	for name, key := range map[string]string{"bulk": "", "bulk+key": "k"} {
		b.Run(name, func(b *testing.B) {
			srv, c := start(b)
			r, w := io.Pipe()
			go func() {
				buf := bufio.NewWriterSize(w, 32<<10)
				for i := range b.N {
					_, _ = buf.WriteString(op(i) + "\n")
				}
				_ = w.CloseWithError(buf.Flush())
			}()
			post(b, c, srv.URL+"/v1/ns/default/bulk", mediaTypeNDJSON, key, r)
		})
	}
	b.Run("batch", func(b *testing.B) {
		srv, c := start(b)
		for i := 0; i < b.N; i += maxItems {
			ops := make([]string, min(maxItems, b.N-i))
			for j := range ops {
				ops[j] = op(i + j)
			}
			post(b, c, srv.URL+"/v1/ns/default/batch", mediaTypeJSON, "", strings.NewReader(`{"ops":[`+strings.Join(ops, ",")+`]}`))
		}
	})
}

// BenchmarkIdempotencyKey is POST to a counter on disk without a key, with a new key each time, and with one
// that has been used.
func BenchmarkIdempotencyKey(b *testing.B) {
	for _, name := range []string{"none", "new", "used"} {
		b.Run(name, func(b *testing.B) {
			h := New(Options{})
			h.Attach(openBench(b, store.DefaultOptions(b.TempDir())), nil)
			var n atomic.Int64
			post := func() {
				headers := []string{"Content-Type: application/json"}
				if id := n.Add(1); name != "none" {
					if name == "used" {
						id = 1 + id%64 // as many as there are clients
					}
					headers = append(headers, fmt.Sprint("Idempotency-Key: ", id))
				}
				if w := direct(h, "POST", "/v1/ns/default/counters/visits", `{"inc":1}`, headers...); w.Code != 200 && w.Code != 409 {
					b.Error(w.Body)
				}
			}
			for range 64 {
				post()
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					post()
				}
			})
		})
	}
}
