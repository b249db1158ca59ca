package history

import (
	"compress/gzip"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

var file = flag.String("history", "testdata/recorded.jsonl.gz", "the history to judge; it may be compressed")

func recorded(t *testing.T, path string) []Op {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := ReadAll(r)
	if err != nil || len(ops) == 0 {
		t.Fatalf("%d ops, %v", len(ops), err)
	}
	return ops
}

// TestRecorded judges a history from a file, by default one of test/e2e in which nothing was wrong: half a minute of chaos, with objects that are
// swept soon (a generation of 4 s), and few idempotency keys (for 2 writes of 10), so that some outcomes are unknown.
func TestRecorded(t *testing.T) {
	r := Check(recorded(t, *file))
	for _, a := range r.Anomalies {
		t.Error(a)
	}
	if r.Finals < 2 {
		t.Errorf("%d daemons tell what they hold in the end", r.Finals)
	}
	t.Logf("anomalies: %v; %d writes at risk; %d of %d sums are exact, and %d of %d reads of one", r.Counts, r.AtRisk, r.Exact, r.Sums, r.ExactRead, r.SumsRead)
}

// mistake is one that is planted in a history: it changes one of the ops that it fits.
type mistake struct {
	want []string // one of these anomalies is found
	fits func(o *Op) bool
	make func(o *Op)
}

// reads returns the place of a read of a type that has enough elements, or -1.
func reads(o *Op, typ string, least int) int {
	return slices.IndexFunc(o.Reads, func(r Read) bool {
		return strings.HasPrefix(r.Object, typ+"/") && len(r.Elements) >= least && !r.Partial && !r.Later
	})
}

func isRead(kind Kind, typ string, least int) func(*Op) bool {
	return func(o *Op) bool { return o.Kind == kind && len(o.Writes) == 0 && reads(o, typ, least) >= 0 }
}

// isOK is of calls that were done, and not answered as another try before.
func isOK(name string) func(*Op) bool {
	return func(o *Op) bool {
		return o.Name == name && (o.Kind == Call) && o.Outcome == OK && (len(o.Reads) > 0 || o.Name != "counter inc")
	}
}

func changeRead(typ string, least int, change func(r *Read)) func(*Op) {
	return func(o *Op) {
		o.Reads = slices.Clone(o.Reads)
		r := &o.Reads[reads(o, typ, least)]
		r.Elements = slices.Clone(r.Elements)
		change(r)
	}
}

func dropLast(r *Read)  { r.Elements = r.Elements[:len(r.Elements)-1] }
func dropFirst(r *Read) { r.Elements = r.Elements[1:] }
func addOne(r *Read)    { r.Sum++ }

// TestPlantedMistakesAreFound: in the history of a real run, one op is changed, in many places, one at a time.
// Most of them must be found; not all can be, since a read may be older than what was dropped from it.
func TestPlantedMistakesAreFound(t *testing.T) {
	ops := recorded(t, "testdata/recorded.jsonl.gz")
	// back shows one element of a sweep, some time after it was sent, in an export.
	back := func(name string, outcome Outcome) mistake {
		n := slices.IndexFunc(ops, func(o Op) bool { return o.Name == name && o.Outcome == outcome })
		if n < 0 {
			t.Fatalf("the history has no %s whose outcome is %s", name, outcome)
		}
		swept := ops[n]
		return mistake{[]string{Resurrected}, func(o *Op) bool { return o.Whole && o.Kind == Call && o.Start > swept.End+1_000_000 }, func(o *Op) {
			o.Reads = append(slices.Clone(o.Reads), Read{Object: swept.Writes[0].Object, Elements: swept.Writes[0].Remove[:1]})
		}}
	}
	for name, m := range map[string]mistake{
		"what was swept is shown again":           back("sweep batch", OK),
		"what may have been swept is shown again": back("sweep", Unknown),
		"a member is missing":                     {[]string{Stale, Torn}, isRead(Call, "set", 2), changeRead("set", 2, dropFirst)},
		"a field is missing":                      {[]string{Stale, Torn}, isRead(Call, "map", 2), changeRead("map", 2, dropFirst)},
		"an item is missing":                      {[]string{Stale, Torn}, isRead(Call, "list", 2), changeRead("list", 2, dropFirst)},
		"an item is doubled":                      {[]string{Twice}, isRead(Call, "list", 1), changeRead("list", 1, func(r *Read) { r.Elements = append(r.Elements, r.Elements[0]) })},
		"items are in reverse":                    {[]string{Order}, isRead(Call, "list", 12), changeRead("list", 12, func(r *Read) { slices.Reverse(r.Elements) })},
		"a value from nowhere":                    {[]string{Phantom}, isRead(Call, "register", 1), changeRead("register", 1, func(r *Read) { r.Elements[0] = "nowhere" })},
		"a register is empty":                     {[]string{Stale, Torn}, isRead(Call, "register", 1), changeRead("register", 1, func(r *Read) { r.Elements = nil })},
		"a counter is off":                        {[]string{Sum}, isRead(Call, "counter", 0), changeRead("counter", 0, addOne)},
		"an own increment is missing":             {[]string{Sum}, func(o *Op) bool { return o.Name == "counter inc" && len(o.Reads) > 0 }, func(o *Op) { o.Reads = []Read{{Object: o.Reads[0].Object, Sum: o.Reads[0].Sum - o.Writes[0].Inc}} }},
		"a condition that did not hold":           {[]string{Condition}, isOK("register set if"), func(o *Op) { o.Writes = []Write{{Object: o.Writes[0].Object, Add: o.Writes[0].Add}} }},
		"a sum of the feed from nowhere":          {[]string{Sum}, isRead(Feed, "bounded", 0), changeRead("bounded", 0, func(r *Read) { r.Sum += 1000 })},
		"a member is missing in the end":          {[]string{Missing}, isRead(Final, "set", 1), changeRead("set", 1, dropLast)},
		"a sibling is missing in the end":         {[]string{Missing}, isRead(Final, "register", 2), changeRead("register", 2, dropLast)},
		"a counter is off in the end": {[]string{Missing, Sum}, func(o *Op) bool { return o.Kind == Final && len(o.Reads) > 0 }, func(o *Op) {
			o.Reads = slices.Clone(o.Reads)
			addOne(&o.Reads[slices.IndexFunc(o.Reads, func(r Read) bool { return strings.HasPrefix(r.Object, "counter/bc") })])
		}},
		"a daemon differs in the end": {[]string{Diverged}, func(o *Op) bool { return o.Kind == Final }, func(o *Op) { o.Digest = "another" }},
		"a batch is half in an export": {[]string{Torn, Stale}, func(o *Op) bool { return o.Whole && o.Kind == Call && reads(o, "map", 1) >= 0 },
			changeRead("map", 1, dropLast)},
		"an acknowledged write was refused": {[]string{Phantom}, isOK("set add"), func(o *Op) { o.Outcome = Refused }},
	} {
		t.Run(name, func(t *testing.T) {
			var places []int
			for i := range ops {
				if m.fits(&ops[i]) && ops[i].Outcome == OK {
					places = append(places, i)
				}
			}
			if len(places) == 0 {
				t.Fatal("the history has no place for it")
			}
			found, tried := 0, 0
			for n := 0; n < len(places); n += 1 + len(places)/4 {
				changed := slices.Clone(ops)
				m.make(&changed[places[n]])
				counts := Check(changed).Counts
				tried++
				if slices.ContainsFunc(m.want, func(k string) bool { return counts[k] > 0 }) {
					found++
				}
			}
			t.Logf("found %d times of %d", found, tried)
			if 3*found < 2*tried {
				t.Errorf("found %d times of %d", found, tried)
			}
		})
	}
}
