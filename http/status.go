package http

import (
	"net/http"
	"strings"
	"time"
)

// Status tells of the daemon.
type Status struct {
	Version       string            `json:"version"`
	PeerID        string            `json:"peer_id" doc:"The daemon's network identity; empty without networking."`
	UptimeSeconds int64             `json:"uptime_seconds"`
	Addresses     []string          `json:"addresses" doc:"Every address that the daemon listens on for peers."`
	Namespaces    []NamespaceStatus `json:"namespaces"`
	DiskBytes     uint64            `json:"disk_bytes"`
}

// NamespaceStatus tells of a namespace copy.
type NamespaceStatus struct {
	Name      string `json:"name"`
	ReplicaID string `json:"replica_id" doc:"Under which this copy writes: 16 hexadecimal digits."`
	Objects   uint64 `json:"objects" doc:"Objects with live content."`
	Entries   uint64 `json:"entries" doc:"Live entries, reset records included."`
	Context   string `json:"context" doc:"The token of what this copy holds."`
	// Unavailable is left out while the copy answers.
	Unavailable string `json:"unavailable,omitempty" doc:"Why this copy answers nothing now, and what ends that; left out while it answers."`
}

func getStatus(r *request) (*reply, error) {
	s := Status{Version: r.handler.version, UptimeSeconds: int64(time.Since(r.handler.started) / time.Second),
		Addresses: []string{}, Namespaces: []NamespaceStatus{}}
	if c := r.backend.cluster; c != nil {
		s.PeerID = c.PeerID()
		s.Addresses = append(s.Addresses, c.Addresses()...)
	}
	for _, info := range r.backend.store.Namespaces() {
		ns, err := r.backend.store.Namespace(info.Name)
		if err != nil || strings.HasPrefix(info.Name, "_") {
			continue // dropped since
		}
		n := NamespaceStatus{Name: info.Name, ReplicaID: ns.Replica().String(), Context: encodeToken(info.Name, ns.Clock())}
		n.Objects, n.Entries = ns.Counts()
		n.Unavailable = unavailable(ns)
		s.Namespaces = append(s.Namespaces, n)
	}
	var err error
	if s.DiskBytes, err = r.backend.store.DiskBytes(); err != nil {
		return nil, err
	}
	return &reply{status: http.StatusOK, body: s}, nil
}

// SyncStatus tells how a namespace copy stands to those of its peers.
type SyncStatus struct {
	Converged bool `json:"converged" doc:"True when every peer that holds the namespace, unreachable ones too, is known to hold exactly what this daemon holds."`
	// Unavailable is left out while the copy answers.
	Unavailable string       `json:"unavailable,omitempty" doc:"Why this copy answers nothing now, and what ends that; left out while it answers. Nothing has converged until then."`
	Halted      string       `json:"halted,omitempty" doc:"Why this daemon has ended the exchange of the namespace; left out while it goes on. The namespace begins anew in a moment."`
	Context     string       `json:"context" doc:"The token of what this daemon holds."`
	Peers       []SyncedPeer `json:"peers"`
}

// SyncedPeer is how this daemon stands to one peer, by the clock that the peer told last.
type SyncedPeer struct {
	ID           string     `json:"id"`
	State        string     `json:"state" enum:"connected,unreachable"`
	MissingHere  *uint64    `json:"missing_here" doc:"Changes that the peer has and this daemon has not; null while unknown."`
	MissingThere *uint64    `json:"missing_there" doc:"Changes that this daemon has and the peer has not; null while unknown."`
	LastExchange *time.Time `json:"last_exchange" doc:"When the peer was last heard on this namespace; null for never."`
}

func getSync(r *request) (*reply, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	s := r.syncStatus(ns)
	return &reply{status: http.StatusOK, body: s, token: s.Context}, nil
}

func (r *request) syncStatus(ns Namespace) SyncStatus {
	var known []PeerSync
	if r.backend.cluster != nil {
		known = r.backend.cluster.Sync(ns.Name())
	}
	clock := ns.Clock()
	s := SyncStatus{Unavailable: unavailable(ns), Context: encodeToken(ns.Name(), clock), Peers: []SyncedPeer{}}
	if r.backend.cluster != nil {
		s.Halted = r.backend.cluster.Halted(ns.Name())
	}
	s.Converged = s.Unavailable == "" && s.Halted == ""
	for _, p := range known {
		peer := SyncedPeer{ID: p.ID, State: "unreachable"}
		if p.Connected {
			peer.State = "connected"
		}
		if !p.LastExchange.IsZero() {
			peer.LastExchange = new(p.LastExchange.UTC())
		}
		if p.Clock != nil {
			peer.MissingHere, peer.MissingThere = new(clock.Missing(p.Clock)), new(p.Clock.Missing(clock))
		}
		s.Converged = s.Converged && p.Clock != nil && *peer.MissingHere == 0 && *peer.MissingThere == 0
		s.Peers = append(s.Peers, peer)
	}
	return s
}

// unavailable says why a copy answers nothing; it is empty while it answers.
func unavailable(ns Namespace) string {
	if err := ns.Err(); err != nil {
		return problemOf(err).Detail
	}
	return ""
}

// Peers lists peers.
type Peers struct {
	Peers []Peer `json:"peers"`
}

// NewPeer is the body of POST to the peers.
type NewPeer struct {
	Addr string `json:"addr" minLength:"1" doc:"A multiaddr that ends in the peer's id." example:"/ip4/192.0.2.7/tcp/7701/p2p/12D3KooW…"`
}

func getPeers(r *request) (*reply, error) {
	list := Peers{Peers: []Peer{}}
	if c := r.backend.cluster; c != nil {
		for _, p := range c.Peers() {
			p.Addresses = append([]string{}, p.Addresses...)
			list.Peers = append(list.Peers, p)
		}
	}
	return &reply{status: http.StatusOK, body: list}, nil
}

func postPeer(r *request) (*reply, error) {
	var p NewPeer
	d := &jsonReader{b: r.body}
	err := d.object(func(name string) (err error) {
		if name != "addr" {
			return d.fail("the member " + quoted(name) + " has no meaning here")
		}
		p.Addr, err = d.str()
		return err
	})
	if err == nil {
		err = d.end()
	}
	switch {
	case err != nil:
		return nil, err
	case p.Addr == "":
		return nil, d.fail("addr is missing")
	case r.backend.cluster == nil:
		return nil, kindForbidden.with("this daemon runs without networking")
	}
	if err := r.backend.cluster.AddPeer(p.Addr); err != nil {
		return nil, badRequest("addr: %v", err)
	}
	return &reply{status: http.StatusAccepted, body: p}, nil
}

// Health is the reply of the probes.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

var healthy = &reply{status: http.StatusOK, body: Health{"ok"}}

func getHealth(*request) (*reply, error) { return healthy, nil }

// getReady needs a store: the checks before it answer 503 while there is none.
func getReady(*request) (*reply, error) { return healthy, nil }
