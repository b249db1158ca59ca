package http

import (
	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Presence is a page of a presence object in a reply: who is there now.
type Presence struct {
	Type    string           `json:"type" enum:"presence"`
	Key     string           `json:"key" minLength:"1"`
	Members []PresenceMember `json:"members" doc:"In bytewise order of their names."`
	Size    uint64           `json:"size" doc:"How many members there are, whatever prefix and limit are."`
	Next    string           `json:"next,omitempty" doc:"The cursor of the next page; there is none behind the last."`
}

// PresenceMember is a member, and what is announced there.
type PresenceMember struct {
	Member string         `json:"member" minLength:"1"`
	Values []Announcement `json:"values" doc:"One for each daemon that announces the member, the newest first."`
}

// Announcement is what one daemon announces at a member.
type Announcement struct {
	Replica string    `json:"replica" doc:"The replica id of the daemon's copy: 16 hexadecimal digits."`
	Value   jsonValue `json:"value"`
	Expires timestamp `json:"expires,omitempty" doc:"When it ends although its daemon is there."`
}

// PresentMember is one member in a reply.
type PresentMember struct {
	Type string `json:"type" enum:"presence"`
	Key  string `json:"key" minLength:"1"`
	PresenceMember
}

// inMemory returns forbidden in a namespace whose copy here outlives the daemon.
func (r *request) inMemory() error {
	ns, err := r.namespace()
	if err == nil && ns.Storage() != store.Memory {
		err = store.ErrNotMemory
	}
	return err
}

// presence is a route that is there in memory namespaces alone.
func presence(handle func(*request) (*reply, error)) func(*request) (*reply, error) {
	return func(r *request) (*reply, error) {
		if err := r.inMemory(); err != nil {
			return nil, err
		}
		return handle(r)
	}
}

func getPresence(r *request, v View) (any, error) {
	key := r.name("key")
	object := crdt.Object(crdt.Presence, key)
	leaf := object.Leaf(crdt.Presence)
	under := leaf + crdt.Path(crdt.EscapeName(nil, r.prefix()))
	p, err := r.page(under, string(leaf), r.prefix())
	if err != nil {
		return nil, err
	}
	h, err := v.Head(object)
	if err != nil {
		return nil, err
	}
	if h.Visible == 0 {
		return nil, absent(crdt.Presence, key)
	}
	list := Presence{Type: "presence", Key: key, Members: []PresenceMember{}, Size: h.Visible}
	var last crdt.Path
	bytes := 0
	for it, err := range v.Scan(under, p.after) {
		if err != nil {
			return nil, err
		}
		if len(list.Members) == p.limit || bytes > maxPageBytes {
			list.Next = p.next(last)
			break
		}
		m, err := presenceMember(it.Path, it.Entries)
		if err != nil {
			return nil, err
		}
		for _, a := range m.Values {
			bytes += len(a.Value)
		}
		list.Members, last = append(list.Members, m), it.Path
	}
	return list, nil
}

func presenceMember(p crdt.Path, live []crdt.Entry) (PresenceMember, error) {
	name, err := memberOf(p)
	m := PresenceMember{Member: name}
	for _, e := range live {
		m.Values = append(m.Values, Announcement{Replica: e.Dot.Replica.String(), Value: e.Value, Expires: timestampOf(e.Expires)})
	}
	return m, err
}

func (r *request) presencePath() crdt.Path {
	return crdt.Object(crdt.Presence, r.name("key")).Leaf(crdt.Presence).Member(r.name("member"))
}

func getAnnouncement(r *request, v View) (any, error) {
	p := r.presencePath()
	live, err := v.Entries(p)
	if err != nil {
		return nil, err
	}
	if len(live) == 0 {
		return nil, kindNotFound.with("nobody announces the member %s of %s", quoted(r.name("member")), quoted(r.name("key")))
	}
	m, err := presenceMember(p, live)
	return PresentMember{Type: "presence", Key: r.name("key"), PresenceMember: m}, err
}

func putAnnouncement(r *request) (*reply, error) {
	value, err := readValue(r.body)
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, _ crdt.VersionVector) (any, error) {
		return nil, tx.Announce(r.presencePath(), value)
	})
}

func deleteAnnouncement(r *request) (*reply, error) {
	return r.commit(func(tx Tx, _ crdt.VersionVector) (any, error) {
		_, err := tx.Withdraw(r.presencePath())
		return nil, err
	})
}
