package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// item is the entry of an item as another replica writes it.
func item(key string, id crdt.Position, value string) crdt.Entry {
	return crdt.Entry{Path: crdt.Object(crdt.List, key).Leaf(crdt.List).Member(string(id)), Kind: crdt.KindElement,
		Value: crdt.ElementValue{JSON: []byte(value)}.Encode()}
}

// insert posts an op and returns the ids of what it inserted.
func (d *daemon) insert(path, op string) []string {
	d.t.Helper()
	var change ListChange
	d.do("POST", path, op).ok(200).into(&change)
	return change.Inserted
}

// values returns the values of a list, or of a field that is one, page by page.
func (d *daemon) values(path, limit string) string {
	d.t.Helper()
	var values []string
	for next := ""; ; {
		var l List
		d.do("GET", path+"?limit="+limit+next, "").ok(200).into(&l)
		for _, i := range l.Items {
			values = append(values, string(i.Value))
		}
		if l.Next == "" {
			if l.Size != uint64(len(values)) {
				d.t.Fatalf("%d items, size %d", len(values), l.Size)
			}
			return strings.Join(values, " ")
		}
		next = "&cursor=" + l.Next
	}
}

func TestList(t *testing.T) {
	d := newDaemon(t)
	const l = ns + "/lists/l"
	d.do("GET", l, "").problem(kindNotFound)
	d.do("DELETE", l, "").want(204, "")
	d.do("POST", l, `{"insert":[]}`).want(200, `{}`)
	d.do("GET", l, "").problem(kindNotFound)
	ids := d.insert(l, `{"insert":["b",{"x":1.0}]}`)
	got := d.do("GET", l, "").want(200, fmt.Sprintf(`{"type":"list","key":"l","items":[{"id":%q,"value":"b"},{"id":%q,"value":{"x":1.0}}],"size":2}`, ids[0], ids[1]))
	tag := got.header.Get("ETag")
	d.do("GET", l, "", "If-None-Match: "+tag).want(304, "")
	d.insert(l, `{"insert":["a"],"at":"start"}`)
	d.insert(l, `{"insert":["d"],"at":"end"}`)
	d.insert(l, fmt.Sprintf(`{"insert":["c"],"after":%q}`, ids[0]))
	d.insert(l, fmt.Sprintf(`{"before":%q,"insert":[0]}`, ids[0]))
	for _, limit := range []string{"1", "2", "100"} {
		if got := d.values(l, limit); got != `"a" 0 "b" "c" {"x":1.0} "d"` {
			t.Fatal(got)
		}
	}
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"at":"start"}`, ids[1])).want(200, `{}`)
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"value":"B"}`, ids[0])).want(200, `{}`)
	for _, limit := range []string{"1", "2", "100"} {
		if got := d.values(l, limit); got != `{"x":1.0} "a" 0 "B" "c" "d"` {
			t.Fatal(got)
		}
	}
	item := l + "/items/" + ids[1]
	d.do("GET", item, "").want(200, fmt.Sprintf(`{"type":"list","key":"l","id":%q,"value":{"x":1.0}}`, ids[1]))
	d.do("PUT", item, `[1, 2]`).want(204, "")
	d.do("GET", item, "").want(200, fmt.Sprintf(`{"type":"list","key":"l","id":%q,"value":[1,2]}`, ids[1]))
	d.do("PUT", item, `1`, "If-Match: "+tag).problem(kindPrecondition)
	d.do("DELETE", item, "").want(204, "")
	d.do("DELETE", item, "").want(204, "")
	for _, r := range []result{d.do("GET", item, ""), d.do("PUT", item, "1"), d.do("POST", l, fmt.Sprintf(`{"item":%q,"at":"end"}`, ids[1]))} {
		r.problem(kindNotFound)
		r.token()
	}
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"delete":true}`, ids[1])).want(200, `{}`)
	d.insert(l, fmt.Sprintf(`{"insert":["e"],"after":%q}`, ids[1])) // the place is still there
	if got := d.values(l, "100"); got != `"a" 0 "B" "c" "e" "d"` {
		t.Fatal(got)
	}
	d.do("GET", ns+"/keys?type=list", "").want(200, `{"keys":[{"type":"list","key":"l"}]}`)
	d.do("DELETE", l, "").want(204, "")
	d.do("GET", l, "").problem(kindNotFound)
	if _, entries := d.namespace().Counts(); entries != 0 {
		t.Errorf("%d entries are left", entries)
	}
}

func TestListsRefuse(t *testing.T) {
	d := newDaemon(t)
	const l = ns + "/lists/l"
	id := d.insert(l, `{"insert":[1]}`)[0]
	many := "[" + strings.Repeat("1,", 1000) + "1]"
	for _, c := range []struct {
		kind kind
		body string
	}{
		{kindBadRequest, `{}`}, {kindBadRequest, `{"insert":1}`}, {kindBadRequest, `{"insert":[1],"delete":true}`}, {kindBadRequest, `{"at":"start"}`},
		{kindBadRequest, `{"insert":[1],"at":"middle"}`}, {kindBadRequest, `{"insert":[1],"at":"end","after":"ID"}`}, {kindBadRequest, `{"insert":[1],"item":"ID"}`},
		{kindBadRequest, `{"insert":[1],"after":"x"}`}, {kindBadRequest, `{"item":"ID"}`}, {kindBadRequest, `{"item":"x","value":1}`}, {kindBadRequest, `{"item":"ID","value":1,"at":"end"}`},
		{kindBadRequest, `{"item":"ID","inc":1}`}, {kindBadRequest, `{"item":"ID","delete":true,"at":"end"}`}, {kindWrongType, `{"value":1}`}, {kindWrongType, `{"add":["x"]}`},
		{kindBadRequest, `{"delete":true}`}, {kindTooLarge, `{"insert":` + many + `}`}, {kindTooLarge, `{"insert":["` + strings.Repeat("x", 256<<10) + `"]}`},
	} {
		d.do("POST", l, strings.ReplaceAll(c.body, "ID", id)).problem(c.kind)
	}
	d.do("GET", l+"/items/x", "").problem(kindBadRequest)
	d.do("PUT", l+"/items/"+id+"x", "1").problem(kindBadRequest)
	d.do("POST", ns+"/batch", `{"ops":[{"register":"r","item":"`+id+`","value":1}]}`).problem(kindWrongType)
	d.do("POST", ns+"/batch", `{"ops":[{"set":"r","insert":[1]}]}`).problem(kindWrongType)
	d.do("GET", l+"?prefix=a", "").problem(kindBadRequest)
	// In a batch, all of it fails.
	p := d.do("POST", ns+"/batch", fmt.Sprintf(`{"ops":[{"list":"l","insert":[2]},{"list":"m","item":%q,"value":1}]}`, id)).problem(kindNotFound)
	if !strings.HasPrefix(p.Detail, "op 2: ") {
		t.Error(p.Detail)
	}
	if got := d.values(l, "10"); got != "1" {
		t.Error(got)
	}
}

func TestNoPositionIsLeft(t *testing.T) {
	d := newDaemon(t)
	const l = ns + "/lists/l"
	ids := d.insert(l, `{"insert":[1,2]}`)
	left, right := ids[0], ids[1]
	for i := range 2000 {
		place := fmt.Sprintf(`"after":%q`, left)
		if i%2 == 1 {
			place = fmt.Sprintf(`"before":%q`, right)
		}
		r := d.do("POST", l, `{"insert":[0],`+place+`}`)
		if r.status != 200 {
			if p := r.problem(kindTooLarge); p.Limit != crdt.MaxNameBytes || i < 100 {
				t.Errorf("after %d: %+v", i, p)
			}
			return
		}
		var change ListChange
		if r.into(&change); i%2 == 0 {
			right = change.Inserted[0]
		} else {
			left = change.Inserted[0]
		}
	}
	t.Error("there is always one more")
}

func TestListsInMaps(t *testing.T) {
	d := newDaemon(t)
	const m = ns + "/maps/m"
	d.do("PATCH", m, `{"ops":[{"path":["a"],"value":1},{"path":["l"],"insert":["x",2]},{"path":["l"],"insert":[null],"at":"start"},{"path":["z"],"add":["s"]}]}`).
		want(200, `{"type":"map","key":"m","value":{"a":1,"l":[null,"x",2],"z":["s"]}}`)
	if got := d.values(m+"/fields/l", "2"); got != `null "x" 2` {
		t.Error(got)
	}
	d.do("GET", m+"?limit=2", "").ok(200).contains(`{"a":1,"l":[null,"x",2]}`)
	var l List
	d.do("GET", m+"/fields/l", "").ok(200).into(&l)
	d.do("GET", m+"?shape=typed", "").ok(200).contains(fmt.Sprintf(`{"path":["l"],"type":"list","items":[{"id":%q,"value":null},`, l.Items[0].ID))
	d.do("PATCH", m, fmt.Sprintf(`{"ops":[{"path":["l"],"item":%q,"at":"end"},{"path":["l"],"item":%q,"value":"y"},{"path":["l"],"item":%q,"delete":true}]}`,
		l.Items[0].ID, l.Items[1].ID, l.Items[2].ID)).ok(200).contains(`"l":["y",null]`)
	before := d.do("GET", m, "").token()
	d.do("PATCH", m, `{"l":["y",null]}`, mergeType).ok(200)
	if after := d.do("GET", m, "").token(); after != before {
		t.Error("a patch that is equal to what a list shows has changed something")
	}
	d.do("PATCH", m, `{"l":["y"]}`, mergeType).problem(kindWrongType)
	d.do("PATCH", m, `{"l":[null,"y"]}`, mergeType).problem(kindWrongType)
	d.do("GET", ns+"/export", "").want(200, `{"map":"m","path":["a"],"value":1}
{"map":"m","path":["l"],"insert":["y",null]}
{"map":"m","path":["z"],"add":["s"]}`)
	d.do("PATCH", m, `{"l":"none"}`, mergeType).ok(200).contains(`"l":"none"`)
	d.do("GET", m+"?shape=typed", "").ok(200).contains(`{"path":["l"],"type":"register","value":"none"}`)
	d.do("DELETE", m, "").want(204, "")
	if _, entries := d.namespace().Counts(); entries != 0 {
		t.Errorf("%d entries are left", entries)
	}
}

// What a list exports, a list of another daemon exports again, in lines that are bounded.
func TestListExport(t *testing.T) {
	d, copied := newDaemon(t), newDaemon(t)
	values := make([]string, 1000)
	for i := range values {
		values[i] = fmt.Sprintf("%d", i)
	}
	const l = ns + "/lists/l"
	d.insert(l, `{"insert":[`+strings.Join(values, ",")+`]}`)
	for range 3 {
		d.insert(l, `{"insert":["`+strings.Repeat("x", 200_000)+`"]}`)
	}
	ids := d.insert(l, `{"insert":["first","second"]}`)
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"at":"start"}`, ids[1])).ok(200)
	export := d.do("GET", ns+"/export", "").ok(200).body
	lines := strings.Split(export, "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], `{"list":"l","insert":["second",0,1,`) {
		t.Fatalf("%d lines, the first is %.60s", len(lines), lines[0])
	}
	for _, line := range lines {
		copied.do("POST", ns+"/batch", `{"ops":[`+line+`]}`).ok(200)
	}
	if again := copied.do("GET", ns+"/export", "").ok(200).body; again != export {
		t.Error("the copy exports something else")
	}
}

func TestListConflicts(t *testing.T) {
	a, b := newDaemon(t), newDaemon(t)
	const l = ns + "/lists/l"
	ids := a.insert(l, `{"insert":[1,2,3]}`)
	a.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["l"],"insert":[1]},{"path":["k"],"insert":[1,2]}]}`).ok(200)
	var f List
	a.do("GET", ns+"/maps/m/fields/l", "").ok(200).into(&f)
	exchange(t, a, b)
	b.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
	for i, d := range []*daemon{a, b} {
		d.do("PUT", l+"/items/"+ids[1], fmt.Sprintf(`"%d"`, i)).ok(204)
		d.do("PATCH", ns+"/maps/m", fmt.Sprintf(`{"ops":[{"path":["l"],"item":%q,"value":"%d"}]}`, f.Items[0].ID, i)).ok(200)
	}
	b.do("POST", l, fmt.Sprintf(`{"item":%q,"at":"start"}`, ids[2])).ok(200) // a move is no conflict
	exchange(t, a, b)
	exchange(t, b, a)
	want := fmt.Sprintf(`{"conflicts":[{"type":"list","key":"l","items":[%q]},{"type":"map","key":"m","paths":[["l"]]}]}`, ids[1])
	for _, d := range []*daemon{a, b} {
		d.do("GET", ns+"/conflicts", "").want(200, want)
		var i ListItem
		d.do("GET", l+"/items/"+ids[1], "").ok(200).into(&i)
		if !i.Conflict || len(i.Values) != 2 || string(i.Value) != string(i.Values[0]) {
			t.Errorf("%+v", i)
		}
		d.do("GET", ns+"/maps/m?shape=typed", "").ok(200).contains(`"conflict":true,"fields"`)
		d.do("GET", ns+"/changes?since=start&type=list", "").ok(200).contains(`"event":"conflict"`)
	}
	// Pages that end within the list: the conflict is found, once.
	first := a.do("GET", ns+"/conflicts?limit=1", "").ok(200).contains(ids[1])
	var page Conflicts
	first.into(&page)
	a.do("GET", ns+"/conflicts?cursor="+page.Next, "").want(200, `{"conflicts":[{"type":"map","key":"m","paths":[["l"]]}]}`)
	a.do("PUT", l+"/items/"+ids[1], `2`).ok(204)
	a.do("DELETE", ns+"/maps/m/fields/l", "").ok(204)
	a.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
}

// A write with a token takes the place of what it covers.
func TestListWithToken(t *testing.T) {
	d := newDaemon(t)
	o := other{d: d, id: 9, now: newer}
	const l = ns + "/lists/l"
	id := d.insert(l, `{"insert":[1]}`)[0]
	token := contextHeader + ": " + d.do("GET", l, "").token()
	o.apply(item("l", crdt.Position(id), "2"))
	d.do("DELETE", l+"/items/"+id, "", token).ok(204)
	if got := d.values(l, "10"); got != "2" {
		t.Error(got)
	}
	d.do("PUT", l+"/items/"+id, "3", token).ok(204)
	d.do("GET", l+"/items/"+id, "").ok(200).contains(`"conflict":true,"values":[`)
	d.do("DELETE", l, "").ok(204)
	d.do("GET", l, "").problem(kindNotFound)
}

func TestFeedOfLists(t *testing.T) {
	d := newDaemon(t)
	ids := d.insert(ns+"/lists/l", `{"insert":["a",2]}`)
	d.do("GET", ns+"/changes?since=start&include=value", "").ok(200).
		contains(fmt.Sprintf(`"event":"changed","type":"list","key":"l","value":[{"id":%q,"value":"a"},{"id":%q,"value":2}]`, ids[0], ids[1]))
}

func BenchmarkLists(b *testing.B) {
	d := newDaemon(b)
	const l = ns + "/lists/l"
	for values := range slices.Chunk(slices.Repeat([]string{`"an item"`}, 20_000), 1000) {
		d.insert(l, `{"insert":[`+strings.Join(values, ",")+`]}`)
	}
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			d.do("POST", l, `{"insert":["one more"]}`).ok(200)
		}
	})
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			d.do("GET", l+"?limit=100", "").ok(200)
		}
	})
}

func TestListDeadlines(t *testing.T) {
	d := newDaemon(t)
	const l, far = ns + "/lists/l", "2099-01-02T03:04:05Z"
	ids := d.insert(l, `{"insert":[1,2],"expires":"`+far+`"}`)
	d.insert(l, `{"insert":[3]}`)
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"at":"end"}`, ids[0])).ok(200)
	d.do("GET", l, "").ok(200).contains(fmt.Sprintf(`{"id":%q,"value":1,"expires":%q}],"size":3}`, ids[0], far))
	d.do("GET", ns+"/export", "").want(200, `{"list":"l","insert":[2],"expires":"`+far+`"}
{"list":"l","insert":[3]}
{"list":"l","insert":[1],"expires":"`+far+`"}`)
	d.do("PUT", l+"/items/"+ids[0]+"?expires=2000-01-01T00:00:00Z", "4").ok(204)
	d.do("GET", l+"/items/"+ids[0], "").problem(kindNotFound)
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"value":5}`, ids[1])).ok(200)
	if got := d.values(l, "1"); got != "5 3" {
		t.Error(got)
	}
	d.do("GET", l+"/items/"+ids[1], "").want(200, fmt.Sprintf(`{"type":"list","key":"l","id":%q,"value":5}`, ids[1]))
	d.do("POST", l, fmt.Sprintf(`{"item":%q,"at":"end","ttl":"1h"}`, ids[1])).problem(kindBadRequest)
}
