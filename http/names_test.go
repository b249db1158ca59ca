package http

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/anabranchdb/anabranch/crdt"
	"pgregory.net/rapid"
)

// hurtful are names that have hurt somebody: path steps, separators, escapes, controls, quotes,
// characters of several spellings, and the longest.
var hurtful = []string{
	"/", "a/", "/a", "//", ".", "..", "...", "a/../b", "%", "%2F", "%2f", "%00", "+", " ", "a b", "?", "#", "a?b=c#d", "&", "=", ";",
	"\x00", "a\x00b", "\n", "\r\n", "\t", "\x7f", `"`, `'`, `\`, `\u0000`, "`", "~", "~YQ", "!", "|", "{", "}", "fields", "members", "keys",
	"😀", "é", "e\u0301", "\u202e", "\ufeff", "\u2028", "<script>", "null", "-", "_", "0", strings.Repeat("x", 1024), strings.Repeat("é", 512),
}

func TestHurtfulNamesInPaths(t *testing.T) {
	d := newDaemon(t)
	for _, n := range hurtful {
		q := string(mustJSON(t, n))
		d.do("POST", esc(ns+"/counters", n), `{"inc":1}`).ok(200)
		d.do("PUT", esc(ns+"/registers", n), q).want(204, "")
		d.do("PUT", esc(esc(ns+"/sets", n)+"/members", n), "").want(204, "")
		d.do("PUT", esc(ns+"/sets/all/members", n), "").want(204, "")
		d.do("PUT", esc(esc(ns+"/maps", n)+"/fields", n, n), q).want(204, "")
	}
	for _, n := range hurtful {
		var c Counter
		d.do("GET", esc(ns+"/counters", n), "").ok(200).into(&plainCounter{&c})
		var reg struct{ Key, Value string }
		r := d.do("GET", esc(ns+"/registers", n), "").ok(200)
		if err := json.Unmarshal([]byte(r.body), &reg); err != nil || reg.Key != n || reg.Value != n {
			t.Errorf("register %q: %s", n, r.body)
		}
		var s Set
		d.do("GET", esc(ns+"/sets", n), "").ok(200).into(&s)
		if s.Key != n || !slices.Equal(s.Members, []string{n}) {
			t.Errorf("set %q: %+v", n, s)
		}
		d.do("GET", esc(esc(ns+"/sets", n)+"/members", n), "").want(204, "")
		d.do("DELETE", esc(esc(ns+"/sets", n)+"/members", n), "").want(204, "")
		d.do("GET", esc(ns+"/sets", n), "").problem(kindNotFound)
		var m struct{ Value map[string]map[string]string }
		r = d.do("GET", esc(ns+"/maps", n), "").ok(200)
		if err := json.Unmarshal([]byte(r.body), &m); err != nil || m.Value[n][n] != n {
			t.Errorf("map %q: %s", n, r.body)
		}
		d.do("DELETE", esc(esc(ns+"/maps", n)+"/fields", n), "").want(204, "")
		d.do("GET", esc(ns+"/maps", n), "").problem(kindNotFound)
		d.do("DELETE", esc(ns+"/counters", n), "").want(204, "")
		d.do("DELETE", esc(ns+"/registers", n), "").want(204, "")
	}
	var s Set
	d.do("GET", ns+"/sets/all?limit=1000", "").into(&s)
	want := slices.Sorted(slices.Values(hurtful))
	if !slices.Equal(s.Members, want) || s.Size != uint64(len(want)) {
		t.Errorf("%q\nwant %q", s.Members, want)
	}
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[{"type":"set","key":"all"}]}`)
}

// plainCounter takes the value of a counter for what it is in JSON.
type plainCounter struct{ *Counter }

func (c *plainCounter) UnmarshalJSON([]byte) error { return nil }

// The same names in bodies, and the export as a batch that makes everything again.
func TestHurtfulNamesInBodies(t *testing.T) {
	d, e := newDaemon(t), newDaemon(t)
	for _, n := range hurtful {
		q := string(mustJSON(t, n))
		d.do("POST", ns+"/batch", `{"ops":[{"counter":`+q+`,"inc":1},{"register":`+q+`,"value":`+q+`},{"set":`+q+`,"add":[`+q+`]},
			{"map":`+q+`,"path":[`+q+`,`+q+`],"inc":2},{"map":`+q+`,"path":[`+q+`,"s"],"add":[`+q+`]}]}`).ok(200)
	}
	export := d.do("GET", ns+"/export", "").ok(200).body
	lines := strings.Split(export, "\n")
	if len(lines) != 5*len(hurtful) {
		t.Errorf("%d lines, want %d", len(lines), 5*len(hurtful))
	}
	for _, line := range lines {
		e.do("POST", ns+"/batch", `{"ops":[`+line+`]}`).ok(200)
	}
	if again := e.do("GET", ns+"/export", "").body; again != export {
		t.Error("what was exported and taken back exports differently")
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What goes through the mux comes out as it was, and no name makes two segments.
func TestMuxPathKeepsNames(t *testing.T) {
	name := rapid.OneOf(rapid.SampledFrom(hurtful), rapid.String().Filter(func(s string) bool { return s != "" && utf8.ValidString(s) }))
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name, 1, 5).Draw(t, "names")
		split, err := splitPath(esc("", names...))
		if err != nil || !slices.Equal(split, names) {
			t.Fatalf("split %q, %v", split, err)
		}
		parts := strings.Split(muxPath(names), "/")[1:]
		if len(parts) != len(names) {
			t.Fatalf("%d segments for %d names", len(parts), len(names))
		}
		for i, p := range parts {
			if got := nameOf(p); got != names[i] || strings.ContainsAny(p, "%?#") || p == "." || p == ".." {
				t.Fatalf("%q came out as %q by way of %q", names[i], got, p)
			}
		}
		fields := append([]string{"v1", "ns", "default", "maps", "m", "fields"}, names...)
		parts = strings.Split(muxPath(fields), "/")[1:]
		if len(parts) != 7 || !slices.Equal(namesOf(parts[6]), names) {
			t.Fatalf("fields %q", parts)
		}
	})
}

func FuzzSplitPath(f *testing.F) {
	for _, n := range hurtful {
		f.Add(esc("/v1", n))
		f.Add("/" + n)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		names, err := splitPath(escaped)
		if err != nil {
			if problemOf(err).Status != 400 {
				t.Fatal(err)
			}
			return
		}
		if len(names) != strings.Count(escaped, "/") {
			t.Fatalf("%q: %d names", escaped, len(names))
		}
		for _, n := range names {
			if n == "" || !utf8.ValidString(n) {
				t.Fatalf("%q: name %q", escaped, n)
			}
		}
		again, err := splitPath(esc("", names...))
		if err != nil || !slices.Equal(again, names) {
			t.Fatalf("%q: %q, then %q, %v", escaped, names, again, err)
		}
		muxPath(names)
	})
}

var clocks = rapid.Custom(func(t *rapid.T) crdt.VersionVector {
	v := crdt.VersionVector{}
	for range rapid.IntRange(0, 20).Draw(t, "replicas") {
		v[crdt.ReplicaID(rapid.Uint64Min(1).Draw(t, "replica"))] = rapid.Uint64Min(1).Draw(t, "seq")
	}
	return v
})

// Tokens are canonical and bound to their namespace; a clock of 1,000 replicas fits a header.
func TestTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := clocks.Draw(t, "a"), clocks.Draw(t, "b")
		x, y := encodeToken("ns", a), encodeToken("ns", b)
		if (x == y) != (a.Compare(b) == crdt.Equal) || x == "" {
			t.Fatal("equal clocks, and only they, have equal tokens")
		}
		got, err := decodeToken("ns", x)
		if err != nil || got.Compare(a) != crdt.Equal || got == nil {
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := decodeToken("other", x); problemOf(err).Type != problemPrefix+"bad-context" {
			t.Fatal(err)
		}
	})
	large := crdt.VersionVector{}
	for r := range crdt.ReplicaID(1000) {
		large[r<<40+1] = 1 << 20
	}
	if n := len(encodeToken("ns", large)); n > maxTokenBytes {
		t.Errorf("the token of 1000 replicas has %d bytes", n)
	}
	d := newDaemon(t)
	p := d.do("GET", ns+"/keys", "", contextHeader+": "+encodeToken("default", large)).problem(kindNotYetVisible)
	if p.Missing != 1000<<20 {
		t.Error(p)
	}
}

// The binding is the hash that tokens and cursors of earlier versions have.
func TestBinding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.String()).Draw(t, "parts")
		h := fnv.New64a()
		for _, p := range parts {
			_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
			_, _ = h.Write([]byte(p))
		}
		if got := binding(parts...); got != h.Sum64() {
			t.Fatalf("%x, want %x", got, h.Sum64())
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(encodeToken("ns", nil))
	f.Add(encodeToken("ns", crdt.VersionVector{1: 1, 2: 1 << 40}))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		clock, err := decodeToken("ns", token)
		if err == nil && encodeToken("ns", clock) != token {
			t.Fatalf("%q is taken, but is written %q", token, encodeToken("ns", clock))
		}
	})
}

func FuzzCursor(f *testing.F) {
	p := page{query: 7}
	f.Add(p.next(crdt.Object(crdt.Set, "a")))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		after, ok := decodeCursor(7, cursor)
		if ok && p.next(after) != cursor {
			t.Fatalf("%q is taken, but is written %q", cursor, p.next(after))
		}
	})
}

// The reader takes nothing that encoding/json does not take, and changes no value.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.0e5,null,true,"x\n\u00e9\ud83d\ude00"],"b":{}}`, ` [ ] `, `"\""`, `{"a":1,"a":2}`, `-0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readValue(body)
		if err != nil {
			return
		}
		if !json.Valid(body) || !utf8.Valid(body) {
			t.Fatalf("%q is taken", body)
		}
		again, err := readValue(got)
		if err != nil || string(again) != string(got) {
			t.Fatalf("%q became %q, and that %q, %v", body, got, again, err)
		}
		var x, y any
		if json.Unmarshal(body, &x) == nil && json.Unmarshal(got, &y) == nil {
			if a, b := mustJSON(t, x), mustJSON(t, y); string(a) != string(b) {
				t.Fatalf("%q became %q", body, got)
			}
		}
		d := &jsonReader{b: got}
		if got[0] == '"' {
			s, err := d.str()
			if err != nil || s != x {
				t.Fatalf("%q reads %q, %v", got, s, err)
			}
			if back, err := (&jsonReader{b: appendQuoted(nil, s)}).str(); err != nil || back != s {
				t.Fatalf("%q is written %q", s, appendQuoted(nil, s))
			}
		}
	})
}

func TestIntegers(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0": 0, "5": 5, "-5": -5, "1.0": 1, "1e3": 1000, "1.5e1": 15, "100e-2": 1, "0.0": 0, "0e999999999999": 0,
		"9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63, "9.223372036854775807e18": 1<<63 - 1, "1E+2": 100,
	} {
		if got, err := parseInteger(in); err != nil || got != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	for in, want := range map[string]error{
		"0.5": errInteger, "1e-1": errInteger, "15e-2": errInteger, "1e-99999999999": errInteger,
		"9223372036854775808": errRange, "-9223372036854775809": errRange, "1e19": errRange, "1e400": errRange, "1e99999999999": errRange,
	} {
		if got, err := parseInteger(in); err != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
}
