package netswitch

import (
	"container/heap"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	maxFrameBytes = 1 << 16
	// maxWaiting bounds the frames that wait for one port.
	maxWaiting = 4096
)

// MAC is the address that the device at a port has to have, from 0.
func MAC(port int) [6]byte { return [6]byte{0x02, 0, 0, 0, 0, byte(port + 1)} }

// Switch forwards Ethernet frames between its ports. It is safe for concurrent use.
type Switch struct {
	ports []*port

	mu     sync.Mutex
	lines  [][]line // from, to
	random *rand.Rand
	wg     sync.WaitGroup
}

// New returns a switch that forwards between devices, each of which delivers and takes one frame at a time,
// until it is closed; the device at i has the address MAC(i). It owns the devices.
func New(devices []io.ReadWriteCloser, seed uint64) *Switch {
	s := &Switch{random: rand.New(rand.NewPCG(seed, 0))}
	for range devices {
		s.lines = append(s.lines, make([]line, len(devices)))
	}
	for _, d := range devices {
		s.ports = append(s.ports, &port{device: d, wake: make(chan struct{}, 1), ended: make(chan struct{})})
	}
	for i, p := range s.ports {
		s.wg.Go(func() { s.read(i) })
		s.wg.Go(p.deliver)
	}
	return s
}

// Close closes the devices and waits until nothing is forwarded any more.
func (s *Switch) Close() error {
	var first error
	for _, p := range s.ports {
		close(p.ended)
		if err := p.device.Close(); first == nil {
			first = err
		}
	}
	s.wg.Wait()
	return first
}

// Set changes what happens from one port to another.
func (s *Switch) Set(from, to int, q Quality) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[from][to].Quality = q
}

// Counts are the sums over all lines.
func (s *Switch) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum Counts
	for _, from := range s.lines {
		for _, l := range from {
			sum.Passed += l.counts.Passed
			sum.Cut += l.counts.Cut
			sum.Lost += l.counts.Lost
			sum.Queue += l.counts.Queue
			sum.Duplicated += l.counts.Duplicated
			sum.Corrupted += l.counts.Corrupted
		}
	}
	return sum
}

func (s *Switch) read(from int) {
	frame := make([]byte, maxFrameBytes)
	for {
		n, err := s.ports[from].device.Read(frame)
		if err != nil {
			return
		}
		if n >= ethernetHeader {
			s.forward(from, frame[:n])
		}
	}
}

// forward sends a frame to the port of its address, and to all others if it has none.
func (s *Switch) forward(from int, frame []byte) {
	to := [6]byte(frame)
	for i, p := range s.ports {
		if i == from || to[0]&1 == 0 && to != MAC(i) {
			continue
		}
		s.mu.Lock()
		at, corrupt := s.lines[from][i].pass(time.Now(), len(frame), s.random)
		own := append([]byte(nil), frame...)
		if corrupt {
			damage(own, s.random)
		}
		s.mu.Unlock()
		for _, t := range at {
			p.put(t, own)
		}
	}
}

// port delivers frames to a device when their time has come.
type port struct {
	device io.ReadWriteCloser
	wake   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	waiting frames
	count   uint64
}

func (p *port) put(at time.Time, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == maxWaiting {
		return
	}
	p.count++
	heap.Push(&p.waiting, waiting{at, p.count, data})
	if p.waiting[0].number == p.count { // it is the first
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *port) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := time.Hour
		for {
			data, wait := p.due(time.Now())
			if data == nil {
				next = min(next, wait)
				break
			}
			// A device that is down takes nothing: that is a loss.
			_, _ = p.device.Write(data)
		}
		timer.Reset(next)
		select {
		case <-p.wake:
		case <-timer.C:
		case <-p.ended:
			return
		}
	}
}

// due returns a frame whose time has come, or how long there is none.
func (p *port) due(now time.Time) ([]byte, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return nil, time.Hour
	}
	if wait := p.waiting[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&p.waiting).(waiting).data, 0
}

// waiting is a frame that is on its way.
type waiting struct {
	at     time.Time
	number uint64 // of the frame at its port, for those of one time
	data   []byte
}

// frames is a heap.
type frames []waiting

func (f frames) Len() int { return len(f) }
func (f frames) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].number < f[j].number
	}
	return f[i].at.Before(f[j].at)
}
func (f frames) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *frames) Push(x any)   { *f = append(*f, x.(waiting)) }
func (f *frames) Pop() any {
	old := *f
	last := old[len(old)-1]
	old[len(old)-1] = waiting{}
	*f = old[:len(old)-1]
	return last
}
