package http

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"pgregory.net/rapid"
)

const mergeType = "Content-Type: " + mediaTypeMerge

// rfc7396 is the function of RFC 7396, section 2, word for word.
func rfc7396(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	t = maps.Clone(t)
	for name, value := range p {
		if value == nil {
			delete(t, name)
		} else {
			t[name] = rfc7396(t[name], value)
		}
	}
	return t
}

// prune takes empty objects away, which no map holds. Arrays stay as they are.
func prune(v any) (any, bool) {
	o, ok := v.(map[string]any)
	if !ok {
		return v, true
	}
	kept := map[string]any{}
	for name, m := range o {
		if m, ok := prune(m); ok {
			kept[name] = m
		}
	}
	return kept, len(kept) > 0
}

func plainOf(t require, body string) any {
	var m struct{ Value any }
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	pruned, _ := prune(m.Value)
	return pruned
}

// require is what a test and a rapid test have in common.
type require interface {
	Fatalf(format string, args ...any)
}

// The table of RFC 7396, appendix A. A map is an object at its top, and never an empty one
// further down; the rows whose document is something else are moved into a field.
func TestMergePatchAppendix(t *testing.T) {
	for _, row := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"x":["a","b"]}`, `{"x":["c","d"]}`, `{"x":["c","d"]}`},
		{`{"x":{"a":"b"}}`, `{"x":["c"]}`, `{"x":["c"]}`},
		{`{"x":{"a":"foo"}}`, `{"x":null}`, `{}`},
		{`{"x":{"a":"foo"}}`, `{"x":"bar"}`, `{"x":"bar"}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"x":[1,2]}`, `{"x":{"a":"b","c":null}}`, `{"x":{"a":"b"}}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{}`},
	} {
		d := newDaemon(t)
		d.put(row[0])
		d.do("PATCH", ns+"/maps/m", row[1], mergeType).want(200, `{"type":"map","key":"m","value":`+row[2]+`}`)
		if row[2] == "{}" {
			d.do("GET", ns+"/maps/m", "").problem(kindNotFound)
		} else {
			d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":`+row[2]+`}`)
		}
		again := d.do("GET", ns+"/keys", "").token()
		d.do("PATCH", ns+"/maps/m", row[1], mergeType).ok(200)
		if d.do("GET", ns+"/keys", "").token() != again {
			t.Errorf("%s a second time makes a commit", row[1])
		}
	}
	d := newDaemon(t)
	for _, body := range []string{`["c"]`, `null`, `"bar"`, `1`, ``, `{"a":1,"a":2}`, `{"a":}`, `{} 1`, `{"":1}`} {
		d.do("PATCH", ns+"/maps/m", body, mergeType).problem(kindBadRequest)
	}
}

// put writes the fields of an object, nested objects as maps, nulls as registers.
func (d *daemon) put(object string) {
	d.t.Helper()
	var ops []map[string]any
	var walk func(path []string, v any)
	walk = func(path []string, v any) {
		if o, ok := v.(map[string]any); ok {
			for _, name := range slices.Sorted(maps.Keys(o)) {
				walk(append(slices.Clone(path), name), o[name])
			}
			return
		}
		ops = append(ops, map[string]any{"path": path, "value": v})
	}
	var v any
	if err := json.Unmarshal([]byte(object), &v); err != nil {
		d.t.Fatal(err)
	}
	if walk(nil, v); len(ops) == 0 {
		return
	}
	body, err := json.Marshal(map[string]any{"ops": ops})
	if err != nil {
		d.t.Fatal(err)
	}
	d.do("PATCH", ns+"/maps/m", string(body)).ok(200)
}

// A series of patches does to a map of registers what RFC 7396 does to the JSON that it shows,
// but for empty objects; registers that hold objects count as what they show.
func TestMergePatchIsRFC7396(t *testing.T) {
	d := newDaemon(t)
	names := rapid.SampledFrom([]string{"a", "b", "c", "d/é"})
	values := rapid.SampledFrom([]any{nil, 1.0, "x", true, []any{}, []any{nil, map[string]any{"a": nil}}, "", 0.0})
	var objects func(depth int) *rapid.Generator[any]
	objects = func(depth int) *rapid.Generator[any] {
		member := values
		if depth > 0 {
			member = rapid.OneOf(values, rapid.Deferred(func() *rapid.Generator[any] { return objects(depth - 1) }))
		}
		return rapid.Map(rapid.MapOfN(names, member, 0, 3), func(m map[string]any) any { return m })
	}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := fmt.Sprintf("%s/maps/%d", ns, n)
		var model any = map[string]any{}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "put") == 0 {
				name, v := names.Draw(t, "name"), objects(2).Draw(t, "value")
				d.do("PUT", esc(m+"/fields", name), encoded(v)).ok(204)
				model.(map[string]any)[name] = v
			} else {
				patch := objects(3).Draw(t, "patch")
				model = rfc7396(model, patch)
				got := d.do("PATCH", m, encoded(patch), mergeType).ok(200).body
				if pruned, _ := prune(model); encoded(plainOf(t, got)) != encoded(pruned) {
					t.Fatalf("%s made %s\nwant %s", encoded(patch), got, encoded(pruned))
				}
			}
			if _, some := prune(model); !some && d.do("GET", m, "").status == 404 {
				model = map[string]any{}
			}
		}
	})
}

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// What a patch does to counters, sets, and fields where two types stand.
func TestMergePatchAndTypes(t *testing.T) {
	for _, c := range []struct {
		name, patch string
		want        string // the value of the map afterwards; "" for wrong-type-op
		same        bool   // and no commit
	}{
		{"counter, its value", `{"n":3}`, `{"n":3,"s":["a","b"]}`, true},
		{"counter, its value otherwise", `{"n":3.0}`, `{"n":3,"s":["a","b"]}`, true},
		{"counter, a number", `{"n":4}`, "", false},
		{"counter, a string", `{"n":"3"}`, "", false},
		{"counter, and something else", `{"z":1,"n":4}`, "", false},
		{"counter, an array", `{"n":[4]}`, `{"n":[4],"s":["a","b"]}`, false},
		{"counter, an object", `{"n":{"x":4}}`, `{"n":{"x":4},"s":["a","b"]}`, false},
		{"counter, an empty object", `{"n":{}}`, `{"s":["a","b"]}`, false},
		{"counter, null", `{"n":null}`, `{"s":["a","b"]}`, false},
		{"set, its members", `{"s":["a","b"]}`, `{"n":3,"s":["a","b"]}`, true},
		{"set, fewer", `{"s":["a"]}`, "", false},
		{"set, others", `{"s":["a","c"]}`, "", false},
		{"set, another order", `{"s":["b","a"]}`, "", false},
		{"set, none", `{"s":[]}`, "", false},
		{"set, no strings", `{"s":[1,2]}`, "", false},
		{"set, a scalar", `{"s":true}`, `{"n":3,"s":true}`, false},
		{"set, an object", `{"s":{"a":1}}`, `{"n":3,"s":{"a":1}}`, false},
		{"absent, an empty object", `{"z":{}}`, `{"n":3,"s":["a","b"]}`, true},
		{"absent, deep nothing", `{"z":{"y":{"x":null},"w":{}}}`, `{"n":3,"s":["a","b"]}`, true},
		{"everything as shown", `{"n":3,"s":["a","b"]}`, `{"n":3,"s":["a","b"]}`, true},
	} {
		d := newDaemon(t)
		d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["n"],"inc":3},{"path":["s"],"add":["b","a"]}]}`).ok(200)
		before := d.do("GET", ns+"/maps/m", "").token()
		r := d.do("PATCH", ns+"/maps/m", c.patch, mergeType)
		if c.want == "" {
			r.problem(kindWrongType)
		} else {
			r.want(200, `{"type":"map","key":"m","value":`+c.want+`}`)
		}
		if same := d.do("GET", ns+"/maps/m", "").token() == before; same != (c.same || c.want == "") {
			t.Errorf("%s: no commit: %v", c.name, same)
		}
	}
}

// A register that holds an object is patched as the object that it shows.
func TestMergePatchIntoRegisterOfObject(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":1,"b":{"x":[ ],"y":{}}}`, `{"f":{"a":1.0,"z":null,"b":{"y":{}}}}`, `{"a":1,"b":{"x":[],"y":{}}}`},
		{`{"a":1,"b":{"x":{}}}`, `{"f":{"a":2}}`, `{"a":2,"b":{"x":{}}}`},
		{`{"a":1,"b":{"x":{},"y":1.50}}`, `{"f":{"b":{"z":[null]}}}`, `{"a":1,"b":{"x":{},"y":1.50,"z":[null]}}`},
		{`{"a":null,"b":2}`, `{"f":{"b":null}}`, `{"a":null}`},
		{`{"a":1}`, `{"f":{"a":{"b":2}}}`, `{"a":{"b":2}}`},
	} {
		d := newDaemon(t)
		d.do("PUT", ns+"/maps/m/fields/f", c[0]).ok(204)
		d.do("PATCH", ns+"/maps/m", c[1], mergeType).want(200, `{"type":"map","key":"m","value":{"f":`+c[2]+`}}`)
	}
	d := newDaemon(t)
	d.do("PUT", ns+"/maps/m/fields/f", `{"":1,"a":2}`).ok(204)
	d.do("PATCH", ns+"/maps/m", `{"f":{"a":3}}`, mergeType).problem(kindWrongType) // no field has an empty name
	d.do("PUT", ns+"/maps/m/fields/f", `{"x":0`+manyMembers(1000)+`}`).ok(204)
	d.do("PATCH", ns+"/maps/m", `{"f":{"x":1}}`, mergeType).problem(kindTooLarge)
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":%d`, i, i)
	}
	return b.String()
}

func TestMergePatchLimits(t *testing.T) {
	d := newDaemon(t)
	patch := func(body string) result { return d.do("PATCH", ns+"/maps/m", body, mergeType) }
	patch(`{"x":{"m":0` + manyMembers(999) + `}}`).ok(200)
	patch(`{"m":0` + manyMembers(1000) + `}`).problem(kindTooLarge)
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + `1` + strings.Repeat(`}`, n) }
	patch(deep(32)).ok(200)
	patch(deep(33)).problem(kindTooLarge)
	patch(`{"` + strings.Repeat("x", 1025) + `":null}`).problem(kindTooLarge)
	patch(`{"a":"` + strings.Repeat("x", 256<<10) + `"}`).problem(kindTooLarge)
	patch(`{"a":1` + strings.Repeat(" ", 512<<10) + `}`).problem(kindTooLarge)
	var chains []string
	for i := range 40 {
		chains = append(chains, fmt.Sprintf(`"%d":%s`, i, deep(31)))
	}
	patch(`{` + strings.Join(chains, ",") + `}`).problem(kindTooLarge)
	p := d.do("PATCH", ns+"/maps/m", `{}`, "Content-Type: application/json-patch+json")
	if p.problem(kindMediaType); p.header.Get("Accept-Patch") != mediaTypeJSON+", "+mediaTypeMerge {
		t.Error(p.header)
	}
	d.do("PUT", ns+"/registers/r", `{}`, mergeType).problem(kindMediaType)
}

// A patch takes the place of what was seen, and no more.
func TestMergePatchWithToken(t *testing.T) {
	d := newDaemon(t)
	o := other{d: d, id: 9}
	m := crdt.Object(crdt.Map, "m")
	d.put(`{"a":{"x":1},"b":1,"c":1}`)
	token := contextHeader + ": " + d.do("GET", ns+"/maps/m", "").token()
	o.apply(value(m.Fields("a", "y").Leaf(crdt.Register), "2", older), value(m.Field("b").Leaf(crdt.Register), "2", older), value(m.Field("c").Leaf(crdt.Register), "2", older))
	d.do("PATCH", ns+"/maps/m", `{"a":7,"b":null,"c":8}`, mergeType, token).want(200, `{"type":"map","key":"m","value":{"a":7,"b":2,"c":8}}`)
	d.do("GET", ns+"/maps/m/fields/a/y", "").want(200, `{"type":"register","key":"m","path":["a","y"],"value":2}`)
	d.do("GET", ns+"/maps/m/fields/a/x", "").problem(kindNotFound)
	d.do("GET", ns+"/maps/m/fields/c", "").want(200, `{"type":"register","key":"m","path":["c"],"value":8,"values":[8,2],"conflict":true}`)
	// What shows decides, and what is written takes the place of all that was seen: so the map
	// under a does not come back.
	d.do("PATCH", ns+"/maps/m", `{"a":{"z":1},"b":null,"c":8}`, mergeType).want(200, `{"type":"map","key":"m","value":{"a":{"z":1},"c":8}}`)
}

func TestEqualJSON(t *testing.T) {
	for _, same := range [][2]string{
		{`1`, `1.0`}, {`100`, `1e2`}, {`0.01`, `1E-2`}, {`-0`, `0.0e5`}, {`12.50`, `1.25e+1`}, {`1e0000000000000000000002`, `100`},
		{`"\u00e9\n"`, `"é\u000a"`}, {`{"a":1,"b":[1,{}]}`, `{"b":[1.0,{}],"\u0061":1}`}, {`[ ]`, `[]`}, {`null`, `null`},
	} {
		if !equalJSON([]byte(same[0]), []byte(same[1])) || !equalJSON([]byte(same[1]), []byte(same[0])) {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
	for _, differ := range [][2]string{
		{`1`, `"1"`}, {`1`, `10`}, {`1`, `-1`}, {`0.1`, `0.01`}, {`12345678901234567890123`, `12345678901234567890124`}, {`[1,2]`, `[2,1]`}, {`[[1],2]`, `[[1,2]]`},
		{`{"a":1}`, `{"a":1,"b":1}`}, {`{}`, `[]`}, {`null`, `false`}, {`true`, `false`}, {`""`, `" "`}, {`1e99999999999999999999`, `1e9999999999999999999`}, {``, `1`},
	} {
		if equalJSON([]byte(differ[0]), []byte(differ[1])) || equalJSON([]byte(differ[1]), []byte(differ[0])) {
			t.Errorf("%s is %s", differ[0], differ[1])
		}
	}
}
