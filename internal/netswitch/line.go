package netswitch

import (
	"math/rand/v2"
	"time"
)

// Quality is what one direction between two ports does to frames. The zero value is a good cable.
type Quality struct {
	Cut                      bool    // nothing gets through, and nobody is told
	Loss, Duplicate, Corrupt float64 // the share of frames, 0 to 1
	// Delay is how late a frame comes, and Jitter how much later it may be: frames overtake each other.
	Delay, Jitter time.Duration
	// Rate is in bytes a second, 0 for no limit. What would wait longer than maxQueue is dropped.
	Rate int
}

// maxQueue is how long a frame waits for its turn on a line with a rate.
const maxQueue = 500 * time.Millisecond

// ethernetHeader is left alone by Corrupt: a damaged address would only be a loss.
const ethernetHeader = 14

// Counts are what a line has done to frames.
type Counts struct{ Passed, Cut, Lost, Queue, Duplicated, Corrupted uint64 }

// line is one direction between two ports.
type line struct {
	Quality
	counts Counts
	free   time.Time // when the last frame has left, at Rate
}

// pass decides on a frame: when its copies arrive, none if it is lost, and whether they are damaged.
func (l *line) pass(now time.Time, bytes int, random *rand.Rand) (at []time.Time, corrupt bool) {
	if l.Cut {
		l.counts.Cut++
		return nil, false
	}
	if random.Float64() < l.Loss {
		l.counts.Lost++
		return nil, false
	}
	leaves := now
	if l.Rate > 0 {
		if l.free.After(now) {
			leaves = l.free
		}
		if leaves.Sub(now) > maxQueue {
			l.counts.Queue++
			return nil, false
		}
		l.free = leaves.Add(time.Duration(bytes) * time.Second / time.Duration(l.Rate))
		leaves = l.free
	}
	copies := 1
	if random.Float64() < l.Duplicate {
		l.counts.Duplicated++
		copies = 2
	}
	if bytes > ethernetHeader && random.Float64() < l.Corrupt {
		l.counts.Corrupted++
		corrupt = true
	}
	for range copies {
		late := l.Delay
		if l.Jitter > 0 {
			late += time.Duration(random.Int64N(int64(l.Jitter)))
		}
		at = append(at, leaves.Add(late))
	}
	l.counts.Passed++
	return at, corrupt
}

// damage flips a bit of the frame behind its header.
func damage(frame []byte, random *rand.Rand) {
	at := ethernetHeader + random.IntN(len(frame)-ethernetHeader)
	frame[at] ^= 1 << random.IntN(8)
}
