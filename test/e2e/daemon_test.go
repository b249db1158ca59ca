//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	binary = flag.String("anabranch", "../../dist/anabranch", "the binary of the daemon")
	seed   = flag.Uint64("seed", 1, "the seed of what is random")
)

const (
	readyTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second // what a container runtime grants
)

func TestMain(m *testing.M) {
	flag.Parse()
	abs, err := filepath.Abs(*binary)
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "there is no daemon to test: %v; run \"make build\" first\n", err)
		os.Exit(1)
	}
	*binary = abs
	os.Exit(m.Run())
}

// A daemon is one data directory and, while it runs, the process on it.
type daemon struct {
	t      *testing.T
	name   string
	dir    string   // the data directory
	socket string   // of the API
	listen string   // multiaddr for other daemons
	args   []string // of serve, besides those
	under  []string // a command to run it under
	binary string   // in place of the usual one, if set
	env    []string // besides that of the test

	http    *http.Client
	process *exec.Cmd
	ended   chan struct{} // closed when the process is gone
	log     *os.File
	exit    error // of the last process
}

// newDaemon returns a daemon that was not started: no mDNS, cluster key and directory below dir.
func newDaemon(t *testing.T, dir, name string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: name, dir: filepath.Join(dir, name), socket: filepath.Join(dir, name+".sock")}
	d.http = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
		},
		DisableCompression: true,
	}}
	var err error
	if d.log, err = os.Create(filepath.Join(dir, name+".log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.kill()
		d.http.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, tail(d.logText(0), 30))
		}
		_ = d.log.Close()
	})
	return d
}

// workDir returns a directory for daemons, removed at the end. t.TempDir is too long for the
// path of a socket.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "anb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// hosts counts the addresses on loopback that were given away.
var hosts atomic.Int32

// address returns an address on loopback that no other daemon has: 127.x.y.1 and on, x and y are of
// this process.
func address() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 100+pid>>8%100, pid&0xff, hosts.Add(1))
}

// loopback returns n daemons on loopback that know each other by address and share a key.
func loopback(t *testing.T, dir string, n int) []*daemon {
	t.Helper()
	key := filepath.Join(dir, "cluster.key")
	newClusterKey(t, key)
	var ds []*daemon
	for i := range n {
		d := newDaemon(t, dir, string(rune('a'+i)))
		d.listen = "/ip4/" + address() + "/tcp/7701"
		d.args = []string{"--mdns=false", "--cluster-key-file", key}
		ds = append(ds, d)
	}
	for _, d := range ds {
		for _, other := range ds {
			if d != other {
				d.args = append(d.args, "--peer", other.listen)
			}
		}
	}
	return ds
}

func newClusterKey(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command(*binary, "key", "new").Output()
	if err == nil {
		err = os.WriteFile(path, out, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// begin starts the process and does not wait for it.
func (d *daemon) begin() {
	d.t.Helper()
	if d.process != nil {
		d.t.Fatalf("%s runs", d.name)
	}
	argv := append(slices.Clone(d.under), cmp.Or(d.binary, *binary), "serve", "--data-dir", d.dir, "--http", "unix:"+d.socket)
	if d.listen != "" {
		argv = append(argv, "--listen", d.listen)
	}
	cmd := exec.Command(argv[0], append(argv[1:], d.args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "ANABRANCH_") })
	cmd.Env = append(cmd.Env, d.env...)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	d.process, d.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		d.exit = cmd.Wait()
		close(ended)
	}(d.ended)
}

// start starts the process and waits until it is ready.
func (d *daemon) start() {
	d.t.Helper()
	d.begin()
	d.waitReady()
}

func (d *daemon) waitReady() {
	d.t.Helper()
	d.waitReadyFor(readyTimeout)
}

func (d *daemon) waitReadyFor(timeout time.Duration) {
	d.t.Helper()
	eventually(d.t, timeout, d.name+" is ready", func() error {
		select {
		case <-d.ended:
			d.t.Fatalf("%s ended instead of getting ready (%v)", d.name, d.exit)
		default:
		}
		r, err := d.try("GET", "/readyz", "")
		if err == nil && r.status != http.StatusOK {
			err = errors.New(r.String())
		}
		return err
	})
}

func startAll(ds []*daemon) {
	for _, d := range ds {
		d.begin()
	}
	for _, d := range ds {
		d.waitReady()
	}
}

// signal sends a signal and does not wait.
func (d *daemon) signal(s os.Signal) {
	d.t.Helper()
	if err := d.process.Process.Signal(s); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
}

// stop ends the process as an operator does, and demands that it ends well and in time.
func (d *daemon) stop() {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	d.waitEnded()
}

func (d *daemon) waitEnded() {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(stopTimeout):
		d.t.Errorf("%s did not end within %v of SIGTERM", d.name, stopTimeout)
		d.kill()
		return
	}
	d.process = nil
	if d.exit != nil {
		d.t.Errorf("%s ended with %v", d.name, d.exit)
	}
}

// kill ends the process as a power cut does, if it runs.
func (d *daemon) kill() {
	if d.process == nil {
		return
	}
	_ = d.process.Process.Kill()
	<-d.ended
	d.process = nil
	d.http.CloseIdleConnections()
}

// logText returns what the daemon logged from an offset on.
func (d *daemon) logText(from int) string {
	b, err := os.ReadFile(d.log.Name())
	if err != nil {
		d.t.Error(err)
	}
	return string(b[min(from, len(b)):])
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// eventually waits until f returns nil, and fails with what f said last.
func eventually(t *testing.T, timeout time.Duration, what string, f func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return time.Since(begin)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, timeout, err)
		}
	}
}

// each runs f for every daemon at once.
func each(ds []*daemon, f func(d *daemon)) {
	var wg sync.WaitGroup
	for _, d := range ds {
		wg.Go(func() { f(d) })
	}
	wg.Wait()
}

// run runs a command and demands that it succeeds.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out.String())
	}
	return out.String()
}
