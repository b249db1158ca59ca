package delta

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

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

// A deadline is one of those that can be written down; to entries of other kinds the field means
// nothing, and is kept.
func TestDeadlinesAreBounded(t *testing.T) {
	e := crdt.Entry{Dot: dot(idA, 1), Path: "ra!r", Kind: crdt.KindValue, Time: 1}
	for _, c := range []struct {
		kind  crdt.Kind
		field []byte
		err   error
	}{
		{crdt.KindValue, msg(6, 0xcf, 0, 0, 0xe6, 0x77, 0xd2, 0x1f, 0xdb, 0xff), nil},          // MaxDeadline
		{crdt.KindValue, msg(6, 0xcf, 0, 0, 0xe6, 0x77, 0xd2, 0x1f, 0xdc, 0x00), ErrMalformed}, // one more
		{crdt.KindValue, msg(6, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), ErrMalformed},
		{crdt.KindValue, msg(6, 0), ErrMalformed},
		{crdt.KindValue, msg(6, 0xff), ErrMalformed},
		{crdt.KindCell, msg(6, 0), nil},
		{0x7d, msg(6, 0x81, 0xa1, "k", 0xc3), nil},
	} {
		e.Kind, e.Extra = c.kind, c.field
		b := AppendEntry(nil, e) // as if by a later version
		got, _, err := DecodeEntry(b)
		if !errors.Is(err, c.err) {
			t.Errorf("kind %#x, field %x: %v", c.kind, c.field, err)
		}
		if err == nil && !bytes.Equal(AppendEntry(nil, got), b) {
			t.Errorf("kind %#x, field %x: another encoding", c.kind, c.field)
		}
		if err == nil && (got.Expires != 0) != c.kind.MayExpire() {
			t.Errorf("kind %#x, field %x: deadline %d", c.kind, c.field, got.Expires)
		}
	}
}
