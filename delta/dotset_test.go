package delta

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// dotModel is a dumb DotSet.
type dotModel map[crdt.Dot]bool

func (m dotModel) sorted() []crdt.Dot {
	ds := make([]crdt.Dot, 0, len(m))
	for d := range m {
		ds = append(ds, d)
	}
	slices.SortFunc(ds, crdt.Dot.Compare)
	return ds
}

type snapshot struct {
	set  *DotSet
	dots []crdt.Dot
}

// randomSnapshots changes a set and a model in the same ways, and returns clones taken on the
// way, with what must be in them whatever happened to the set later.
func randomSnapshots(t *testing.T, seed uint64) []snapshot {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	s, m := NewDotSet(), dotModel{}
	var snaps []snapshot
	for i := range 12_000 {
		d := dot(crdt.ReplicaID(1+rng.IntN(3)), 1+rng.Uint64N(140_000)>>rng.IntN(12))
		switch op := rng.IntN(200); {
		case op == 0:
			n := rng.Uint64N(5000)
			s.AddRange(d.Replica, d.Seq, d.Seq+n)
			for k := range n + 1 {
				m[dot(d.Replica, d.Seq+k)] = true
			}
		case op < 90:
			if s.Remove(d) != m[d] {
				t.Fatalf("seed %d: Remove(%v) is %v", seed, d, !m[d])
			}
			delete(m, d)
		default:
			if s.Add(d) == m[d] {
				t.Fatalf("seed %d: Add(%v) is %v", seed, d, m[d])
			}
			m[d] = true
		}
		if i%1500 == 0 {
			snaps = append(snaps, snapshot{s.Clone(), m.sorted()})
		}
	}
	return append(snaps, snapshot{s, m.sorted()})
}

func TestDotSetAgainstModel(t *testing.T) {
	for seed := range uint64(2) {
		snaps := randomSnapshots(t, seed)
		for i, sn := range snaps {
			if got := slices.Collect(sn.set.All()); !slices.Equal(got, sn.dots) {
				t.Fatalf("seed %d: clone %d holds %d dots, want %d", seed, i, len(got), len(sn.dots))
			}
			if sn.set.Len() != uint64(len(sn.dots)) {
				t.Fatalf("seed %d: clone %d: Len is %d, want %d", seed, i, sn.set.Len(), len(sn.dots))
			}
		}
		checkSetOperations(t, snaps[3], snaps[7])
	}
}

func checkSetOperations(t *testing.T, x, y snapshot) {
	t.Helper()
	v := crdt.VersionVector{1: 70_000, 2: 65_535}
	for _, op := range []struct {
		name string
		got  *DotSet
		keep func(d crdt.Dot) bool
	}{
		{"And", x.set.And(y.set), func(d crdt.Dot) bool { return x.set.Contains(d) && y.set.Contains(d) }},
		{"AndNot", x.set.AndNot(y.set), func(d crdt.Dot) bool { return x.set.Contains(d) && !y.set.Contains(d) }},
		{"Or", x.set.Or(y.set), func(crdt.Dot) bool { return true }},
		{"CutAt", x.set.CutAt(v), func(d crdt.Dot) bool { return x.set.Contains(d) && v.Covers(d) }},
		{"Uncovered", x.set.Uncovered(v), func(d crdt.Dot) bool { return x.set.Contains(d) && !v.Covers(d) }},
	} {
		want := dotModel{}
		for _, d := range slices.Concat(x.dots, y.dots) {
			if op.keep(d) {
				want[d] = true
			}
		}
		if got := slices.Collect(op.got.All()); !slices.Equal(got, want.sorted()) || op.got.Len() != uint64(len(want)) {
			t.Errorf("%s: %d dots, Len %d, want %d", op.name, len(got), op.got.Len(), len(want))
		}
		for r := range crdt.ReplicaID(4) { // results are sets of their own
			op.got.AddRange(r+1, 1, 100_000)
			op.got.Remove(dot(r+1, 70_001))
		}
	}
	for _, s := range []snapshot{x, y} {
		if !slices.Equal(slices.Collect(s.set.All()), s.dots) {
			t.Error("an operation changed its operand, or a result shares memory with it")
		}
	}
}

// Operands that have chunks and replicas in common, and others that they have not.
func TestDotSetOperationsByChunk(t *testing.T) {
	chunks := func(r crdt.ReplicaID, keys ...uint64) snapshot {
		s := NewDotSet()
		for _, k := range keys {
			s.AddRange(r, k<<chunkBits+7, k<<chunkBits+9)
		}
		return snapshot{s, slices.Collect(s.All())}
	}
	for _, c := range []struct{ x, y snapshot }{
		{chunks(1, 0, 2, 4, 6), chunks(1, 1, 2, 3)},
		{chunks(1, 1, 2, 3), chunks(1, 0, 2, 4, 6)},
		{chunks(1, 1), chunks(2, 1)},
		{chunks(1, 1), chunks(1)},
		{chunks(1), chunks(1, 1)},
	} {
		checkSetOperations(t, c.x, c.y)
		if c.x.set.Equal(c.y.set) {
			t.Errorf("%v and %v are equal", c.x.dots, c.y.dots)
		}
	}
	x, y := chunks(1, 1, 2), chunks(1, 1, 3)
	shared := snapshot{x.set.Clone(), x.dots}
	checkSetOperations(t, x, shared)
	if !x.set.Equal(shared.set) || x.set.Equal(y.set) {
		t.Error("Equal is not about the dots")
	}
	shared.set.AddRange(1, 9, 8) // nothing
	if shared.set.Add(dot(1, 1<<chunkBits+8)); !x.set.Equal(shared.set) {
		t.Error("what is there was added")
	}
}

func TestDotSetRange(t *testing.T) {
	var s DotSet // the zero value is ready
	for _, seq := range []uint64{1, 5, 65_535, 65_536, 65_540, 1 << 20, 1<<64 - 1} {
		s.Add(dot(idA, seq))
	}
	for _, c := range []struct {
		first, last uint64
		want        []uint64
	}{
		{0, 1<<64 - 1, []uint64{1, 5, 65_535, 65_536, 65_540, 1 << 20, 1<<64 - 1}},
		{5, 65_536, []uint64{5, 65_535, 65_536}},
		{6, 65_534, nil},
		{65_537, 1 << 20, []uint64{65_540, 1 << 20}},
		{9, 8, nil},
	} {
		if got := slices.Collect(s.Range(idA, c.first, c.last)); !slices.Equal(got, c.want) {
			t.Errorf("Range(%d, %d) is %v, want %v", c.first, c.last, got, c.want)
		}
	}
	for range s.All() {
		break // must not go on
	}
	if len(s.Replicas()) != 1 || s.Contains(dot(idB, 1)) || slices.Collect(s.Range(idB, 0, 9)) != nil {
		t.Error("a replica that is not in the set")
	}
	for _, seq := range slices.Collect(s.Range(idA, 0, 1<<64-1)) {
		s.Remove(dot(idA, seq))
	}
	if !s.Equal(NewDotSet()) || len(s.Replicas()) != 0 {
		t.Error("not empty after everything was removed")
	}
}

func TestHashRangeIsOfTheContent(t *testing.T) {
	for seed := range uint64(2) {
		snaps := randomSnapshots(t, seed)
		checkHashes(t, snaps[1])
		checkHashes(t, snaps[len(snaps)-1])
	}
}

// checkHashes compares the hashes of a set with those of the same dots held in other ways.
func checkHashes(t *testing.T, sn snapshot) {
	t.Helper()
	oneByOne := NewDotSet()
	for _, d := range sn.dots {
		oneByOne.Add(d)
	}
	decoded, _, err := DecodeDotSet(AppendDotSet(nil, sn.set))
	if err != nil {
		t.Fatal(err)
	}
	for r := crdt.ReplicaID(1); r <= 3; r++ {
		for _, b := range [][2]uint64{{0, 1<<64 - 1}, {1, 1024}, {100, 150_000}, {65_535, 65_600}, {7, 7}} {
			part := NewDotSet()
			for seq := range sn.set.Range(r, b[0], b[1]) {
				part.Add(dot(r, seq))
			}
			want := sn.set.HashRange(r, b[0], b[1])
			for i, s := range []*DotSet{oneByOne, decoded, part} {
				if got := s.HashRange(r, b[0], b[1]); got != want {
					t.Fatalf("[%d, %d] of %v: held in way %d, its hash is another", b[0], b[1], r, i)
				}
			}
			if part.HashRange(r, 0, 1<<64-1) != want {
				t.Fatalf("[%d, %d] of %v: the hash depends on what is outside", b[0], b[1], r)
			}
			if last := slices.Collect(part.Range(r, 0, 1<<64-1)); len(last) > 0 {
				part.Remove(dot(r, last[len(last)/2]))
				if part.HashRange(r, b[0], b[1]) == want {
					t.Fatalf("[%d, %d] of %v: a dot less has the same hash", b[0], b[1], r)
				}
			}
		}
	}
}

// A clone must not change while the original is written: run with -race.
func TestDotSetClonesAreIsolated(t *testing.T) {
	s := NewDotSet()
	s.AddRange(1, 1, 300_000)
	for seq := uint64(1); seq < 50_000; seq += 7 {
		s.Add(dot(2, seq))
	}
	decoded, _, err := DecodeDotSet(AppendDotSet(nil, s))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*DotSet{s, decoded} {
		rng := rand.New(rand.NewPCG(3, 4))
		var readers sync.WaitGroup
		for range 8 {
			clone, n := s.Clone(), s.Len()
			want := clone.HashRange(1, 0, 1<<64-1)
			for range 2 { // two readers of one clone, each of which clones it again
				readers.Go(func() { readClone(t, clone, n, want) })
			}
			for range 2_000 {
				d := dot(crdt.ReplicaID(1+rng.IntN(2)), 1+rng.Uint64N(300_000))
				if !s.Remove(d) {
					s.Add(d)
				}
			}
			s.AddRange(3, 1, 100)
		}
		readers.Wait()
	}
}

func readClone(t *testing.T, clone *DotSet, n uint64, want [16]byte) {
	second := clone.Clone()
	second.Remove(dot(1, 1))
	second.AddRange(2, 1, 70_000)
	cut := clone.CutAt(crdt.VersionVector{1: 100_000})
	cut.AddRange(1, 1, 2)
	both := clone.Or(second).And(clone)
	count := uint64(0)
	for range clone.All() {
		count++
	}
	if count != n || clone.HashRange(1, 0, 1<<64-1) != want || !both.Equal(clone) {
		t.Errorf("a clone changed: %d dots, want %d", count, n)
	}
	AppendDotSet(nil, clone)
}

func TestDotSetCodec(t *testing.T) {
	for seed := range uint64(2) {
		for _, sn := range randomSnapshots(t, seed) {
			enc := AppendDotSet(nil, sn.set)
			got, rest, err := DecodeDotSet(append(enc, "rest"...))
			if err != nil || string(rest) != "rest" || !got.Equal(sn.set) || got.Len() != sn.set.Len() {
				t.Fatalf("seed %d: %v, %d bytes left", seed, err, len(rest))
			}
			if !slices.Equal(AppendDotSet(nil, got), enc) {
				t.Fatalf("seed %d: encoded again, it differs", seed)
			}
		}
	}
}

// The size follows what is in the set, not how it came about.
func TestDotSetBytes(t *testing.T) {
	dense, holes := NewDotSet(), NewDotSet()
	dense.AddRange(idA, 1, 1<<20)
	for seq := uint64(1); seq <= 1<<20; seq++ {
		holes.Add(dot(idA, seq))
	}
	for seq := uint64(1); seq <= 1<<20; seq += 10_000 {
		holes.Remove(dot(idA, seq))
	}
	gone := dense.AndNot(holes)
	for _, c := range []struct {
		name string
		set  *DotSet
		most int
	}{{"a million dots", dense, 200}, {"the same without 105", holes, 600}, {"these 105", gone, 350}} {
		if n := len(AppendDotSet(nil, c.set)); n > c.most {
			t.Errorf("%s take %d bytes, want at most %d", c.name, n, c.most)
		} else {
			t.Logf("%s: %d bytes", c.name, n)
		}
	}
}
