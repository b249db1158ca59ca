package store

import (
	"context"
	"fmt"

	"github.com/anabranchdb/anabranch/crdt"
)

// A copy that reports damage is set aside: nothing more is read from it, for a lost entry under
// a clock that covers it would be a delete on every replica. SetAside, or the next open, leaves the
// damaged keys where they are, for whoever wants to look, and begins the copy anew: fresh id, empty
// clock, no answer to anybody before its first complete join or AcceptLoss.

func (k keyspace) aside() string { return string(k) + "/m/aside" }

// setAside marks the copy for the next open. A datastore too damaged to take the mark, or closed,
// will report its damage again.
func (n *Namespace) setAside() {
	n.stagedMu.Lock()
	defer n.stagedMu.Unlock()
	if n.isClosed() {
		return // whose keys may be gone
	}
	var b Batch
	b.Put(n.keys.aside(), []byte{valueVersion})
	_ = applySync(n.backend, &b)
}

// openOrSetAside opens a registered copy, or begins it anew when it is damaged.
func (s *Store) openOrSetAside(name string, storage Storage, id string) (*Namespace, error) {
	_, marked, err := s.disk.Get(keyspace("/" + id).aside())
	if err != nil {
		return nil, err
	}
	if !marked {
		n, err := openNamespace(s, name, storage, id, storage == Memory)
		if err == nil || !isDamage(err) {
			return n, err
		}
		s.opts.Event(Event{Namespace: name, Kind: EventDamaged, Detail: err.Error()})
	}
	h, err := s.carriedHealing(storage, id)
	if err != nil {
		return nil, err
	}
	// Which seqs it issued is not known: what says so is damaged.
	return s.beginAnew(name, storage, h, crdt.Dot{})
}

// carriedHealing returns what a damaged copy had still to heal, as its successor begins with. What
// has been written again in part is left as it is.
func (s *Store) carriedHealing(storage Storage, id string) (*healing, error) {
	backend := s.disk
	if storage == Memory {
		backend = s.memory
	}
	h, err := readHealing(backend, keyspace("/"+id))
	if isDamage(err) || h == nil || h.After != "" {
		return nil, nil // damaged as the rest of the copy
	}
	h.Stage, h.Fork = healNothing, 0
	return h, err
}

// SetAside has a copy that reports damage begin anew while the store is open: under a fresh id,
// with an empty clock, and without an answer to anybody before its first complete join or
// AcceptLoss. It reports false, and does nothing, for a copy that reports no damage. Namespace
// returns the new copy from then on; the former one goes on to return ErrDamaged, and must not be
// in use by a session that could take the new one for it. When it fails it can be tried again.
func (s *Store) SetAside(name string) (bool, error) {
	s.admin.Lock()
	defer s.admin.Unlock()
	former, err := s.Namespace(name)
	if err != nil {
		return false, err
	}
	if f := former.failed.Load(); f == nil || !isDamage(f.err) {
		return false, nil
	}
	former.stop()
	h, err := s.carriedHealing(former.storage, former.id())
	if err != nil {
		return false, err
	}
	last := crdt.Dot{Replica: former.c.Replica, Seq: former.c.clock[former.c.Replica]}
	n, err := s.beginAnew(name, former.storage, h, last)
	if err != nil {
		return false, fmt.Errorf("store: namespace %q cannot be set aside: %w", name, err)
	}
	s.mu.Lock()
	s.spaces[name] = n
	s.mu.Unlock()
	if former.storage == Disk {
		return true, nil
	}
	var b Batch
	b.DeleteRange(former.keys.all()) // nobody can look at them
	return true, applySync(former.backend, &b)
}

// beginAnew makes and registers a copy that waits for its first complete join. last is what the former
// one issued last, if its id may be sealed. admin is held, or
// the store is being opened.
func (s *Store) beginAnew(name string, storage Storage, h *healing, last crdt.Dot) (*Namespace, error) {
	fresh := idOf(s.nextID)
	s.nextID++
	keys := keyspace("/" + fresh)
	m := meta{LogFirst: 1, Joining: true}
	var err error
	if m.Replica, err = newReplicaID(s.opts.Rand); err != nil {
		return nil, err
	}
	var b Batch
	b.Put(keys.meta(), appendMeta(nil, m))
	if h != nil {
		b.Put(keys.heal(), appendHealing(nil, h))
	}
	if last.Seq > 0 {
		b.Put(keys.bequest(), appendBequest(nil, last))
	}
	if storage == Memory {
		if err := applySync(s.memory, &b); err != nil {
			return nil, err
		}
		b.Reset()
	}
	// On disk in one batch with its registration.
	b.Put(registryKey(name), appendRegistration(name, storage, fresh))
	if err := applySync(s.disk, &b); err != nil {
		return nil, err
	}
	n, err := openNamespace(s, name, storage, fresh, false)
	if err != nil {
		return nil, err
	}
	s.opts.Event(Event{Namespace: name, Kind: EventSetAside,
		Detail: "the damaged copy was set aside; the namespace begins anew and answers once it has joined a peer completely"})
	return n, nil
}

// AcceptLoss is the operator's word that a copy which was set aside may answer although it has
// joined nobody: what only this replica held is given up. One that heals a fork goes on with all that the
// former copy held, under its fresh id, as if the directory were a copy.
func (n *Namespace) AcceptLoss(ctx context.Context) error {
	return n.submitAlone(ctx, func() error {
		if !n.c.Joining {
			return nil
		}
		g := n.newGroup()
		if n.c.heal != nil {
			g.acceptFork()
		} else {
			n.c.Joining = false
		}
		g.side.Delete(n.keys.aside())
		if err := n.commitGroup(g); err != nil {
			return err
		}
		return n.finishHealing()
	})
}
