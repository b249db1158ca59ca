package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

func checkEmpty(t testing.TB, target Target) {
	b := open(t, target)
	wantGet(t, b, "/n/t/a", "", false)
	apply(t, b, &batch{})
	apply(t, b, (&batch{}).del("/n/t/a").delRange("/n/t/a", "/n/t/b").delRange("/n/t/b", "/n/t/a"))
	model{}.wantAll(t, b)
	if _, err := b.DiskBytes(); err != nil {
		t.Errorf("DiskBytes: %v", err)
	}
}

func checkReadYourApply(t testing.TB, target Target) {
	b := open(t, target)
	m := model{}
	var waits []func() error
	for i := range 50 {
		ops := (&batch{}).put("/n/t/last", fmt.Sprint(i)).put(fmt.Sprintf("/n/t/k%d", i%7), fmt.Sprint(i))
		wait, err := b.Apply(&ops.Batch)
		if err != nil {
			t.Fatalf("Apply: %v", err)
		}
		waits = append(waits, wait)
		m.apply(&ops.Batch)
		m.wantAll(t, b) // before wait
	}
	for _, wait := range slices.Backward(waits) { // in any order
		if err := wait(); err != nil {
			t.Fatalf("wait: %v", err)
		}
	}
}

func checkLaterWins(t testing.TB, target Target) {
	b := open(t, target)
	const k, x = "/n/t/k", "/n/t/x"
	for _, row := range []struct {
		name  string
		ops   *batch
		value string // "" if absent
	}{
		{"put put", (&batch{}).put(k, "1").put(k, "2"), "2"},
		{"put delete", (&batch{}).put(k, "1").del(k), ""},
		{"delete put", (&batch{}).del(k).put(k, "3"), "3"},
		{"delete put delete", (&batch{}).del(k).put(k, "4").del(k), ""},
		{"put range", (&batch{}).put(k, "5").delRange(k, x), ""},
		{"range put", (&batch{}).delRange(k, x).put(k, "6"), "6"},
		{"range put range put", (&batch{}).delRange(k, x).put(k, "7").delRange(k, x).put(k, "8"), "8"},
		{"put range elsewhere", (&batch{}).put(k, "9").delRange(k+"\x00", x), "9"},
	} {
		for _, before := range []string{"", "0"} {
			apply(t, b, (&batch{}).delRange("/n/t/", "/n/t0"))
			m := model{x: "x"}
			if apply(t, b, (&batch{}).put(x, "x")); before != "" {
				apply(t, b, (&batch{}).put(k, before))
			}
			apply(t, b, row.ops)
			if row.value != "" {
				m[k] = row.value
			}
			s := snapshot(t, b)
			if d := m.differ(s, "", ""); d != "" {
				t.Errorf("%s, %q before: %s", row.name, before, d)
			}
			closeSnapshot(t, s)
		}
	}
}

// hurtfulKeys are unique. Most of them break an order that is not bytewise.
var hurtfulKeys = []string{
	"/n/t/a", "/n/t/a!", "/n/t/a-", "/n/t/a-b", "/n/t/a/b", "/n/t/a/b/c", "/n/t/a0", "/n/t/aa", "/n/t/A", "/n/t/B", "/n/t/_", "/n/t/~",
	"/n/t/1", "/n/t/10", "/n/t/2", "/n/t/é", "/n/t/e\u0301", "/n/t/日本", "/n/t/\U0001f30a", "/n/t/ ", "/n/t/%2F", "/n/t/\\", "/n/t/\"'",
	"/n/t/\x00", "/n/t/\x00\x00", "/n/t/\x01", "/n/t/\x7f", "/n/t/\xff", "/n/t/\xff\xff", "/n/t/a\x00", "/n/t/...a", "/n/t/a..", "/n/t/*?[",
	"/n/t!/a", "/n/t-/a", "/n/t0/a", "/n/tt/a", "/n/T/a", "/n!/t/a", "/n0/t/a", "/nn/t/a", "/N/t/a", "/~/~/~",
	"/n/t/" + strings.Repeat("k", 40<<10), "/n/t/" + strings.Repeat("k", 40<<10) + "k",
}

func putHurtful(t testing.TB, b store.Backend) model {
	t.Helper()
	m := model{}
	rng := newRand(1)
	for _, i := range rng.Perm(len(hurtfulKeys)) {
		ops := (&batch{}).put(hurtfulKeys[i], fmt.Sprint("value ", i))
		m.apply(&ops.Batch)
		apply(t, b, ops)
	}
	return m
}

func checkOrder(t testing.TB, target Target) {
	b := open(t, target)
	m := putHurtful(t, b)
	m.wantAll(t, b)
	for i, key := range hurtfulKeys {
		if i%2 == 0 {
			delete(m, key)
			apply(t, b, (&batch{}).del(key))
			wantGet(t, b, key, "", false)
		}
	}
	m.wantAll(t, b)
}

func checkBounds(t testing.TB, target Target) {
	b := open(t, target)
	m := putHurtful(t, b)
	s := snapshot(t, b)
	defer closeSnapshot(t, s)
	bounds := []string{"", "/", "/n/", "/n/t", "/n/t/", "/n/t0", "/n/t/a\x00", "/n/t/aZ", "/n/u", "/n0", "0", "\xff"}
	bounds = append(bounds, hurtfulKeys...)
	rng := newRand(2)
	for range 200 {
		lower, upper := bounds[rng.IntN(len(bounds))], bounds[rng.IntN(len(bounds))]
		if d := m.differ(s, lower, upper); d != "" {
			t.Fatal(d)
		}
	}
	for _, lower := range bounds {
		for _, upper := range []string{"", lower, lower + "\x00", "/n/t0"} {
			if d := m.differ(s, lower, upper); d != "" {
				t.Fatal(d)
			}
		}
	}
}

func checkDeleteRange(t testing.TB, target Target) {
	b := open(t, target)
	for _, r := range [][2]string{
		{"/n/t/", "/n/t0"}, {"/n/t/a", "/n/t/a0"}, {"/n/t/a", "/n/t/a\x00"}, {"/n/t/a/", "/n/t/a0"}, {"/n/", "/n0"},
		{"/n/t/b", "/n/t/a"}, {"/n/t/a", "/n/t/a"}, {"/n/t/a", ""}, {"/", "0"}, {"/n/t/\xff", "/n/t0"},
	} {
		m := putHurtful(t, b)
		ops := (&batch{}).put("/n/t/a", "again").delRange(r[0], r[1]).put("/n/t/aa", "after")
		m.apply(&ops.Batch)
		apply(t, b, ops)
		s := snapshot(t, b)
		if d := m.differ(s, "", ""); d != "" {
			t.Errorf("after [%q, %q) was deleted: %s", r[0], r[1], d)
		}
		closeSnapshot(t, s)
	}
}

func checkModel(t testing.TB, target Target) {
	b := open(t, target)
	for seed := range uint64(5) {
		rng, m := newRand(seed), model{}
		apply(t, b, (&batch{}).delRange("/", "0"))
		for range 40 {
			ops := randomBatch(rng, 12)
			m.apply(&ops.Batch)
			apply(t, b, ops)
			s := snapshot(t, b)
			lower, upper := randomKey(rng), randomKey(rng)
			if d := m.differ(s, lower, upper) + m.differ(s, "", ""); d != "" {
				t.Fatalf("seed %d: %s", seed, d)
			}
			closeSnapshot(t, s)
		}
	}
}

func checkLargeValue(t testing.TB, target Target) {
	b := open(t, target)
	m := model{}
	ops := &batch{}
	for i, n := range []int{0, 1, 1 << 10, 64 << 10, 1<<20 - 1, 1 << 20, 5 << 20} {
		ops.put(fmt.Sprintf("/n/t/%d", i), strings.Repeat(string(rune('a'+i)), n))
	}
	ops.Put("/n/t/nil", nil)
	m.apply(&ops.Batch)
	apply(t, b, ops)
	m.wantAll(t, b)
}

func checkLargeBatch(t testing.TB, target Target) {
	const n = 50_000
	b := open(t, target)
	m, ops := model{}, &batch{}
	for i := range n {
		ops.put(fmt.Sprintf("/n/t/%06d", i), fmt.Sprint(i))
		if i%3 == 0 {
			ops.del(fmt.Sprintf("/n/t/%06d", i/2))
		}
	}
	ops.delRange("/n/t/01", "/n/t/02")
	if ops.Len() < n || ops.Bytes() < 12*n {
		t.Fatalf("a batch of %d operations and %d bytes", ops.Len(), ops.Bytes())
	}
	before := snapshot(t, b)
	m.apply(&ops.Batch)
	apply(t, b, ops)
	m.wantAll(t, b)
	if d := (model{}).differ(before, "", ""); d != "" {
		t.Errorf("the snapshot from before: %s", d)
	}
	closeSnapshot(t, before)
	apply(t, b, (&batch{}).delRange("/n/t/", "/n/t0"))
	model{}.wantAll(t, b)
}

// checkOwnership writes to every slice that goes in or comes out.
func checkOwnership(t testing.TB, target Target) {
	b := open(t, target)
	value := []byte("value")
	var ops store.Batch
	ops.Put("/n/t/a", value)
	wait, err := b.Apply(&ops)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	scribble(value)
	ops.Reset()
	ops.Put("/n/t/b", []byte("other"))
	if err := wait(); err != nil {
		t.Fatalf("wait: %v", err)
	}
	wantGet(t, b, "/n/t/a", "value", true)
	wantGet(t, b, "/n/t/b", "", false)

	s := snapshot(t, b)
	defer closeSnapshot(t, s)
	apply(t, b, (&batch{}).put("/n/t/a", "newer"))
	for range 2 {
		for _, r := range []reader{b, s} {
			got, _, err := r.Get("/n/t/a")
			if err != nil || !bytes.Contains([]byte("value newer"), got) {
				t.Fatalf("Get = %q, %v", got, err)
			}
			scribble(got[:cap(got)])
		}
	}
	wantGet(t, b, "/n/t/a", "newer", true)
	wantGet(t, s, "/n/t/a", "value", true)
	if d := (model{"/n/t/a": "value"}).differ(s, "", ""); d != "" {
		t.Error(d)
	}
}

func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

func checkClosed(t testing.TB, target Target) {
	b := open(t, target)
	apply(t, b, (&batch{}).put("/n/t/a", "1").put("/n/t/b", "2"))
	wantClosed := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
	ended := snapshot(t, b)
	closeSnapshot(t, ended)
	_, _, err := ended.Get("/n/t/a")
	wantClosed("Get of a closed snapshot", err)
	_, err = ended.Iterate("", "")
	wantClosed("Iterate of a closed snapshot", err)
	_, _, err = ended.Last("", "")
	wantClosed("Last of a closed snapshot", err)

	s := snapshot(t, b)
	i, err := s.Iterate("", "")
	if err != nil || !i.Next() {
		t.Fatalf("Iterate: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if i.Next() {
		t.Error("Next after Close is true")
	}
	wantClosed("Next after Close", i.Err())
	_, _, err = s.Get("/n/t/a")
	wantClosed("Get of a snapshot after Close", err)
	_, err = s.Iterate("", "")
	wantClosed("Iterate after Close", err)
	_, _, err = s.Last("", "")
	wantClosed("Last after Close", err)
	wantClosed("Close of the iterator", i.Close())
	closeSnapshot(t, s)

	_, _, err = b.Get("/n/t/a")
	wantClosed("Get", err)
	_, err = b.Snapshot()
	wantClosed("Snapshot", err)
	_, err = b.Apply(&(&batch{}).put("/n/t/a", "3").Batch)
	wantClosed("Apply", err)
	_, err = b.DiskBytes()
	wantClosed("DiskBytes", err)
	wantClosed("Close", b.Close())
}
