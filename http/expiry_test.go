package http

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// clocked is a daemon whose store has a wall clock that the test moves. It begins in 2030.
type clocked struct {
	*daemon
	ahead *atomic.Int64
}

func newClocked(t *testing.T) clocked {
	var ahead atomic.Int64
	opts := store.MemoryOptions()
	opts.ReapEvery = -1
	opts.Now = func() time.Time {
		return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(ahead.Load()))
	}
	return clocked{openDaemon(t, opts), &ahead}
}

func (c clocked) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// reap lets the copy remove what is over.
func (c clocked) reap(t *testing.T) int {
	n, err := c.store.Namespace(store.Default)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := n.Reap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

func TestExpiry(t *testing.T) {
	d := newClocked(t)
	const soon, noon = "?ttl=30s", "?expires=2030-01-01T13:00:00%2B01:00"
	d.do("PUT", ns+"/registers/r"+soon, `"v"`).want(204, "")
	d.do("PUT", ns+"/sets/s/members/a"+soon, "").want(204, "")
	d.do("PUT", ns+"/sets/s/members/b"+noon, "").want(204, "")
	d.do("PUT", ns+"/flags/f"+soon, "").want(204, "")
	d.do("PUT", ns+"/maps/m/fields/x"+soon, `1`).want(204, "")
	d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["y"],"value":2,"expires":"2030-01-01T00:00:30Z"},{"path":["z"],"enable":true,"ttl":"30s"},{"path":["t"],"add":["k"],"ttl":"0.5m"},{"path":["n"],"inc":1}]}`).
		want(200, `{"type":"map","key":"m","value":{"n":1,"t":["k"],"x":1,"y":2,"z":true}}`)
	d.do("POST", ns+"/sets/s", `{"add":["c"],"ttl":"30s"}`).want(200, `{"added":1,"removed":0}`)
	d.do("POST", ns+"/batch", `{"ops":[{"set":"s","add":["d","e"],"ttl":"30s"},{"set":"s","add":["g"]}]}`).ok(200)

	tag := d.do("GET", ns+"/registers/r", "").
		want(200, `{"type":"register","key":"r","value":"v","conflict":false,"expires":"2030-01-01T00:00:30Z"}`).header.Get("ETag")
	setTag := d.do("GET", ns+"/sets/s", "").
		want(200, `{"type":"set","key":"s","members":["a","b","c","d","e","g"],"size":6}`).header.Get("ETag")
	d.do("GET", ns+"/flags/f", "").want(200, `{"type":"flag","key":"f","value":true,"expires":"2030-01-01T00:00:30Z"}`)
	d.do("GET", ns+"/maps/m/fields/x", "").want(200, `{"type":"register","key":"m","path":["x"],"value":1,"expires":"2030-01-01T00:00:30Z"}`)
	d.do("GET", ns+"/maps/m/fields/z", "").want(200, `{"type":"flag","key":"m","path":["z"],"value":true,"expires":"2030-01-01T00:00:30Z"}`)
	d.do("GET", ns+"/maps/m?shape=typed", "").want(200, `{"type":"map","key":"m","conflict":false,"fields":[{"path":["n"],"type":"counter","value":1},`+
		`{"path":["t"],"type":"set","members":["k"],"size":1,"deadlines":{"k":"2030-01-01T00:00:30Z"}},`+
		`{"path":["x"],"type":"register","value":1,"expires":"2030-01-01T00:00:30Z"},{"path":["y"],"type":"register","value":2,"expires":"2030-01-01T00:00:30Z"},`+
		`{"path":["z"],"type":"flag","value":true,"expires":"2030-01-01T00:00:30Z"}]}`)
	var feed Changes
	d.do("GET", ns+"/changes?since=start&type=register", "").ok(200).into(&feed)

	d.pass(30 * time.Second)
	d.do("GET", ns+"/registers/r", "").problem(kindNotFound)
	d.do("GET", ns+"/registers/r", "", "If-None-Match: "+tag).problem(kindNotFound)
	d.do("GET", ns+"/sets/s/members/a", "").problem(kindNotFound)
	if after := d.do("GET", ns+"/sets/s", "", "If-None-Match: "+setTag).
		want(200, `{"type":"set","key":"s","members":["b","g"],"size":2}`).header.Get("ETag"); after == setTag {
		t.Error("the ETag does not tell that members are hidden")
	}
	d.do("DELETE", ns+"/sets/s/members/b", "", "If-Match: "+setTag).problem(kindPrecondition)
	d.do("GET", ns+"/flags/f", "").problem(kindNotFound)
	d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":{"n":1}}`)
	d.do("GET", ns+"/maps/m?shape=typed", "").want(200, `{"type":"map","key":"m","conflict":false,"fields":[{"path":["n"],"type":"counter","value":1}]}`)
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[{"type":"map","key":"m"},{"type":"set","key":"s"}]}`)
	d.do("GET", ns+"/export", "").want(200, `{"map":"m","path":["n"],"inc":1}
{"set":"s","add":["b"],"expires":"2030-01-01T12:00:00Z"}
{"set":"s","add":["g"]}`)
	d.do("POST", ns+"/sets/s", `{"add":["a"],"remove":["c"]}`).want(200, `{"added":1,"removed":0}`)
	d.do("PUT", ns+"/flags/f", "", "If-None-Match: *").want(204, "")
	d.do("DELETE", ns+"/flags/f", "").want(204, "")

	// The feed tells when it was removed, not when it was hidden.
	if r := d.do("GET", ns+"/changes?timeout=0s&type=register&since="+feed.Cursor, "").ok(200); strings.Contains(r.body, `"key":"r"`) {
		t.Errorf("a change without a commit: %s", r.body)
	}
	d.pass(5 * time.Second)
	if removed := d.reap(t); removed != 7 { // r, d, e, and four fields of m
		t.Errorf("%d removed", removed)
	}
	d.do("GET", ns+"/changes?timeout=0s&type=register&since="+feed.Cursor, "").contains(`"event":"removed","type":"register","key":"r"`)
	d.do("GET", ns+"/sets/s", "").want(200, `{"type":"set","key":"s","members":["a","b","g"],"size":3}`)
}

// TestExpiryOfSiblings: the value that is left shows when the newer one is hidden.
func TestExpiryOfSiblings(t *testing.T) {
	d := newClocked(t)
	o := other{d: d.daemon, id: 9, now: newer}
	d.do("PUT", ns+"/registers/r", `1`).want(204, "")
	o.apply(crdt.Entry{Path: crdt.Object(crdt.Register, "r").Leaf(crdt.Register), Kind: crdt.KindValue, Value: []byte("2"),
		Expires: crdt.DeadlineOf(time.Date(2030, 1, 1, 0, 0, 9, 0, time.UTC))})
	tag := d.do("GET", ns+"/registers/r", "").
		want(200, `{"type":"register","key":"r","value":2,"conflict":true,"values":[2,1],"expires":"2030-01-01T00:00:09Z"}`).header.Get("ETag")
	d.do("GET", ns+"/conflicts", "").contains(`"key":"r"`)
	d.pass(9 * time.Second)
	d.do("GET", ns+"/registers/r", "", "If-None-Match: "+tag).want(200, `{"type":"register","key":"r","value":1,"conflict":false}`)
	d.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
}

// TestExportKeepsDeadlines: what it prints makes the same again, byte for byte.
func TestExportKeepsDeadlines(t *testing.T) {
	d := newClocked(t)
	d.do("POST", ns+"/batch", `{"ops":[{"set":"s","add":["a","b","d"],"expires":"2030-02-01T00:00:00.001Z"},{"set":"s","add":["c"],"ttl":"1ns"},{"set":"s","add":["e"]},
		{"register":"r","value":[1,2],"ttl":"1h"},{"flag":"f","enable":true,"ttl":"1h"},{"map":"m","path":["p"],"value":"x","ttl":"100h"}]}`).ok(200)
	export := d.do("GET", ns+"/export", "").want(200, `{"flag":"f","enable":true,"expires":"2030-01-01T01:00:00Z"}
{"map":"m","path":["p"],"value":"x","expires":"2030-01-05T04:00:00Z"}
{"register":"r","value":[1,2],"expires":"2030-01-01T01:00:00Z"}
{"set":"s","add":["a","b"],"expires":"2030-02-01T00:00:00.001Z"}
{"set":"s","add":["c"],"expires":"2030-01-01T00:00:00.001Z"}
{"set":"s","add":["d"],"expires":"2030-02-01T00:00:00.001Z"}
{"set":"s","add":["e"]}`).body
	again := newClocked(t)
	again.do("POST", ns+"/batch", `{"ops":[`+strings.ReplaceAll(export, "\n", ",")+`]}`).ok(200)
	again.do("GET", ns+"/export", "").want(200, export)
	bulk := newClocked(t)
	bulk.do("POST", ns+"/bulk", export+"\n", "Content-Type: application/x-ndjson").ok(200)
	bulk.do("GET", ns+"/export", "").want(200, export)
	late := newClocked(t) // an import may come late
	late.pass(48 * time.Hour)
	late.do("POST", ns+"/batch", `{"ops":[`+strings.ReplaceAll(export, "\n", ",")+`]}`).ok(200)
	late.do("GET", ns+"/keys", "").want(200, `{"keys":[{"type":"map","key":"m"},{"type":"set","key":"s"}]}`)
}

func TestExpiryRefuses(t *testing.T) {
	d := newClocked(t)
	for _, query := range []string{"ttl=", "ttl=30", "ttl=-1s", "ttl=0s", "ttl=1e9h", "ttl=900000h", "ttl=x", "expires=", "expires=tomorrow", "expires=2030-01-01",
		"expires=1969-01-01T00:00:00Z", "expires=2200-01-01T00:00:00Z", "expires=9999-12-31T23:59:59.9999Z", "ttl=1s&expires=2030-01-02T00:00:00Z", "ttl=1s&ttl=1s"} {
		for _, path := range []string{"/registers/r", "/maps/m/fields/f"} {
			d.do("PUT", ns+path+"?"+query, "1").problem(kindBadRequest)
		}
		for _, path := range []string{"/flags/f", "/sets/s/members/m"} {
			d.do("PUT", ns+path+"?"+query, "").problem(kindBadRequest)
		}
	}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/counters/c", `{"inc":1}`}, {http.MethodDelete, "/registers/r", ""}, {http.MethodDelete, "/sets/s/members/m", ""},
		{http.MethodPost, "/sets/s", `{"add":["a"]}`}, {http.MethodGet, "/registers/r", ""}, {http.MethodPatch, "/maps/m", `{"ops":[]}`},
	} {
		d.do(c.method, ns+c.path+"?ttl=1s", c.body).problem(kindBadRequest)
	}
	for _, op := range []string{
		`"counter":"c","inc":1,"ttl":"1s"`, `"counter":"c","reset":true,"ttl":"1s"`, `"register":"r","delete":true,"ttl":"1s"`,
		`"set":"s","remove":["x"],"ttl":"1s"`, `"set":"s","add":[],"ttl":"1s"`, `"flag":"f","enable":false,"ttl":"1s"`,
		`"register":"r","value":1,"ttl":"1s","expires":"2030-01-02T00:00:00Z"`, `"register":"r","value":1,"ttl":1`, `"register":"r","value":1,"ttl":null`,
		`"register":"r","value":1,"expires":1893456000`, `"register":"r","value":1,"expires":"2200-01-01T00:00:00Z"`,
	} {
		d.do("POST", ns+"/batch", `{"ops":[{`+op+`}]}`).problem(kindBadRequest)
	}
	d.do("POST", ns+"/counters/c", `{"inc":1,"ttl":"1s"}`).problem(kindBadRequest)
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[]}`)
}
