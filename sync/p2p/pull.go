package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	peersync "github.com/anabranchdb/anabranch/sync"
)

// A repair stream is opened by the side that pulls. Every message has its length before it:
//
//	puller → server   the name of the namespace
//	server → puller   one byte: serving, not held, or busy
//	both              the messages of peersync.Pull and peersync.Serve
//
// The puller sends its first messages without waiting for the byte.
const pullProtocol protocol.ID = "/anabranch/pull/1"

const (
	serving = 0
	notHeld = 1
	busy    = 2
)

var (
	errNotHeld = errors.New("p2p: the peer does not hold the namespace")
	errBusy    = errors.New("p2p: the peer serves enough sessions already")
)

func newPull(cfg peersync.Config, sink peersync.Sink, unit peersync.UnitRef) *peersync.PullSession {
	if unit != (peersync.UnitRef{}) {
		return peersync.NewPullUnit(cfg, sink, unit)
	}
	return peersync.NewPull(cfg, sink)
}

// pull runs one repair session to its end.
func (n *Node) pull(ctx context.Context, c *copyRunner, p peer.ID, unit peersync.UnitRef) error {
	select {
	case n.pulls <- struct{}{}:
		defer func() { <-n.pulls }()
	case <-ctx.Done():
		return ctx.Err()
	}
	n.stats.pulls.Add(1)
	err := n.runPull(ctx, c, p, unit)
	if err != nil {
		n.stats.pullFailures.Add(1)
		n.log.Debug("pull failed", "namespace", c.name, "peer", p, "err", err)
	}
	return err
}

func (n *Node) runPull(ctx context.Context, c *copyRunner, p peer.ID, unit peersync.UnitRef) error {
	open, cancel := context.WithTimeout(ctx, n.opts.Timing.SessionIdle)
	defer cancel()
	s, err := n.gated.NewStream(open, p, n.opts.versions.of(pullProtocol)...)
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			s.Reset()
		}
	}()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	session := newPull(n.opts.Sync, c.copy.Sink(ctx), unit)
	out, err := session.Start()
	if err != nil {
		return err
	}
	m := newMessages(s, n.opts.Timing.SessionIdle)
	if err := m.write(append([][]byte{[]byte(c.name)}, out...)); err != nil {
		return err
	}
	if err := readVerdict(m); err != nil {
		return err
	}
	for {
		msg, err := m.read()
		if err != nil {
			return fmt.Errorf("p2p: repair stream: %w", err)
		}
		out, done, err := session.Handle(msg)
		if len(out) > 0 {
			if werr := m.write(out); err == nil && !done {
				err = werr
			}
		}
		if err != nil {
			return err
		}
		if done {
			// The last messages are still under way; nobody needs to wait for them here.
			ended = c.tasks.run(func() {
				defer context.AfterFunc(c.ctx, func() { s.Reset() })()
				finish(s)
			})
			return nil
		}
	}
}

// finish ends a stream on which both sides may still be sending their last messages.
func finish(s network.Stream) {
	s.CloseWrite()
	s.SetReadDeadline(time.Now().Add(finishWithin))
	io.Copy(io.Discard, io.LimitReader(s, maxMessageBytes))
	s.Reset()
}

// finishWithin bounds finish.
const finishWithin = 5 * time.Second

func readVerdict(m *messages) error {
	v, err := m.read()
	if err != nil {
		return fmt.Errorf("p2p: repair stream: %w", err)
	}
	switch {
	case len(v) == 1 && v[0] == serving:
		return nil
	case len(v) == 1 && v[0] == notHeld:
		return errNotHeld
	case len(v) == 1 && v[0] == busy:
		return errBusy
	}
	return fmt.Errorf("%w: verdict", errMalformed)
}

// servePull serves one repair session.
func (n *Node) servePull(s network.Stream) {
	p := s.Conn().RemotePeer()
	m := newMessages(s, 2*n.opts.Timing.SessionIdle) // the puller may be busy with its disk
	name, err := m.read()
	if err != nil || len(name) > maxNameBytes {
		if err == nil || errors.Is(err, peersync.ErrMalformed) {
			n.hostile(p, fmt.Errorf("%w: repair stream", errMalformed))
		}
		s.Reset()
		return
	}
	n.mu.Lock()
	c := n.copies[string(name)]
	n.mu.Unlock()
	if c == nil || c.exchange.Err() != nil || !c.tasks.enter() {
		m.refuse(s, notHeld)
		return
	}
	defer c.tasks.leave()
	if !n.beginServe(p) {
		n.stats.servesRefused.Add(1)
		m.refuse(s, busy)
		return
	}
	defer n.endServe(p)
	defer context.AfterFunc(c.exchange, func() { s.Reset() })()
	n.stats.serves.Add(1)
	err = n.serve(c, m)
	var inSession *servedError
	switch {
	case err == nil:
	case errors.As(err, &inSession):
		c.inbox.force(peersync.Served{Peer: peersync.PeerID(p.String()), Err: inSession.err})
	case errors.Is(err, peersync.ErrMalformed):
		n.hostile(p, err)
		fallthrough
	default:
		s.Reset() // finish has nothing to wait for then
	}
	if err != nil {
		n.stats.serveFailures.Add(1)
		n.log.Debug("serving a pull failed", "namespace", c.name, "peer", p, "err", err)
	}
	finish(s)
}

// servedError is an error of the session, not of the stream.
type servedError struct{ err error }

func (e *servedError) Error() string { return e.err.Error() }
func (e *servedError) Unwrap() error { return e.err }

func (n *Node) serve(c *copyRunner, m *messages) error {
	if err := m.write([][]byte{{serving}}); err != nil {
		return err
	}
	session := peersync.NewServe(n.opts.Sync, func() (peersync.Source, error) { return c.copy.Source(c.exchange) })
	defer session.Close()
	for {
		msg, err := m.read()
		if errors.Is(err, io.EOF) {
			return nil // the puller has what it wanted
		}
		if err != nil {
			return err
		}
		out, done, err := session.Handle(msg)
		if werr := m.write(out); err == nil && werr != nil {
			return werr
		}
		if err != nil {
			return &servedError{err}
		}
		if done {
			return nil
		}
	}
}

// beginServe takes one of the places for serving p, if there is one.
func (n *Node) beginServe(p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.serves >= n.opts.Limits.Serves || n.servesOf[p] >= n.opts.Limits.ServesPerPeer {
		return false
	}
	n.serves++
	n.servesOf[p]++
	return true
}

func (n *Node) endServe(p peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serves--
	if n.servesOf[p]--; n.servesOf[p] == 0 {
		delete(n.servesOf, p)
	}
}

// messages reads and writes the messages of a repair or rights stream, each within a deadline.
type messages struct {
	stream network.Stream
	idle   time.Duration
	limit  int // of a message to be read, in bytes
	r      *bufio.Reader
	w      *bufio.Writer
}

func newMessages(s network.Stream, idle time.Duration) *messages {
	return &messages{stream: s, idle: idle, limit: maxMessageBytes, r: bufio.NewReaderSize(s, 32<<10), w: bufio.NewWriterSize(s, 32<<10)}
}

func (m *messages) read() ([]byte, error) {
	m.stream.SetReadDeadline(time.Now().Add(m.idle))
	return readMessage(m.r, m.limit)
}

func (m *messages) write(msgs [][]byte) error {
	for _, msg := range msgs {
		m.stream.SetWriteDeadline(time.Now().Add(m.idle))
		if err := writeMessage(m.w, msg); err != nil {
			return err
		}
	}
	m.stream.SetWriteDeadline(time.Now().Add(m.idle))
	return m.w.Flush()
}

// refuse ends a stream with a verdict.
func (m *messages) refuse(s network.Stream, verdict byte) {
	m.write([][]byte{{verdict}})
	s.Close()
}
