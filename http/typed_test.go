package http

import (
	"fmt"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func TestTypedShape(t *testing.T) {
	d := newDaemon(t)
	const m = ns + "/maps/m"
	d.do("GET", m+"?shape=typed", "").problem(kindNotFound)
	d.do("PATCH", m, `{"ops":[{"path":["name"],"value":"Ada"},{"path":["visits"],"inc":3},{"path":["tags"],"add":["x","y"]},
		{"path":["address","city"],"value":{"a":1.0}}]}`).ok(200)
	const fields = `{"path":["address","city"],"type":"register","value":{"a":1.0}},{"path":["name"],"type":"register","value":"Ada"},` +
		`{"path":["tags"],"type":"set","members":["x","y"],"size":2},{"path":["visits"],"type":"counter","value":3}`
	d.do("GET", m+"?shape=typed", "").want(200, `{"type":"map","key":"m","conflict":false,"fields":[`+fields+`]}`).token()
	d.do("GET", m+"?shape=plain", "").want(200, d.do("GET", m, "").body)
	d.do("GET", m+"/fields/address?shape=typed", "").
		want(200, `{"type":"map","key":"m","path":["address"],"conflict":false,"fields":[{"path":["address","city"],"type":"register","value":{"a":1.0}}]}`)
	d.do("GET", m+"/fields/visits?shape=typed", "").
		want(200, `{"type":"counter","key":"m","path":["visits"],"conflict":false,"fields":[{"path":["visits"],"type":"counter","value":3}]}`)
	d.do("GET", m+"/fields/none?shape=typed", "").problem(kindNotFound)
	for _, q := range []string{"?shape=", "?shape=raw", "?shape=typed&limit=0"} {
		d.do("GET", m+q, "").problem(kindBadRequest)
		d.do("GET", m+"/fields/tags"+q, "").problem(kindBadRequest)
	}
	d.do("GET", m+"/fields/tags?shape=typed&prefix=x", "").problem(kindBadRequest)
	d.do("GET", ns+"/sets/s?shape=typed", "").problem(kindBadRequest)
}

// conflicted fills a map with every kind of conflict.
func conflicted(d *daemon) {
	d.t.Helper()
	o := other{d: d, id: 9}
	m := crdt.Object(crdt.Map, "m")
	d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["a"],"value":1},{"path":["b"],"value":1},{"path":["c"],"value":1},{"path":["d"],"inc":1},{"path":["d"],"add":["x"]},
		{"path":["e"],"value":1},{"path":["f","g"],"value":1}]}`).ok(200)
	o.apply(
		value(m.Field("b").Leaf(crdt.Register), "2", newer),
		value(m.Fields("c", "x").Leaf(crdt.Register), "2", older), value(m.Fields("c", "x", "y").Leaf(crdt.Register), "3", older),
		value(m.Field("d").Leaf(crdt.Register), "4", newer),
		value(m.Fields("e", "x").Leaf(crdt.Register), "2", newer),
	)
}

func TestTypedShapeOfConflicts(t *testing.T) {
	d := newDaemon(t)
	conflicted(d)
	want := []string{
		`{"path":["a"],"type":"register","value":1}`,
		`{"path":["b"],"type":"register","value":2,"values":[2,1],"conflict":true}`,
		`{"path":["c"],"type":"register","value":1,"conflict":true,"others":[{"type":"map"}]}`,
		`{"path":["c","x"],"type":"map","conflict":true,"others":[{"type":"register","value":2}],"hidden":true}`,
		`{"path":["c","x","y"],"type":"register","value":3,"hidden":true}`,
		`{"path":["d"],"type":"register","value":4,"conflict":true,"others":[{"type":"set","members":["x"],"size":1},{"type":"counter","value":1}]}`,
		`{"path":["e"],"type":"map","conflict":true,"others":[{"type":"register","value":1}]}`,
		`{"path":["e","x"],"type":"register","value":2}`,
		`{"path":["f","g"],"type":"register","value":1}`,
	}
	whole := d.do("GET", ns+"/maps/m?shape=typed", "").ok(200).body
	got := whole
	for _, f := range want {
		if !strings.Contains(got, f) {
			t.Errorf("%s is missing in %s", f, whole)
		}
		got = strings.Replace(got, f, "", 1)
	}
	if strings.Trim(got, ",") != `{"type":"map","key":"m","conflict":true,"fields":[,,,,,,,,]}` {
		t.Errorf("left over: %s", got)
	}
	// Every size of pages gives the same fields, hidden ones included.
	for limit := 1; limit < 11; limit++ {
		var fields []string
		for cursor := ""; ; {
			body := d.do("GET", fmt.Sprintf("%s/maps/m?shape=typed&limit=%d%s", ns, limit, cursor), "").ok(200).body
			_, list, _ := strings.Cut(body, `"fields":[`)
			next := nextOf(t, body)
			list = strings.TrimSuffix(strings.TrimSuffix(list, `,"next":"`+next+`"}`), "}")
			fields = append(fields, strings.TrimSuffix(list, "]"))
			if next == "" {
				break
			}
			cursor = "&cursor=" + next
		}
		if got := strings.Join(fields, ","); got != strings.Join(want, ",") {
			t.Errorf("pages of %d: %s", limit, got)
		}
	}
	// Of a field that is hidden the plain shape shows what is asked for, and so does this one.
	d.do("GET", ns+"/maps/m/fields/c?shape=typed", "").want(200, `{"type":"register","key":"m","path":["c"],"conflict":true,"fields":[`+strings.Join(want[2:5], ",")+`]}`)
	next := nextOf(t, d.do("GET", ns+"/maps/m/fields/c?shape=typed&limit=1", "").ok(200).body)
	d.do("GET", ns+"/maps/m/fields/c?shape=typed&cursor="+next, "").
		want(200, `{"type":"register","key":"m","path":["c"],"conflict":true,"fields":[`+strings.Join(want[3:5], ",")+`]}`)
	d.do("GET", ns+"/maps/m/fields/c/x/y?shape=typed", "").
		want(200, `{"type":"register","key":"m","path":["c","x","y"],"conflict":false,"fields":[{"path":["c","x","y"],"type":"register","value":3}]}`)
}

// Large sets, and maps that are too large to be shown whole.
func TestTypedShapeLimits(t *testing.T) {
	d := newDaemon(t)
	for i := range 11 {
		var ops []string
		for j := range 1000 {
			ops = append(ops, fmt.Sprintf(`"%05d"`, i*1000+j))
		}
		d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["s"],"add":[`+strings.Join(ops, ",")+`]}]}`).ok(200)
		if i == 5 {
			r := d.do("GET", ns+"/maps/m?shape=typed", "").ok(200)
			if strings.Count(r.body, `"0`) != 6000 {
				t.Errorf("%d bytes", len(r.body))
			}
		}
	}
	d.do("PUT", ns+"/maps/m/fields/t", "1").ok(204)
	d.do("GET", ns+"/maps/m?shape=typed", "").problem(kindTooLarge)
	d.do("GET", ns+"/maps/m/fields/s?shape=typed", "").problem(kindTooLarge)
	d.do("GET", ns+"/maps/m?shape=typed&limit=9", "").
		want(200, `{"type":"map","key":"m","conflict":false,"fields":[{"path":["s"],"type":"set","size":11000},{"path":["t"],"type":"register","value":1}]}`)
}
