package sync

import (
	"errors"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// learned is called when what is known of a peer's clock has changed in these components.
func (e *Engine) learned(now time.Time, p *peer, changed []component) {
	p.heard = now
	if p.answer > 0 {
		p.answered, p.asks, p.answer = p.asks[p.answer-1].at, p.asks[p.answer:], 0
	}
	e.believe(p.id, changed, p.clock, p.runs)
	e.hold(p)
	grace := e.cfg.GapGrace
	if !p.greeted {
		p.greeted, grace = true, 0
	}
	e.watch(now, p, grace)
}

// hold takes note of how many of the own units the peer holds, if they are those that were issued here.
func (e *Engine) hold(p *peer) {
	c := claimOf(e.st.Replica, p.clock, p.runs)
	if c.Seq > e.held && c.Run != (delta.Run{}) && e.st.checkOwn(c) == nil {
		e.held = c.Seq
		e.do(Held{Seq: c.Seq})
	}
}

// believe looks for proofs of a fork in what a peer says of these replicas.
func (e *Engine) believe(from PeerID, of []component, clock crdt.VersionVector, runs delta.Runs) {
	if _, in := clock[e.st.Replica]; in {
		for _, c := range of {
			if c.Replica == e.st.Replica {
				e.claimed(from, claimOf(e.st.Replica, clock, runs))
			}
		}
	}
	if r, forked := e.st.checkForeign(of, clock, runs); forked && !e.foreign[r] && len(e.foreign) < maxForeign {
		e.foreign[r] = true
		e.do(Alarm{Kind: AlarmForeignFork, Peer: from, Text: fmt.Sprintf(
			"two copies write under replica id %v: %s and this daemon know it from different runs", r, from)})
	}
}

// claimed judges what was said of the own replica id. The status that is known may be older
// than what a session has served meanwhile, so a doubt is settled by a fresh one.
func (e *Engine) claimed(from PeerID, c claim) {
	if e.st.checkOwn(c) == nil {
		return
	}
	if p := e.peers[from]; p != nil {
		p.doubted = true
	}
	for _, d := range e.claims {
		if d.claim == c {
			return
		}
	}
	if len(e.claims) < maxDoubts {
		e.claims = append(e.claims, doubt{claim: c, peer: from})
		e.refreshAt = time.Time{}
	}
}

// refreshed settles the doubts.
func (e *Engine) refreshed(now time.Time, st Status) {
	e.adopt(now, st)
	for _, d := range e.claims {
		if err := st.checkOwn(d.claim); err != nil {
			e.stop(d.peer, err)
			return
		}
	}
	e.claims = nil
	for _, p := range e.peers {
		p.doubted = false
	}
}

// stop ends the exchange for good.
func (e *Engine) stop(from PeerID, err error) {
	if e.err != nil {
		return
	}
	e.err = err
	e.do(Alarm{Kind: AlarmFork, Peer: from, Text: fmt.Sprintf(
		"%v; this directory is a copy or was rolled back: the exchange of the namespace has ended here", err)})
	if e.pulling != "" {
		e.do(CancelPull{})
	}
}

// judge looks at how a session ended and reports whether there is more to do about it.
func (e *Engine) judge(id PeerID, err error) {
	var mismatch *MismatchError
	switch {
	case err == nil || e.err != nil:
	case errors.Is(err, ErrFork):
		e.stop(id, err)
	case errors.As(err, &mismatch):
		e.do(Alarm{Kind: AlarmMismatch, Peer: id, Text: mismatch.Error()})
	case errors.Is(err, ErrMalformed):
		e.disconnect(id, err)
	}
}

// mismatch is called when a peer with the same clock told another digest.
func (e *Engine) mismatch(p *peer, clockHash string) {
	if p.mismatched == clockHash {
		return
	}
	p.mismatched, p.compare = clockHash, true
	e.do(Alarm{Kind: AlarmMismatch, Peer: p.id, Text: fmt.Sprintf(
		"%v: %s; a full comparison follows", ErrDigestMismatch, p.id)})
}

// watch notes what the peer has and we lack, unless something is noted already. Gossip has the
// grace to bring it.
func (e *Engine) watch(now time.Time, p *peer, grace time.Duration) {
	if p.gap != nil || !p.synced {
		return
	}
	for r, s := range p.clock {
		if e.mirror[r] >= s {
			continue
		}
		if p.gap == nil {
			p.gap, p.gapAt, p.attempted = crdt.VersionVector{}, now.Add(grace), false
		}
		p.gap[r] = s
	}
}

// check compares with one peer, however healthy all looks.
func (e *Engine) check(now time.Time) {
	e.checkAt = now.Add(e.jittered(e.cfg.CheckInterval))
	if ps := e.sorted(); len(ps) > 0 {
		e.hello(now, ps[e.rng.IntN(len(ps))], flagReply, 0)
	}
}

// schedule starts a pull if one is due and none is under way.
func (e *Engine) schedule(now time.Time) {
	e.fetchLarge(now)
	var best []*peer
	var most uint64
	for _, p := range e.sorted() {
		missing, due := e.due(now, p)
		if !due || missing < most {
			continue
		}
		if missing > most {
			best, most = nil, missing
		}
		best = append(best, p)
	}
	if len(best) > 0 && e.pulling == "" {
		e.pull(best[e.rng.IntN(len(best))].id, UnitRef{})
	}
}

// due reports whether to pull from p now, and how many dots that would bring.
func (e *Engine) due(now time.Time, p *peer) (missing uint64, due bool) {
	if p.gap != nil && !now.Before(p.gapAt) {
		if e.mirror.CoversAll(p.gap) {
			p.gap, p.failures = nil, 0
			e.watch(now, p, e.cfg.GapGrace)
		} else if p.attempted { // it went well and did not bring it
			p.attempted = false
			e.failed(now, p)
		} else if e.backlogged() { // what is missing may be what waits
			p.gapAt = now.Add(e.cfg.GapGrace)
		}
	}
	ready := p.synced && !p.doubted && !now.Before(p.retryAt)
	switch {
	case !ready || now.Before(e.applyAfter):
		return 0, false
	case p.compare:
		return 0, true
	case p.gap != nil && !now.Before(p.gapAt):
		return e.mirror.Missing(p.gap), true
	}
	return 0, false
}

// pullWake adds when due may change its answer by time alone.
func (e *Engine) pullWake(w *soonest) {
	if e.pulling != "" {
		return
	}
	for _, p := range e.peers {
		if !p.connected || p.broken || !p.synced || p.doubted || p.gap == nil && !p.compare {
			continue
		}
		at := e.applyAfter
		if p.retryAt.After(at) {
			at = p.retryAt
		}
		if !p.compare && p.gapAt.After(at) {
			at = p.gapAt
		}
		w.add(at)
	}
	for _, a := range e.large {
		w.add(a.at.Add(e.cfg.PendingAge))
	}
}

// fetchLarge pulls an announced unit whose predecessor is here, and forgets those that have
// come otherwise or are too old.
func (e *Engine) fetchLarge(now time.Time) {
	keep := e.large[:0]
	for _, a := range e.large {
		p := e.peers[a.peer]
		switch {
		case e.mirror[a.ref.Origin] >= a.ref.First, !now.Before(a.at.Add(e.cfg.PendingAge)):
		case e.pulling == "" && e.mirror[a.ref.Origin] == a.ref.First-1 && p != nil && p.connected &&
			!p.broken && !p.doubted && !now.Before(e.applyAfter):
			e.pull(a.peer, a.ref)
		default:
			keep = append(keep, a)
		}
	}
	e.large = keep
}

func (e *Engine) pull(id PeerID, ref UnitRef) {
	e.pulling, e.pulled = id, ref
	e.do(Pull{Peer: id, Unit: ref})
}

// pullEnded looks at the outcome of a pull.
func (e *Engine) pullEnded(now time.Time, ev Pulled) {
	if e.pulling == "" {
		return
	}
	whole := e.pulled == UnitRef{}
	e.pulling = ""
	e.judge(ev.Peer, ev.Err)
	p := e.peers[ev.Peer]
	if p == nil || e.err != nil {
		return
	}
	var mismatch *MismatchError
	switch {
	case ev.Err == nil:
		if whole {
			p.attempted, p.compare = true, false
		}
	case errors.As(ev.Err, &mismatch):
		p.compare = false
	case whole:
		e.failed(now, p)
	}
	for _, q := range e.peers { // what was pulled is about to be told by Committed
		if q.gap != nil && ev.Err == nil {
			q.gapAt = now.Add(e.cfg.GapGrace)
		}
	}
}

// failed puts off the next pull from p.
func (e *Engine) failed(now time.Time, p *peer) {
	p.failures++
	p.retryAt = now.Add(e.backOff(p.failures))
}
