package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strconv"
)

// mostPerPage is the most that a page holds.
const mostPerPage = 1000

// pages asks for page after page. read reads one and returns the cursor of the next, if any. The
// last pair has the error, if there was one.
func pages[T any](ctx context.Context, c *Client, req Request, read func(body []byte) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		req := req
		req.Query = cloned(req.Query)
		if !req.Query.Has("limit") {
			req.Query.Set("limit", strconv.Itoa(mostPerPage))
		}
		for {
			reply, err := c.Do(ctx, req)
			if err != nil {
				yield(none, err)
				return
			}
			items, next, err := read(reply.Body)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			req.Query.Set("cursor", next)
		}
	}
}

// orNone makes an empty list of one that is absent.
func orNone[T any](list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range list {
			if errors.Is(err, ErrNotFound) || !yield(item, err) {
				return
			}
		}
	}
}

// Key names an object of a namespace.
type Key struct {
	Type Type   `json:"type"`
	Key  string `json:"key"`
}

// Keys lists the objects, ordered by type and key; OfType and Prefix choose among them. What is there
// all the time is listed once. A pair with an error is the last.
func (ns *Namespace) Keys(ctx context.Context, opts ...Option) iter.Seq2[Key, error] {
	return pages(ctx, ns.c, ns.request(opts, http.MethodGet, "keys"), func(body []byte) ([]Key, string, error) {
		var page struct {
			Keys []Key  `json:"keys"`
			Next string `json:"next"`
		}
		err := decode(body, &page)
		return page.Keys, page.Next, err
	})
}

// Conflict is an object that holds more than one concurrent value: a register, or a map with fields
// that do.
type Conflict struct {
	Type Type   `json:"type"`
	Key  string `json:"key"`
	// Paths are such fields of a map, the first ten.
	Paths [][]string `json:"paths"`
	// More is set when there may be further ones.
	More bool `json:"more"`
}

// Conflicts lists what holds more than one concurrent value. See Resolve. A pair with an error is the
// last.
func (ns *Namespace) Conflicts(ctx context.Context, opts ...Option) iter.Seq2[Conflict, error] {
	return pages(ctx, ns.c, ns.request(opts, http.MethodGet, "conflicts"), func(body []byte) ([]Conflict, string, error) {
		var page struct {
			Conflicts []Conflict `json:"conflicts"`
			Next      string     `json:"next"`
		}
		err := decode(body, &page)
		return page.Conflicts, page.Next, err
	})
}
