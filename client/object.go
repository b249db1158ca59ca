package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// object is what all handles have in common.
type object struct {
	ns  *Namespace
	typ Type
	key string
}

// Key is the key of the object.
func (o object) Key() string { return o.key }

// path is that of the object in the API, or of something in it.
func (o object) path(more ...string) []string {
	return append([]string{segments[o.typ], o.key}, more...)
}

// write commits operations on the object. What the options ask of a request for one object, conditions
// and a deadline, it asks of the batch.
func (o object) write(ctx context.Context, opts []Option, ops func(*Batch)) error {
	b, req := o.ns.Batch(), o.ns.request(opts, http.MethodPost)
	b.deadline = op{}
	for _, name := range deadlines {
		if req.Query.Has(name) {
			b.deadline[name] = req.Query.Get(name)
		}
	}
	ops(b)
	if b.dated { // else the daemon refuses it, as it does everywhere
		for _, name := range deadlines {
			req.Query.Del(name)
		}
	}
	if req.IfMatch != "" {
		b.IfMatch(o.typ, o.key, req.IfMatch)
	}
	if strings.TrimSpace(req.IfNoneMatch) == "*" {
		b.IfAbsent(o.typ, o.key)
		req.IfNoneMatch = ""
	}
	none := func(r *Request) { r.IfMatch, r.IfNoneMatch, r.Query = "", req.IfNoneMatch, req.Query }
	return b.Commit(ctx, append(opts[:len(opts):len(opts)], none)...)
}

// size returns how many parts an object has, 0 when it is absent.
func (o object) size(ctx context.Context, opts []Option) (uint64, error) {
	var reply struct {
		Size uint64 `json:"size"`
	}
	err := o.ns.get(ctx, append(opts[:len(opts):len(opts)], PageSize(1)), &reply, o.path()...)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return reply.Size, err
}
