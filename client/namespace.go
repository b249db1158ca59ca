package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// Type is a type of objects.
type Type string

// The types, in the order in which lists have them.
const (
	TypeBounded  Type = "bounded"
	TypeCounter  Type = "counter"
	TypeFlag     Type = "flag"
	TypeList     Type = "list"
	TypeMap      Type = "map"
	TypePresence Type = "presence"
	TypeRegister Type = "register"
	TypeSet      Type = "set"
)

// segments are what the types are called in paths.
var segments = map[Type]string{
	TypeBounded: "bounded", TypeCounter: "counters", TypeFlag: "flags", TypeList: "lists", TypeMap: "maps", TypePresence: "presence",
	TypeRegister: "registers", TypeSet: "sets",
}

// Storage is where a daemon keeps a namespace.
type Storage string

// The places.
const (
	Disk   Storage = "disk"
	Memory Storage = "memory" // gone when the daemon stops; the others keep theirs
)

// NamespaceInfo tells of a namespace.
type NamespaceInfo struct {
	Name    string  `json:"name"`
	Storage Storage `json:"storage"`
}

// Namespaces lists what the daemon holds.
func (c *Client) Namespaces(ctx context.Context) ([]NamespaceInfo, error) {
	var reply struct {
		Namespaces []NamespaceInfo `json:"namespaces"`
	}
	err := c.read(ctx, Request{Method: http.MethodGet, Path: []string{"v1", "ns"}}, &reply)
	return reply.Namespaces, err
}

// CreateNamespace makes a copy of a namespace at the daemon, or confirms that it is there with that
// storage; "" stands for Disk.
func (c *Client) CreateNamespace(ctx context.Context, name string, storage Storage) error {
	body, err := encode(struct {
		Storage Storage `json:"storage,omitempty"`
	}{storage})
	if err != nil {
		return err
	}
	_, err = c.Do(ctx, Request{Method: http.MethodPut, Path: []string{"v1", "ns", name}, Body: body})
	return err
}

// DropNamespace drops the daemon's copy of a namespace. Other daemons keep theirs; what none of
// them has got yet is lost.
func (c *Client) DropNamespace(ctx context.Context, name string) error {
	_, err := c.Do(ctx, Request{Method: http.MethodDelete, Path: []string{"v1", "ns", name}, Query: map[string][]string{"drop": {"local"}}})
	return err
}

// Namespace is a namespace at a daemon. It is safe for concurrent use.
type Namespace struct {
	c    *Client
	name string
	opts []Option
}

// Namespace returns a handle; it sends nothing. The options, In and Wait above all, hold for all its calls,
// reads and writes.
func (c *Client) Namespace(name string, opts ...Option) *Namespace {
	return &Namespace{c: c, name: name, opts: slices.Clone(opts)}
}

// Name is the name of the namespace.
func (ns *Namespace) Name() string { return ns.name }

// With returns a handle with further options.
func (ns *Namespace) With(opts ...Option) *Namespace {
	return ns.c.Namespace(ns.name, slices.Concat(ns.opts, opts)...)
}

// request makes a request of something in the namespace.
func (ns *Namespace) request(opts []Option, method string, path ...string) Request {
	r := Request{Method: method, Path: append([]string{"v1", "ns", ns.name}, path...), ns: ns.name}
	for _, o := range ns.opts {
		o(&r)
	}
	for _, o := range opts {
		o(&r)
	}
	return r
}

// get reads a reply of JSON.
func (ns *Namespace) get(ctx context.Context, opts []Option, into any, path ...string) error {
	return ns.c.read(ctx, ns.request(opts, http.MethodGet, path...), into)
}

// read sends a request and reads a reply of JSON.
func (c *Client) read(ctx context.Context, req Request, into any) error {
	reply, err := c.Do(ctx, req)
	if err != nil {
		return err
	}
	return decode(reply.Body, into)
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", ErrReply, err)
	}
	return nil
}
