package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Register is a single JSON value: a write takes the place of what its writer saw.
type Register struct{ object }

// Register returns a handle.
func (ns *Namespace) Register(key string) Register { return Register{object{ns, TypeRegister, key}} }

// Value is what a register, or a field of a map, holds.
type Value struct {
	// JSON is the value as it was written; of several the newest.
	JSON json.RawMessage
	// Siblings are all values, the newest first, when writers did not see each other; else none.
	Siblings []json.RawMessage
	// Context is the token of the reply: a write with it takes the place of exactly these.
	Context string
	// ETag is for IfMatch; fields have none.
	ETag string
	// Expires is when the value is over; zero for never.
	Expires time.Time
}

// All returns the siblings, or the one value.
func (v Value) All() []json.RawMessage {
	if len(v.Siblings) > 0 {
		return v.Siblings
	}
	return []json.RawMessage{v.JSON}
}

// Get returns what the register holds. ErrNotFound is returned when it is absent. The functions Get,
// Update and Resolve of this package do it with types.
func (r Register) Get(ctx context.Context, opts ...Option) (Value, error) {
	return r.ns.value(ctx, opts, r.path()...)
}

// value reads a reply that shows one value.
func (ns *Namespace) value(ctx context.Context, opts []Option, path ...string) (Value, error) {
	reply, err := ns.c.Do(ctx, ns.request(opts, "GET", path...))
	if err != nil {
		return Value{}, err
	}
	var body struct {
		Type    Type              `json:"type"`
		Value   json.RawMessage   `json:"value"`
		Values  []json.RawMessage `json:"values"`
		Expires time.Time         `json:"expires"`
	}
	if err := decode(reply.Body, &body); err != nil {
		return Value{}, err
	}
	if body.Type == TypeCounter {
		body.Value = bare(body.Value)
	}
	return Value{JSON: body.Value, Siblings: body.Values, Context: reply.Context(), ETag: reply.ETag(), Expires: body.Expires}, nil
}

// bare turns a counter's text of digits into a JSON number, which Go reads exactly.
func bare(value json.RawMessage) json.RawMessage {
	var n Number
	if n.UnmarshalJSON(value) != nil {
		return value
	}
	return json.RawMessage(n.String())
}

// Set writes a value: what encoding/json makes of it; a json.RawMessage as it is. It takes the place
// of what this daemon, or the token, has seen.
func (r Register) Set(ctx context.Context, value any, opts ...Option) error {
	return r.write(ctx, opts, func(b *Batch) { b.Register(r.key).Set(value) })
}

// Delete removes the values that this daemon, or the token, has seen.
func (r Register) Delete(ctx context.Context, opts ...Option) error {
	return r.write(ctx, opts, func(b *Batch) { b.Register(r.key).Delete() })
}

// Readable is a handle that shows one JSON value: a Register, a Map or a Field.
type Readable interface {
	Get(ctx context.Context, opts ...Option) (Value, error)
}

// Get reads a value into a Go type, as encoding/json does. ErrNotFound is returned when nothing is there.
func Get[T any](ctx context.Context, from Readable, opts ...Option) (T, error) {
	var into T
	v, err := from.Get(ctx, opts...)
	if err != nil {
		return into, err
	}
	return into, json.Unmarshal(v.JSON, &into)
}

// Writable is a handle of one value that is read and written whole: a Register or a Field.
type Writable interface {
	Readable
	Set(ctx context.Context, value any, opts ...Option) error
}

// Siblings reads all concurrent values into a Go type, the newest first.
func Siblings[T any](ctx context.Context, from Writable, opts ...Option) ([]T, error) {
	v, err := from.Get(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return siblings[T](v)
}

func siblings[T any](v Value) ([]T, error) {
	all := make([]T, len(v.All()))
	for i, text := range v.All() {
		if err := json.Unmarshal(text, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Resolve settles a conflict: it has merge make one value of the concurrent ones, the newest first,
// and writes it in the place of exactly those. Without a conflict it writes nothing. What somebody
// else writes meanwhile stays beside it, as a conflict again.
func Resolve[T any](ctx context.Context, at Writable, merge func([]T) (T, error), opts ...Option) error {
	v, err := at.Get(ctx, opts...)
	if err != nil || len(v.Siblings) == 0 {
		return err
	}
	all, err := siblings[T](v)
	if err != nil {
		return err
	}
	merged, err := merge(all)
	if err != nil {
		return err
	}
	return at.Set(ctx, merged, append(opts[:len(opts):len(opts)], WithContext(v.Context))...)
}

// maxUpdates bounds how often Update begins anew.
const maxUpdates = 100

// Update reads a register, has change make a new value of the old one (the zero value when it is
// absent), and writes it only if nobody wrote at this daemon in between; else it begins anew. What
// is written at other daemons at the same time stays beside it, as a conflict. It returns what it
// wrote. ErrPreconditionFailed is returned when it was too slow a hundred times.
func Update[T any](ctx context.Context, r Register, change func(old T) (T, error), opts ...Option) (T, error) {
	var none T
	opts = opts[:len(opts):len(opts)]
	for n := 0; ; n++ {
		var old T
		condition := []Option{IfAbsent()}
		v, err := r.Get(ctx, opts...)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return none, err
		default:
			condition = []Option{IfMatch(v.ETag), WithContext(v.Context)}
			if err := json.Unmarshal(v.JSON, &old); err != nil {
				return none, err
			}
		}
		value, err := change(old)
		if err != nil {
			return none, err
		}
		err = r.Set(ctx, value, append(opts, condition...)...)
		if err == nil {
			return value, nil
		}
		if n == maxUpdates || !errors.Is(err, ErrPreconditionFailed) {
			return none, err
		}
	}
}
