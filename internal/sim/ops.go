package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Few places, so that concurrent operations meet.
var (
	counters = []crdt.Path{
		crdt.Object(crdt.Counter, "visits").Leaf(crdt.Counter),
		crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Counter),
		crdt.Object(crdt.Map, "m").Fields("a", "n").Leaf(crdt.Counter),
	}
	registers = []crdt.Path{
		crdt.Object(crdt.Register, "r").Leaf(crdt.Register),
		crdt.Object(crdt.Map, "m").Field("n").Leaf(crdt.Register),
		crdt.Object(crdt.Map, "m").Fields("a", "v").Leaf(crdt.Register),
	}
	flags = []crdt.Path{
		crdt.Object(crdt.Flag, "f").Leaf(crdt.Flag),
		crdt.Object(crdt.Map, "m").Fields("a", "on").Leaf(crdt.Flag),
	}
	lists = []crdt.Path{
		crdt.Object(crdt.List, "l").Leaf(crdt.List),
		crdt.Object(crdt.Map, "m").Fields("a", "l").Leaf(crdt.List),
	}
	seats = crdt.Object(crdt.Bounded, "seats").Leaf(crdt.Bounded)
	sets  = []crdt.Path{
		crdt.Object(crdt.Set, "s").Leaf(crdt.Set),
		crdt.Object(crdt.Map, "m").Fields("a", "tags").Leaf(crdt.Set),
	}
	subtrees = []crdt.Path{
		crdt.Object(crdt.Counter, "visits"),
		crdt.Object(crdt.Set, "s"),
		crdt.Object(crdt.List, "l"),
		crdt.Object(crdt.Map, "m"),
		crdt.Object(crdt.Map, "m").Field("a"),
	}
)

// write commits one random transaction.
func (n *node) write(rng *rand.Rand) {
	if !n.up {
		return
	}
	var ops []op
	for range 1 + rng.IntN(4) {
		ops = append(ops, n.draw(rng)...)
	}
	n.commit(ops)
	if n.up && rng.IntN(4) == 0 {
		n.w.checkReader(n)
	}
}

// goFar commits one transaction that takes so many seqs. A hundred of them stay live, spread over all.
func (n *node) goFar(seqs int) {
	const stay = 100
	far := crdt.Object(crdt.Set, "far").Leaf(crdt.Set)
	ops := make([]op, stay)
	for i := range ops {
		ops[i] = op{what: add, path: far.Member(fmt.Sprint(i)), amount: int64(seqs / stay)}
		if i%3 == 0 { // some go with all that a delete takes
			ops[i].path = sets[0].Member(fmt.Sprint("far", i))
		}
	}
	n.commit(ops)
}

// draw draws one operation, or one that is made of many.
func (n *node) draw(rng *rand.Rand) []op {
	pick := func(ps []crdt.Path) crdt.Path { return ps[rng.IntN(len(ps))] }
	member := func() crdt.Path { return pick(sets).Member(fmt.Sprint(rng.IntN(10))) }
	switch rng.IntN(17) {
	case 12:
		return []op{{what: add, path: pick(flags)}}
	case 13:
		return []op{{what: remove, path: pick(flags), seen: n.seen(rng)}}
	case 14:
		return []op{{what: stock, path: seats, amount: int64(1 + rng.IntN(5))}, {what: stock, path: seats, amount: -int64(1 + rng.IntN(5))}}
	case 15:
		o := n.w.nodes[rng.IntN(len(n.w.nodes))]
		if o.ns == nil {
			return nil
		}
		return []op{{what: give, path: seats, amount: int64(1 + rng.IntN(3)), to: o.ns.Replica()}}
	case 16:
		return []op{{what: arrange, path: pick(lists), amount: rng.Int64N(1000)}}
	case 0, 1, 2:
		return []op{{what: add, path: member()}}
	case 3:
		return []op{{what: remove, path: member(), seen: n.seen(rng)}}
	case 4:
		// More members than a delete spells out one by one.
		set, ops := pick(sets), make([]op, 70)
		for i := range ops {
			ops[i] = op{what: add, path: set.Member(fmt.Sprint("bulk", i))}
		}
		return ops
	case 5, 6, 7:
		return []op{{what: increment, path: pick(counters), amount: int64(1+rng.IntN(10)) * int64(1-2*rng.IntN(2))}}
	case 8:
		return []op{{what: reset, path: pick(counters), seen: n.seen(rng)}}
	case 9, 10:
		return []op{{what: assign, path: pick(registers), value: fmt.Sprint(rng.IntN(1000)), seen: n.seen(rng)}}
	default:
		return []op{{what: del, path: pick(subtrees), seen: n.seen(rng)}}
	}
}

// seen is what an author may have seen: all, or what this node held at some time.
func (n *node) seen(rng *rand.Rand) crdt.VersionVector {
	if rng.IntN(2) == 0 || len(n.clocks) == 0 {
		return nil
	}
	return n.clocks[rng.IntN(len(n.clocks))]
}

// commit runs operations in a transaction, and returns the clock that covers it; nil when it was
// refused, or when nobody knows what became of it.
func (n *node) commit(ops []op) crdt.VersionVector {
	t := n.transaction(ops)
	r, err := n.ns.Commit(context.Background(), t.run)
	if !n.ended(t, err) {
		return nil
	}
	n.settle()
	return r.Clock
}

// transaction is a transaction that is about to run at a node.
func (n *node) transaction(ops []op) *transaction {
	t := &transaction{ops: ops, branch: n.alone(), self: n.ns.Replica()}
	if n.disk.armed() || t.branch != nil {
		n.w.markers++
		t.marker = crdt.Object(crdt.Set, "marks").Leaf(crdt.Set).Member(fmt.Sprint(n.w.markers))
		t.ops = append(ops, op{what: add, path: t.marker})
	}
	return t
}

// run carries out the operations, and keeps those that did something.
func (t *transaction) run(tx *store.Tx) error {
	t.before = tx.Clock().Clone()
	ops := t.ops
	t.ops = nil
	for _, o := range ops {
		switch err := o.do(tx); {
		case errors.Is(err, crdt.ErrRights) && o.what != empty: // it does nothing
		case err != nil:
			return err
		default:
			t.ops = append(t.ops, o)
		}
	}
	return nil
}

// ended notes how a transaction ended, and reports whether it was not refused.
func (n *node) ended(t *transaction, err error) bool {
	t.end = crdt.Dot{Replica: t.self, Seq: t.before[t.self] + 1}
	if t.branch != nil {
		t.was, t.end.Seq = t.end, math.MaxUint64
	}
	switch {
	case n.disk.isDead():
		if t.before != nil && err != nil {
			n.unknown = append(n.unknown, t)
		}
	case errors.Is(err, store.ErrDiskFull), errors.Is(err, store.ErrJoining), errors.Is(err, crdt.ErrRights):
		return false
	case !errors.Is(err, store.ErrDamaged):
		n.w.must(err, "write at %s", n.id)
	}
	if err == nil {
		n.w.history.put(t)
		n.announced(t)
	}
	return true
}

// resolve notes transactions that had no answer when the power went, if their units have turned up.
func (w *World) resolve(n *node) {
	n.unknown = slices.DeleteFunc(n.unknown, func(t *transaction) bool {
		u, ok := w.units.at(t.end)
		if t.branch != nil {
			u, ok = t.branch.at(t.was)
		}
		if ok = ok && slices.ContainsFunc(u.Entries, func(e crdt.Entry) bool { return e.Path == t.marker }); ok {
			w.history.put(t)
		}
		return ok
	})
}

func (o *op) do(tx *store.Tx) error {
	var err error
	tx.Until(o.until)
	defer tx.Until(0)
	switch o.what {
	case insert:
		var ids []crdt.Position
		if ids, err = tx.Insert(o.path, store.Place{}, [][]byte{[]byte(o.value)}); err == nil {
			o.path = o.path.Member(string(ids[0]))
		}
	case announce:
		err = tx.Announce(o.path, []byte(o.value))
	case withdraw:
		_, err = tx.Withdraw(o.path)
	case add:
		if o.path.LeafType() == crdt.Flag {
			return tx.Enable(o.path)
		}
		for range max(1, o.amount) { // what it adds again takes its own place, and one more seq
			if _, err = tx.Add(o.path); err != nil {
				return err
			}
		}
	case stock:
		err = tx.Stock(o.path, o.amount)
	case give:
		_, err = tx.Give(o.path, o.to, o.amount)
	case arrange:
		err = arrangeList(tx, o.path, o.amount)
	case remove:
		_, err = tx.Remove(o.path, o.seen)
	case increment:
		err = tx.Increment(o.path, o.amount)
	case reset:
		_, err = tx.Reset(o.path, o.seen)
	case assign:
		err = tx.Assign(o.path, []byte(o.value), o.seen)
	case del, empty:
		_, err = tx.Delete(o.path, o.seen)
	}
	return err
}

// arrangeList inserts into a list, or moves, writes or removes one of its items.
func arrangeList(tx *store.Tx, leaf crdt.Path, dice int64) error {
	var ids []crdt.Position
	for it, err := range tx.Scan(leaf, "") {
		if err != nil {
			return err
		}
		parts, err := it.Path.Parse()
		if err != nil {
			return err
		}
		if _, ok, err := crdt.ReadItem(crdt.Position(parts.Member), it.Entries); err != nil || ok {
			ids = append(ids, crdt.Position(parts.Member))
		}
	}
	value := []byte(fmt.Sprint(dice))
	if len(ids) == 0 || dice%5 < 2 {
		_, err := tx.Insert(leaf, store.Place{}, [][]byte{value, value})
		return err
	}
	id := ids[int(dice)%len(ids)]
	var err error
	switch dice % 5 {
	case 2:
		err = tx.MoveItem(leaf, id, store.Place{})
	case 3:
		err = tx.SetItem(leaf, id, value, nil)
	default:
		_, err = tx.RemoveItem(leaf, id, nil)
	}
	return err
}

// client is an application that moves between nodes and carries its token along.
type client struct {
	name  string
	token crdt.VersionVector
	mine  []mine
}

// mine is a member that a client has added, and nobody else touches, where that was done, and what the client
// had seen by then.
type mine struct {
	path crdt.Path
	at   crdt.Dot
	seen crdt.VersionVector
}

// forget has a client begin with a fresh token when something that it has seen is lost.
func (c *client) forget(lost func(crdt.Dot) bool) {
	for r, seq := range c.token {
		if lost(crdt.Dot{Replica: r, Seq: seq}) {
			c.token, c.mine = nil, slices.DeleteFunc(c.mine, func(m mine) bool { return lost(m.at) })
			return
		}
	}
}

// call is one request of a client: it looks for all that it has written, and writes one more.
func (c *client) call(n *node, rng *rand.Rand) {
	if !n.up || !n.healthy() || n.branch != nil { // on one side of a fork a token means something else
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // who does not cover the token now says so at once
	if n.ns.WaitFor(ctx, c.token) != nil {
		return
	}
	v, err := n.ns.View(context.Background())
	n.w.must(err, "view of %s", n.id)
	for _, m := range c.mine {
		if es, err := v.Entries(m.path); err != nil || len(es) == 0 {
			n.w.fail("%s has the token of %s and lacks what it wrote at %q (%v)", n.id, c.name, m.path, err)
		}
	}
	if !v.Clock().CoversAll(c.token) {
		n.w.fail("%s answers %s from a state before its token", n.id, c.name)
	}
	c.token = v.Clock()
	v.Close()
	p := crdt.Object(crdt.Set, c.name).Leaf(crdt.Set).Member(fmt.Sprint(rng.Uint64()))
	if clock := n.commit([]op{{what: add, path: p}}); clock != nil {
		self := n.ns.Replica()
		c.token, c.mine = clock, append(c.mine, mine{p, crdt.Dot{Replica: self, Seq: clock[self]}, c.token})
	}
}

// checkSessions: whoever sees what a client has written sees all that it had written and seen before. So it is
// for the client itself, which carries its token along, and for everybody else.
func (w *World) checkSessions(n *node, v *store.View) {
	for _, c := range w.clients {
		for _, m := range c.mine {
			if !v.Clock().Covers(m.at) {
				continue
			}
			if es, err := v.Entries(m.path); err != nil || len(es) == 0 {
				w.fail("%s lacks what %s has written at %q (%v)", n.id, c.name, m.path, err)
			}
			if !v.Clock().CoversAll(m.seen) {
				w.fail("%s sees what %s has written at %q, and not what it had seen before", n.id, c.name, m.path)
			}
		}
	}
}
