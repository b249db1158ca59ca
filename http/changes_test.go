package http

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// UnmarshalJSON keeps the value.
func (v *jsonValue) UnmarshalJSON(b []byte) error { *v = slices.Clone(b); return nil }

// poll reads a page of the feed.
func (d *daemon) poll(query string, headers ...string) Changes {
	d.t.Helper()
	var c Changes
	d.do("GET", ns+"/changes?"+query, "", headers...).ok(200).into(&c)
	return c
}

// told writes changes without their cursors.
func told(changes []Change) []string {
	all := []string{}
	for _, c := range changes {
		s := c.Event + " " + c.Type + " " + c.Key
		if c.Value != nil {
			s += " " + string(*c.Value)
		}
		all = append(all, strings.TrimSpace(s))
	}
	return all
}

func (d *daemon) told(query string, want ...string) Changes {
	d.t.Helper()
	c := d.poll(query)
	if got := told(c.Changes); !slices.Equal(got, want) {
		d.t.Fatalf("%s: got %q, want %q", query, got, want)
	}
	return c
}

func TestPoll(t *testing.T) {
	d := newDaemon(t)
	d.told("since=start&timeout=0s")
	now := d.told("timeout=0s")
	d.do("POST", ns+"/batch", `{"ops":[{"counter":"a","inc":2},{"set":"s","add":["y","x"]},{"register":"r","value":"v"},{"map":"m","path":["f","g"],"value":1}]}`).ok(200)
	d.do("POST", ns+"/counters/a", `{"inc":1}`).ok(200)
	d.told("since=start", "changed map m", "changed register r", "changed set s", "changed counter a")
	all := d.told("include=value&since="+now.Cursor, `changed map m {"f":{"g":1}}`, `changed register r "v"`, `changed set s ["x","y"]`, `changed counter a 3`)
	d.told("timeout=0s&since=" + all.Cursor)
	// Each cursor goes on exactly behind its change.
	for i, c := range all.Changes {
		rest := d.poll("timeout=0s&include=value&since=" + c.Cursor)
		if !slices.Equal(told(rest.Changes), told(all.Changes[i+1:])) {
			t.Errorf("behind %d: %q", i, told(rest.Changes))
		}
	}
	// Pages.
	at, seen := now.Cursor, []string{}
	for range 4 {
		page := d.poll("limit=1&include=value&since=" + at)
		seen, at = append(seen, told(page.Changes)...), page.Cursor
	}
	if !slices.Equal(seen, told(all.Changes)) {
		t.Errorf("page by page: %q", seen)
	}
	d.do("DELETE", ns+"/sets/s", "").ok(204)
	d.do("DELETE", ns+"/counters/a", "").ok(204)
	d.told("include=value&since="+at, "removed set s", "removed counter a")
}

func TestPollWaits(t *testing.T) {
	d := newDaemon(t)
	start := d.told("timeout=0s")
	done := make(chan Changes)
	go func() { done <- d.poll("since=" + start.Cursor) }()
	d.do("PUT", ns+"/registers/r", `1`).ok(204)
	if c := <-done; !slices.Equal(told(c.Changes), []string{"changed register r"}) {
		t.Error(told(c.Changes))
	}
	// A filtered reader gets on without a change of its own.
	c := d.told("type=set&timeout=10ms")
	d.do("PUT", ns+"/registers/r", `2`).ok(204)
	next := d.told("type=set&timeout=10ms&since=" + c.Cursor)
	if next.Cursor == c.Cursor {
		t.Error("the cursor stands still")
	}
	go func() { d.h.Drain() }()
	d.do("GET", ns+"/changes", "").problem(kindShuttingDown)
}

func TestFeedFilters(t *testing.T) {
	d := newDaemon(t)
	for _, k := range []string{"a", "ab", "b"} {
		d.do("PUT", ns+"/sets/"+k+"/members/x", "").ok(204)
		d.do("PUT", ns+"/registers/"+k, `1`).ok(204)
	}
	d.told("since=start&type=set", "changed set a", "changed set ab", "changed set b")
	c := d.told("since=start&type=set&prefix=a", "changed set a", "changed set ab")
	d.told("since=start&prefix=ab", "changed set ab", "changed register ab")
	d.do("GET", ns+"/changes?timeout=0s&type=set&since="+c.Cursor, "").problem(kindBadCursor)
	var keys Keys
	d.do("GET", ns+"/keys?type=set&limit=2", "").into(&keys)
	d.do("PUT", ns+"/sets/c/members/x", "").ok(204)
	d.told("type=set&since="+keys.Feed, "changed set c")
	d.do("GET", ns+"/keys?type=set&limit=2&cursor="+keys.Next, "").want(200, `{"keys":[{"type":"set","key":"b"},{"type":"set","key":"c"}]}`)
}

func TestFeedRefuses(t *testing.T) {
	d := newDaemon(t)
	token := d.do("GET", ns+"/keys", "").token()
	for _, query := range []string{"timeout=61s", "timeout=-1s", "timeout=5", "include=all", "type=lists", "limit=0", "bogus=1"} {
		d.do("GET", ns+"/changes?"+query, "").problem(kindBadRequest)
	}
	d.do("GET", ns+"/changes?since=now", "", contextHeader+": "+token).problem(kindBadRequest)
	d.do("GET", ns+"/changes?timeout=1s", "", "Accept: text/event-stream").problem(kindBadRequest)
	d.do("GET", ns+"/changes", "", "Accept: text/html").problem(kindNotAcceptable)
	for _, since := range []string{"", "x", token[:len(token)-1], "later"} {
		d.do("GET", ns+"/changes?since="+since, "").problem(kindBadCursor)
	}
	d.do("GET", ns+"/changes", "", contextHeader+": x").problem(kindBadContext)
	d.do("GET", "/v1/ns/nope/changes", "").problem(kindNamespaceNotFound)
	d.h.feeds.Add(maxFeeds)
	d.do("GET", ns+"/changes", "").problem(kindRateLimited)
	d.h.feeds.Add(-maxFeeds)
	d.do("GET", ns+"/changes?timeout=0s", "").ok(200)
}

func TestFeedConflicts(t *testing.T) {
	d := newDaemon(t)
	o := &other{d: d, id: 7, now: 1}
	d.do("PUT", ns+"/registers/r", `"mine"`).ok(204)
	d.do("PUT", ns+"/maps/m/fields/f", `"mine"`).ok(204)
	c := d.poll("since=start")
	o.apply(crdt.Entry{Path: crdt.Object(crdt.Register, "r").Leaf(crdt.Register), Kind: crdt.KindValue, Value: []byte(`"theirs"`)})
	o.apply(crdt.Entry{Path: crdt.Object(crdt.Map, "m").Field("f").Leaf(crdt.Register), Kind: crdt.KindValue, Value: []byte(`"theirs"`)})
	c = d.told("include=value&since="+c.Cursor, `conflict register r "mine"`, `conflict map m {"f":"mine"}`)
	d.do("PUT", ns+"/registers/r", `"both"`).ok(204)
	d.told("include=value&since="+c.Cursor, `changed register r "both"`)
}

func TestFeedLeavesOutLargeValues(t *testing.T) {
	d := newDaemon(t)
	large := strings.Repeat("x", 70<<10)
	d.do("PUT", ns+"/registers/r", `"`+large+`"`).ok(204)
	d.do("PUT", ns+"/maps/m/fields/f", `"`+large+`"`).ok(204)
	for i := range 80 {
		d.do("PUT", esc(ns+"/sets/s/members", fmt.Sprint(i, large[:900])), "").ok(204)
	}
	c := d.poll("since=start&include=value")
	if len(c.Changes) != 3 || c.Changes[0].Value == nil || c.Changes[1].Value != nil || c.Changes[2].Value != nil {
		t.Error(told(c.Changes))
	}
}

// A reader who comes from another daemon gets what that one had not told it.
func TestFeedAfterToken(t *testing.T) {
	d := newDaemon(t)
	d.do("PUT", ns+"/registers/a", `1`).ok(204)
	token := d.do("PUT", ns+"/registers/b", `1`).token()
	d.do("PUT", ns+"/registers/c", `1`).ok(204)
	d.told("since="+token, "changed register c")
	if got := told(d.poll("", contextHeader+": "+token).Changes); !slices.Equal(got, []string{"changed register c"}) {
		t.Error(got)
	}
	foreign := encodeToken("default", crdt.VersionVector{77: 5})
	d.told("since="+foreign, "changed register a", "changed register b", "changed register c")
}

// attach gives the daemon another store.
func (d *daemon) attach(s *store.Store) { d.store = s; d.h.Attach(Adapt(s), nil) }

func TestFeedOverRestarts(t *testing.T) {
	d := newDaemon(t)
	opts := store.DefaultOptions(t.TempDir())
	opts.MaxLogBytes = 4000
	s, err := store.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	memory := d.poll("timeout=0s")
	old := d.store
	t.Cleanup(func() { old.Close() })
	d.attach(s)
	d.do("GET", ns+"/changes?since="+memory.Cursor, "").problem(kindCursorExpired) // another copy
	d.do("PUT", ns+"/registers/a", `1`).ok(204)
	c := d.poll("since=start")
	d.do("PUT", ns+"/registers/b", `1`).ok(204)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(opts); err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	d.attach(s)
	d.told("since="+c.Cursor, "changed register b")
	for range 60 {
		d.do("PUT", ns+"/registers/c", `"`+strings.Repeat("x", 500)+`"`).ok(204)
	}
	d.do("GET", ns+"/changes?since="+c.Cursor, "").problem(kindCursorExpired)
	d.do("GET", ns+"/changes?since=start", "").problem(kindCursorExpired)
	d.do("GET", ns+"/changes?since=start", "", "Accept: text/event-stream").problem(kindCursorExpired)
	d.do("GET", ns+"/changes", "", contextHeader+": "+encodeToken("default", crdt.VersionVector{5: 1})).problem(kindCursorExpired)
}

// open begins a stream.
func (d *daemon) open(ctx context.Context, media, query string, headers ...string) *http.Response {
	d.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", d.srv.URL+ns+"/changes?"+query, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Accept", media)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := d.srv.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != media || resp.Header.Get(contextHeader) == "" {
		d.t.Fatal(resp.StatusCode, resp.Header)
	}
	return resp
}

// nextChange reads the next change of a stream of lines or of events, bookmarks left out.
func nextChange(t testing.TB, r *bufio.Reader) (Change, error) {
	var c Change
	id, event := "", ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return c, err
		}
		line = strings.TrimSuffix(line, "\n")
		if v, ok := strings.CutPrefix(line, "id: "); ok {
			id = v
			continue
		}
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			event = v
			continue
		}
		data, sse := strings.CutPrefix(line, "data: ")
		if data == "" || data == ":" {
			continue
		}
		c = Change{}
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Errorf("line %q: %v", line, err)
			return c, err
		}
		if sse && (id != c.Cursor || event != c.Event) {
			t.Errorf("%q %q with %s", id, event, data)
		}
		if c.Event != eventBookmark {
			return c, nil
		}
	}
}

func TestStreams(t *testing.T) {
	for _, media := range []string{mediaTypeSSE, mediaTypeNDJSON} {
		t.Run(media, func(t *testing.T) {
			d := newDaemon(t)
			d.do("PUT", ns+"/registers/a", `1`).ok(204)
			ctx, cancel := context.WithCancel(t.Context())
			r := bufio.NewReader(d.open(ctx, media, "since=start").Body)
			a, err := nextChange(t, r)
			if err != nil || a.Key != "a" {
				t.Fatal(a, err)
			}
			d.do("PUT", ns+"/registers/b", `1`).ok(204)
			b, err := nextChange(t, r)
			if err != nil || b.Key != "b" {
				t.Fatal(b, err)
			}
			cancel()
			// As a browser does: the same address, with the last id, which counts.
			r = bufio.NewReader(d.open(t.Context(), media, "since=start&limit=1", "Last-Event-ID: "+a.Cursor).Body)
			if c, err := nextChange(t, r); err != nil || c.Key != "b" {
				t.Fatal(c, err)
			}
			if c, err := nextChange(t, r); err != io.EOF {
				t.Fatal("behind its limit", c, err)
			}
			r = bufio.NewReader(d.open(t.Context(), media, "").Body)
			d.h.Drain()
			if c, err := nextChange(t, r); err != io.EOF {
				t.Fatal("behind the drain", c, err)
			}
		})
	}
}

// A filtered stream tells how far it has come.
func TestBookmarks(t *testing.T) {
	d := newDaemon(t)
	r := bufio.NewReader(d.open(t.Context(), mediaTypeNDJSON, "type=set&since=start").Body)
	first := ""
	for i := 0; ; i++ {
		line, err := r.ReadString('\n')
		var c Change
		if err != nil || json.Unmarshal([]byte(line), &c) != nil || c.Event != eventBookmark {
			t.Fatal(line, err)
		}
		if first == "" {
			first = c.Cursor
			// Changes that it does not want go on until it moves.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() {
				for ctx.Err() == nil {
					d.do("PUT", ns+"/registers/r", `1`).ok(204)
				}
			})
			defer wg.Wait()
			defer cancel()
			continue
		}
		if c.Cursor == first {
			t.Error("a bookmark that does not move")
		}
		return
	}
}

// A heartbeat comes when there is nothing to tell.
func TestBeat(t *testing.T) {
	var sse, ndjson strings.Builder
	for out, isSSE := range map[*strings.Builder]bool{&sse: true, &ndjson: false} {
		f := &feed{}
		s := &feedStream{feed: f, out: &lines{bufio.NewWriter(out)}, sse: isSSE}
		s.told = s.cursor(f.at)
		if err := s.beat(); err != nil {
			t.Error(err)
		}
	}
	if sse.String() != ":\n\n" || !strings.Contains(ndjson.String(), `"event":"bookmark"`) {
		t.Errorf("%q %q", sse.String(), ndjson.String())
	}
}

// stuck is a connection whose peer takes nothing: a write ends with an error.
type stuck struct {
	http.ResponseWriter
	deadlines int
}

func (s *stuck) Write([]byte) (int, error)        { return 0, os.ErrDeadlineExceeded }
func (s *stuck) SetWriteDeadline(time.Time) error { s.deadlines++; return nil }
func (s *stuck) SetReadDeadline(time.Time) error  { return nil }
func (s *stuck) FlushError() error                { return nil }
func (s *stuck) Header() http.Header              { return http.Header{} }
func (s *stuck) WriteHeader(int)                  {}

func TestStalledReaderIsDropped(t *testing.T) {
	d := newDaemon(t)
	w := &stuck{}
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("ended with %v", p)
			}
		}()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost"+ns+"/changes", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", mediaTypeSSE)
		r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7700})))
		d.h.ServeHTTP(w, r)
	}()
	if w.deadlines == 0 || d.h.feeds.Load() != 0 {
		t.Errorf("%d deadlines, %d readers are left", w.deadlines, d.h.feeds.Load())
	}
}

// Many readers that follow changes and removals, each by what the feed says alone, and that are cut
// off again and again and go on from the last cursor, hold in the end what the writers have left.
func TestFollowers(t *testing.T) {
	d := newDaemon(t)
	const readers, keys = 64, 20
	all, stop := context.WithTimeout(t.Context(), time.Minute) // who has lost the end would wait for ever
	defer stop()
	models := make([]map[string]string, readers)
	var wg sync.WaitGroup
	for i := range readers {
		models[i] = map[string]string{}
		media := []string{mediaTypeSSE, mediaTypeNDJSON}[i%2]
		patience := []int{1000, 7, 40, 1}[i/2%4] // changes until it is cut off
		wg.Go(func() {
			for at, ended := "", false; !ended; {
				ctx, cancel := context.WithCancel(all)
				r := bufio.NewReader(d.open(ctx, media, "since=start&include=value", "Last-Event-ID: "+at).Body)
				for n := 0; n < patience && !ended; n++ {
					c, err := nextChange(t, r)
					if err != nil {
						t.Errorf("reader %d: %v", i, err)
						break
					}
					at = c.Cursor
					name := c.Type + " " + c.Key
					if ended = c.Key == "end"; c.Event == eventRemoved {
						delete(models[i], name)
					} else if !ended {
						models[i][name] = string(*c.Value)
					}
				}
				cancel()
				ended = ended || t.Failed()
			}
		})
	}
	for i := range 300 {
		key := fmt.Sprint(i * 7 % keys)
		switch i % 5 {
		case 0:
			d.do("DELETE", ns+"/sets/"+key, "").ok(204)
		case 1:
			d.do("POST", ns+"/counters/"+key, `{"inc":1}`).ok(200)
		case 2:
			d.do("PUT", ns+"/registers/"+key, fmt.Sprint(i)).ok(204)
		case 3:
			d.do("DELETE", ns+"/registers/"+key, "").ok(204)
		default:
			d.do("PUT", ns+"/sets/"+key+"/members/"+fmt.Sprint(i), "").ok(204)
		}
	}
	d.do("PUT", ns+"/registers/end", `1`).ok(204)
	wg.Wait()
	want := map[string]string{}
	var list Keys
	d.do("GET", ns+"/keys?limit=1000", "").into(&list)
	for _, k := range list.Keys {
		var v struct {
			Value   json.RawMessage
			Members json.RawMessage
		}
		if err := json.Unmarshal([]byte(d.do("GET", esc(ns+"/"+collection(k.Type), k.Key), "").body), &v); err != nil {
			t.Fatal(err)
		}
		if k.Key != "end" {
			want[k.Type+" "+k.Key] = string(v.Value) + string(v.Members)
		}
	}
	for i, m := range models {
		if !maps.Equal(m, want) {
			t.Fatalf("reader %d has %v, want %v", i, m, want)
		}
	}
}
