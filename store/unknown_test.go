package store

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// unitOfLater returns what a later version might write: fields, kinds and a type that are not known here.
func unitOfLater() delta.Unit {
	const author = crdt.ReplicaID(77)
	dot := func(seq uint64) crdt.Dot { return crdt.Dot{Replica: author, Seq: seq} }
	later := crdt.Object('y', "of a later type").Leaf('y')
	u := delta.Unit{Origin: author, First: 1, Last: 5, Deps: crdt.VersionVector{}, Extra: []byte{8, 0xc4, 2, 0, 0xff, 9, 0xc0}}
	u.Entries = []crdt.Entry{
		{Dot: dot(1), Path: tRegister, Kind: crdt.KindValue, Time: 5 << 16, Value: []byte(`"value"`), Extra: []byte{7, 0x91, 0x01, 8, 0xc3}},
		{Dot: dot(2), Path: tSet.Member("m"), Kind: 0x44, Time: 6 << 16, Value: []byte("kind"), Extra: []byte{6, 0xc0}},
		{Dot: dot(3), Path: tSet.Member("n"), Kind: 0xc4, Time: 7 << 16, Value: []byte("dies by name alone")},
		{Dot: dot(4), Path: tSet.Member("o"), Kind: crdt.KindMember, Time: 8 << 16},
		{Dot: dot(5), Path: later, Kind: 0x45, Time: 9 << 16, Value: []byte{0, 1, 2}},
	}
	return u
}

// What a later version writes passes through a copy of this version, its disk included, byte for byte: to
// who gets the log, and to who gets the state. Removals treat unknown kinds by their kill rule.
func TestLaterVersionsPassThrough(t *testing.T) {
	ctx := context.Background()
	opts := DefaultOptions(t.TempDir())
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	n := namespaceOf(t, s, Default)
	u := unitOfLater()
	if err := n.Apply(ctx, []delta.Unit{u}, delta.Runs{u.Origin: {First: 1, Nonce: 3}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(opts); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n = namespaceOf(t, s, Default)

	byLog, byState := memorySpace(t, nil), memorySpace(t, nil)
	addMembers(t, byLog, crdt.Object(crdt.Set, "own").Leaf(crdt.Set), 0, 1) // who has nothing takes the state
	for _, to := range []*Namespace{byLog, byState} {
		if err := pull(t, to, n); err != nil {
			t.Fatal(err)
		}
	}
	if got := unitIn(t, byLog, u); !bytes.Equal(got, delta.AppendUnit(nil, u)) {
		t.Errorf("the unit by the log is\n%x, want\n%x", got, delta.AppendUnit(nil, u))
	}
	for _, c := range []*Namespace{n, byLog, byState} {
		if got := entriesOf(t, c, u.Origin); !slices.EqualFunc(got, u.Entries, sameBytes) {
			t.Errorf("the entries are %v, want %v", got, u.Entries)
		}
		checkConsistency(t, c)
	}

	mustCommit(t, n, func(tx *Tx) error { _, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil); return err })
	if got, want := entriesOf(t, n, u.Origin), []crdt.Entry{u.Entries[0], u.Entries[2], u.Entries[4]}; !slices.EqualFunc(got, want, sameBytes) {
		t.Errorf("behind the delete there are %v, want %v", got, want)
	}
	if err := pull(t, byState, n); err != nil {
		t.Fatal(err)
	}
	if got, want := entriesOf(t, byState, u.Origin), entriesOf(t, n, u.Origin); !slices.EqualFunc(got, want, sameBytes) {
		t.Errorf("replicated there are %v, want %v", got, want)
	}
}

func sameBytes(a, b crdt.Entry) bool {
	return bytes.Equal(delta.AppendEntry(nil, a), delta.AppendEntry(nil, b))
}

// entriesOf returns the live entries of a replica, by their seqs.
func entriesOf(t *testing.T, n *Namespace, origin crdt.ReplicaID) (es []crdt.Entry) {
	t.Helper()
	src, err := n.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for e, err := range src.Entries(crdt.VersionVector{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Dot.Replica == origin {
			es = append(es, e)
		}
	}
	slices.SortFunc(es, func(a, b crdt.Entry) int { return a.Dot.Compare(b.Dot) })
	return es
}

// unitIn returns a unit as the log of a copy has it.
func unitIn(t *testing.T, n *Namespace, u delta.Unit) []byte {
	t.Helper()
	src, err := n.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got, ok, err := src.Unit(u.Origin, u.First)
	if err != nil || !ok {
		t.Fatalf("there is no unit %v:%d: %v", u.Origin, u.First, err)
	}
	return delta.AppendUnit(nil, got.Unit)
}
