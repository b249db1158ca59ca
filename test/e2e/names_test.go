//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// hurtful are names that have hurt somebody: separators, steps, escapes, controls, quotes,
// characters of more than one spelling, and the longest that are allowed.
var hurtful = []string{
	"/", "a/", "/a", "//", ".", "..", "../..", "a/../b", "%", "%2F", "%2f", "%2E%2E", "%00", "+", " ", "a b", "?", "#", "a?b=c#d", "&", ";", "=", ":", "@",
	"\x00", "a\x00b", "\n", "\r\n", "\t", "\x7f", `"`, `'`, `\`, `\u0000`, "`", "$(x)", "<script>", "fields", "members", "keys", "null", "0",
	"😀", "é", "e\u0301", "\u202e", "\ufeff", "\u2028", "\U0010ffff", strings.Repeat("x", 1024), strings.Repeat("é", 512), strings.Repeat("/", 1024),
}

// Names that hurt are stored through paths on one daemon and through bodies on the other, listed,
// paged, exported, replicated, read back at the other, and removed there.
func TestNames(t *testing.T) {
	ds := loopback(t, workDir(t), 2)
	a, b := ds[0], ds[1]
	startAll(ds)
	waitConnected(t, ds, 20*time.Second)
	for _, n := range hurtful {
		a.putByPath(n)
		b.putByBody(n)
	}
	export, _ := waitConverged(t, ds, 20*time.Second)
	for _, d := range ds {
		for _, n := range hurtful {
			d.checkName(n)
		}
		for _, typ := range []string{"counter", "register", "set", "map"} {
			if got, want := d.keys(typ), slices.Sorted(slices.Values(hurtful)); !slices.Equal(got, want) {
				t.Errorf("%s: keys of type %s by pages:\n%q\nwant\n%q", d.name, typ, got, want)
			}
		}
	}

	// What is exported makes the same elsewhere.
	b.do(201, "PUT", "/v1/ns/other", `{"storage":"memory"}`)
	for line := range strings.Lines(export) {
		b.do(200, "POST", "/v1/ns/other/batch", `{"ops":[`+line+`]}`)
	}
	if again := b.export("other"); again != export {
		t.Errorf("what was exported makes something else:\n%s", firstDifference(export, again))
	}

	// Each is removed at the daemon that did not write it first, by the other way.
	for _, n := range hurtful {
		b.deleteByPath(n)
		a.do(200, "POST", ns+"/batch", `{"ops":[{"register":`+quote(n)+`,"delete":true},{"map":`+quote(n)+`,"delete":true},{"counter":`+quote(n)+`,"delete":true}]}`)
	}
	if export, _ := waitConverged(t, ds, 20*time.Second); export != "" {
		t.Errorf("left over:\n%s", export)
	}
}

func (d *daemon) putByPath(n string) {
	d.do(200, "POST", esc(ns+"/counters", n), `{"inc":1}`)
	d.do(204, "PUT", esc(ns+"/registers", n), quote(n))
	d.do(204, "PUT", esc(esc(ns+"/sets", n)+"/members", n), "")
	d.do(204, "PUT", esc(esc(ns+"/maps", n)+"/fields", n, n), quote(n))
}

func (d *daemon) putByBody(n string) {
	q := quote(n)
	d.do(200, "POST", ns+"/batch", `{"ops":[{"counter":`+q+`,"inc":1},{"set":`+q+`,"add":["body",`+q+`]},
		{"map":`+q+`,"path":["body",`+q+`],"inc":2},{"map":`+q+`,"path":["tags"],"add":[`+q+`]}]}`)
}

func (d *daemon) checkName(n string) {
	d.t.Helper()
	if got := d.counter(n); got != 2 {
		d.t.Errorf("%s: counter %q is %d, want 2", d.name, n, got)
	}
	var reg struct{ Key, Value string }
	if err := d.get(&reg, esc(ns+"/registers", n)); err != nil || reg.Key != n || reg.Value != n {
		d.t.Errorf("%s: register %q: %+v, %v", d.name, n, reg, err)
	}
	if got := d.members(n); len(got) != 2 || !got["body"] || !got[n] {
		d.t.Errorf("%s: set %q: %v", d.name, n, got)
	}
	d.do(204, "GET", esc(esc(ns+"/sets", n)+"/members", n), "")
	var m struct{ Value map[string]json.RawMessage }
	if err := d.get(&m, esc(ns+"/maps", n)); err != nil {
		d.t.Errorf("%s: map %q: %v", d.name, n, err)
	}
	var sub map[string]string
	if err := json.Unmarshal(m.Value[n], &sub); err != nil || sub[n] != n {
		d.t.Errorf("%s: map %q: %s", d.name, n, m.Value[n])
	}
	var f struct{ Value int }
	if err := d.get(&f, esc(esc(ns+"/maps", n)+"/fields", "body", n)); err != nil || f.Value != 2 {
		d.t.Errorf("%s: map %q, counter: %+v, %v", d.name, n, f, err)
	}
}

// keys lists the keys of a type by pages of 7.
func (d *daemon) keys(typ string) []string {
	d.t.Helper()
	var all []string
	for cursor := ""; ; {
		var page struct {
			Keys []struct{ Type, Key string }
			Next string
		}
		if err := d.get(&page, ns+"/keys?limit=7&type="+typ+cursor); err != nil {
			d.t.Fatalf("%s: %v", d.name, err)
		}
		for _, k := range page.Keys {
			all = append(all, k.Key)
		}
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
}

func (d *daemon) deleteByPath(n string) {
	d.do(204, "DELETE", esc(esc(ns+"/sets", n)+"/members", n), "")
	d.do(404, "GET", esc(esc(ns+"/sets", n)+"/members", n), "")
	d.do(200, "GET", esc(ns+"/sets", n), "")
	d.do(204, "DELETE", esc(ns+"/sets", n), "")
	d.do(404, "GET", esc(ns+"/sets", n), "")
	d.do(204, "DELETE", esc(esc(ns+"/maps", n)+"/fields", n), "")
	d.do(404, "GET", esc(esc(ns+"/maps", n)+"/fields", n), "")
}

// raw sends a request line as it stands: no client has cleaned it.
func (d *daemon) raw(method, target string) (status int, problem string) {
	d.t.Helper()
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, target)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	var p struct{ Type string }
	_ = json.NewDecoder(resp.Body).Decode(&p)
	return resp.StatusCode, strings.TrimPrefix(p.Type, "urn:anabranch:problem:")
}

// What no path may be is refused, and neither cleaned nor redirected to something else: a DELETE
// of a member that is called ".." must never be the DELETE of the set.
func TestRawPaths(t *testing.T) {
	d := newDaemon(t, workDir(t), "a")
	d.args = []string{"--mdns=false"}
	d.listen = "/ip4/" + address() + "/tcp/0"
	d.start()
	d.add("s", "..", ".", "x")
	for _, c := range []struct {
		method, target string
		status         int
		problem        string
	}{
		{"DELETE", ns + "/sets/s/members/..", 400, "bad-request"},
		{"DELETE", ns + "/sets/s/members/../", 400, "bad-request"},
		{"DELETE", ns + "/sets/s/members/.", 400, "bad-request"},
		{"DELETE", ns + "/sets/s/members/", 400, "bad-request"},
		{"DELETE", ns + "/sets//s", 400, "bad-request"},
		{"DELETE", ns + "/sets/s/", 400, "bad-request"},
		{"DELETE", ns + "/sets/s/./members/x", 400, "bad-request"},
		{"DELETE", ns + "/x/../sets/s", 400, "bad-request"},
		{"GET", ns + "/sets/%FF", 400, "bad-request"},
		{"GET", ns + "/sets/%ED%A0%80", 400, "bad-request"},
		{"GET", ns + "/sets/s/members/%2E%2E", 204, ""},
		{"GET", ns + "/sets/s/members/%2e", 204, ""},
		{"GET", ns + "/sets/s/members/%2F", 404, "not-found"},
		{"GET", "//v1/ns/default/sets/s", 400, "bad-request"},
		{"GET", "/v1/ns/default/nothing/s", 404, "not-found"},
		{"TRACE", ns + "/sets/s", 405, "method-not-allowed"},
		{"GET", ns + "/sets/" + strings.Repeat("x", 1025), 413, "too-large"},
		{"GET", ns + "/sets/" + strings.Repeat("%2F", 1024), 404, "not-found"},
		{"DELETE", ns + "/sets/s/members/%2E%2E", 204, ""},
	} {
		status, problem := d.raw(c.method, c.target)
		if status != c.status || problem != c.problem {
			t.Errorf("%s %.80s: %d %s, want %d %s", c.method, c.target, status, problem, c.status, c.problem)
		}
	}
	if got := d.members("s"); len(got) != 2 || !got["."] || !got["x"] {
		t.Errorf("the set is %v", got)
	}
}
