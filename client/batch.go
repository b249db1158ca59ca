package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"
)

// What a daemon takes in one batch; more is ErrTooLarge.
const (
	MaxBatchItems = 1000
	MaxBatchBytes = 512 << 10
)

// Batch collects operations that happen together: all of them or none, seen whole by everybody,
// everywhere. Its methods name an object, and those of what they return add an operation:
//
//	b := ns.Batch()
//	b.Set("cart").Remove("apples")
//	sold := b.Counter("sold").Inc(1)
//	err := b.Commit(ctx)
//
// Later operations see what earlier ones did. It is for one goroutine.
type Batch struct {
	ns         *Namespace
	ops        [][]byte
	conditions [][]byte
	results    []*Result
	items      int
	bytes      int
	deadline   op    // of what the next operations write
	dated      bool  // an operation has one
	err        error // the first
}

// Result is what one operation did; Commit fills it.
type Result struct {
	// Value is that of a counter, as it was behind the operation.
	Value Number `json:"value"`
	// Added and Removed count the members of a set that were new, and that were there.
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// Inserted are the ids of the items that a list was given, in order.
	Inserted []string `json:"inserted"`
}

// op is an operation as the API writes it.
type op map[string]any

// deadlines are the ways to give one, in a query and in an operation.
var deadlines = []string{"ttl", "expires"}

// writes reports whether the operation writes what can be over some time.
func (o op) writes() bool {
	for _, action := range []string{"value", "add", "insert"} {
		if _, ok := o[action]; ok {
			return true
		}
	}
	return o["enable"] == true
}

// Batch begins a batch.
func (ns *Namespace) Batch() *Batch { return &Batch{ns: ns} }

// Len is how many operations there are.
func (b *Batch) Len() int { return len(b.ops) }

// Items is how much of MaxBatchItems is used: an operation is one, a further member of a set is one,
// a condition is one.
func (b *Batch) Items() int { return b.items }

// Bytes is how much of MaxBatchBytes is used.
func (b *Batch) Bytes() int { return b.bytes + len(`{"if":[],"ops":[]}`) }

// Append adds the operations and conditions of another batch of the same namespace.
func (b *Batch) Append(other *Batch) {
	b.ops = append(b.ops, other.ops...)
	b.conditions = append(b.conditions, other.conditions...)
	b.results = append(b.results, other.results...)
	b.items += other.items
	b.bytes += other.bytes
	b.fail(other.err)
}

func (b *Batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// add adds an operation of so many items.
func (b *Batch) add(o op, items int) *Result {
	if o.writes() && len(b.deadline) > 0 {
		maps.Copy(o, b.deadline)
		b.dated = true
	}
	text, err := encode(o)
	b.fail(err)
	r := &Result{}
	b.ops, b.results = append(b.ops, text), append(b.results, r)
	b.items += max(items, 1)
	b.bytes += len(text) + 1
	return r
}

// TTL has what the operations that follow write be over after d: see the option TTL. 0 ends that.
func (b *Batch) TTL(d time.Duration) {
	if b.deadline = nil; d != 0 {
		b.deadline = op{"ttl": d.String()}
	}
}

// Expires has what the operations that follow write be over at a moment. The zero time ends that.
func (b *Batch) Expires(at time.Time) {
	if b.deadline = nil; !at.IsZero() {
		b.deadline = op{"expires": at.UTC().Format(time.RFC3339Nano)}
	}
}

// IfMatch has nothing happen unless the object at this daemon has this ETag, or exists for "*".
func (b *Batch) IfMatch(t Type, key, etag string) {
	b.condition(op{string(t): key, "etag": etag}, key)
}

// IfAbsent has nothing happen unless the object is absent at this daemon.
func (b *Batch) IfAbsent(t Type, key string) { b.condition(op{string(t): key, "absent": true}, key) }

func (b *Batch) condition(c op, key string) {
	b.fail(checkNames(key))
	text, err := encode(c)
	b.fail(err)
	b.conditions = append(b.conditions, text)
	b.items++
	b.bytes += len(text) + 1
}

// Commit sends the batch and fills the results. An empty one is not sent. When it fails, nothing has
// happened, but for ErrUnreachable.
func (b *Batch) Commit(ctx context.Context, opts ...Option) error {
	if b.err != nil || len(b.ops) == 0 {
		return b.err
	}
	req := b.ns.request(opts, http.MethodPost, "batch")
	req.Body = b.body()
	var reply struct {
		Results []json.RawMessage `json:"results"`
	}
	if err := b.ns.c.read(ctx, req, &reply); err != nil {
		return err
	}
	if len(reply.Results) != len(b.results) {
		return fmt.Errorf("%w: %d results for %d operations", ErrReply, len(reply.Results), len(b.results))
	}
	for i, text := range reply.Results {
		if err := decode(text, b.results[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) body() []byte {
	var body bytes.Buffer
	body.WriteByte('{')
	if len(b.conditions) > 0 {
		body.WriteString(`"if":[`)
		body.Write(bytes.Join(b.conditions, []byte(",")))
		body.WriteString(`],`)
	}
	body.WriteString(`"ops":[`)
	body.Write(bytes.Join(b.ops, []byte(",")))
	body.WriteString(`]}`)
	return body.Bytes()
}
