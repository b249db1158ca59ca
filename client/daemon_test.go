package client_test

import (
	"net/http/httptest"
	"testing"

	"github.com/anabranchdb/anabranch/client"
	httpapi "github.com/anabranchdb/anabranch/http"
	"github.com/anabranchdb/anabranch/store"
)

// serve starts a daemon's API in this process, without a network, and returns its address and what
// ends it.
func serve() (addr string, stop func(), err error) {
	s, err := store.Open(store.MemoryOptions())
	if err != nil {
		return "", nil, err
	}
	h := httpapi.New(httpapi.Options{Version: "test"})
	h.Attach(httpapi.Adapt(s), nil)
	srv := httptest.NewUnstartedServer(h)
	srv.Config = httpapi.NewServer(h)
	srv.Start()
	return srv.URL, func() {
		srv.Close()
		_ = s.Close()
	}, nil
}

// connect returns a client of a daemon of its own.
func connect(t *testing.T) *client.Client {
	t.Helper()
	addr, stop, err := serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c, err := client.New(addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func defaultNamespace(t *testing.T, opts ...client.Option) *client.Namespace {
	t.Helper()
	return connect(t).Namespace("default", opts...)
}

// must returns a value that came without an error.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
