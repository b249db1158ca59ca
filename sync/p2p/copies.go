package p2p

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anabranchdb/anabranch/crdt"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// AddCopy begins to keep a copy equal to those of the other members that hold the namespace.
// ErrHeld or ErrName is returned when it cannot be added.
func (n *Node) AddCopy(c Copy) error {
	n.adding.Lock()
	defer n.adding.Unlock()
	if err := n.mayAdd(c.Name()); err != nil {
		return err
	}
	r, err := n.newRunner(c)
	if err != nil {
		return err
	}
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.epoch++
		r.epoch = n.epoch
		n.copies[r.name] = r
		n.tellHoldings()
	}
	n.mu.Unlock()
	if closed {
		r.stop()
		return ErrClosed
	}
	return nil
}

func (n *Node) mayAdd(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch _, held := n.copies[name]; {
	case n.closed:
		return ErrClosed
	case held:
		return fmt.Errorf("%w: %s", ErrHeld, name)
	case name == "" || len(name) > maxNameBytes:
		return fmt.Errorf("%w: a name has 1 to %d bytes", ErrName, maxNameBytes)
	case len(n.copies) >= maxNamespaces:
		return fmt.Errorf("%w: there are %d already", ErrName, maxNamespaces)
	}
	return nil
}

// RemoveCopy ends all exchange for a namespace and returns when the copy is not used any more.
func (n *Node) RemoveCopy(name string) error {
	n.adding.Lock()
	defer n.adding.Unlock()
	n.mu.Lock()
	c := n.copies[name]
	if c == nil {
		n.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	delete(n.copies, name)
	n.tellHoldings()
	n.mu.Unlock()
	c.stop()
	return nil
}

// holdings returns what is held here. n.mu is held.
func (n *Node) holdings() holdings {
	h := make(holdings, len(n.copies))
	for name, c := range n.copies {
		h[name] = held{c.epoch, c.replica}
	}
	return h
}

// tellHoldings tells all members what is held here now, before their engines hear from ours.
// n.mu is held.
func (n *Node) tellHoldings() {
	msg := appendHoldings(nil, n.holdings())
	for _, l := range n.links {
		if l.session != nil {
			l.session.push(msg)
			l.reconcile()
		}
	}
}

// PeerSync is what is known of a member's copy of a namespace.
type PeerSync struct {
	ID           string
	Connected    bool
	Clock        crdt.VersionVector // what was heard last, durable there; nil while unknown
	LastExchange time.Time          // zero while there was none
	Answered     time.Time          // when the newest Ask was made that it has answered: Clock is not older
}

// Sync returns the members that hold a namespace, by id: those that are away, too, and those that
// held it when they were here last, perhaps before this node started. ErrUnknown is returned if it
// is not held here. The result is the caller's; the clocks are not written any more.
func (n *Node) Sync(namespace string) ([]PeerSync, error) {
	c, err := n.runner(namespace)
	if err != nil {
		return nil, err
	}
	out := []PeerSync{}
	told := n.book.holders(namespace)
	c.engine.with(func(e *peersync.Engine) {
		for _, p := range e.Peers() {
			id, _ := peer.Decode(string(p.ID))
			holds, known := told[id]
			delete(told, id)
			if holds || !known || p.Connected {
				out = append(out, PeerSync{ID: string(p.ID), Connected: p.Connected, Clock: p.Clock, LastExchange: p.LastExchange, Answered: p.Answered})
			}
		}
	})
	for id, holds := range told {
		if holds {
			out = append(out, PeerSync{ID: id.String()})
		}
	}
	slices.SortFunc(out, func(x, y PeerSync) int { return cmp.Compare(x.ID, y.ID) })
	return out, nil
}

// Halted tells why the exchange of a namespace has ended for good and what to do about it. It is
// empty while the exchange goes on.
func (n *Node) Halted(namespace string) string {
	c, err := n.runner(namespace)
	if err != nil {
		return ""
	}
	if text := c.halted.Load(); text != nil {
		return *text
	}
	return ""
}

// Ask has a peer, or every peer if the id is empty, tell its clock for a namespace at once. The
// answer shows in Sync as an Answered that is not before the call.
func (n *Node) Ask(namespace, peerID string) error {
	c, err := n.runner(namespace)
	if err != nil {
		return err
	}
	c.inbox.force(peersync.Ask{Peer: peersync.PeerID(peerID)})
	return nil
}

func (n *Node) runner(namespace string) (*copyRunner, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.copies[namespace]
	if c == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, namespace)
	}
	return c, nil
}
