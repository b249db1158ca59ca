package delta

import "github.com/anabranchdb/anabranch/crdt"

// Announce names a unit that is too large for a frame: whoever misses it pulls it.
type Announce struct {
	Origin      crdt.ReplicaID
	First, Last uint64
	Size        int // as Unit.Size
}

// What a frame costs besides its units: headers, the version, the keys; and each run.
const (
	frameOverhead = 16
	runBytes      = 9 + 1 + 9 + 9
)

// Split packs units into frames of at most maxBytes encoded bytes each, and never more than
// MaxFrameBytes. Their order is kept;
// a frame holds the runs of just the origins in it. A unit that does not fit into a frame of
// its own is left out and announced. Frames share the units' memory.
func Split(units []Unit, runs Runs, maxBytes int) (frames []Frame, large []Announce) {
	maxBytes = min(maxBytes, MaxFrameBytes)
	var p packer
	for i := range units {
		u := &units[i]
		cost := p.cost(u, runs)
		if p.n > 0 && (p.bytes+cost > maxBytes || p.n == MaxFrameUnits) {
			frames = append(frames, p.frame)
			p = packer{}
			cost = p.cost(u, runs)
		}
		if p.n == 0 && frameOverhead+cost > maxBytes {
			large = append(large, Announce{Origin: u.Origin, First: u.First, Last: u.Last, Size: u.Size()})
			continue
		}
		p.add(u, cost, runs)
	}
	if p.n > 0 {
		frames = append(frames, p.frame)
	}
	return frames, large
}

// packer fills one frame.
type packer struct {
	frame Frame
	n     int
	bytes int // ≥ the frame's encoded size
	ctx   unitContext
}

// cost returns by how much u would make the frame grow, at most.
func (p *packer) cost(u *Unit, runs Runs) int {
	n := u.sizeAfter(&p.ctx)
	if _, in := p.frame.Runs[u.Origin]; !in && runs[u.Origin] != (Run{}) {
		n += runBytes
	}
	return n
}

func (p *packer) add(u *Unit, cost int, runs Runs) {
	if p.n == 0 {
		p.bytes = frameOverhead
	}
	if run, ok := runs[u.Origin]; ok {
		if p.frame.Runs == nil {
			p.frame.Runs = Runs{}
		}
		p.frame.Runs[u.Origin] = run
	}
	p.frame.Units = append(p.frame.Units, *u)
	p.n++
	p.bytes += cost
	p.ctx = unitContext{origin: u.Origin, last: u.Last}
}
