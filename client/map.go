package client

import (
	"context"
	"encoding/json"
	"iter"
	"math/big"
	"net/http"
	"slices"
	"time"
)

// Map is a nested object of registers, counters, flags, lists and sets.
type Map struct{ object }

// Map returns a handle.
func (ns *Namespace) Map(key string) Map { return Map{object{ns, TypeMap, key}} }

// Get returns the whole map as a JSON object; see the function Get for types, and Number for its counters.
// ErrNotFound is returned when it is absent, ErrTooLarge when it is too large to be shown whole: see
// Fields.
func (m Map) Get(ctx context.Context, opts ...Option) (Value, error) {
	return m.ns.value(ctx, opts, m.path()...)
}

// Fields returns everything that stands at the fields, with types and concurrent values, in bytewise
// order of the paths, page by page: the typed shape. A pair with an error is the last.
func (m Map) Fields(ctx context.Context, opts ...Option) iter.Seq2[FieldState, error] {
	return typed(ctx, m.ns, opts, m.path())
}

func typed(ctx context.Context, ns *Namespace, opts []Option, path []string) iter.Seq2[FieldState, error] {
	opts = append(opts[:len(opts):len(opts)], query("shape", "typed"))
	return pages(ctx, ns.c, ns.request(opts, http.MethodGet, path...), func(body []byte) ([]FieldState, string, error) {
		var page struct {
			Fields []FieldState `json:"fields"`
			Next   string       `json:"next"`
		}
		err := decode(body, &page)
		return page.Fields, page.Next, err
	})
}

// FieldState is what stands at one field of a map.
type FieldState struct {
	// Path are the fields that lead here, from the map down.
	Path []string `json:"path"`
	Content
	// Conflict is set when there are siblings, or two types.
	Conflict bool `json:"conflict"`
	// Others are the other types here, the newest first.
	Others []Content `json:"others"`
	// Hidden is set when a plain read shows something else at a field above.
	Hidden bool `json:"hidden"`
}

// Content is what stands at a field with one type. Of a map it is only said that it is there: its
// fields are listed on their own.
type Content struct {
	Type Type `json:"type"`
	// Value is that of a register, of siblings the newest, of a counter (see Number), or true of a flag.
	Value json.RawMessage `json:"value"`
	// Values are the siblings of a register, the newest first.
	Values []json.RawMessage `json:"values"`
	// Members are those of a set; none when there are more than 1000.
	Members []string `json:"members"`
	// Items are those of a list; none when there are more than 1000, or they are large.
	Items []Item `json:"items"`
	// Expires is when a flag, or the newest value of a register, is over; zero for never. Deadlines are
	// those of members of a set that have one.
	Expires   time.Time            `json:"expires"`
	Deadlines map[string]time.Time `json:"deadlines"`
	// Size is how many members a set has, and items a list.
	Size uint64 `json:"size"`
}

// Edit changes many fields, all or nothing, and returns the map as it is then: of a large one the first
// page of fields. edit adds the operations.
//
//	ada, err := ns.Map("ada").Edit(ctx, func(m client.MapOps) {
//		m.At("address", "city").Set("Delft")
//		m.At("visits").Inc(1)
//	})
func (m Map) Edit(ctx context.Context, edit func(MapOps), opts ...Option) (json.RawMessage, error) {
	b := m.ns.Batch()
	edit(b.Map(m.key))
	if b.err != nil {
		return nil, b.err
	}
	ops := make([]map[string]json.RawMessage, len(b.ops))
	for i, text := range b.ops {
		if err := json.Unmarshal(text, &ops[i]); err != nil {
			return nil, err
		}
		delete(ops[i], string(TypeMap))
	}
	return m.patch(ctx, opts, "application/json", map[string]any{"ops": ops})
}

// Merge merges a JSON object into the map, as RFC 7396 says, and returns the map as it is then. What is
// equal already is not written, so that a map may be read, changed and sent back whole.
func (m Map) Merge(ctx context.Context, patch any, opts ...Option) (json.RawMessage, error) {
	return m.patch(ctx, opts, "application/merge-patch+json", patch)
}

func (m Map) patch(ctx context.Context, opts []Option, mediaType string, body any) (json.RawMessage, error) {
	text, err := encode(body)
	if err != nil {
		return nil, err
	}
	req := m.ns.request(opts, http.MethodPatch, m.path()...)
	req.Body, req.ContentType = text, mediaType
	var reply struct {
		Value json.RawMessage `json:"value"`
	}
	err = m.ns.c.read(ctx, req, &reply)
	return reply.Value, err
}

// Delete removes everything in the map that this daemon, or the token, has seen.
func (m Map) Delete(ctx context.Context, opts ...Option) error {
	return m.write(ctx, opts, func(b *Batch) { b.Map(m.key).Delete() })
}

// Field is a field of a map, by the fields that lead to it.
type Field struct {
	m    Map
	path []string
}

// At returns a handle of a field.
func (m Map) At(path ...string) Field { return Field{m, slices.Clone(path)} }

func (f Field) segments() []string { return f.m.path(append([]string{"fields"}, f.path...)...) }

// Get returns what is there as JSON: the value of a register, a counter as a number, or a map as an
// object. Of a set it returns nothing: see Members. ErrNotFound is returned when nothing is there.
func (f Field) Get(ctx context.Context, opts ...Option) (Value, error) {
	return f.m.ns.value(ctx, opts, f.segments()...)
}

// Int64 returns the value of the counter there. ErrRange is returned when it does not fit.
func (f Field) Int64(ctx context.Context, opts ...Option) (int64, error) {
	n, err := Get[Number](ctx, f, opts...)
	if err != nil {
		return 0, err
	}
	return n.Int64()
}

// Big returns the value of the counter there, whatever its size.
func (f Field) Big(ctx context.Context, opts ...Option) (*big.Int, error) {
	n, err := Get[Number](ctx, f, opts...)
	if err != nil {
		return nil, err
	}
	return n.Big(), nil
}

// Members returns the members of the set there, as Set.Members does.
func (f Field) Members(ctx context.Context, opts ...Option) iter.Seq2[string, error] {
	return members(ctx, f.m.ns.c, f.m.ns.request(opts, http.MethodGet, f.segments()...))
}

// Items returns the items of the list there, as List.Items does. Batch and Edit change it.
func (f Field) Items(ctx context.Context, opts ...Option) iter.Seq2[Item, error] {
	return items(ctx, f.m.ns.c, f.m.ns.request(opts, http.MethodGet, f.segments()...))
}

// Fields returns what is at the field and under it, as Map.Fields does.
func (f Field) Fields(ctx context.Context, opts ...Option) iter.Seq2[FieldState, error] {
	return typed(ctx, f.m.ns, opts, f.segments())
}

func (f Field) write(ctx context.Context, opts []Option, ops func(FieldOps)) error {
	return f.m.write(ctx, opts, func(b *Batch) { ops(b.Map(f.m.key).At(f.path...)) })
}

// Set writes a value in the place of everything there, as Register.Set does.
func (f Field) Set(ctx context.Context, value any, opts ...Option) error {
	return f.write(ctx, opts, func(o FieldOps) { o.Set(value) })
}

// Inc adds n to the counter there and returns its value, as Counter.Inc does.
func (f Field) Inc(ctx context.Context, n int64, opts ...Option) (int64, error) {
	var r *Result
	if err := f.write(ctx, opts, func(o FieldOps) { r = o.Inc(n) }); err != nil {
		return 0, err
	}
	return r.Value.Int64()
}

// Reset resets the counter there.
func (f Field) Reset(ctx context.Context, opts ...Option) error {
	return f.write(ctx, opts, func(o FieldOps) { o.Reset() })
}

// Enable turns the flag there on. Get reads it, as a bool.
func (f Field) Enable(ctx context.Context, opts ...Option) error {
	return f.write(ctx, opts, func(o FieldOps) { o.Enable() })
}

// Disable turns the flag there off, as Flag.Disable does.
func (f Field) Disable(ctx context.Context, opts ...Option) error {
	return f.write(ctx, opts, func(o FieldOps) { o.Disable() })
}

// Add adds a member to the set there and reports whether it is new at this daemon.
func (f Field) Add(ctx context.Context, member string, opts ...Option) (bool, error) {
	var r *Result
	err := f.write(ctx, opts, func(o FieldOps) { r = o.Add(member) })
	return err == nil && r.Added > 0, err
}

// Remove removes a member from the set there and reports whether it was there.
func (f Field) Remove(ctx context.Context, member string, opts ...Option) (bool, error) {
	var r *Result
	err := f.write(ctx, opts, func(o FieldOps) { r = o.Remove(member) })
	return err == nil && r.Removed > 0, err
}

// Delete removes what is at the field and under it, as far as this daemon, or the token, has seen it.
func (f Field) Delete(ctx context.Context, opts ...Option) error {
	return f.write(ctx, opts, func(o FieldOps) { o.Delete() })
}
