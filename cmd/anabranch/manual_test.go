//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestManual runs every command of docs/API.md: per section, in order, with real curl, against a
// daemon that begins empty and has one peer. Every route of the description is called by a line
// of the document.
func TestManual(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal(err)
	}
	sections := readDocument(t, "../../docs/API.md")
	if len(sections) == 0 {
		t.Fatal("the document has no commands")
	}
	called := map[string]bool{}
	var routes []string
	for _, s := range sections {
		t.Run(s.title, func(t *testing.T) {
			ports := freePorts(t, "7700", "7701", "7710", "7711")
			routes = startPair(t, ports)
			s.run(t, t.TempDir(), ports)
			for _, c := range s.commands {
				for _, call := range traced.FindAllStringSubmatch(c.trace, -1) {
					if call[1] < "400" {
						called[routeOf(routes, call[2], call[3])] = true
					}
				}
			}
		})
	}
	for _, route := range routes {
		if !called[route] {
			t.Errorf("no line of the document calls %s with success", route)
		}
	}
}

// freePorts gives each port of a document one that is free.
func freePorts(t *testing.T, documented ...string) map[string]string {
	t.Helper()
	ports := map[string]string{}
	for _, p := range documented {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // once all are chosen
		_, ports[p], _ = net.SplitHostPort(ln.Addr().String())
	}
	return ports
}

// startPair starts a daemon on 7700 and its peer on 7710, and returns what the API description of
// the first one lists.
func startPair(t *testing.T, ports map[string]string) (routes []string) {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "a", "cluster.key")
	serve(t, ports["7700"], "--data-dir", filepath.Join(dir, "a"), "--listen", "/ip4/127.0.0.1/tcp/"+ports["7701"])
	serve(t, ports["7710"], "--data-dir", filepath.Join(dir, "b"), "--listen", "/ip4/127.0.0.1/tcp/"+ports["7711"],
		"--cluster-key-file", key, "--peer", "/ip4/127.0.0.1/tcp/"+ports["7701"])
	var sync struct{ Peers []struct{ State string } }
	for tick := time.Tick(10 * time.Millisecond); len(sync.Peers) == 0 || sync.Peers[0].State != "connected"; <-tick {
		getJSON(t, ports["7700"], "/v1/ns/default/sync", &sync)
	}
	var spec struct {
		Paths map[string]map[string]json.RawMessage
	}
	getJSON(t, ports["7700"], "/openapi.json", &spec)
	for path, methods := range spec.Paths {
		for method := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	if len(routes) == 0 {
		t.Fatal("the description has no routes")
	}
	return routes
}

// serve runs a daemon until the test ends, and returns when it is ready.
func serve(t *testing.T, port string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "anabranch", append([]string{"serve", "--http", "127.0.0.1:" + port, "--mdns=false"}, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the context of the test ends first
		if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the daemon on %s: %v\n%s", port, err, &log)
		}
	})
	check := exec.CommandContext(t.Context(), "anabranch", "healthcheck", "--wait", "30s", "--addr", "http://127.0.0.1:"+port)
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func getJSON(t *testing.T, port, path string, into any) {
	t.Helper()
	resp, err := http.Get("http://127.0.0.1:" + port + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// routeOf returns the route that a call goes to: of those that match, the one with the most fixed
// segments. {path} matches several.
func routeOf(routes []string, method, path string) string {
	best, most := "", -1
	for _, route := range routes {
		want, ok := strings.CutPrefix(route, method+" ")
		if fixed := matches(strings.Split(want, "/"), strings.Split(path, "/")); ok && fixed > most {
			best, most = route, fixed
		}
	}
	return best
}

// matches returns how many segments of the pattern are fixed, and -1 if it does not match.
func matches(pattern, path []string) (fixed int) {
	for i, want := range pattern {
		switch {
		case want == "{path}" && len(path) > i:
			return fixed
		case i >= len(path) || !strings.HasPrefix(want, "{") && want != path[i]:
			return -1
		case !strings.HasPrefix(want, "{"):
			fixed++
		}
	}
	if len(path) > len(pattern) {
		return -1
	}
	return fixed
}

// TestTutorial runs every command of docs/tutorial.md, from its first to its last line.
func TestTutorial(t *testing.T) {
	all := section{title: "tutorial"}
	var text strings.Builder
	for _, s := range readDocument(t, "../../docs/tutorial.md") {
		for _, c := range s.commands {
			all.commands = append(all.commands, c)
			text.WriteString(c.text)
		}
	}
	if len(all.commands) == 0 {
		t.Fatal("the document has no commands")
	}
	all.run(t, t.TempDir(), freePorts(t, port.FindAllString(text.String(), -1)...))
}
