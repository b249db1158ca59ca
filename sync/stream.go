package sync

import (
	"fmt"
	"iter"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// stream cuts items into chunks as credit allows.
type stream struct {
	pull   func() ([]byte, error, bool)
	stop   func()
	chunk  int // bytes
	credit uint64
	buf    []byte // what chunks were cut from stays as it is
	total  uint64 // items so far
	dry    bool   // no more items
	ended  bool   // the end was sent
}

func (s *stream) begin(items iter.Seq2[[]byte, error], chunk int) {
	s.pull, s.stop = iter.Pull2(items)
	s.chunk = chunk
}

func (s *stream) close() {
	if s.stop != nil {
		s.stop()
	}
}

// next returns the chunks that credit allows, and the end when there is nothing left.
func (s *stream) next(credit uint64) ([]*message, error) {
	s.credit = min(s.credit+min(credit, maxWindow), maxWindow)
	var ms []*message
	for !s.ended {
		if err := s.fill(); err != nil {
			return nil, err
		}
		if len(s.buf) == 0 {
			s.ended = true
			return append(ms, &message{kind: kindEnd, size: s.total}), nil
		}
		if s.credit == 0 {
			break
		}
		s.credit--
		n := min(len(s.buf), s.chunk)
		ms = append(ms, pack(s.buf[:n]))
		s.buf = s.buf[n:]
	}
	return ms, nil
}

// fill gets items until a chunk is full or they end.
func (s *stream) fill() error {
	for !s.dry && len(s.buf) < s.chunk {
		item, err, ok := s.pull()
		switch {
		case !ok:
			s.dry = true
		case err != nil:
			return err
		default:
			s.buf = appendItem(s.buf, item)
			s.total++
		}
	}
	return nil
}

// Tags of the items of a stream: the first byte.
const (
	// Of a state.
	itemEntry = 1 // delta.AppendEntry
	itemDots  = 2 // delta.AppendDotSet: live, and content that the receiver said it has
	// Of the log.
	itemUnit = 3 // delta.AppendUnit
	itemRuns = 4 // delta.AppendRuns: which issued those units of their replicas that follow
)

// pieceDots is how many dots one message or item names; in the worst case a dot takes some
// twenty bytes.
const pieceDots = 40_000

// entryItems streams the dots of fresh: by themselves those that the other side has cached,
// as entries the rest. The source is not believed blindly: an entry that it loses would be
// dead on the other side.
func (s *ServeSession) entryItems(fresh *delta.DotSet) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		known := fresh.And(s.cached)
		for piece := range pieces(known) {
			if !yield(delta.AppendDotSet([]byte{itemDots}, piece), nil) {
				return
			}
		}
		sent := known.Len()
		for e, err := range s.src.Entries(s.c1) {
			switch {
			case err != nil:
			case known.Contains(e.Dot):
				continue
			case !fresh.Contains(e.Dot):
				err = fmt.Errorf("sync: source: entry %v is not among its live dots", e.Dot)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			sent++
			if !yield(delta.AppendEntry([]byte{itemEntry}, e), nil) {
				return
			}
		}
		if n := fresh.Len(); sent != n {
			yield(nil, fmt.Errorf("sync: source: %d entries for %d live dots", sent, n))
		}
	}
}

// pieces cuts a set into sets of at most pieceDots dots.
func pieces(set *delta.DotSet) iter.Seq[*delta.DotSet] {
	return func(yield func(*delta.DotSet) bool) {
		piece, n := delta.NewDotSet(), 0
		for d := range set.All() {
			piece.Add(d)
			if n++; n == pieceDots {
				if !yield(piece) {
					return
				}
				piece, n = delta.NewDotSet(), 0
			}
		}
		if n > 0 {
			yield(piece)
		}
	}
}

// within reports whether every dot of set is in (since, upTo].
func within(set *delta.DotSet, since, upTo crdt.VersionVector) bool {
	n := set.Len()
	return set.Uncovered(since).Len() == n && set.CutAt(upTo).Len() == n
}
