package http

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// exchange carries what a has and b has not to b, as replication would.
func exchange(t *testing.T, a, b *daemon) {
	t.Helper()
	from, to := a.namespace(), b.namespace()
	s, err := from.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	since := to.Clock()
	if len(since) == 0 {
		since = crdt.VersionVector{1: 1} // who says to have nothing is not given the log
	}
	log, ok, err := s.Log(since)
	if err != nil || !ok {
		t.Fatalf("the log is cut: %v, %v", ok, err)
	}
	var units []delta.Unit
	for u, err := range log {
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, u.Unit)
	}
	if err := to.Apply(t.Context(), units, s.Status().Runs); err != nil {
		t.Fatal(err)
	}
}

// Two daemons write without knowing of each other, both see the same conflicts, one settles them
// with the token of what it saw, and what it did not see stays.
func TestConflictsOfTwoReplicas(t *testing.T) {
	a, b := newDaemon(t), newDaemon(t)
	for i, d := range []*daemon{a, b} {
		d.do("PUT", ns+"/registers/r", fmt.Sprint(i)).ok(204)
		d.do("PUT", ns+fmt.Sprintf("/registers/only%d", i), `1`).ok(204)
		d.do("PUT", ns+"/maps/m/fields/f/g", fmt.Sprint(i)).ok(204)
		d.do("POST", ns+"/counters/c", `{"inc":1}`).ok(200)
		d.do("PUT", ns+"/sets/s/members/x", "").ok(204)
	}
	a.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["t"],"inc":1},{"path":["u","v"],"value":1}]}`).ok(200)
	b.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["t"],"add":["x"]},{"path":["u"],"value":1}]}`).ok(200)
	a.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
	exchange(t, a, b)
	exchange(t, b, a)

	const all = `{"conflicts":[{"type":"map","key":"m","paths":[["f","g"],["t"],["u"]]},{"type":"register","key":"r"}]}`
	seen := contextHeader + ": " + a.do("GET", ns+"/conflicts", "").want(200, all).token()
	b.do("GET", ns+"/conflicts", "").want(200, all)

	// b writes once more; a has not seen that when it settles.
	b.do("PUT", ns+"/registers/r", `"late"`, seen).ok(204)
	a.do("PUT", ns+"/registers/r", `"settled"`, seen).ok(204)
	a.do("PUT", ns+"/maps/m/fields/f/g", `"settled"`, seen).ok(204)
	a.do("PATCH", ns+"/maps/m", `{"t":null}`, mergeType, seen).ok(200)
	a.do("PUT", ns+"/maps/m/fields/u", `"settled"`, seen).ok(204)
	a.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
	exchange(t, a, b)
	exchange(t, b, a)
	for _, d := range []*daemon{a, b} {
		d.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[{"type":"register","key":"r"}]}`)
		r := d.do("GET", ns+"/registers/r", "").ok(200)
		if !strings.Contains(r.body, `"late"`) || !strings.Contains(r.body, `"settled"`) {
			t.Error(r.body)
		}
		d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":{"f":{"g":"settled"},"u":"settled"}}`)
	}
	// What was seen together is settled by one write.
	r := b.do("GET", ns+"/registers/r", "")
	b.do("PUT", ns+"/registers/r", `"both"`, contextHeader+": "+r.token()).ok(204)
	exchange(t, b, a)
	a.do("GET", ns+"/registers/r", "").want(200, `{"type":"register","key":"r","value":"both","conflict":false}`)
	a.do("GET", ns+"/conflicts", "").want(200, `{"conflicts":[]}`)
}

// siblings makes conflicts at these paths of registers.
func (d *daemon) siblings(o *other, leaves ...crdt.Path) {
	d.t.Helper()
	var es []crdt.Entry
	for _, leaf := range leaves {
		es = append(es, value(leaf, "1", older), value(leaf, "2", older))
	}
	o.apply(es...)
}

// pagesOfConflicts follows next and returns the keys, with the fields that were listed.
func (d *daemon) pagesOfConflicts(t *testing.T, limit, work int) (keys []string, pages int) {
	t.Helper()
	v, err := d.namespace().View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	f := conflictFinder{page: page{limit: limit, query: 7}}
	for {
		pages++
		g := conflictFinder{v: v, page: f.page, last: f.last, left: work, done: t.Context().Err}
		if err := g.run(); err != nil {
			t.Fatal(err)
		}
		if len(g.list.Conflicts) > limit {
			t.Fatalf("%d of %d", len(g.list.Conflicts), limit)
		}
		for _, c := range g.list.Conflicts {
			keys = append(keys, c.Type[:1]+c.Key)
		}
		if g.list.Next == "" {
			return keys, pages
		}
		last, ok := decodeCursor(7, g.list.Next)
		if !ok || last <= f.last {
			t.Fatalf("the cursor goes from %q to %q", f.last, last)
		}
		f.last = last
	}
}

// Whatever a page may hold and look at, each object is listed once, in order.
func TestPagesOfConflicts(t *testing.T) {
	d := newDaemon(t)
	o := &other{d: d, id: 9}
	var want []string
	for i := range 12 {
		m, r := crdt.Object(crdt.Map, fmt.Sprintf("%02d", i)), crdt.Object(crdt.Register, fmt.Sprintf("%02d", i))
		o.apply(value(r.Leaf(crdt.Register), "1", older))
		for j := range i {
			f := m.Field(fmt.Sprintf("%02d", j))
			o.apply(value(f.Leaf(crdt.Register), "1", older), member(f.Field("s").Field("t").Leaf(crdt.Set).Member("x"), older))
		}
		if i%3 != 0 {
			continue
		}
		d.siblings(o, r.Leaf(crdt.Register), m.Fields("04", "x").Leaf(crdt.Register), m.Fields("07", "y").Leaf(crdt.Register))
		want = append(want, fmt.Sprintf("r%02d", i), fmt.Sprintf("m%02d", i))
	}
	// In the others every field is a conflict of two types.
	for i := 1; i < 12; i++ {
		if i%3 != 0 {
			want = append(want, fmt.Sprintf("m%02d", i))
		}
	}
	slices.Sort(want)
	for _, limit := range []int{1, 2, 5, 100} {
		for _, work := range []int{2, 3, 5, 20, 1000} {
			if got, _ := d.pagesOfConflicts(t, limit, work); !slices.Equal(got, want) {
				t.Errorf("limit %d, work %d: %v\nwant %v", limit, work, got, want)
			}
		}
	}
	// The same over HTTP; a page that is full has a next only when there is more.
	var got []string
	for cursor, n := "", 0; ; n++ {
		body := d.do("GET", ns+"/conflicts?limit=5"+cursor, "").ok(200).body
		var page Conflicts
		for _, c := range decode(t, body, &page).Conflicts {
			got = append(got, c.Type[:1]+c.Key)
		}
		next := nextOf(t, body)
		if next == "" {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if body := d.do("GET", fmt.Sprintf("%s/conflicts?limit=%d", ns, len(want)), "").ok(200).body; nextOf(t, body) != "" {
		t.Error(body)
	}
}

// A map without a conflict that is larger than the work for one page: the page is empty and has
// a next. Fields of which more are in conflict than are listed say so.
func TestConflictsInLargeMaps(t *testing.T) {
	d := newDaemon(t)
	o := &other{d: d, id: 9}
	m := crdt.Object(crdt.Map, "m")
	var es []crdt.Entry
	for i := range maxConflictScan + 10 {
		es = append(es, value(m.Field(fmt.Sprintf("%06d", i)).Leaf(crdt.Register), "1", older))
	}
	o.apply(es...)
	last := m.Field("zz").Leaf(crdt.Register)
	d.siblings(o, last)
	body := d.do("GET", ns+"/conflicts", "").ok(200).body
	next := nextOf(t, body)
	if !strings.HasPrefix(body, `{"conflicts":[],"next":`) {
		t.Fatal(body)
	}
	d.do("GET", ns+"/conflicts?cursor="+next, "").want(200, `{"conflicts":[{"type":"map","key":"m","paths":[["zz"]]}]}`)
	// The map is gone when the page that would go on in it is asked for.
	d.do("DELETE", ns+"/maps/m", "").ok(204)
	d.do("GET", ns+"/conflicts?cursor="+next, "").want(200, `{"conflicts":[]}`)

	var leaves []crdt.Path
	for i := range maxConflictPaths {
		leaves = append(leaves, crdt.Object(crdt.Map, "n").Field(fmt.Sprint(i)).Leaf(crdt.Register))
	}
	d.siblings(o, leaves...)
	const ten = `{"conflicts":[{"type":"map","key":"n","paths":[["0"],["1"],["2"],["3"],["4"],["5"],["6"],["7"],["8"],["9"]]`
	d.do("GET", ns+"/conflicts", "").want(200, ten+`}]}`)
	d.siblings(o, crdt.Object(crdt.Map, "n").Field("x").Leaf(crdt.Register))
	d.do("GET", ns+"/conflicts", "").want(200, ten+`,"more":true}]}`)
}

// What is a conflict in the list is one in the typed shape.
func TestConflictsAreThoseOfTheTypedShape(t *testing.T) {
	d := newDaemon(t)
	conflicted(d)
	var list Conflicts
	d.do("GET", ns+"/conflicts", "").ok(200).into(&list)
	var typed struct {
		Fields []struct {
			Path     []string
			Conflict bool
		}
	}
	decode(t, d.do("GET", ns+"/maps/m?shape=typed", "").ok(200).body, &typed)
	var want [][]string
	for _, f := range typed.Fields {
		if f.Conflict {
			want = append(want, f.Path)
		}
	}
	if len(list.Conflicts) != 1 || len(want) != 5 || fmt.Sprint(list.Conflicts[0].Paths) != fmt.Sprint(want) {
		t.Errorf("%+v, want %v", list, want)
	}
}
