package http

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

var code = regexp.MustCompile("`([^`]+)`")

// spans returns what is code in a cell of a table.
func spans(cell string) (all []string) {
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestSemantics runs the rows of the tables in docs/semantics.md by two daemons, of which Ben's has the
// later clock. Every type has its section.
func TestSemantics(t *testing.T) {
	b, err := os.ReadFile("../docs/semantics.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[crdt.Type]bool{}
	for _, rt := range routes() {
		if rt.object != 0 {
			missing[rt.object] = true
		}
	}
	later := store.MemoryOptions()
	later.Now = func() time.Time { return time.Now().Add(time.Second) }
	ana, ben, rows := newDaemon(t), openDaemon(t, later), 0
	for _, part := range strings.Split(string(b), "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		for typ := range missing {
			if !strings.HasPrefix(strings.ToLower(title), typ.String()) {
				continue
			}
			delete(missing, typ)
			for line := range strings.Lines(text) {
				if cells := strings.Split(line, "|"); len(cells) == 7 && len(spans(cells[2])) > 0 {
					rows++
					semantics(t, ana, ben, typ.String(), fmt.Sprint("k", rows), cells[1:5])
				}
			}
		}
	}
	if len(missing) > 0 || rows < 20 {
		t.Errorf("the document has %d rows, and no section of %v", rows, missing)
	}
}

// semantics runs a row: what was before, what each has written, what both see.
func semantics(t *testing.T, ana, ben *daemon, typ, key string, cells []string) {
	t.Helper()
	ana.ops(typ, key, spans(cells[0]))
	exchange(t, ana, ben)
	ana.ops(typ, key, spans(cells[1]))
	ben.ops(typ, key, spans(cells[2]))
	exchange(t, ana, ben)
	exchange(t, ben, ana)
	for who, d := range map[string]*daemon{"Ana": ana, "Ben": ben} {
		got, want := d.sees(typ, key), wanted(cells[3])
		if !slices.Contains(strings.Split(want, " or "), got) || (want == "") != strings.Contains(cells[3], "absent") {
			t.Errorf("%s: %s: %s sees %s", typ, strings.Join(cells, "|"), who, got)
		}
	}
}

// ops applies ops to an object, in one batch.
func (d *daemon) ops(typ, key string, ops []string) {
	d.t.Helper()
	for i, op := range ops {
		op = named.ReplaceAllStringFunc(op, func(name string) string { return d.idOf(typ, key, `"`+name[1:len(name)-1]+`"`) })
		ops[i] = `{"` + typ + `":"` + key + `",` + strings.TrimPrefix(op, "{")
	}
	d.do("POST", ns+"/batch", `{"ops":[`+strings.Join(ops, ",")+`]}`).ok(200)
}

// sees returns the value or the members of an object, or its values if there are several.
func (d *daemon) sees(typ, key string) string {
	d.t.Helper()
	r := d.do("GET", ns+"/"+collection(typ)+"/"+key, "")
	if r.status == 404 {
		return ""
	}
	var seen struct {
		Value, Members json.RawMessage
		Values         []json.RawMessage
		Items          []Item
	}
	if err := json.Unmarshal([]byte(r.ok(200).body), &seen); err != nil {
		d.t.Fatal(err)
	}
	if seen.Items != nil {
		return showItems(seen.Items)
	}
	if len(seen.Values) == 0 {
		return string(seen.Value) + string(seen.Members)
	}
	values := make([]string, len(seen.Values))
	for i, v := range seen.Values {
		values[i] = string(v)
	}
	return strings.Join(values, " ")
}

// named is what stands for the id of an item in the document.
var named = regexp.MustCompile("<[a-z]+>")

// idOf returns the id of the item of a list that shows a value.
func (d *daemon) idOf(typ, key, value string) string {
	d.t.Helper()
	var l List
	d.do("GET", ns+"/"+collection(typ)+"/"+key, "").ok(200).into(&l)
	i := slices.IndexFunc(l.Items, func(i Item) bool { return string(i.Value) == value })
	if i < 0 {
		d.t.Fatalf("no item shows %s", value)
	}
	return l.Items[i].ID
}

// showItems writes a list as the document does.
func showItems(items []Item) string {
	var shown []string
	for _, i := range items {
		values := []string{string(i.Value)}
		for _, v := range i.Values[min(1, len(i.Values)):] {
			values = append(values, string(v))
		}
		shown = append(shown, strings.Join(values, " and "))
	}
	return strings.Join(shown, " ")
}

// wanted returns what a cell says that both see; it may name several results.
func wanted(cell string) string {
	var results []string
	for part := range strings.SplitSeq(cell, " or ") {
		results = append(results, strings.Join(spans(part), " "))
	}
	return strings.Join(results, " or ")
}
