package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// List is a list of JSON values: what several writers insert at one place at the same time does not
// interleave, an item that is moved by several stands in one place, and to move or update an item wins
// against removing it.
type List struct{ object }

// List returns a handle.
func (ns *Namespace) List(key string) List { return List{object{ns, TypeList, key}} }

// Item is an item of a list.
type Item struct {
	// ID names the item, wherever it stands.
	ID string `json:"id"`
	// Value is its value; of several the newest.
	Value json.RawMessage `json:"value"`
	// Conflict is set when writers did not see each other; then Values are all values, the newest
	// first.
	Conflict bool              `json:"conflict"`
	Values   []json.RawMessage `json:"values"`
}

// Place is where in a list something goes.
type Place struct{ relation, id string }

// The ends of a list.
var (
	Start = Place{"at", "start"}
	End   = Place{"at", "end"}
)

// After is the place behind an item. It is good when the item was removed meanwhile, too.
func After(id string) Place { return Place{"after", id} }

// Before is the place before an item. It is good when the item was removed meanwhile, too.
func Before(id string) Place { return Place{"before", id} }

// to says in an operation where something goes.
func (p Place) to(o op) op {
	if p.relation != "" {
		o[p.relation] = p.id
	}
	return o
}

// Items returns the items in order, page by page; an absent list has none. A pair with an error is the
// last.
func (l List) Items(ctx context.Context, opts ...Option) iter.Seq2[Item, error] {
	return items(ctx, l.ns.c, l.ns.request(opts, http.MethodGet, l.path()...))
}

func items(ctx context.Context, c *Client, req Request) iter.Seq2[Item, error] {
	return orNone(pages(ctx, c, req, func(body []byte) ([]Item, string, error) {
		var page struct {
			Items []Item `json:"items"`
			Next  string `json:"next"`
		}
		err := decode(body, &page)
		return page.Items, page.Next, err
	}))
}

// Size returns the number of items, 0 for an absent list. It is known without reading them.
func (l List) Size(ctx context.Context, opts ...Option) (uint64, error) {
	return l.size(ctx, opts)
}

// Get returns an item. ErrNotFound is returned when it is not there.
func (l List) Get(ctx context.Context, id string, opts ...Option) (Item, error) {
	var i Item
	err := l.ns.get(ctx, opts, &i, l.path("items", id)...)
	return i, err
}

// Append inserts a value at the end and returns the id of its item. What is said of values at Register.Set
// goes for it.
func (l List) Append(ctx context.Context, value any, opts ...Option) (id string, err error) {
	ids, err := l.Insert(ctx, End, []any{value}, opts...)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// Insert inserts values at a place, in their order, all or none, and returns the ids of their items.
func (l List) Insert(ctx context.Context, at Place, values []any, opts ...Option) ([]string, error) {
	var r *Result
	err := l.write(ctx, opts, func(b *Batch) { r = b.List(l.key).Insert(at, values...) })
	if err == nil && len(r.Inserted) != len(values) {
		err = ErrReply
	}
	return r.Inserted, err
}

// Set writes the value of an item. ErrNotFound is returned when it is not there.
func (l List) Set(ctx context.Context, id string, value any, opts ...Option) error {
	return l.write(ctx, opts, func(b *Batch) { b.List(l.key).Set(id, value) })
}

// Move moves an item. ErrNotFound is returned when it is not there.
func (l List) Move(ctx context.Context, id string, to Place, opts ...Option) error {
	return l.write(ctx, opts, func(b *Batch) { b.List(l.key).Move(id, to) })
}

// Remove removes an item, as far as this daemon, or the token, has seen it.
func (l List) Remove(ctx context.Context, id string, opts ...Option) error {
	return l.write(ctx, opts, func(b *Batch) { b.List(l.key).Remove(id) })
}

// Delete removes all items that this daemon, or the token, has seen.
func (l List) Delete(ctx context.Context, opts ...Option) error {
	return l.write(ctx, opts, func(b *Batch) { b.List(l.key).Delete() })
}
