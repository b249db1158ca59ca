package http

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func (r result) etag() string {
	r.t.Helper()
	tag := r.header.Get("ETag")
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		r.t.Fatalf("%d %s with the ETag %q", r.status, r.body, tag)
	}
	return tag
}

func (r result) noTag() result {
	r.t.Helper()
	if tag, ok := r.header["Etag"]; ok {
		r.t.Fatalf("%d %s with the ETag %q", r.status, r.body, tag)
	}
	return r
}

// object is one of each type: how it is made, and every write that there is of it.
type object struct {
	path   string
	make   [3]string
	writes [][3]string
}

var objects = []object{
	{ns + "/counters/o", [3]string{"POST", "", `{"inc":1}`}, [][3]string{{"POST", "", `{"inc":2}`}, {"POST", "", `{"reset":true}`}, {"DELETE", "", ""}}},
	{ns + "/sets/o", [3]string{"POST", "", `{"add":["a","b"]}`}, [][3]string{{"PUT", "/members/c", ""}, {"PUT", "/members/a", ""}, {"POST", "", `{"add":["d"],"remove":["a"]}`}, {"DELETE", "/members/b", ""}, {"DELETE", "", ""}}},
	{ns + "/registers/o", [3]string{"PUT", "", `1`}, [][3]string{{"PUT", "", `1`}, {"DELETE", "", ""}}},
	{ns + "/maps/o", [3]string{"PATCH", "", `{"ops":[{"path":["a"],"value":1},{"path":["b"],"value":1}]}`},
		[][3]string{{"PUT", "/fields/c/d", `1`}, {"PATCH", "", `{"ops":[{"path":["e"],"inc":1}]}`}, {"PATCH", "", `{"f":1}`}, {"DELETE", "/fields/a", ""}, {"DELETE", "", ""}}},
}

// write makes a merge patch of a PATCH without ops.
func (d *daemon) write(o object, w [3]string, headers ...string) result {
	d.t.Helper()
	if w[0] == "PATCH" && !strings.Contains(w[2], "ops") {
		headers = append(headers, mergeType)
	}
	return d.do(w[0], o.path+w[1], w[2], headers...)
}

// An object's ETag stays while nothing changes, whatever happens to others, and every change is a
// new one; every write of it and of its parts honours conditions.
func TestConditions(t *testing.T) {
	for _, o := range objects {
		t.Run(o.path, func(t *testing.T) {
			d := newDaemon(t)
			d.do("GET", o.path, "").noTag().problem(kindNotFound)
			d.do("GET", o.path, "", "If-None-Match: *").problem(kindNotFound)
			for _, w := range o.writes {
				d.write(o, w, "If-Match: *").problem(kindPrecondition)
				d.write(o, w, `If-Match: "x"`).problem(kindPrecondition)
			}
			d.write(o, o.make, "If-None-Match: *")
			seen := map[string]bool{}
			tag := d.do("GET", o.path, "").ok(200).etag()
			for i, w := range o.writes {
				d.do("PUT", ns+"/registers/another", fmt.Sprint(i)).ok(204)
				state := d.do("GET", o.path, "").ok(200)
				if state.etag() != tag || d.do("HEAD", o.path, "").etag() != tag || seen[tag] {
					t.Fatalf("%v: the ETag %s, after %v", w, state.etag(), seen)
				}
				seen[tag] = true
				for _, refused := range []string{`If-Match: "x"`, "If-Match: W/" + tag, "If-None-Match: *", "If-None-Match: " + tag, "If-None-Match: W/" + tag, `If-Match: "x", "y"`} {
					d.write(o, w, refused).problem(kindPrecondition)
				}
				d.write(o, w, "If-Match: "+tag, "If-None-Match: *").problem(kindPrecondition)
				d.do("GET", o.path, "").want(200, state.body)
				r := d.write(o, w, `If-Match: "x" , ,`+tag, `If-None-Match: "x","y"`)
				if r.status >= 300 {
					t.Fatalf("%v: %d %s", w, r.status, r.body)
				}
				if d.do("GET", o.path, "").status == 404 {
					if i != len(o.writes)-1 {
						d.write(o, o.make, "If-None-Match: *")
					}
					if i == len(o.writes)-1 {
						return
					}
				}
				d.write(o, w, "If-Match: "+tag).problem(kindPrecondition)
				tag = d.do("GET", o.path, "").ok(200).etag()
			}
		})
	}
}

// 304 tells the token, and nothing of the object but its ETag.
func TestNotModified(t *testing.T) {
	d := newDaemon(t)
	for _, o := range objects {
		d.write(o, o.make)
		get := d.do("GET", o.path, "").ok(200)
		for _, h := range []string{get.etag(), "W/" + get.etag(), "*", ` "x" ,, ` + get.etag()} {
			r := d.do("GET", o.path, "", "If-None-Match: "+h, contextHeader+": "+get.token(), "Prefer: wait=1").want(304, "")
			if r.etag() != get.etag() || r.token() != get.token() || r.header.Get("Content-Type") != "" || r.header.Get("Preference-Applied") != "wait=1" {
				t.Errorf("%s: %v", o.path, r.header)
			}
			d.do("HEAD", o.path, "", "If-None-Match: "+h).want(304, "")
		}
		d.do("GET", o.path, "", `If-None-Match: "x"`, "If-Match: "+get.etag()).want(200, get.body)
		d.do("GET", o.path, "", `If-Match: "x"`).problem(kindPrecondition)
		d.do("GET", o.path, "", "If-Match: *").ok(200)
	}
}

// Only whole objects have an ETag; conditions on anything else, and malformed ones, are refused.
func TestConditionsThatMeanNothing(t *testing.T) {
	d := newDaemon(t)
	for _, o := range objects {
		d.write(o, o.make)
	}
	for _, path := range []string{"/sets/o?limit=1", "/sets/o?prefix=a", "/maps/o?limit=1", "/maps/o?shape=typed", "/maps/o/fields/a", "/sets/o/members/a", "/keys", "/conflicts", "/export", "/sync"} {
		if r := d.do("GET", ns+path, "").noTag(); r.status >= 300 {
			t.Fatal(r.body)
		}
		d.do("GET", ns+path, "", "If-Match: *").problem(kindBadRequest)
		d.do("GET", ns+path, "", `If-None-Match: "x"`).problem(kindBadRequest)
	}
	d.do("POST", ns+"/batch", `{"ops":[]}`, "If-Match: *").problem(kindBadRequest)
	d.do("PUT", "/v1/ns/n", `{}`, "If-None-Match: *").problem(kindBadRequest)
	for _, h := range []string{"x", `"x`, `x"`, `"x" "y"`, `"x"y`, `*, "x"`, `"x", *`, ",", `w/"x"`, `W/`, "\"a b\"", "**"} {
		d.do("GET", ns+"/registers/o", "", "If-None-Match: "+h).problem(kindBadRequest)
		d.do("PUT", ns+"/registers/o", "1", "If-Match: "+h).problem(kindBadRequest)
	}
	for _, h := range []string{"If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		d.do("GET", ns+"/registers/o", "", h+": Sat, 29 Oct 1994 19:43:31 GMT").problem(kindBadRequest)
		d.do("PUT", ns+"/registers/o", "1", h+": Sat, 29 Oct 1994 19:43:31 GMT").problem(kindBadRequest)
	}
}

// The reply to a write that shows the object has the ETag of what it shows.
func TestTagOfAWrite(t *testing.T) {
	d := newDaemon(t)
	const c, m = ns + "/counters/c", ns + "/maps/m"
	for i := range 3 {
		r := d.do("POST", c, `{"inc":1}`).ok(200)
		if got := d.do("GET", c, "").etag(); r.etag() != got {
			t.Errorf("step %d: %s, then %s", i, r.etag(), got)
		}
		r = d.do("POST", c, `{"inc":0}`).ok(200)
		if got := d.do("GET", c, "").etag(); r.etag() != got {
			t.Errorf("step %d: %s, then %s", i, r.etag(), got)
		}
		d.do("POST", c, `{"reset":true}`).noTag().ok(200)
		d.do("POST", c, `{"inc":0}`).noTag().ok(200)
		r = d.do("PATCH", m, `{"ops":[{"path":["a"],"inc":1}]}`).ok(200)
		if got := d.do("GET", m, "").etag(); r.etag() != got {
			t.Errorf("step %d: %s, then %s", i, r.etag(), got)
		}
		d.do("PATCH", m, `{"a":null}`, mergeType).noTag().want(200, `{"type":"map","key":"m","value":{}}`)
	}
	// Another replica has reset what this one added: what is left over goes at the end of a
	// commit, and a tag that is told is the one that stays.
	o := other{d: d, id: 9}
	leaf := crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)
	for range 5 {
		d.do("POST", c, `{"inc":1}`).ok(200)
		record := crdt.ResetRecord{}
		live, err := d.view().Entries(leaf)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range live {
			if e.Kind == crdt.KindCell {
				cell, err := crdt.DecodeCell(e.Value)
				if err != nil {
					t.Fatal(err)
				}
				record = append(record, crdt.Component{Replica: e.Dot.Replica, Lineage: cell.Lineage, P: cell.P, N: cell.N})
			}
		}
		o.apply(crdt.Entry{Path: leaf, Kind: crdt.KindReset, Value: record.Encode()})
		r := d.do("POST", c, `{"inc":1}`).ok(200)
		if got := d.do("GET", c, "").etag(); r.header.Get("ETag") != "" && r.etag() != got {
			t.Errorf("%s, then %s", r.etag(), got)
		}
	}
	for _, w := range [][3]string{{"PUT", ns + "/registers/r", "1"}, {"PUT", ns + "/maps/m/fields/f", "1"}, {"PUT", ns + "/sets/s/members/x", ""}, {"POST", ns + "/sets/s", `{"add":["x"]}`}} {
		d.do(w[0], w[1], w[2]).noTag()
	}
}

func (d *daemon) view() View {
	d.t.Helper()
	v, err := Adapt(d.store).Namespace("default")
	if err != nil {
		d.t.Fatal(err)
	}
	view, err := v.View(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(view.Close)
	return view
}

// Many that read, add one, and write if nobody else has: none of their additions is lost.
func TestCompareAndSwap(t *testing.T) {
	d := newDaemon(t)
	const r, writers, each = ns + "/registers/r", 8, 12
	d.do("PUT", r, `0`, "If-None-Match: *").ok(204)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				got := d.do("GET", r, "")
				var reg struct{ Value int }
				if got.status != 200 || json.Unmarshal([]byte(got.body), &reg) != nil {
					t.Error(got.body)
					return
				}
				switch w := d.do("PUT", r, strconv.Itoa(reg.Value+1), "If-Match: "+got.header.Get("ETag")); w.status {
				case 204:
					done++
				case 412:
				default:
					t.Error(w.body)
					return
				}
			}
		})
	}
	wg.Wait()
	d.do("GET", r, "").want(200, fmt.Sprintf(`{"type":"register","key":"r","value":%d,"conflict":false}`, writers*each))
}

// What comes from other replicas changes the tag; a tag of one daemon is none of another.
func TestTagsOfTwoReplicas(t *testing.T) {
	a, b := newDaemon(t), newDaemon(t)
	const r = ns + "/registers/r"
	b.do("PUT", ns+"/registers/x", `1`).ok(204)
	a.do("PUT", r, `1`).ok(204)
	exchange(t, a, b)
	tag := a.do("GET", r, "").etag()
	if b.do("GET", r, "").etag() == tag {
		t.Error("the same ETag at two daemons")
	}
	b.do("PUT", r, `2`, "If-Match: "+tag).problem(kindPrecondition)
	b.do("PUT", r, `2`, "If-Match: *").ok(204)
	a.do("GET", r, "", "If-None-Match: "+tag).want(304, "")
	exchange(t, b, a)
	a.do("GET", r, "", "If-None-Match: "+tag).want(200, `{"type":"register","key":"r","value":2,"conflict":false}`)
	a.do("PUT", r, `3`, "If-Match: "+tag).problem(kindPrecondition)
}

// A delete too large for one commit has a tag of its own, and honours conditions.
func TestTagsOfLargeDeletes(t *testing.T) {
	d := newDaemon(t)
	const s = ns + "/sets/s"
	var token string
	for i := range 6 {
		var add []string
		for j := range 1000 {
			add = append(add, fmt.Sprint(i*1000+j))
		}
		token = d.do("POST", s, `{"add":`+encoded(add)+`}`).ok(200).token()
	}
	d.do("PUT", s+"/members/late", "").ok(204)
	tag := d.do("GET", s, "").etag()
	d.do("DELETE", s, "", `If-Match: "x"`, contextHeader+": "+token).problem(kindPrecondition)
	d.do("DELETE", s, "", "If-Match: "+tag, contextHeader+": "+token).ok(204)
	got := d.do("GET", s, "").want(200, `{"type":"set","key":"s","members":["late"],"size":1}`)
	if got.etag() == tag {
		t.Error("the same ETag")
	}
	d.do("DELETE", s, "", "If-Match: "+tag).problem(kindPrecondition)
	d.do("DELETE", s, "", "If-Match: "+got.etag()).ok(204)
}

func TestBatchConditions(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", ns+"/registers/r", `1`).ok(204)
	d.do("PUT", ns+"/sets/s/members/x", "").ok(204)
	tag := d.do("GET", ns+"/registers/r", "").etag()
	batch := func(ifs string) result {
		return d.do("POST", ns+"/batch", `{"if":[`+ifs+`],"ops":[{"counter":"c","inc":1}]}`)
	}
	quoted, bare := quoteJSON(tag), quoteJSON(strings.Trim(tag, `"`))
	for _, ifs := range []string{"", `{"register":"r","etag":` + quoted + `}`, `{"register":"r","etag":` + bare + `}`, `{"register":"r","etag":"*"}`, `{"set":"t","absent":true}`,
		`{"register":"r","etag":` + quoted + `},{"set":"s","etag":"*"},{"set":"r","absent":true},{"map":"m","absent":true},{"counter":"d","absent":true}`} {
		batch(ifs).ok(200)
	}
	d.do("GET", ns+"/counters/c", "").want(200, `{"type":"counter","key":"c","value":6}`)
	for _, ifs := range []string{`{"register":"r","etag":"x"}`, `{"register":"r","etag":` + quoteJSON("W/"+tag) + `}`, `{"register":"r","absent":true}`, `{"set":"t","etag":"*"}`,
		`{"set":"s","etag":` + quoted + `}`, `{"register":"r","etag":` + quoted + `},{"set":"s","absent":true}`} {
		batch(ifs).problem(kindPrecondition)
	}
	for _, ifs := range []string{`{}`, `1`, `{"register":"r"}`, `{"etag":"x"}`, `{"register":"r","etag":""}`, `{"register":"r","etag":1}`, `{"register":"r","absent":false}`, `{"register":"","absent":true}`,
		`{"register":"r","etag":"x","absent":true}`, `{"register":"r","set":"s","absent":true}`, `{"register":"r","etag":"\"a\",\"b\""}`, `{"register":"r","etag":"a b"}`,
		`{"register":"r","etag":"x","path":["a"]}`, `{"map":"m","path":["a"],"absent":true}`} {
		batch(ifs).problem(kindBadRequest)
	}
	many := strings.Repeat(`{"set":"t","absent":true},`, 999)
	batch(strings.TrimSuffix(many, ",")).ok(200)
	batch(many + `{"set":"t","absent":true}`).problem(kindTooLarge)
	d.do("GET", ns+"/counters/c", "").want(200, `{"type":"counter","key":"c","value":7}`)
	// The condition is on what was before the batch.
	d.do("POST", ns+"/batch", `{"ops":[{"set":"t","add":["x"]}],"if":[{"set":"t","absent":true}]}`).ok(200)
	d.do("POST", ns+"/batch", `{"ops":[{"set":"t","add":["y"]}],"if":[{"set":"t","absent":true}]}`).problem(kindPrecondition)
	d.do("PATCH", ns+"/maps/m", `{"ops":[],"if":[]}`).problem(kindBadRequest)
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{"*", `"a"`, `W/"a", "b"`, `,"",`, `"a" "b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseCondition(s)
		if !ok || c.any {
			return
		}
		var tags []string
		for _, tag := range c.tags {
			if quoted := quoteTag(tag.opaque); tag.weak {
				tags = append(tags, "W/"+quoted)
			} else {
				tags = append(tags, quoted)
			}
		}
		again, ok := parseCondition(strings.Join(tags, ", "))
		if !ok || fmt.Sprint(again) != fmt.Sprint(c) || len(tags) == 0 {
			t.Fatalf("%q: %+v, then %+v", s, c, again)
		}
	})
}
