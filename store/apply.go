package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Apply joins units of other replicas into the copy, in the order given, and returns when that is
// durable. A unit that the clock covers already is dropped. A unit whose predecessor or
// dependencies are missing is left out, and so is what depends on it; Apply then returns
// delta.ErrGap after it applied the rest. ErrFork and delta.ErrMalformed work alike. A copy
// that was set aside takes no units, and returns ErrJoining. runs are the runs that issued the
// units of each origin: what another run issued goes into a call of its own. Apply keeps the units:
// they must not be written afterwards.
func (n *Namespace) Apply(ctx context.Context, units []delta.Unit, runs delta.Runs) error {
	units, gap := validUnits(units)
	for len(units) > 0 {
		done := 0
		_, err := n.submit(ctx, func(g *group) error {
			if n.c.Joining {
				return ErrJoining // the first thing that it takes is a whole state
			}
			if err := n.spaceFor(forReplication); err != nil {
				return err
			}
			for _, u := range units {
				done++
				u = g.uncovered(u)
				switch ready, err := g.ready(u); {
				case err != nil:
					gap = err
				case ready:
					if g.broken = g.applyUnit(u, runs[u.Origin]); g.broken != nil {
						return g.broken
					}
				}
				if g.large != nil || g.bytes >= maxGroupBytes {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		units = units[done:]
	}
	return gap
}

// validUnits leaves out what nobody may apply, and returns the last reason.
func validUnits(units []delta.Unit) (valid []delta.Unit, err error) {
	valid = units
	for i, u := range units {
		bad := delta.Validate(u)
		for _, e := range u.Entries {
			bad = cmp.Or(bad, delta.ValidateValue(e))
		}
		switch {
		case bad != nil && err == nil:
			valid, err = slices.Clone(units[:i]), bad
		case bad != nil:
			err = bad
		case err != nil:
			valid = append(valid, u)
		}
	}
	return valid, err
}

// uncovered returns what of u the clock does not cover. That is a part of it when two copies write under
// one id and their units have other borders: then the rest is taken as it is, for what follows it is not
// to be held up. Entries that are covered and not here stay dead.
func (g *group) uncovered(u delta.Unit) delta.Unit {
	at := g.clock[u.Origin]
	if u.Origin == g.n.c.Replica || at < u.First || at >= u.Last {
		return u
	}
	u.First = at + 1
	u.Entries = slices.DeleteFunc(slices.Clone(u.Entries), func(e crdt.Entry) bool { return e.Dot.Seq <= at })
	return u
}

// ready reports whether u is next in order. It returns false for what is covered, and
// delta.ErrGap for what is not yet due.
func (g *group) ready(u delta.Unit) (bool, error) {
	if u.Last <= g.clock[u.Origin] {
		return false, nil
	}
	if u.Origin == g.n.c.Replica {
		return false, fmt.Errorf("%w: unit %v:%d", ErrFork, u.Origin, u.First)
	}
	if g.clock[u.Origin] != u.First-1 || !g.clock.CoversAll(u.Deps) {
		return false, fmt.Errorf("%w: %v:%d", delta.ErrGap, u.Origin, u.First)
	}
	for _, k := range u.Kills {
		ahead := func(d crdt.Dot) bool { return !g.clock.Covers(d) }
		if !g.clock.CoversAll(k.Clock) || slices.ContainsFunc(k.Dots, ahead) {
			return false, fmt.Errorf("%w: unit %v:%d kills ahead of its dependencies", delta.ErrMalformed, u.Origin, u.First)
		}
	}
	return true, nil
}

// applyUnit puts a unit that is due into the group. A unit that is too large for it becomes the
// large unit that ends the group.
func (g *group) applyUnit(u delta.Unit, run delta.Run) error {
	for _, k := range u.Kills {
		if k.Prefix == "" {
			continue
		}
		if large, err := g.isLarge(k.Prefix); err != nil {
			return err
		} else if large {
			g.large = &largeChange{Unit: &u, Runs: delta.Runs{}}
			if run != (delta.Run{}) {
				g.large.Runs[u.Origin] = run
			}
			return nil
		}
	}
	g.learnRun(u.Origin, run, u.Last)
	return g.join(u)
}

// learnRun takes over what a peer tells of a replica's latest run: a later one than was known,
// and not before the clock covers its first seq.
func (g *group) learnRun(r crdt.ReplicaID, run delta.Run, seq uint64) {
	known := g.latestRun(r)
	if known.First < run.First && run.First <= seq && r != g.n.c.Replica {
		g.passed[r] = append(g.passed[r], issuer{r, known})
		g.remember(r, known)
		g.runs[r] = run
	}
}

func (g *group) latestRun(r crdt.ReplicaID) delta.Run {
	if run, ok := g.runs[r]; ok {
		return run
	}
	return g.n.c.runs[r]
}

// remember keeps a run of another replica that is not its latest.
func (g *group) remember(r crdt.ReplicaID, run delta.Run) {
	if run == (delta.Run{}) || r == g.n.c.Replica {
		return
	}
	before, ok := g.past[r]
	if !ok {
		before = g.n.c.past[r]
	}
	if after := (delta.Past{r: before}).With(r, run); len(after) > len(before) || !slices.Equal(after, before) {
		g.past[r] = after
	}
}

// isLarge reports whether more lies under prefix than one batch should hold.
func (g *group) isLarge(prefix crdt.Path) (bool, error) {
	limit := g.n.opts.LargeEntries
	if h, err := g.over.head(prefix.ObjectPath()); err != nil || h.Entries <= uint64(limit) {
		return false, err
	}
	paths, err := g.over.paths(prefix, "", limit+1)
	return len(paths) > limit, err
}

// join applies a unit to the overlay: kills first, for a kill never means an entry of its own
// unit.
func (g *group) join(u delta.Unit) error {
	for _, k := range u.Kills {
		if k.Prefix == "" {
			continue
		}
		if err := g.killPrefix(prefixKill{prefix: k.Prefix, clock: k.Clock}); err != nil {
			return err
		}
	}
	return g.joinRest(u)
}

// joinRest applies all of a unit but its kills by prefix.
func (g *group) joinRest(u delta.Unit) error {
	g.stamp.Step++
	for _, k := range u.Kills {
		if err := g.killDots(k.Dots); err != nil {
			return err
		}
	}
	for _, e := range u.Entries {
		if err := g.over.edit(e.Path, crdt.Edit{Add: []crdt.Entry{e}}, g.stamp); err != nil {
			return err
		}
		g.born[e.Dot] = e.Path
		g.observe(e.Time)
	}
	g.clock[u.Origin] = u.Last
	g.since[u.Origin] = u.Last
	g.units = append(g.units, u)
	g.bytes += u.Size()
	return nil
}

// observe takes a foreign timestamp over into the hybrid clock.
func (g *group) observe(t crdt.Timestamp) {
	n := g.n
	if now := n.opts.Now(); !n.c.hlc.Observe(t, now) && !g.ahead {
		g.ahead = true
		n.opts.Event(Event{Namespace: n.name, Kind: EventClockAhead,
			Detail: fmt.Sprintf("a peer's clock is %v ahead", t.Time().Sub(now).Round(1e9))})
	}
}

// killDots removes the entries that are live under the dots.
func (g *group) killDots(dots []crdt.Dot) error {
	for _, d := range dots {
		p, ok := g.born[d]
		if !ok && !g.n.live.Contains(d) {
			continue
		}
		if !ok {
			var err error
			if p, err = g.n.pathOf(d); err != nil {
				return err
			}
		}
		live, err := g.over.entries(p)
		if err != nil {
			return err
		}
		if !holds(live, d) {
			continue // the group has killed it before
		}
		if d.Replica == g.n.c.Replica && (p.IsPresence() || p.IsLease()) {
			g.n.keeper.suspect = true // looked into at the next renewal: whose clock is wrong shall not hurry us
		}
		if err := g.over.edit(p, crdt.Edit{Kill: []crdt.Dot{d}}, g.stamp); err != nil {
			return err
		}
	}
	return nil
}

// pathOf returns the path of a dot that is live in the datastore.
func (n *Namespace) pathOf(d crdt.Dot) (crdt.Path, error) {
	v, ok, err := n.backend.Get(n.keys.index(d))
	if err != nil {
		return "", err
	}
	p := crdt.Path(v)
	if !ok || p == "" {
		return "", fmt.Errorf("%w: live dot %v has no index", ErrDamaged, d)
	}
	es, err := n.c.base.entries(p)
	if err == nil && !holds(es, d) {
		err = fmt.Errorf("%w: live dot %v has no entry", ErrDamaged, d)
	}
	return p, err
}

func holds(es []crdt.Entry, d crdt.Dot) bool {
	return slices.ContainsFunc(es, func(e crdt.Entry) bool { return e.Dot == d })
}

// killPrefix removes what a prefix kill hits.
func (g *group) killPrefix(k prefixKill) error {
	paths, err := g.over.paths(k.prefix, "", int(^uint(0)>>1))
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := g.hit(p, k); err != nil {
			return err
		}
	}
	return nil
}

// hit removes what a prefix kill hits at one path.
func (g *group) hit(p crdt.Path, k prefixKill) error {
	live, err := g.over.entries(p)
	if err != nil {
		return err
	}
	var e crdt.Edit
	for _, x := range live {
		if k.hits(x) {
			e.Kill = append(e.Kill, x.Dot)
		}
	}
	if e.Empty() {
		return nil
	}
	return g.over.edit(p, e, g.stamp)
}
