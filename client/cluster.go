package client

import (
	"context"
	"net/http"
	"time"
)

// Status tells of a daemon.
type Status struct {
	Version    string            `json:"version"`
	PeerID     string            `json:"peer_id"` // empty without networking
	Uptime     int64             `json:"uptime_seconds"`
	Addresses  []string          `json:"addresses"` // where it listens for other daemons
	Namespaces []NamespaceStatus `json:"namespaces"`
	DiskBytes  uint64            `json:"disk_bytes"`
}

// NamespaceStatus tells of a daemon's copy of a namespace.
type NamespaceStatus struct {
	Name      string `json:"name"`
	ReplicaID string `json:"replica_id"`
	Objects   uint64 `json:"objects"`
	Entries   uint64 `json:"entries"`
	Context   string `json:"context"`
	// Unavailable says why the copy answers nothing now; it is empty while it does.
	Unavailable string `json:"unavailable"`
}

// Status returns who the daemon is and what it holds.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.read(ctx, Request{Method: http.MethodGet, Path: []string{"v1", "status"}}, &s)
	return s, err
}

// Ready returns nil when the daemon is ready to serve.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.Do(ctx, Request{Method: http.MethodGet, Path: []string{"readyz"}})
	return err
}

// Peer is another daemon of the cluster.
type Peer struct {
	ID        string   `json:"id"`
	Connected bool     `json:"connected"`
	Addresses []string `json:"addresses"`
}

// Peers lists the daemons that this one knows.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	var reply struct {
		Peers []Peer `json:"peers"`
	}
	err := c.read(ctx, Request{Method: http.MethodGet, Path: []string{"v1", "peers"}}, &reply)
	return reply.Peers, err
}

// AddPeer has the daemon connect to another one, now and whenever the connection is lost. addr is a
// multiaddr, as Status.Addresses has them. It returns before they are connected.
func (c *Client) AddPeer(ctx context.Context, addr string) error {
	body, err := encode(map[string]string{"addr": addr})
	if err != nil {
		return err
	}
	_, err = c.Do(ctx, Request{Method: http.MethodPost, Path: []string{"v1", "peers"}, Body: body, Harmless: true})
	return err
}

// SyncStatus tells how a daemon's copy of a namespace stands to those of its peers.
type SyncStatus struct {
	// Converged is set when all peers that hold the namespace, unreachable ones too, are known to
	// hold what this daemon holds.
	Converged bool `json:"converged"`
	// Reached is set by a Barrier that was reached.
	Reached bool   `json:"-"`
	Context string `json:"context"`
	// Unavailable says why the copy answers nothing now, and Halted why it exchanges nothing any
	// more; both are empty while all is well.
	Unavailable string       `json:"unavailable"`
	Halted      string       `json:"halted"`
	Peers       []SyncedPeer `json:"peers"`
}

// SyncedPeer is how the copy stands to that of one peer.
type SyncedPeer struct {
	ID    string `json:"id"`
	State string `json:"state"` // connected or unreachable
	// MissingHere and MissingThere count changes, by what the peer told last; nil while unknown.
	MissingHere  *uint64    `json:"missing_here"`
	MissingThere *uint64    `json:"missing_there"`
	LastExchange *time.Time `json:"last_exchange"` // nil for never
}

// Sync returns how the namespace stands to the copies of the peers.
func (ns *Namespace) Sync(ctx context.Context) (SyncStatus, error) {
	var s SyncStatus
	err := ns.c.read(ctx, Request{Method: http.MethodGet, Path: []string{"v1", "ns", ns.name, "sync"}}, &s)
	return s, err
}

// Direction is what a barrier waits for.
type Direction string

// The directions.
const (
	Pull Direction = "pull" // until this daemon has what the peers hold now
	Push Direction = "push" // until the peers have what this daemon holds now
	Both Direction = "both"
)

// Barrier waits as long as wait, at most a minute, until this daemon and a peer, or all that hold the
// namespace for "*", have each other's changes. SyncStatus.Reached tells whether it was reached.
func (ns *Namespace) Barrier(ctx context.Context, d Direction, peer string, wait time.Duration) (SyncStatus, error) {
	var s SyncStatus
	body, err := encode(map[string]string{"direction": string(d), "peer": peer})
	if err != nil {
		return s, err
	}
	reply, err := ns.c.Do(ctx, Request{Method: http.MethodPost, Path: []string{"v1", "ns", ns.name, "sync"}, Body: body, Wait: wait, Harmless: true})
	if err != nil {
		return s, err
	}
	s.Reached = reply.Status == http.StatusOK
	return s, decode(reply.Body, &s)
}
