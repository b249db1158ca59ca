package sim

import (
	"context"
	"errors"
	"slices"

	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// session is one repair stream: reliable and ordered, until it is cut.
type session struct {
	puller, server *node
	starts         [2]int
	pull           *peersync.PullSession
	serve          *peersync.ServeSession
	there, back    *link // from the puller to the server, and back
	over           bool
	single         bool // it asks for one unit, which may be in vain: it depends on what is not here, has left the log, or all is to be joined first
}

var errCut = errors.New("sim: the stream was cut")

// pull starts a session that a asked for.
func (w *World) pull(a, b *node, unit peersync.UnitRef) {
	s := &session{puller: a, server: b, starts: [2]int{a.start, b.start},
		there: &link{from: a, to: b, slow: w.cfg.Slow}, back: &link{from: b, to: a, slow: w.cfg.Slow}}
	a.pull = s
	w.sessions = append(w.sessions, s)
	cfg := w.cfg.sync()
	if unit == (peersync.UnitRef{}) {
		s.pull = peersync.NewPull(cfg, a.copy.Sink(context.Background()))
	} else {
		w.res.Singles, s.single = w.res.Singles+1, true
		s.pull = peersync.NewPullUnit(cfg, a.copy.Sink(context.Background()), unit)
	}
	s.serve = peersync.NewServe(cfg, func() (peersync.Source, error) { return b.copy.Source(context.Background()) })
	if w.chance(w.cfg.CutPercent) {
		w.after(w.delay(), func() { w.cut(s) })
	}
	w.after(w.delay(), func() {
		if s.over {
			return
		}
		if !w.connected(a, b) {
			w.cut(s)
			return
		}
		out, err := s.pull.Start()
		w.pulled(s, out, false, err)
	})
}

// pulled sends what the puller answered on, or ends the session.
func (w *World) pulled(s *session, out [][]byte, done bool, err error) {
	s.puller.settle()
	if s.over {
		return // the puller went down
	}
	for _, m := range out {
		w.send(s.there, func() { w.toServer(s, m) })
	}
	if done || err != nil {
		w.end(s, err)
	}
}

func (w *World) toServer(s *session, m []byte) {
	if s.over {
		return
	}
	out, done, err := s.serve.Handle(m)
	for _, m := range out {
		w.send(s.back, func() { w.toPuller(s, m) })
	}
	if !s.server.survives() || s.over {
		return
	}
	if err != nil {
		if errors.Is(err, peersync.ErrFork) && w.parted(s.puller, s.server) {
			w.cut(s)
			s.server.handle(peersync.Served{Peer: s.puller.id, Err: err})
			return
		}
		if s.server.ns.Err() == nil {
			w.fail("%s: serving %s: %v", s.server.id, s.puller.id, err)
		}
		w.cut(s) // a copy that waits for its own join
		return
	}
	if done {
		s.serve.Close()
	}
}

func (w *World) toPuller(s *session, m []byte) {
	if s.over {
		return
	}
	out, done, err := s.pull.Handle(m)
	w.pulled(s, out, done, err)
}

// cut breaks the stream of a session in the middle.
func (w *World) cut(s *session) {
	if !s.over {
		w.res.Cuts++
		w.end(s, errCut)
	}
}

func (w *World) end(s *session, err error) {
	s.over = true
	s.there.broken, s.back.broken = true, true
	s.serve.Close()
	if a := s.puller; a.up && a.start == s.starts[0] {
		a.pull = nil
		inVain := s.single && (errors.Is(err, delta.ErrGap) || errors.Is(err, peersync.ErrNotHeld) || errors.Is(err, store.ErrJoining))
		if err != nil && !inVain && !errors.Is(err, errCut) && !errors.Is(err, store.ErrDiskFull) && !w.parted(a, s.server) {
			w.fail("%s: pulling from %s: %v", a.id, s.server.id, err)
		}
		a.handle(peersync.Pulled{Peer: s.server.id, Err: err})
	}
}

// cutSessions ends the sessions whose ends no longer hear each other, and forgets those that
// are over.
func (w *World) cutSessions() {
	for _, s := range w.sessions {
		fresh := s.puller.start == s.starts[0] && s.server.start == s.starts[1]
		if !s.over && (!fresh || !w.connected(s.puller, s.server)) {
			w.cut(s) // whose end may begin another one
		}
	}
	w.sessions = slices.DeleteFunc(w.sessions, func(s *session) bool { return s.over })
}
