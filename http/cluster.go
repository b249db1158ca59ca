package http

import (
	"context"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// Cluster is what the API needs of replication. A daemon without networking has none.
type Cluster interface {
	// PeerID is the network identity of this daemon.
	PeerID() string
	// Addresses are all addresses that this daemon listens on, as multiaddrs with the peer id.
	Addresses() []string
	// Peers are the peers that are known and admitted.
	Peers() []Peer
	// AddPeer remembers the address of a peer and dials it in the background. An error means
	// that addr is not an address of a peer.
	AddPeer(addr string) error
	// Sync tells how this daemon stands to every admitted peer that holds the namespace.
	Sync(ns string) []PeerSync
	// Ask has a peer, or all if peer is empty, tell its clock at once: an Answered in Sync that is
	// not before the call tells that it has.
	Ask(ns, peer string)
	// AskRights asks connected peers for rights to amount of a bounded counter, those that hold the
	// replicas given first, until that much was given, all have answered or ctx ends. It returns how
	// much was given, and the clock at which that is here. An error means that the namespace is not
	// replicated at this moment.
	AskRights(ctx context.Context, ns, key string, amount int64, first []crdt.ReplicaID) (given int64, clock crdt.VersionVector, err error)
	// Halted tells why the exchange of the namespace has ended and what becomes of it;
	// it is empty while the exchange goes on.
	Halted(ns string) string
}

// Peer is a peer as GET /v1/peers lists it.
type Peer struct {
	ID        string   `json:"id" doc:"The peer's network identity."`
	Connected bool     `json:"connected"`
	Addresses []string `json:"addresses" doc:"Multiaddrs at which it was seen or configured."`
}

// PeerSync is what is known of a peer's copy of a namespace.
type PeerSync struct {
	ID        string
	Connected bool
	// Clock is the clock that the peer told last; nil while unknown.
	Clock crdt.VersionVector
	// LastExchange is when the peer was last heard on this namespace; zero for never.
	LastExchange time.Time
	// Answered is when the newest Ask was made that the peer has answered: Clock is not older.
	Answered time.Time
}
