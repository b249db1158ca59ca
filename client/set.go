package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
)

// Set is a set of texts: an add wins against a removal that did not see it.
type Set struct{ object }

// Set returns a handle.
func (ns *Namespace) Set(key string) Set { return Set{object{ns, TypeSet, key}} }

// Members returns the members in bytewise order, page by page; an absent set has none. Prefix chooses
// among them. A pair with an error is the last.
func (s Set) Members(ctx context.Context, opts ...Option) iter.Seq2[string, error] {
	return members(ctx, s.ns.c, s.ns.request(opts, http.MethodGet, s.path()...))
}

func members(ctx context.Context, c *Client, req Request) iter.Seq2[string, error] {
	return orNone(pages(ctx, c, req, func(body []byte) ([]string, string, error) {
		var page struct {
			Members []string `json:"members"`
			Next    string   `json:"next"`
		}
		err := decode(body, &page)
		return page.Members, page.Next, err
	}))
}

// Size returns the number of members, 0 for an absent set. It is known without reading them.
func (s Set) Size(ctx context.Context, opts ...Option) (uint64, error) {
	return s.size(ctx, opts)
}

// Has reports whether the set has a member.
func (s Set) Has(ctx context.Context, member string, opts ...Option) (bool, error) {
	_, err := s.ns.c.Do(ctx, s.ns.request(opts, http.MethodGet, s.path("members", member)...))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Add adds a member and reports whether it is new at this daemon.
func (s Set) Add(ctx context.Context, member string, opts ...Option) (bool, error) {
	added, _, err := s.Change(ctx, []string{member}, nil, opts...)
	return added > 0, err
}

// Remove removes a member, as far as this daemon, or the token, has seen it, and reports whether it
// was there.
func (s Set) Remove(ctx context.Context, member string, opts ...Option) (bool, error) {
	_, removed, err := s.Change(ctx, nil, []string{member}, opts...)
	return removed > 0, err
}

// Change adds and removes many members, all or none. Removals come first. It returns how many were
// new, and how many were there.
func (s Set) Change(ctx context.Context, add, remove []string, opts ...Option) (added, removed int, err error) {
	var out, in *Result
	err = s.write(ctx, opts, func(b *Batch) {
		out, in = b.Set(s.key).Remove(remove...), b.Set(s.key).Add(add...)
	})
	return in.Added, out.Removed, err
}

// Delete removes all members that this daemon, or the token, has seen.
func (s Set) Delete(ctx context.Context, opts ...Option) error {
	return s.write(ctx, opts, func(b *Batch) { b.Set(s.key).Delete() })
}
