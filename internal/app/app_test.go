package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/config"
)

func testConfig(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	cfg.HTTP = "127.0.0.1:0"
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	cfg.MDNS = false
	return cfg
}

// logs is where a daemon logs to.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// address is that of the HTTP API.
func (l *logs) address(t *testing.T) string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	_, rest, ok := strings.Cut(l.buf.String(), "address=")
	if !ok {
		t.Fatalf("no address in the log:\n%s", l.buf.String())
	}
	return strings.Fields(rest)[0]
}

func startApp(t *testing.T, cfg config.Config) (*App, *client.Client) {
	t.Helper()
	out := &logs{}
	a := New(cfg, "test", slog.New(slog.NewTextHandler(out, nil)))
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(out.address(t), client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func stopApp(t *testing.T, a *App, c *client.Client) {
	t.Helper()
	c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := testConfig(t)
	cfg.Namespaces = []string{"orders"}
	a, c := startApp(t, cfg)
	for range 2 {
		if _, err := c.Do(t.Context(), client.Request{Method: "POST", Path: []string{"v1", "ns", "orders", "counters", "n"}, Body: []byte(`{"inc":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(cfg.DataDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	stopApp(t, a, c)
	if _, err := c.Do(t.Context(), client.Request{Method: "GET", Path: []string{"readyz"}}); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("after the stop: %v", err)
	}
	goleak.VerifyNone(t, before)

	a, c = startApp(t, cfg)
	defer stopApp(t, a, c)
	reply, err := c.Do(t.Context(), client.Request{Method: "GET", Path: []string{"v1", "ns", "orders", "counters", "n"}})
	if err != nil || !strings.Contains(string(reply.Body), `"value":2`) {
		t.Errorf("after a restart: %v, %v", reply, err)
	}
}

// TestHalfAStartIsRolledBack: what a start that fails had taken is free again.
func TestHalfAStartIsRolledBack(t *testing.T) {
	before := goleak.IgnoreCurrent()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.HTTP = free.Addr().String()
	free.Close()
	good := cfg.Listen
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/" + port(t, taken.Addr())}
	a := New(cfg, "test", slog.New(slog.DiscardHandler))
	if err := a.Start(t.Context()); !errors.Is(err, ErrAddressInUse) {
		t.Fatalf("got %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Errorf("a stop after that: %v", err)
	}
	goleak.VerifyNone(t, before)

	cfg.Listen = good
	a, c := startApp(t, cfg)
	stopApp(t, a, c)
}

// TestWaitingRequestsDoNotHoldUpAStop: a request that waits for a change stops waiting.
func TestWaitingRequestsDoNotHoldUpAStop(t *testing.T) {
	here, hereClient := startApp(t, testConfig(t))
	defer stopApp(t, here, hereClient)
	reply, err := hereClient.Do(t.Context(), client.Request{Method: "POST", Path: []string{"v1", "ns", "default", "counters", "n"}, Body: []byte(`{"inc":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	there, thereClient := startApp(t, testConfig(t))
	ended := make(chan error, 1)
	go func() {
		_, err := thereClient.Do(t.Context(), client.Request{Method: "GET", Path: []string{"v1", "ns", "default", "counters", "n"},
			Context: reply.Context(), Wait: time.Minute})
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	began := time.Now()
	stopApp(t, there, thereClient)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if err := <-ended; err == nil {
		t.Error("the request was answered")
	}
}

func TestNamespacesAreReplicatedFromTheirCreation(t *testing.T) {
	cfg := testConfig(t)
	a, c := startApp(t, cfg)
	defer stopApp(t, a, c)
	syncOf := func(ns string) error {
		_, err := a.node.Sync(ns)
		return err
	}
	path := []string{"v1", "ns", "late"}
	if err := syncOf("late"); err == nil {
		t.Error("held before it is created")
	}
	for range 2 { // the second one confirms
		if _, err := c.Do(t.Context(), client.Request{Method: "PUT", Path: path, Body: []byte(`{"storage":"memory"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := syncOf("late"); err != nil {
		t.Error(err)
	}
	if _, err := c.Do(t.Context(), client.Request{Method: "DELETE", Path: path, Query: map[string][]string{"drop": {"local"}}}); err != nil {
		t.Fatal(err)
	}
	if err := syncOf("late"); err == nil {
		t.Error("held after it was dropped")
	}
}
