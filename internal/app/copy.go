package app

import (
	"github.com/anabranchdb/anabranch/internal/replica"
	"github.com/anabranchdb/anabranch/store"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// nsCopy is a namespace copy as the cluster sees it.
type nsCopy struct {
	*replica.Copy
	ns *store.Namespace
}

var _ p2p.Copy = nsCopy{}

func newCopy(ns *store.Namespace) nsCopy { return nsCopy{replica.New(ns), ns} }

// Subscribe passes on own units only: those of others are spread by whoever wrote them.
func (c nsCopy) Subscribe(f func(p2p.Commit)) (cancel func()) {
	return c.ns.Subscribe(func(commit store.Commit) {
		f(p2p.Commit{Status: replica.StatusOf(commit.Status), Units: replica.OwnUnits(commit), Local: commit.Local})
	})
}
