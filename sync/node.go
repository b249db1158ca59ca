package sync

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// The live dots of a replica are compared as a tree over its seqs: the node of level l and
// index i stands for the seqs from i·leafSeqs·fanOut^l on, leafSeqs·fanOut^l of them. The hash
// of a node is a prefix of delta.DotSet.HashRange.
const (
	leafBits   = 10
	leafSeqs   = 1 << leafBits
	fanOutBits = 4
	fanOut     = 1 << fanOutBits
	maxLevel   = 13 // (62 − leafBits) / fanOutBits: no seq is above maxSeq

	// maxNodes is how many nodes one message may name.
	maxNodes = 2048
	// maxRuns is up to how many runs of live seqs an inner node is answered in full: about as
	// long as the hashes of its children.
	maxRuns = 48

	rootBytes        = 8 + shortHashBytes
	rootsOfComponent = 10 // a page has so many times as many roots as components
)

type node struct {
	replica crdt.ReplicaID
	level   uint8
	index   uint64
}

// root returns the node that stands for all seqs of r up to last.
func root(r crdt.ReplicaID, last uint64) node {
	n := node{replica: r}
	for last>>n.shift() != 0 {
		n.level++
	}
	return n
}

func (n node) shift() uint { return leafBits + fanOutBits*uint(n.level) }

// span returns the first and the last seq that n stands for.
func (n node) span() (first, last uint64) {
	return n.index << n.shift(), (n.index+1)<<n.shift() - 1
}

func (n node) child(i int) node {
	return node{replica: n.replica, level: n.level - 1, index: n.index<<fanOutBits | uint64(i)}
}

// valid reports whether n stands for seqs that exist.
func (n node) valid() bool { return n.level <= maxLevel && n.index <= maxSeq>>n.shift() }

// compareNodes orders nodes as they are asked for: from the roots down.
func compareNodes(a, b node) int {
	if c := cmp.Compare(b.level, a.level); c != 0 {
		return c
	}
	if c := cmp.Compare(a.replica, b.replica); c != 0 {
		return c
	}
	return cmp.Compare(a.index, b.index)
}

type shortHash [shortHashBytes]byte

var emptyHash = hashNode(delta.NewDotSet(), node{replica: 1})

func hashNode(live *delta.DotSet, n node) shortHash {
	first, last := n.span()
	h := live.HashRange(n.replica, first, last)
	return shortHash(h[:shortHashBytes])
}

// run is an interval of seqs, both ends included.
type run struct{ first, last uint64 }

// runsIn returns the runs of live seqs of a node, or false if there are more than limit.
func runsIn(live *delta.DotSet, n node, limit int) ([]run, bool) {
	first, last := n.span()
	var runs []run
	for seq := range live.Range(n.replica, first, last) {
		if k := len(runs); k > 0 && runs[k-1].last == seq-1 {
			runs[k-1].last = seq
			continue
		}
		if len(runs) == limit {
			return nil, false
		}
		runs = append(runs, run{first: seq, last: seq})
	}
	return runs, true
}

// How a node is answered: a form, and what it says.
const (
	formHashes = 0 // a mask of the children that are not empty, 2 bytes, and the hash of each
	formRuns   = 1 // count, then of each run the gap before it and its length − 1, as uvarints
	formBits   = 2 // the seqs of a leaf, one bit each
)

// appendNode appends what the other side needs to know of n.
func appendNode(b []byte, live *delta.DotSet, n node) []byte {
	limit := maxRuns
	if n.level == 0 {
		limit = leafSeqs
	}
	runs, ok := runsIn(live, n, limit)
	if !ok {
		return appendHashes(b, live, n)
	}
	start, size := len(b), leafSeqs/8
	b = appendRuns(append(b, formRuns), n, runs)
	if n.level == 0 && len(b)-start-1 > size {
		b = appendBits(append(b[:start], formBits), n, runs)
	}
	return b
}

func appendHashes(b []byte, live *delta.DotSet, n node) []byte {
	b = append(b, formHashes, 0, 0)
	mask := b[len(b)-2:]
	var bits uint16
	var hashes []byte
	for i := range fanOut {
		if h := hashNode(live, n.child(i)); h != emptyHash {
			bits |= 1 << i
			hashes = append(hashes, h[:]...)
		}
	}
	binary.LittleEndian.PutUint16(mask, bits)
	return append(b, hashes...)
}

func appendRuns(b []byte, n node, runs []run) []byte {
	b = binary.AppendUvarint(b, uint64(len(runs)))
	next, _ := n.span()
	for _, r := range runs {
		b = binary.AppendUvarint(b, r.first-next)
		b = binary.AppendUvarint(b, r.last-r.first)
		next = r.last + 1
	}
	return b
}

func appendBits(b []byte, n node, runs []run) []byte {
	var bits [leafSeqs / 8]byte
	first, _ := n.span()
	for _, r := range runs {
		for s := r.first - first; s <= r.last-first; s++ {
			bits[s/8] |= 1 << (s % 8)
		}
	}
	return append(b, bits[:]...)
}

// nodeAnswer is what the other side has in a node: the hashes of the children, or all runs.
type nodeAnswer struct {
	hashes []shortHash // fanOut of them, nil if the runs are known
	runs   []run
}

// cutNode reads what appendNode wrote for n.
func cutNode(b []byte, n node) (a nodeAnswer, rest []byte, err error) {
	if len(b) == 0 {
		return a, nil, fmt.Errorf("%w: too few nodes", ErrMalformed)
	}
	form, b := b[0], b[1:]
	ok := false
	switch {
	case form == formHashes && n.level > 0:
		a.hashes, rest, ok = cutHashes(b)
	case form == formRuns:
		a.runs, rest, ok = cutRuns(b, n)
	case form == formBits && n.level == 0 && len(b) >= leafSeqs/8:
		a.runs, rest, ok = bitRuns(b[:leafSeqs/8], n), b[leafSeqs/8:], true
	}
	if !ok {
		return a, nil, fmt.Errorf("%w: node", ErrMalformed)
	}
	return a, rest, nil
}

func cutHashes(b []byte) (hs []shortHash, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	mask, b := binary.LittleEndian.Uint16(b), b[2:]
	hs = make([]shortHash, fanOut)
	for i := range hs {
		hs[i] = emptyHash
		if mask&(1<<i) == 0 {
			continue
		}
		if len(b) < shortHashBytes {
			return nil, nil, false
		}
		hs[i], b = shortHash(b[:shortHashBytes]), b[shortHashBytes:]
	}
	return hs, b, true
}

func cutRuns(b []byte, n node) (runs []run, rest []byte, ok bool) {
	count, used := binary.Uvarint(b)
	if used <= 0 || count > leafSeqs {
		return nil, nil, false
	}
	b = b[used:]
	next, last := n.span()
	for range count {
		gap, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, nil, false
		}
		more, l := binary.Uvarint(b[k:])
		if l <= 0 || next > last || gap > last-next || more > last-next-gap {
			return nil, nil, false
		}
		b = b[k+l:]
		runs = append(runs, run{first: next + gap, last: next + gap + more})
		next += gap + more + 1
	}
	return runs, b, true
}

func bitRuns(bits []byte, n node) (runs []run) {
	first, _ := n.span()
	for s := range uint64(leafSeqs) {
		if bits[s/8]&(1<<(s%8)) == 0 {
			continue
		}
		if k := len(runs); k > 0 && runs[k-1].last == first+s-1 {
			runs[k-1].last++
		} else {
			runs = append(runs, run{first: first + s, last: first + s})
		}
	}
	return runs
}

// appendRoots appends the replica and hash of the tree over seqs up to clock.
func appendRoots(b []byte, live *delta.DotSet, clock crdt.VersionVector, r crdt.ReplicaID) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(r))
	h := hashNode(live, root(r, clock[r]))
	return append(b, h[:]...)
}
