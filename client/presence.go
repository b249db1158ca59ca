package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"
)

// Presence tells who is there: a member is present as long as a daemon that has announced it lives,
// and gone everywhere soon after. It is for namespaces in memory.
type Presence struct{ object }

// Presence returns a handle.
func (ns *Namespace) Presence(key string) Presence { return Presence{object{ns, TypePresence, key}} }

// Present is a member that is present.
type Present struct {
	Member string `json:"member"`
	// Values are what was announced, by each daemon that did, the newest first.
	Values []Announcement `json:"values"`
}

// Announcement is what was announced of a member at one daemon.
type Announcement struct {
	Replica string          `json:"replica"`
	Value   json.RawMessage `json:"value"`
	// Expires is when it ends although its daemon is there; zero for never.
	Expires time.Time `json:"expires"`
}

// Members returns who is present, in bytewise order, page by page. A pair with an error is the last.
func (p Presence) Members(ctx context.Context, opts ...Option) iter.Seq2[Present, error] {
	return orNone(pages(ctx, p.ns.c, p.ns.request(opts, http.MethodGet, p.path()...), func(body []byte) ([]Present, string, error) {
		var page struct {
			Members []Present `json:"members"`
			Next    string    `json:"next"`
		}
		err := decode(body, &page)
		return page.Members, page.Next, err
	}))
}

// Size returns how many members are present.
func (p Presence) Size(ctx context.Context, opts ...Option) (uint64, error) { return p.size(ctx, opts) }

// Get returns a member. ErrNotFound is returned when it is not present.
func (p Presence) Get(ctx context.Context, member string, opts ...Option) (Present, error) {
	var m Present
	err := p.ns.get(ctx, opts, &m, p.path("members", member)...)
	return m, err
}

// Announce makes a member present, with a value, until it is withdrawn, the daemon ends, or TTL or
// Expires ends it. To announce it again takes the place of what was announced at this daemon.
func (p Presence) Announce(ctx context.Context, member string, value any, opts ...Option) error {
	body, err := encode(value)
	if err != nil {
		return err
	}
	req := p.ns.request(opts, http.MethodPut, p.path("members", member)...)
	req.Body = body
	_, err = p.ns.c.Do(ctx, req)
	return err
}

// Withdraw takes back what was announced at this daemon.
func (p Presence) Withdraw(ctx context.Context, member string, opts ...Option) error {
	_, err := p.ns.c.Do(ctx, p.ns.request(opts, http.MethodDelete, p.path("members", member)...))
	return err
}
