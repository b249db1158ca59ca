package http

import (
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
)

// maxItems bounds what one request may do. An item is an op, and an added or removed member and an
// inserted value is one; an op with members or values counts as these.
const maxItems = 1000

// action is what an op does.
type action uint16

const (
	actInc action = 1 << iota
	actReset
	actEnable
	actValue
	actMembers // add and remove, in one op or alone
	actInsert
	actSetItem
	actMove
	actDeleteItem
	actDelete
)

// listActions are what an op does to a list.
const listActions = actInsert | actSetItem | actMove | actDeleteItem

var actionNames = map[action]string{actInc: "inc", actReset: "reset", actEnable: "enable", actValue: "value", actMembers: "add and remove",
	actInsert: "insert", actSetItem: "value of an item", actMove: "place of an item", actDeleteItem: "delete of an item", actDelete: "delete"}

// allowed are the actions of each type. At a field of a map every action has its place.
var allowed = map[crdt.Type]action{
	crdt.Bounded:  actInc | actDelete,
	crdt.Counter:  actInc | actReset | actDelete,
	crdt.Flag:     actEnable | actDelete,
	crdt.List:     listActions | actDelete,
	crdt.Register: actValue | actDelete,
	crdt.Set:      actMembers | actDelete,
	crdt.Map:      actInc | actReset | actEnable | actValue | actMembers | listActions | actDelete,
}

// op is one action on one target. The single routes, map ops and batches all come down to it.
type op struct {
	target crdt.Type
	key    string
	path   []string // of a field of a map; nil for the object itself
	action action

	inc         int64
	enable      bool
	value       []byte
	add, remove []string
	listOp
	life lifetime // of what it writes
}

// items is what the op counts for against maxItems.
func (o *op) items() int { return max(1, len(o.add)+len(o.remove)+len(o.insert)) }

// opForm says which members an op may have where it stands.
type opForm struct {
	targets bool // names its target by type and key
	path    bool // may have a path
}

// readOp reads one op.
func readOp(d *jsonReader, form opForm) (op, error) {
	var o op
	hasPath := false
	err := d.object(func(name string) error {
		if t, ok := opTarget(name); ok && form.targets {
			return o.readTarget(d, t)
		}
		if name == "path" && form.path {
			hasPath = true
			var err error
			o.path, err = d.strings()
			return err
		}
		if name == ttlParam || name == expiresParam {
			return o.readLifetime(d, name)
		}
		if ok, err := o.readMember(d, name); ok {
			return err
		}
		return o.readAction(d, name)
	})
	if err == nil {
		err = o.settle(d)
	}
	if err != nil {
		return o, err
	}
	if hasPath && len(o.path) == 0 {
		return o, d.fail("a path names at least one field")
	}
	return o, o.check(d, form)
}

// opTarget returns the type of object that a member of an op or of a condition names. What is announced is
// changed by its own routes alone.
func opTarget(name string) (crdt.Type, bool) {
	t, ok := crdt.ParseType(name)
	return t, ok && t != crdt.Presence
}

func (o *op) readTarget(d *jsonReader, t crdt.Type) (err error) {
	if o.target != 0 {
		return d.fail("an op has one target, not two")
	}
	o.target = t
	o.key, err = d.str()
	return err
}

func (o *op) readAction(d *jsonReader, name string) (err error) {
	act := action(0)
	switch name {
	case "inc":
		act = actInc
		o.inc, err = d.amount()
	case "reset":
		act, err = actReset, d.isTrue()
	case "enable":
		act = actEnable
		o.enable, err = d.boolean()
	case "value":
		act = actValue
		o.value, err = d.value()
	case "add":
		act = actMembers
		o.add, err = d.strings()
	case "remove":
		act = actMembers
		o.remove, err = d.strings()
	case "insert":
		act = actInsert
		o.insert, err = d.values()
	case "delete":
		act, err = actDelete, d.isTrue()
	default:
		return d.fail("the member " + quoted(name) + " has no meaning here")
	}
	if err == nil && o.action != 0 && o.action != act {
		return d.fail("an op has one action, not two")
	}
	o.action = act
	return err
}

// check applies the rules that do not depend on what is stored.
func (o *op) check(d *jsonReader, form opForm) error {
	if form.targets && o.target == 0 {
		return d.fail("an op names one target: bounded, counter, flag, list, set, register or map")
	}
	if o.action == 0 {
		return d.fail("an op has an action")
	}
	if err := o.checkLifetime(); err != nil {
		return err
	}
	if !form.targets {
		return o.checkLimits()
	}
	if len(o.path) > 0 && o.target != crdt.Map {
		return d.fail("only an op on a map has a path")
	}
	if o.target == crdt.Map && len(o.path) == 0 && o.action != actDelete {
		return d.fail("an op on a map has a path")
	}
	if err := checkNames(o.key); err != nil {
		return err
	}
	if err := o.checkType(); err != nil {
		return err
	}
	return o.checkLimits()
}

// checkType returns wrong-type-op for an action that the target's type lacks.
func (o *op) checkType() error {
	if allowed[o.target]&o.action != 0 {
		return nil
	}
	var has []string
	for _, act := range []action{actInc, actReset, actEnable, actMembers, actInsert, actSetItem, actMove, actDeleteItem, actValue, actDelete} {
		if allowed[o.target]&act != 0 {
			has = append(has, actionNames[act])
		}
	}
	return kindWrongType.with("a %v has no action %s; it has %s", o.target, actionNames[o.action], strings.Join(has, ", "))
}

func (o *op) checkLimits() error {
	if err := checkFields(o.path); err != nil {
		return err
	}
	if o.value != nil {
		if err := crdt.CheckValue(o.value); err != nil {
			return err
		}
	}
	if err := checkNames(o.add...); err != nil {
		return err
	}
	return checkNames(o.remove...)
}

// readOps reads {"ops":[…]}, and of a batch the member "if" too.
func readOps(body []byte, form opForm) (ops []op, ifs []objectCondition, err error) {
	d := &jsonReader{b: body}
	items, found := 0, false
	count := func(n int) error {
		if items += n; items > maxItems {
			return errManyItems
		}
		return nil
	}
	err = d.object(func(name string) error {
		switch {
		case name == "ops":
			found = true
			return d.array(func() error {
				o, err := readOp(d, form)
				ops = append(ops, o)
				if err != nil {
					return err
				}
				return count(o.items())
			})
		case name == "if" && form.targets:
			return d.array(func() error {
				c, err := readObjectCondition(d)
				ifs = append(ifs, c)
				if err != nil {
					return err
				}
				return count(1)
			})
		}
		return d.fail("the member " + quoted(name) + " has no meaning here")
	})
	if err == nil {
		err = d.end()
	}
	if err == nil && !found {
		err = d.fail("ops is missing")
	}
	return ops, ifs, err
}

var errManyItems = tooLarge(maxItems, "a request has at most %d items: ops, members to add and to remove, values to insert, and conditions", maxItems)

// readSingle reads a body that is one op on the object in the path, of which it may have only
// the actions given.
func readSingle(body []byte, target crdt.Type, key string, actions action) (op, error) {
	d := &jsonReader{b: body}
	o, err := readOp(d, opForm{})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return o, err
	}
	o.target, o.key = target, key
	if o.items() > maxItems {
		return o, errManyItems
	}
	if allowed[target]&o.action == 0 {
		return o, o.checkType()
	}
	if actions&o.action == 0 {
		return o, badRequest("the action %s has no meaning here", actionNames[o.action])
	}
	return o, nil
}

// at is the path of what the op is about: an object or a field.
func (o *op) at() crdt.Path { return crdt.Object(o.target, o.key).Fields(o.path...) }

// leaf is the path of the child that the action is about.
func (o *op) leaf() crdt.Path {
	switch o.action {
	case actInsert, actSetItem, actMove, actDeleteItem:
		return o.at().Leaf(crdt.List)
	case actInc, actReset:
		if o.target == crdt.Bounded {
			return o.at().Leaf(crdt.Bounded)
		}
		return o.at().Leaf(crdt.Counter)
	case actEnable:
		return o.at().Leaf(crdt.Flag)
	case actMembers:
		return o.at().Leaf(crdt.Set)
	}
	return o.at().Leaf(crdt.Register)
}

// opResult is what an op answers: a counter's value, what changed in a set, ids of a list, or nothing.
type opResult struct {
	Value    *number  `json:"value,omitempty" doc:"After inc and reset: the value of the counter, or bounded counter."`
	Rights   *number  `json:"rights,omitempty" doc:"After inc of a bounded counter: how much may be taken at this daemon."`
	Added    *int     `json:"added,omitempty" doc:"After add and remove: how many members were absent and are there now."`
	Removed  *int     `json:"removed,omitempty" doc:"After add and remove: how many members were there and were removed."`
	Inserted []string `json:"inserted,omitempty" doc:"After insert: the ids of the items."`
}

// empty reports whether there is nothing to tell.
func (r opResult) empty() bool {
	return r.Value == nil && r.Rights == nil && r.Added == nil && r.Removed == nil && r.Inserted == nil
}

// apply does what the op says.
func (o *op) apply(tx Tx, seen crdt.VersionVector) (opResult, error) {
	return writeFor(tx, o.life, func() (opResult, error) { return o.act(tx, seen) })
}

func (o *op) act(tx Tx, seen crdt.VersionVector) (opResult, error) {
	switch o.action {
	case actInc:
		if o.target == crdt.Bounded {
			return o.stock(tx)
		}
		if err := tx.Increment(o.leaf(), o.inc); err != nil {
			return opResult{}, err
		}
		return counterResult(tx, o.leaf())
	case actReset:
		if _, err := tx.Reset(o.leaf(), seen); err != nil {
			return opResult{}, err
		}
		return counterResult(tx, o.leaf())
	case actEnable:
		return opResult{}, o.applyEnable(tx, seen)
	case actMembers:
		return o.applyMembers(tx, seen)
	case actInsert, actSetItem, actMove, actDeleteItem:
		return o.applyList(tx, seen)
	case actValue:
		return opResult{}, o.assign(tx, seen)
	}
	_, err := tx.Delete(o.at(), seen)
	return opResult{}, o.refused(tx, err)
}

func counterResult(tx Tx, leaf crdt.Path) (opResult, error) {
	live, err := tx.Entries(leaf)
	if err != nil {
		return opResult{}, err
	}
	v, err := crdt.CounterValue(live)
	return opResult{Value: new(number(v))}, err
}

func (o *op) applyEnable(tx Tx, seen crdt.VersionVector) error {
	if o.enable {
		return tx.Enable(o.leaf())
	}
	_, err := tx.Remove(o.leaf(), seen)
	return err
}

// applyMembers removes, and then adds: a member that is named in both is there afterwards.
func (o *op) applyMembers(tx Tx, seen crdt.VersionVector) (opResult, error) {
	leaf := o.leaf()
	added, removed := 0, 0
	for _, m := range o.remove {
		gone, err := tx.Remove(leaf.Member(m), seen)
		if err != nil {
			return opResult{}, err
		}
		removed += one(gone)
	}
	done := make(map[string]struct{}, len(o.add))
	for _, m := range o.add {
		if _, ok := done[m]; ok {
			continue
		}
		done[m] = struct{}{}
		fresh, err := tx.Add(leaf.Member(m))
		if err != nil {
			return opResult{}, err
		}
		added += one(fresh)
	}
	return opResult{Added: &added, Removed: &removed}, nil
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// assign writes the value.
func (o *op) assign(tx Tx, seen crdt.VersionVector) error {
	if o.target == crdt.Map {
		return assignField(tx, o.at(), o.value, seen)
	}
	return tx.Assign(o.leaf(), o.value, seen)
}

// assignField writes a register at a field of a map. It takes the place of everything that was
// seen there, of every type.
func assignField(tx Tx, at crdt.Path, value []byte, seen crdt.VersionVector) error {
	leaf := at.Leaf(crdt.Register)
	others, err := holdsOthers(tx, at, leaf)
	if err != nil {
		return err
	}
	if others {
		if _, err := tx.Delete(at, seen); err != nil {
			return err
		}
	}
	return tx.Assign(leaf, value, seen)
}

// holdsOthers reports whether something is live under a field besides its register.
func holdsOthers(rd Reader, field, register crdt.Path) (bool, error) {
	for it, err := range rd.Scan(field, "") {
		if err != nil {
			return false, err
		}
		if it.Path != register {
			return true, nil
		}
	}
	return false, nil
}
