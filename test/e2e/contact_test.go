//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exits runs serve and demands that it ends by itself with a code and a line that says this.
func exits(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	cmd := exec.Command(*binary, append([]string{"serve", "--mdns=false"}, args...)...)
	timer := time.AfterFunc(readyTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), says) {
		t.Errorf("serve %s ended with %d, want %d, and said, want %q:\n%s", strings.Join(args, " "), got, code, says, out)
	}
}

// A second daemon on a host is told what it needs, and does the first no harm.
func TestSecondDaemonOnHost(t *testing.T) {
	dir := workDir(t)
	d := newDaemon(t, dir, "a")
	host := address()
	d.args = []string{"--mdns=false", "--listen", "/ip4/" + host + "/udp/7701/quic-v1"}
	d.listen = "/ip4/" + host + "/tcp/7701"
	d.start()
	d.inc("visits", 1)
	other := filepath.Join(dir, "other")
	exits(t, 10, "another daemon uses the data directory", "--data-dir", d.dir, "--http", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0")
	exits(t, 14, "is taken by another program", "--data-dir", other, "--http", "unix:"+d.socket, "--listen", "/ip4/127.0.0.1/tcp/0")
	exits(t, 14, "is taken by another program", "--data-dir", other, "--http", "127.0.0.1:0", "--listen", d.listen)
	exits(t, 14, "is taken by another program", "--data-dir", other, "--http", "127.0.0.1:0", "--listen", "/ip4/"+host+"/udp/7701/quic-v1")
	exits(t, 2, "", "--data-dir", other, "--http", "unix:", "--listen", "nonsense")
	if d.counter("visits") != 1 {
		t.Error("the first daemon was harmed")
	}
	// The socket of a daemon that was killed is in nobody's way.
	d.kill()
	if _, err := os.Lstat(d.socket); err != nil {
		t.Fatal(err)
	}
	d.start()
	if info, err := os.Stat(d.socket); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the socket is open to all: %v, %v", info.Mode(), err)
	}
	d.stop()
	if _, err := os.Lstat(d.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// On a TCP port a page in a browser does not get through, whatever its name resolves to.
func TestHostNames(t *testing.T) {
	d := newDaemon(t, workDir(t), "a")
	host := address()
	d.listen = "/ip4/" + host + "/tcp/0"
	d.args = []string{"--mdns=false", "--http", host + ":7700", "--http-host", "data.example.org"}
	d.begin()
	get := func(name string) (int, error) {
		rq, err := http.NewRequest("GET", "http://"+host+":7700/v1/ns", nil)
		if err != nil {
			return 0, err
		}
		rq.Host = name
		resp, err := http.DefaultClient.Do(rq)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	eventually(t, readyTimeout, "ready", func() error {
		status, err := get("localhost")
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	for name, want := range map[string]int{"localhost:7700": 200, host + ":7700": 200, "data.example.org": 200, "evil.example.org": 403, "evil.example.org:7700": 403} {
		if got, err := get(name); err != nil || got != want {
			t.Errorf("Host %s: %d, %v, want %d", name, got, err, want)
		}
	}
}

// Namespaces are replicated where both hold them, and only there. One in memory is gone after a
// restart and comes back from the peers.
func TestNamespaces(t *testing.T) {
	ds := loopback(t, workDir(t), 2)
	a, b := ds[0], ds[1]
	a.args = append(a.args, "--namespace", "orders", "--namespace", "only-a")
	b.args = append(b.args, "--namespace", "orders")
	startAll(ds)
	for _, d := range ds {
		d.do(201, "PUT", "/v1/ns/mem", `{"storage":"memory"}`)
		d.do(200, "PUT", "/v1/ns/mem", `{"storage":"memory"}`)
		d.do(400, "PUT", "/v1/ns/orders", `{"storage":"memory"}`)
	}
	for _, n := range []string{"orders", "only-a", "mem"} {
		a.do(200, "POST", "/v1/ns/"+n+"/counters/x", `{"inc":1}`)
	}
	b.do(404, "POST", "/v1/ns/only-a/counters/x", `{"inc":1}`)
	b.do(200, "POST", "/v1/ns/mem/sets/s", `{"add":["b"]}`)
	same := func(n string, want string) {
		t.Helper()
		eventually(t, 20*time.Second, n+" is the same", func() error {
			if ea, eb := a.export(n), b.export(n); ea != eb || strings.Join(strings.Fields(ea), "") != want {
				return fmt.Errorf("a has %s, b has %s, want %s", ea, eb, want)
			}
			return nil
		})
	}
	same("orders", `{"counter":"x","inc":1}`)
	same("mem", `{"counter":"x","inc":1}{"set":"s","add":["b"]}`)
	if s, err := a.sync("only-a"); err != nil || len(s.Peers) != 0 || !s.Converged {
		t.Errorf("a namespace that nobody else holds: %s, %v", quote(s), err)
	}
	for _, kill := range []bool{false, true} {
		if kill {
			a.kill()
		} else {
			a.stop()
		}
		a.start()
		same("mem", `{"counter":"x","inc":1}{"set":"s","add":["b"]}`)
	}
	a.do(200, "POST", "/v1/ns/mem/counters/x", `{"inc":1}`)
	same("mem", `{"counter":"x","inc":2}{"set":"s","add":["b"]}`)

	// Without a peer it is empty.
	b.stop()
	a.stop()
	a.start()
	if got := a.export("mem"); got != "" {
		t.Errorf("a namespace in memory outlived a restart: %s", got)
	}
	b.start()
	same("orders", `{"counter":"x","inc":1}`)
	a.do(204, "DELETE", "/v1/ns/orders?drop=local", "")
	a.do(404, "GET", "/v1/ns/orders/export", "")
	if got := b.export("orders"); got == "" {
		t.Error("a local drop was replicated")
	}
}

// SIGTERM under load ends the daemon soon and well, and loses nothing that was acknowledged.
func TestTermUnderLoad(t *testing.T) {
	ds := loopback(t, workDir(t), 2)
	startAll(ds)
	waitConnected(t, ds, 20*time.Second)
	a := ds[0]
	l := newLoad(a)
	defer l.end()
	var longest time.Duration
	for round := range 3 {
		l.set(true)
		if round == 2 { // a client that never sends the rest does not hold it up for long
			stalled, err := net.Dial("unix", a.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stalled.Close() }()
			fmt.Fprintf(stalled, "POST %s/counters/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", ns)
		}
		<-time.After(500 * time.Millisecond)
		begin := time.Now()
		a.signal(syscall.SIGTERM)
		a.waitEnded()
		longest = max(longest, time.Since(begin))
		l.set(false)
		a.start()
		c := a.content()
		c.whole(t, a.name)
		l.holds(t, c, a.name)
	}
	t.Logf("ended after at most %v, with a stalled client", longest.Round(time.Millisecond))
	waitConverged(t, ds, 20*time.Second)
	l.holds(t, ds[1].content(), ds[1].name)
}

// A disk that fills up: local adds are refused first, then replication waits; reads and removals go on,
// and everything goes on when there is space again, without a restart.
func TestDiskFull(t *testing.T) {
	dir := workDir(t)
	ds := loopback(t, dir, 2)
	a, b := ds[0], ds[1]
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", "size=256m", "anabranch-e2e", a.dir)
	t.Cleanup(func() { a.kill(); run(t, "umount", a.dir) })
	startAll(ds)
	waitConnected(t, ds, 20*time.Second)
	filler := filepath.Join(a.dir, "filler")
	leave := func(free uint64) {
		t.Helper()
		if err := os.Remove(filler); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		var s syscall.Statfs_t
		if err := syscall.Statfs(a.dir, &s); err != nil {
			t.Fatal(err)
		}
		if have := s.Bavail * uint64(s.Bsize); have > free {
			run(t, "fallocate", "-l", fmt.Sprint(have-free), filler)
		}
	}
	status := func(want int, method, path, body string) {
		t.Helper()
		eventually(t, 10*time.Second, fmt.Sprintf("%s %s is %d", method, path, want), func() error {
			r, err := a.try(method, path, body)
			if err == nil && r.status != want {
				err = errors.New(r.String())
			}
			return err
		})
	}
	for i := range 100 {
		a.add("s", fmt.Sprint(i))
	}
	waitConverged(t, ds, 10*time.Second)

	leave(40 << 20)
	status(507, "POST", ns+"/counters/probe", `{"inc":1}`)
	if r, err := a.try("PUT", ns+"/registers/r", `1`); err != nil || r.problem() != "disk-full" {
		t.Errorf("%v, %v", r, err)
	}
	a.remove("s", "0")
	a.do(204, "DELETE", ns+"/sets/s/members/1", "")
	a.do(200, "GET", ns+"/sets/s?limit=1000", "")
	b.inc("x", 5)
	waitConverged(t, ds, 10*time.Second)

	leave(8 << 20)
	status(507, "POST", ns+"/counters/probe", `{"inc":1}`)
	<-time.After(1500 * time.Millisecond) // the free space is looked at once a second
	b.inc("x", 7)
	a.remove("s", "2")
	if got := a.counter("x"); got != 5 {
		t.Errorf("replication uses the last of the disk: x is %d", got)
	}
	eventually(t, 10*time.Second, "the removal is at b", func() error {
		if b.members("s")["2"] {
			return errors.New("it is not")
		}
		return nil
	})
	leave(1 << 30)
	status(200, "POST", ns+"/counters/probe", `{"inc":1}`)
	_, took := waitConverged(t, ds, 30*time.Second)
	t.Logf("converged %v after there was space again", took.Round(10*time.Millisecond))
	if got := a.counter("x"); got != 12 {
		t.Errorf("x is %d, want 12", got)
	}

	// Not one byte is left, and writes go on until they fail.
	run(t, "sh", "-c", "cat /dev/zero >"+filler+" 2>/dev/null || true")
	var removed []string
	failed := 0
	for i := 3; i < 90 && failed < 5; i++ {
		r, err := a.try("POST", ns+"/sets/s", fmt.Sprintf(`{"remove":["%d"]}`, i))
		switch {
		case err != nil:
			t.Fatalf("a full disk ended the daemon: %v", err)
		case r.status == 200:
			removed = append(removed, fmt.Sprint(i))
		case r.problem() == "disk-full":
			failed++
		default:
			t.Errorf("%v", r)
		}
		if r, err := a.try("GET", ns+"/counters/x", ""); err != nil || r.status != 200 {
			t.Fatalf("reads do not go on: %v, %v", r, err)
		}
	}
	t.Logf("on the full disk: %d removals done, %d refused", len(removed), failed)

	// A start on a full disk ends, says so, and does no harm.
	a.kill()
	run(t, "sh", "-c", "cat /dev/zero >>"+filler+" 2>/dev/null || true")
	exits(t, 1, "there is no space left for the data directory "+a.dir, "--data-dir", a.dir, "--http", "unix:"+a.socket)
	leave(1 << 30)
	a.start()
	status(200, "POST", ns+"/counters/probe", `{"inc":1}`)
	waitConverged(t, ds, 30*time.Second)
	a.kill()
	a.start()
	waitConverged(t, ds, 30*time.Second)
	left := a.members("s")
	if i := slices.IndexFunc(removed, func(m string) bool { return left[m] }); i >= 0 {
		t.Errorf("the removal of %s was acknowledged and is undone", removed[i])
	}
	if got := a.counter("x"); got != 12 {
		t.Errorf("x is %d, want 12", got)
	}
}
