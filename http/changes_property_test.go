package http

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
	"pgregory.net/rapid"
)

// feedWorld is a daemon whose namespace w is written to, joined, restarted, dropped, and followed.
type feedWorld struct {
	*daemon
	rt      *rapid.T
	opts    store.Options
	readers []*follower
	keys    *rapid.Generator[string]
}

// follower holds a copy of what its query asks for, by what the feed and, behind a 410, the list say.
type follower struct {
	query  string
	cursor string // "" before it has begun, and behind a 410
	copy   map[string]string
	behind bool // it has been away, so that a 410 is fair
}

const worldNS = "/v1/ns/w"

func newFeedWorld(d *daemon, rt *rapid.T) *feedWorld {
	w := &feedWorld{daemon: d, rt: rt, keys: rapid.SampledFrom([]string{"a", "ab", "b", "é", "a/b"})}
	fs := store.NewCrashFS()
	w.opts = store.DefaultOptions(d.t.TempDir())
	w.opts.MaxLogBytes = 3000
	w.opts.LargeEntries = 8
	w.opts.OpenBackend = func(dir string) (store.Backend, error) { return store.OpenPebble(dir, store.PebbleOptions{FS: fs}) }
	w.start()
	w.do("PUT", worldNS, `{"storage":"disk"}`).ok(201)
	for _, query := range []string{"", "type=set", "prefix=a", "type=register&prefix=b", "type=map&prefix=nothing"} {
		w.readers = append(w.readers, &follower{query: query, copy: map[string]string{}})
	}
	return w
}

func (w *feedWorld) start() {
	s, err := store.Open(w.opts)
	if err != nil {
		w.rt.Fatalf("%v", err)
	}
	w.store = s
	w.h.Attach(Adapt(s), nil)
}

func (w *feedWorld) stop() {
	if err := w.store.Close(); err != nil {
		w.rt.Fatalf("%v", err)
	}
}

// write makes one commit here, sometimes a large one.
func (w *feedWorld) write() {
	key := w.keys.Draw(w.rt, "key")
	many := slices.Repeat([]string{`"m"`}, 1)
	if rapid.IntRange(0, 4).Draw(w.rt, "many") == 0 {
		for i := range 12 {
			many = append(many, fmt.Sprintf("%q", fmt.Sprint("m", i)))
		}
	}
	key = strings.Trim(string(mustJSON(w.t, key)), `"`)
	op := rapid.SampledFrom([]string{`{"set":"%s","add":[` + strings.Join(many, ",") + `]}`, `{"set":"%s","remove":["m","m3"]}`, `{"set":"%s","delete":true}`,
		`{"register":"%s","value":"v"}`, `{"register":"%s","delete":true}`, `{"counter":"%s","inc":1}`, `{"counter":"%s","reset":true}`,
		`{"map":"%s","path":["f"],"value":1}`, `{"map":"%s","path":["f"],"inc":1}`, `{"map":"%s","delete":true}`,
		`{"register":"%[1]s","value":1},{"set":"%[1]s","add":["x"]},{"counter":"%[1]s","inc":2}`}).Draw(w.rt, "op")
	w.do("POST", worldNS+"/batch", `{"ops":[`+fmt.Sprintf(op, key)+`]}`).ok(200)
}

// hear takes in a change of another replica: as a unit, or, when that is what is drawn, as a join
// of states.
func (w *feedWorld) hear() {
	n, err := w.store.Namespace("w")
	if err != nil {
		w.rt.Fatalf("%v", err)
	}
	at := n.Clock()
	const origin crdt.ReplicaID = 7
	seq := at[origin] + 1
	e := crdt.Entry{Dot: crdt.Dot{Replica: origin, Seq: seq}, Kind: crdt.KindValue, Time: crdt.Timestamp(seq), Value: []byte(`"theirs"`),
		Path: crdt.Object(crdt.Register, w.keys.Draw(w.rt, "key")).Leaf(crdt.Register)}
	if rapid.Bool().Draw(w.rt, "unit") {
		err = n.Apply(w.t.Context(), []delta.Unit{{Origin: origin, First: seq, Last: seq, Entries: []crdt.Entry{e}}}, nil)
	} else if err = n.Stage([]crdt.Entry{e}); err == nil {
		dots := &delta.DotSet{}
		dots.Add(e.Dot)
		to := maps.Clone(at)
		to[origin] = seq
		err = n.Join(w.t.Context(), store.StateJoin{From: at, To: to, Streamed: dots, Killed: &delta.DotSet{}})
	}
	if err != nil {
		w.rt.Fatalf("%v", err)
	}
}

func (w *feedWorld) restart() { w.stop(); w.start() }

func (w *feedWorld) drop() {
	w.do("DELETE", worldNS+"?drop=local", "").ok(204)
	w.do("PUT", worldNS, `{"storage":"disk"}`).ok(201)
	for _, r := range w.readers {
		r.behind = true
	}
}

// read lets a reader take a page, and find the way back when its cursor has expired.
func (w *feedWorld) read(r *follower, limit int) (moved bool) {
	if r.cursor == "" {
		w.list(r)
		return true
	}
	res := w.do("GET", fmt.Sprintf("%s/changes?%s&include=value&timeout=0s&limit=%d&since=%s", worldNS, r.query, limit, r.cursor), "")
	if res.status == http.StatusGone && r.behind {
		res.problem(kindCursorExpired)
		r.cursor = ""
		return true
	}
	var page Changes
	res.ok(200).into(&page)
	for _, c := range page.Changes {
		if c.Event == eventRemoved {
			delete(r.copy, c.Type+" "+c.Key)
		} else {
			r.copy[c.Type+" "+c.Key] = string(*c.Value)
		}
	}
	moved = page.Cursor != r.cursor
	if len(page.Changes) > 0 && !moved {
		w.rt.Fatalf("changes, and the cursor stands still")
	}
	r.cursor, r.behind = page.Cursor, false
	return moved
}

// list is the way back: the cursor of the first page, and what the list names.
func (w *feedWorld) list(r *follower) {
	var first Keys
	r.copy = map[string]string{}
	query := r.query
	for {
		var page Keys
		w.do("GET", worldNS+"/keys?limit=2&"+query, "").ok(200).into(&page)
		if first.Feed == "" {
			first = page
		}
		for _, k := range page.Keys {
			if value, ok := w.value(k); ok {
				r.copy[k.Type+" "+k.Key] = value
			}
		}
		if page.Next == "" {
			r.cursor, r.behind = first.Feed, false
			return
		}
		query = r.query + "&cursor=" + page.Next
		if rapid.IntRange(0, 3).Draw(w.rt, "meanwhile") == 0 {
			w.write()
		}
	}
}

// value returns what a GET shows of an object.
func (w *feedWorld) value(k Key) (string, bool) {
	res := w.do("GET", esc(worldNS+"/"+collection(k.Type), k.Key), "")
	var v struct{ Value, Members json.RawMessage }
	if res.status != 200 {
		return "", false
	}
	if err := json.Unmarshal([]byte(res.body), &v); err != nil {
		w.rt.Fatalf("%v", err)
	}
	return string(v.Value) + string(v.Members), true
}

// check lets all readers catch up: each holds what is there, and no more.
func (w *feedWorld) check() {
	for _, r := range w.readers {
		for steps := 0; w.read(r, 3); steps++ {
			if steps > 1000 {
				w.rt.Fatalf("a reader without end")
			}
		}
		var all Keys
		w.do("GET", worldNS+"/keys?limit=1000&"+r.query, "").ok(200).into(&all)
		want := map[string]string{}
		for _, k := range all.Keys {
			want[k.Type+" "+k.Key], _ = w.value(k)
		}
		if !maps.Equal(r.copy, want) {
			w.rt.Fatalf("the reader of %q holds %v, want %v", r.query, r.copy, want)
		}
	}
}

// TestFeedGuarantees: whatever happens to a namespace, a reader loses nothing; a reader that comes
// often enough never finds its cursor too old, even if the log has lost long ago what was for it;
// one that has been away is told so, and finds the way back.
func TestFeedGuarantees(t *testing.T) {
	d := newDaemon(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newFeedWorld(d, rt)
		defer func() { w.stop() }()
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"write", "write", "write", "hear", "hear", "read", "read", "restart", "away", "drop", "check"}), 1, 40).Draw(rt, "steps")
		for _, step := range steps {
			switch step {
			case "write":
				w.write()
			case "hear":
				w.hear()
			case "restart":
				w.restart()
			case "drop":
				w.drop()
			case "away": // what the log holds is written over while nobody reads
				for range 25 {
					w.do("PUT", worldNS+"/registers/b", `"`+strings.Repeat("x", 300)+`"`).ok(204)
				}
				for _, r := range w.readers {
					r.behind = true
				}
			case "check":
				w.check()
			}
			if step != "away" && step != "drop" {
				for i, r := range w.readers {
					if step == "read" || i == len(w.readers)-1 || !r.behind {
						w.read(r, rapid.IntRange(1, 4).Draw(rt, "limit"))
					}
				}
			}
		}
		w.check()
	})
}
