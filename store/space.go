package store

import (
	"fmt"
	"time"
)

// diskLevel remembers how much space there was, for a moment.
type diskLevel struct {
	at   time.Time
	free uint64
}

// purpose is what space is asked for.
type purpose int

const (
	forAdds purpose = iota
	forReplication
	forRemovals
)

// spaceEvery is the time between two looks at the free space.
const spaceEvery = time.Second

// spaceFor returns ErrDiskFull when the reserve must be left to what is more urgent: local adds
// may use none of it, replication three quarters, removals all but the last that the datastore
// itself needs to go on working.
func (n *Namespace) spaceFor(p purpose) error {
	if n.storage == Memory || n.opts.Dir == "" {
		return nil
	}
	n.spaceMu.Lock()
	defer n.spaceMu.Unlock()
	if now := n.opts.Now(); n.space.at.IsZero() || now.Sub(n.space.at) >= spaceEvery || now.Before(n.space.at) {
		free, err := n.opts.FreeBytes(n.opts.Dir)
		if err != nil {
			return fmt.Errorf("store: free space: %w", err)
		}
		n.space = diskLevel{at: now, free: free}
	}
	need := n.opts.ReserveBytes
	switch p {
	case forReplication:
		need /= 4
	case forRemovals:
		need /= 16
	}
	if n.space.free < need {
		return fmt.Errorf("%w: %d MiB free, %d MiB are kept in reserve", ErrDiskFull, n.space.free>>20, need>>20)
	}
	return nil
}
