package store

import "context"

// A copy that reports damage is set aside: nothing more is read from it, for a lost entry under
// a clock that covers it would be a delete on every replica. The next open leaves the damaged
// keys where they are, for whoever wants to look, and begins the copy anew: fresh id, empty
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
	fresh := idOf(s.nextID)
	s.nextID++
	keys := keyspace("/" + fresh)
	m := meta{LogFirst: 1, Joining: true}
	if m.Replica, err = newReplicaID(s.opts.Rand); err != nil {
		return nil, err
	}
	var b Batch
	b.Put(keys.meta(), appendMeta(nil, m))
	b.Put(registryKey(name), appendRegistration(name, storage, fresh))
	if err := applySync(s.disk, &b); err != nil {
		return nil, err
	}
	s.opts.Event(Event{Namespace: name, Kind: EventDamaged,
		Detail: "set aside; the copy begins anew and answers once it has joined a peer completely"})
	return openNamespace(s, name, storage, fresh, false)
}

// AcceptLoss is the operator's word that a copy which was set aside may answer although it has
// joined nobody: what only this replica held is given up.
func (n *Namespace) AcceptLoss(ctx context.Context) error {
	return n.submitAlone(ctx, func() error {
		if !n.c.Joining {
			return nil
		}
		g := n.newGroup()
		n.c.Joining = false
		g.side.Delete(n.keys.aside())
		return n.commitGroup(g)
	})
}
