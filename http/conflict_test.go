package http

import (
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func value(path crdt.Path, json string, t crdt.Timestamp) crdt.Entry {
	return crdt.Entry{Path: path, Kind: crdt.KindValue, Time: t, Value: []byte(json)}
}

func cell(path crdt.Path, lineage uint64, p uint64, t crdt.Timestamp) crdt.Entry {
	return crdt.Entry{Path: path, Kind: crdt.KindCell, Time: t, Value: crdt.Cell{Lineage: lineage, P: crdt.Uint128{Lo: p}}.Encode()}
}

func member(path crdt.Path, t crdt.Timestamp) crdt.Entry {
	return crdt.Entry{Path: path, Kind: crdt.KindMember, Time: t}
}

// The older and the newer of two concurrent writes; now is between them.
const (
	older crdt.Timestamp = 1
	newer crdt.Timestamp = 1 << 62
)

func TestSiblings(t *testing.T) {
	d := newDaemon(t)
	o := other{d: d, id: 9}
	const r = ns + "/registers/r"
	leaf := crdt.Object(crdt.Register, "r").Leaf(crdt.Register)
	d.do("PUT", r, `"mine"`).ok(204)
	before := d.do("GET", r, "").token()
	o.apply(value(leaf, `"theirs"`, newer))
	d.do("GET", r, "").want(200, `{"type":"register","key":"r","value":"theirs","conflict":true,"values":["theirs","mine"]}`)
	// With the token from before the other write, this one supersedes only what that covers.
	d.do("PUT", r, `"again"`, contextHeader+": "+before).ok(204)
	d.do("GET", r, "").want(200, `{"type":"register","key":"r","value":"theirs","conflict":true,"values":["theirs","again"]}`)
	d.do("DELETE", r, "", contextHeader+": "+before).want(204, "")
	d.do("GET", r, "").want(200, `{"type":"register","key":"r","value":"theirs","conflict":true,"values":["theirs","again"]}`)
	export := d.do("GET", ns+"/export", "").want(200, `{"register":"r","value":"theirs"}`)
	d.do("PUT", r, `1`, contextHeader+": "+export.token()).ok(204)
	d.do("GET", r, "").want(200, `{"type":"register","key":"r","value":1,"conflict":false}`)

	field := crdt.Object(crdt.Map, "m").Field("f").Leaf(crdt.Register)
	d.do("PUT", ns+"/maps/m/fields/f", `1`).ok(204)
	o.apply(value(field, `2`, newer))
	d.do("GET", ns+"/maps/m/fields/f", "").want(200, `{"type":"register","key":"m","path":["f"],"value":2,"values":[2,1],"conflict":true}`)
	d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":{"f":2}}`)
}

// Removals with a token take away exactly what it covers.
func TestRemovalsWithToken(t *testing.T) {
	d := newDaemon(t)
	d.do("POST", ns+"/sets/s", `{"add":["a","b"]}`).ok(200)
	d.do("POST", ns+"/counters/c", `{"inc":5}`).ok(200)
	token := contextHeader + ": " + d.do("PUT", ns+"/maps/m/fields/f", `1`).token()
	d.do("PUT", ns+"/sets/s/members/a", "").ok(204) // added again: a fresh dot
	d.do("PUT", ns+"/maps/m/fields/g", `2`).ok(204)
	d.do("POST", ns+"/sets/s", `{"remove":["a","b"]}`, token).want(200, `{"added":0,"removed":1}`)
	d.do("DELETE", ns+"/sets/s/members/a", "", token).want(204, "")
	d.do("DELETE", ns+"/sets/s", "", token).want(204, "")
	d.do("GET", ns+"/sets/s", "").want(200, `{"type":"set","key":"s","members":["a"],"size":1}`)
	d.do("DELETE", ns+"/maps/m", "", token).want(204, "")
	d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":{"g":2}}`)
	// A counter's cell is one entry: once it has moved on, an old token covers nothing of it.
	d.do("POST", ns+"/counters/c", `{"inc":1}`).ok(200)
	d.do("POST", ns+"/counters/c", `{"reset":true}`, token).want(200, `{"type":"counter","key":"c","value":6}`)
	d.do("POST", ns+"/counters/c", `{"reset":true}`).want(200, `{"type":"counter","key":"c","value":0}`)
}

// Two types at one field: the plain shape shows the newer, whole, in pages of any size, as a
// field of its own, and in the export.
func TestTwoTypesAtOneField(t *testing.T) {
	m := crdt.Object(crdt.Map, "m")
	f := m.Field("f")
	for _, c := range []struct {
		name   string
		theirs []crdt.Entry
		mine   string
		whole  string
		field  string
		export string
	}{
		{"newer counter", []crdt.Entry{cell(f.Leaf(crdt.Counter), 1, 7, newer)}, `"value":1`,
			`{"f":7,"z":0}`, `{"type":"counter","key":"m","path":["f"],"value":7}`, `{"map":"m","path":["f"],"inc":7}`},
		{"older counter", []crdt.Entry{cell(f.Leaf(crdt.Counter), 1, 7, older)}, `"value":1`,
			`{"f":1,"z":0}`, `{"type":"register","key":"m","path":["f"],"value":1}`, `{"map":"m","path":["f"],"value":1}`},
		{"newer set", []crdt.Entry{member(f.Leaf(crdt.Set).Member("x"), newer), member(f.Leaf(crdt.Set).Member("y"), older)}, `"inc":1`,
			`{"f":["x","y"],"z":0}`, `{"type":"set","key":"m","path":["f"],"members":["x","y"],"size":2}`, `{"map":"m","path":["f"],"add":["x","y"]}`},
		{"newer map", []crdt.Entry{value(f.Field("a").Leaf(crdt.Register), `"deep"`, older), value(f.Fields("b", "c").Leaf(crdt.Register), `true`, newer)}, `"value":1`,
			`{"f":{"a":"deep","b":{"c":true}},"z":0}`, `{"type":"map","key":"m","path":["f"],"value":{"a":"deep","b":{"c":true}}}`,
			"{\"map\":\"m\",\"path\":[\"f\",\"a\"],\"value\":\"deep\"}\n{\"map\":\"m\",\"path\":[\"f\",\"b\",\"c\"],\"value\":true}"},
		{"older map", []crdt.Entry{value(f.Field("a").Leaf(crdt.Register), `1`, older), value(f.Fields("b", "c").Leaf(crdt.Register), `2`, older)}, `"value":1`,
			`{"f":1,"z":0}`, `{"type":"register","key":"m","path":["f"],"value":1}`, `{"map":"m","path":["f"],"value":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDaemon(t)
			d.do("PATCH", ns+"/maps/m", `{"ops":[{"path":["f"],`+c.mine+`},{"path":["z"],"value":0}]}`).ok(200)
			o := other{d: d, id: 9}
			o.apply(c.theirs...)
			d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":`+c.whole+`}`)
			d.do("GET", ns+"/maps/m?limit=1000", "").want(200, `{"type":"map","key":"m","value":`+c.whole+`}`)
			d.do("GET", ns+"/maps/m/fields/f", "").want(200, c.field)
			d.do("GET", ns+"/export", "").want(200, c.export+"\n"+`{"map":"m","path":["z"],"value":0}`)
			merged := map[string]any{}
			for cursor := ""; ; {
				body := d.do("GET", ns+"/maps/m?limit=1"+cursor, "").ok(200).body
				var page struct{ Value map[string]any }
				mergeInto(merged, decode(t, body, &page).Value)
				next := nextOf(t, body)
				if next == "" {
					break
				}
				cursor = "&cursor=" + next
			}
			var whole map[string]any
			decode(t, c.whole, &whole)
			if a, b := string(mustJSON(t, merged)), string(mustJSON(t, whole)); a != b {
				t.Errorf("pages of one field make %s, whole is %s", a, b)
			}
			// A write at the field settles it.
			d.do("PUT", ns+"/maps/m/fields/f", `"settled"`).ok(204)
			d.do("GET", ns+"/maps/m", "").want(200, `{"type":"map","key":"m","value":{"f":"settled","z":0}}`)
		})
	}
}

func mergeInto(into, from map[string]any) {
	for k, v := range from {
		a, ok1 := into[k].(map[string]any)
		b, ok2 := v.(map[string]any)
		if ok1 && ok2 {
			mergeInto(a, b)
		} else {
			into[k] = v
		}
	}
}

// A value beyond int64, which only a merge makes, is told exactly.
func TestValueBeyondInt64(t *testing.T) {
	d := newDaemon(t)
	leaf := crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)
	for id := range crdt.ReplicaID(3) {
		o := other{d: d, id: id + 5}
		o.apply(cell(leaf, 1, 1<<63-1, newer))
	}
	d.do("GET", ns+"/counters/c", "").want(200, `{"type":"counter","key":"c","value":"27670116110564327421"}`)
	d.do("POST", ns+"/counters/c", `{"inc":1}`).problem(kindOverflow)
	d.do("GET", ns+"/export", "").want(200, `{"counter":"c","inc":"27670116110564327421"}`)
	d.do("POST", ns+"/counters/c", `{"reset":true}`).want(200, `{"type":"counter","key":"c","value":0}`)
	d.do("GET", ns+"/counters/c", "").problem(kindNotFound)
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[]}`)
	d.do("GET", ns+"/export", "").want(200, "")
}
