package delta

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

const benchOrigin = crdt.ReplicaID(0x9f3a_71c4_05d2_e866)

// sampleTime is a reading of the year 2025.
const sampleTime = crdt.Timestamp(1_750_000_000_000 << 16)

// sampleUnits returns n consecutive units of one origin, each of one operation.
func sampleUnits(kind string, n int) []Unit {
	units := make([]Unit, n)
	for i := range units {
		at := crdt.Dot{Replica: benchOrigin, Seq: 100_000 + uint64(i)}
		e := crdt.Entry{Dot: at, Time: sampleTime + crdt.Timestamp(i)<<17}
		u := Unit{Origin: benchOrigin, First: at.Seq, Last: at.Seq}
		old := []Kill{{Dots: []crdt.Dot{{Replica: benchOrigin, Seq: at.Seq - 777}}}}
		switch kind {
		case "register":
			e.Path, e.Kind = crdt.Object(crdt.Register, fmt.Sprintf("user%04d", i)).Leaf(crdt.Register), crdt.KindValue
			e.Value = bytes.Repeat([]byte("v"), 64)
			u.Kills = old
		case "set":
			e.Path, e.Kind = crdt.Object(crdt.Set, "tags").Leaf(crdt.Set).Member(fmt.Sprintf("member%04d", i)), crdt.KindMember
		case "counter":
			e.Path, e.Kind = crdt.Object(crdt.Counter, "visits").Leaf(crdt.Counter), crdt.KindCell
			e.Value = bytes.Repeat([]byte{7}, 12)
			u.Kills = old
		}
		u.Entries = []crdt.Entry{e}
		units[i] = u
	}
	return units
}

// payload is what of a unit no format can save: paths and values.
func payload(u Unit) int {
	n := 0
	for _, e := range u.Entries {
		n += len(e.Path) + len(e.Value)
	}
	return n
}

func TestBytesPerUnit(t *testing.T) {
	for _, c := range []struct {
		kind         string
		one, hundred int // most bytes besides path and value: alone in a frame, and per unit of 100
	}{
		{"register", 84, 34}, {"set", 68, 20}, {"counter", 84, 36},
	} {
		for _, n := range []int{1, 100} {
			units := sampleUnits(c.kind, n)
			frame := AppendFrame(nil, Frame{Runs: Runs{benchOrigin: {First: 90_001, Nonce: 0x8877665544332211}}, Units: units})
			per := len(frame) / n
			over := per - payload(units[0])
			t.Logf("%-8s in a frame of %3d: %3d bytes per unit, %2d besides path and value", c.kind, n, per, over)
			if limit := map[int]int{1: c.one, 100: c.hundred}[n]; over > limit {
				t.Errorf("%s in a frame of %d: %d bytes besides path and value, want at most %d", c.kind, n, over, limit)
			}
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	for _, kind := range []string{"register", "set", "counter"} {
		for _, n := range []int{1, 100} {
			f := Frame{Runs: Runs{benchOrigin: {First: 90_001, Nonce: 1}}, Units: sampleUnits(kind, n)}
			enc := AppendFrame(nil, f)
			b.Run(fmt.Sprintf("encode/%s/%d", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				var buf []byte
				for b.Loop() {
					buf = AppendFrame(buf[:0], f)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/unit")
			})
			b.Run(fmt.Sprintf("decode/%s/%d", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := DecodeFrame(enc); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/unit")
			})
		}
	}
}

func BenchmarkUnit(b *testing.B) {
	u := sampleUnits("register", 1)[0]
	enc := AppendUnit(nil, u)
	b.Run("size", func(b *testing.B) {
		for b.Loop() {
			u.Size()
		}
	})
	b.Run("validate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = Validate(u)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = DecodeUnit(enc)
		}
	})
	b.Run("digest", func(b *testing.B) {
		b.ReportAllocs()
		var d Digest
		for b.Loop() {
			d.Add(u.Entries[0])
		}
	})
}

func BenchmarkHashRange(b *testing.B) {
	const n = 1 << 20
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name string
		keep int // of 1,000 seqs
	}{{"full", 1000}, {"holes", 999}, {"half", 500}, {"sparse", 10}} {
		s := NewDotSet()
		for seq := uint64(1); s.Len() < n; seq++ {
			if rng.IntN(1000) < c.keep {
				s.Add(crdt.Dot{Replica: 1, Seq: seq})
			}
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				s.HashRange(1, 1, ^uint64(0))
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mdots/s")
		})
		b.Run(c.name+"/leaf", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.HashRange(1, 70_001, 71_024)
			}
		})
	}
}

func BenchmarkDotSet(b *testing.B) {
	s := NewDotSet()
	s.AddRange(1, 1, 1<<20)
	enc := AppendDotSet(nil, s)
	b.Run("add", func(b *testing.B) {
		s := NewDotSet()
		for seq := uint64(1); b.Loop(); seq++ {
			s.Add(crdt.Dot{Replica: 1, Seq: seq})
		}
	})
	b.Run("clone and write", func(b *testing.B) {
		b.ReportAllocs()
		for seq := uint64(1); b.Loop(); seq++ {
			s.Clone()
			s.Remove(crdt.Dot{Replica: 1, Seq: 1 + seq%(1<<20)})
		}
	})
	b.Run("encode", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = AppendDotSet(buf[:0], s)
		}
		b.ReportMetric(float64(len(enc)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			_, _, _ = DecodeDotSet(enc)
		}
	})
}
