//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const ns = "/v1/ns/default"

// reply is what a daemon answered.
type reply struct {
	request string
	status  int
	header  http.Header
	body    string
}

func (r reply) String() string { return fmt.Sprintf("%s: %d %s", r.request, r.status, r.body) }

// problem is the name of the problem that the reply tells.
func (r reply) problem() string {
	var p struct{ Type string }
	_ = json.Unmarshal([]byte(r.body), &p)
	return strings.TrimPrefix(p.Type, "urn:anabranch:problem:")
}

// request makes a request whose path is sent as it is written here. Header lines are "Name: value".
func request(method, path, body string, header ...string) *http.Request {
	path, query, _ := strings.Cut(path, "?")
	rq := &http.Request{Method: method, Host: "localhost", Header: http.Header{},
		URL: &url.URL{Scheme: "http", Host: "localhost", Opaque: path, RawQuery: query}}
	if body != "" {
		rq.Body, rq.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		rq.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		rq.Header.Set(name, value)
	}
	return rq
}

// try sends a request. An error means that there was no complete reply.
func (d *daemon) try(method, path, body string, header ...string) (reply, error) {
	resp, err := d.http.Do(request(method, path, body, header...))
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return reply{method + " " + path, resp.StatusCode, resp.Header, string(b)}, err
}

// do sends a request that has to get this status.
func (d *daemon) do(status int, method, path, body string, header ...string) reply {
	d.t.Helper()
	r, err := d.try(method, path, body, header...)
	if err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	if r.status != status {
		d.t.Fatalf("%s: %v, want %d", d.name, r, status)
	}
	return r
}

// get reads a JSON reply.
func (d *daemon) get(into any, path string) error {
	r, err := d.try("GET", path, "")
	if err != nil {
		return err
	}
	if r.status != http.StatusOK {
		return errors.New(r.String())
	}
	return json.Unmarshal([]byte(r.body), into)
}

// esc appends names to a path, every byte of them escaped that a client or a proxy may fold.
func esc(path string, names ...string) string {
	var b strings.Builder
	b.WriteString(path)
	for _, name := range names {
		b.WriteByte('/')
		for i := range len(name) {
			if c := name[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	return b.String()
}

func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Short forms for what most tests write.

func (d *daemon) inc(key string, amount int) {
	d.t.Helper()
	d.do(200, "POST", esc(ns+"/counters", key), fmt.Sprintf(`{"inc":%d}`, amount))
}

func (d *daemon) put(key string, value any) {
	d.t.Helper()
	d.do(204, "PUT", esc(ns+"/registers", key), quote(value))
}

func (d *daemon) add(key string, members ...string) {
	d.t.Helper()
	d.do(200, "POST", esc(ns+"/sets", key), `{"add":`+quote(members)+`}`)
}

func (d *daemon) remove(key string, members ...string) {
	d.t.Helper()
	d.do(200, "POST", esc(ns+"/sets", key), `{"remove":`+quote(members)+`}`)
}

// counter reads a counter; an absent one is 0.
func (d *daemon) counter(key string) int {
	d.t.Helper()
	r, err := d.try("GET", esc(ns+"/counters", key), "")
	if err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	if r.status == http.StatusNotFound {
		return 0
	}
	var c struct{ Value int }
	if err := json.Unmarshal([]byte(r.body), &c); r.status != http.StatusOK || err != nil {
		d.t.Fatalf("%s: %v", d.name, r)
	}
	return c.Value
}

// members reads a whole set by pages; an absent one is empty.
func (d *daemon) members(key string) map[string]bool {
	d.t.Helper()
	all := map[string]bool{}
	for cursor := ""; ; {
		var page struct {
			Members []string
			Next    string
		}
		r, err := d.try("GET", esc(ns+"/sets", key)+"?limit=1000"+cursor, "")
		if err != nil {
			d.t.Fatalf("%s: %v", d.name, err)
		}
		if r.status == http.StatusNotFound {
			return all
		}
		if err := json.Unmarshal([]byte(r.body), &page); r.status != http.StatusOK || err != nil {
			d.t.Fatalf("%s: %v", d.name, r)
		}
		for _, m := range page.Members {
			if all[m] {
				d.t.Errorf("%s: %q is twice in set %q", d.name, m, key)
			}
			all[m] = true
		}
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
}

// registers reads the values of a register, newest first.
func (d *daemon) values(key string) []string {
	d.t.Helper()
	var v struct {
		Value    json.RawMessage
		Conflict bool
		Values   []json.RawMessage
	}
	if err := d.get(&v, esc(ns+"/registers", key)); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	if !v.Conflict {
		return []string{string(v.Value)}
	}
	var all []string
	for _, x := range v.Values {
		all = append(all, string(x))
	}
	return all
}

func (d *daemon) export(of string) string {
	d.t.Helper()
	return d.do(200, "GET", "/v1/ns/"+of+"/export", "").body
}

// Status of the cluster.

type syncStatus struct {
	Converged bool
	Halted    string
	Context   string
	Peers     []struct {
		ID           string
		State        string
		MissingHere  *int       `json:"missing_here"`
		MissingThere *int       `json:"missing_there"`
		LastExchange *time.Time `json:"last_exchange"`
	}
}

// states counts the peers by their state.
func (s syncStatus) states() map[string]int {
	n := map[string]int{}
	for _, p := range s.Peers {
		n[p.State]++
	}
	return n
}

func (d *daemon) sync(of string) (s syncStatus, err error) {
	err = d.get(&s, "/v1/ns/"+of+"/sync")
	return s, err
}

// replicaID returns the id under which the daemon writes to the default namespace, and its peer id.
func (d *daemon) identity() (replica, peer string) {
	d.t.Helper()
	var s struct {
		PeerID     string `json:"peer_id"`
		Namespaces []struct {
			Name      string
			ReplicaID string `json:"replica_id"`
		}
	}
	if err := d.get(&s, "/v1/status"); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	for _, n := range s.Namespaces {
		if n.Name == "default" {
			replica = n.ReplicaID
		}
	}
	return replica, s.PeerID
}

// connectedTo returns an error unless the daemon is connected to n others.
func (d *daemon) connectedTo(n int) error {
	var reply struct{ Peers []struct{ Connected bool } }
	if err := d.get(&reply, "/v1/peers"); err != nil {
		return err
	}
	have := 0
	for _, p := range reply.Peers {
		if p.Connected {
			have++
		}
	}
	if have != n {
		return fmt.Errorf("%s is connected to %d others, want %d", d.name, have, n)
	}
	return nil
}

// waitConnected waits until each is connected to all.
func waitConnected(t *testing.T, ds []*daemon, timeout time.Duration) time.Duration {
	t.Helper()
	return eventually(t, timeout, "connected", func() error {
		for _, d := range ds {
			if err := d.connectedTo(len(ds) - 1); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitConverged waits until each says that it has converged with all others, and then demands
// that their exports are the same bytes, which it returns.
func waitConverged(t *testing.T, ds []*daemon, timeout time.Duration) (string, time.Duration) {
	t.Helper()
	took := eventually(t, timeout, "converged", func() error {
		for _, d := range ds {
			s, err := d.sync("default")
			if err != nil {
				return err
			}
			if !s.Converged || s.states()["connected"] < len(ds)-1 {
				return fmt.Errorf("%s says %s", d.name, quote(s))
			}
		}
		return nil
	})
	first := ds[0].export("default")
	for _, d := range ds[1:] {
		if e := d.export("default"); e != first {
			t.Fatalf("converged, but %s and %s export differently:\n%s", ds[0].name, d.name, firstDifference(first, e))
		}
	}
	return first, took
}

// firstDifference shows the first lines that differ.
func firstDifference(a, b string) string {
	as, bs := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	for i := 0; i < len(as) && i < len(bs); i++ {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d\n%.500s\n%.500s", i+1, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(as), len(bs))
}
