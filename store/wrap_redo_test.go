package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestRedoRecordGolden(t *testing.T) {
	b := &Batch{}
	b.Put("/n/t/a", []byte("value"))
	b.Delete("/n/t/b")
	b.DeleteRange("/n/t/c", "/n/t/d")
	const want = "414252310301062f6e2f742f610576616c756502062f6e2f742f6203062f6e2f742f63062f6e2f742f64ede13033"
	got := fmt.Sprintf("%x", encodeRedo(b))
	if got != want {
		t.Errorf("version 1 is what old records are written in:\n%s, want\n%s", got, want)
	}
}

func TestRedoRecordRefusesWhatIsCut(t *testing.T) {
	b := &Batch{}
	b.Put("/n/t/a", []byte("value"))
	record := encodeRedo(b)
	for n := range record {
		if _, err := decodeRedo(record[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d of %d bytes: %v, want ErrDamaged", n, len(record), err)
		}
	}
	if _, err := decodeRedo(append(record, 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v, want ErrDamaged", err)
	}
}

// FuzzRedoRecord decodes anything, with the right checksum, so that the rest of the decoder is reached.
func FuzzRedoRecord(f *testing.F) {
	b := &Batch{}
	b.Put("/n/t/a", []byte("value"))
	b.Put("/n/t/empty", nil)
	b.Delete("/n/t/b")
	b.DeleteRange("/n/t/c", "/n/t/d")
	record := encodeRedo(b)
	f.Add(record[:len(record)-checksumBytes])
	f.Add([]byte(redoMagic))
	f.Add([]byte(redoMagic + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"))
	f.Add([]byte(redoMagic + "\x01\x01\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, content []byte) {
		record := withChecksum(content)
		b, err := decodeRedo(record)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v is not ErrDamaged", err)
			}
			return
		}
		again, err := decodeRedo(encodeRedo(b))
		if err != nil {
			t.Fatal(err)
		}
		same := slices.EqualFunc(b.ops, again.ops, func(a, b Op) bool {
			return a.Kind == b.Kind && a.Key == b.Key && a.Upper == b.Upper && bytes.Equal(a.Value, b.Value)
		})
		if !same || b.bytes != again.bytes {
			t.Fatalf("%v, encoded and decoded again: %v", b, again)
		}
	})
}
