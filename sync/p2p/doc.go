// Package p2p runs the engine and the sessions of package sync over libp2p: it owns the host, the
// gate that admits members, gossip, the streams between peers, discovery and redialling.
//
// A [Node] is one daemon in the network. Namespace copies are added to it as [Copy] values; each
// gets an engine and a goroutine that feeds it and carries out what it asks for.
//
// # Admission
//
// A cluster is closed. Whoever connects has the transport's own authentication (TLS or Noise) and
// nothing else; on every connection the side that dialled opens one stream of
// "/anabranch/hello/1", on which both sides prove that they know the cluster key, bound to both
// peer ids and to fresh nonces of both. Until that has happened no other stream is served, gossip
// does not know the peer, and after five seconds the connection is closed. What a stranger can
// learn: that something speaks libp2p here, its public key, the names of its protocols and the
// address that was dialled. Listen addresses, other peers, namespaces and data are told to members
// only. On the LAN, mDNS shows a service name that is derived from the cluster key, a random
// instance name, the peer id and the listen addresses.
//
// Members are trusted: they may write anything and remove anything.
//
// # Streams
//
// Between two members there is one control stream, opened by the peer with the smaller id: what
// each side holds, heartbeats, and the messages of all engines. It is never thinned out: when a
// queue is full the stream is broken, and both sides start over. Repairs are streams of their own,
// "/anabranch/pull/1", opened by the side that is behind. Questions about rights to bounded counters are
// on "/anabranch/rights/1". Gossip is gossipsub on
// "/anabranch/gossip/1", unsigned (the neighbour is authenticated, and members are trusted), on one
// topic per namespace whose name is derived from the cluster key; it is lossy and may be.
//
// # Connections
//
// Every known peer that is away is dialled, for ever, with pauses of about a second for members
// that were here lately and ten for others. When both sides dial at once there are two connections
// for a few seconds. A member of which nothing was heard for nine seconds, on any stream, is
// disconnected, so that a silent cut is noticed.
//
// # Names
//
// A peer id names a daemon in the network; a replica id names a copy of a namespace. They are
// never mixed. See docs/glossary for the other words.
package p2p
