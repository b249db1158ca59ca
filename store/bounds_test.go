package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// TestDeleteOfOwnAdds: a transaction that deletes only what it wrote itself makes a unit that a
// peer takes, also where nothing was before it and where its author had seen nothing.
func TestDeleteOfOwnAdds(t *testing.T) {
	for _, large := range []int{10, 4096} {
		for _, before := range []int{0, 3} {
			t.Run(fmt.Sprintf("large=%d/before=%d", large, before), func(t *testing.T) {
				n := memorySpace(t, func(o *Options) { o.LargeEntries = large })
				peer := memorySpace(t, nil)
				var units []delta.Unit
				n.Subscribe(func(c Commit) { units = append(units, c.Units...) })
				addMembers(t, n, tSet, 0, before)
				for _, seen := range []crdt.VersionVector{nil, {}} {
					mustCommit(t, n, func(tx *Tx) error {
						for i := range 100 {
							if _, err := tx.Add(numbered(tSet, 1000+i)); err != nil {
								return err
							}
						}
						_, err := tx.Delete(crdt.Object(crdt.Set, "s"), seen)
						return err
					})
				}
				if err := peer.Apply(context.Background(), slices.Clone(units), n.Status().Runs); err != nil {
					t.Fatal(err)
				}
				if a, b := checkConsistency(t, n), checkConsistency(t, peer); !a.Equal(b) {
					t.Errorf("the peer holds something else:\n%s\n%s", describe(a), describe(b))
				}
			})
		}
	}
}

// TestLargeValuesInPieces: what is large is so by its bytes too. No batch of a join or a delete
// grows with the values.
func TestLargeValuesInPieces(t *testing.T) {
	if testing.Short() {
		t.Skip("moves hundreds of megabytes")
	}
	const values, size = 300, 200 << 10
	r := newRig(t)
	_, author := r.space()
	fields := tMap.Field("f")
	for i := range values {
		mustCommit(t, author, func(tx *Tx) error {
			return tx.Assign(fields.Field(fmt.Sprint(i)).Leaf(crdt.Register), []byte(`"`+strings.Repeat("x", size)+`"`), nil)
		})
	}
	p := newRig(t)
	_, peer := p.space()
	var largest atomic.Int64
	for _, d := range []*disturbed{r.backend, p.backend} {
		d.disturb(func(d *disturbed) {
			d.onApply = func(b *Batch) error {
				largest.Store(max(largest.Load(), int64(b.Bytes())))
				return nil
			}
		})
	}
	src, err := author.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	j := StateJoin{From: peer.Clock(), To: src.Status().Clock, Streamed: src.Live(), Killed: delta.NewDotSet()}
	for e, err := range src.Entries(nil) {
		if err != nil {
			t.Fatal(err)
		}
		if err := peer.Stage([]crdt.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := peer.Join(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if a, b := author.Status(), peer.Status(); a.Digest != b.Digest || b.Entries != values {
		t.Fatalf("%d entries, want %d", b.Entries, values)
	}
	if n := largest.Load(); n > maxPieceBytes+2*size {
		t.Errorf("a batch of %d MiB", n>>20)
	}
	mustCommit(t, peer, func(tx *Tx) error {
		_, err := tx.Delete(tMap, nil)
		return err
	})
	if _, entries := peer.Counts(); entries != 0 {
		t.Errorf("%d entries after the delete", entries)
	}
}

// TestReadsWhileTheDatastoreStalls: who reads never waits for who writes.
func TestReadsWhileTheDatastoreStalls(t *testing.T) {
	r := newRig(t)
	_, n := r.space()
	mustCommit(t, n, increment(1))
	stalled, goOn := make(chan struct{}), make(chan struct{})
	r.backend.disturb(func(d *disturbed) {
		d.onApply = func(*Batch) error {
			close(stalled)
			<-goOn
			return nil
		}
	})
	done := make(chan error)
	go func() {
		_, err := n.Commit(context.Background(), increment(1))
		done <- err
	}()
	<-stalled
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	src, err := n.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	es, err := v.Entries(tCounter)
	if err != nil {
		t.Fatal(err)
	}
	if value, err := crdt.CounterValue(es); err != nil || value.String() != "1" {
		t.Errorf("the counter reads %v, %v while its next commit is under way", value, err)
	}
	if !src.Live().Contains(es[0].Dot) {
		t.Error("live bits are not those of the snapshot")
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	v.Close()
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	r.backend.calm()
	checkConsistency(t, n)
}
