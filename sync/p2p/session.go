package p2p

import (
	"bufio"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// controlWrite is the deadline for one write on a control stream.
const controlWrite = 30 * time.Second

// Why a session ended, besides what its stream returned.
var (
	errOverflow = errors.New("p2p: control queue is full")
	errReplaced = errors.New("p2p: the peer opened a new control stream")
	errClosed   = errors.New("p2p: closed")
)

// session is one control stream from its hello to its end.
type session struct {
	stream network.Stream
	began  time.Time
	limits Limits
	ready  chan struct{}

	mu    sync.Mutex
	queue [][]byte
	bytes int
	err   error // why it ended
}

func newSession(s network.Stream, l Limits) *session {
	return &session{stream: s, began: time.Now(), limits: l, ready: make(chan struct{}, 1)}
}

// push queues a message. When there is no room the session ends: a message is never left out.
func (s *session) push(msg []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if len(s.queue) >= s.limits.QueueMessages || s.bytes+len(msg) > s.limits.QueueBytes {
		s.end(errOverflow)
		return errOverflow
	}
	s.queue = append(s.queue, msg)
	s.bytes += len(msg)
	wake(s.ready)
	return nil
}

// fail ends the session; the first reason counts.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.end(err)
	}
}

// end is fail with s.mu held.
func (s *session) end(err error) {
	s.err = err
	s.queue, s.bytes = nil, 0
	s.stream.Reset()
	wake(s.ready)
}

func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// take waits for messages, or for t. It returns nil, nil at t.
func (s *session) take(t <-chan time.Time) ([][]byte, error) {
	for {
		s.mu.Lock()
		queue, err := s.queue, s.err
		s.queue, s.bytes = nil, 0
		s.mu.Unlock()
		if err != nil || len(queue) > 0 {
			return queue, err
		}
		select {
		case <-s.ready:
		case <-t:
			return nil, nil
		}
	}
}

// write sends what is queued, and heartbeats in between, until the session ends.
func (s *session) write(heartbeat time.Duration) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	w := bufio.NewWriterSize(s.stream, 16<<10)
	for {
		queue, err := s.take(ticker.C)
		if err != nil {
			return
		}
		if queue == nil {
			queue = [][]byte{{kindHeartbeat}}
		}
		s.stream.SetWriteDeadline(time.Now().Add(controlWrite))
		for _, msg := range queue {
			if err = writeMessage(w, msg); err != nil {
				break
			}
		}
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}
