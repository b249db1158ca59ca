package sync

import (
	"cmp"
	"errors"
	"fmt"
	"maps"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// chunk takes in a piece of the stream and hands on the items that it completes.
func (p *PullSession) chunk(m *message) ([][]byte, error) {
	var err error
	if p.buf, err = unpack(p.buf, m); err != nil {
		return nil, err
	}
	if p.phase == pullLog {
		err = p.logItems()
	} else {
		err = p.entries()
	}
	if err != nil {
		return nil, err
	}
	if p.consumed++; p.consumed < uint64(p.cfg.Window)/2 {
		return nil, nil
	}
	credit := &message{kind: kindCredit, credit: p.consumed}
	p.consumed = 0
	return encodeAll(credit), nil
}

// cut calls f with every complete item of the buffer and keeps the rest.
func (p *PullSession) cut(limit uint64, f func(item []byte) error) error {
	b := p.buf
	for {
		item, rest, ok, err := cutItem(b, limit)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := f(item); err != nil {
			return err
		}
		p.items++
		b = rest
	}
	if len(b) < len(p.buf) {
		p.buf = p.buf[:copy(p.buf, b)]
	}
	return nil
}

// batch is units for one ApplyUnits: those of one replica are all of one run.
type batch struct {
	units []delta.Unit
	runs  delta.Runs // of every origin, the zero run where it is not known
}

// logItems applies the units that have arrived.
func (p *PullSession) logItems() error {
	var b batch
	err := p.cut(1+delta.MaxUnitBytes, func(item []byte) error {
		if len(item) == 0 {
			return fmt.Errorf("%w: empty item", ErrMalformed)
		}
		switch item[0] {
		case itemUnit:
			return p.unit(&b, item[1:])
		case itemRuns:
			return p.issuing(item[1:])
		}
		return fmt.Errorf("%w: item of kind %d", ErrVersion, item[0])
	})
	if err != nil {
		return err
	}
	return p.apply(&b)
}

// issuing takes in the runs of the units that follow.
func (p *PullSession) issuing(b []byte) error {
	runs, rest, err := delta.DecodeRuns(b)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: runs: %w", ErrMalformed, err)
	}
	maps.Copy(p.issuers, runs)
	if len(p.issuers) > p.cfg.MaxReplicas {
		return fmt.Errorf("%w: runs of more than %d replicas", ErrMalformed, p.cfg.MaxReplicas)
	}
	return nil
}

// unit adds a unit to the batch. One of another run than those before it begins a new batch: what
// is applied is told, and is told with the run that issued it.
func (p *PullSession) unit(to *batch, b []byte) error {
	u, err := delta.DecodeUnit(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := checkUnit(u); err != nil {
		return err
	}
	run := p.issuers[u.Origin]
	if !p.wanted(u) || run.First > u.First {
		return fmt.Errorf("%w: unit %v:%d to %d was not asked for, or is of no run", ErrMalformed, u.Origin, u.First, u.Last)
	}
	if of, in := to.runs[u.Origin]; in && of != run {
		if err := p.apply(to); err != nil {
			return err
		}
	}
	if to.runs == nil {
		to.runs = delta.Runs{}
	}
	to.units, to.runs[u.Origin] = append(to.units, u), run
	p.units++
	return nil
}

// apply hands a batch to the sink and empties it.
func (p *PullSession) apply(b *batch) error {
	if len(b.units) == 0 {
		return nil
	}
	maps.DeleteFunc(b.runs, func(_ crdt.ReplicaID, run delta.Run) bool { return run == delta.Run{} })
	err := p.sink.ApplyUnits(b.units, b.runs)
	*b = batch{}
	return blame(err)
}

// blame makes what a sink refuses as malformed the sender's fault.
func blame(err error) error {
	if errors.Is(err, delta.ErrMalformed) {
		return malformed(err)
	}
	return err
}

func (p *PullSession) wanted(u delta.Unit) bool {
	if p.ref != (UnitRef{}) {
		return u.Origin == p.ref.Origin && u.First == p.ref.First && p.units == 0
	}
	// It may begin within what is here, if another copy writes under its origin's id.
	return u.Last <= p.c2[u.Origin] && u.Last > p.st.Clock[u.Origin]
}

// entries stages the entries that have arrived.
func (p *PullSession) entries() error {
	p.staging = nil
	err := p.cut(maxStateItem, func(item []byte) error {
		if len(item) == 0 {
			return fmt.Errorf("%w: empty item", ErrMalformed)
		}
		switch item[0] {
		case itemEntry:
			return p.entry(item[1:])
		case itemDots:
			return p.dots(item[1:])
		}
		return fmt.Errorf("%w: item of kind %d", ErrVersion, item[0])
	})
	if err == nil && len(p.staging) > 0 {
		err = blame(p.sink.Stage(p.staging))
	}
	return err
}

func (p *PullSession) entry(b []byte) error {
	e, rest, err := delta.DecodeEntry(b)
	if err == nil && len(rest) == 0 {
		err = cmp.Or(delta.ValidateEntry(e), delta.ValidateValue(e))
	}
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: entry: %w", ErrMalformed, err)
	}
	if p.st.Clock.Covers(e.Dot) || !p.c2.Covers(e.Dot) || p.streamed.Contains(e.Dot) {
		return fmt.Errorf("%w: entry %v was not asked for", ErrMalformed, e.Dot)
	}
	p.streamed.Add(e.Dot)
	p.staging = append(p.staging, e)
	return p.checkCount()
}

// dots takes in live dots whose content is cached here.
func (p *PullSession) dots(b []byte) error {
	set, rest, err := delta.DecodeDotSet(b)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: dots: %w", ErrMalformed, err)
	}
	n := set.Len()
	if !within(set, p.st.Clock, p.c2) || set.And(p.cached).Len() != n || set.And(p.streamed).Len() != 0 {
		return fmt.Errorf("%w: dots that are not cached or were not asked for", ErrMalformed)
	}
	p.streamed = p.streamed.Or(set)
	return p.checkCount()
}

func (p *PullSession) checkCount() error {
	if p.items >= p.cfg.MaxStreamed {
		return fmt.Errorf("%w: more than %d items", ErrMalformed, p.cfg.MaxStreamed)
	}
	return nil
}

// end is the end of the stream: nothing may be missing.
func (p *PullSession) end(m *message) ([][]byte, error) {
	if len(p.buf) > 0 || m.size != p.items {
		return nil, fmt.Errorf("%w: the stream ends early", ErrMalformed)
	}
	p.ended = true
	if p.phase == pullLog {
		if p.ref != (UnitRef{}) && p.units != 1 {
			return nil, fmt.Errorf("%w: not the unit that was asked for", ErrMalformed)
		}
		return p.finish(), nil
	}
	return p.flipIfComplete()
}

// flipIfComplete joins when both S and K are complete.
func (p *PullSession) flipIfComplete() ([][]byte, error) {
	if !p.ended || !p.tree.done {
		return nil, nil
	}
	err := p.sink.Flip(Flip{
		From:     p.st.Clock.Clone(),
		To:       p.c2,
		Runs:     p.runs2,
		Past:     p.past2,
		Streamed: p.streamed,
		Killed:   p.tree.onlyHere,
	})
	if err != nil {
		return nil, err
	}
	return p.finish(), nil
}

// roots begins the descent after the last page.
func (p *PullSession) roots(m *message) ([][]byte, error) {
	if err := p.tree.roots(m.hashes, p.cfg.MaxReplicas); err != nil {
		return nil, err
	}
	if m.has(flagMore) {
		return nil, nil
	}
	p.tree.compareRoots()
	return p.descend()
}

func (p *PullSession) hashes(m *message) ([][]byte, error) {
	if err := p.tree.answers(m.hashes); err != nil {
		return nil, err
	}
	return p.descend()
}

// descend asks for the next nodes, or goes on when all have been compared.
func (p *PullSession) descend() ([][]byte, error) {
	if ns := p.tree.ask(); len(ns) > 0 {
		return encodeAll(&message{kind: kindNodes, nodes: ns}), nil
	}
	p.tree.done = true
	if p.phase == pullState {
		return p.flipIfComplete()
	}
	return p.finish(), p.tree.mismatch()
}
