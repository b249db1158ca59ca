package http

import (
	"iter"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// List is a page of a list in a reply.
type List struct {
	Type  string   `json:"type" enum:"list"`
	Key   string   `json:"key" minLength:"1"`
	Path  []string `json:"path,omitempty" doc:"The fields that lead to it, for a list in a map."`
	Items []Item   `json:"items" doc:"In their order."`
	Size  uint64   `json:"size" doc:"How many items the whole list has."`
	Next  string   `json:"next,omitempty" doc:"The cursor of the next page; there is none behind the last."`
}

// Item is an item of a list.
type Item struct {
	ID       string      `json:"id" doc:"What names it, wherever it is moved."`
	Value    jsonValue   `json:"value" doc:"The newest value."`
	Conflict bool        `json:"conflict,omitempty" doc:"Whether concurrent writes have left more than one value. The next write settles it."`
	Values   []jsonValue `json:"values,omitempty" doc:"With a conflict: all values, the newest first."`
	Expires  timestamp   `json:"expires,omitempty" doc:"Of the newest value: when it is hidden, in UTC."`
}

// ListItem is one item in a reply of its own.
type ListItem struct {
	Type string `json:"type" enum:"list"`
	Key  string `json:"key" minLength:"1"`
	Item
}

// ListOp is the body of POST to a list: values to insert, or one item to set, move or delete.
type ListOp struct {
	Insert  []jsonValue `json:"insert,omitempty" doc:"Values to insert, in this order: at the end, or where one of after, before and at says."`
	Item    string      `json:"item,omitempty" doc:"An item to set, by value, to move, by one of after, before and at, or to delete."`
	Value   *jsonValue  `json:"value,omitempty"`
	Delete  bool        `json:"delete,omitempty" enum:"true"`
	After   string      `json:"after,omitempty" doc:"Behind this item, or behind the place where it was."`
	Before  string      `json:"before,omitempty" doc:"Before this item, or before the place where it was."`
	At      string      `json:"at,omitempty" enum:"start,end"`
	TTL     string      `json:"ttl,omitempty" doc:"How long what is written is to be seen, as 90s, 15m or 36h; with insert and value."`
	Expires timestamp   `json:"expires,omitempty" doc:"In place of ttl: until when."`
}

// ListChange tells what a ListOp made.
type ListChange struct {
	Inserted []string `json:"inserted,omitempty" doc:"The ids of the items that were inserted, in their order."`
}

func itemOf(i crdt.Item) Item {
	item := Item{ID: string(i.ID), Value: i.Values[0], Expires: timestampOf(i.Expires)}
	if len(i.Values) > 1 {
		item.Conflict = true
		for _, v := range i.Values {
			item.Values = append(item.Values, v)
		}
	}
	return item
}

// bytes is about what the item takes in a reply.
func (i Item) bytes() int {
	n := len(i.ID) + len(i.Value)
	for _, v := range i.Values {
		n += len(v)
	}
	return n
}

// itemsOf yields the items of a list in their order, each with the path of the place where it
// stands, behind `after`. An item that was moved is looked up where it was inserted.
func itemsOf(rd Reader, leaf, after crdt.Path) iter.Seq2[crdt.Item, error] {
	return func(yield func(crdt.Item, error) bool) {
		for it, err := range rd.Scan(leaf, after) {
			var at string
			if err == nil {
				at, err = memberOf(it.Path)
			}
			if err != nil {
				yield(crdt.Item{}, err)
				return
			}
			place := crdt.Position(at)
			for _, id := range append(crdt.GuestIDs(it.Entries), place) {
				item, ok, err := readItem(rd, leaf, id)
				if err != nil {
					yield(crdt.Item{}, err)
					return
				}
				if ok && item.Place == place && !yield(item, nil) {
					return
				}
			}
		}
	}
}

// readItem reads the item of a list with this id.
func readItem(rd Reader, leaf crdt.Path, id crdt.Position) (crdt.Item, bool, error) {
	live, err := rd.Entries(leaf.Member(string(id)))
	if err != nil {
		return crdt.Item{}, false, err
	}
	return crdt.ReadItem(id, live)
}

func getList(r *request, v View) (any, error) {
	key := r.name("key")
	object := crdt.Object(crdt.List, key)
	l, ok, err := r.readList(v, object, object.Leaf(crdt.List))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, absent(crdt.List, key)
	}
	l.Key = key
	return l, nil
}

// readList reads the page of a list that the request asks for. head is the path of the list's
// head. It returns false when the list is absent.
func (r *request) readList(rd Reader, head, leaf crdt.Path) (List, bool, error) {
	p, err := r.page(leaf, string(leaf))
	if err != nil {
		return List{}, false, err
	}
	h, err := rd.Head(head)
	if err != nil || h.Visible == 0 {
		return List{}, false, err
	}
	l := List{Type: "list", Items: make([]Item, 0, min(uint64(p.limit), h.Visible)), Size: h.Visible}
	bytes := 0
	var last crdt.Path
	for i, err := range itemsOf(rd, leaf, p.after) {
		if err != nil {
			return List{}, false, err
		}
		if len(l.Items) == p.limit || bytes > maxPageBytes {
			l.Next = p.next(last)
			break
		}
		l.Items = append(l.Items, itemOf(i))
		last = leaf.Member(string(i.Place))
		bytes += l.Items[len(l.Items)-1].bytes()
	}
	return l, true, nil
}

// allItems reads the items of a list of which there are few. It returns false when they are more
// than maxBytes.
func allItems(rd Reader, leaf crdt.Path, maxBytes int) (items []crdt.Item, whole bool, err error) {
	for i, err := range itemsOf(rd, leaf, "") {
		if err != nil {
			return nil, false, err
		}
		if maxBytes -= itemOf(i).bytes(); maxBytes < 0 {
			return nil, false, nil
		}
		items = append(items, i)
	}
	return items, true, nil
}

// appendItems appends the plain shape of a list: an array of the newest values.
func appendItems(b []byte, items []crdt.Item) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item.Values[0]...)
	}
	return append(b, ']')
}

// listPath is the leaf of the list in the path of the request.
func (r *request) listPath() crdt.Path { return crdt.Object(crdt.List, r.name("key")).Leaf(crdt.List) }

func getItem(r *request, v View) (any, error) {
	i, ok, err := readItem(v, r.listPath(), crdt.Position(r.name("item")))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, problemOf(crdt.ErrNoElement)
	}
	return ListItem{Type: "list", Key: r.name("key"), Item: itemOf(i)}, nil
}

func putItem(r *request) (*reply, error) {
	value, err := readValue(r.body)
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		return nil, tx.SetItem(r.listPath(), crdt.Position(r.name("item")), value, seen)
	})
}

func deleteItem(r *request) (*reply, error) {
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		_, err := tx.RemoveItem(r.listPath(), crdt.Position(r.name("item")), seen)
		return nil, err
	})
}

func postList(r *request) (*reply, error) {
	o, err := readSingle(r.body, crdt.List, r.name("key"), listActions)
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		result, err := o.apply(tx, seen)
		return ListChange{Inserted: result.Inserted}, err
	})
}

// listOp is what an op says of a list besides its action.
type listOp struct {
	insert [][]byte
	item   crdt.Position
	place  store.Place
	// placed: there is a place. An insert needs none.
	placed bool
}

// readMember reads a member of an op on a list that is no action by itself. It reports false for
// others.
func (o *listOp) readMember(d *jsonReader, name string) (bool, error) {
	var err error
	switch name {
	case "item":
		o.item, err = d.position()
		return true, err
	case "after", "before", "at":
	default:
		return false, nil
	}
	if o.placed {
		return true, d.fail("an op has one place: after, before or at")
	}
	o.placed = true
	switch name {
	case "after":
		o.place.After, err = d.position()
	case "before":
		o.place.Before, err = d.position()
	default:
		var at string
		at, err = d.str()
		if o.place.Start = at == "start"; err == nil && at != "start" && at != "end" {
			err = d.fail("at is start or end")
		}
	}
	return true, err
}

// position reads the id of an item.
func (d *jsonReader) position() (crdt.Position, error) {
	s, err := d.str()
	if err == nil && crdt.CheckPosition(s) != nil {
		err = d.fail("an id of an item is wanted")
	}
	return crdt.Position(s), err
}

// values reads an array of any values.
func (d *jsonReader) values() ([][]byte, error) {
	list := [][]byte{}
	err := d.array(func() error {
		v, err := d.value()
		if err == nil {
			err = crdt.CheckValue(v)
		}
		if list = append(list, v); err == nil && len(list) > maxItems {
			err = errManyItems
		}
		return err
	})
	return list, err
}

// settle makes the action of an op of those that its members named. It says why they do not go
// together.
func (o *op) settle(d *jsonReader) error {
	switch {
	case o.item == "" && o.placed && o.action != actInsert:
		return d.fail("a place is for insert, or for an item to move")
	case o.item == "":
		return nil
	case o.action == 0 && o.placed:
		o.action = actMove
	case o.placed:
		return d.fail("an op on an item has one action: value, a place, or delete")
	case o.action == actValue:
		o.action = actSetItem
	case o.action == actDelete:
		o.action = actDeleteItem
	default:
		return d.fail("an op on an item has one action: value, a place, or delete")
	}
	return nil
}

// applyList does what an op says to a list.
func (o *op) applyList(tx Tx, seen crdt.VersionVector) (opResult, error) {
	leaf := o.leaf()
	switch o.action {
	case actInsert:
		ids, err := tx.Insert(leaf, o.place, o.insert)
		var result opResult
		for _, id := range ids {
			result.Inserted = append(result.Inserted, string(id))
		}
		return result, err
	case actSetItem:
		return opResult{}, tx.SetItem(leaf, o.item, o.value, seen)
	case actMove:
		return opResult{}, tx.MoveItem(leaf, o.item, o.place)
	}
	_, err := tx.RemoveItem(leaf, o.item, seen)
	return opResult{}, err
}
