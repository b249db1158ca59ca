package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

const (
	maxDials    = 16 // at once
	maxResolved = 64 // addresses behind one name
	maxSeeds    = 256
	savePause   = 2 * time.Second
)

// redial dials every known peer that is away, for as long as the node runs: libp2p does not
// reconnect by itself.
func (n *Node) redial() {
	slots := make(chan struct{}, maxDials)
	for {
		dial, next := n.book.due(time.Now(), n.gate.dialAfter)
		for _, a := range dial {
			select {
			case slots <- struct{}{}:
			case <-n.ctx.Done():
				return
			}
			n.tasks.run(func() {
				n.dial(a)
				<-slots
				wake(n.book.kick)
			})
		}
		if !sleep(n.ctx, next, n.book.kick) {
			return
		}
	}
}

// sleep waits until a time (the zero time is never), or until woken. It returns false when ctx has
// ended.
func sleep(ctx context.Context, until time.Time, woken <-chan struct{}) bool {
	var alarm <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-alarm:
	case <-woken:
	case <-ctx.Done():
		return false
	}
	return ctx.Err() == nil
}

// dial makes one attempt to reach a peer and waits until it is admitted or not.
func (n *Node) dial(a attempt) {
	n.stats.dials.Add(1)
	ctx, cancel := context.WithTimeout(n.ctx, a.within)
	defer cancel()
	n.clearBackoff(a.ID)
	err := n.host.Connect(ctx, a.AddrInfo)
	if err != nil || n.gate.wait(a.ID) == nil {
		n.stats.dialFailures.Add(1)
		n.log.Debug("dial failed", "peer", a.ID, "err", err)
	}
	n.book.dialled(a.ID)
}

// clearBackoff makes libp2p forget its own pause for a peer, which grows up to five minutes.
func (n *Node) clearBackoff(p peer.ID) {
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}

// seed is a static address without a peer id.
type seed struct {
	addr ma.Multiaddr
	// who answered at each address that it resolved to
	ids map[string]peer.ID
}

// follow asks again and again who is behind a seed, and has them dialled.
func (n *Node) follow(s *seed) {
	tries := 0
	for {
		wait := n.opts.Timing.Resolve
		if n.resolve(s) {
			tries = 0
		} else {
			tries++
			wait = pause(n.opts.Timing.RedialMin, n.opts.Timing.RedialMax, tries)
		}
		if !sleep(n.ctx, time.Now().Add(wait), nil) {
			return
		}
	}
}

// resolve asks everybody behind s who it is, unless that one is connected. It reports whether
// all of them were known or answered.
func (n *Node) resolve(s *seed) bool {
	ctx, cancel := context.WithTimeout(n.ctx, n.opts.Timing.Dial)
	defer cancel()
	addrs := []ma.Multiaddr{s.addr}
	if isName(s.addr) {
		var err error
		if addrs, err = madns.DefaultResolver.Resolve(ctx, s.addr); err != nil || len(addrs) == 0 {
			n.log.Debug("cannot resolve", "address", s.addr, "err", err)
			return false
		}
	}
	ids := make(map[string]peer.ID)
	all := true
	for _, a := range addrs[:min(len(addrs), maxResolved)] {
		id, ok := s.ids[string(a.Bytes())]
		settled := ok && (id == n.host.ID() || n.gate.admitted(id) || n.gate.dialAfter(id).After(time.Now()))
		if !settled {
			var err error
			if id, err = n.whoIs(a); err != nil {
				n.log.Debug("static peer does not answer", "address", a, "err", err)
				all = false
				continue
			}
			n.book.addFound(id, []ma.Multiaddr{a})
		}
		ids[string(a.Bytes())] = id
	}
	s.ids = ids
	return all
}

// whoIs returns the peer id of whoever listens at a. It dials a peer that cannot exist there: the
// transport's handshake then fails, and tells who did answer.
func (n *Node) whoIs(a ma.Multiaddr) (peer.ID, error) {
	_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	nobody, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.opts.Timing.Dial)
	defer cancel()
	defer n.host.Peerstore().RemovePeer(nobody)
	defer n.host.Peerstore().ClearAddrs(nobody)
	defer n.clearBackoff(nobody)
	err = n.host.Connect(network.WithForceDirectDial(ctx, "asking"), peer.AddrInfo{ID: nobody, Addrs: []ma.Multiaddr{a}})
	var mismatch sec.ErrPeerIDMismatch
	if errors.As(err, &mismatch) && mismatch.Actual.Validate() == nil {
		return mismatch.Actual, nil
	}
	if err == nil {
		err = errors.New("p2p: a peer that does not exist answered")
	}
	return "", err
}

// remember stores the book now and then, and at the end.
func (n *Node) remember() {
	for ok := true; ok; {
		ok = sleep(n.ctx, time.Now().Add(savePause), nil)
		if err := n.book.save(); err != nil {
			n.log.Warn("cannot remember peers", "err", err)
		}
	}
}
