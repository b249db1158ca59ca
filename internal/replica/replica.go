package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// Copy is a namespace copy as the sync engine sees it.
type Copy struct {
	ns *store.Namespace
}

// New binds a namespace copy.
func New(ns *store.Namespace) *Copy { return &Copy{ns: ns} }

// Name returns the name of the namespace.
func (c *Copy) Name() string { return c.ns.Name() }

// Status returns what is durable now.
func (c *Copy) Status() peersync.Status { return StatusOf(c.ns.Status()) }

// StatusOf converts the status of a copy. Clock and runs are shared and must not be written.
func StatusOf(s store.Status) peersync.Status {
	return peersync.Status{Replica: s.Replica, Clock: s.Clock, Runs: s.Runs, Digest: s.Digest, OwnRuns: s.OwnRuns}
}

// OwnUnits returns the units of a commit that this replica wrote.
func OwnUnits(c store.Commit) []delta.Unit {
	if !c.Local {
		return nil
	}
	var own []delta.Unit
	for _, u := range c.Units {
		if u.Origin == c.Status.Replica {
			own = append(own, u)
		}
	}
	return own
}

// Apply applies units in order and drops what is covered.
func (c *Copy) Apply(ctx context.Context, units []delta.Unit, runs delta.Runs) error {
	return fork(c.ns.Apply(ctx, units, runs))
}

// Source opens a snapshot for a peer that pulls.
func (c *Copy) Source(ctx context.Context) (peersync.Source, error) {
	s, err := c.ns.Source(ctx)
	if err != nil {
		return nil, err
	}
	return &source{Source: s, status: s.Status()}, nil
}

// Held tells that a peer holds the own units up to seq.
func (c *Copy) Held(seq uint64) { c.ns.Held(seq) }

// Sink returns the side of the copy that a pull writes to. ctx ends its waits.
func (c *Copy) Sink(ctx context.Context) peersync.Sink { return &sink{ctx: ctx, ns: c.ns} }

// source is a store.Source; what sync asks for in single methods is one status there.
type source struct {
	*store.Source
	status store.Status
}

func (s *source) Replica() crdt.ReplicaID   { return s.status.Replica }
func (s *source) OwnRuns() []delta.Run      { return s.status.OwnRuns }
func (s *source) Clock() crdt.VersionVector { return s.status.Clock }
func (s *source) Runs() delta.Runs          { return s.status.Runs }
func (s *source) Digest() delta.Digest      { return s.status.Digest }

type sink struct {
	ctx context.Context
	ns  *store.Namespace
}

// Begin returns the state and the live dots of one instant.
func (s *sink) Begin() (peersync.SinkState, error) {
	status, live, err := s.ns.Live(s.ctx)
	if err != nil {
		return peersync.SinkState{}, err
	}
	return peersync.SinkState{Status: StatusOf(status), Live: live}, nil
}

func (s *sink) Cached(to crdt.VersionVector, runs delta.Runs, past delta.Past) (*delta.DotSet, error) {
	return s.ns.StagedOf(to, runs, past)
}

func (s *sink) Stage(es []crdt.Entry) error { return s.ns.Stage(es) }

func (s *sink) ApplyUnits(us []delta.Unit, runs delta.Runs) error {
	return fork(s.ns.Apply(s.ctx, us, runs))
}

func (s *sink) Flip(f peersync.Flip) error {
	return fork(s.ns.Join(s.ctx, store.StateJoin{
		From: f.From, To: f.To, Runs: f.Runs, Past: f.Past, Streamed: f.Streamed, Killed: f.Killed,
	}))
}

// fork names the error that the engine knows.
func fork(err error) error {
	if errors.Is(err, store.ErrFork) {
		return fmt.Errorf("%w: %w", peersync.ErrFork, err)
	}
	return err
}

// Give gives rights to at most amount of a bounded counter to another replica, as many as there are
// here, and returns how many and where in this replica's history; nothing and the zero Dot if there
// are none.
func (c *Copy) Give(ctx context.Context, key string, to crdt.ReplicaID, amount int64) (given int64, at crdt.Dot, err error) {
	path := crdt.Object(crdt.Bounded, key).Leaf(crdt.Bounded)
	receipt, err := c.ns.Commit(ctx, func(tx *store.Tx) (err error) {
		given, err = tx.Give(path, to, amount)
		return err
	})
	if err != nil || given == 0 {
		return 0, crdt.Dot{}, err
	}
	self := c.ns.Replica()
	return given, crdt.Dot{Replica: self, Seq: receipt.Clock[self]}, nil
}
