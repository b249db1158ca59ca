package http

import (
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// contents is what the objects of the examples hold, as a batch.
const contents = `{"ops":[{"bounded":"b","inc":5},{"counter":"c","inc":5},{"set":"s","add":["a","b","c"]},{"register":"r","value":{"n":1}},{"flag":"f","enable":true},
	{"map":"m","path":["name"],"value":"Ada"},{"map":"m","path":["visits"],"inc":1},{"map":"m","path":["tags"],"add":["x","y"]},{"map":"m","path":["address","city"],"value":"Delft"}]}`

// example is a request that succeeds at a daemon with these contents.
type example struct {
	path  string
	body  string
	first string // the route whose example goes before, "" for none: it makes what this one takes away
}

// examples has one for every route, by its id. Benchmarks measure them, and fuzzing begins with them.
var examples = map[string]example{
	"list-namespaces": {path: "/v1/ns"},
	"put-namespace":   {path: "/v1/ns/other", body: `{"storage":"memory"}`},
	"drop-namespace":  {path: "/v1/ns/other?drop=local", first: "put-namespace"},
	"list-keys":       {path: ns + "/keys?prefix=&limit=10"},
	"get-bounded":     {path: ns + "/bounded/b"},
	"change-bounded":  {path: ns + "/bounded/b", body: `{"inc":1}`},
	"delete-bounded":  {path: ns + "/bounded/b", first: "change-bounded"},
	"get-counter":     {path: ns + "/counters/c"},
	"change-counter":  {path: ns + "/counters/c", body: `{"inc":1}`},
	"delete-counter":  {path: ns + "/counters/c", first: "change-counter"},
	"get-flag":        {path: ns + "/flags/f"},
	"enable-flag":     {path: ns + "/flags/f"},
	"disable-flag":    {path: ns + "/flags/f", first: "enable-flag"},
	"get-set":         {path: ns + "/sets/s"},
	"change-set":      {path: ns + "/sets/s", body: `{"add":["a"],"remove":["d"]}`},
	"delete-set":      {path: ns + "/sets/s", first: "change-set"},
	"get-member":      {path: ns + "/sets/s/members/a"},
	"put-member":      {path: ns + "/sets/s/members/a"},
	"delete-member":   {path: ns + "/sets/s/members/a", first: "put-member"},
	"get-register":    {path: ns + "/registers/r"},
	"put-register":    {path: ns + "/registers/r", body: `{"n":2}`},
	"delete-register": {path: ns + "/registers/r", first: "put-register"},
	"get-map":         {path: ns + "/maps/m"},
	"change-map":      {path: ns + "/maps/m", body: `{"ops":[{"path":["visits"],"inc":1},{"path":["name"],"value":"Bob"}]}`},
	"delete-map":      {path: ns + "/maps/m", first: "put-field"},
	"get-field":       {path: ns + "/maps/m/fields/address/city"},
	"put-field":       {path: ns + "/maps/m/fields/address/city", body: `"Leiden"`},
	"delete-field":    {path: ns + "/maps/m/fields/address/city", first: "put-field"},
	"batch":           {path: ns + "/batch", body: `{"ops":[{"counter":"c","inc":1},{"set":"s","add":["a"]},{"register":"r","value":1}]}`},
	"list-conflicts":  {path: ns + "/conflicts"},
	"export":          {path: ns + "/export"},
	"follow-changes":  {path: ns + "/changes?since=start&timeout=0s"},
	"get-sync":        {path: ns + "/sync"},
	"sync":            {path: ns + "/sync", body: `{"direction":"both"}`},
	"get-status":      {path: "/v1/status"},
	"list-peers":      {path: "/v1/peers"},
	"add-peer":        {path: "/v1/peers", body: `{"addr":"/ip4/127.0.0.1/tcp/7701"}`},
	"get-health":      {path: "/healthz"},
	"get-readiness":   {path: "/readyz"},
	"get-openapi":     {path: "/openapi.json"},
}

// routeOf returns a route of the table by its id.
func routeOf(t testing.TB, id string) route {
	t.Helper()
	all := routes()
	i := slices.IndexFunc(all, func(rt route) bool { return rt.id == id })
	if i < 0 {
		t.Fatalf("there is no route %q", id)
	}
	return all[i]
}

// collection returns the segment of paths that stands for a type.
func collection(typ string) string {
	if typ == "bounded" || typ == "presence" {
		return typ
	}
	return typ + "s"
}

// Every route has an example, and it succeeds, twice too.
func TestExamples(t *testing.T) {
	d, _ := newCluster(t)
	for _, rt := range routes() {
		if _, ok := examples[rt.id]; !ok {
			t.Errorf("%s %s (%s) has no example", rt.method, rt.pattern, rt.id)
		}
	}
	for id := range examples {
		d.do("POST", ns+"/batch", contents).ok(200)
		for range 2 {
			ids := []string{id}
			if first := examples[id].first; first != "" {
				ids = []string{first, id}
			}
			for _, id := range ids {
				rt, e := routeOf(t, id), examples[id]
				if r := d.do(rt.method, e.path, e.body); r.status != rt.status && r.status != rt.also {
					t.Errorf("%s: %d %s", id, r.status, r.body)
				}
			}
		}
	}
	if n, err := d.store.Namespace(store.Default); err != nil || n.Err() != nil {
		t.Error(err, n.Err())
	}
}
