package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// maxGets bounds the keys of a comparison that are read one by one too.
const maxGets = 1000

// model is a backend as simple as can be.
type model map[string]string

func (m model) apply(b *store.Batch) {
	for o := range b.Ops() {
		switch o.Kind {
		case store.OpPut:
			m[o.Key] = string(o.Value)
		case store.OpDelete:
			delete(m, o.Key)
		case store.OpDeleteRange:
			maps.DeleteFunc(m, func(key, _ string) bool { return o.Key <= key && key < o.Upper })
		}
	}
}

// list returns what is in [lower, upper), ascending.
func (m model) list(lower, upper string) []pair {
	var pairs []pair
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key >= lower && (upper == "" || key < upper) {
			pairs = append(pairs, pair{key, m[key]})
		}
	}
	return pairs
}

// differ says how s differs from m, by iterating and by getting; "" if it does not.
func (m model) differ(s store.Snapshot, lower, upper string) string {
	got, err := list(s, lower, upper)
	if err != nil {
		return fmt.Sprintf("iterating over [%q, %q): %v", lower, upper, err)
	}
	want := m.list(lower, upper)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("iterating over [%.60q, %.60q): at %d is %.80q, want %.80q", lower, upper, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("iterating over [%.60q, %.60q): %d keys, want %d", lower, upper, len(got), len(want))
	}
	last := ""
	if len(want) > 0 {
		last = want[len(want)-1].key
	}
	if key, ok, err := s.Last(lower, upper); err != nil || key != last || ok != (len(want) > 0) {
		return fmt.Sprintf("last of [%.60q, %.60q) is %.60q, %v, %v; want %.60q", lower, upper, key, ok, err, last)
	}
	for i := 0; i < len(want); i += 1 + len(want)/maxGets {
		p := want[i]
		value, ok, err := s.Get(p.key)
		if err != nil || !ok || string(value) != p.value {
			return fmt.Sprintf("Get(%.60q) = %.60q, %v, %v; want %.60q", p.key, value, ok, err, p.value)
		}
	}
	return ""
}

// wantAll checks the newest state against m.
func (m model) wantAll(t testing.TB, b store.Backend) {
	t.Helper()
	s := snapshot(t, b)
	if d := m.differ(s, "", ""); d != "" {
		t.Fatal(d)
	}
	closeSnapshot(t, s)
	gets := 0
	for key, value := range m {
		if gets++; gets > maxGets {
			break
		}
		wantGet(t, b, key, value, true)
	}
}

// randomKey returns one of few keys, so that batches meet.
func randomKey(rng *rand.Rand) string {
	return fmt.Sprintf("/n%d/t%d/%02x", rng.IntN(2), rng.IntN(2), rng.IntN(40))
}

// randomBatch returns a batch of up to n operations.
func randomBatch(rng *rand.Rand, n int) *batch {
	b := &batch{}
	for range rng.IntN(n + 1) {
		switch rng.IntN(10) {
		case 0:
			b.delRange(randomKey(rng), randomKey(rng))
		case 1, 2, 3:
			b.del(randomKey(rng))
		default:
			b.put(randomKey(rng), fmt.Sprintf("%x", rng.Uint64()>>rng.IntN(64)))
		}
	}
	return b
}

// newRand returns the random numbers of a seed.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
