package p2p

import (
	"context"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// Copy is a namespace copy, as a node needs it. Its methods may be called from several goroutines
// at once.
type Copy interface {
	// Name returns the name of the namespace: the same at every member, 1 to 255 bytes.
	Name() string
	// Status returns what is durable now.
	Status() peersync.Status
	// Apply applies units in order and drops what is covered. They are durable when it returns
	// nil. It is never called twice at once.
	Apply(ctx context.Context, units []delta.Unit, runs delta.Runs) error
	// Source opens a snapshot for a peer that pulls. The session closes it, and uses it no longer
	// than ctx lasts.
	Source(ctx context.Context) (peersync.Source, error)
	// Sink returns the side of the copy that one pull of ours writes to, while ctx lasts.
	Sink(ctx context.Context) peersync.Sink
	// Give gives rights to at most amount of a bounded counter to another replica, as many as this one
	// has, and returns how many and where in this replica's history; nothing and the zero Dot if it
	// has none. They are durable when it returns.
	Give(ctx context.Context, key string, to crdt.ReplicaID, amount int64) (given int64, at crdt.Dot, err error)
	// Held tells that a peer holds the copy's own units up to seq. It does not block.
	Held(seq uint64)
	// Subscribe has f called for every commit that is durable, in the order of commits, until
	// cancel has returned. f does not block and does not call the copy.
	Subscribe(f func(Commit)) (cancel func())
}

// Commit is what a copy tells of one group commit. Its slices and maps are shared and are not
// written any more, by either side.
type Commit struct {
	// Status is that of the copy with this commit applied.
	Status peersync.Status
	// Units are those that were written here; nil for what came from others.
	Units []delta.Unit
	// Local says that the commit was written here, and that Units are to be published.
	Local bool
}

// maxNameBytes bounds the name of a namespace on the wire.
const maxNameBytes = 255

// Alarm is something that an operator should know.
type Alarm struct {
	Namespace string
	Kind      peersync.AlarmKind
	Peer      string // who showed it, or empty
	Text      string
}
