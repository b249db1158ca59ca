package sim

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	peersync "github.com/anabranchdb/anabranch/sync"
)

// Config says how large a world is and how badly it treats its replicas. What happens in it is a
// plan, which follows from the configuration alone.
type Config struct {
	Seed             uint64
	Nodes            int
	Steps            Steps // how often each kind of step happens
	LossPercent      int   // of gossip messages
	DuplicatePercent int
	CutPercent       int // of sessions
	// LargeEntries, MaxLogBytes, LogMaxDots and ChunkBytes are small, so that redo records,
	// truncated logs, pulls from the state, and pulls of half the log are the rule.
	LargeEntries int
	MaxLogBytes  uint64
	LogMaxDots   uint64
	ChunkBytes   int
	// FrameBytes is up to how large a frame of gossip is, 0 for as large as a daemon's: larger units are announced.
	FrameBytes int
	// ClockPage is how many components one message carries, 0 for as many as a daemon's. If it is set, all clocks are compared part
	// by part.
	ClockPage int
	// Far is how many seqs the first transaction of one replica takes: its live dots then have gaps, are a tree of
	// more than a leaf, or fill more than a chunk.
	Far int
	// Slow is how many times as long messages of sessions take, 0 for once: much happens in between.
	Slow int
	// Memory has the namespace live in memory: a run that ends takes its replica along.
	Memory bool
	// Third has somebody who knows neither side of a fork meet the rolled-back side first. Then two histories stand
	// under one id, and all that is promised is that it is told, and that replication goes on.
	Third bool
	// Only, if not nil, are the steps that happen, by their names: the others are
	// left out. It makes small cases of large ones.
	Only []string
}

// Steps counts steps by their kind. In JSON it is an object with the names of those that happen, so that
// a configuration that was kept means the same when there are more kinds.
type Steps [kinds]int

// MarshalJSON implements json.Marshaler.
func (s Steps) MarshalJSON() ([]byte, error) {
	named := map[string]int{}
	for k, n := range s {
		if n > 0 {
			named[kind(k).String()] = n
		}
	}
	return json.Marshal(named)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Steps) UnmarshalJSON(b []byte) error {
	var named map[string]int
	if err := json.Unmarshal(b, &named); err != nil {
		return err
	}
	*s = Steps{}
	for name, n := range named {
		k := slices.Index(kindNames[:], name)
		if k < 0 {
			return fmt.Errorf("sim: no kind of step is called %q", name)
		}
		s[k] = n
	}
	return nil
}

// kind is what a step does.
type kind int

// The kinds of steps.
const (
	write     kind = iota // one transaction
	call                  // one of a client that moves between nodes with its token
	partition             // the nodes fall into two sides, or come together
	oneWay                // what one node says another does not hear, for a while
	flap                  // a node is cut off and back many times
	restart               // a clean stop, and a start
	crash                 // the power goes at one of the next writes, and comes back
	rot                   // a disk tells of damage
	restore               // a disk is replaced by an old copy of itself
	clone                 // a copy of a disk becomes a node of its own
	join                  // an empty node comes
	leave                 // a node goes and does not return
	full                  // a disk is full, for a while
	skew                  // a wall clock jumps, by up to years
	months                // a node is away for months
	fork                  // a disk is rolled back unnoticed, and written on
	retire                // an operator says that a replica id never returns
	expire                // a transaction of writes with deadlines
	present               // a node announces or withdraws something, in memory
	drift                 // a wall clock is a few minutes off
	crowd                 // several writers at once
	kinds
)

var kindNames = [kinds]string{"write", "call", "partition", "oneWay", "flap", "restart", "crash", "rot", "restore", "clone",
	"join", "leave", "full", "skew", "months", "fork", "retire", "expire", "present", "drift", "crowd"}

// String returns the name.
func (k kind) String() string { return kindNames[k] }

const (
	clients  = 2
	maxNodes = 6
)

// stream is a source of randomness of its own for everything that has a name: a new kind of step
// changes nothing of the others.
func stream(seed uint64, name string, number int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, name, ".", number)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// most is how often a kind of trouble happens at most.
var most = Steps{partition: 5, oneWay: 4, flap: 3, restart: 8, crash: 8, rot: 4, restore: 2, clone: 1, join: 2, leave: 1, full: 3, skew: 4, months: 1, fork: 2, retire: 4, expire: 20, present: 20, drift: 6, crowd: 10}

// ConfigOf draws a world from a seed. Each world has some kinds of trouble and not others: all at
// once hide each other (Groce et al., "Swarm Testing", ISSTA 2012).
func ConfigOf(seed uint64) Config {
	rng := stream(seed, "world", 0)
	cfg := Config{
		Seed: seed, Nodes: 2 + rng.IntN(3),
		LossPercent: rng.IntN(60), DuplicatePercent: rng.IntN(40), CutPercent: rng.IntN(60),
		LargeEntries: []int{2, 8, 4096}[rng.IntN(3)],
		MaxLogBytes:  []uint64{1, 500, 1 << 20}[rng.IntN(3)],
		LogMaxDots:   []uint64{1, 30, 10_000}[rng.IntN(3)],
		ChunkBytes:   []int{100, 1000, 256 << 10}[rng.IntN(3)],
	}
	cfg.Steps[write], cfg.Steps[call] = 30+rng.IntN(50), rng.IntN(20)
	for k, n := range most {
		rng := stream(seed, "number of "+kind(k).String(), 0)
		if n = rng.IntN(n + 1); rng.IntN(3) == 0 || kind(k) <= restart {
			cfg.Steps[k] += n
		}
	}
	if stream(seed, "slow", 0).IntN(3) == 0 {
		cfg.Slow = 10
	}
	if rng := stream(seed, "frames", 0); rng.IntN(6) == 0 {
		cfg.FrameBytes = []int{1, 200, 1000}[rng.IntN(3)]
	}
	if rng := stream(seed, "clock page", 0); rng.IntN(10) == 0 {
		cfg.ClockPage = 1 + rng.IntN(2)
	}
	if rng := stream(seed, "far", 0); rng.IntN(12) == 0 {
		cfg.Far = []int{1000, 15_400, 16_300, 65_500}[rng.IntN(4)]
	}
	if cfg.Memory = stream(seed, "memory", 0).IntN(8) == 0; cfg.Memory {
		cfg.Steps[present] += 10
		for _, k := range []kind{rot, restore, clone, full, fork} {
			cfg.Steps[k] = 0 // of disks
		}
	} else {
		cfg.Steps[present] = 0
	}
	if cfg.Steps[crash] > 0 || cfg.Steps[fork] > 0 {
		// The reference reads there what was written and not answered, and healing what was added to counters.
		cfg.MaxLogBytes = 1 << 20
	}
	return cfg
}

// timed reports whether anything has a deadline.
func (c Config) timed() bool { return c.Steps[expire]+c.Steps[present] > 0 }

// step is one thing that happens. Its own source of randomness keeps it as it is when others are left out.
type step struct {
	kind   kind
	number int // among those of its kind
	at     time.Duration
	rng    *rand.Rand
}

// name tells the step from all others of a plan.
func (s step) name() string { return fmt.Sprint(s.kind, ".", s.number) }

func (s step) String() string { return fmt.Sprintf("%v %s", s.at, s.name()) }

// span is the virtual time until the heal.
func (c Config) span() time.Duration {
	return time.Duration(c.Steps[write]+c.Steps[call]+c.Steps[expire]+c.Steps[present]) * 200 * time.Millisecond
}

// plan draws what will happen.
func (c Config) plan() []step {
	var steps []step
	for k, n := range c.Steps {
		for i := range n {
			s := step{kind: kind(k), number: i}
			if c.Only != nil && !slices.Contains(c.Only, s.name()) {
				continue
			}
			s.rng = stream(c.Seed, s.kind.String(), i)
			s.at = time.Duration(s.rng.Int64N(int64(c.span())))
			steps = append(steps, s)
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	return steps
}

// sync returns the configuration of engines and sessions.
func (c Config) sync() peersync.Config {
	cfg := peersync.DefaultConfig()
	cfg.LogMaxDots, cfg.ChunkBytes, cfg.Window = c.LogMaxDots, c.ChunkBytes, 2
	if c.ClockPage > 0 {
		cfg.ClockPage, cfg.SmallClock = c.ClockPage, 0
	}
	if c.FrameBytes > 0 {
		cfg.FrameBytes = c.FrameBytes
	}
	return cfg
}

// Shrink looks for a smaller plan that still breaks something: it leaves out steps, larger parts
// first, as long as fails says so, and tries at most tries times.
func Shrink(c Config, tries int, fails func(Config) bool) Config {
	only := c.Only
	if only == nil {
		only = []string{}
		for _, s := range c.plan() {
			only = append(only, s.name())
		}
	}
	for size := max(1, len(only)/2); size >= 1; size /= 2 {
		for at := 0; at < len(only); {
			if tries--; tries < 0 {
				c.Only = only
				return c
			}
			less := append([]string{}, only[:at]...) // never nil: that would be all steps
			less = append(less, only[min(at+size, len(only)):]...)
			try := c
			if try.Only = less; fails(try) {
				only = less
				continue
			}
			at += size
		}
	}
	c.Only = only
	return c
}
