package http

import (
	"testing"
)

func TestAcksAlone(t *testing.T) {
	d := newDaemon(t)
	r := d.do("POST", ns+"/counters/c?acks=1", `{"inc":1}`, longest).want(202, `{"type":"counter","key":"c","value":1}`)
	if r.header.Get(acksHeader) != "0" || r.token() == "" {
		t.Fatal(r.header)
	}
	d.do("PUT", ns+"/sets/s/members/x?acks=1000", "").want(202, "")
	d.do("GET", ns+"/sets/s/members/x", "").ok(204)
	if r := d.do("PUT", ns+"/sets/s/members/x", "").ok(204); r.header.Get(acksHeader) != "" {
		t.Fatal(r.header)
	}
}

func TestAcks(t *testing.T) {
	b, c := newDaemon(t), newDaemon(t)
	a, cl := newCluster(t, b, c)
	inc := func(acks string, headers ...string) result {
		return a.do("POST", ns+"/counters/c?acks="+acks, `{"inc":1}`, headers...)
	}
	if r := inc("1").ok(202); r.header.Get(acksHeader) != "0" {
		t.Fatal(r.header)
	}
	// Peers have it only when they tell so; the third write waits until they do.
	cl.asked = make(chan struct{})
	done := make(chan result)
	go func() { done <- inc("2", longest) }()
	<-cl.asked
	exchange(t, a, b)
	<-cl.asked
	select {
	case r := <-done:
		t.Fatalf("one acknowledgement for two: %v", r)
	case <-cl.asked:
	}
	exchange(t, a, c)
	r := (<-done).want(200, `{"type":"counter","key":"c","value":2}`)
	if r.header.Get(acksHeader) != "2" || r.header.Get("Preference-Applied") != "wait=60" {
		t.Fatal(r.header)
	}
	// What changes nothing is held by all who hold what was before.
	if r := a.do("DELETE", ns+"/sets/none?acks=1", "").ok(204); r.header.Get(acksHeader) != "2" {
		t.Fatal(r.header)
	}
	// A daemon that stops answers that the write stands.
	cl.set("p1", nil)
	go func() { done <- inc("2", longest) }()
	<-cl.asked
	<-cl.asked
	exchange(t, a, b)
	a.h.Drain()
	(<-done).want(202, `{"type":"counter","key":"c","value":3}`)
}
