package http

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// A bulk with an idempotency key keeps, in the commit of every group, how many lines are done and a hash
// over them. Sent again it goes on behind them, if they are the same lines. Which of them were
// refused by their transactions is kept too; lines that are wrong in themselves are found to be so again.

// maxRefused bounds the refused lines that are remembered. One more ends a bulk with a key.
const maxRefused = 1000

// resume is how far a bulk with an idempotency key has come. All methods take nil, which stands for a
// bulk without one.
type resume struct {
	once    *once
	replica crdt.ReplicaID
	let     func() // ends the claim to the key

	// What is in the record, lines 0 without one.
	lines   int // that are done
	first   [sha256.Size]byte
	sum     [sha256.Size]byte
	refused []refusedLine
	wrote   crdt.VersionVector
	by      crdt.ReplicaID

	begun   bool // a line was done that was not done before
	checked bool // the lines that are done are the same
}

// refusedLine is a line whose transaction refused it, and with what type of problem.
type refusedLine struct {
	line int
	kind string
}

// resume finds what is kept under the request's key and claims it until release.
func (r *request) resume(ns Namespace) (*resume, error) {
	let, err := r.handler.running.claim(ns.Name(), r.once.key)
	if err != nil {
		return nil, err
	}
	r.once.print = r.fingerprint()
	s := &resume{once: r.once, replica: ns.Replica(), let: let}
	rec, ok, err := ns.Side(r.http.Context(), r.once.key)
	if err == nil && ok {
		err = s.load(rec)
	}
	if err != nil {
		let()
		return nil, err
	}
	return s, nil
}

func (s *resume) release() {
	if s != nil {
		s.let()
	}
}

// bulkVersion is the first byte of the record of a bulk.
const bulkVersion = 2

func (s *resume) load(rec store.SideRecord) error {
	print, err := keptPrint(rec.Value)
	if err != nil {
		return err
	}
	if print != s.once.print {
		return kindKeyReused.with("this %s was used for another request", keyHeader)
	}
	if !s.decode(rec.Value) {
		return errKeptReply
	}
	s.wrote = rec.Clock
	return nil
}

// record is the record behind a line.
func (s *resume) record(line *bulkLine) []byte {
	b := append(append([]byte{bulkVersion}, s.once.print[:]...), s.first[:]...)
	b = append(b, line.sum[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.replica))
	b = binary.AppendUvarint(b, uint64(line.n))
	for _, r := range s.refused {
		b = binary.AppendUvarint(b, uint64(r.line))
		b = append(append(b, byte(len(r.kind))), r.kind...)
	}
	return b
}

func (s *resume) decode(b []byte) bool {
	const sums = 1 + 3*sha256.Size
	if len(b) < sums+8 || b[0] != bulkVersion {
		return false
	}
	copy(s.first[:], b[1+sha256.Size:])
	copy(s.sum[:], b[1+2*sha256.Size:])
	s.by = crdt.ReplicaID(binary.BigEndian.Uint64(b[sums:]))
	lines, n := binary.Uvarint(b[sums+8:])
	if n <= 0 || lines == 0 || lines > 1<<62 {
		return false
	}
	s.lines = int(lines)
	for b = b[sums+8+n:]; len(b) > 0; {
		line, n := binary.Uvarint(b)
		if n <= 0 || line > lines || len(b) <= n || len(b) <= n+int(b[n]) || len(s.refused) == maxRefused {
			return false
		}
		end := n + 1 + int(b[n])
		s.refused = append(s.refused, refusedLine{int(line), string(b[n+1 : end])})
		b = b[end:]
	}
	return true
}

// keep notes, in the transaction of a line, that it is done.
func (s *resume) keep(tx Tx, line *bulkLine) error {
	if s == nil {
		return nil
	}
	s.begun = true
	return tx.PutSide(s.once.key, s.record(line), keepReplies)
}

// keepRefused notes that a line is done with, and with what.
func (s *resume) keepRefused(tx Tx, line *bulkLine, p *Problem) error {
	if s == nil {
		return nil
	}
	if line.wrong == nil {
		if len(s.refused) == maxRefused {
			return tooLarge(maxRefused, "a bulk with an %s ends where %d lines have been refused", keyHeader, maxRefused)
		}
		s.refused = append(s.refused, refusedLine{line.n, p.Type[len(problemPrefix):]})
	}
	return s.keep(tx, line)
}

// begins looks at the first line: a bulk that begins otherwise is another one.
func (s *resume) begins(group []bulkLine) error {
	switch {
	case s == nil || len(group) == 0:
		return nil
	case s.lines == 0:
		s.first = group[0].sum
		return nil
	case s.first != group[0].sum:
		return errOtherBulk
	}
	return nil
}

var errOtherBulk = kindKeyReused.with("this %s was used for a bulk with other lines", keyHeader)

// done reports whether a line was done by an earlier request.
func (s *resume) done(line int) bool { return s != nil && line <= s.lines }

// replay answers a line that was done. The last of them shows whether they all are the same.
func (s *resume) replay(line *bulkLine) (BulkResult, error) {
	if line.n == s.lines {
		if line.sum != s.sum {
			return BulkResult{}, errOtherBulk
		}
		s.checked = true
	}
	res := BulkResult{Line: line.n, Replayed: true}
	i, refused := slices.BinarySearchFunc(s.refused, line.n, func(r refusedLine, n int) int { return r.line - n })
	switch {
	case line.wrong != nil:
		res.Problem = problemOf(line.wrong)
	case refused:
		res.Problem = refusal(s.refused[i].kind)
	default:
		res.Status = http.StatusOK
	}
	return res, nil
}

// refusal is what is known of the problem that a line had when it was sent first.
func refusal(name string) *Problem {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kindPrecondition.with("the line was refused when it was sent first: %s", name)
	}
	return kinds[i].with("the line was refused when it was sent first")
}

// ended returns a problem where lines come to an end, or new ones begin, before all that were done have
// come again.
func (s *resume) ended() error {
	if s == nil || s.lines == 0 || s.checked {
		return nil
	}
	return errOtherBulk
}

// clock returns the clock to wait for and whose it is: that of this request, or, when it wrote nothing,
// that of the earlier one.
func (s *resume) clock(now crdt.VersionVector, self crdt.ReplicaID) (crdt.VersionVector, crdt.ReplicaID) {
	if s.wrote == nil || s.begun {
		return now, self
	}
	return s.wrote, s.by
}
