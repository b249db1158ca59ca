package http

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// sampleCluster has the peer of the examples. It does not answer when it is asked.
type sampleCluster struct{ fake }

func (*sampleCluster) PeerID() string { return examplePeer }
func (*sampleCluster) Addresses() []string {
	return []string{"/ip4/192.0.2.7/tcp/7701/p2p/" + examplePeer}
}
func (*sampleCluster) Peers() []Peer {
	return []Peer{{ID: examplePeer, Connected: true, Addresses: []string{"/ip4/192.0.2.7/tcp/7701"}}}
}

// newSampleDaemon returns a daemon that holds sampleState.
func newSampleDaemon(t testing.TB) *daemon { return openSampleDaemon(t, store.MemoryOptions()) }

func openSampleDaemon(t testing.TB, opts store.Options) *daemon {
	d := openDaemon(t, opts)
	d.holdSamples()
	d.h.Attach(Adapt(d.store), &sampleCluster{fake{sync: []PeerSync{{ID: examplePeer, Connected: true,
		Clock: crdt.VersionVector{9: 2}, LastExchange: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}}})
	return d
}

// holdSamples writes sampleState, and the items of sampleItems as another replica.
func (d *daemon) holdSamples() {
	d.t.Helper()
	d.do("POST", ns+"/batch", sampleState).ok(200)
	d.do("PUT", exampleMemory, `{"storage":"memory"}`).ok(201)
	d.do("PUT", exampleMemory+"/presence/workers/members/w1", `{"port":8080}`).ok(204)
	id, err := crdt.ParseReplicaID(exampleReplica)
	if err != nil {
		d.t.Fatal(err)
	}
	o := other{d: d, id: id, now: 1}
	for _, id := range slices.Sorted(maps.Keys(sampleItems)) {
		o.apply(item("todo", id, sampleItems[id]))
	}
}

// eachSample calls test with every example of every route.
func eachSample(t *testing.T, test func(t *testing.T, rt *route, x sample)) {
	for _, rt := range routes() {
		for _, x := range samples[rt.id] {
			t.Run(rt.id+"/"+x.name, func(t *testing.T) { test(t, &rt, x) })
		}
	}
}

// send sends the request of an example, with more in its query and its headers.
func (x sample) send(d *daemon, rt *route, query string, headers ...string) result {
	target := x.target
	if query != "" {
		target += map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")] + query
	}
	return d.do(rt.method, target, x.body, append(headers, x.headers...)...)
}

// Every route has an example, every example a route, and what comes back is what it says.
func TestSamples(t *testing.T) {
	known := map[string]bool{}
	for _, rt := range routes() {
		if known[rt.id] = true; len(samples[rt.id]) == 0 {
			t.Errorf("%s has no example: add one to samples in samples_table.go", rt.id)
		}
	}
	for id := range samples {
		if !known[id] {
			t.Errorf("examples of %s, which does not exist", id)
		}
	}
	eachSample(t, func(t *testing.T, rt *route, x sample) {
		d := newSampleDaemon(t)
		got := x.send(d, rt, "").ok(x.status)
		if rt.id == "get-openapi" {
			var head, all map[string]any
			decode(t, x.reply, &head)
			decode(t, got.body, &all)
			if all["openapi"] != head["openapi"] || all["info"].(map[string]any)["title"] != head["info"].(map[string]any)["title"] {
				t.Error(got.body[:100])
			}
			return
		}
		if want := withoutOpaque(x.reply); withoutOpaque(got.body) != want {
			t.Errorf("got  %s\nwant %s", withoutOpaque(got.body), want)
		}
	})
}

var (
	opaqueMember = regexp.MustCompile(`"(cursor|next|feed|context|replica|replica_id|version)":"[^"]*"`)
	opaqueIDs    = regexp.MustCompile(`"inserted":\[[^\]]*\]`)
	opaqueNumber = regexp.MustCompile(`"(uptime_seconds|disk_bytes)":\d+`)
	opaqueID     = regexp.MustCompile(`(?m)^id: .*$`)
)

// withoutOpaque leaves out what differs from daemon to daemon.
func withoutOpaque(body string) string {
	body = opaqueMember.ReplaceAllString(body, `"$1":"…"`)
	body = opaqueIDs.ReplaceAllString(body, `"inserted":["…"]`)
	body = opaqueNumber.ReplaceAllString(body, `"$1":0`)
	return strings.TrimSpace(opaqueID.ReplaceAllString(body, "id: …"))
}

// A write that asks for acks that do not come is answered 202, and a read with the ETag of what is
// there 304: on every route that says so.
func TestSamplesWithAcksAndETags(t *testing.T) {
	if testing.Short() {
		t.Skip("a daemon for each route")
	}
	eachSample(t, func(t *testing.T, rt *route, x sample) {
		d := newSampleDaemon(t)
		plain := !strings.Contains(x.target, "?")
		if rt.writes() && !rt.lines && plain {
			if got := x.send(d, rt, "acks=2").ok(http.StatusAccepted); got.header.Get(acksHeader) != "0" {
				t.Error(got.header)
			}
		}
		if rt.object != 0 && rt.method == http.MethodGet && plain {
			x.send(d, rt, "", "If-None-Match: *").want(http.StatusNotModified, "")
		}
	})
}

// Every parameter has an example that its route takes. Those of cursors are of the form only.
func TestSamplesOfParameters(t *testing.T) {
	if testing.Short() {
		t.Skip("a daemon for each route")
	}
	for _, rt := range routes() {
		d := newSampleDaemon(t)
		for _, p := range rt.parameters() {
			t.Run(rt.id+"/"+p.Name, func(t *testing.T) {
				if p.Example == nil || p.Example == "" {
					t.Fatal("no example")
				}
				if p.In == "path" {
					return
				}
				text := rt.exampleOf(p.Name)
				x := samples[rt.id][0]
				if strings.Contains(x.target, p.Name+"=") || x.header(p.Name) != "" {
					return
				}
				var got result
				if p.In == "header" {
					x.headers = append([]string{p.Name + ": " + text}, x.headers...)
					x.target = strings.ReplaceAll(x.target, "since=start&", "") // either this or a token
					got = x.send(d, &rt, "")
				} else {
					got = x.send(d, &rt, p.Name+"="+url.QueryEscape(text))
				}
				switch {
				case p.Name == "cursor" || p.Name == "Last-Event-ID":
					got.problem(kindBadCursor)
				case p.Name == "If-Match" && got.status != http.StatusPreconditionFailed:
					t.Errorf("%d %s", got.status, got.body)
				case got.status >= 400 && got.status != http.StatusPreconditionFailed:
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
	}
}

// Every kind of problem is described, with an example, and what only some problems have is named.
func TestSamplesOfProblems(t *testing.T) {
	names := map[string]bool{}
	for _, k := range kinds {
		p := exampleProblem(k)
		if names[k.name] || p.Detail == "" {
			t.Errorf("%s stands twice, or has no example", k.name)
		}
		names[k.name] = true
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		decode(t, string(b), &members)
		if len(members) != 4+len(kindMembers[k]) {
			t.Errorf("%s has the members %v besides those of all problems", members, kindMembers[k])
		}
	}
	described := 4
	for _, more := range kindMembers {
		described += len(more)
	}
	if n := len(slices.DeleteFunc(reflect.VisibleFields(reflect.TypeFor[Problem]()), func(f reflect.StructField) bool { return !f.IsExported() })); n > described {
		t.Errorf("a problem has %d members, and %d are described", n, described)
	}
}

// The description of a route says what its row says.
func TestDescriptionOfRoutes(t *testing.T) {
	api := New(Options{}).api.OpenAPI()
	tags := map[string]bool{}
	for _, tag := range api.Tags {
		tags[tag.Name] = tag.Description != ""
	}
	for _, rt := range routes() {
		if !tags[rt.tag] {
			t.Errorf("the tag %q of %s is not described", rt.tag, rt.id)
		}
		for _, name := range rt.query {
			if queryParams[name] == nil || queryParams[name].Description == "" {
				t.Errorf("the parameter %q of %s is not described", name, rt.id)
			}
		}
	}
	if b := New(Options{}).spec; len(b) > 512<<10 {
		t.Errorf("the description has %d bytes", len(b))
	}
}
