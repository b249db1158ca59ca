package sync

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Of the configuration of a daemon: a page of a clock is about 50 KiB.
const (
	smallClock     = 64
	pageComponents = 1000
)

// maxAsks bounds the hellos whose answer is waited for.
const maxAsks = 64

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
	for _, m := range pages(e.cfg, kindTell, clockList(changed), runs) {
		data := m.encode()
		for _, p := range e.sorted() {
			e.do(Send{Peer: p.id, Data: data})
		}
	}
}

// pages cuts components and those of runs that belong to them into messages; at least one.
func pages(cfg Config, k kind, cs []component, runs delta.Runs) []*message {
	var ms []*message
	for {
		n := min(len(cs), cfg.ClockPage)
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
// has said all that the hashes cover. number is that of the hello which this one answers.
func (e *Engine) hello(now time.Time, p *peer, flags, number uint64) {
	if e.err != nil {
		return
	}
	if e.untold() {
		e.tell(now)
	}
	if flags&flagReply != 0 {
		if len(p.asks) == maxAsks {
			p.asks, p.answer = p.asks[1:], max(p.answer-1, 0)
		}
		e.asked++
		number = e.asked
		p.asks = append(p.asks, request{number: number, at: now})
	}
	m := message{kind: kindHello, flags: flags, number: number, clockHash: e.view.clockHash, runsHash: e.view.runsHash,
		digest: append([]byte(nil), e.st.Digest[:]...)}
	e.do(Send{Peer: p.id, Data: m.encode()})
}

// ask makes peers tell their clock, one or all.
func (e *Engine) ask(now time.Time, id PeerID) {
	for _, p := range e.sorted() {
		if id == "" || p.id == id {
			e.hello(now, p, flagReply, 0)
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
	switch {
	case m.has(flagReply):
		e.hello(now, p, flagAnswer, m.number)
	case m.has(flagFirst):
		e.hello(now, p, 0, 0)
	case m.has(flagAnswer):
		if i := slices.IndexFunc(p.asks, func(r request) bool { return r.number == m.number }); i >= 0 {
			p.answer = i + 1
		}
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
	if len(e.view.clock) > e.cfg.SmallClock {
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
	ms := pages(e.cfg, kindClock, cs, e.view.runs)
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
