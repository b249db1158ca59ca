package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

// hurtful are names that a path, a file system or a careless comparison would fold, cut or escape.
var hurtful = []string{
	"/", "//", "a/b", ".", "..", "../..", "\x00", "a\x00b", "\x01", "!", "#", "|", "}", "~", "\x7f", "0", " ", "a", "aa", "A",
	"é", "e\u0301", "\u00e9\u0301", "😀", "👩‍👩‍👧", "\U0010ffff", "\u0800", "%2F", "%00", "\\", "\"", "\u202e", "ß", "ẞ", "İ",
	strings.Repeat("z", crdt.MaxNameBytes), strings.Repeat("/", crdt.MaxNameBytes), strings.Repeat("\u07ff", crdt.MaxNameBytes/2),
}

// paths collects a scan, and what it says.
func paths(t testing.TB, items iter.Seq2[Item, error]) map[crdt.Path][]crdt.Entry {
	t.Helper()
	all := map[crdt.Path][]crdt.Entry{}
	last := crdt.Path("")
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		if item.Path <= last || len(item.Entries) == 0 {
			t.Fatalf("%q with %d entries after %q", item.Path, len(item.Entries), last)
		}
		last, all[item.Path] = item.Path, item.Entries
	}
	return all
}

func sorted(names []string) []string {
	c := slices.Clone(names)
	slices.Sort(c)
	return c
}

// TestHurtfulNames pages over members, fields and keys with such names, from each of them on.
func TestHurtfulNames(t *testing.T) {
	n := memorySpace(t, nil)
	inMap := tMap.Field("../").Leaf(crdt.Set)
	mustCommit(t, n, func(tx *Tx) error {
		for _, name := range hurtful {
			for _, p := range []crdt.Path{tSet.Member(name), inMap.Member(name)} {
				if _, err := tx.Add(p); err != nil {
					return err
				}
			}
			for _, p := range []crdt.Path{
				crdt.Object(crdt.Register, name).Leaf(crdt.Register), crdt.Object(crdt.Map, "m").Fields("f", name).Leaf(crdt.Register),
			} {
				if err := tx.Assign(p, []byte("1"), nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	checkConsistency(t, n)
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want := sorted(hurtful)
	for i := -1; i < len(want); i++ {
		for what, c := range map[string]struct {
			prefix, after crdt.Path
			name          func(q crdt.Parts) string
		}{
			"members":        {tSet, tSet.Member(want[max(i, 0)]), func(q crdt.Parts) string { return q.Member }},
			"members in map": {inMap, inMap.Member(want[max(i, 0)]), func(q crdt.Parts) string { return q.Member }},
			"fields": {tMap.Field("f"), tMap.Fields("f", want[max(i, 0)]).Leaf(crdt.Register),
				func(q crdt.Parts) string { return q.Fields[1] }},
			"keys": {"r", crdt.Object(crdt.Register, want[max(i, 0)]), func(q crdt.Parts) string { return q.Key }},
		} {
			if i < 0 {
				c.after = ""
			}
			var got []string
			add := func(p crdt.Path, err error) {
				q, err2 := p.Parse()
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				got = append(got, c.name(q))
			}
			if what == "keys" {
				for o, err := range v.Objects(c.prefix, c.after) {
					add(o.Path, err)
				}
			} else {
				for item, err := range v.Scan(c.prefix, c.after) {
					add(item.Path, err)
				}
			}
			if !slices.Equal(got, want[i+1:]) {
				t.Errorf("%s after number %d: %q, want %q", what, i, got, want[i+1:])
			}
		}
	}
	for at, visible := range map[crdt.Path]uint64{tSet.ObjectPath(): uint64(len(want)), inMap: uint64(len(want)), tMap: 2 * uint64(len(want))} {
		if h, err := v.Head(at); err != nil || h.Visible != visible {
			t.Errorf("head of %q: %+v %v, want %d", at, h, err, visible)
		}
	}
	// Behind the end, and outside of the prefix on both sides.
	for _, after := range []crdt.Path{tSet.Member("\U0010ffff\U0010ffff"), "t", "~"} {
		if got := paths(t, v.Scan(tSet, after)); len(got) > 0 && after != tSet.Member("\U0010ffff\U0010ffff") {
			t.Errorf("after %q: %d paths", after, len(got))
		}
	}
	if got := paths(t, v.Scan(tSet, "a")); len(got) != len(want) {
		t.Errorf("from before the prefix: %d paths", len(got))
	}
}

// TestObjects lists what has live content: by type, by the beginning of a key, and nothing that is
// only a rest.
func TestObjects(t *testing.T) {
	n := memorySpace(t, nil)
	for _, key := range []string{"a", "ab", "abc", "b"} {
		for _, of := range []crdt.Type{crdt.Counter, crdt.Register} {
			mustCommit(t, n, func(tx *Tx) error {
				if of == crdt.Counter {
					return tx.Increment(crdt.Object(of, key).Leaf(of), 1)
				}
				return tx.Assign(crdt.Object(of, key).Leaf(of), []byte("1"), nil)
			})
		}
	}
	peer := memorySpace(t, nil)
	exchange(t, peer, n, true)
	mustCommit(t, peer, func(tx *Tx) error { _, err := tx.Delete(crdt.Object(crdt.Counter, "ab"), nil); return err })
	for prefix, want := range map[crdt.Path]string{
		"":    "ca! cabc! cb! ra! rab! rabc! rb! ",
		"c":   "ca! cabc! cb! ",
		"cab": "cabc! ",
		crdt.Path(crdt.EscapeName([]byte("r"), "ab")): "rab! rabc! ",
		"s":   "",
		"ca!": "ca! ",
	} {
		v, err := peer.View(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for o, err := range v.Objects(prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			got += string(o.Path) + " "
		}
		v.Close()
		if got != want {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
	}
	if objects, _ := peer.Counts(); objects != 7 {
		t.Errorf("%d objects", objects)
	}
	checkConsistency(t, peer)
}

// TestTxSeesWhatItDoes: what a transaction reads at its end is what a view reads after it, also
// where it deleted more than it spells out.
func TestTxSeesWhatItDoes(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCluster(t, seed, 2, []int{4096, 5}[seed%2])
			m := c.nodes[0]
			// Many members, so that pages end between what is above and what is below.
			for range 3 {
				mustCommit(t, c.nodes[1].ns, func(tx *Tx) error { return c.bulk(tx) })
				mustCommit(t, m.ns, func(tx *Tx) error { return c.bulk(tx) })
				c.pull(m, c.nodes[1])
			}
			for range 12 {
				c.seesWhatItDoes(m)
			}
			c.pull(c.nodes[1], m)
			checkConsistency(t, m.ns)
			checkConsistency(t, c.nodes[1].ns)
		})
	}
}

// bulk adds to and takes from the sets of the model, and one more.
func (c *cluster) bulk(tx *Tx) error {
	for range 300 {
		p := []crdt.Path{c.members(), tMap.Field("z").Leaf(crdt.Set)}[c.rng.IntN(2)].Member(fmt.Sprint(c.rng.IntN(400)))
		var err error
		if c.rng.IntN(3) == 0 {
			_, err = tx.Remove(p, nil)
		} else {
			_, err = tx.Add(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var readHeads = append(slices.Clone(modelPrefixes[:6]), tMap.Field("a").Leaf(crdt.List), tMap.Fields("a", "t").Leaf(crdt.Set),
	tMap.Field("z").Leaf(crdt.Set))

func (c *cluster) seesWhatItDoes(m *member) {
	c.t.Helper()
	seen, heads := map[crdt.Path][]crdt.Entry{}, map[crdt.Path]Head{}
	var commit uint64
	receipt := mustCommit(c.t, m.ns, func(tx *Tx) error {
		for range 1 + c.rng.IntN(5) {
			if err := c.op(tx); err != nil {
				return err
			}
		}
		if c.rng.IntN(2) == 0 {
			if err := c.bulk(tx); err != nil {
				return err
			}
		}
		for _, prefix := range []crdt.Path{"b", "c", "f", "l", "m", "r", "s"} {
			maps.Copy(seen, paths(c.t, tx.Scan(prefix, "")))
		}
		commit = tx.g.stamp.Commit
		for _, at := range readHeads {
			h, err := tx.Head(at)
			if err != nil {
				return err
			}
			heads[at] = h
		}
		return nil
	})
	v, err := m.ns.View(context.Background())
	c.check(err, "view")
	defer v.Close()
	if receipt.Commit > commit || v.Commit() > commit {
		return // a counter was purged behind it
	}
	got := map[crdt.Path][]crdt.Entry{}
	for _, prefix := range []crdt.Path{"b", "c", "f", "l", "m", "r", "s"} {
		maps.Copy(got, paths(c.t, v.Scan(prefix, "")))
	}
	for p, es := range got {
		if crdt.Settles(p.LeafType()) {
			continue // may have been purged in the same commit
		}
		if !slices.EqualFunc(es, seen[p], crdt.Entry.Equal) {
			c.t.Fatalf("at %q the transaction saw %v, now there is %v", p, seen[p], es)
		}
	}
	for p := range seen {
		if _, ok := got[p]; !ok && !crdt.Settles(p.LeafType()) {
			c.t.Fatalf("the transaction saw %q, which is gone", p)
		}
	}
	for at, h := range heads {
		if is, err := v.Head(at); err != nil || is.Visible != h.Visible {
			c.t.Fatalf("head of %q: the transaction saw %+v, now it is %+v %v", at, h, is, err)
		}
	}
}

// TestScanPages walks over an overlay on an overlay on the datastore with pages of every size.
func TestScanPages(t *testing.T) {
	n := memorySpace(t, nil)
	addMembers(t, n, tSet, 0, 40)
	rng := rand.New(rand.NewPCG(4, 4))
	_, err := n.Commit(context.Background(), func(tx *Tx) error {
		want := map[crdt.Path]bool{}
		for i := range 40 {
			want[numbered(tSet, i)] = true
		}
		layer := newOverlay(tx.over)
		for i := range 60 {
			over, p := []*overlay{tx.over, layer}[i%2], numbered(tSet, rng.IntN(60))
			es := []crdt.Entry{{Dot: crdt.Dot{Replica: 1, Seq: uint64(i + 1)}, Path: p, Kind: crdt.KindMember}}
			if rng.IntN(2) == 0 {
				es = nil
			}
			if over == tx.over && layer.live[p] != nil {
				continue // what is above was there first
			}
			if err := over.set(p, es, Stamp{Commit: 1}); err != nil {
				return err
			}
			if want[p] = len(es) > 0; !want[p] {
				delete(want, p)
			}
			if _, above := layer.live[p]; above && over == tx.over {
				delete(want, p)
			}
		}
		sortedWant := slices.Sorted(maps.Keys(want))
		for page := 1; page < 70; page++ {
			var got []crdt.Path
			after := crdt.Path("")
			for {
				ps, err := layer.paths(tSet, after, page)
				if err != nil {
					return err
				}
				if got = append(got, ps...); len(ps) < page {
					break
				}
				after = ps[len(ps)-1]
			}
			if !slices.Equal(got, sortedWant) {
				t.Fatalf("pages of %d: %q, want %q", page, got, sortedWant)
			}
		}
		return errAbort
	})
	if !errors.Is(err, errAbort) {
		t.Fatal(err)
	}
}

// TestDeleteAboveLargeEntries deletes as many members as a small LargeEntries does not spell out one by
// one, and a kill that lists dots could.
func TestDeleteAboveLargeEntries(t *testing.T) {
	n := memorySpace(t, func(o *Options) { o.LargeEntries = 4 })
	addMembers(t, n, tSet, 0, 10)
	mustCommit(t, n, func(tx *Tx) error {
		_, err := tx.Delete(crdt.Object(crdt.Set, "s"), nil)
		return err
	})
	v, err := n.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for it, err := range v.Scan("", "") {
		t.Errorf("%q is left (%v)", it.Path, err)
	}
}
