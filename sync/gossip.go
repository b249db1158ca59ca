package sync

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// The first byte of what is published. Kinds from gossipSkip on may be skipped.
const (
	gossipFrame   = 1 // a delta.Frame
	gossipMessage = 2 // a message
	gossipSkip    = 128
)

// CheckGossip reports whether data is something that an engine may publish. A transport asks
// before it forwards; it returns ErrMalformed or ErrVersion, also for what exceeds a limit.
func CheckGossip(data []byte) error {
	_, _, err := decodeGossip(data)
	return err
}

// decodeGossip returns a frame or a message, or neither for what may be skipped.
func decodeGossip(data []byte) (*delta.Frame, *message, error) {
	if len(data) == 0 {
		return nil, nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	switch kind, body := data[0], data[1:]; {
	case kind == gossipFrame:
		f, err := decodeFrame(body)
		return f, nil, err
	case kind == gossipMessage:
		m, err := decode(body)
		if err == nil && m != nil && (m.kind != kindAnnounce || len(m.unit) != 4) {
			err = fmt.Errorf("%w: kind %d in gossip", ErrUnexpected, m.kind)
		}
		return nil, m, err
	case kind >= gossipSkip:
		return nil, nil, nil
	default:
		return nil, nil, fmt.Errorf("%w: gossip of kind %d", ErrVersion, kind)
	}
}

func decodeFrame(body []byte) (*delta.Frame, error) {
	f, err := delta.DecodeFrame(body)
	if errors.Is(err, delta.ErrVersion) {
		return nil, fmt.Errorf("%w: %w", ErrVersion, err)
	}
	if err != nil {
		return nil, malformed(err)
	}
	for i := range f.Units {
		u := &f.Units[i]
		if err := checkUnit(*u); err != nil {
			return nil, err
		}
		if run := f.Runs[u.Origin]; run.First > u.First {
			return nil, fmt.Errorf("%w: unit %v:%d is older than its run, from %d", ErrMalformed, u.Origin, u.First, run.First)
		}
	}
	return &f, nil
}

// checkUnit refuses what no copy takes, as far as that can be said without a copy.
func checkUnit(u delta.Unit) error {
	if err := delta.Validate(u); err != nil {
		return malformed(err)
	}
	for _, e := range u.Entries {
		if err := delta.ValidateValue(e); err != nil {
			return malformed(err)
		}
	}
	itself := func(d crdt.Dot) bool { return d.Replica == u.Origin && d.Seq >= u.First }
	for _, k := range u.Kills {
		if slices.ContainsFunc(k.Dots, itself) {
			return fmt.Errorf("%w: unit %v:%d kills what it adds", ErrMalformed, u.Origin, u.First)
		}
	}
	if u.Last > maxSeq {
		return fmt.Errorf("%w: seq %d", ErrMalformed, u.Last)
	}
	return nil
}

// committed takes in what has become durable, and publishes what was written here.
func (e *Engine) committed(now time.Time, ev Committed) {
	e.adopt(now, ev.Status)
	if ev.Local && e.err == nil {
		e.publish(ev.Units)
	}
}

// adopt takes over a status unless a newer one is known.
func (e *Engine) adopt(now time.Time, st Status) {
	if e.st.Clock.CoversAll(st.Clock) {
		return
	}
	e.st = st
	e.mirror.Merge(st.Clock)
	n := 0
	for n < len(e.inflight) && st.Clock.Covers(e.inflight[n].dot) {
		e.inflightBytes -= e.inflight[n].bytes
		n++
	}
	e.inflight = e.inflight[n:]
	e.appliedAt = now
	if n > 0 {
		e.applyFailures = 0
	}
}

// publish sends local units as frames, and announces those that are too large for one.
func (e *Engine) publish(units []delta.Unit) {
	runs := delta.Runs{}
	if n := len(units); n > 0 {
		if run := runAt(e.st.OwnRuns, units[n-1].Last); run != (delta.Run{}) {
			runs[e.st.Replica] = run
		}
	}
	frames, large := delta.Split(units, runs, e.cfg.FrameBytes)
	for _, f := range frames {
		e.do(Publish{Data: delta.AppendFrame([]byte{gossipFrame}, f)})
	}
	for _, a := range large {
		m := message{kind: kindAnnounce, unit: []uint64{uint64(a.Origin), a.First, a.Last, uint64(a.Size)}}
		m.runs = runsOf([]component{{Replica: a.Origin}}, runs)
		e.do(Publish{Data: append([]byte{gossipMessage}, m.encode()...)})
	}
}

// gossip takes in what was published.
func (e *Engine) gossip(now time.Time, from PeerID, data []byte) {
	if e.err != nil {
		return
	}
	f, m, err := decodeGossip(data)
	switch {
	case errors.Is(err, ErrVersion):
		// A pull brings what it held.
	case err != nil:
		e.disconnect(from, err)
	case f != nil:
		e.frame(now, from, f, len(data))
	case m != nil:
		e.announced(now, from, m)
	}
}

// frame puts a frame's units into the buffer, from which what is ready is taken at once.
func (e *Engine) frame(now time.Time, from PeerID, f *delta.Frame, size int) {
	last := crdt.VersionVector{}
	for i := range f.Units {
		u := &f.Units[i]
		last[u.Origin] = max(last[u.Origin], u.Last)
	}
	e.believe(from, clockList(last), last, f.Runs)
	for i := range f.Units {
		u := f.Units[i]
		if u.Origin == e.st.Replica || e.mirror[u.Origin] >= u.First {
			continue
		}
		e.pend.add(&waiting{unit: u, run: f.Runs[u.Origin], from: from, at: now, bytes: size/len(f.Units) + 1})
	}
}

// announced notes that a peer has a unit which gossip does not carry.
func (e *Engine) announced(now time.Time, from PeerID, m *message) {
	r, first, last := crdt.ReplicaID(m.unit[0]), m.unit[1], m.unit[2]
	if r == 0 || first == 0 || last < first || last > maxSeq {
		e.disconnect(from, fmt.Errorf("%w: announced unit", ErrMalformed))
		return
	}
	clock, runs := crdt.VersionVector{r: last}, delta.Runs{}
	learnRuns(runs, m.runs)
	e.believe(from, clockList(clock), clock, runs)
	if r == e.st.Replica || e.mirror[r] >= first || len(e.large) == maxAnnounced {
		return
	}
	e.large = append(e.large, announced{ref: UnitRef{Origin: r, First: first}, last: last, peer: from, at: now})
}

// drain hands over what has become ready.
func (e *Engine) drain(now time.Time) {
	if e.pend.units == 0 || now.Before(e.applyAfter) || e.backlogged() {
		return
	}
	runs := maps.Clone(e.st.Runs)
	if runs == nil {
		runs = delta.Runs{}
	}
	for _, h := range e.inflight {
		if h.run != (delta.Run{}) {
			runs[h.dot.Replica] = h.run
		}
	}
	ready, bad := e.pend.take(e.mirror, runs, e.cfg.MaxPendingBytes-e.inflightBytes)
	for _, w := range bad {
		e.disconnect(w.from, fmt.Errorf("%w: unit %v:%d kills ahead of its dependencies", ErrMalformed, w.unit.Origin, w.unit.First))
	}
	for _, w := range ready {
		e.inflight = append(e.inflight, handed{dot: crdt.Dot{Replica: w.unit.Origin, Seq: w.unit.Last}, run: w.run, bytes: w.bytes})
		e.inflightBytes += w.bytes
	}
	if len(ready) > 0 && len(e.inflight) == len(ready) {
		e.appliedAt = now
	}
	for len(ready) > 0 {
		var a Apply
		a, ready = nextApply(ready)
		e.do(a)
	}
}

// nextApply joins units into one Apply, up to the first that came from another peer or that another
// run of its origin issued: a copy must not know a seq from a run that began after it.
func nextApply(ready []*waiting) (Apply, []*waiting) {
	a := Apply{From: ready[0].from, Runs: delta.Runs{}}
	of := delta.Runs{} // with the zero run where it is not known
	for i, w := range ready {
		run, in := of[w.unit.Origin]
		if w.from != a.From || in && run != w.run {
			return a, ready[i:]
		}
		of[w.unit.Origin] = w.run
		if w.run != (delta.Run{}) {
			a.Runs[w.unit.Origin] = w.run
		}
		a.Units = append(a.Units, w.unit)
	}
	return a, nil
}

// backlogged reports whether so much is handed over and not yet durable that the rest waits.
func (e *Engine) backlogged() bool {
	return e.inflightBytes >= e.cfg.MaxPendingBytes || len(e.inflight) >= e.cfg.MaxPendingUnits
}

// applyFailed forgets what was handed over in vain. When the copy is the reason, the handing over
// pauses; a unit that no copy takes is the fault of who sent it, and holds up nobody else.
func (e *Engine) applyFailed(now time.Time, ev ApplyFailed) {
	switch {
	case errors.Is(ev.Err, delta.ErrMalformed):
		e.disconnect(ev.From, malformed(ev.Err))
	case errors.Is(ev.Err, delta.ErrGap): // it follows something that failed
	default:
		e.applyFailures++
		e.applyAfter = now.Add(e.backOff(e.applyFailures))
	}
	e.rewind(now)
}

// rewind sets the mirror back to what is durable: the rest is to be pulled.
func (e *Engine) rewind(now time.Time) {
	e.mirror = e.st.Clock.Clone()
	e.inflight, e.inflightBytes = nil, 0
	for _, p := range e.sorted() {
		e.watch(now, p, e.cfg.GapGrace)
	}
}
