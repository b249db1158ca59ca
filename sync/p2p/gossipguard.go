package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// restartPause is how long a member stays hidden from gossip before both sides begin anew. Whoever
// notices the end of a stream first begins the pause; the other one notices it a network delay
// later, and what is sent after the pause arrives as much later.
const restartPause = 500 * time.Millisecond

// gossipGuard keeps the two gossip streams between this node and a member together, one for each
// direction. Gossipsub tells its subscriptions at the start of its own stream only, and forgets the
// other side's when its own stream ends. So when one of two connections closes, and a single stream
// with it, gossip in one direction would stop for good. The guard ends both instead, and hides the
// member from gossip for a moment, on both sides, so that both begin anew.
type gossipGuard struct {
	gate *gate
	// begin has gossip open its stream to a member.
	begin func(peer.ID)

	mu    sync.Mutex
	peers map[peer.ID]*guarded
}

type guarded struct {
	streams map[*gossipStream]bool
	// shown is closed at the end of the pause; nil while the member is not hidden.
	shown chan struct{}
}

func newGossipGuard(g *gate, begin func(peer.ID)) *gossipGuard {
	return &gossipGuard{gate: g, begin: begin, peers: make(map[peer.ID]*guarded)}
}

// hidden reports whether gossip must not see p now.
func (g *gossipGuard) hidden(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.peers[p]
	return k != nil && k.shown != nil
}

// admit takes a new stream in, after the pause if there is one. It returns nil when it cannot wait
// for that.
func (g *gossipGuard) admit(s network.Stream) network.Stream {
	p := s.Conn().RemotePeer()
	for {
		g.mu.Lock()
		k := g.peers[p]
		if k == nil {
			k = &guarded{streams: make(map[*gossipStream]bool)}
			g.peers[p] = k
		}
		if k.shown == nil {
			gs := &gossipStream{Stream: s, guard: g}
			k.streams[gs] = true
			g.mu.Unlock()
			return gs
		}
		shown := k.shown
		g.mu.Unlock()
		select {
		case <-shown:
		case <-g.gate.closed.Done():
			return nil
		}
	}
}

// ended notes the end of a stream and begins a pause, unless there is one or the member has gone.
func (g *gossipGuard) ended(s *gossipStream) {
	p := s.Conn().RemotePeer()
	g.mu.Lock()
	k := g.peers[p]
	current := k != nil && k.streams[s]
	if current {
		delete(k.streams, s)
		g.forget(p, k)
	}
	g.mu.Unlock()
	if current && g.gate.admitted(p) {
		g.restart(p)
	}
}

// restart ends the gossip streams of a member and begins a pause.
func (g *gossipGuard) restart(p peer.ID) {
	g.mu.Lock()
	k := g.peers[p]
	if k == nil {
		k = &guarded{}
		g.peers[p] = k
	}
	if k.shown != nil {
		g.mu.Unlock()
		return
	}
	old := k.streams
	k.streams, k.shown = make(map[*gossipStream]bool), make(chan struct{})
	g.mu.Unlock()
	if g.gate.closed.Err() != nil {
		return
	}
	g.gate.stats.gossipRestarts.Add(1)
	g.gate.tasks.run(func() {
		for s := range old {
			s.Stream.Reset()
		}
		if !sleep(g.gate.closed, time.Now().Add(restartPause), nil) {
			return
		}
		g.mu.Lock()
		close(k.shown)
		k.shown = nil
		g.forget(p, k)
		g.mu.Unlock()
		if g.gate.admitted(p) {
			g.begin(p)
		}
	})
}

// forget drops what says nothing. g.mu is held.
func (g *gossipGuard) forget(p peer.ID, k *guarded) {
	if len(k.streams) == 0 && k.shown == nil && g.peers[p] == k {
		delete(g.peers, p)
	}
}

// gossipStream tells the guard when gossip is done with a stream.
type gossipStream struct {
	network.Stream
	guard *gossipGuard
	once  sync.Once
}

func (s *gossipStream) Close() error {
	s.once.Do(func() { s.guard.ended(s) })
	return s.Stream.Close()
}

func (s *gossipStream) Reset() error {
	s.once.Do(func() { s.guard.ended(s) })
	return s.Stream.Reset()
}
