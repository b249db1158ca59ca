package sync

import (
	"errors"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/delta"
)

// MaxMessageBytes bounds every message of an engine or a session; the transport refuses longer
// ones before it allocates for them.
const MaxMessageBytes = 1 << 20

// ProtocolVersion is the version that messages carry. Versions next to it are read too.
const ProtocolVersion = 1

// Config holds the bounds and intervals of an engine and of sessions.
type Config struct {
	// Seed feeds the jitter and the choice among peers. Give every copy another one.
	Seed uint64

	// MaxPeers bounds the peers that are remembered, connected or not.
	MaxPeers int
	// MaxReplicas bounds the components of a clock that a peer may tell.
	MaxReplicas int
	// MaxPendingUnits and MaxPendingBytes bound what waits for its predecessors, and what is
	// handed over and not durable yet.
	MaxPendingUnits int
	MaxPendingBytes int
	// PendingAge is how long a unit may wait.
	PendingAge time.Duration

	// TellInterval is the shortest time between two tellings of a changed clock.
	TellInterval time.Duration
	// GapGrace is how long gossip may take to bring what a peer is known to have.
	GapGrace time.Duration
	// CheckInterval, ± CheckJitter of it, is how often one peer is compared with.
	CheckInterval time.Duration
	CheckJitter   float64
	// RetryMin and RetryMax bound the pause after a pull or an apply that failed.
	RetryMin, RetryMax time.Duration
	// ApplyTimeout is how long an Apply may stay unanswered before its units count as lost.
	ApplyTimeout time.Duration

	// SmallClock is up to how many components a clock has that is asked for as a whole: of a larger one only what differs.
	SmallClock int
	// ClockPage is how many components, with their runs, one message carries.
	ClockPage int
	// FrameBytes is up to how large a frame of gossip is: a unit for which that is too little is announced, and pulled.
	FrameBytes int

	// Window is how many chunks a sender may be ahead of a receiver.
	Window int
	// ChunkBytes is how much of a stream one chunk carries, before it is packed.
	ChunkBytes int
	// LogMaxDots is the number of missing dots above which a pull is served from the state even
	// if the log holds them all.
	LogMaxDots uint64
	// MaxStreamed bounds the entries of one pull.
	MaxStreamed uint64
}

// DefaultConfig returns the configuration of a daemon.
func DefaultConfig() Config {
	return Config{
		MaxPeers:        1024,
		MaxReplicas:     1 << 16,
		MaxPendingUnits: 2 * delta.MaxFrameUnits,
		MaxPendingBytes: 8 << 20,
		PendingAge:      time.Minute,
		TellInterval:    100 * time.Millisecond,
		GapGrace:        200 * time.Millisecond,
		CheckInterval:   10 * time.Second,
		CheckJitter:     0.5,
		RetryMin:        500 * time.Millisecond,
		RetryMax:        30 * time.Second,
		ApplyTimeout:    30 * time.Second,
		SmallClock:      smallClock,
		ClockPage:       pageComponents,
		FrameBytes:      delta.MaxFrameBytes,
		Window:          8,
		ChunkBytes:      maxChunkBytes,
		LogMaxDots:      20_000,
		MaxStreamed:     1 << 28,
	}
}

// Validate reports every value that cannot be worked with.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("sync: %s must be positive", name))
		}
	}
	positive("MaxPeers", c.MaxPeers > 0)
	positive("MaxReplicas", c.MaxReplicas > 0)
	if c.MaxPendingUnits < delta.MaxFrameUnits || c.MaxPendingBytes < delta.MaxFrameBytes {
		errs = append(errs, errors.New("sync: MaxPendingUnits and MaxPendingBytes must have room for a frame"))
	}
	positive("PendingAge", c.PendingAge > 0)
	positive("TellInterval", c.TellInterval > 0)
	positive("GapGrace", c.GapGrace > 0)
	positive("CheckInterval", c.CheckInterval > 0)
	positive("RetryMin", c.RetryMin > 0)
	positive("ApplyTimeout", c.ApplyTimeout > 0)
	positive("LogMaxDots", c.LogMaxDots > 0)
	positive("MaxStreamed", c.MaxStreamed > 0)
	if c.ClockPage < 1 || c.ClockPage > pageComponents {
		errs = append(errs, fmt.Errorf("sync: ClockPage must be in [1, %d]", pageComponents))
	}
	if c.FrameBytes < 1 || c.FrameBytes > delta.MaxFrameBytes {
		errs = append(errs, fmt.Errorf("sync: FrameBytes must be in [1, %d]", delta.MaxFrameBytes))
	}
	if c.CheckJitter < 0 || c.CheckJitter >= 1 {
		errs = append(errs, errors.New("sync: CheckJitter must be in [0, 1)"))
	}
	if c.RetryMax < c.RetryMin {
		errs = append(errs, errors.New("sync: RetryMax must not be below RetryMin"))
	}
	if c.Window < 2 || c.Window > maxWindow {
		errs = append(errs, fmt.Errorf("sync: Window must be in [2, %d]", maxWindow))
	}
	if c.ChunkBytes < 1 || c.ChunkBytes > maxChunkBytes {
		errs = append(errs, fmt.Errorf("sync: ChunkBytes must be in [1, %d]", maxChunkBytes))
	}
	return errors.Join(errs...)
}
