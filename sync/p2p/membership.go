package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// reannounce is how often it is checked that gossip knows all members: it forgets those to whom a
// stream could not be opened.
const reannounce = 5 * time.Second

// membership follows admissions and departures.
func (n *Node) membership() {
	t := time.NewTicker(reannounce)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.gate.events.ready:
			for _, ev := range n.gate.events.take() {
				n.member(ev)
			}
		case <-t.C:
			n.remindGossip()
		}
	}
}

// remindGossip has gossip look again at members that it should know.
func (n *Node) remindGossip() {
	n.mu.Lock()
	topics := make(map[peer.ID]string) // of one namespace that is held on both sides
	for p, l := range n.links {
		topics[p] = ""
		if l.session == nil || time.Since(l.session.began) < reannounce {
			continue
		}
		for c := range l.up {
			topics[p] = c.gossip.topic.String()
		}
	}
	n.mu.Unlock()
	for p, topic := range topics {
		n.announce(p)
		if topic != "" && !slices.Contains(n.pubsub.ListPeers(topic), p) {
			n.guard.restart(p)
		}
	}
}

func (n *Node) member(ev gateEvent) {
	switch {
	case ev.reached != nil:
		n.book.reached(ev.peer, ev.reached)
	case ev.admitted:
		n.arrived(ev.peer)
	default:
		n.departed(ev.peer)
	}
}

func (n *Node) arrived(p peer.ID) {
	n.log.Info("peer admitted", "peer", p)
	n.host.ConnManager().Protect(p, "member")
	n.mu.Lock()
	before := n.links[p]
	l := n.newLink(p)
	n.links[p] = l
	if s := n.early[p]; s != nil {
		delete(n.early, p)
		l.offer(s)
	}
	n.mu.Unlock()
	n.tasks.run(func() { l.run(before) })
	n.tasks.run(l.watch)
	n.announce(p)
	n.book.setConnected(p, true)
}

func (n *Node) departed(p peer.ID) {
	n.log.Info("peer gone", "peer", p)
	n.host.ConnManager().Unprotect(p, "member")
	n.mu.Lock()
	if l := n.links[p]; l != nil {
		l.cancel()
	}
	if s := n.early[p]; s != nil {
		delete(n.early, p)
		s.Reset()
	}
	n.mu.Unlock()
	n.bus.announce(n.ctx, event.EvtPeerConnectednessChanged{Peer: p, Connectedness: network.NotConnected})
	n.book.setConnected(p, false)
}

// announce has gossip open its stream to a member.
func (n *Node) announce(p peer.ID) {
	n.bus.announce(n.ctx, event.EvtPeerIdentificationCompleted{Peer: p, Protocols: n.opts.versions.of(gossipProtocol)})
}

// tellAddresses tells all members where this node can be reached now.
func (n *Node) tellAddresses() {
	addrs, err := n.announced()
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	msg := appendHello(nil, addrs, n.holdings())
	for _, l := range n.links {
		if l.session != nil {
			l.session.push(msg)
		}
	}
}
