package sync

import (
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
	// asks holds the hellos that want an answer and have none, oldest first. The first answer of
	// them are answered once the clock is known; answered is when the newest such was sent.
	asks     []request
	answer   int
	answered time.Time

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

// request is a hello that wants an answer.
type request struct {
	number uint64
	at     time.Time
}

// asking is a clock that arrives in pages.
type asking struct {
	base    view // what the bucket hashes were made of; zero when there were none
	started bool
	clock   crdt.VersionVector
	runs    delta.Runs
}

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
	*p = peer{id: id, connected: true, heard: p.heard, answered: p.answered, clock: p.clock, runs: p.runs, failures: p.failures,
		retryAt: p.retryAt, mismatched: p.mismatched}
	e.hello(now, p, flagFirst, 0)
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
