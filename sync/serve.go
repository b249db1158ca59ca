package sync

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// ServeSession is the side of a session that is pulled from. It works on one snapshot of its copy,
// which it opens with the first message and closes with Close.
type ServeSession struct {
	cfg  Config
	open func() (Source, error)

	phase servePhase
	src   Source
	st    Status
	runs  delta.Runs // told

	// What the other side has, as it said.
	c1          crdt.VersionVector
	theirs      delta.Runs
	cached      *delta.DotSet
	cachedBytes int

	cut  *delta.DotSet // live dots covered on both sides
	last node          // asked for; nodes are asked for in ascending order, each once
	any  bool          // last is valid
	// unasked is how many nodes may still be asked for: roots, and children of those that were answered by hashes.
	unasked int

	stream stream
}

type servePhase int

const (
	serveRequest servePhase = iota
	serveWant
	serveLog   // streaming units
	serveState // streaming entries, and answering nodes
	serveTree  // answering nodes
	serveEnded
)

// Modes of a want and of the answer to it.
const (
	modeLog     = 1
	modeState   = 2
	modeCompare = 3
)

// Codes of a fail.
const (
	failOther   = 1
	failFork    = 2
	failNotHeld = 3
)

// maxCachedBytes bounds the dots that a receiver may name as cached, as they are encoded.
const maxCachedBytes = 2 << 20

// NewServe returns a session that serves one pull. open is called at most once.
func NewServe(cfg Config, open func() (Source, error)) *ServeSession {
	return &ServeSession{cfg: cfg, open: open, cached: delta.NewDotSet()}
}

// Close releases the snapshot. It may be called at any time and more than once.
func (s *ServeSession) Close() error {
	s.phase = serveEnded
	s.stream.close()
	if s.src == nil {
		return nil
	}
	err := s.src.Close()
	s.src = nil
	return err
}

// Handle takes a message of the side that pulls. What it returns is to be sent, also when it
// is done, and as far as possible also when it fails: with ErrFork, which the engine is to
// hear of by Served, with ErrMalformed, ErrVersion, ErrEnded, or with an error of the source.
func (s *ServeSession) Handle(msg []byte) (out [][]byte, done bool, err error) {
	if s.phase == serveEnded {
		return nil, true, ErrEnded
	}
	m, err := decode(msg)
	if err == nil && m != nil {
		out, err = s.handle(m)
	}
	if err != nil {
		s.phase = serveEnded
		return [][]byte{failure(err)}, true, err
	}
	return out, s.phase == serveEnded, nil
}

// failure tells the other side no more than it needs to know.
func failure(err error) []byte {
	m := message{kind: kindFail, mode: failOther}
	switch {
	case errors.Is(err, ErrFork):
		m.mode = failFork
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrVersion):
		text := err.Error()
		m.text = []byte(text[:min(len(text), 200)])
	}
	return m.encode()
}

func (s *ServeSession) handle(m *message) ([][]byte, error) {
	switch {
	case m.kind == kindRequest && s.phase == serveRequest:
		return s.request(m)
	case m.kind == kindWant && s.phase == serveWant:
		return s.want(m)
	case m.kind == kindNodes && (s.phase == serveState || s.phase == serveTree):
		return s.nodes(m)
	case m.kind == kindCredit && (s.phase == serveState || s.phase == serveLog):
		return s.chunks(m.credit)
	case m.kind == kindDone:
		s.phase = serveEnded
		return nil, nil
	}
	return nil, fmt.Errorf("%w: kind %d in phase %d", ErrUnexpected, m.kind, s.phase)
}

// request opens the snapshot and answers whether there is anything to exchange.
func (s *ServeSession) request(m *message) ([][]byte, error) {
	src, err := s.open()
	if err != nil {
		return nil, err
	}
	s.src = src
	s.st = Status{Replica: src.Replica(), Clock: src.Clock(), Runs: src.Runs(), Digest: src.Digest(), OwnRuns: src.OwnRuns()}
	s.runs = s.st.toldRuns()
	if len(m.unit) > 0 {
		return s.single(m)
	}
	if bytes.Equal(m.clockHash, hashClock(s.st.Clock)) && bytes.Equal(m.runsHash, hashRuns(s.runs)) &&
		bytes.Equal(m.digest, s.st.Digest[:]) {
		s.phase = serveEnded
		return encodeAll(&message{kind: kindSame}), nil
	}
	s.phase = serveWant
	s.c1, s.theirs = s.st.Clock.Clone(), cloneRuns(s.runs)
	ms := pages(s.cfg, kindOffer, clockList(s.st.Clock), s.runs)
	past := src.Past()
	for _, m := range ms {
		m.past = pastOf(m.clock, past)
	}
	ms[len(ms)-1].digest = s.st.Digest[:]
	return encodeAll(ms...), nil
}

// single answers the pull of one unit.
func (s *ServeSession) single(m *message) ([][]byte, error) {
	r, first := crdt.ReplicaID(m.unit[0]), m.unit[1]
	u, ok, err := s.src.Unit(r, first)
	if err != nil {
		return nil, err
	}
	if !ok {
		s.phase = serveEnded
		return encodeAll(&message{kind: kindFail, mode: failNotHeld}), nil
	}
	s.phase = serveLog
	s.stream.begin(unitItems(func(yield func(delta.Issued, error) bool) { yield(u, nil) }), s.cfg.ChunkBytes)
	return s.withChunks(encodeAll(&message{kind: kindMode, mode: modeLog}), m.credit)
}

// want takes in a page of where the other side differs from the offer, and begins after the
// last one.
func (s *ServeSession) want(m *message) ([][]byte, error) {
	for _, c := range m.clock {
		if s.c1[c.Replica] = c.Seq; c.Seq == 0 {
			delete(s.c1, c.Replica)
		}
	}
	for _, t := range m.runs {
		if s.theirs[t.Replica] = t.Run; t.Run.First == 0 {
			delete(s.theirs, t.Replica)
		}
	}
	if len(s.c1) > s.cfg.MaxReplicas+len(s.st.Clock) || len(s.theirs) > s.cfg.MaxReplicas+len(s.runs) {
		return nil, fmt.Errorf("%w: a clock of too many components", ErrMalformed)
	}
	if err := s.addCached(m.cached); err != nil {
		return nil, err
	}
	if m.has(flagMore) {
		return nil, nil
	}
	if err := s.st.checkOwn(claimOf(s.st.Replica, s.c1, s.theirs)); err != nil {
		return nil, err
	}
	return s.begin(m)
}

func (s *ServeSession) addCached(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if s.cachedBytes += len(b); s.cachedBytes > maxCachedBytes {
		return fmt.Errorf("%w: too many cached dots", ErrMalformed)
	}
	set, rest, err := delta.DecodeDotSet(b)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: cached dots: %w", ErrMalformed, err)
	}
	s.cached = s.cached.Or(set)
	return nil
}

// begin chooses how to go on and sends what the credit allows.
func (s *ServeSession) begin(m *message) ([][]byte, error) {
	if m.mode == modeCompare {
		s.phase = serveTree
		return append(encodeAll(&message{kind: kindMode, mode: modeCompare}), s.roots()...), nil
	}
	fresh := s.src.Live().Uncovered(s.c1)
	units, ok, err := s.log(fresh.Len())
	if err != nil {
		return nil, err
	}
	if ok {
		s.phase = serveLog
		s.stream.begin(unitItems(units), s.cfg.ChunkBytes)
		return s.withChunks(encodeAll(&message{kind: kindMode, mode: modeLog}), m.credit)
	}
	s.phase = serveState
	s.stream.begin(s.entryItems(fresh), s.cfg.ChunkBytes)
	return s.withChunks(append(encodeAll(&message{kind: kindMode, mode: modeState}), s.roots()...), m.credit)
}

// log returns the units that the other side misses, unless the state says the same in less:
// when most of what they wrote is dead again, or when they are very many.
func (s *ServeSession) log(fresh uint64) (iter.Seq2[delta.Issued, error], bool, error) {
	missing := s.c1.Missing(s.st.Clock)
	if missing > s.cfg.LogMaxDots || missing > 1024+4*fresh {
		return nil, false, nil
	}
	return s.src.Log(s.c1)
}

// roots returns the pages of the trees over what both sides cover, and a last one.
func (s *ServeSession) roots() [][]byte {
	both := s.c1.Min(s.st.Clock)
	s.cut, s.unasked = s.src.Live().CutAt(both), len(both)
	var out [][]byte
	page := &message{kind: kindRoots, flags: flagMore}
	for _, r := range s.cut.Replicas() {
		if page.hashes = appendRoots(page.hashes, s.cut, both, r); len(page.hashes) == s.cfg.ClockPage*rootsOfComponent*rootBytes {
			out = append(out, page.encode())
			page = &message{kind: kindRoots, flags: flagMore}
		}
	}
	page.flags = 0
	return append(out, page.encode())
}

// nodes answers a request for nodes. Each may be asked for once, and no more than there are reasons to, so
// that a session costs a few passes over the live dots.
func (s *ServeSession) nodes(m *message) ([][]byte, error) {
	if len(m.nodes) == 0 || len(m.nodes) > min(maxNodes, s.unasked) {
		return nil, fmt.Errorf("%w: %d nodes", ErrMalformed, len(m.nodes))
	}
	s.unasked -= len(m.nodes)
	answer := &message{kind: kindHashes}
	for _, n := range m.nodes {
		if !n.valid() || s.any && compareNodes(s.last, n) >= 0 {
			return nil, fmt.Errorf("%w: node out of order", ErrMalformed)
		}
		s.last, s.any = n, true
		at := len(answer.hashes)
		if answer.hashes = appendNode(answer.hashes, s.cut, n); answer.hashes[at] == formHashes {
			s.unasked += fanOut
		}
	}
	return encodeAll(answer), nil
}

// chunks adds credit and sends what it allows.
func (s *ServeSession) chunks(credit uint64) ([][]byte, error) { return s.withChunks(nil, credit) }

func (s *ServeSession) withChunks(out [][]byte, credit uint64) ([][]byte, error) {
	ms, err := s.stream.next(credit)
	return append(out, encodeAll(ms...)...), err
}

func encodeAll(ms ...*message) [][]byte {
	out := make([][]byte, len(ms))
	for i, m := range ms {
		out[i] = m.encode()
	}
	return out
}

// unitItems streams units, and before the first one of a run that run: who has applied only a part
// of them covers seqs of that run, not of the latest one.
func unitItems(units iter.Seq2[delta.Issued, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		said := delta.Runs{}
		for u, err := range units {
			if err != nil {
				yield(nil, err)
				return
			}
			if u.Run != (delta.Run{}) && said[u.Origin] != u.Run {
				said[u.Origin] = u.Run
				if !yield(delta.AppendRuns([]byte{itemRuns}, delta.Runs{u.Origin: u.Run}), nil) {
					return
				}
			}
			if !yield(delta.AppendUnit([]byte{itemUnit}, u.Unit), nil) {
				return
			}
		}
	}
}
