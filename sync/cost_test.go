package sync

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// bulk is a copy that makes up its entries, so that a million of them fit into a test.
type bulk struct {
	st     Status
	live   *delta.DotSet
	flip   Flip
	staged int
	units  int
}

func newBulk(self crdt.ReplicaID) *bulk {
	return &bulk{live: delta.NewDotSet(), st: Status{Replica: self, Clock: crdt.VersionVector{}, Runs: delta.Runs{},
		OwnRuns: []delta.Run{{First: 1, Nonce: uint64(self) * 0x9e3779b97f4a7c15}}}}
}

// issue says that seqs up to last of r, of which the last n are live, are here.
func (b *bulk) issue(r crdt.ReplicaID, last, n uint64) {
	b.live.AddRange(r, last-n+1, last)
	b.st.Clock[r] = last
	b.st.Runs[r] = delta.Run{First: 1, Nonce: uint64(r) * 0x9e3779b97f4a7c15}
}

func bulkEntry(d crdt.Dot) crdt.Entry {
	rng := rand.New(rand.NewPCG(uint64(d.Replica), d.Seq))
	value := make([]byte, 0, 64)
	for value = append(value, '"'); len(value) < 63; {
		value = append(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[rng.IntN(64)])
	}
	value = append(value, '"')
	path := crdt.Object(crdt.Register, fmt.Sprintf("k%08d", d.Seq)).Leaf(crdt.Register)
	return crdt.Entry{Dot: d, Path: path, Kind: crdt.KindValue, Time: crdt.Timestamp(1_700_000_000_000<<16 + d.Seq), Value: value}
}

func (b *bulk) Begin() (SinkState, error) { return SinkState{Status: b.st, Live: b.live.Clone()}, nil }
func (b *bulk) Cached(crdt.VersionVector, delta.Runs, delta.Past) (*delta.DotSet, error) {
	return nil, nil
}
func (b *bulk) Stage(es []crdt.Entry) error {
	b.staged += len(es)
	return nil
}
func (b *bulk) ApplyUnits(us []delta.Unit, _ delta.Runs) error {
	b.units += len(us)
	return nil
}
func (b *bulk) Flip(f Flip) error {
	b.flip = f
	return nil
}

func (b *bulk) Replica() crdt.ReplicaID   { return b.st.Replica }
func (b *bulk) OwnRuns() []delta.Run      { return b.st.OwnRuns }
func (b *bulk) Clock() crdt.VersionVector { return b.st.Clock }
func (b *bulk) Runs() delta.Runs          { return b.st.Runs }
func (b *bulk) Past() delta.Past          { return nil }
func (b *bulk) Digest() delta.Digest      { return b.st.Digest }
func (b *bulk) Live() *delta.DotSet       { return b.live }
func (b *bulk) Close() error              { return nil }
func (b *bulk) Log(crdt.VersionVector) (iter.Seq2[delta.Issued, error], bool, error) {
	return nil, false, nil
}
func (b *bulk) Unit(crdt.ReplicaID, uint64) (delta.Issued, bool, error) {
	return delta.Issued{}, false, nil
}
func (b *bulk) Entries(since crdt.VersionVector) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for d := range b.live.Uncovered(since).All() {
			if !yield(bulkEntry(d), nil) {
				return
			}
		}
	}
}

func (b *bulk) pull(t testing.TB, from *bulk) *link {
	t.Helper()
	l := &link{pull: NewPull(DefaultConfig(), b), serve: NewServe(DefaultConfig(), func() (Source, error) { return from, nil })}
	out, err := l.pull.Start()
	if err != nil {
		t.Fatal(err)
	}
	l.sendUp(out)
	if err := l.run(); err != nil {
		t.Fatal(err)
	}
	return l
}

// Replica ids as they are: random, so nine bytes on the wire.
const (
	idA crdt.ReplicaID = 0x8d3c_1f6e_25a9_b047
	idB crdt.ReplicaID = 0xe19b_7340_cc52_86fd
	idC crdt.ReplicaID = 0x5f02_aa9e_d713_4c68
)

// TestCostOfSame: copies that agree find out in one round trip.
func TestCostOfSame(t *testing.T) {
	a, b := newBulk(idA), newBulk(idB)
	for _, c := range []*bulk{a, b} {
		c.issue(idA, 1_000_000, 500_000)
		c.issue(idB, 70_000, 100)
		c.issue(idC, 300, 300)
	}
	l := b.pull(t, a)
	t.Logf("%d + %d bytes, %d round trips", l.upBytes, l.downBytes, l.rounds)
	if l.upBytes+l.downBytes > 100 || l.rounds != 1 {
		t.Error("want at most 100 bytes in one round trip")
	}
}

// TestCostOfRemovals: a hundred removals among a million entries, however these are spread over
// the seqs.
func TestCostOfRemovals(t *testing.T) {
	for name, spread := range map[string]uint64{"dense": 1, "every second seq": 2, "every 20th seq": 20} {
		t.Run(name, func(t *testing.T) {
			a, b := newBulk(idA), newBulk(idB)
			rng := rand.New(rand.NewPCG(1, spread))
			for _, c := range []*bulk{a, b} {
				c.issue(idA, 1_000_000*spread, 0)
			}
			for seq := uint64(1); seq <= 1_000_000*spread; seq++ {
				if spread == 1 || rng.Uint64N(spread) == 0 {
					a.live.Add(crdt.Dot{Replica: idA, Seq: seq})
				}
			}
			b.live = a.live.Clone()
			for range 100 { // seqs that stand for the removals themselves
				d := crdt.Dot{Replica: idA, Seq: 1 + rng.Uint64N(1_000_000*spread)}
				for !a.live.Remove(d) {
					d.Seq++
				}
			}
			a.st.Clock[idA] += 100
			l := b.pull(t, a)
			t.Logf("%d + %d bytes, %d round trips", l.upBytes, l.downBytes, l.rounds)
			if b.flip.Killed.Len() != 100 || !b.flip.Killed.Equal(b.live.AndNot(a.live)) {
				t.Errorf("%d kills", b.flip.Killed.Len())
			}
			if l.upBytes+l.downBytes > 51<<10 {
				t.Error("want at most 51 KiB")
			}
		})
	}
}

// TestCostOfDifferences: a hundred overwritten entries among a hundred thousand.
func TestCostOfDifferences(t *testing.T) {
	a, b := newBulk(idA), newBulk(idB)
	for _, c := range []*bulk{a, b} {
		c.issue(idA, 100_000, 100_000)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	entries := 0
	for seq := uint64(1); seq <= 100; seq++ {
		a.issue(idC, seq, 1)
		entries += len(delta.AppendEntry(nil, bulkEntry(crdt.Dot{Replica: idC, Seq: seq})))
		a.live.Remove(crdt.Dot{Replica: idA, Seq: 1 + rng.Uint64N(100_000)})
	}
	for seq := uint64(1); seq <= 100; seq++ {
		b.issue(idB, seq, 1)
	}
	l := b.pull(t, a)
	total := l.upBytes + l.downBytes
	t.Logf("%d + %d bytes, %d of them entries, %d round trips", l.upBytes, l.downBytes, entries, l.rounds)
	if b.flip.Streamed.Len() != 100 || b.staged != 100 || !b.flip.Killed.Equal(b.live.CutAt(a.st.Clock).AndNot(a.live)) {
		t.Errorf("%d entries, %d kills", b.flip.Streamed.Len(), b.flip.Killed.Len())
	}
	if total > 64<<10+entries {
		t.Error("want at most 64 KiB and the entries")
	}
}

// TestCostOfFresh: all of a hundred thousand entries.
func TestCostOfFresh(t *testing.T) {
	a, b := newBulk(idA), newBulk(idB)
	a.issue(idA, 100_000, 100_000)
	l := b.pull(t, a)
	t.Logf("%d bytes for an entry", l.downBytes/100_000)
	if b.staged != 100_000 || b.flip.Streamed.Len() != 100_000 {
		t.Errorf("%d staged", b.staged)
	}
	if l.downBytes > 64*100_000 {
		t.Error("want at most 64 bytes for an entry")
	}
}

// TestCostOfClocks: engines whose clocks have thousands of components tell each other those that
// differ.
func TestCostOfClocks(t *testing.T) {
	st := func(self crdt.ReplicaID) Status {
		s := Status{Replica: self, Clock: crdt.VersionVector{self: 1}, Runs: delta.Runs{}, OwnRuns: []delta.Run{{First: 1, Nonce: 1}}}
		rng := rand.New(rand.NewPCG(1, 1))
		for range 5000 {
			r := crdt.ReplicaID(rng.Uint64())
			s.Clock[r], s.Runs[r] = rng.Uint64N(1000)+1, delta.Run{First: 1, Nonce: rng.Uint64()}
		}
		return s
	}
	a, b := NewEngine(DefaultConfig(), st(idA)), NewEngine(DefaultConfig(), st(idB))
	bytes := 0
	feed := func(to *Engine, from PeerID, as []Action) (out []Action) {
		for _, act := range as {
			if s, ok := act.(Send); ok {
				bytes += len(s.Data)
				out = append(out, to.Handle(epoch, Message{Peer: from, Data: s.Data})...)
			}
		}
		return out
	}
	fromA, fromB := a.Handle(epoch, PeerUp{Peer: "b"}), b.Handle(epoch, PeerUp{Peer: "a"})
	for len(fromA)+len(fromB) > 0 {
		nextB := feed(b, "a", fromA)
		fromA, fromB = feed(a, "b", fromB), nextB
	}
	t.Logf("%d bytes for 2 differing components of 5,000", bytes)
	if got := b.Peers()[0].Clock; got.Compare(a.st.Clock) != crdt.Equal {
		t.Errorf("b believes a to stand elsewhere: %d components", len(got))
	}
	if bytes > 12<<10 {
		t.Error("want at most 12 KiB")
	}
}
