package p2p

import (
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// The last part of a protocol's name is its version. A node serves every version that it speaks, and opens
// a stream with all of them, the newest first: two nodes speak the newest that both know.

// versions are those that a node speaks, the newest first.
type versions []int

// spoken are those of this program.
var spoken = versions{1}

// of returns the names of a protocol in these versions.
func (v versions) of(p protocol.ID) []protocol.ID {
	var ids []protocol.ID
	for _, version := range v {
		ids = append(ids, protocol.ID(path.Dir(string(p))+"/"+strconv.Itoa(version)))
	}
	return ids
}

// isVersionOf reports whether an id is that of a protocol, in whatever version.
func isVersionOf(id, p protocol.ID) bool { return path.Dir(string(id)) == path.Dir(string(p)) }

// tellVersionsEvery is the least time between two warnings: strangers can cause them.
const tellVersionsEvery = time.Minute

// tellVersions warns when the other side of a connection that was not admitted is a daemon with which
// this one has no version in common.
func (g *gate) tellVersions(c network.Conn) {
	var theirs []protocol.ID
	for _, id := range g.protocolsOf(c.RemotePeer()) {
		if isVersionOf(id, helloProtocol) {
			theirs = append(theirs, id)
		}
	}
	ours := g.versions.of(helloProtocol)
	if len(theirs) == 0 || slices.ContainsFunc(theirs, func(id protocol.ID) bool { return slices.Contains(ours, id) }) {
		return
	}
	g.mu.Lock()
	now := time.Now()
	quiet := now.Sub(g.toldVersions) < tellVersionsEvery
	if !quiet {
		g.toldVersions = now
	}
	g.mu.Unlock()
	if !quiet {
		g.log.Warn("a daemon speaks no version of the protocol that this one speaks: upgrade the older one",
			"peer", c.RemotePeer(), "address", c.RemoteMultiaddr(), "speaks", theirs, "here", ours)
	}
}
