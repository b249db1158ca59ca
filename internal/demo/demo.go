package demo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/anabranchdb/anabranch/internal/clusterkey"
)

// Times of the demo.
const (
	pollInterval   = 50 * time.Millisecond
	discoveryLimit = 6 * time.Second  // then the daemons are introduced to each other
	convergeLimit  = 30 * time.Second // then the demo has failed
)

var names = []string{"north", "south", "west"}

const daemons = 3

// ErrNotEqual is returned when the daemons did not come to hold the same bytes in time.
var ErrNotEqual = errors.New("the daemons did not come to hold the same data")

// Options say how the demo is run.
type Options struct {
	Exe   string        // the anabranch program
	Out   io.Writer     // where the story is told
	Color bool          // with colours
	Pause time.Duration // after each chapter, to read it
}

// errUntold is the reason for the end when nobody reads the story any more.
var errUntold = errors.New("the story cannot be told")

// Run runs the demo. It leaves nothing behind, also when ctx ends or Out takes no more. It returns nil only
// when all exports were equal byte for byte after the heal.
func Run(ctx context.Context, opts Options) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	untold := func(err error) { cancel(fmt.Errorf("%w: %w", errUntold, err)) }
	s := &story{tell: teller{out: opts.Out, color: opts.Color, failed: untold}, pause: opts.Pause}
	dir, err := os.MkdirTemp("", "anabranch-demo-*")
	if err != nil {
		return fmt.Errorf("no place for the data of the demo, TMPDIR can name one: %w", err)
	}
	defer func() {
		s.stop()
		// Whatever else failed then did so because the daemons were stopped.
		if cause := context.Cause(ctx); errors.Is(cause, errUntold) {
			err = cause
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	began := time.Now()
	for _, chapter := range []func(context.Context) error{
		func(ctx context.Context) error { return s.startAll(ctx, opts.Exe, dir) },
		s.meet, s.writeTogether, s.cutApart, s.writeApart, s.heal, s.settle,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, s.pause); err != nil {
			return err
		}
	}
	s.tell.good("done in %.0f s; nothing is left behind", time.Since(began).Seconds())
	return nil
}

// story is what the chapters share.
type story struct {
	tell    teller
	pause   time.Duration
	mdns    bool
	daemons []*daemon
}

func (s *story) startAll(ctx context.Context, exe, dir string) error {
	s.tell.chapter("Three daemons start, each with its own data directory and the same cluster key")
	s.mdns = hasMulticast()
	key := clusterkey.Generate()
	began := time.Now()
	for _, name := range names {
		d, err := start(ctx, exe, name, filepath.Join(dir, name), key, s.mdns)
		if err != nil {
			return err
		}
		s.daemons = append(s.daemons, d)
		s.tell.line("%s  API at %s, other daemons at %s", s.tell.name(name), d.client.Addr(), d.link.multiaddr())
	}
	s.tell.good("ready after %.1f s", time.Since(began).Seconds())
	s.tell.note("The address for other daemons is a TCP proxy of this demo, the only one that the daemon announces:\nso the demo can cut it off as pulling its cable would.")
	return nil
}

// stop ends all daemons at the same time.
func (s *story) stop() {
	var wg sync.WaitGroup
	for _, d := range s.daemons {
		wg.Go(d.stop)
	}
	wg.Wait()
}

// meet waits until every daemon is connected to all others.
func (s *story) meet(ctx context.Context) error {
	s.tell.chapter("They find each other")
	began := time.Now()
	if s.mdns {
		err := s.until(ctx, discoveryLimit, s.allConnected(daemons-1))
		if err == nil {
			s.tell.good("found by mDNS and connected after %.1f s; nobody told them anything", time.Since(began).Seconds())
			return nil
		}
		if !errors.Is(err, errTimeOver) {
			return err
		}
		s.tell.note("mDNS has found nothing in %.0f s on this network; the demo introduces them instead.", discoveryLimit.Seconds())
	} else {
		s.tell.note("No interface of this machine has multicast, which mDNS needs; the demo introduces them instead,\nas --peer would.")
	}
	for _, d := range s.daemons {
		for _, other := range s.daemons {
			if other == d {
				continue
			}
			if err := d.client.AddPeer(ctx, other.link.multiaddr()+"/p2p/"+other.peerID); err != nil {
				return err
			}
		}
	}
	began = time.Now()
	if err := s.until(ctx, convergeLimit, s.allConnected(daemons-1)); err != nil {
		return fmt.Errorf("the daemons do not connect: %w", err)
	}
	s.tell.good("connected after %.1f s", time.Since(began).Seconds())
	return nil
}

// hasMulticast reports whether mDNS can work: an interface that is up, has multicast, and is not
// loopback.
func hasMulticast() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	const want = net.FlagUp | net.FlagMulticast
	for _, i := range interfaces {
		if i.Flags&want == want && i.Flags&net.FlagLoopback == 0 {
			if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
				return true
			}
		}
	}
	return false
}

// allConnected is the condition that every daemon is connected to n others.
func (s *story) allConnected(n int) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		for _, d := range s.daemons {
			if have, err := d.connected(ctx); err != nil || have != n {
				return false, err
			}
		}
		return true, nil
	}
}

// equal waits until all exports are the same bytes and every daemon says that it has converged.
func (s *story) equal(ctx context.Context) error {
	began := time.Now()
	var exports []string
	err := s.until(ctx, convergeLimit, func(ctx context.Context) (bool, error) {
		exports = exports[:0]
		for _, d := range s.daemons {
			if ok, err := d.converged(ctx); err != nil || !ok {
				return false, err
			}
			text, err := d.export(ctx)
			if err != nil {
				return false, err
			}
			exports = append(exports, text)
		}
		return exports[0] != "" && exports[0] == exports[1] && exports[1] == exports[2], nil
	})
	if errors.Is(err, errTimeOver) {
		return fmt.Errorf("%w within %v", ErrNotEqual, convergeLimit)
	}
	if err != nil {
		return err
	}
	s.tell.good("converged after %.2f s; three exports of %d bytes, byte for byte equal:", time.Since(began).Seconds(), len(exports[0]))
	for i, d := range s.daemons {
		s.tell.line("%s  sha256 %x", s.tell.name(d.name), sha256.Sum256([]byte(exports[i])))
	}
	return nil
}

var errTimeOver = errors.New("the time is over")

// until waits for a condition.
func (s *story) until(ctx context.Context, limit time.Duration, condition func(context.Context) (bool, error)) error {
	deadline := time.Now().Add(limit)
	for {
		if ok, err := condition(ctx); err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return errTimeOver
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return err
		}
	}
}

// sleep waits, or returns the reason why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
