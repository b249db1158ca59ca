package http

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// listing is one of the lists that come in pages: how to fill it, and the items of a page.
type listing struct {
	name  string
	path  string
	put   func(d *daemon, item string)
	drop  func(d *daemon, item string)
	items func(t *testing.T, body string) []string
}

var listings = []listing{
	{"set", ns + "/sets/s",
		func(d *daemon, item string) { d.do("PUT", esc(ns+"/sets/s/members", item), "").ok(204) },
		func(d *daemon, item string) { d.do("DELETE", esc(ns+"/sets/s/members", item), "").ok(204) },
		func(t *testing.T, body string) []string {
			var s Set
			return decode(t, body, &s).Members
		}},
	{"keys", ns + "/keys",
		func(d *daemon, item string) { d.do("PUT", esc(ns+"/registers", item), "1").ok(204) },
		func(d *daemon, item string) { d.do("DELETE", esc(ns+"/registers", item), "").ok(204) },
		func(t *testing.T, body string) (items []string) {
			var k Keys
			for _, key := range decode(t, body, &k).Keys {
				items = append(items, key.Key)
			}
			return items
		}},
	{"map", ns + "/maps/m",
		func(d *daemon, item string) { d.do("PUT", esc(ns+"/maps/m/fields", item, "x"), "1").ok(204) },
		func(d *daemon, item string) { d.do("DELETE", esc(ns+"/maps/m/fields", item), "").ok(204) },
		func(t *testing.T, body string) []string {
			var m struct{ Value map[string]any }
			decode(t, body, &m)
			items := []string{}
			for k := range m.Value {
				items = append(items, k)
			}
			slices.Sort(items)
			return items
		}},
	{"set in a map", ns + "/maps/m/fields/f",
		func(d *daemon, item string) {
			d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["f"],"add":[`+quoteJSON(item)+`]}]}`).ok(200)
		},
		func(d *daemon, item string) {
			d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["f"],"remove":[`+quoteJSON(item)+`]}]}`).ok(200)
		},
		func(t *testing.T, body string) []string {
			var s Set
			return decode(t, body, &s).Members
		}},
}

func decode[T any](t *testing.T, body string, v *T) *T {
	t.Helper()
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

func quoteJSON(s string) string { return string(appendQuoted(nil, s)) }

func nextOf(t *testing.T, body string) string {
	var p struct{ Next *string }
	if decode(t, body, &p).Next == nil {
		return ""
	}
	if *p.Next == "" {
		t.Fatal("an empty next")
	}
	return *p.Next
}

// What is present throughout is returned once, in order, whatever else comes and goes.
func TestPagesUnderWrites(t *testing.T) {
	for _, l := range listings {
		t.Run(l.name, func(t *testing.T) {
			d := newDaemon(t)
			d.t = t
			var stay []string
			for i := range 40 {
				item := fmt.Sprintf("%02d/é", i)
				stay = append(stay, item)
				l.put(d, item)
			}
			for _, limit := range []int{1, 3, 7, 40, 1000} {
				var seen []string
				cursor := ""
				for n := 0; ; n++ {
					l.put(d, fmt.Sprintf("%02d+%d", (n*7)%40, limit))
					if n%2 == 1 {
						l.drop(d, fmt.Sprintf("%02d+%d", ((n-1)*7)%40, limit))
					}
					body := d.do("GET", fmt.Sprintf("%s?limit=%d%s", l.path, limit, cursor), "").ok(200).body
					items := l.items(t, body)
					if len(items) > limit {
						t.Fatalf("%d items with limit %d", len(items), limit)
					}
					seen = append(seen, items...)
					next := nextOf(t, body)
					if next == "" {
						break
					}
					cursor = "&cursor=" + next
				}
				if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
					t.Fatalf("limit %d: not sorted, or something twice: %q", limit, seen)
				}
				for _, item := range stay {
					if !slices.Contains(seen, item) {
						t.Fatalf("limit %d: %q is missing in %q", limit, item, seen)
					}
				}
			}
		})
	}
}

// Next stands there only when there is more, at every border.
func TestNextOnlyWhenThereIsMore(t *testing.T) {
	for _, l := range listings {
		d := newDaemon(t)
		for i := range 6 {
			l.put(d, fmt.Sprint(i))
			for limit := 1; limit <= 7; limit++ {
				body := d.do("GET", fmt.Sprintf("%s?limit=%d", l.path, limit), "").ok(200).body
				if more := nextOf(t, body) != ""; more != (i+1 > limit) {
					t.Errorf("%s: %d items, limit %d: next %v", l.name, i+1, limit, more)
				}
			}
		}
	}
}

func TestCursorBelongsToItsQuery(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", "/v1/ns/other", `{}`).ok(201)
	for _, n := range []string{ns, "/v1/ns/other"} {
		d.do("POST", n+"/sets/s", `{"add":["a1","a2","b1","b2"]}`).ok(200)
		d.do("POST", n+"/sets/t", `{"add":["a1","a2","b1","b2"]}`).ok(200)
		d.do("PATCH", n+"/maps/m", `{"ops":[{"path":["a","x"],"value":1},{"path":["a","y"],"value":1},{"path":["b","x"],"value":1},{"path":["b","y"],"value":1}]}`).ok(200)
	}
	queries := []string{ns + "/sets/s", ns + "/sets/s?prefix=a", ns + "/sets/t", "/v1/ns/other/sets/s", ns + "/keys", ns + "/keys?type=set",
		ns + "/keys?prefix=s", ns + "/conflicts", ns + "/maps/m", ns + "/maps/m?shape=typed", ns + "/maps/m/fields/a?shape=typed", ns + "/maps/m/fields/a", ns + "/maps/m/fields/b"}
	for i, q := range queries {
		with := func(q, extra string) string {
			if strings.Contains(q, "?") {
				return q + "&" + extra
			}
			return q + "?" + extra
		}
		body := d.do("GET", with(q, "limit=1"), "").ok(200).body
		next := nextOf(t, body)
		if next == "" && q != ns+"/keys?prefix=s" && q != ns+"/conflicts" {
			t.Fatalf("%s: %s", q, body)
		}
		if next == "" {
			continue
		}
		for j, other := range queries {
			r := d.do("GET", with(other, "limit=1000&cursor="+url.QueryEscape(next)), "")
			if i == j {
				r.ok(200)
			} else {
				r.problem(kindBadCursor)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	d := newDaemon(t)
	for i := range 11 {
		var add []string
		for j := range 100 {
			add = append(add, fmt.Sprintf("%04d", i*100+j))
		}
		d.do("POST", ns+"/sets/s", `{"add":`+string(mustJSON(t, add))+`}`).want(200, `{"added":100,"removed":0}`)
	}
	for query, want := range map[string]int{"": 100, "?limit=001": 1, "?limit=1000": 1000, "?limit=1001": 1000, "?limit=99999999999999999999999": 1000} {
		var s Set
		d.do("GET", ns+"/sets/s"+query, "").ok(200).into(&s)
		if len(s.Members) != want || s.Size != 1100 || s.Next == "" {
			t.Errorf("%s: %d members, size %d, next %q", query, len(s.Members), s.Size, s.Next)
		}
	}
	// A batch of exactly 1,000 items, and the lines of the export, which hold as many.
	var items []string
	for i := range 1000 {
		items = append(items, fmt.Sprintf("x%04d", i))
	}
	d.do("POST", ns+"/batch", `{"ops":[{"set":"t","add":`+string(mustJSON(t, items))+`}]}`).want(200, `{"results":[{"added":1000,"removed":0}]}`)
	d.do("POST", ns+"/batch", `{"ops":[`+strings.Repeat(`{"counter":"c","inc":1},`, 999)+`{"counter":"c","inc":1}]}`).ok(200)
	lines := strings.Split(d.do("GET", ns+"/export", "").ok(200).body, "\n")
	var sizes []int
	e := newDaemon(t)
	for _, line := range lines {
		var o struct{ Add []string }
		sizes = append(sizes, len(decode(t, line, &o).Add))
		e.do("POST", ns+"/batch", `{"ops":[`+line+`]}`).ok(200)
	}
	if !slices.Equal(sizes, []int{0, 1000, 100, 1000}) {
		t.Error(sizes)
	}
	if got := strings.Split(e.do("GET", ns+"/export", "").body, "\n"); !slices.Equal(got, lines) {
		t.Error("the export of what was exported differs")
	}
}

// Long members make short lines, so that each is still an op that a batch takes.
func TestExportCutsLongLines(t *testing.T) {
	d := newDaemon(t)
	for i := range 10 {
		var add []string
		for j := range 30 {
			add = append(add, fmt.Sprintf("%03d", i*30+j)+strings.Repeat("\x01", 1021))
		}
		d.do("POST", ns+"/sets/s", `{"add":`+string(mustJSON(t, add))+`}`).want(200, `{"added":30,"removed":0}`)
	}
	members := 0
	for line := range strings.SplitSeq(d.do("GET", ns+"/export", "").ok(200).body, "\n") {
		var o struct{ Add []string }
		if members += len(decode(t, line, &o).Add); len(line) > maxLineBytes {
			t.Errorf("a line of %d bytes", len(line))
		}
		d.do("POST", ns+"/batch", `{"ops":[`+line+`]}`).ok(200)
	}
	if members != 300 {
		t.Error(members)
	}
}

func TestLargeMap(t *testing.T) {
	d := newDaemon(t)
	for i := range 10 {
		var add []string
		for j := range 1000 {
			add = append(add, fmt.Sprintf("%05d", i*1000+j))
		}
		d.do("POST", ns+"/batch", `{"ops":[{"map":"m","path":["tags"],"add":`+string(mustJSON(t, add))+`}]}`).ok(200)
	}
	d.do("GET", ns+"/maps/m", "").ok(200)
	d.do("GET", ns+"/maps/m?limit=5", "").want(200, `{"type":"map","key":"m","value":{},"omitted":[{"path":["tags"],"size":10000}]}`)
	r := d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["a","b"],"value":1},{"path":["z"],"inc":1}]}`).ok(200)
	r.want(200, `{"type":"map","key":"m","value":{"a":{"b":1},"z":1},"omitted":[{"path":["tags"],"size":10000}]}`)
	if p := d.do("GET", ns+"/maps/m", "").problem(kindTooLarge); p.Limit != maxWholeEntries {
		t.Error(p)
	}
	d.do("GET", ns+"/maps/m/fields/tags?limit=1", "").ok(200)
	var s Set
	d.do("GET", ns+"/maps/m/fields/tags?prefix=0999&limit=4", "").ok(200).into(&s)
	if len(s.Members) != 4 || s.Members[0] != "09990" || s.Size != 10000 || s.Next == "" || s.Path[0] != "tags" {
		t.Error(s)
	}
	// The pages of a map cover all of it, each field once.
	next, seen := "", 0
	for {
		body := d.do("GET", ns+"/maps/m?limit=1"+next, "").ok(200).body
		seen++
		n := nextOf(t, body)
		if n == "" {
			break
		}
		next = "&cursor=" + n
	}
	if seen != 3 {
		t.Errorf("%d pages for 3 fields", seen)
	}
}

// A cursor that does not lie under its prefix is forged.
func TestForgedCursor(t *testing.T) {
	d := newDaemon(t)
	d.do("POST", ns+"/sets/s", `{"add":["a"]}`).ok(200)
	leaf := crdt.Object(crdt.Set, "s").Leaf(crdt.Set)
	p := page{query: binding(setPattern, "default", string(leaf), "")}
	d.do("GET", ns+"/sets/s?cursor="+p.next(leaf.Member("A")), "").want(200, `{"type":"set","key":"s","members":["a"],"size":1}`)
	d.do("GET", ns+"/sets/s?cursor="+p.next(crdt.Object(crdt.Set, "t").Leaf(crdt.Set).Member("a")), "").problem(kindBadCursor)
}
