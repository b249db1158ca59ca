package delta

import (
	"bytes"
	"errors"
	"testing"
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
		{"unit with entries and no origin", msg(0x82, 0, 1, 2, 0x91, 0x81, 4, 0x91, entry), ErrMalformed},
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
