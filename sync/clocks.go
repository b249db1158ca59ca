package sync

import (
	"bytes"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// peer is what is known of another copy.
type peer struct {
	id        PeerID
	connected bool
	broken    bool // a Disconnect is under way
	heard     time.Time

	// clock and runs are what it told last. They are up to date with its stream iff synced;
	// before that they may stem from an earlier connection, or be nil.
	clock  crdt.VersionVector
	runs   delta.Runs
	synced bool
	// asking is not nil while an answer to an ask is due.
	asking *asking

	// Repair.
	greeted    bool               // a first comparison was made on this connection
	gap        crdt.VersionVector // what it has and we lack, nil when nothing is known
	gapAt      time.Time          // gossip has until then to bring it
	attempted  bool               // a pull for the gap ended well
	failures   int
	retryAt    time.Time
	doubted    bool   // it made a claim that is being looked into
	compare    bool   // digests differed: a comparing pull is due
	mismatched string // clock hash for which that was raised
}

// asking is a clock that arrives in pages.
type asking struct {
	base    view // what the bucket hashes were made of; zero when there were none
	started bool
	clock   crdt.VersionVector
	runs    delta.Runs
}

// Clocks up to this many components are asked for whole.
const smallClock = 64

// pageComponents is how many components, with their runs, one message carries: about 50 KiB.
const pageComponents = 1000

func (e *Engine) peerUp(now time.Time, id PeerID) {
	p := e.peers[id]
	if p == nil {
		if !e.makeRoom() {
			e.do(Disconnect{Peer: id, Reason: fmt.Errorf("sync: more than %d peers", e.cfg.MaxPeers)})
			return
		}
		p = &peer{id: id}
		e.peers[id] = p
	}
	*p = peer{id: id, connected: true, heard: p.heard, clock: p.clock, runs: p.runs, failures: p.failures,
		retryAt: p.retryAt, mismatched: p.mismatched}
	e.hello(now, p, flagFirst)
}

// makeRoom forgets the disconnected peer that was heard longest ago if there are too many.
func (e *Engine) makeRoom() bool {
	if len(e.peers) < e.cfg.MaxPeers {
		return true
	}
	var oldest *peer
	for _, p := range e.peers {
		if !p.connected && (oldest == nil || p.heard.Before(oldest.heard) ||
			p.heard.Equal(oldest.heard) && p.id < oldest.id) {
			oldest = p
		}
	}
	if oldest != nil {
		delete(e.peers, oldest.id)
	}
	return oldest != nil
}

func (e *Engine) peerDown(id PeerID) {
	p := e.peers[id]
	if p == nil {
		return
	}
	p.connected, p.broken, p.synced, p.asking, p.gap = false, false, false, nil, nil
	if e.pulling == id {
		e.do(CancelPull{})
	}
}

// disconnect ends the exchange with a peer that broke the rules.
func (e *Engine) disconnect(id PeerID, reason error) {
	if p := e.peers[id]; p != nil {
		p.broken = true
	}
	e.do(Disconnect{Peer: id, Reason: reason})
}

// message takes in what a peer's engine sent.
func (e *Engine) message(now time.Time, id PeerID, data []byte) {
	p := e.peers[id]
	if e.err != nil || p == nil || !p.connected || p.broken {
		return
	}
	m, err := decode(data)
	if err == nil && m != nil {
		p.heard = now
		switch m.kind {
		case kindHello:
			err = e.heardHello(now, p, m)
		case kindAsk:
			err = e.heardAsk(now, p, m)
		case kindClock:
			err = e.heardClock(now, p, m)
		case kindTell:
			err = e.heardTell(now, p, m)
		default:
			err = fmt.Errorf("%w: kind %d between engines", ErrUnexpected, m.kind)
		}
	}
	if err != nil {
		e.disconnect(id, err)
	}
}

// untold reports whether the durable clock has grown since it was told.
func (e *Engine) untold() bool {
	return len(e.st.Clock) != len(e.view.clock) || !e.view.clock.CoversAll(e.st.Clock)
}

// tell sends every connected peer the components that changed since the last tell.
func (e *Engine) tell(now time.Time) {
	old := e.view
	e.view = newView(e.st)
	e.tellAt = now.Add(e.cfg.TellInterval)
	changed := crdt.VersionVector{}
	for r, s := range e.view.clock {
		if old.clock[r] != s {
			changed[r] = s
		}
	}
	runs := delta.Runs{}
	for r := range changed {
		if run, ok := e.view.runs[r]; ok && old.runs[r] != run {
			runs[r] = run
		}
	}
	for _, m := range pages(kindTell, clockList(changed), runs) {
		data := m.encode()
		for _, p := range e.sorted() {
			e.do(Send{Peer: p.id, Data: data})
		}
	}
}

// pages cuts components and those of runs that belong to them into messages; at least one.
func pages(k kind, cs []component, runs delta.Runs) []*message {
	var ms []*message
	for {
		n := min(len(cs), pageComponents)
		m := &message{kind: k, clock: cs[:n], runs: runsOf(cs[:n], runs)}
		ms = append(ms, m)
		if cs = cs[n:]; len(cs) == 0 {
			return ms
		}
		if k != kindTell {
			m.flags = flagMore
		}
	}
}

// hello sends the hashes of what is told now. Tells that are due go first, so that the stream
// has said all that the hashes cover.
func (e *Engine) hello(now time.Time, p *peer, flags uint64) {
	if e.err != nil {
		return
	}
	if e.untold() {
		e.tell(now)
	}
	m := message{kind: kindHello, flags: flags, clockHash: e.view.clockHash, runsHash: e.view.runsHash,
		digest: append([]byte(nil), e.st.Digest[:]...)}
	e.do(Send{Peer: p.id, Data: m.encode()})
}

// ask makes peers tell their clock, one or all.
func (e *Engine) ask(now time.Time, id PeerID) {
	for _, p := range e.sorted() {
		if id == "" || p.id == id {
			e.hello(now, p, flagReply)
		}
	}
}

func (e *Engine) heardHello(now time.Time, p *peer, m *message) error {
	if len(m.clockHash) != hashBytes || len(m.runsHash) != hashBytes {
		return fmt.Errorf("%w: hello without hashes", ErrMalformed)
	}
	if m.has(flagFirst) {
		p.synced, p.asking, p.gap, p.greeted = false, nil, nil, false
	}
	if m.has(flagFirst | flagReply) {
		e.hello(now, p, 0)
	}
	sameClock := bytes.Equal(m.clockHash, e.view.clockHash)
	switch {
	case sameClock && bytes.Equal(m.runsHash, e.view.runsHash):
		p.clock, p.runs = e.view.clock.Clone(), cloneRuns(e.view.runs)
		p.synced, p.asking = true, nil
	case p.synced && bytes.Equal(m.clockHash, hashClock(p.clock)) && bytes.Equal(m.runsHash, hashRuns(p.runs)):
	default:
		e.askClock(p)
		return nil
	}
	e.learned(now, p, clockList(p.clock))
	if sameClock && len(m.digest) > 0 && !e.untold() && delta.Digest(m.digest) != e.st.Digest {
		e.mismatch(p, string(m.clockHash))
	}
	return nil
}

func cloneRuns(runs delta.Runs) delta.Runs {
	c := make(delta.Runs, len(runs))
	for r, run := range runs {
		c[r] = run
	}
	return c
}

// askClock asks for the peer's clock, in large ones only for the buckets that differ.
func (e *Engine) askClock(p *peer) {
	if p.asking != nil && !p.asking.started {
		return // the answer is still to come, and will be newer than what made us ask
	}
	m := message{kind: kindAsk}
	p.synced = false
	p.asking = &asking{}
	if len(e.view.clock) > smallClock {
		p.asking.base = e.view
		m.buckets = hashBuckets(e.view.clock, e.view.runs)
	}
	e.do(Send{Peer: p.id, Data: m.encode()})
}

func (e *Engine) heardAsk(now time.Time, p *peer, m *message) error {
	if e.untold() {
		e.tell(now)
	}
	cs := clockList(e.view.clock)
	var mask []byte
	if len(m.buckets) > 0 {
		mask = differing(hashBuckets(e.view.clock, e.view.runs), m.buckets)
		in := cs[:0]
		for _, c := range cs {
			if inMask(mask, c.Replica) {
				in = append(in, c)
			}
		}
		cs = in
	}
	ms := pages(kindClock, cs, e.view.runs)
	ms[0].mask = mask
	for _, page := range ms {
		e.do(Send{Peer: p.id, Data: page.encode()})
	}
	return nil
}

func (e *Engine) heardClock(now time.Time, p *peer, m *message) error {
	a := p.asking
	if a == nil {
		return nil // answers an ask that a newer hello made superfluous
	}
	if !a.started {
		if err := a.start(m.mask); err != nil {
			return err
		}
	}
	if err := e.takeOver(a.clock, a.runs, m); err != nil {
		return err
	}
	if m.has(flagMore) {
		return nil
	}
	p.clock, p.runs, p.synced, p.asking = a.clock, a.runs, true, nil
	e.learned(now, p, clockList(p.clock))
	return nil
}

// start begins a clock that arrives in pages: with that part of the base that does not differ.
func (a *asking) start(mask []byte) error {
	a.started, a.clock, a.runs = true, crdt.VersionVector{}, delta.Runs{}
	if len(mask) == 0 {
		return nil
	}
	if a.base.clock == nil {
		return fmt.Errorf("%w: a part of a clock, unasked", ErrMalformed)
	}
	for r, s := range a.base.clock {
		if inMask(mask, r) {
			continue
		}
		a.clock[r] = s
		if run, ok := a.base.runs[r]; ok {
			a.runs[r] = run
		}
	}
	return nil
}

// takeOver merges a message's components and runs into a clock.
func (e *Engine) takeOver(clock crdt.VersionVector, runs delta.Runs, m *message) error {
	for _, c := range m.clock {
		if c.Seq == 0 {
			return fmt.Errorf("%w: component 0", ErrMalformed)
		}
		clock[c.Replica] = max(clock[c.Replica], c.Seq)
	}
	learnRuns(runs, m.runs)
	if len(clock) > e.cfg.MaxReplicas || len(runs) > e.cfg.MaxReplicas {
		return fmt.Errorf("%w: a clock of more than %d components", ErrMalformed, e.cfg.MaxReplicas)
	}
	return nil
}

func (e *Engine) heardTell(now time.Time, p *peer, m *message) error {
	switch {
	case p.asking != nil && p.asking.started:
		return e.takeOver(p.asking.clock, p.asking.runs, m)
	case !p.synced:
		return nil // the answer to our ask will cover it
	}
	for _, c := range m.clock {
		if c.Seq < p.clock[c.Replica] { // another copy answers to that name now
			p.clock, p.runs = crdt.VersionVector{}, delta.Runs{}
			e.askClock(p)
			return nil
		}
	}
	if err := e.takeOver(p.clock, p.runs, m); err != nil {
		return err
	}
	e.learned(now, p, m.clock)
	return nil
}
