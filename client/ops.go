package client

import "encoding/json"

// target is an object in a batch.
type target struct {
	b    *Batch
	typ  Type
	key  string
	path []string // of a field of a map
}

func (t target) add(action op, names ...string) *Result {
	t.b.fail(checkNames(append(names, t.key)...))
	t.b.fail(checkNames(t.path...))
	action[string(t.typ)] = t.key
	if t.path != nil {
		action["path"] = t.path
	}
	return t.b.add(action, len(names))
}

// value adds an operation with a value of the caller's.
func (t target) value(value any) *Result {
	text, err := encode(value)
	t.b.fail(err)
	return t.add(op{"value": json.RawMessage(text)})
}

// CounterOps are operations on a counter in a batch.
type CounterOps struct{ t target }

// Counter names a counter.
func (b *Batch) Counter(key string) CounterOps {
	return CounterOps{target{b: b, typ: TypeCounter, key: key}}
}

// Inc adds n, which may be negative.
func (o CounterOps) Inc(n int64) *Result { return o.t.add(op{"inc": onWire(n)}) }

// Reset takes away what was counted.
func (o CounterOps) Reset() *Result { return o.t.add(op{"reset": true}) }

// Delete is the same as Reset.
func (o CounterOps) Delete() *Result { return o.t.add(op{"delete": true}) }

// BoundedOps are operations on a bounded counter in a batch.
type BoundedOps struct{ t target }

// Bounded names a bounded counter.
func (b *Batch) Bounded(key string) BoundedOps {
	return BoundedOps{target{b: b, typ: TypeBounded, key: key}}
}

// Inc adds n. A negative n takes, which fails, and the batch with it, without the rights: nobody is asked.
func (o BoundedOps) Inc(n int64) *Result { return o.t.add(op{"inc": onWire(n)}) }

// Delete takes everything, which fails without all rights.
func (o BoundedOps) Delete() *Result { return o.t.add(op{"delete": true}) }

// FlagOps are operations on a flag in a batch.
type FlagOps struct{ t target }

// Flag names a flag.
func (b *Batch) Flag(key string) FlagOps { return FlagOps{target{b: b, typ: TypeFlag, key: key}} }

// Enable turns the flag on.
func (o FlagOps) Enable() *Result { return o.t.add(op{"enable": true}) }

// Disable turns the flag off.
func (o FlagOps) Disable() *Result { return o.t.add(op{"enable": false}) }

// SetOps are operations on a set in a batch.
type SetOps struct{ t target }

// Set names a set.
func (b *Batch) Set(key string) SetOps { return SetOps{target{b: b, typ: TypeSet, key: key}} }

// Add adds members. Without any it does nothing.
func (o SetOps) Add(members ...string) *Result { return o.t.members("add", members) }

// Remove removes members. Without any it does nothing.
func (o SetOps) Remove(members ...string) *Result { return o.t.members("remove", members) }

// Delete removes all members.
func (o SetOps) Delete() *Result { return o.t.add(op{"delete": true}) }

func (t target) members(action string, members []string) *Result {
	if len(members) == 0 {
		return &Result{}
	}
	return t.add(op{action: members}, members...)
}

// RegisterOps are operations on a register in a batch.
type RegisterOps struct{ t target }

// Register names a register.
func (b *Batch) Register(key string) RegisterOps {
	return RegisterOps{target{b: b, typ: TypeRegister, key: key}}
}

// Set writes a value: what encoding/json makes of it; a json.RawMessage as it is.
func (o RegisterOps) Set(value any) *Result { return o.t.value(value) }

// Delete removes the register.
func (o RegisterOps) Delete() *Result { return o.t.add(op{"delete": true}) }

// MapOps are operations on a map in a batch.
type MapOps struct{ t target }

// Map names a map.
func (b *Batch) Map(key string) MapOps { return MapOps{target{b: b, typ: TypeMap, key: key}} }

// At names a field, by the fields that lead to it.
func (o MapOps) At(path ...string) FieldOps {
	o.t.path = append([]string{}, path...)
	return FieldOps(o)
}

// Delete removes everything in the map.
func (o MapOps) Delete() *Result { return o.t.add(op{"delete": true}) }

// FieldOps are operations on a field of a map in a batch.
type FieldOps struct{ t target }

// Set writes a value in the place of everything at the field: what encoding/json makes of it; a
// json.RawMessage as it is.
func (o FieldOps) Set(value any) *Result { return o.t.value(value) }

// Inc adds n, which may be negative, to the counter there.
func (o FieldOps) Inc(n int64) *Result { return o.t.add(op{"inc": onWire(n)}) }

// Reset resets the counter there.
func (o FieldOps) Reset() *Result { return o.t.add(op{"reset": true}) }

// Enable turns the flag there on.
func (o FieldOps) Enable() *Result { return o.t.add(op{"enable": true}) }

// Disable turns the flag there off.
func (o FieldOps) Disable() *Result { return o.t.add(op{"enable": false}) }

// Add adds members to the set there. Without any it does nothing.
func (o FieldOps) Add(members ...string) *Result { return o.t.members("add", members) }

// Remove removes members from the set there. Without any it does nothing.
func (o FieldOps) Remove(members ...string) *Result { return o.t.members("remove", members) }

// Delete removes what is at the field and under it.
func (o FieldOps) Delete() *Result { return o.t.add(op{"delete": true}) }
