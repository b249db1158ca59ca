package delta

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/anabranchdb/anabranch/crdt"
)

// Every length on either side of a change of form comes back.
func TestLengthsAtTheirBorders(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65_535, 65_536} {
		v := crdt.VersionVector{}
		u := Unit{Origin: idA, First: 1 << 20, Last: 1<<20 + uint64(n)}
		for i := range uint64(n) {
			v[crdt.ReplicaID(i+1)] = i + 1
			u.Entries = append(u.Entries, crdt.Entry{Dot: dot(idA, u.First+i), Path: "ra!r", Kind: crdt.KindValue})
		}
		if n > 0 {
			u.Kills = []Kill{{Prefix: crdt.Path(bytes.Repeat([]byte("p"), n)), Clock: v}}
			u.Entries[0].Value = make([]byte, n)
			u.Extra = append(msgpackBytes(t, uint8(9), make([]byte, n)), msgpackBytes(t, uint8(10), string(make([]byte, n)))...)
		}
		got, err := DecodeUnit(AppendUnit(nil, u))
		if err != nil || !sameUnit(got, u) {
			t.Errorf("length %d: %v", n, err)
		}
	}
}

// An unknown field may hold whatever the library can write.
func TestUnknownFieldsOfEveryType(t *testing.T) {
	for _, v := range []any{
		nil, true, false, -1, int8(-100), int16(-1000), int32(-100_000), int64(-1 << 40), uint8(200), uint16(1000),
		uint32(1 << 20), uint64(1 << 40), float32(1.5), 2.5, "", strings.Repeat("x", 40), strings.Repeat("x", 300),
		strings.Repeat("x", 70_000), []byte{}, make([]byte, 300), make([]byte, 70_000), []any{1, "a", nil},
		make([]int, 16), make([]int, 70_000), map[string]any{"a": []any{}}, time.Unix(1, 0), time.Unix(1<<33, 5), time.Unix(-1, 5),
		msgpack.RawMessage{0xd4, 1, 2}, msgpack.RawMessage{0xd5, 1, 2, 3}, msgpack.RawMessage(msg(0xd8, 1, make([]byte, 16))),
		msgpack.RawMessage(msg(0xc8, 1, 0, 1, make([]byte, 256))), msgpack.RawMessage(msg(0xc9, 0, 1, 0, 0, 1, make([]byte, 65_536))),
		msgpack.RawMessage(msg(0xde, 0, 16, make([]byte, 32))), msgpack.RawMessage(msg(0xdf, 0, 0, 0, 1, 0, 0)),
	} {
		e := value(dot(idA, 1), "ra!r")
		e.Extra = msgpackBytes(t, uint8(7), v)
		got, rest, err := DecodeEntry(AppendEntry(nil, e))
		if err != nil || !got.Equal(e) || len(rest) > 0 {
			t.Errorf("%T: %v", v, err)
		}
		for cut := range min(len(e.Extra), 20) {
			b := AppendEntry(nil, e)
			if _, _, err := DecodeEntry(b[:len(b)-1-cut]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%T without its last %d bytes: %v", v, cut+1, err)
			}
		}
	}
}

// msgpackBytes returns a key and a value as the library writes them.
func msgpackBytes(t *testing.T, key uint8, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{key}, b...)
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
