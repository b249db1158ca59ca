package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
)

// checkClock has the reference follow the clock of a node.
func (w *World) checkClock(n *node, clock crdt.VersionVector) {
	w.advance(n, clock)
	if n.oracle.Clock.Compare(clock) != crdt.Equal {
		w.fail("%s: I4: clock %v is not closed or stands inside a unit: the reference gets to %v", n.id, clock, n.oracle.Clock)
	}
}

// checkNode compares a store with the units: everything that its clock claims, and nothing else.
func (w *World) checkNode(n *node) {
	if n.ns.Err() != nil || w.res.Strays > 0 {
		return // it answers nothing, or what nobody can tell
	}
	s, err := n.ns.Source(context.Background())
	if err != nil && !n.healthy() {
		return
	}
	w.must(err, "source of %s", n.id)
	defer s.Close()
	st := s.Status()
	w.checkClock(n, st.Clock)
	var digest delta.Digest
	live := 0
	for e, err := range s.Entries(nil) {
		if err != nil && !n.healthy() {
			return
		}
		w.must(err, "entries of %s", n.id)
		live++
		digest.Add(e)
		if !st.Clock.Covers(e.Dot) || !s.Live().Contains(e.Dot) {
			w.fail("%s: I2: live entry %v is not covered, or has no live bit", n.id, e.Dot)
		}
		if f, ok := n.oracle.Live[e.Dot]; !ok {
			w.fail("%s: I3: %v at %q is live and must be dead", n.id, e.Dot, e.Path)
		} else if !f.Equal(e) {
			w.fail("%s: I1: %v is not what was written", n.id, e.Dot)
		}
	}
	if live != len(n.oracle.Live) || s.Live().Len() != uint64(live) {
		w.fail("%s: I6: %d live entries and %d live bits, %d must be: an entry is lost", n.id, live, s.Live().Len(), len(n.oracle.Live))
	}
	if digest != st.Digest {
		w.fail("%s: I5: the digest is not that of the entries", n.id)
	}
}

// healthy reports whether the disk answers.
func (n *node) healthy() bool {
	_, err := n.disk.read("/d/")
	return err == nil && n.ns.Err() == nil
}

// checkReader compares what a reader sees with the reference.
func (w *World) checkReader(n *node) {
	if !n.up || !n.healthy() || w.res.Strays > 0 {
		return
	}
	v, err := n.ns.View(context.Background())
	w.must(err, "view of %s", n.id)
	defer v.Close()
	w.res.Checks++
	got, want := w.read(v), w.history.at(v.Clock(), n.alone(), n.now())
	if n.alone() == nil {
		w.mayCountAgain(v.Clock(), got, want)
		w.checkSessions(n, v)
	}
	if diff := difference(got.String(), want.String()); diff != "" {
		w.fail("%s: at %v a reader sees what is marked with +, and must see what is marked with -:\n%s", n.id, v.Clock(), diff)
	}
	w.checkHeads(v)
}

// read evaluates what a view holds.
func (w *World) read(v *store.View) values {
	got := newValues()
	for it, err := range v.Scan("", "") {
		w.must(err, "scan")
		switch it.Path.LeafType() {
		case crdt.Set, crdt.Flag:
			got.members[it.Path] = true
		case crdt.Bounded:
			x, err := crdt.ReadEscrow(it.Entries)
			w.must(err, "bounded counter")
			if n, ok := x.Value.Int64(); ok && n != 0 {
				got.counters[it.Path] = n
			}
			if x.Value.Cmp(crdt.Int128{}) < 0 {
				w.fail("a bounded counter is below 0: %v", x)
			}
		case crdt.Register:
			for _, value := range crdt.RegisterValues(it.Entries) {
				got.registers[it.Path] = append(got.registers[it.Path], string(value))
			}
			slices.Sort(got.registers[it.Path])
		case crdt.Presence:
			for _, e := range it.Entries {
				got.registers[it.Path] = append(got.registers[it.Path], string(e.Value))
			}
			slices.Sort(got.registers[it.Path])
		case crdt.List:
			if !timedList.Contains(it.Path) {
				continue
			}
			parts, err := it.Path.Parse()
			w.must(err, "item")
			item, ok, err := crdt.ReadItem(crdt.Position(parts.Member), it.Entries)
			w.must(err, "item")
			for _, value := range item.Values {
				if ok {
					got.registers[it.Path] = append(got.registers[it.Path], string(value))
				}
			}
		case crdt.Counter:
			value, err := crdt.CounterValue(it.Entries)
			w.must(err, "counter")
			if n, ok := value.Int64(); ok && crdt.Visible(crdt.Counter, it.Entries) {
				got.counters[it.Path] = n
			}
		}
	}
	return got
}

// checkHeads compares the counts of objects and sets with what is in them.
func (w *World) checkHeads(v *store.View) {
	visible := map[crdt.Path]uint64{}
	for it, err := range v.Scan("", "") {
		w.must(err, "scan")
		if !crdt.Visible(it.Path.LeafType(), it.Entries) {
			continue
		}
		visible[it.Path.ObjectPath()]++
	}
	for o, err := range v.Objects("", "") {
		w.must(err, "objects")
		if visible[o.Path] != o.Head.Visible {
			w.fail("%q has %d visible paths, its head says %d", o.Path, visible[o.Path], o.Head.Visible)
		}
		delete(visible, o.Path)
	}
	for p := range visible {
		w.fail("%q is not listed", p)
	}
}

// String renders values so that equal ones are equal texts.
func (v values) String() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(v.members)) {
		fmt.Fprintf(&b, "  %s\n", p)
	}
	for _, p := range slices.Sorted(maps.Keys(v.registers)) {
		fmt.Fprintf(&b, "  %s = %q\n", p, v.registers[p])
	}
	for _, p := range slices.Sorted(maps.Keys(v.counters)) {
		fmt.Fprintf(&b, "  %s = %d\n", p, v.counters[p])
	}
	return b.String()
}

// difference returns the lines that only one of two texts has.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	var d strings.Builder
	for _, l := range a {
		if !slices.Contains(b, l) {
			fmt.Fprintf(&d, "+%s\n", l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			fmt.Fprintf(&d, "-%s\n", l)
		}
	}
	return d.String()
}

// checkEnd looks at everything once more, when all are equal: they must answer byte for byte alike.
func (w *World) checkEnd() {
	if w.res.Strays > 0 {
		return
	}
	var answer string
	for i, n := range w.here() {
		w.checkNode(n)
		w.checkReader(n)
		a := w.answer(n)
		if diff := difference(a, answer); i > 0 && diff != "" {
			w.fail("equal clocks, but %s shows what is marked with +, and the first node what is marked with -:\n%s", n.id, diff)
		}
		answer = a
	}
	w.checkRetired()
	w.checkReaped()
}

// answer is what a node shows, in the order in which it shows it.
func (w *World) answer(n *node) string {
	v, err := n.ns.View(context.Background())
	w.must(err, "view of %s", n.id)
	defer v.Close()
	var b strings.Builder
	for it, err := range v.Scan("", "") {
		w.must(err, "scan")
		fmt.Fprintf(&b, "%s %q\n", it.Path, crdt.RegisterValues(it.Entries))
	}
	return b.String()
}
