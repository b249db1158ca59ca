package client

import "encoding/json"

// ListOps are operations on a list in a batch.
type ListOps struct{ t target }

// List names a list.
func (b *Batch) List(key string) ListOps { return ListOps{target{b: b, typ: TypeList, key: key}} }

// List names the list at the field.
func (o FieldOps) List() ListOps { return ListOps(o) }

// Insert inserts values at a place, in their order. What is said of values at RegisterOps.Set goes for
// them. Without any it does nothing.
func (o ListOps) Insert(at Place, values ...any) *Result {
	if len(values) == 0 {
		return &Result{}
	}
	all := make([]json.RawMessage, len(values))
	for i, v := range values {
		text, err := encode(v)
		o.t.b.fail(err)
		all[i] = text
	}
	r := o.t.add(at.to(op{"insert": all}))
	o.t.b.items += len(values) - 1
	return r
}

// Append inserts values at the end.
func (o ListOps) Append(values ...any) *Result { return o.Insert(End, values...) }

// Set writes the value of an item.
func (o ListOps) Set(id string, value any) *Result {
	text, err := encode(value)
	o.t.b.fail(err)
	return o.t.add(op{"item": id, "value": json.RawMessage(text)})
}

// Move moves an item.
func (o ListOps) Move(id string, to Place) *Result { return o.t.add(to.to(op{"item": id})) }

// Remove removes an item.
func (o ListOps) Remove(id string) *Result { return o.t.add(op{"item": id, "delete": true}) }

// Delete removes all items.
func (o ListOps) Delete() *Result { return o.t.add(op{"delete": true}) }
