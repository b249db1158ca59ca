package sync

import (
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// PullSession is the side of a session that gets what it lacks. Nothing that it receives takes effect
// before all of it is there, except units, which take effect one by one.
type PullSession struct {
	cfg  Config
	sink Sink
	ref  UnitRef // zero unless one unit is wanted

	phase pullPhase
	st    SinkState // as the session asked: st.Clock is c1
	runs  delta.Runs

	// The sender's, from its snapshot.
	c2    crdt.VersionVector
	runs2 delta.Runs
	past2 delta.Past
	// issuers are the runs of the units that arrive next: of one replica they follow each other.
	issuers delta.Runs

	buf      []byte // of the stream, less than an item
	consumed uint64 // chunks since credit was given
	ended    bool   // the stream has ended
	items    uint64
	units    uint64

	cached   *delta.DotSet
	streamed *delta.DotSet // S
	staging  []crdt.Entry
	tree     tree
}

type pullPhase int

const (
	pullStart pullPhase = iota
	pullOffer           // the answer to the request
	pullMode            // the answer to the want
	pullLog             // units
	pullState           // entries and nodes
	pullTree            // nodes
	pullEnded
)

// NewPull returns a session that gets all that the other side has and the sink lacks.
func NewPull(cfg Config, sink Sink) *PullSession {
	return &PullSession{cfg: cfg, sink: sink, c2: crdt.VersionVector{}, runs2: delta.Runs{}, past2: delta.Past{}, issuers: delta.Runs{}, streamed: delta.NewDotSet()}
}

// NewPullUnit returns a session that gets one unit which was announced.
func NewPullUnit(cfg Config, sink Sink, ref UnitRef) *PullSession {
	p := NewPull(cfg, sink)
	p.ref = ref
	return p
}

// Start returns the first messages. It is called once, before Handle.
func (p *PullSession) Start() (out [][]byte, err error) {
	if p.phase != pullStart {
		return nil, ErrEnded
	}
	p.phase = pullOffer
	if p.ref != (UnitRef{}) {
		p.phase = pullMode
		m := message{kind: kindRequest, unit: []uint64{uint64(p.ref.Origin), p.ref.First, 0, 0}, credit: uint64(p.cfg.Window)}
		return encodeAll(&m), nil
	}
	if p.st, err = p.sink.Begin(); err != nil {
		p.phase = pullEnded
		return nil, err
	}
	p.runs = p.st.toldRuns()
	digest := p.st.Digest
	return encodeAll(&message{kind: kindRequest, clockHash: hashClock(p.st.Clock), runsHash: hashRuns(p.runs),
		digest: digest[:]}), nil
}

// Handle takes a message of the side that serves. What it returns is to be sent, also when it
// is done. It fails with ErrFork, ErrDigestMismatch (a MismatchError), ErrNotHeld, ErrRefused,
// ErrMalformed, ErrVersion, ErrEnded, or with an error of the sink. When it is done without an
// error, the sink has all that the other side had when it began to serve.
func (p *PullSession) Handle(msg []byte) (out [][]byte, done bool, err error) {
	if p.phase == pullEnded || p.phase == pullStart {
		return nil, true, ErrEnded
	}
	m, err := decode(msg)
	if err == nil && m != nil {
		out, err = p.handle(m)
	}
	if err != nil {
		p.phase = pullEnded
		return out, true, err
	}
	return out, p.phase == pullEnded, nil
}

func (p *PullSession) handle(m *message) ([][]byte, error) {
	streaming := (p.phase == pullLog || p.phase == pullState) && !p.ended
	descending := (p.phase == pullState || p.phase == pullTree) && !p.tree.done
	switch {
	case m.kind == kindFail:
		return nil, refusal(m)
	case m.kind == kindSame && p.phase == pullOffer:
		p.phase = pullEnded
		return nil, nil
	case m.kind == kindOffer && p.phase == pullOffer:
		return p.offer(m)
	case m.kind == kindMode && p.phase == pullMode:
		return nil, p.mode(m)
	case m.kind == kindRoots && descending:
		return p.roots(m)
	case m.kind == kindHashes && descending:
		return p.hashes(m)
	case m.kind == kindChunk && streaming:
		return p.chunk(m)
	case m.kind == kindEnd && streaming:
		return p.end(m)
	}
	return nil, fmt.Errorf("%w: kind %d in phase %d", ErrUnexpected, m.kind, p.phase)
}

func refusal(m *message) error {
	switch m.mode {
	case failNotHeld:
		return ErrNotHeld
	case failFork:
		return fmt.Errorf("%w: it found a fork of its own replica id", ErrRefused)
	}
	return fmt.Errorf("%w: %q", ErrRefused, m.text)
}

// offer takes in a page of the sender's clock and decides after the last one.
func (p *PullSession) offer(m *message) ([][]byte, error) {
	for _, c := range m.clock {
		if c.Seq == 0 {
			return nil, fmt.Errorf("%w: component 0", ErrMalformed)
		}
		p.c2[c.Replica] = c.Seq
	}
	learnRuns(p.runs2, m.runs)
	learnPast(p.past2, m.past)
	if max(len(p.c2), len(p.runs2), len(p.past2)) > p.cfg.MaxReplicas {
		return nil, fmt.Errorf("%w: a clock of more than %d components", ErrMalformed, p.cfg.MaxReplicas)
	}
	if m.has(flagMore) {
		return nil, nil
	}
	if err := p.checkFork(); err != nil {
		return nil, err
	}
	order := p.st.Clock.Compare(p.c2)
	mismatch := order == crdt.Equal && (len(m.digest) == 0 || delta.Digest(m.digest) != p.st.Digest)
	if !mismatch && (order == crdt.Equal || order == crdt.After) {
		return p.finish(), nil
	}
	var err error
	if p.cached, err = p.sink.Cached(p.c2, p.runs2, p.past2); err != nil {
		return nil, err
	}
	if p.cached == nil {
		p.cached = delta.NewDotSet()
	}
	p.phase = pullMode
	if mismatch {
		return p.want(modeCompare), nil
	}
	return p.want(0), nil
}

// checkFork looks for a proof that the own replica id is used twice. The sender may have seen
// what was written here after the session asked, so a doubt is settled by a newer look.
func (p *PullSession) checkFork() error {
	c := claimOf(p.st.Replica, p.c2, p.runs2)
	if p.st.checkOwn(c) == nil {
		return nil
	}
	st, err := p.sink.Begin()
	if err != nil {
		return err
	}
	return st.checkOwn(c)
}

// want returns the pages that say in what we differ from the offer, and what is cached.
func (p *PullSession) want(mode uint64) [][]byte {
	var cs []component
	for _, c := range clockList(p.c2) {
		if own := p.st.Clock[c.Replica]; own != c.Seq {
			cs = append(cs, component{Replica: c.Replica, Seq: own})
		}
	}
	runs := delta.Runs{}
	for r, run := range p.runs2 {
		if own := p.runs[r]; own != run {
			runs[r] = own // the zero run: not known
		}
	}
	for _, c := range clockList(p.st.Clock) {
		if p.c2[c.Replica] == 0 {
			cs = append(cs, c)
		}
	}
	for r, run := range p.runs {
		if _, in := p.runs2[r]; !in {
			runs[r] = run
		}
	}
	return encodeAll(p.wantPages(mode, cs, runs)...)
}

func (p *PullSession) wantPages(mode uint64, cs []component, runs delta.Runs) []*message {
	var ms []*message
	for len(cs) > 0 {
		n := min(len(cs), p.cfg.ClockPage)
		ms = append(ms, &message{kind: kindWant, flags: flagMore, clock: cs[:n]})
		cs = cs[n:]
	}
	for ids := sortedRuns(runs); len(ids) > 0; {
		n := min(len(ids), p.cfg.ClockPage)
		m := &message{kind: kindWant, flags: flagMore}
		for _, r := range ids[:n] {
			m.runs = append(m.runs, told{Replica: r, Run: runs[r]})
		}
		ms, ids = append(ms, m), ids[n:]
	}
	bytes := 0
	for piece := range pieces(p.cached.Uncovered(p.st.Clock).CutAt(p.c2)) {
		b := delta.AppendDotSet(nil, piece)
		if bytes += len(b); bytes > maxCachedBytes || mode == modeCompare {
			break // the rest is sent again
		}
		ms = append(ms, &message{kind: kindWant, flags: flagMore, cached: b})
	}
	return joinWants(append(ms, &message{kind: kindWant, mode: mode, credit: uint64(p.cfg.Window)}))
}

// joinWants makes one message of pages that are all small.
func joinWants(ms []*message) []*message {
	all := *ms[len(ms)-1]
	for _, m := range ms[:len(ms)-1] {
		if len(m.cached) > 64<<10 || len(m.cached) > 0 && len(all.cached) > 0 ||
			len(m.clock) > 0 && len(all.clock) > 0 || len(m.runs) > 0 && len(all.runs) > 0 {
			return ms
		}
		all.clock = append(all.clock, m.clock...)
		all.runs = append(all.runs, m.runs...)
		all.cached = append(all.cached, m.cached...)
	}
	return []*message{&all}
}

// mode takes in how the sender goes on.
func (p *PullSession) mode(m *message) error {
	compare := p.ref == UnitRef{} && p.st.Clock.Compare(p.c2) == crdt.Equal
	switch {
	case m.mode == modeLog && !compare:
		p.phase = pullLog
		return nil
	case m.mode == modeState && !compare && p.ref == UnitRef{}:
		p.phase = pullState
	case m.mode == modeCompare && compare:
		p.phase = pullTree
	default:
		return fmt.Errorf("%w: mode %d", ErrUnexpected, m.mode)
	}
	both := p.st.Clock.Min(p.c2)
	p.tree.begin(p.st.Live.CutAt(both), both)
	return nil
}

// finish ends the session well.
func (p *PullSession) finish() [][]byte {
	p.phase = pullEnded
	return encodeAll(&message{kind: kindDone})
}
