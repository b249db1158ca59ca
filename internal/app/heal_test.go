package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/config"
	"github.com/anabranchdb/anabranch/store"
)

// disk is a datastore whose bytes a test turns over, and that fails when it is told to.
type disk struct {
	store.Backend
	mu   sync.Mutex
	fail error
}

func (d *disk) open(dir string) (b store.Backend, err error) {
	d.Backend, err = store.OpenPebble(dir, store.PebbleOptions{})
	return d, err
}

// Apply lets a batch through. If the disk fails, it is not durable.
func (d *disk) Apply(b *store.Batch) (func() error, error) {
	wait, err := d.Backend.Apply(b)
	d.mu.Lock()
	defer d.mu.Unlock()
	if fail := d.fail; err == nil && fail != nil {
		return func() error { return errors.Join(wait(), fail) }, nil
	}
	return wait, err
}

// flip turns over the bytes of every data value of the namespace copy with that id.
func (d *disk) flip(t *testing.T, id string) {
	t.Helper()
	snap, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	it, err := snap.Iterate("/"+id+"/d/", "/"+id+"/d0")
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var b store.Batch
	for it.Next() {
		v := bytes.Clone(it.Value())
		for i := range v {
			v[i] ^= 0xff
		}
		b.Put(it.Key(), v)
	}
	if it.Err() != nil || b.Len() == 0 {
		t.Fatalf("%d values, %v", b.Len(), it.Err())
	}
	wait, err := d.Backend.Apply(&b)
	if err == nil {
		err = wait()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// daemon is an App with its disk, its log and a client.
type daemon struct {
	*App
	t    *testing.T
	disk *disk
	log  *logs
	c    *client.Client
}

func startDaemon(t *testing.T, cfg config.Config) *daemon {
	t.Helper()
	d := &daemon{t: t, disk: &disk{}, log: &logs{}}
	d.App = New(cfg, "test", slog.New(slog.NewTextHandler(d.log, nil)))
	d.openBackend = d.disk.open
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(d.log.address(t), client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	d.c = c
	return d
}

func (d *daemon) stop() { stopApp(d.t, d.App, d.c) }

// do makes a request and returns the body, or of a problem the status.
func (d *daemon) do(method, path, body string) (string, int) {
	d.t.Helper()
	req := client.Request{Method: method, Path: strings.Split(path, "/")}
	if body != "" {
		req.Body = []byte(body)
	}
	reply, err := d.c.Do(context.Background(), req)
	var p *client.Problem
	switch {
	case errors.As(err, &p):
		return "", p.Status
	case err != nil:
		d.t.Fatal(err)
	}
	return string(reply.Body), http.StatusOK
}

func (d *daemon) must(method, path, body string) string {
	d.t.Helper()
	reply, status := d.do(method, path, body)
	if status != http.StatusOK {
		d.t.Fatalf("%s %s: %d", method, path, status)
	}
	return reply
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("never came true: %s", what)
		case <-tick.C:
		}
	}
}

// TestADamagedNamespaceHeals: the bytes of a namespace turn over under a running daemon. Nobody is told
// anything of them, and the namespace comes back from the peer; the others never notice.
func TestADamagedNamespaceHeals(t *testing.T) {
	cfg := testConfig(t)
	cfg.Namespaces = []string{"orders"}
	a := startDaemon(t, cfg)
	defer a.stop()
	there := testConfig(t)
	there.Namespaces, there.ClusterKeyFile, there.Peers = cfg.Namespaces, cfg.KeyFile(), a.node.Addresses()
	b := startDaemon(t, there)
	defer b.stop()
	for _, d := range []*daemon{a, b} {
		d.must("POST", "v1/ns/default/sets/s", `{"add":["x","y","z"],"remove":[]}`)
		d.must("POST", "v1/ns/default/counters/n", `{"inc":5}`)
		d.must("POST", "v1/ns/orders/counters/n", `{"inc":7}`)
	}
	converged := func(d *daemon, ns string) bool {
		s := d.must("GET", "v1/ns/"+ns+"/sync", "")
		return strings.Contains(s, `"converged":true`) && strings.Contains(s, `"connected"`)
	}
	for _, ns := range []string{store.Default, "orders"} {
		eventually(t, "converged", func() bool { return converged(a, ns) && converged(b, ns) })
	}
	want := b.must("GET", "v1/ns/default/export", "")
	orders, err := a.store.Namespace("orders")
	if err != nil {
		t.Fatal(err)
	}
	former, err := a.store.Namespace(store.Default)
	if err != nil {
		t.Fatal(err)
	}

	a.disk.flip(t, "n1")
	if _, status := a.do("GET", "v1/ns/default/counters/n", ""); status != http.StatusServiceUnavailable {
		t.Errorf("damage was answered with %d", status)
	}
	eventually(t, "healed", func() bool {
		got, status := a.do("GET", "v1/ns/default/export", "")
		if a.must("GET", "v1/ns/orders/counters/n", ""); status == http.StatusServiceUnavailable {
			a.must("GET", "readyz", "")
			a.must("GET", "v1/status", "")
			a.must("GET", "v1/ns/default/sync", "")
			return false
		}
		if got != want {
			t.Fatalf("%d: %s, want %s", status, got, want)
		}
		return true
	})
	a.must("POST", "v1/ns/default/counters/n", `{"inc":1}`)
	eventually(t, "converged again", func() bool { return converged(a, store.Default) && converged(b, store.Default) })
	if x, y := a.must("GET", "v1/ns/default/export", ""), b.must("GET", "v1/ns/default/export", ""); x != y || x == want {
		t.Errorf("exports: %s and %s", x, y)
	}
	now, err := a.store.Namespace(store.Default)
	if err != nil || now.Replica() == former.Replica() {
		t.Errorf("it goes on under its former id, %v", err)
	}
	if ns, err := a.store.Namespace("orders"); err != nil || ns != orders {
		t.Errorf("orders is another copy, %v", err)
	}
}

// TestHealerTriesAgain: what fails is tried again, and a stop does not wait for it.
func TestHealerTriesAgain(t *testing.T) {
	h := newHealer()
	ctx, cancel := context.WithCancel(t.Context())
	var tried []string
	done := make(chan struct{})
	h.report("x", forked)
	go func() {
		defer close(done)
		h.run(ctx, time.Millisecond, slog.New(slog.DiscardHandler), func(name string, _ trouble) error {
			if tried = append(tried, name); len(tried) < 3 {
				return errors.New("no space")
			}
			cancel()
			return nil
		})
	}()
	<-done
	if strings.Join(tried, "") != "xxx" {
		t.Errorf("tried %v", tried)
	}
}

// TestAFailedDatastoreEndsTheDaemon: nothing may build on a commit that is visible and not durable.
func TestAFailedDatastoreEndsTheDaemon(t *testing.T) {
	d := startDaemon(t, testConfig(t))
	defer d.stop()
	d.disk.mu.Lock()
	d.disk.fail = errors.New("input/output error")
	d.disk.mu.Unlock()
	if _, status := d.do("POST", "v1/ns/default/counters/n", `{"inc":5}`); status != http.StatusInternalServerError {
		t.Errorf("the write was answered with %d", status)
	}
	select {
	case err := <-d.Failed():
		if !strings.Contains(err.Error(), "the datastore failed") || !strings.Contains(err.Error(), "input/output error") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the daemon goes on")
	}
}
