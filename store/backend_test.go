package store

import (
	"bytes"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/internal/invariant"
)

func TestBatch(t *testing.T) {
	b := &Batch{}
	b.Put("/n/t/a", []byte("123"))
	b.Delete("/n/t/b")
	b.DeleteRange("/n/t/c", "/n/t/d")
	b.DeleteRange("/n/t/d", "/n/t/c") // nothing
	b.DeleteRange("/n/t/c", "/n/t/c")
	b.DeleteRange("/n/t/c", "")
	if b.Len() != 3 || b.Bytes() != 6+3+6+12 {
		t.Errorf("%d operations, %d bytes", b.Len(), b.Bytes())
	}
	kinds := []OpKind{}
	for o := range b.Ops() {
		if kinds = append(kinds, o.Kind); o.Kind == OpDelete {
			break
		}
	}
	if !slices.Equal(kinds, []OpKind{OpPut, OpDelete}) {
		t.Errorf("Ops yields %v", kinds)
	}
	value := b.ops[0].Value
	b.Reset()
	if b.Len() != 0 || b.Bytes() != 0 {
		t.Errorf("after Reset: %d operations, %d bytes", b.Len(), b.Bytes())
	}
	if kept := b.ops[:1][0]; kept.Value != nil || string(value) != "123" {
		t.Errorf("after Reset it holds on to %v", kept)
	}
}

func TestMemoryCountsBytes(t *testing.T) {
	m := NewMemoryBackend()
	want := func(n uint64) {
		t.Helper()
		if got, err := m.DiskBytes(); got != n || err != nil {
			t.Errorf("%d bytes, %v, want %d", got, err, n)
		}
	}
	apply := func(fill func(b *Batch)) {
		t.Helper()
		b := &Batch{}
		fill(b)
		if _, err := m.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	want(0)
	apply(func(b *Batch) { b.Put("/n/t/a", []byte("123")); b.Put("/n/t/b", nil) })
	want(15)
	apply(func(b *Batch) { b.Put("/n/t/a", []byte("1")) })
	want(13)
	apply(func(b *Batch) { b.Delete("/n/t/a"); b.Delete("/n/t/a") })
	want(6)
	apply(func(b *Batch) { b.DeleteRange("/n/t/", "/n/t0") })
	want(0)
}

// TestLentValuesAreSpoiled is about builds that check invariants: who keeps an iterator's value
// finds it overwritten.
func TestLentValuesAreSpoiled(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("runs with -race or the tag invariants")
	}
	pebble, err := OpenPebble("/data", PebbleOptions{FS: NewCrashFS()})
	if err != nil {
		t.Fatal(err)
	}
	defer pebble.Close()
	for name, b := range map[string]Backend{"memory": NewMemoryBackend(), "pebble": pebble} {
		ops := &Batch{}
		ops.Put("/n/t/a", []byte("value"))
		ops.Put("/n/t/b", []byte("value"))
		if _, err := b.Apply(ops); err != nil {
			t.Fatal(err)
		}
		s, err := b.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		i, err := s.Iterate("", "")
		if err != nil {
			t.Fatal(err)
		}
		i.Next()
		first := i.Value()
		i.Next()
		second := i.Value()
		if string(second) != "value" || bytes.Contains(first, []byte("value")) {
			t.Errorf("%s: after Next %q, %q", name, first, second)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(second, []byte("value")) {
			t.Errorf("%s: after Close %q", name, second)
		}
		if v, _, err := s.Get("/n/t/b"); string(v) != "value" || err != nil {
			t.Errorf("%s: Get = %q, %v", name, v, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
