package crdt_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

// items returns the list at leaf as a reader gets it who walks over its paths and looks up guests.
func (r *replica) items(leaf Path) []Item {
	var items []Item
	for _, p := range r.under(leaf) {
		parts, err := p.Parse()
		if err != nil {
			panic(err)
		}
		at := Position(parts.Member)
		for _, id := range append(GuestIDs(r.state.At(p)), at) {
			item, ok, err := ReadItem(id, r.state.At(leaf.Member(string(id))))
			if err != nil {
				panic(err)
			}
			if ok && item.Place == at {
				items = append(items, item)
			}
		}
	}
	return items
}

func (r *replica) element(leaf Path, id Position) Element {
	e, err := LoadElement(leaf, id, func(p Path) ([]Entry, error) { return r.state.At(p), nil })
	if err != nil {
		panic(err)
	}
	return e
}

func (t *tx) applyAll(edits []PathEdit) {
	for _, e := range edits {
		t.apply(e.Edit)
	}
}

func (t *tx) insert(leaf Path, left, right Position, at Timestamp, value string) Position {
	id, err := Between(left, right, t.next())
	if err != nil {
		panic(err)
	}
	t.apply(Insert(leaf.Member(string(id)), t.next(), at, []byte(value)))
	return id
}

func (t *tx) move(leaf Path, id, left, right Position, at Timestamp) Position {
	to, err := Between(left, right, t.next())
	if err != nil {
		panic(err)
	}
	edits, err := t.r.element(leaf, id).Move(to, t.next(), at)
	if err != nil {
		panic(err)
	}
	t.applyAll(edits)
	return to
}

func (t *tx) update(leaf Path, id Position, at Timestamp, value string) {
	edits, err := t.r.element(leaf, id).Update(t.next(), at, []byte(value), nil)
	if err != nil {
		panic(err)
	}
	t.applyAll(edits)
}

// The reference of a list keeps every write with all that its writer knew. A write to an item
// holds what it wrote, and what was there.

type listWrite struct {
	id     Position // "" for a removal of everything
	remove bool
	past   events
	// Of a write that is no removal: the values of the item that it leaves, by the writes that made
	// them, and where it leaves it.
	values map[int]string
	place  listPlace
	at     Timestamp
}

type listPlace struct {
	at  Timestamp
	pos Position
}

type listHistory struct{ all []listWrite }

// live returns the writes to an item that nothing known has seen.
func (h *listHistory) live(known events, id Position) []int {
	var found []int
	for w := range known {
		e := h.all[w]
		later := func(k int) bool { return h.all[k].id == id && h.all[k].past[w] }
		if e.id == id && !e.remove && !slices.ContainsFunc(slices.Collect(maps.Keys(known)), later) {
			found = append(found, w)
		}
	}
	slices.Sort(found)
	return found
}

// item returns the values of an item, newest first, and where it stands.
func (h *listHistory) item(known events, id Position) (values map[int]string, place listPlace, ok bool) {
	values = map[int]string{}
	for _, w := range h.live(known, id) {
		e := h.all[w]
		maps.Copy(values, e.values)
		if !ok || cmp.Or(cmp.Compare(e.place.at, place.at), cmp.Compare(e.place.pos, place.pos)) > 0 {
			place = e.place
		}
		ok = true
	}
	for v := range maps.Clone(values) {
		for o := range values {
			if h.all[o].past[v] {
				delete(values, v)
			}
		}
	}
	return values, place, ok
}

func (h *listHistory) show(values map[int]string) string {
	ws := slices.SortedFunc(maps.Keys(values), func(i, j int) int { return cmp.Compare(h.all[j].at, h.all[i].at) })
	var shown []string
	for _, w := range ws {
		shown = append(shown, values[w])
	}
	return strings.Join(shown, "|")
}

// listCluster runs lists on several replicas.
type listCluster struct {
	leaf     Path
	replicas []*replica
	history  listHistory
	clock    Timestamp
	runs     []run
	// last is what each replica inserted last, "" if it did something else since.
	last map[ReplicaID]Position
	made map[Position]events // positions, and what their makers knew
}

// run is a pair of items that one writer inserted one after the other, side by side.
type run struct {
	first, second Position
	known         events // of the writer
}

func (c *listCluster) note(x *tx, w listWrite) int {
	w.past, w.at = x.r.known.clone(), c.clock
	c.history.all = append(c.history.all, w)
	i := len(c.history.all) - 1
	x.r.known[i] = true
	return i
}

// operate does one transaction of one replica.
func (c *listCluster) operate(t *rapid.T) {
	r := c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, "replica")]
	x := r.begin()
	for range rapid.IntRange(1, 3).Draw(t, "operations") {
		c.clock++
		before := r.items(c.leaf)
		switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case kind < 5 || len(before) == 0:
			c.insertRun(t, x)
		case kind < 7:
			c.move(t, x, before)
		case kind < 8:
			c.update(t, x, before)
		default:
			i := rapid.IntRange(0, len(before)-1).Draw(t, "item")
			x.applyAll(r.element(c.leaf, before[i].ID).Remove(nil))
			c.note(x, listWrite{id: before[i].ID, remove: true})
			c.wantIDs(t, r, slices.Delete(ids(before), i, i+1))
			c.last[r.id] = ""
		}
		c.check(t, r)
	}
	x.commit()
}

// insertRun inserts some items in a row, onwards or backwards, or goes on with the run before.
func (c *listCluster) insertRun(t *rapid.T, x *tx) {
	items := x.r.items(c.leaf)
	n := rapid.IntRange(0, len(items)).Draw(t, "place")
	onwards := rapid.Bool().Draw(t, "onwards")
	if last := c.last[x.r.id]; last != "" && rapid.Bool().Draw(t, "go on") {
		if i := slices.IndexFunc(items, func(i Item) bool { return i.Place == last }); i >= 0 {
			n = i
			if onwards {
				n++
			}
		}
	}
	for range rapid.IntRange(1, 4).Draw(t, "run") {
		items = x.r.items(c.leaf)
		left, right := place(items, n-1), place(items, n)
		value := fmt.Sprint(len(c.history.all))
		known := x.r.known.clone()
		id := x.insert(c.leaf, left, right, c.clock, value)
		i := c.note(x, listWrite{id: id})
		c.history.all[i].values, c.history.all[i].place = map[int]string{i: value}, listPlace{0, id}
		c.made[id] = known
		if last := c.last[x.r.id]; last != "" && (last == left || last == right) {
			c.runs = append(c.runs, run{last, id, known})
		}
		c.last[x.r.id] = id
		c.wantIDs(t, x.r, slices.Insert(ids(items), n, id))
		if onwards {
			n++
		}
	}
}

func (c *listCluster) move(t *rapid.T, x *tx, items []Item) {
	i := rapid.IntRange(0, len(items)-1).Draw(t, "item")
	n := rapid.IntRange(0, len(items)).Draw(t, "place")
	id := items[i].ID
	values, _, _ := c.history.item(x.r.known, id)
	known := x.r.known.clone()
	to := x.move(c.leaf, id, place(items, n-1), place(items, n), c.clock)
	c.note(x, listWrite{id: id, values: values, place: listPlace{c.clock, to}})
	c.made[to] = known
	want := slices.Insert(ids(items), n, id)
	if i >= n {
		i++
	}
	c.wantIDs(t, x.r, slices.Delete(want, i, i+1))
	c.last[x.r.id] = ""
}

func (c *listCluster) update(t *rapid.T, x *tx, items []Item) {
	id := items[rapid.IntRange(0, len(items)-1).Draw(t, "item")].ID
	_, at, _ := c.history.item(x.r.known, id)
	value := fmt.Sprint(len(c.history.all))
	x.update(c.leaf, id, c.clock, value)
	i := c.note(x, listWrite{id: id, place: at})
	c.history.all[i].values = map[int]string{i: value}
	c.wantIDs(t, x.r, ids(items))
	c.last[x.r.id] = ""
}

func place(items []Item, i int) Position {
	if i < 0 || i >= len(items) {
		return ""
	}
	return items[i].Place
}

func ids(items []Item) []Position {
	var ps []Position
	for _, i := range items {
		ps = append(ps, i.ID)
	}
	return ps
}

// wantIDs compares the order of a list with what a list in memory would have.
func (c *listCluster) wantIDs(t *rapid.T, r *replica, want []Position) {
	t.Helper()
	if got := ids(r.items(c.leaf)); !slices.Equal(got, want) {
		t.Fatalf("%v: order %q, want %q", r.id, got, want)
	}
}

// check compares a list with the reference, read in both ways, and looks for what should be gone.
func (c *listCluster) check(t *rapid.T, r *replica) {
	t.Helper()
	items := r.items(c.leaf)
	b, err := NewTreeBuilder(c.leaf.ObjectPath())
	if err != nil {
		t.Fatal(err)
	}
	visible := 0
	for _, p := range r.under(c.leaf) {
		live := r.state.At(p)
		if err := b.Add(p, live); err != nil {
			t.Fatal(err)
		}
		if Visible(List, live) {
			visible++
		}
		c.checkPairs(t, r, p, live)
	}
	child, _ := b.Tree().Child(List)
	if !slices.EqualFunc(child.Items, items, func(a, b Item) bool {
		return a.ID == b.ID && a.Place == b.Place && slices.EqualFunc(a.Values, b.Values, bytes.Equal)
	}) {
		t.Fatalf("%v: read as a whole %v, item by item %v", r.id, child.Items, items)
	}
	if visible != len(items) {
		t.Fatalf("%v: %d items, size %d", r.id, len(items), visible)
	}
	all := map[Position]bool{}
	for w := range r.known {
		all[c.history.all[w].id] = true
	}
	found := map[Position]bool{}
	for _, i := range items {
		values, at, ok := c.history.item(r.known, i.ID)
		if got, want := strings.Join(asStrings(i.Values), "|"), c.history.show(values); !ok || found[i.ID] || got != want || i.Place != at.pos {
			t.Fatalf("%v: item %q shows %s at %q, want %v %s at %q", r.id, i.ID, got, i.Place, ok, want, at.pos)
		}
		found[i.ID] = true
	}
	for id := range all {
		if _, _, ok := c.history.item(r.known, id); ok != found[id] {
			t.Fatalf("%v: item %q is there: %v, want %v", r.id, id, found[id], ok)
		}
	}
}

// checkPairs: a place has a guest, a guest a place, and both an element.
func (c *listCluster) checkPairs(t *rapid.T, r *replica, p Path, live []Entry) {
	parts, _ := p.Parse()
	for _, e := range live {
		switch e.Kind {
		case KindPlace:
			if !slices.Contains(GuestIDs(r.state.At(c.leaf.Member(string(e.Value)))), Position(parts.Member)) || !Visible(List, live) {
				t.Fatalf("%v: a place at %q that is none", r.id, p)
			}
		case KindGuest:
			at := r.state.At(c.leaf.Member(string(e.Value)))
			if !slices.ContainsFunc(at, func(o Entry) bool { return o.Kind == KindPlace && string(o.Value) == parts.Member }) {
				t.Fatalf("%v: a guest at %q that has no place", r.id, p)
			}
		}
	}
}

func (c *listCluster) join(t *rapid.T) {
	to := c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, "to")]
	from := c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, "from")]
	to.join(from)
	c.check(t, to)
}

func (c *listCluster) deliver(t *rapid.T) {
	to := c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, "to")]
	from := c.replicas[rapid.IntRange(0, len(c.replicas)-1).Draw(t, "from")]
	for _, u := range from.units {
		if to.canApply(u) {
			to.applyUnit(u)
			c.check(t, to)
			return
		}
	}
}

// checkRuns: nobody who had seen neither of two items that were inserted in a row, side by side, has
// made a position between them, unless their writer had seen that.
func (c *listCluster) checkRuns(t *rapid.T) {
	makers := map[Position]int{}
	for i, w := range c.history.all {
		if _, ok := makers[w.id]; !ok {
			makers[w.id] = i
		}
	}
	for _, r := range c.runs {
		low, high := min(r.first, r.second), max(r.first, r.second)
		for p, known := range c.made {
			if low < p && p < high && !known[makers[r.first]] && !known[makers[r.second]] && !c.knew(r.known, p) {
				t.Fatalf("%q is between %q and %q, which were inserted in a row", p, low, high)
			}
		}
	}
}

// knew reports whether a position was made by a write among those known.
func (c *listCluster) knew(known events, p Position) bool {
	for w := range known {
		if c.history.all[w].id == p || c.history.all[w].place.pos == p {
			return true
		}
	}
	return false
}

// finish lets everybody hear of everything, then removes all items, and nothing may be left.
func (c *listCluster) finish(t *rapid.T) {
	settle(c.replicas)
	c.checkRuns(t)
	for _, r := range c.replicas {
		c.check(t, r)
		if !r.state.Equal(c.replicas[0].state) {
			t.Fatal("not converged")
		}
	}
	r := c.replicas[0]
	x := r.begin()
	for _, i := range r.items(c.leaf) {
		x.applyAll(r.element(c.leaf, i.ID).Remove(nil))
	}
	x.commit()
	settle(c.replicas)
	for _, r := range c.replicas {
		if len(r.state.Live) > 0 {
			t.Fatalf("%v: left after all items were removed: %v", r.id, r.state.Live)
		}
	}
}

// TestListHistories compares lists, after every step, with the reference.
func TestListHistories(t *testing.T) {
	for _, leaf := range []Path{Object(List, "l").Leaf(List)} {
		rapid.Check(t, func(t *rapid.T) {
			c := &listCluster{leaf: leaf, last: map[ReplicaID]Position{}, made: map[Position]events{}}
			for i := range rapid.IntRange(2, 4).Draw(t, "replicas") {
				c.replicas = append(c.replicas, newReplica(ReplicaID(i+1)<<40|0xabc))
			}
			t.Repeat(map[string]func(*rapid.T){
				"operate": c.operate, "operate again": c.operate, "join": c.join, "deliver": c.deliver, "deliver more": c.deliver,
			})
			c.finish(t)
		})
	}
}

// A value that a token does not cover stays beside the new one, and a removal with a token spares
// what came later, whole.
func TestElementWithToken(t *testing.T) {
	leaf := Object(List, "l").Leaf(List)
	r := newReplica(1)
	x := r.begin()
	id := x.insert(leaf, "", "", 1, "a")
	x.commit()
	seen := r.state.Clock.Clone()
	x = r.begin()
	x.move(leaf, id, id, "", 2)
	x.update(leaf, id, 3, "b")
	x.commit()
	x = r.begin()
	x.applyAll(r.element(leaf, id).Remove(seen.Covers))
	if got := r.items(leaf); len(got) != 1 || string(got[0].Values[0]) != "b" {
		t.Fatalf("%v", got)
	}
	edits, err := r.element(leaf, id).Update(x.next(), 4, []byte("c"), seen.Covers)
	if err != nil {
		t.Fatal(err)
	}
	x.applyAll(edits)
	if got := r.items(leaf); len(got) != 1 || strings.Join(asStrings(got[0].Values), "|") != "c|b" || got[0].Place == id {
		t.Fatalf("%v", got)
	}
	x.applyAll(r.element(leaf, id).Remove(nil))
	if _, err := r.element(leaf, id).Update(x.next(), 5, []byte("d"), nil); !errors.Is(err, ErrNoElement) {
		t.Errorf("update of what was removed: %v", err)
	}
	if _, err := r.element(leaf, id).Move("jz-3YGLT8ewrjkU", x.next(), 5); !errors.Is(err, ErrNoElement) {
		t.Errorf("move of what was removed: %v", err)
	}
	if len(r.state.Live) > 0 {
		t.Errorf("left: %v", r.state.Live)
	}
}

func TestElementValueEncoding(t *testing.T) {
	a, b := Dot{0x0123456789abcdef, 300}, Dot{7, 1}
	for _, c := range []struct {
		v    ElementValue
		want string
	}{
		{ElementValue{JSON: []byte("1")}, "\x001"},
		{ElementValue{Written: a, JSON: []byte("{}")}, "\x01\x01\x23\x45\x67\x89\xab\xcd\xef\xac\x02{}"},
		{ElementValue{Replaces: []Dot{a, b}, JSON: []byte("2")}, "\x04\x01\x23\x45\x67\x89\xab\xcd\xef\xac\x02\x00\x00\x00\x00\x00\x00\x00\x07\x012"},
	} {
		got := c.v.Encode()
		if string(got) != c.want {
			t.Errorf("%+v: %q, want %q", c.v, got, c.want)
		}
		back, err := DecodeElementValue(got)
		if err != nil || back.Written != c.v.Written || !slices.Equal(back.Replaces, c.v.Replaces) || !bytes.Equal(back.JSON, c.v.JSON) {
			t.Errorf("%q: %+v, %v", got, back, err)
		}
	}
	for _, s := range []string{"", "\x00", "\x01", "\x80\x001", "\x82\x011", "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x011", "\x01\x00\x00\x00\x00\x00\x00\x00\x07\x001",
		"\x04\x00\x00\x00\x00\x00\x00\x00\x07\x01\x00\x00\x00\x00\x00\x00\x00\x07\x021"} {
		if v, err := DecodeElementValue([]byte(s)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %+v, %v", s, v, err)
		}
	}
}

func FuzzDecodeElementValue(f *testing.F) {
	for _, s := range []string{"\x001", "\x01\x00\x00\x00\x00\x00\x00\x00\x07\x011", "\x02\x00\x00\x00\x00\x00\x00\x00\x07\x011", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := DecodeElementValue(b); err == nil && !bytes.Equal(v.Encode(), b) {
			t.Fatalf("%q: encoded again %q", b, v.Encode())
		}
	})
}
