package http

import (
	"github.com/anabranchdb/anabranch/crdt"
)

// Set is a page of a set in a reply.
type Set struct {
	Type    string   `json:"type" enum:"set"`
	Key     string   `json:"key" minLength:"1"`
	Path    []string `json:"path,omitempty" doc:"The fields that lead to it, for a set in a map."`
	Members []string `json:"members" doc:"Members in bytewise order."`
	Size    uint64   `json:"size" doc:"How many members the whole set has, whatever prefix and limit are."`
	Next    string   `json:"next,omitempty" doc:"The cursor of the next page; there is none behind the last."`
}

// SetOp is the body of POST to a set. What is to be removed is removed first: a member in both
// lists is there afterwards.
type SetOp struct {
	Add     []string  `json:"add,omitempty" doc:"Members to add."`
	Remove  []string  `json:"remove,omitempty" doc:"Members to remove."`
	TTL     string    `json:"ttl,omitempty" doc:"How long what is written is to be seen, as 90s, 15m or 36h; for members to add."`
	Expires timestamp `json:"expires,omitempty" doc:"In place of ttl: until when."`
}

// SetChange tells what a SetOp changed.
type SetChange struct {
	Added   int `json:"added" doc:"How many members were absent and are there now."`
	Removed int `json:"removed" doc:"How many members were there and were removed."`
}

func getSet(r *request, v View) (any, error) {
	key := r.name("key")
	object := crdt.Object(crdt.Set, key)
	s, ok, err := r.readSet(v, object, object.Leaf(crdt.Set))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, absent(crdt.Set, key)
	}
	s.Key = key
	return s, nil
}

// readSet reads the page of a set that the request asks for. head is the path of the set's
// head. It returns false when the set is absent.
func (r *request) readSet(rd Reader, head, leaf crdt.Path) (Set, bool, error) {
	under := leaf + crdt.Path(crdt.EscapeName(nil, r.prefix()))
	p, err := r.page(under, string(leaf), r.prefix())
	if err != nil {
		return Set{}, false, err
	}
	h, err := rd.Head(head)
	if err != nil || h.Visible == 0 {
		return Set{}, false, err
	}
	s := Set{Type: "set", Members: make([]string, 0, min(uint64(p.limit), h.Visible)), Size: h.Visible}
	var last crdt.Path
	for it, err := range rd.Scan(under, p.after) {
		if err != nil {
			return Set{}, false, err
		}
		if len(s.Members) == p.limit {
			s.Next = p.next(last)
			break
		}
		member, err := memberOf(it.Path)
		if err != nil {
			return Set{}, false, err
		}
		s.Members = append(s.Members, member)
		last = it.Path
	}
	return s, true, nil
}

func memberOf(p crdt.Path) (string, error) {
	parts, err := p.Parse()
	return parts.Member, err
}

func (r *request) memberPath() crdt.Path {
	return crdt.Object(crdt.Set, r.name("key")).Leaf(crdt.Set).Member(r.name("member"))
}

func getMember(r *request, v View) (any, error) {
	live, err := v.Entries(r.memberPath())
	if err != nil {
		return nil, err
	}
	if len(live) == 0 {
		return nil, kindNotFound.with("the set %s has no member %s", quoted(r.name("key")), quoted(r.name("member")))
	}
	return nil, nil
}

func putMember(r *request) (*reply, error) {
	return r.commit(func(tx Tx, _ crdt.VersionVector) (any, error) {
		_, err := tx.Add(r.memberPath())
		return nil, err
	})
}

func deleteMember(r *request) (*reply, error) {
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		_, err := tx.Remove(r.memberPath(), seen)
		return nil, err
	})
}

func postSet(r *request) (*reply, error) {
	o, err := readSingle(r.body, crdt.Set, r.name("key"), actMembers)
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		result, err := o.apply(tx, seen)
		if err != nil {
			return nil, err
		}
		return SetChange{Added: *result.Added, Removed: *result.Removed}, nil
	})
}
