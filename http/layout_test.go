package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/internal/golden"
	"github.com/anabranchdb/anabranch/store"
)

// Data directories that versions of this program have written are kept in store/testdata/layout, each
// with the answers that it gave: NAME.tar.gz and NAME.json. A name begins with the number of the layout.

var makeLayout = flag.String("layout.make", "", "write a data directory of the present version, and its answers, under this name")

const layoutFolder = "../store/testdata/layout"

// layoutNow is when the directories were written, as far as they know, and when they are read.
var layoutNow = time.Unix(1_790_000_000, 0)

// layoutOptions are those of a store that was written, and is read, always in the same way.
func layoutOptions(dir string, seed byte) store.Options {
	opts := store.DefaultOptions(dir)
	opts.Fingerprint = func(string) (store.Fingerprint, error) { return "the same", nil }
	opts.Rand = rand.NewChaCha8([32]byte{seed})
	opts.Now = func() time.Time { return layoutNow }
	opts.ReapEvery = -1
	opts.LargeEntries = 256
	return opts
}

// hard are names that need care.
var hard = []string{"/", "a/b", "..", "%2F", " ", "\x00", "\n", `"`, `\`, "|", "!", "~", "😀", "é", "e\u0301", "\U0010ffff", strings.Repeat("x", 1024)}

// escaped is a name as a segment of a path.
func escaped(name string) string {
	var b strings.Builder
	for i := range len(name) {
		fmt.Fprintf(&b, "%%%02X", name[i])
	}
	return b.String()
}

// layoutAnswers is what a data directory answers.
type layoutAnswers struct {
	Objects  map[string]map[string]json.RawMessage `json:"objects"` // by namespace and path
	Export   map[string][]json.RawMessage          `json:"export"`
	Tokens   map[string]string                     `json:"tokens"`
	Replayed string                                `json:"replayed"` // the answer to layoutOnce
	Cursor   string                                `json:"cursor"`   // of a feed, from before the last write of the register late
}

// layoutOnce is a request that was made with an idempotency key.
const (
	layoutOnce    = `{"inc":5}`
	layoutOnceKey = "Idempotency-Key: once"
)

// write fills a namespace of a with something of everything, b's changes among it.
func writeLayout(t *testing.T, a, b *daemon) (answers layoutAnswers) {
	t.Helper()
	for _, d := range []*daemon{a, b} {
		d.do("PUT", "/v1/ns/orders", `{"storage":"disk"}`).ok(201)
	}
	a.do("PUT", "/v1/ns/cache", `{"storage":"memory"}`).ok(201)
	a.do("PUT", "/v1/ns/live", `{"storage":"disk"}`).ok(201)
	b.do("PUT", "/v1/ns/live", `{"storage":"memory"}`).ok(201)

	for i, d := range []*daemon{a, b} {
		d.do("PUT", ns+"/registers/both", fmt.Sprintf(`{"by":%d,"n":12345678901234567890.10}`, i)).ok(204)
		d.do("PUT", ns+"/registers/null", "null").ok(204)
		d.do("POST", ns+"/counters/both", `{"inc":7}`).ok(200)
		d.do("POST", ns+"/counters/reset", `{"inc":`+strconv.Itoa(10+i)+`}`).ok(200)
		d.do("POST", ns+"/counters/great", `{"inc":9223372036854775807}`).ok(200)
		d.do("POST", ns+"/bounded/seats", `{"inc":10}`).ok(200)
		d.do("PUT", ns+"/flags/on", "").ok(204)
		d.do("POST", ns+"/sets/both", fmt.Sprintf(`{"add":["both","only %d"]}`, i)).ok(200)
		d.do("POST", ns+"/lists/both", fmt.Sprintf(`{"insert":[1,{"by":%d},"x"]}`, i)).ok(200)
		d.do("PATCH", ns+"/maps/both", fmt.Sprintf(`{"ops":[
			{"path":["value"],"value":"of %[1]d"},{"path":["n"],"inc":%[1]d},{"path":["n"],"inc":1},{"path":["tags"],"add":["t%[1]d"]},
			{"path":["a","b","c"],"value":[%[1]d]},{"path":["on"],"enable":true},{"path":["l"],"insert":["i%[1]d"]}]}`, i)).ok(200)
	}
	// Of one type at one daemon, and of another at the other.
	a.do("PUT", ns+"/maps/two/fields/f", `"value"`).ok(204)
	b.do("PATCH", ns+"/maps/two", `{"ops":[{"path":["f"],"add":["member"]}]}`).ok(200)
	b.do("PUT", "/v1/ns/orders/registers/theirs", "1").ok(204)
	exchangeLayout(t, a, b)

	// Removals, and writes that did not know of them.
	a.do("DELETE", ns+"/counters/reset", "").ok(204)
	b.do("POST", ns+"/counters/reset", `{"inc":100}`).ok(200)
	a.do("POST", ns+"/bounded/seats", `{"inc":-8}`).ok(200)
	b.do("POST", ns+"/bounded/seats", `{"inc":-1}`).ok(200)
	a.do("POST", ns+"/sets/both", `{"remove":["both"]}`).ok(200)
	b.do("POST", ns+"/sets/both", `{"add":["both"]}`).ok(200)
	a.do("DELETE", ns+"/flags/on", "").ok(204)
	a.do("DELETE", ns+"/registers/null", "").ok(204)
	a.do("DELETE", ns+"/maps/both/fields/a", "").ok(204)
	b.do("PUT", ns+"/maps/both/fields/a/b/d", `"new"`).ok(204)
	var list struct {
		Items []struct{ ID string }
	}
	loosely(t, a.do("GET", ns+"/lists/both", "").ok(200).body, &list)
	a.do("POST", ns+"/lists/both", fmt.Sprintf(`{"item":%q,"at":"end"}`, list.Items[0].ID)).ok(200)
	a.do("POST", ns+"/lists/both", fmt.Sprintf(`{"item":%q,"value":"set"}`, list.Items[1].ID)).ok(200)
	a.do("POST", ns+"/lists/both", fmt.Sprintf(`{"item":%q,"delete":true}`, list.Items[2].ID)).ok(200)
	b.do("POST", ns+"/lists/both", fmt.Sprintf(`{"item":%q,"value":"set there"}`, list.Items[1].ID)).ok(200)

	// Many, of which half go in one large change.
	for _, set := range []string{"large", "gone"} {
		for page := range 3 {
			var members []string
			for i := range 1000 {
				members = append(members, fmt.Sprintf("%q", fmt.Sprintf("member %04d", page*1000+i)))
			}
			a.do("POST", ns+"/sets/"+set, `{"add":[`+strings.Join(members, ",")+`]}`).ok(200)
		}
	}
	a.do("DELETE", ns+"/sets/gone", "").ok(204)

	for i, name := range hard {
		a.do("PUT", ns+"/registers/"+escaped(name), strconv.Itoa(i)).ok(204)
		a.do("PUT", ns+"/sets/hard/members/"+escaped(name), "").ok(204)
		a.do("PUT", ns+"/maps/hard/fields/"+escaped(name)+"/"+escaped(name), strconv.Itoa(i)).ok(204)
	}

	// With deadlines: one that is over, and hidden; and presence, which b announces.
	b.do("PUT", ns+"/registers/over?expires=2026-09-21T14:13:19Z", "1").ok(204)
	b.do("PUT", ns+"/registers/ends?ttl=1h", "1").ok(204)
	a.do("PUT", ns+"/sets/ends/members/soon?ttl=1h", "").ok(204)
	a.do("PUT", ns+"/sets/ends/members/never", "").ok(204)
	b.do("PUT", "/v1/ns/live/presence/workers/members/w1", `{"port":8080}`).ok(204)

	answers.Replayed = a.do("POST", ns+"/counters/once", layoutOnce, layoutOnceKey).ok(200).body
	exchangeLayout(t, a, b)
	var page struct{ Feed string }
	loosely(t, a.do("GET", ns+"/keys?limit=1", "").ok(200).body, &page)
	answers.Cursor = page.Feed
	a.do("PUT", ns+"/registers/late", "1").ok(204)

	space, err := a.store.Namespace(store.Default)
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.store.Namespace(store.Default)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := space.Retire(context.Background(), other.Replica()); err != nil {
		t.Fatal(err)
	}
	space.Held(3)
	a.do("PUT", ns+"/registers/late", "2").ok(204)
	return answers
}

// exchangeLayout gives both daemons what the other has.
func exchangeLayout(t *testing.T, a, b *daemon) {
	t.Helper()
	for _, name := range []string{"default", "orders", "live"} {
		x, err := a.store.Namespace(name)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.store.Namespace(name)
		if err != nil {
			t.Fatal(err)
		}
		give(t, x, y)
		give(t, y, x)
	}
}

// give brings a copy what another has, by the log, or by the state where the log does not do.
func give(t *testing.T, from, to *store.Namespace) {
	t.Helper()
	ctx := context.Background()
	src, err := from.Source(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	units, ok, err := src.Log(to.Clock())
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		giveState(t, src, to)
		return
	}
	for u, err := range units {
		if err != nil {
			t.Fatal(err)
		}
		runs := delta.Runs{}
		if u.Run != (delta.Run{}) {
			runs[u.Origin] = u.Run
		}
		if err := to.Apply(ctx, []delta.Unit{u.Unit}, runs); err != nil {
			t.Fatal(err)
		}
	}
}

func giveState(t *testing.T, src *store.Source, to *store.Namespace) {
	t.Helper()
	ctx := context.Background()
	st, live, err := to.Live(ctx)
	if err != nil {
		t.Fatal(err)
	}
	j := store.StateJoin{From: st.Clock, To: src.Status().Clock, Runs: src.Status().Runs, Past: src.Past(), Streamed: delta.NewDotSet()}
	j.Killed = live.CutAt(j.From.Min(j.To)).AndNot(src.Live())
	var entries []crdt.Entry
	for e, err := range src.Entries(j.From) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
		j.Streamed.Add(e.Dot)
	}
	if err := errors.Join(to.Stage(entries), to.Join(ctx, j)); err != nil {
		t.Fatal(err)
	}
}

// ask reads everything there is to read.
func (a *layoutAnswers) ask(t *testing.T, d *daemon) {
	t.Helper()
	a.Objects, a.Export, a.Tokens = map[string]map[string]json.RawMessage{}, map[string][]json.RawMessage{}, map[string]string{}
	for _, name := range []string{"default", "orders", "live"} {
		space := "/v1/ns/" + name
		r := d.do("GET", space+"/keys?limit=1000", "").ok(200)
		a.Tokens[name] = r.token()
		var list struct{ Keys []struct{ Type, Key string } }
		loosely(t, r.body, &list)
		a.Objects[name] = map[string]json.RawMessage{}
		for _, k := range list.Keys {
			path := "/" + collection(k.Type) + "/" + escaped(k.Key)
			query := ""
			switch k.Type {
			case "presence": // can be read where the copy is in memory only
				a.Objects[name][path] = json.RawMessage("null")
				continue
			case "map":
				query = "?shape=typed&limit=1000"
			case "set", "list":
				query = "?limit=1000"
			}
			a.Objects[name][path] = withoutNext(t, d.do("GET", space+path+query, "").ok(200).body)
		}
		for line := range strings.Lines(d.do("GET", space+"/export", "").ok(200).body) {
			a.Export[name] = append(a.Export[name], json.RawMessage(strings.TrimSpace(line)))
		}
	}
}

// loosely reads some members of an object.
func loosely(t *testing.T, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatal(err)
	}
}

// withoutNext takes the cursor out of a page: it is good for one store.
func withoutNext(t *testing.T, body string) json.RawMessage {
	t.Helper()
	var fields map[string]json.RawMessage
	loosely(t, body, &fields)
	delete(fields, "next")
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// withoutRights leaves out what belongs to the replica id.
func (a layoutAnswers) withoutRights(t *testing.T) layoutAnswers {
	t.Helper()
	a.Objects = maps.Clone(a.Objects)
	for name, objects := range a.Objects {
		objects = maps.Clone(objects)
		for path, body := range objects {
			if strings.HasPrefix(path, "/bounded/") {
				var fields map[string]json.RawMessage
				loosely(t, string(body), &fields)
				objects[path] = fields["value"]
			}
		}
		a.Objects[name] = objects
	}
	return a
}

// differs tells what b answers otherwise than a.
func (a layoutAnswers) differs(b layoutAnswers) (all []string) {
	for name := range a.Objects {
		for path := range maps.Keys(a.Objects[name]) {
			if x, y := a.Objects[name][path], b.Objects[name][path]; !bytes.Equal(x, y) {
				all = append(all, fmt.Sprintf("%s%s: %s, want %s", name, path, y, x))
			}
		}
		if x, y := len(a.Objects[name]), len(b.Objects[name]); x != y {
			all = append(all, fmt.Sprintf("%s: %d objects, want %d", name, y, x))
		}
		if !slices.EqualFunc(a.Export[name], b.Export[name], func(x, y json.RawMessage) bool { return bytes.Equal(x, y) }) {
			all = append(all, name+": another export")
		}
	}
	return all
}

// TestMakeLayout writes a data directory of this version when it is told to.
func TestMakeLayout(t *testing.T) {
	if *makeLayout == "" {
		t.Skip("nothing is to be written")
	}
	path := filepath.Join(layoutFolder, *makeLayout)
	if _, err := os.Stat(path + ".tar.gz"); err == nil {
		t.Fatal("it is there; these are never written again")
	}
	dir := t.TempDir()
	a, b := openDaemon(t, layoutOptions(dir, 1)), openDaemon(t, layoutOptions("", 2))
	answers := writeLayout(t, a, b)
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := openDaemon(t, layoutOptions(dir, 5)) // what was in logs is in tables then
	again.do("PUT", ns+"/registers/late", "3").ok(204)
	answers.ask(t, again)
	if err := again.store.Close(); err != nil {
		t.Fatal(err)
	}
	golden.Pack(t, dir, path+".tar.gz")
	text, err := json.MarshalIndent(answers, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".json", append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What a version has written, and answered, this one answers too, as the same replica and as a copy; and it
// goes on from there.
func TestLayouts(t *testing.T) {
	archives, err := filepath.Glob(layoutFolder + "/*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("there are no data directories to read: %v", err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		text, err := os.ReadFile(filepath.Join(layoutFolder, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want layoutAnswers
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if len(want.Objects["default"]) < 20 {
			t.Fatalf("%s has the answers of %d objects only", name, len(want.Objects["default"]))
		}
		for field := range want.Objects {
			for path, body := range want.Objects[field] { // indented in the file
				var b bytes.Buffer
				if err := json.Compact(&b, body); err != nil {
					t.Fatal(err)
				}
				want.Objects[field][path] = b.Bytes()
			}
			for i, line := range want.Export[field] {
				var b bytes.Buffer
				if err := json.Compact(&b, line); err != nil {
					t.Fatal(err)
				}
				want.Export[field][i] = b.Bytes()
			}
		}
		t.Run(name, func(t *testing.T) { want.hold(t, layoutOptions(golden.Unpack(t, archive), 3)) })
		t.Run(name+" copied", func(t *testing.T) {
			opts := layoutOptions(golden.Unpack(t, archive), 4)
			opts.Fingerprint = func(string) (store.Fingerprint, error) { return "another", nil }
			want.withoutRights(t).hold(t, opts)
		})
	}
}

// hold demands these answers of a directory, twice, with writes between.
func (a layoutAnswers) hold(t *testing.T, opts store.Options) {
	t.Helper()
	d := openDaemon(t, opts)
	copied := d.store.Copied()
	check := func(d *daemon) {
		t.Helper()
		var got layoutAnswers
		got.ask(t, d)
		if copied {
			got = got.withoutRights(t)
		}
		for _, what := range a.differs(got) {
			t.Error(what)
		}
	}
	check(d)
	for name, token := range a.Tokens {
		d.do("GET", "/v1/ns/"+name+"/keys?limit=1", "", "Anabranch-Context: "+token).ok(200)
	}
	if r := d.do("POST", ns+"/counters/once", layoutOnce, layoutOnceKey).ok(200); r.body != a.Replayed || r.header.Get(replayHeader) != "true" {
		t.Errorf("the key of an earlier version: %v, want %s again", r, a.Replayed)
	}
	if changes := d.do("GET", ns+"/changes?timeout=0&since="+a.Cursor, ""); copied {
		changes.problem(kindCursorExpired) // it is one of another replica
	} else {
		changes.ok(200).contains(`"key":"late"`)
	}

	// Written and taken back, all of it is as it was.
	list := d.do("POST", ns+"/batch", `{"ops":[{"register":"fresh","value":1},{"counter":"fresh","inc":1},{"set":"fresh","add":["m"]},{"set":"large","add":["m"]},
		{"flag":"fresh","enable":true},{"map":"both","path":["fresh"],"value":1},{"list":"fresh","insert":[1]},{"bounded":"fresh","inc":1}]}`)
	list.ok(200)
	d.do("POST", ns+"/batch", `{"ops":[{"register":"fresh","delete":true},{"counter":"fresh","reset":true},{"set":"fresh","delete":true},{"set":"large","remove":["m"]},
		{"flag":"fresh","enable":false},{"map":"both","path":["fresh"],"delete":true},{"list":"fresh","delete":true},{"bounded":"fresh","delete":true}]}`).ok(200)
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := openDaemon(t, opts)
	check(again)

	// A fresh daemon that gets everything from it answers the same, but for rights.
	fresh := openDaemon(t, layoutOptions("", 9))
	for _, name := range []string{"orders", "live"} {
		fresh.do("PUT", "/v1/ns/"+name, `{"storage":"disk"}`).ok(http.StatusCreated)
	}
	exchangeLayout(t, again, fresh)
	var got layoutAnswers
	got.ask(t, fresh)
	if !copied {
		a = a.withoutRights(t)
	}
	for _, what := range a.differs(got.withoutRights(t)) {
		t.Error("replicated:", what)
	}
}
