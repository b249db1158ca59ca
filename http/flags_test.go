package http

import (
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func TestFlag(t *testing.T) {
	d := newDaemon(t)
	const f = ns + "/flags/dark"
	d.do("GET", f, "").problem(kindNotFound)
	d.do("DELETE", f, "").want(204, "")
	d.do("PUT", f, "").want(204, "")
	d.do("PUT", f, "").want(204, "")
	tag := d.do("GET", f, "").want(200, `{"type":"flag","key":"dark","value":true}`).header.Get("ETag")
	d.do("GET", f, "", "If-None-Match: "+tag).want(304, "")
	d.do("PUT", f, "", "If-None-Match: *").problem(kindPrecondition)
	d.do("GET", ns+"/keys?type=flag", "").want(200, `{"keys":[{"type":"flag","key":"dark"}]}`)
	d.do("GET", ns+"/changes?since=start&include=value&type=flag", "").ok(200).contains(`"event":"changed","type":"flag","key":"dark","value":true`)
	d.do("DELETE", f, "", "If-Match: "+tag).want(204, "")
	d.do("GET", f, "").problem(kindNotFound)
	d.do("GET", ns+"/changes?since=start&include=value&type=flag", "").ok(200).contains(`"event":"removed","type":"flag","key":"dark"`)
}

func TestFlagsInBatchAndMap(t *testing.T) {
	d := newDaemon(t)
	d.do("POST", ns+"/batch", `{"ops":[{"flag":"a","enable":true},{"flag":"b","enable":true},{"flag":"b","enable":false},{"flag":"c","enable":true},{"flag":"c","delete":true},
		{"map":"m","path":["on"],"enable":true},{"map":"m","path":["off"],"enable":true},{"map":"m","path":["off"],"enable":false}]}`).
		want(200, `{"results":[{},{},{},{},{},{},{},{}]}`)
	const export = `{"flag":"a","enable":true}
{"map":"m","path":["on"],"enable":true}`
	d.do("GET", ns+"/export", "").want(200, export)
	const m = ns + "/maps/m"
	d.do("GET", m, "").want(200, `{"type":"map","key":"m","value":{"on":true}}`)
	d.do("GET", m+"?limit=1", "").want(200, `{"type":"map","key":"m","value":{"on":true}}`)
	d.do("GET", m+"?shape=typed", "").want(200, `{"type":"map","key":"m","conflict":false,"fields":[{"path":["on"],"type":"flag","value":true}]}`)
	d.do("GET", m+"/fields/on", "").want(200, `{"type":"flag","key":"m","path":["on"],"value":true}`)
	d.do("GET", m+"/fields/off", "").problem(kindNotFound)
	before := d.do("GET", m, "").token()
	d.do("PATCH", m, `{"on":true}`, mergeType).want(200, `{"type":"map","key":"m","value":{"on":true}}`)
	if after := d.do("GET", m, "").token(); after != before {
		t.Error("a patch that is equal to what a flag shows has changed something")
	}
	for _, scalar := range []string{"false", "1", `"true"`} {
		d.do("PATCH", m, `{"on":`+scalar+`}`, mergeType).problem(kindWrongType)
	}
	d.do("PATCH", m, `{"on":null,"x":1}`, mergeType).want(200, `{"type":"map","key":"m","value":{"x":1}}`)
	d.do("PATCH", m, `{"ops":[{"path":["x"],"enable":true}]}`).ok(200)
	d.do("GET", m+"?shape=typed", "").ok(200).contains(`"conflict":true`)
	d.do("PUT", m+"/fields/x", "2").want(204, "")
	d.do("GET", m+"?shape=typed", "").want(200, `{"type":"map","key":"m","conflict":false,"fields":[{"path":["x"],"type":"register","value":2}]}`)
	for _, body := range []string{`{"ops":[{"flag":"a","enable":1}]}`, `{"ops":[{"flag":"a","enable":true,"delete":true}]}`, `{"ops":[{"flag":"a","path":["x"],"enable":true}]}`, `{"ops":[{"flag":"a"}]}`} {
		d.do("POST", ns+"/batch", body).problem(kindBadRequest)
	}
	d.do("POST", ns+"/batch", `{"ops":[{"flag":"a","inc":1}]}`).problem(kindWrongType)
	d.do("POST", ns+"/batch", `{"ops":[{"set":"a","enable":true}]}`).problem(kindWrongType)
	d.do("POST", ns+"/batch", `{"if":[{"flag":"a","absent":true}],"ops":[]}`).problem(kindPrecondition)
}

// A disable takes away what its writer saw: an enable that it did not see stays.
func TestFlagOfTwoReplicas(t *testing.T) {
	d := newDaemon(t)
	o := other{d: d, id: 9, now: newer}
	const f = ns + "/flags/f"
	token := contextHeader + ": " + d.do("PUT", f, "").token()
	o.apply(crdt.Entry{Path: crdt.Object(crdt.Flag, "f").Leaf(crdt.Flag), Kind: crdt.KindFlag})
	d.do("DELETE", f, "", token).want(204, "")
	d.do("GET", f, "").want(200, `{"type":"flag","key":"f","value":true}`)
	d.do("POST", ns+"/batch", `{"ops":[{"flag":"f","enable":false}]}`).ok(200)
	d.do("GET", f, "").problem(kindNotFound)
}
