package http

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

const liveNS = "/v1/ns/live"

// withoutReplica makes the replies of different stores comparable.
func (r result) withoutReplica(replicas ...string) result {
	for i, id := range replicas {
		r.body = strings.ReplaceAll(r.body, id, string(rune('A'+i)))
	}
	return r
}

func TestPresence(t *testing.T) {
	d := newClocked(t)
	const w = liveNS + "/presence/w"
	d.do("PUT", liveNS, `{"storage":"memory"}`).ok(201)
	n, err := d.store.Namespace("live")
	if err != nil {
		t.Fatal(err)
	}
	self := n.Replica().String()
	d.do("GET", w, "").problem(kindNotFound)
	d.do("GET", w+"/members/a", "").problem(kindNotFound)
	d.do("DELETE", w+"/members/a", "").want(204, "")
	d.do("PUT", w+"/members/a", `{"port":1}`).want(204, "")
	d.do("PUT", w+"/members/b?ttl=1h", "2").want(204, "")
	d.do("PUT", w+"/members/c?ttl=10s", "null").want(204, "")
	tag := d.do("GET", w, "").withoutReplica(self).want(200, `{"type":"presence","key":"w","members":[{"member":"a","values":[{"replica":"A","value":{"port":1}}]},`+
		`{"member":"b","values":[{"replica":"A","value":2,"expires":"2030-01-01T01:00:00Z"}]},`+
		`{"member":"c","values":[{"replica":"A","value":null,"expires":"2030-01-01T00:00:10Z"}]}],"size":3}`).header.Get("ETag")
	d.do("GET", w, "", "If-None-Match: "+tag).want(304, "")
	var page Presence
	d.do("GET", w+"?limit=1", "").ok(200).into(&page)
	d.do("GET", w+"?limit=1&cursor="+page.Next, "").ok(200).contains(`"members":[{"member":"b",`).contains(`"size":3,"next":`)
	d.do("GET", w+"?prefix=b", "").ok(200).contains(`"members":[{"member":"b",`).contains(`"size":3}`)
	d.do("GET", w+"/members/a", "").withoutReplica(self).want(200, `{"type":"presence","key":"w","member":"a","values":[{"replica":"A","value":{"port":1}}]}`)
	d.do("GET", liveNS+"/keys", "").want(200, `{"keys":[{"type":"presence","key":"w"}]}`)
	d.do("GET", liveNS+"/keys?type=presence", "").want(200, `{"keys":[{"type":"presence","key":"w"}]}`)
	d.do("GET", liveNS+"/export", "").want(200, "")
	d.do("GET", liveNS+"/conflicts", "").want(200, `{"conflicts":[]}`)

	// Another daemon, which is lost later.
	ends := crdt.DeadlineOf(time.Date(2030, 1, 1, 0, 0, 12, 0, time.UTC))
	entry := func(seq uint64, p crdt.Path, k crdt.Kind, value string, until crdt.Deadline) crdt.Entry {
		return crdt.Entry{Dot: crdt.Dot{Replica: 9, Seq: seq}, Path: p, Kind: k, Value: []byte(value), Expires: until}
	}
	leaf := crdt.Object(crdt.Presence, "w").Leaf(crdt.Presence)
	if err := n.Apply(context.Background(), []delta.Unit{{Origin: 9, First: 1, Last: 3, Entries: []crdt.Entry{
		entry(1, leaf.Member("a"), crdt.KindPresence, "9", 0), entry(2, leaf.Member("z"), crdt.KindPresence, "10", 0),
		entry(3, crdt.LeasePath(9), crdt.KindLease, "", ends)}}}, nil); err != nil {
		t.Fatal(err)
	}
	d.do("GET", w+"/members/a", "").withoutReplica(self, "0000000000000009").ok(200).contains(`{"replica":"A","value":{"port":1}}`).contains(`{"replica":"B","value":9}`)
	both := d.do("GET", w, "").ok(200).contains(`"size":4`).header.Get("ETag")
	d.do("DELETE", w+"/members/z", "").want(204, "")
	d.do("GET", w+"/members/z", "").ok(200)
	var feed Changes
	d.do("GET", liveNS+"/changes?since=start&include=value", "").ok(200).into(&feed)
	for _, c := range feed.Changes {
		if c.Type != "presence" || c.Key != "w" || c.Value != nil {
			t.Errorf("the feed tells of %+v", c)
		}
	}
	d.pass(12 * time.Second)
	if after := d.do("GET", w, "", "If-None-Match: "+both).withoutReplica(self).want(200, `{"type":"presence","key":"w","members":[{"member":"a","values":[{"replica":"A","value":{"port":1}}]},`+
		`{"member":"b","values":[{"replica":"A","value":2,"expires":"2030-01-01T01:00:00Z"}]}],"size":2}`).header.Get("ETag"); after == both {
		t.Error("the ETag does not tell that a daemon is lost")
	} else {
		d.do("DELETE", w+"/members/b", "", "If-Match: "+after).want(204, "")
	}
	if _, err := n.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.do("GET", w, "").problem(kindNotFound)
	d.do("GET", liveNS+"/keys", "").want(200, `{"keys":[]}`)
}

func TestPresenceRefuses(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", liveNS, `{"storage":"memory"}`).ok(201)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		body := map[string]string{"PUT": "1"}[method]
		d.do(method, ns+"/presence/w/members/a", body).problem(kindForbidden) // a namespace on disk
		d.do(method, "/v1/ns/none/presence/w/members/a", body).problem(kindNamespaceNotFound)
	}
	d.do("GET", ns+"/presence/w", "").problem(kindForbidden)
	d.do("DELETE", liveNS+"/presence/w", "").problem(kindMethodNotAllowed)
	d.do("PUT", liveNS+"/presence/w/members/a", "{").problem(kindBadRequest)
	d.do("PUT", liveNS+"/presence/w/members/a?ttl=0s", "1").problem(kindBadRequest)
	d.do("PUT", liveNS+"/presence/w/members/a", `"`+strings.Repeat("x", crdt.MaxValueBytes)+`"`).problem(kindTooLarge)
	for _, op := range []string{`"presence":"w","delete":true`, `"presence":"w","value":1`} {
		d.do("POST", liveNS+"/batch", `{"ops":[{`+op+`}]}`).problem(kindBadRequest)
	}
	d.do("POST", liveNS+"/batch", `{"ops":[],"if":[{"presence":"w","absent":true}]}`).problem(kindBadRequest)
}
