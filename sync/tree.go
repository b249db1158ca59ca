package sync

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// tree compares the own live dots, cut at what both sides cover, with the sender's: from the
// roots down, only where hashes differ.
type tree struct {
	mine  *delta.DotSet
	both  crdt.VersionVector
	there map[crdt.ReplicaID]shortHash // roots of the sender

	todo  [maxLevel + 1][]node // what differs and has not been asked for, by level
	asked []node
	done  bool

	onlyHere  *delta.DotSet // K
	onlyThere uint64        // at least
	sample    []string      // of dots on one side only
}

func (t *tree) begin(mine *delta.DotSet, both crdt.VersionVector) {
	t.mine, t.both, t.onlyHere = mine, both, delta.NewDotSet()
	t.there = map[crdt.ReplicaID]shortHash{}
}

// roots takes in a page of the sender's roots.
func (t *tree) roots(b []byte, limit int) error {
	if t.asked != nil || len(b)%rootBytes != 0 || len(t.there)+len(b)/rootBytes > limit {
		return fmt.Errorf("%w: roots", ErrMalformed)
	}
	for ; len(b) > 0; b = b[rootBytes:] {
		r := crdt.ReplicaID(binary.LittleEndian.Uint64(b))
		if t.both[r] == 0 {
			return fmt.Errorf("%w: the root of %v", ErrMalformed, r)
		}
		t.there[r] = shortHash(b[8:rootBytes])
	}
	return nil
}

// compareRoots notes the roots that differ.
func (t *tree) compareRoots() {
	for _, r := range t.both.Replicas() {
		n := root(r, t.both[r])
		theirs, ok := t.there[r]
		if !ok {
			theirs = emptyHash
		}
		t.compare(n, theirs)
	}
	t.there = nil
}

// compare notes a node that differs. One without live dots here is not asked for: there is nothing to kill
// in it. So what a session costs follows what is live here, whatever the other side makes up.
func (t *tree) compare(n node, theirs shortHash) {
	switch hashNode(t.mine, n) {
	case theirs:
	case emptyHash:
		first, last := n.span()
		t.onlyThere++
		t.show(fmt.Sprintf("some of %v:%d to %d there", n.replica, first, last))
	default:
		t.todo[n.level] = append(t.todo[n.level], n)
	}
}

// ask returns the nodes to ask for next, all of one level, ascending; none at the end.
func (t *tree) ask() []node {
	for l := maxLevel; l >= 0; l-- {
		if len(t.todo[l]) == 0 {
			continue
		}
		slices.SortFunc(t.todo[l], compareNodes)
		n := min(len(t.todo[l]), maxNodes)
		t.asked, t.todo[l] = t.todo[l][:n:n], t.todo[l][n:]
		return t.asked
	}
	t.asked = nil
	return nil
}

// answers takes in what the sender has in the nodes that were asked for.
func (t *tree) answers(b []byte) error {
	if len(t.asked) == 0 {
		return fmt.Errorf("%w: nodes were not asked for", ErrUnexpected)
	}
	for _, n := range t.asked {
		a, rest, err := cutNode(b, n)
		if err != nil {
			return err
		}
		b = rest
		if a.hashes == nil {
			t.compareSeqs(n, a.runs)
			continue
		}
		for i, theirs := range a.hashes {
			t.compare(n.child(i), theirs)
		}
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: too many nodes", ErrMalformed)
	}
	return nil
}

// compareSeqs takes in all live seqs that the sender has in n.
func (t *tree) compareSeqs(n node, theirs []run) {
	next, last := n.span()
	for _, r := range theirs {
		if next < r.first {
			t.here(n.replica, next, r.first-1)
		}
		t.thereOnly(n.replica, r)
		next = r.last + 1
	}
	if next <= last {
		t.here(n.replica, next, last)
	}
}

// here notes the own live dots in a gap of the sender's.
func (t *tree) here(r crdt.ReplicaID, first, last uint64) {
	for seq := range t.mine.Range(r, first, last) {
		d := crdt.Dot{Replica: r, Seq: seq}
		t.onlyHere.Add(d)
		t.show(d.String() + " here")
	}
}

// thereOnly counts the sender's live dots that are dead here.
func (t *tree) thereOnly(r crdt.ReplicaID, theirs run) {
	n, next := theirs.last-theirs.first+1, theirs.first
	for seq := range t.mine.Range(r, theirs.first, theirs.last) {
		if seq > next {
			t.show(crdt.Dot{Replica: r, Seq: next}.String() + " there")
		}
		next = seq + 1
		n--
	}
	if next <= theirs.last {
		t.show(crdt.Dot{Replica: r, Seq: next}.String() + " there")
	}
	t.onlyThere += n
}

func (t *tree) show(what string) {
	if len(t.sample) < 8 {
		t.sample = append(t.sample, what)
	}
}

// mismatch returns the error that says in what copies with equal clocks differ.
func (t *tree) mismatch() error {
	return &MismatchError{OnlyHere: t.onlyHere.Len(), OnlyThere: t.onlyThere, Sample: strings.Join(t.sample, ", ")}
}
