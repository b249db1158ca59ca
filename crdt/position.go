package crdt

import (
	"errors"
	"math"
	"slices"
	"strings"
)

// Position is a place in a list: a name that nobody else ever makes, and that orders bytewise as
// the places do. "" is no place: it stands for what lies before the first and behind the last.
//
// Positions are the nodes of a tree, after Fugue (Weidner and Kleppmann, "The Art of the Fugue:
// Minimizing Interleaving in Collaborative Text Editing", 2023), of which a position holds the whole
// way from the root, so that nobody needs to keep nodes whose items are gone:
//
//	position  = component* end
//	component = side k replica s
//
// A child stands before its parent or behind it; siblings on one side order by k, replica, s. The
// replica is the one that made the position, and s is the seq with which it did, negative where it
// went on backwards. So what one replica inserts in a row, forwards or backwards, are
// neighbours in the tree, and what others insert meanwhile stands before or behind all of it. And
// where writers take turns, each takes the next k at the same level, and positions get no longer.
//
// Side, k and s are written so that bytes order as they do; the replica as its number among those of
// the components before, or whole. The digits are those of base64url, in the order of ASCII.
type Position string

// Errors of positions.
var (
	// ErrBadPosition is returned for a text that no position has.
	ErrBadPosition = errors.New("crdt: malformed position of a list")
	// ErrNoPosition is returned when a position between two others would be longer than a name.
	ErrNoPosition = errors.New("crdt: no position is left between two items of a list")
)

// step is one component of a position.
type step struct {
	behind  bool // its parent
	k       int64
	replica ReplicaID
	s       int64
}

const (
	positionDigits = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	digitBits      = 6

	// endDigit ends a position: it orders behind children before it, and before those behind it.
	endDigit = 31
	// The first digit of a number tells its sign and length, around that of 0; the 0 of k tells the
	// side, too.
	zeroBefore = 15
	zeroBehind = 47
	maxInline  = 4  // numbers of up to ±maxInline are one digit
	maxDigits  = 11 // that a number of 64 bits takes besides

	wholeReplica = 63 // the replica follows; below it is the index of one that came before
	maxK         = 1 << 60
)

// CheckPosition returns ErrBadPosition for what is not a position.
func CheckPosition(s string) error {
	_, err := Position(s).steps()
	return err
}

// Between returns a position between left and right, made by the replica of at with its seq. Each
// of the two may be "", the beginning and the end. The error is ErrBadPosition, also when left is
// not before right, or ErrNoPosition.
//
// The more recent of two neighbours of one's own says which way a writer goes. Going on, the new
// position is a sibling of that neighbour with the next seq, or else its child, so that nothing
// comes between which was not inserted by somebody who had seen one of the two.
func Between(left, right Position, at Dot) (Position, error) {
	l, err := left.steps()
	if err != nil && left != "" {
		return "", err
	}
	r, err := right.steps()
	if err != nil && right != "" {
		return "", err
	}
	if right != "" && left >= right || at.Seq == 0 || at.Seq > math.MaxInt64 {
		return "", ErrBadPosition
	}
	for _, c := range candidates(l, r, at) {
		if p := encodePosition(c); p > left && (right == "" || p < right) {
			if len(p) > MaxNameBytes {
				return "", ErrNoPosition
			}
			return p, nil
		}
	}
	return "", ErrNoPosition
}

// candidates returns the positions to try, the best first.
func candidates(l, r []step, at Dot) [][]step {
	var cs [][]step
	seq, self := int64(at.Seq), at.Replica
	sibling := func(of []step, by, s int64) {
		if len(of) == 0 {
			return
		}
		c := of[len(of)-1]
		if c.k, c.replica, c.s = c.k+by, self, s; -maxK < c.k && c.k < maxK {
			cs = append(cs, append(slices.Clone(of[:len(of)-1]), c))
		}
	}
	child := func(of []step, behind bool, s int64) {
		cs = append(cs, append(slices.Clone(of), step{behind: behind || len(of) == 0, replica: self, s: s}))
	}

	switch from, to := recency(l, self), recency(r, self); {
	case from > to:
		if l[len(l)-1].s > 0 {
			sibling(l, 0, seq)
		}
		child(l, true, seq)
	case to > from:
		if r[len(r)-1].s < 0 {
			sibling(r, 0, -seq)
		}
		child(r, false, -seq)
	}
	sibling(l, 1, seq)
	sibling(r, -1, -seq)
	child(l, true, seq)
	child(r, false, -seq)
	return cs
}

// recency is the seq with which self made a position, 0 for one of another.
func recency(p []step, self ReplicaID) uint64 {
	if len(p) == 0 || p[len(p)-1].replica != self {
		return 0
	}
	if s := p[len(p)-1].s; s < 0 {
		return uint64(-s)
	} else {
		return uint64(s)
	}
}

// encodePosition returns the position with these steps, which may be too long for one.
func encodePosition(steps []step) Position {
	b := make([]byte, 0, 64)
	var known []ReplicaID
	for _, c := range steps {
		zero := zeroBefore
		if c.behind {
			zero = zeroBehind
		}
		b = appendNumber(b, c.k, zero)
		if i := slices.Index(known, c.replica); i >= 0 {
			b = append(b, positionDigits[i])
		} else {
			b = appendDigits(append(b, positionDigits[wholeReplica]), uint64(c.replica), maxDigits)
			known = remember(known, c.replica)
		}
		b = appendNumber(b, c.s, zeroBehind)
	}
	return Position(append(b, positionDigits[endDigit]))
}

// remember adds a replica to those that components are numbered by, as long as there are numbers.
func remember(known []ReplicaID, r ReplicaID) []ReplicaID {
	if len(known) < wholeReplica {
		known = append(known, r)
	}
	return known
}

// appendNumber writes v so that the digits order as numbers do; zero is the digit of 0.
func appendNumber(b []byte, v int64, zero int) []byte {
	switch {
	case v > maxInline:
		u := uint64(v - maxInline - 1)
		n := digitsOf(u)
		return appendDigits(append(b, positionDigits[zero+maxInline+n]), u, n)
	case v < -maxInline:
		u := uint64(-(v + maxInline + 1))
		n := digitsOf(u)
		return appendDigits(append(b, positionDigits[zero-maxInline-n]), ^u, n)
	}
	return append(b, positionDigits[zero+int(v)])
}

// digitsOf is how many digits u takes, at least 1.
func digitsOf(u uint64) int {
	n := 1
	for u >>= digitBits; u > 0; u >>= digitBits {
		n++
	}
	return n
}

// appendDigits writes the lowest n digits of u, the highest first.
func appendDigits(b []byte, u uint64, n int) []byte {
	for n--; n >= 0; n-- {
		b = append(b, positionDigits[u>>(digitBits*n)&(1<<digitBits-1)])
	}
	return b
}

// steps takes a position apart. A text that it accepts is the only one for its steps.
func (p Position) steps() ([]step, error) {
	if len(p) > MaxNameBytes {
		return nil, ErrBadPosition
	}
	d := positionReader{s: string(p)}
	var steps []step
	var known []ReplicaID
	for d.peek() != endDigit {
		c, zero := step{behind: d.peek() > endDigit}, zeroBefore
		if c.behind {
			zero = zeroBehind
		}
		c.k, c.replica, c.s = d.number(zero), d.replica(&known), d.number(zeroBehind)
		if d.bad || c.s == 0 || c.k <= -maxK || c.k >= maxK || !c.behind && len(steps) == 0 {
			return nil, ErrBadPosition
		}
		steps = append(steps, c)
	}
	if len(steps) == 0 || len(d.s) > 1 {
		return nil, ErrBadPosition
	}
	return steps, nil
}

// positionReader reads digits from the front of s. After a failure it reads zeros.
type positionReader struct {
	s   string
	bad bool
}

// peek returns the next digit, -1 for none.
func (d *positionReader) peek() int {
	if d.s == "" {
		return -1
	}
	return strings.IndexByte(positionDigits, d.s[0])
}

func (d *positionReader) digit() int {
	v := d.peek()
	if v < 0 {
		d.bad, d.s = true, ""
		return 0
	}
	d.s = d.s[1:]
	return v
}

// digits reads n of them, of a number that has at most 64 bits.
func (d *positionReader) digits(n int) uint64 {
	var u uint64
	for i := range n {
		v := d.digit()
		d.bad = d.bad || i == 0 && n == maxDigits && v >= 1<<(64-digitBits*(maxDigits-1))
		u = u<<digitBits | uint64(v)
	}
	return u
}

// number is the inverse of appendNumber.
func (d *positionReader) number(zero int) int64 {
	h := d.digit() - zero
	switch n := max(h, -h) - maxInline; {
	case n > maxDigits:
		d.bad = true
		return 0
	case n > 0 && h > 0:
		u := d.digits(n)
		d.bad = d.bad || digitsOf(u) != n || u > math.MaxInt64-maxInline-1
		return int64(u) + maxInline + 1
	case n > 0:
		u := ^d.digits(n)
		if n < maxDigits {
			u &= 1<<(digitBits*n) - 1
		}
		d.bad = d.bad || digitsOf(u) != n || u > math.MaxInt64-maxInline-1
		return -int64(u) - maxInline - 1
	}
	return int64(h)
}

// replica reads a replica, and notes one that comes for the first time.
func (d *positionReader) replica(known *[]ReplicaID) ReplicaID {
	if i := d.digit(); i != wholeReplica {
		if i < len(*known) {
			return (*known)[i]
		}
		d.bad = true
		return 0
	}
	r := ReplicaID(d.digits(maxDigits))
	d.bad = d.bad || r == 0 || slices.Contains(*known, r)
	*known = remember(*known, r)
	return r
}
