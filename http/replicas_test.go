package http

import (
	"testing"
)

// TestRetire: a replica id that is known here, and not this daemon's own, is sealed where it is known.
func TestRetire(t *testing.T) {
	d := newSampleDaemon(t)
	d.do("PUT", "/v1/ns/other", `{}`).ok(201)
	path := func(id string) string { return "/v1/replicas/" + id + "/retire" }
	before := d.do("GET", ns+"/export", "").ok(200).body
	for range 2 {
		d.do("POST", path(exampleReplica), `{}`).want(200, `{"replica":"`+exampleReplica+`","sealed":[{"namespace":"default","final":2}]}`)
	}
	if got := d.do("GET", ns+"/export", "").ok(200).body; got != before {
		t.Errorf("a seal is exported: %s", got)
	}
	d.do("POST", path("9b1de0c4f27a6e36"), `{}`).problem(kindNotFound)
	d.do("POST", path("default"), `{}`).problem(kindBadRequest)
	d.do("POST", path("0000000000000000"), `{}`).problem(kindBadRequest)
	d.do("POST", path(exampleReplica), `{"final":3}`).problem(kindBadRequest)
	d.do("POST", path(exampleReplica), ``).problem(kindMediaType)
	space, err := d.store.Namespace("other")
	if err != nil {
		t.Fatal(err)
	}
	d.do("POST", path(space.Replica().String()), `{}`).problem(kindForbidden)
}
