package p2p

import "sync/atomic"

// Stats counts what a node has seen since its start. All counts only grow.
type Stats struct {
	Admissions     uint64 // handshakes that both sides passed
	Foreign        uint64 // handshakes with peers of another cluster, or of none
	UnprovenClosed uint64 // connections closed because no handshake came in time
	StreamsRefused uint64 // streams of peers that were not admitted
	Malformed      uint64 // messages that break the protocol; their senders are disconnected
	DeadPeers      uint64 // members given up because nothing was heard of them
	LinkOverflows  uint64 // control streams broken because a queue was full

	Dials        uint64 // attempts, answered or not
	DialFailures uint64
	MDNSStarts   uint64 // times that the mDNS service came up
	MDNSFound    uint64 // peers that mDNS reported

	GossipPublished uint64 // frames
	GossipReceived  uint64
	GossipDropped   uint64 // frames not published or not handled because too much was under way
	GossipRestarts  uint64 // times that the gossip streams with a member were made anew
	CommitOverflows uint64 // times that commits came faster than they could be handled

	Pulls         uint64 // repair sessions begun here
	PullFailures  uint64
	Serves        uint64 // repair sessions served
	ServeFailures uint64
	ServesRefused uint64 // repair sessions refused because enough were running
	RightsAsked   uint64 // questions about rights that were put to peers
	RightsRefused uint64 // questions of peers refused because they were too many
	ApplyFailures uint64
	Alarms        uint64
}

type counters struct {
	admissions, foreign, unprovenClosed, streamsRefused, malformed, deadPeers, linkOverflows atomic.Uint64

	dials, dialFailures, mdnsStarts, mdnsFound atomic.Uint64

	gossipPublished, gossipReceived, gossipDropped, gossipRestarts, commitOverflows atomic.Uint64

	pulls, pullFailures, serves, serveFailures, servesRefused, rightsAsked, rightsRefused, applyFailures, alarms atomic.Uint64
}

// Stats returns the counters as they are now.
func (n *Node) Stats() Stats {
	c := &n.stats
	return Stats{
		Admissions:      c.admissions.Load(),
		Foreign:         c.foreign.Load(),
		UnprovenClosed:  c.unprovenClosed.Load(),
		StreamsRefused:  c.streamsRefused.Load(),
		Malformed:       c.malformed.Load(),
		DeadPeers:       c.deadPeers.Load(),
		LinkOverflows:   c.linkOverflows.Load(),
		Dials:           c.dials.Load(),
		DialFailures:    c.dialFailures.Load(),
		MDNSStarts:      c.mdnsStarts.Load(),
		MDNSFound:       c.mdnsFound.Load(),
		GossipPublished: c.gossipPublished.Load(),
		GossipReceived:  c.gossipReceived.Load(),
		GossipDropped:   c.gossipDropped.Load(),
		GossipRestarts:  c.gossipRestarts.Load(),
		CommitOverflows: c.commitOverflows.Load(),
		Pulls:           c.pulls.Load(),
		PullFailures:    c.pullFailures.Load(),
		Serves:          c.serves.Load(),
		ServeFailures:   c.serveFailures.Load(),
		ServesRefused:   c.servesRefused.Load(),
		RightsAsked:     c.rightsAsked.Load(),
		RightsRefused:   c.rightsRefused.Load(),
		ApplyFailures:   c.applyFailures.Load(),
		Alarms:          c.alarms.Load(),
	}
}
