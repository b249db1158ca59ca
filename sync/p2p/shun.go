package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxShunned bounds the memory of peers that were turned away.
const maxShunned = 1024

// shun is the memory of a peer that was turned away.
type shun struct {
	strikes     int
	acceptAfter time.Time // its connections are refused before
	dialAfter   time.Time // it is not dialled before
}

// shun remembers that p proved to be foreign: for a minute at most, so that a peer whose key was
// put right is not kept waiting.
func (g *gate) shun(p peer.ID) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.shunned[p]
	if now.Sub(s.dialAfter) > shunMemory {
		s = shun{}
	}
	wait := min(shunFirst<<min(s.strikes, 8), shunLast)
	g.remember(p, shun{strikes: s.strikes + 1, acceptAfter: now.Add(shunFirst), dialAfter: now.Add(wait)})
}

// remember stores s and keeps the table bounded. g.mu is held.
func (g *gate) remember(p peer.ID, s shun) {
	for q := range g.shunned {
		if len(g.shunned) < maxShunned {
			break
		}
		delete(g.shunned, q)
	}
	g.shunned[p] = s
}

// ban turns a hostile member away for shunLast and closes its connections.
func (g *gate) ban(p peer.ID) {
	until := time.Now().Add(shunLast)
	g.mu.Lock()
	g.remember(p, shun{strikes: 8, acceptAfter: until, dialAfter: until})
	g.mu.Unlock()
	g.closePeer(p)
}

const (
	shunFirst  = 5 * time.Second
	shunLast   = time.Minute
	shunMemory = 10 * time.Minute // strikes are forgotten after
)

// dialAfter returns before when p must not be dialled; the zero time if it may be.
func (g *gate) dialAfter(p peer.ID) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shunned[p].dialAfter
}

// acceptable reports whether a connection from p may be taken in now.
func (g *gate) acceptable(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !time.Now().Before(g.shunned[p].acceptAfter)
}
