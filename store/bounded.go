package store

import (
	"github.com/anabranchdb/anabranch/crdt"
)

// Replica returns the id of the replica that the transaction writes as.
func (t *Tx) Replica() crdt.ReplicaID { return t.self }

// Stock adds amount to the bounded counter at p, or takes from it if amount is negative; 0 changes
// nothing. It returns crdt.ErrRights when this replica has no rights to what is to be taken, and
// crdt.ErrOverflow when the value as seen here would leave int64.
func (t *Tx) Stock(p crdt.Path, n int64) error {
	live, err := t.over.entries(p)
	if err != nil {
		return err
	}
	e, err := crdt.Stock(live, p, t.dot(), t.time, n)
	if err != nil || e.Empty() {
		return err
	}
	t.adds = true
	if err := t.note(p, n); err != nil {
		return err
	}
	return t.edit(p, e)
}

// Give moves the rights to at most amount of the bounded counter at p to another replica: as many
// as this one has. It returns how many, which may be none. Errors are those of crdt.Give but
// crdt.ErrRights.
func (t *Tx) Give(p crdt.Path, to crdt.ReplicaID, amount int64) (given int64, err error) {
	live, err := t.over.entries(p)
	if err != nil {
		return 0, err
	}
	x, err := crdt.ReadEscrow(live)
	if err != nil {
		return 0, err
	}
	if rights := x.Rights[t.self]; rights.Cmp(crdt.Int128Of(amount)) < 0 {
		amount, _ = rights.Int64()
	}
	if amount <= 0 || to == t.self || to == 0 {
		return 0, nil
	}
	e, err := crdt.Give(live, p, t.dot(), t.time, to, amount)
	if err != nil {
		return 0, err
	}
	t.adds = true
	return amount, t.edit(p, e)
}

// drain takes what the bounded counter at p holds, as far as seen covers it, and reports whether
// that was anything. What this transaction itself has changed counts as changed since seen.
func (t *Tx) drain(p crdt.Path, seen crdt.VersionVector) (bool, error) {
	live, err := t.over.entries(p)
	if err != nil {
		return false, err
	}
	e, taken, err := crdt.Drain(live, p, t.dot(), t.time, seen)
	if err != nil || e.Empty() {
		return false, err
	}
	if err := t.noteTotals(p, crdt.Uint128{}, taken); err != nil {
		return false, err
	}
	return true, t.edit(p, e)
}
