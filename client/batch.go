package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// What a daemon takes in one batch; more is ErrTooLarge.
const (
	MaxBatchItems = 1000
	MaxBatchBytes = 512 << 10
)

// Batch collects operations that happen together: all of them or none, seen whole by everybody,
// everywhere. Its methods name an object, and those of what they return add an operation:
//
//	b := ns.Batch()
//	b.Set("cart").Remove("apples")
//	sold := b.Counter("sold").Inc(1)
//	err := b.Commit(ctx)
//
// Later operations see what earlier ones did. It is for one goroutine.
type Batch struct {
	ns         *Namespace
	ops        [][]byte
	conditions [][]byte
	results    []*Result
	items      int
	bytes      int
	err        error // the first
}

// Result is what one operation did; Commit fills it.
type Result struct {
	// Value is that of a counter, as it was behind the operation.
	Value Number `json:"value"`
	// Added and Removed count the members of a set that were new, and that were there.
	Added   int `json:"added"`
	Removed int `json:"removed"`
}

// op is an operation as the API writes it.
type op map[string]any

// Batch begins a batch.
func (ns *Namespace) Batch() *Batch { return &Batch{ns: ns} }

// Len is how many operations there are.
func (b *Batch) Len() int { return len(b.ops) }

// Items is how much of MaxBatchItems is used: an operation is one, a further member of a set is one,
// a condition is one.
func (b *Batch) Items() int { return b.items }

// Bytes is how much of MaxBatchBytes is used.
func (b *Batch) Bytes() int { return b.bytes + len(`{"if":[],"ops":[]}`) }

// Append adds the operations and conditions of another batch of the same namespace.
func (b *Batch) Append(other *Batch) {
	b.ops = append(b.ops, other.ops...)
	b.conditions = append(b.conditions, other.conditions...)
	b.results = append(b.results, other.results...)
	b.items += other.items
	b.bytes += other.bytes
	b.fail(other.err)
}

func (b *Batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// add adds an operation of so many items.
func (b *Batch) add(o op, items int) *Result {
	text, err := encode(o)
	b.fail(err)
	r := &Result{}
	b.ops, b.results = append(b.ops, text), append(b.results, r)
	b.items += max(items, 1)
	b.bytes += len(text) + 1
	return r
}

// IfMatch has nothing happen unless the object at this daemon has this ETag, or exists for "*".
func (b *Batch) IfMatch(t Type, key, etag string) {
	b.condition(op{string(t): key, "etag": etag}, key)
}

// IfAbsent has nothing happen unless the object is absent at this daemon.
func (b *Batch) IfAbsent(t Type, key string) { b.condition(op{string(t): key, "absent": true}, key) }

func (b *Batch) condition(c op, key string) {
	b.fail(checkNames(key))
	text, err := encode(c)
	b.fail(err)
	b.conditions = append(b.conditions, text)
	b.items++
	b.bytes += len(text) + 1
}

// Commit sends the batch and fills the results. An empty one is not sent. When it fails, nothing has
// happened, but for ErrUnreachable.
func (b *Batch) Commit(ctx context.Context, opts ...Option) error {
	if b.err != nil || len(b.ops) == 0 {
		return b.err
	}
	req := b.ns.request(opts, http.MethodPost, "batch")
	req.Body = b.body()
	var reply struct {
		Results []json.RawMessage `json:"results"`
	}
	if err := b.ns.c.read(ctx, req, &reply); err != nil {
		return err
	}
	if len(reply.Results) != len(b.results) {
		return fmt.Errorf("%w: %d results for %d operations", ErrReply, len(reply.Results), len(b.results))
	}
	for i, text := range reply.Results {
		if err := decode(text, b.results[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) body() []byte {
	var body bytes.Buffer
	body.WriteByte('{')
	if len(b.conditions) > 0 {
		body.WriteString(`"if":[`)
		body.Write(bytes.Join(b.conditions, []byte(",")))
		body.WriteString(`],`)
	}
	body.WriteString(`"ops":[`)
	body.Write(bytes.Join(b.ops, []byte(",")))
	body.WriteString(`]}`)
	return body.Bytes()
}

// object is what all handles have in common.
type object struct {
	ns  *Namespace
	typ Type
	key string
}

// Key is the key of the object.
func (o object) Key() string { return o.key }

// path is that of the object in the API, or of something in it.
func (o object) path(more ...string) []string {
	return append([]string{segments[o.typ], o.key}, more...)
}

// write commits operations on the object, and makes conditions of a batch of those on a request.
func (o object) write(ctx context.Context, opts []Option, ops func(*Batch)) error {
	b := o.ns.Batch()
	ops(b)
	req := o.ns.request(opts, http.MethodPost)
	if req.IfMatch != "" {
		b.IfMatch(o.typ, o.key, req.IfMatch)
	}
	if strings.TrimSpace(req.IfNoneMatch) == "*" {
		b.IfAbsent(o.typ, o.key)
		req.IfNoneMatch = ""
	}
	none := func(r *Request) { r.IfMatch, r.IfNoneMatch = "", req.IfNoneMatch }
	return b.Commit(ctx, append(opts[:len(opts):len(opts)], none)...)
}

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
