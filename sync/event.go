package sync

import (
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// PeerID names another daemon to the transport: for libp2p its peer id. It is no replica id.
type PeerID string

// Status is what is durable in the local copy, at one instant.
type Status struct {
	Replica crdt.ReplicaID
	Clock   crdt.VersionVector
	// Runs holds the latest run that is known of every replica, this one included.
	Runs delta.Runs
	// Digest is that of all live entries at Clock.
	Digest delta.Digest
	// OwnRuns holds every run of Replica, in the order in which they began; very old ones may be
	// left out. Two runs may have the same first seq when the earlier one issued nothing.
	OwnRuns []delta.Run
}

// Event is what happened. It is one of PeerUp, PeerDown, Message, Gossip, Committed,
// ApplyFailed, Pulled, Served, Ask, Refreshed and Tick.
type Event interface{ event() }

type (
	// PeerUp says that messages can be sent to a peer that holds the namespace, over a fresh
	// ordered stream. It comes once per connected peer, not per connection.
	PeerUp struct{ Peer PeerID }

	// PeerDown says that the stream to the peer is gone.
	PeerDown struct{ Peer PeerID }

	// Message is what the peer's engine sent us with Send.
	Message struct {
		Peer PeerID
		Data []byte
	}

	// Gossip is what some engine published. Peer is who handed it to us.
	Gossip struct {
		Peer PeerID
		Data []byte
	}

	// Committed says that something became durable in the local copy. Status is at or after
	// it; statuses may come out of order, the newest counts. Several commits may be one event.
	Committed struct {
		Status Status
		// Units are the local units that it is about, in the order of their commits; nil for
		// what came from others.
		Units []delta.Unit
		// Local says that Units were written here and are to be published.
		Local bool
	}

	// ApplyFailed says that an Apply was not carried out, or not in full, now or ever. Err is what
	// the copy returned, From that of the Apply. For delta.ErrMalformed From is to blame, and for
	// delta.ErrGap nobody; after any other error the engine pauses. It gets what is missing by a pull.
	ApplyFailed struct {
		Err  error
		From PeerID
	}

	// Pulled says that the pull which was asked for has ended: Err is nil, or what the session,
	// the sink or the stream returned.
	Pulled struct {
		Peer PeerID
		Err  error
	}

	// Served says that a session which a peer pulled from us ended with an error.
	Served struct {
		Peer PeerID
		Err  error
	}

	// Ask makes the engine ask the peer for its clock at once; an empty Peer means all. Once it
	// has answered, Answered of its PeerStatus is the time of this event or a later one.
	Ask struct{ Peer PeerID }

	// Refreshed answers Refresh: the status as it was at some instant after it.
	Refreshed struct{ Status Status }

	// Tick says that time has passed.
	Tick struct{}
)

func (PeerUp) event()      {}
func (PeerDown) event()    {}
func (Message) event()     {}
func (Gossip) event()      {}
func (Committed) event()   {}
func (ApplyFailed) event() {}
func (Pulled) event()      {}
func (Served) event()      {}
func (Ask) event()         {}
func (Refreshed) event()   {}
func (Tick) event()        {}

// Action is what the driver is to do. It is one of Publish, Send, Apply, Pull, CancelPull,
// Refresh, Held, Alarm and Disconnect.
type Action interface{ action() }

type (
	// Publish spreads Data to all copies of the namespace; it may be lost.
	Publish struct{ Data []byte }

	// Send hands Data to the peer's engine. If it cannot be queued the stream is broken and the
	// driver reports PeerDown: a message is never dropped in the middle of a stream.
	Send struct {
		Peer PeerID
		Data []byte
	}

	// Apply hands units to the local copy, in this order, together with the runs that issued
	// them: one run for each origin. They came from one peer. Applies are carried out in the
	// order in which they are returned. Committed follows, or ApplyFailed.
	Apply struct {
		Units []delta.Unit
		Runs  delta.Runs
		From  PeerID
	}

	// Pull starts a repair session with the peer: NewPull, or NewPullUnit when Unit is not
	// zero. Pulled follows. There is never a second one before that.
	Pull struct {
		Peer PeerID
		Unit UnitRef
	}

	// CancelPull ends the running pull early. Pulled follows all the same.
	CancelPull struct{}

	// Refresh asks for the present status; Refreshed follows.
	Refresh struct{}

	// Held tells that a peer holds the copy's own units up to Seq, as this copy issued them.
	Held struct{ Seq uint64 }

	// Alarm is for the operator: an error log and a metric by Kind.
	Alarm struct {
		Kind AlarmKind
		Peer PeerID // who showed it, or empty
		Text string
	}

	// Disconnect ends the connection with a peer that sent what no correct peer sends.
	Disconnect struct {
		Peer   PeerID
		Reason error
	}
)

func (Publish) action()    {}
func (Send) action()       {}
func (Apply) action()      {}
func (Pull) action()       {}
func (CancelPull) action() {}
func (Refresh) action()    {}
func (Held) action()       {}
func (Alarm) action()      {}
func (Disconnect) action() {}

// UnitRef names one unit: its origin and first seq. The zero value names none.
type UnitRef struct {
	Origin crdt.ReplicaID
	First  uint64
}

// AlarmKind is a label: few, stable values.
type AlarmKind string

// The alarms.
const (
	// AlarmFork: this copy's replica id is used twice. The engine has stopped.
	AlarmFork AlarmKind = "fork"
	// AlarmForeignFork: another copy's replica id is used twice. Delivery goes on.
	AlarmForeignFork AlarmKind = "foreign-fork"
	// AlarmMismatch: a peer with the same clock holds other entries.
	AlarmMismatch AlarmKind = "digest-mismatch"
)

// PeerStatus is what is known of a peer.
type PeerStatus struct {
	ID        PeerID
	Connected bool
	// Clock is the clock that was heard last, nil while none was. It is durable at the peer.
	Clock crdt.VersionVector
	// LastExchange is when it told of its clock last, if only that nothing has changed; zero
	// when it never did.
	LastExchange time.Time
	// Answered is when the newest Ask was made that it has answered: Clock is not older.
	Answered time.Time
}
