package delta

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/anabranchdb/anabranch/crdt"
)

// msg concatenates msgpack bytes: a byte is itself, a string is its bytes.
func msg(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func TestMalformedFrames(t *testing.T) {
	const path = "rk!r"
	entry := msg(0x82, 2, 0xa4, path, 3, 1) // path and kind
	for _, c := range []struct {
		name string
		b    []byte
		want error // nil: the bytes are fine
	}{
		{"empty frame", msg(0x81, 0, 1), nil},
		{"one unit", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, entry), nil},
		{"reserved fields", msg(0x83, 0, 1, 3, 0xc4, 0, 4, 0xc0), nil},
		{"nothing", nil, ErrMalformed},
		{"not a map", msg(0x91, 0), ErrMalformed},
		{"no version", msg(0x80), ErrMalformed},
		{"another field first", msg(0x81, 1, 1), ErrMalformed},
		{"version 2", msg(0x82, 0, 2, 1, 0xc0), ErrVersion},
		{"version in a long form", msg(0x81, 0, 0xcc, 1), ErrMalformed},
		{"key in a long form", msg(0x81, 0xcc, 0, 1), ErrMalformed},
		{"trailing byte", msg(0x81, 0, 1, 0), ErrMalformed},
		{"truncated", msg(0x82, 0, 1, 2), ErrMalformed},
		{"map header in a long form", msg(0xde, 0, 1, 0, 1), ErrMalformed},
		{"empty units", msg(0x82, 0, 1, 2, 0x90), ErrMalformed},
		{"empty runs", msg(0x82, 0, 1, 1, 0x80), ErrMalformed},
		{"run of replica 0", msg(0x82, 0, 1, 1, 0x81, 0, 0x92, 1, 1), ErrMalformed},
		{"run from seq 0", msg(0x82, 0, 1, 1, 0x81, 1, 0x92, 0, 1), ErrMalformed},
		{"run of three numbers", msg(0x82, 0, 1, 1, 0x81, 1, 0x93, 1, 1, 1), ErrMalformed},
		{"runs out of order", msg(0x82, 0, 1, 1, 0x82, 2, 0x92, 1, 1, 1, 0x92, 1, 1), ErrMalformed},
		{"fields out of order", msg(0x83, 0, 1, 4, 0, 3, 0), ErrMalformed},
		{"field twice", msg(0x83, 0, 1, 3, 0, 3, 0), ErrMalformed},
		{"string as a key", msg(0x82, 0, 1, 0xa1, "x", 0), ErrMalformed},
		{"reserved code", msg(0x82, 0, 1, 3, 0xc1), ErrMalformed},
		{"extra nested too deep", msg(0x82, 0, 1, 3, bytes.Repeat([]byte{0x91}, 40), 0), ErrMalformed},
		{"unit without an origin", msg(0x82, 0, 1, 2, 0x91, 0x81, 1, 9), ErrMalformed},
		{"unit of origin 0", msg(0x82, 0, 1, 2, 0x91, 0x82, 0, 0, 1, 9), ErrMalformed},
		{"unit without a first seq", msg(0x82, 0, 1, 2, 0x91, 0x81, 0, 5), ErrMalformed},
		{"unit from seq 0", msg(0x82, 0, 1, 2, 0x91, 0x82, 0, 5, 1, 0), ErrMalformed},
		{"second unit follows", msg(0x82, 0, 1, 2, 0x92, 0x82, 0, 5, 1, 9, 0x80), nil},
		{"origin repeated", msg(0x82, 0, 1, 2, 0x92, 0x82, 0, 5, 1, 9, 0x81, 0, 5), ErrMalformed},
		{"first seq repeated", msg(0x82, 0, 1, 2, 0x92, 0x82, 0, 5, 1, 9, 0x81, 1, 10), ErrMalformed},
		{"other origin, no first seq", msg(0x82, 0, 1, 2, 0x92, 0x82, 0, 5, 1, 9, 0x81, 0, 6), ErrMalformed},
		{"span 0", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 2, 0), ErrMalformed},
		{"span overflows", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 2, 0xcf, "\xff\xff\xff\xff\xff\xff\xff\xff"), ErrMalformed},
		{"dependency at 0", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 3, 0x81, 7, 0), ErrMalformed},
		{"entry with a replica in a unit", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x83, 0, 6, 2, 0xa4, path, 3, 1), ErrMalformed},
		{"entry with the expected seq", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x83, 1, 0, 2, 0xa4, path, 3, 1), ErrMalformed},
		{"entry without a path", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x81, 3, 1), ErrMalformed},
		{"entry without a kind", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x81, 2, 0xa4, path), ErrMalformed},
		{"kind 256", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x82, 2, 0xa4, path, 3, 0xcd, 1, 0), ErrMalformed},
		{"time 0", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x83, 2, 0xa4, path, 3, 1, 4, 0), ErrMalformed},
		{"empty value", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x83, 2, 0xa4, path, 3, 1, 5, 0xc4, 0), ErrMalformed},
		{"value as nil", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x83, 2, 0xa4, path, 3, 1, 5, 0xc0), ErrMalformed},
		{"kill of own and other dots", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x81, 0, 0x83, 0, 0x91, 0, 4, 0x91, 0, 6, 0x91, 7), nil},
		{"kill names its origin", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x81, 0, 0x81, 5, 0x91, 0), ErrMalformed},
		{"kill names a replica twice", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x81, 0, 0x82, 4, 0x91, 0, 4, 0x91, 0), ErrMalformed},
		{"kill with an empty group", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x81, 0, 0x81, 4, 0x90), ErrMalformed},
		{"kill of an overflowing seq", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x81, 0, 0x81, 4, 0x92, 1, 0xcf, "\xff\xff\xff\xff\xff\xff\xff\xff"), ErrMalformed},
		{"kill with an unknown field", msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x82, 0, 0x81, 4, 0x91, 0, 3, 0), ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := DecodeFrame(c.b)
			if !errors.Is(err, c.want) {
				t.Fatalf("% x: %v, want %v", c.b, err, c.want)
			}
			if err == nil && !bytes.Equal(AppendFrame(nil, f), c.b) {
				t.Fatalf("% x: encoded again: % x", c.b, AppendFrame(nil, f))
			}
		})
	}
}

func TestDecodingLimits(t *testing.T) {
	if _, err := DecodeFrame(make([]byte, MaxFrameBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long frame: %v", err)
	}
	if _, err := DecodeUnit(make([]byte, MaxUnitBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long unit: %v", err)
	}
	units := make([]Unit, MaxFrameUnits+1)
	for i := range units {
		units[i] = Unit{Origin: idA, First: uint64(i + 1), Last: uint64(i + 1)}
	}
	if _, err := DecodeFrame(AppendFrame(nil, Frame{Units: units})); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a frame of many units: %v", err)
	}
	if _, err := DecodeFrame(AppendFrame(nil, Frame{Units: units[1:]})); err != nil {
		t.Errorf("a frame of MaxFrameUnits: %v", err)
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A few bytes that promise much must not make us allocate much.
func TestDeclaredCountsAreBounded(t *testing.T) {
	const most = 256 << 10
	pad := make([]byte, 4096) // a declared count may be as large as what follows
	for name, b := range map[string][]byte{
		"units":   msg(0x82, 0, 1, 2, 0xdd, 0xff, 0xff, 0xff, 0xff, pad),
		"runs":    msg(0x82, 0, 1, 1, 0xdf, 0xff, 0xff, 0xff, 0xff, pad),
		"deps":    msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 3, 0xdf, 0xff, 0xff, 0xff, 0xff, pad),
		"entries": msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0xdc, 4, 0, pad),
		"kills":   msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0xdc, 4, 0, pad),
		"dots":    msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 5, 0x91, 0x81, 0, 0x81, 0, 0xdc, 16, 0, 0xc0, pad),
		"value":   msg(0x82, 0, 1, 2, 0x91, 0x83, 0, 5, 1, 9, 4, 0x91, 0x83, 2, 0xa4, "rk!r", 3, 1, 5, 0xc6, 0xff, 0xff, 0xff, 0xff),
		"extra":   msg(0x82, 0, 1, 3, 0xdd, 0xff, 0xff, 0xff, 0xff, pad),
	} {
		n := allocated(func() {
			if _, err := DecodeFrame(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if n > most {
			t.Errorf("%s: %d bytes for %d", name, n, len(b))
		}
	}
}

// What takes the most memory per byte stays within the factor that the package documents.
func TestMemoryFollowsTheInput(t *testing.T) {
	const most = 64
	sparse, many, full := NewDotSet(), NewDotSet(), NewDotSet()
	for i := range uint64(30_000) {
		sparse.Add(dot(idA, (i+1)<<chunkBits))
		many.Add(dot(crdt.ReplicaID(i+1), 70_000))
	}
	full.AddRange(1, 1, 1<<28)
	u := Unit{Origin: idA, First: 1 << 20, Last: 2 << 20}
	dots, entries := u, u
	dots.Kills = []Kill{{}}
	for i := range uint64(100_000) {
		dots.Kills[0].Dots = append(dots.Kills[0].Dots, dot(idA, i+1))
		entries.Entries = append(entries.Entries,
			crdt.Entry{Dot: dot(idA, u.First+i), Path: "ra!r", Kind: crdt.KindValue})
	}
	unit := func(b []byte) error { _, err := DecodeUnit(b); return err }
	set := func(b []byte) error { _, _, err := DecodeDotSet(b); return err }
	for name, c := range map[string]struct {
		b      []byte
		decode func(b []byte) error
	}{
		"dots":     {AppendUnit(nil, dots), unit},
		"entries":  {AppendUnit(nil, entries), unit},
		"sparse":   {AppendDotSet(nil, sparse), set},
		"replicas": {AppendDotSet(nil, many), set},
		"full":     {AppendDotSet(nil, full), set},
	} {
		n := allocated(func() {
			if err := c.decode(c.b); err != nil {
				t.Error(name, err)
			}
		})
		if t.Logf("%s: %.1f times", name, float64(n)/float64(len(c.b))); n > most*uint64(len(c.b)) {
			t.Errorf("%s: %d bytes for %d", name, n, len(c.b))
		}
	}
}

func TestMalformedDotSets(t *testing.T) {
	run := func(first, length int) []byte {
		return msg(first&0xff, first>>8, (length-1)&0xff, (length-1)>>8)
	}
	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"empty", msg(0x80), true},
		{"one run", msg(0x81, 1, 0x92, 0, 0xc4, 5, 0, run(1, 9)), true},
		{"all of the second chunk", msg(0x81, 1, 0x92, 1, 0xc4, 5, 0, run(0, 65536)), true},
		{"a list", msg(0x81, 1, 0x92, 0, 0xc4, 5, 1, 1, 0, 7, 0), true},
		{"replica 0", msg(0x81, 0, 0x92, 0, 0xc4, 5, 0, run(1, 9)), false},
		{"seq 0", msg(0x81, 1, 0x92, 0, 0xc4, 5, 0, run(0, 9)), false},
		{"no chunks", msg(0x81, 1, 0x90), false},
		{"odd array", msg(0x81, 1, 0x91, 0xc4, 5, 0, run(1, 9)), false},
		{"empty chunk", msg(0x81, 1, 0x92, 0, 0xc4, 0), false},
		{"chunk of no runs", msg(0x81, 1, 0x92, 0, 0xc4, 1, 0, 0, 0, 0, 0), false},
		{"unknown form", msg(0x81, 1, 0x92, 0, 0xc4, 5, 3, run(1, 9)), false},
		{"run as a list", msg(0x81, 1, 0x92, 0, 0xc4, 7, 1, 1, 0, 2, 0, 3, 0), false},
		{"single dots as runs", msg(0x81, 1, 0x92, 0, 0xc4, 9, 0, run(1, 1), run(7, 1)), false},
		{"runs that touch", msg(0x81, 1, 0x92, 0, 0xc4, 9, 0, run(1, 9), run(10, 9)), false},
		{"runs out of order", msg(0x81, 1, 0x92, 0, 0xc4, 9, 0, run(100, 9), run(1, 9)), false},
		{"run beyond the chunk", msg(0x81, 1, 0x92, 0, 0xc4, 5, 0, run(65535, 2)), false},
		{"list out of order", msg(0x81, 1, 0x92, 0, 0xc4, 5, 1, 7, 0, 1, 0), false},
		{"list twice the same", msg(0x81, 1, 0x92, 0, 0xc4, 5, 1, 7, 0, 7, 0), false},
		{"ragged list", msg(0x81, 1, 0x92, 0, 0xc4, 4, 1, 7, 0, 9), false},
		{"short dense", msg(0x81, 1, 0x92, 0, 0xc4, 9, 2, "12345678"), false},
		{"few bits as dense", msg(0x81, 1, 0x92, 1, 0xc5, 0x20, 1, 2, bytes.Repeat([]byte{1}, 1024), make([]byte, 7168)), false},
		{"half the bits as dense", msg(0x81, 1, 0x92, 1, 0xc5, 0x20, 1, 2, bytes.Repeat([]byte{0x55}, 8192)), true},
		{"chunk beyond the last", msg(0x81, 1, 0x92, 0xcf, 0, 1, 0, 0, 0, 0, 0, 0, 0xc4, 5, 0, run(1, 9)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, rest, err := DecodeDotSet(c.b)
			if c.ok != (err == nil) || err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v", err)
			}
			if err == nil && !bytes.Equal(msg(AppendDotSet(nil, s), rest), c.b) {
				t.Fatalf("encoded again: % x", AppendDotSet(nil, s))
			}
		})
	}
}

// TestLibraryReadsOurBytes shows that what the cursor of this package reads is msgpack as the
// library understands it, down to the last field.
func TestLibraryReadsOurBytes(t *testing.T) {
	f := fullFrame()
	f.Extra = f.Extra[:4] // the library refuses extension types that nobody registered
	dec := msgpack.NewDecoder(bytes.NewReader(AppendFrame(nil, f)))
	dec.SetMapDecoder(func(d *msgpack.Decoder) (any, error) { return d.DecodeUntypedMap() })
	v, err := dec.DecodeInterface()
	if err != nil {
		t.Fatal(err)
	}
	frame := numbered(t, v)
	if got := number(t, frame[frameVersionField]); got != frameVersion {
		t.Errorf("version %d", got)
	}
	runs := numbered(t, frame[frameRuns])
	for id, run := range f.Runs {
		two := runs[uint64(id)].([]any)
		if number(t, two[0]) != run.First || number(t, two[1]) != run.Nonce {
			t.Errorf("run of %v: %v", id, two)
		}
	}
	units := frame[frameUnits].([]any)
	if len(units) != len(f.Units) {
		t.Fatalf("%d units", len(units))
	}
	checkLibraryUnit(t, numbered(t, units[0]), f.Units[0])
	if len(numbered(t, units[1])) != 0 {
		t.Errorf("the second unit repeats what follows from the first: %v", units[1])
	}
	if got := numbered(t, units[3]); number(t, got[unitOrigin]) != uint64(idA) || number(t, got[unitFirst]) != 6 {
		t.Errorf("the last unit: %v", got)
	}
	if b, ok := frame[3].([]byte); !ok || len(b) != 1 {
		t.Errorf("reserved field 3: %v", frame[3])
	}
}

func checkLibraryUnit(t *testing.T, got map[uint64]any, u Unit) {
	t.Helper()
	if number(t, got[unitOrigin]) != uint64(u.Origin) || number(t, got[unitFirst]) != u.First ||
		number(t, got[unitSpan]) != u.Last-u.First {
		t.Errorf("head: %v", got)
	}
	for id, seq := range u.Deps {
		if number(t, numbered(t, got[unitDeps])[uint64(id)]) != seq {
			t.Errorf("deps: %v", got[unitDeps])
		}
	}
	for i, v := range got[unitEntries].([]any) {
		e, want := numbered(t, v), u.Entries[i]
		if e[entryPath] != string(want.Path) || number(t, e[entryKind]) != uint64(want.Kind) {
			t.Errorf("entry %d: %v", i, e)
		}
		if b, _ := e[entryValue].([]byte); !bytes.Equal(b, want.Value) {
			t.Errorf("value %d: %v", i, b)
		}
	}
	kills := got[unitKills].([]any)
	dots := numbered(t, numbered(t, kills[0])[killDots])
	if own := dots[0].([]any); len(dots) != 3 || number(t, own[0]) != 8 || number(t, own[1]) != 0 {
		t.Errorf("dots: %v", dots)
	}
	if k := numbered(t, kills[1]); k[killPrefix] != string(u.Kills[1].Prefix) ||
		number(t, numbered(t, k[killClock])[uint64(idA)]) != 5 {
		t.Errorf("prefix kill: %v", k)
	}
}

func numbered(t *testing.T, v any) map[uint64]any {
	t.Helper()
	m, ok := v.(map[any]any)
	if !ok {
		t.Fatalf("%T is no map", v)
	}
	out := make(map[uint64]any, len(m))
	for k, v := range m {
		out[number(t, k)] = v
	}
	return out
}

func number(t *testing.T, v any) uint64 {
	t.Helper()
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return uint64(r.Int())
	case r.CanUint():
		return r.Uint()
	}
	t.Fatalf("%T is no number", v)
	return 0
}
