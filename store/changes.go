package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// ErrCursorExpired is returned when the log no longer holds what follows a position, or never
// held it in a form that tells which objects changed.
var ErrCursorExpired = errors.New("store: the log no longer holds what follows")

// Position is a place in the sequence of what the commits of a copy touched: behind the first
// Index objects of one log record. It holds for one replica id, across restarts, until the record
// has left the log. The zero Position is none.
type Position struct {
	Commit uint64
	// Run and Piece name a record of a large change; both are 0 for the record of the commit.
	Run, Piece uint64
	Index      uint64
}

// Start is the position before the first commit of a copy.
var Start = Position{Commit: 1}

// Change is an object that a commit touched.
type Change struct {
	Commit uint64
	// Object is "" for a log record that touched none.
	Object crdt.Path
	// Next is the position behind the change.
	Next Position
}

// Replica returns the id of the copy, for which positions hold.
func (v *View) Replica() crdt.ReplicaID { return v.version.replica }

// End returns the position behind the view's last commit.
func (v *View) End() Position { return Position{Commit: v.version.commit + 1} }

// Changes yields what was touched behind a position and up to the commit of the view, in the order
// of commits. An object comes up once for each commit that touched it, and in that of a large
// change perhaps more than once; the last of them is the one in its Head, if it is still there.
// It yields ErrCursorExpired for a position before the log's beginning or behind the view.
func (v *View) Changes(from Position) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if from.Commit < v.version.logFirst || from.Commit > v.version.commit+1 {
			yield(Change{}, fmt.Errorf("%w: position %d, the log has %d to %d", ErrCursorExpired, from.Commit, v.version.logFirst, v.version.commit))
			return
		}
		keys := v.n.keys
		lower := keys.log(from.Commit)
		if from.Piece > 0 {
			lower = keys.logPiece(from)
		}
		v.walk(lower, keys.log(v.version.commit+1), func(key string, value []byte) (bool, error) {
			at, ok := keys.positionOf(key)
			if !ok {
				return false, fmt.Errorf("%w: log key", ErrDamaged)
			}
			objects, err := decodeLogObjects(value)
			if err != nil {
				return false, err
			}
			objects = slices.DeleteFunc(objects, func(p crdt.Path) bool { return crdt.Type(p[0]) == crdt.System })
			skip := uint64(0)
			if at.Commit == from.Commit && at.Run == from.Run && at.Piece == from.Piece {
				skip = from.Index
			}
			return yieldObjects(yield, at, objects, skip), nil
		}, func(err error) { yield(Change{}, err) })
	}
}

func yieldObjects(yield func(Change, error) bool, at Position, objects []crdt.Path, skip uint64) bool {
	if len(objects) == 0 && skip == 0 {
		at.Index = 1
		return yield(Change{Commit: at.Commit, Next: at}, nil)
	}
	for i := skip; i < uint64(len(objects)); i++ {
		at.Index = i + 1
		if !yield(Change{Commit: at.Commit, Object: objects[i], Next: at}, nil) {
			return false
		}
	}
	return true
}

// After returns a position behind which everything comes that a reader who has seen the clock, here
// or elsewhere, has not seen. Changes that it has seen may come again. It returns ErrCursorExpired
// when the log does not hold all of them as units.
func (v *View) After(clock crdt.VersionVector) (Position, error) {
	if !clock.CoversAll(v.version.floors) {
		return Position{}, fmt.Errorf("%w: the clock does not cover what was joined as a state or has left the log", ErrCursorExpired)
	}
	src := &Source{n: v.n, snap: v.snap, v: v.version}
	first, err := src.firstRecord(clock)
	if err != nil {
		return Position{}, v.n.noteDamage(err)
	}
	if first == 0 {
		return v.End(), nil
	}
	return Position{Commit: first}, nil
}

// WaitCommit waits until the commit with that number is durable. It returns the error of ctx when
// that ends first, ErrClosed when the copy is closed, and what Err returns when it fails meanwhile.
func (n *Namespace) WaitCommit(ctx context.Context, commit uint64) error {
	return n.waitDurable(ctx, commit)
}
