package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// Errors of Retire.
var (
	// ErrUnknownReplica is returned for a replica id of which nothing was ever heard.
	ErrUnknownReplica = errors.New("store: no change of this replica id is known")
	// ErrOwnReplica is returned for the id under which the copy itself writes.
	ErrOwnReplica = errors.New("store: this copy writes under that replica id")
)

// seals are those that count, by the replica that they seal. The map is replaced, not written.
type seals map[crdt.ReplicaID]crdt.Seal

// Retire is an operator's word that a replica id never returns: it is sealed at the seq that is known
// here, and this copy is its heir. It returns the last seq. Where the id is sealed so already nothing
// is changed. Changes of the id that show up afterwards are taken as any others, and told by
// EventReturned; what was reset of its counters by then may count again.
func (n *Namespace) Retire(ctx context.Context, id crdt.ReplicaID) (final uint64, err error) {
	_, err = n.Commit(ctx, func(t *Tx) error {
		final = t.g.clock[id]
		switch {
		case id == t.self:
			return fmt.Errorf("%w: %v", ErrOwnReplica, id)
		case final == 0:
			return fmt.Errorf("%w: %v", ErrUnknownReplica, id)
		}
		return t.seal(id, final)
	})
	return final, err
}

// seal closes an id at a seq, and has its counters looked at.
func (t *Tx) seal(id crdt.ReplicaID, final uint64) error {
	p := crdt.SealPath(id)
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	if s, sealed, err := crdt.SealOf(live); err != nil || sealed && s.Final >= final {
		return err
	}
	if err := t.edit(p, crdt.Seal{Final: final, Heir: t.self}.Close(live, p, t.dot(), t.time)); err != nil {
		return err
	}
	return t.g.noteInheritance(id)
}

// noteInheritance writes down the counters with entries of an id that is sealed: they are looked at
// after this commit.
func (g *group) noteInheritance(id crdt.ReplicaID) error {
	for seq := range g.n.live.Range(id, 1, g.n.c.clock[id]) {
		p, err := g.n.pathOf(crdt.Dot{Replica: id, Seq: seq})
		if err != nil {
			return err
		}
		if p.LeafType() == crdt.Counter {
			g.noteSettle(p)
		}
	}
	return nil
}

// loadSeals reads the seals of the copy.
func (n *Namespace) loadSeals(snap Snapshot) error {
	n.c.seals = seals{}
	prefix := n.keys.data(crdt.Seals)
	it, err := snap.Iterate(prefix, prefixEnd(prefix))
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		p := n.keys.pathOf(it.Key())
		live, err := decodeEntries(it.Value(), p)
		if err != nil {
			return err
		}
		if err := n.c.seals.set(p, live); err != nil {
			return err
		}
	}
	return it.Err()
}

// set takes over what is live at a path of seals.
func (s seals) set(p crdt.Path, live []crdt.Entry) error {
	id, ok := crdt.SealedAt(p)
	if !ok {
		return nil // of a later version
	}
	seal, sealed, err := crdt.SealOf(live)
	if delete(s, id); sealed {
		s[id] = seal
	}
	return err
}

// buildSeals brings the seals along with what a batch changes.
func (g *group) buildSeals() error {
	var changed seals
	for _, p := range g.over.order {
		if !crdt.Seals.Contains(p) {
			continue
		}
		if changed == nil {
			changed = maps.Clone(g.n.c.seals)
			g.n.c.seals = changed
		}
		if err := changed.set(p, g.over.live[p]); err != nil {
			return err
		}
	}
	return nil
}

// heritage are the sealed ids for which this replica acts now, ascending: it is the heir, and knows all
// that they issued and no more.
func (g *group) heritage() []crdt.ReplicaID {
	var ids []crdt.ReplicaID
	for id, s := range g.n.c.seals {
		if s.Heir == g.n.c.Replica && g.clock[id] == s.Final {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// inherit returns what is to be killed at a counter for the ids in whose place this replica acts.
func inherit(live []crdt.Entry, p crdt.Path, ids []crdt.ReplicaID) crdt.Edit {
	var e crdt.Edit
	for _, id := range ids {
		rest := slices.DeleteFunc(slices.Clone(live), func(x crdt.Entry) bool { return slices.Contains(e.Kill, x.Dot) })
		e.Kill = append(e.Kill, crdt.Inherit(rest, p, id).Kill...)
	}
	slices.SortFunc(e.Kill, crdt.Dot.Compare)
	return e
}

// tellReturned tells, once a start, of a sealed id that has issued more.
func (n *Namespace) tellReturned() {
	for id, s := range n.c.seals {
		if n.c.clock[id] <= s.Final || n.c.returned[id] {
			continue
		}
		if n.c.returned == nil {
			n.c.returned = map[crdt.ReplicaID]bool{}
		}
		n.c.returned[id] = true
		n.opts.Event(Event{Namespace: n.name, Kind: EventReturned, Detail: fmt.Sprintf(
			"replica id %v was retired at seq %d, and has issued seq %d: it lives. Its changes are taken; what was reset of its counters may count again",
			id, s.Final, n.c.clock[id])})
	}
}

// A copy that is set aside while its store is open knows the last seq that it issued: its successor seals
// it, once it has joined a peer.

func (k keyspace) bequest() string { return string(k) + "/m/bequest" }

func appendBequest(b []byte, d crdt.Dot) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(b, valueVersion), uint64(d.Replica)), d.Seq)
}

// acceptBequest seals the id of the copy that this one takes the place of.
func (n *Namespace) acceptBequest() error {
	v, ok, err := n.backend.Get(n.keys.bequest())
	if err != nil || !ok || n.c.Joining {
		return err
	}
	r := newReader(v)
	d := crdt.Dot{Replica: crdt.ReplicaID(r.uint()), Seq: r.uint()}
	if err := r.finish(); err != nil {
		return err
	}
	g := n.newGroup()
	t := g.begin()
	if d.Seq > 0 {
		if err := t.seal(d.Replica, d.Seq); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	g.side.Delete(n.keys.bequest())
	return n.commitGroup(g)
}
