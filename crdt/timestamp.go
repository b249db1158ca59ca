package crdt

import "time"

// Timestamp is a hybrid logical clock reading (Kulkarni et al., "Logical Physical Clocks",
// OPODIS 2014): milliseconds since the Unix epoch in the upper 48 bits, a logical counter in
// the lower 16. Timestamps break ties between concurrent writes and decide nothing else.
type Timestamp uint64

const logicalBits = 16

// TimestampOf returns the reading for wall time t with a logical counter of 0. Times before
// the epoch read as the epoch.
func TimestampOf(t time.Time) Timestamp {
	ms := t.UnixMilli()
	if ms < 0 {
		ms = 0
	}
	if ms >= 1<<48 {
		ms = 1<<48 - 1
	}
	return Timestamp(uint64(ms) << logicalBits)
}

// Time returns the wall part.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t >> logicalBits)) }

// HLC is the hybrid logical clock of one replica. It holds no source of time: the wall clock
// is an argument of every call. The zero value is ready; it is not safe for concurrent use.
type HLC struct {
	// Last is the greatest reading issued or taken over. It is persisted with every commit.
	Last Timestamp
	// MaxAhead bounds how far ahead of the wall a reading may be and still move this clock;
	// 0 is no bound.
	MaxAhead time.Duration
}

// Next issues a reading greater than every reading issued before, unless the own clock stands
// more than MaxAhead in front of the wall: then it falls back to the wall.
func (c *HLC) Next(wall time.Time) Timestamp {
	now := TimestampOf(wall)
	if now > c.Last || c.ahead(c.Last, wall) {
		c.Last = now
	} else {
		c.Last++
	}
	return c.Last
}

// Observe takes over a foreign reading so that later own readings are greater. It reports
// false, and leaves the clock alone, when t is more than MaxAhead in front of the wall. When the own
// clock stands as far in front, after the wall was set back, it falls back to t.
func (c *HLC) Observe(t Timestamp, wall time.Time) bool {
	if c.ahead(t, wall) {
		return false
	}
	if t > c.Last || c.ahead(c.Last, wall) {
		c.Last = t
	}
	return true
}

func (c *HLC) ahead(t Timestamp, wall time.Time) bool {
	return c.MaxAhead > 0 && t > TimestampOf(wall.Add(c.MaxAhead))|(1<<logicalBits-1)
}
