package app

import (
	"context"
	"errors"
	"sync"

	httpapi "github.com/anabranchdb/anabranch/http"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// cluster is the node as the API sees it.
type cluster struct {
	*p2p.Node
	app *App
}

var _ httpapi.Cluster = cluster{}

func (c cluster) Peers() []httpapi.Peer {
	known := c.Node.Peers()
	peers := make([]httpapi.Peer, len(known))
	for i, p := range known {
		peers[i] = httpapi.Peer{ID: p.ID, Connected: p.Connected, Addresses: p.Addresses}
	}
	return peers
}

func (c cluster) Sync(ns string) []httpapi.PeerSync {
	known, err := c.Node.Sync(ns)
	if err != nil {
		return nil // dropped at this moment
	}
	peers := make([]httpapi.PeerSync, len(known))
	for i, p := range known {
		peers[i] = httpapi.PeerSync{ID: p.ID, Connected: p.Connected, Clock: p.Clock, LastExchange: p.LastExchange, Answered: p.Answered}
	}
	return peers
}

// Ask asks nobody about what was dropped at this moment.
func (c cluster) Ask(ns, peer string) { _ = c.Node.Ask(ns, peer) }

func (c cluster) Halted(ns string) string {
	why := c.Node.Halted(ns)
	if why != "" {
		why += ". " + c.app.remedy(peersync.AlarmFork, ns)
	}
	return why
}

// namespaces is the store as the API sees it: what is created there is replicated, what is
// dropped no longer.
type namespaces struct {
	httpapi.Store
	app *App

	mu sync.Mutex // one change at a time, in the store and in the cluster
}

// join lets the cluster have a namespace copy.
func (n *namespaces) join(name string) error {
	ns, err := n.app.store.Namespace(name)
	if err != nil {
		return err
	}
	return n.app.node.AddCopy(newCopy(ns))
}

func (n *namespaces) CreateNamespace(name string, storage store.Storage) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, err := n.app.store.Namespace(name)
	existed := err == nil
	if err := n.app.store.CreateNamespace(name, storage); err != nil {
		return err
	}
	err = n.join(name)
	switch {
	case err == nil, errors.Is(err, p2p.ErrHeld):
		return nil
	case existed:
		return err
	}
	// What is not replicated is not there.
	return errors.Join(err, n.app.store.DropNamespace(name))
}

// DropNamespace ends replication first: a copy is not dropped under a session that reads it.
func (n *namespaces) DropNamespace(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	ns, err := n.app.store.Namespace(name)
	if err != nil {
		return err
	}
	if err := n.app.leave(context.Background(), ns); err != nil && !errors.Is(err, store.ErrClosed) {
		return err
	}
	if err := n.app.node.RemoveCopy(name); err != nil {
		return err
	}
	if err := n.app.store.DropNamespace(name); err != nil {
		return errors.Join(err, n.join(name))
	}
	return nil
}
