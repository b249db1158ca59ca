package http

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
