package crdt_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/anabranchdb/anabranch/crdt"
)

// hurtful names are those that file systems, URLs, datastores and terminals trip over.
var hurtful = []string{
	"/", "//", ".", "..", "../..", "a/b", "a.b", "\x00", "a\x00b", "\x01", "\x7f", " ", "!", "#", "|", "}", "~",
	"%2F", "%00", "\\", "\"", "'", "\n", "\r\n", "\t", "_", "-", "0", "é", "e\u0301", "ß", "中文", "😀", "👩\u200d👩\u200d👧",
	"\ufeff", "\u202e", "\ufffd", "\U0010ffff", "a!", "a|b", "a!b", "|a", strings.Repeat("x", MaxNameBytes),
	strings.Repeat("/", MaxNameBytes), strings.Repeat("😀", MaxNameBytes/4),
}

// names draws valid names, many of which share prefixes and hold separators.
var names = rapid.OneOf(
	rapid.SampledFrom(hurtful),
	rapid.StringOfN(rapid.SampledFrom([]rune("ab!#|}~/.\x00\u007fé😀")), 1, 6, MaxNameBytes),
	rapid.StringN(1, 40, MaxNameBytes),
)

var types = rapid.SampledFrom([]Type{Bounded, Counter, Flag, List, Map, Register, Set, 'z'})

// anyParts draws the parts of an object, a field, a leaf or a member.
func anyParts(t *rapid.T, label string) Parts {
	p := Parts{Type: types.Draw(t, label+" type"), Key: names.Draw(t, label+" key")}
	p.Fields = rapid.SliceOfN(names, 0, 3).Draw(t, label+" fields")
	if len(p.Fields) == 0 {
		p.Fields = nil
	}
	if rapid.Bool().Draw(t, label+" is leaf") {
		p.Leaf = types.Draw(t, label+" leaf")
		if rapid.Bool().Draw(t, label+" is member") {
			p.Member = names.Draw(t, label+" member")
		}
	}
	return p
}

func build(p Parts) Path {
	path := Object(p.Type, p.Key).Fields(p.Fields...)
	if p.Leaf != 0 {
		path = path.Leaf(p.Leaf)
	}
	if p.Member != "" {
		path = path.Member(p.Member)
	}
	return path
}

func equalParts(p, q Parts) bool {
	return p.Type == q.Type && p.Key == q.Key && slices.Equal(p.Fields, q.Fields) &&
		p.Leaf == q.Leaf && p.Member == q.Member
}

// compareParts is the order that paths must have: parts in turn, what is shorter first, a leaf
// and its members before fields below.
func compareParts(p, q Parts) int {
	if c := cmp.Or(cmp.Compare(p.Type, q.Type), strings.Compare(p.Key, q.Key)); c != 0 {
		return c
	}
	for i := range min(len(p.Fields), len(q.Fields)) {
		if c := strings.Compare(p.Fields[i], q.Fields[i]); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(len(p.Fields), len(q.Fields)); c != 0 {
		if shorter := min(len(p.Fields), len(q.Fields)); shorter == len(p.Fields) {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.Leaf, q.Leaf), strings.Compare(p.Member, q.Member))
}

func TestPathRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyParts(t, "a")
		p := build(want)
		if got, err := p.Parse(); err != nil || !equalParts(got, want) {
			t.Fatalf("%q: %+v, %v, want %+v", p, got, err, want)
		}
		if strings.ContainsAny(string(p), "/.") {
			t.Fatalf("%q holds a separator of datastore keys", p)
		}
		for _, c := range []byte(p) {
			if c < '!' || c > '~' {
				t.Fatalf("%q holds the byte %#x", p, c)
			}
		}
	})
}

func TestPathKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := anyParts(t, "a"), anyParts(t, "b")
		if rapid.Bool().Draw(t, "same object") {
			q.Type, q.Key = p.Type, p.Key
		}
		if got, want := strings.Compare(string(build(p)), string(build(q))), compareParts(p, q); got != want {
			t.Fatalf("%q and %q compare as %d, their parts as %d", build(p), build(q), got, want)
		}
	})
}

func TestPathContainsWhatIsUnderIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := anyParts(t, "a"), anyParts(t, "b")
		if rapid.Bool().Draw(t, "same object") {
			q.Type, q.Key, q.Fields = p.Type, p.Key, slices.Concat(p.Fields, q.Fields)
		}
		if got, want := build(p).Contains(build(q)), under(q, p); got != want {
			t.Fatalf("%q contains %q: %v, want %v", build(p), build(q), got, want)
		}
	})
}

// under reports whether q is p or lies under it, by their parts.
func under(q, p Parts) bool {
	if q.Type != p.Type || q.Key != p.Key {
		return false
	}
	if p.Leaf == 0 {
		return len(q.Fields) >= len(p.Fields) && slices.Equal(q.Fields[:len(p.Fields)], p.Fields)
	}
	return slices.Equal(q.Fields, p.Fields) && q.Leaf == p.Leaf && (p.Member == "" || p.Member == q.Member)
}

// The prefixes of a name are those of its escaped form: listing by prefix rests on it.
func TestEscapeNameKeepsPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		if rapid.Bool().Draw(t, "extended") {
			b = a + b
		}
		ea, eb := string(EscapeName(nil, a)), string(EscapeName(nil, b))
		if strings.HasPrefix(b, a) != strings.HasPrefix(eb, ea) {
			t.Fatalf("%q, %q: escaped %q, %q", a, b, ea, eb)
		}
	})
}

func TestPathOfObjectSetAndLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := anyParts(t, "a")
		p := build(parts)
		if got, want := p.ObjectPath(), Object(parts.Type, parts.Key); got != want {
			t.Fatalf("%q: object %q, want %q", p, got, want)
		}
		if got := p.LeafType(); got != parts.Leaf {
			t.Fatalf("%q: leaf type %v, want %v", p, got, parts.Leaf)
		}
		want := Path("")
		if parts.Member != "" {
			want = p[:len(p)-len(EscapeName(nil, parts.Member))-1]
		}
		if got, ok := p.SetLeaf(); got != want || ok != (want != "") {
			t.Fatalf("%q: set leaf %q, %v, want %q", p, got, ok, want)
		}
	})
}

func TestHurtfulNames(t *testing.T) {
	seen := map[Path]string{}
	for _, n := range hurtful {
		if err := CheckName(n); err != nil {
			t.Errorf("%q: %v", n, err)
		}
		p := Object(Map, n).Field(n).Leaf(Set).Member(n)
		q, err := p.Parse()
		if err != nil || q.Key != n || q.Fields[0] != n || q.Member != n {
			t.Errorf("%q: %+v, %v", n, q, err)
		}
		if other, ok := seen[p]; ok {
			t.Errorf("%q and %q have the same path", n, other)
		}
		seen[p] = n
	}
}

func TestCheckName(t *testing.T) {
	for _, tt := range []struct {
		name string
		want error
	}{
		{"", ErrEmptyName},
		{strings.Repeat("x", MaxNameBytes+1), ErrLongName},
		{"\xff", ErrNotUTF8},
		{"a\xc0\x80", ErrNotUTF8},    // overlong NUL
		{"\xed\xa0\x80", ErrNotUTF8}, // a surrogate
	} {
		if err := CheckName(tt.name); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxNameBytes+1)
	deep := Object(Map, "m").Fields(slices.Repeat([]string{"f"}, MaxPathDepth+1)...)
	for _, tt := range []struct {
		path Path
		want error
	}{
		{"", ErrBadPath},
		{"r", ErrBadPath},
		{"ra", ErrBadPath},
		{"Ra!", ErrBadPath},
		{"r!", ErrEmptyName},
		{"ra!R", ErrBadPath},
		{"ra!rx", ErrBadPath},
		{"sa!sx!y", ErrBadPath},
		{"sa!s!", ErrEmptyName},
		{"ma!|", ErrBadPath},
		{"ma!|!", ErrEmptyName},
		{"ma!|f", ErrBadPath},
		{"ra/b!", ErrBadPath},
		{"ra b!", ErrBadPath},
		{"r#!", ErrBadPath},
		{"r}!", ErrBadPath},
		{"r##!", ErrBadPath},
		{"r#a!", ErrBadPath}, // escapes a byte that stands for itself
		{"r~z!", ErrBadPath}, // beyond 0xff
		{"r\x7fa!", ErrBadPath},
		{"r~c!", ErrNotUTF8}, // a lone 0xfd
		{Object(Register, long), ErrLongName},
		{Object(Register, strings.Repeat("/", MaxNameBytes+1)), ErrLongName},
		{deep, ErrDeepPath},
	} {
		if q, err := tt.path.Parse(); !errors.Is(err, tt.want) {
			t.Errorf("%.40q: %+v, %v, want %v", tt.path, q, err, tt.want)
		}
	}
	if _, err := Object(Map, "m").Fields(slices.Repeat([]string{"f"}, MaxPathDepth)...).Parse(); err != nil {
		t.Errorf("a path of the greatest depth: %v", err)
	}
}

func TestTypeNames(t *testing.T) {
	for _, typ := range []Type{Counter, Flag, List, Map, Register, Set} {
		if got, ok := ParseType(typ.String()); !ok || got != typ {
			t.Errorf("%v: %v, %v", typ, got, ok)
		}
	}
	if got, ok := ParseType("lists"); ok {
		t.Errorf("lists: %v", got)
	}
	if got := Type('z').String(); got != `"z"` {
		t.Errorf("an unknown type is shown as %s", got)
	}
}

// A path that parses is the only encoding of its parts.
func FuzzParse(f *testing.F) {
	for _, n := range hurtful {
		f.Add(string(Object(Set, n).Leaf(Set).Member(n)))
		f.Add(string(Object(Map, n).Fields(n, n).Leaf(Register)))
		f.Add(n)
	}
	for _, s := range []string{"", "ra!r", "sa!sx!", "ma!|f!c", "ma!|f!", "r#a!", "r~z!", "r}!", "ra!rx!y!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := Path(s)
		p.SetLeaf() // must not panic, whatever comes
		q, err := p.Parse()
		if err != nil {
			return
		}
		if build(q) != p {
			t.Fatalf("%q parses to %+v, which is %q", p, q, build(q))
		}
		if _, ok := p.SetLeaf(); ok != (q.Member != "") {
			t.Fatalf("%q: member %q, SetLeaf says %v", p, q.Member, ok)
		}
		if p.LeafType() != q.Leaf || !p.ObjectPath().Contains(p) {
			t.Fatalf("%q: leaf type %v, object %q", p, p.LeafType(), p.ObjectPath())
		}
	})
}
