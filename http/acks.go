package http

import (
	"errors"
	"strconv"

	"github.com/anabranchdb/anabranch/crdt"
)

const (
	acksParam  = "acks"
	acksHeader = "Anabranch-Acks"
	maxAcks    = 1000
)

func parseAcks(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxAcks {
		return 0, badRequest("acks is a number from 1 to %d", maxAcks)
	}
	return n, nil
}

// acknowledged waits until as many peers as the request asks for have told that they hold what a
// replica had written at the clock, and returns how many have. What was written stays so if they
// are too few. An error is returned when the client has gone.
func (r *request) acknowledged(ns Namespace, replica crdt.ReplicaID, clock crdt.VersionVector) (int, error) {
	c := r.backend.cluster
	if r.acks == 0 || c == nil {
		return 0, nil
	}
	acks := 0
	count := func() bool {
		acks = 0
		for _, p := range c.Sync(ns.Name()) {
			acks += one(p.Clock[replica] >= clock[replica] && p.Clock != nil)
		}
		return acks >= r.acks
	}
	r.handler.asks.ask(c, ns.Name(), "", firstLook)
	_, err := r.waitPeers(ns.Name(), "", count)
	var p *Problem
	if errors.As(err, &p) {
		return acks, nil // shutting down: the write stands
	}
	return acks, err
}
