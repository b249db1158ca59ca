package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// scan walks over the keys in [lower, upper), but not over the wrapper's own.
type scan struct {
	results      query.Results
	lower, upper string
	last         string
	done         bool
}

// scan begins one, without an upper bound if upper is "".
func (w *WrappedBackend) scan(lower, upper string, keysOnly bool) (*scan, error) {
	q := query.Query{Prefix: queryPrefix(lower, upper), Orders: []query.Order{query.OrderByKey{}}, KeysOnly: keysOnly}
	if lower > q.Prefix+"/" {
		q.Filters = []query.Filter{query.FilterKeyCompare{Op: query.GreaterThanOrEqual, Key: lower}}
	}
	results, err := w.d.Query(context.Background(), q)
	if err != nil {
		return nil, wrapError("query", err)
	}
	return &scan{results: results, lower: lower, upper: upper}, nil
}

// next returns the next entry, or ok = false at the end.
func (c *scan) next() (e query.Entry, ok bool, err error) {
	for !c.done {
		r, more := c.results.NextSync()
		switch {
		case !more:
			c.done = true
		case r.Error != nil:
			return e, false, wrapError("query", r.Error)
		case r.Key <= c.last:
			return e, false, fmt.Errorf("%w: %q comes after %q", ErrUnsuitable, r.Key, c.last)
		case c.upper != "" && r.Key >= c.upper:
			c.done = true
		default:
			c.last = r.Key
			if r.Key >= c.lower && !strings.HasPrefix(r.Key, reservedPrefix) {
				return r.Entry, true, nil
			}
		}
	}
	return e, false, nil
}

func (c *scan) close() error { return c.results.Close() }

// keys returns the keys in [lower, upper), ascending.
func (w *WrappedBackend) keys(lower, upper string) (keys []string, err error) {
	c, err := w.scan(lower, upper, true)
	if err != nil {
		return nil, err
	}
	for {
		e, ok, err := c.next()
		if err != nil || !ok {
			return keys, errors.Join(err, wrapError("query", c.close()))
		}
		keys = append(keys, e.Key)
	}
}

// queryPrefix returns the longest path such that every key in [lower, upper) lies below it, which is
// what a query's prefix means: "/a" matches "/a/b", and neither "/a" nor "/ab".
func queryPrefix(lower, upper string) string {
	n := 0
	for n < len(lower) && n < len(upper) && lower[n] == upper[n] {
		n++
	}
	// From "/a/…" to "/a0", the common way to say "all below /a": '0' follows '/'.
	if upper[n:] == "0" && strings.HasPrefix(lower[n:], "/") {
		return lower[:n]
	}
	return lower[:max(strings.LastIndexByte(lower[:n], '/'), 0)]
}

// probe puts a few keys and asks for them by prefix, in order, from a lower bound.
func probe(d ds.Batching) error {
	const prefix = reservedPrefix + "probe"
	inside := []string{"/B", "/a", "/a!", "/a-b", "/a/b", "/b"} // ascending bytewise, not by segments
	ops := []Op{{Kind: OpPut, Key: prefix + "d/c", Value: []byte("c")}}
	for _, k := range inside {
		ops = append(ops, Op{Kind: OpPut, Key: prefix + k, Value: []byte(k)})
	}
	w := &WrappedBackend{d: d}
	if err := w.write(ops); err != nil {
		return unsuitable("put", err)
	}
	for from := range inside {
		got, err := d.Query(context.Background(), query.Query{
			Prefix:  prefix,
			Orders:  []query.Order{query.OrderByKey{}},
			Filters: []query.Filter{query.FilterKeyCompare{Op: query.GreaterThanOrEqual, Key: prefix + inside[from]}},
		})
		if err != nil {
			return unsuitable("query", err)
		}
		entries, err := got.Rest()
		if err != nil {
			return unsuitable("query", err)
		}
		if err := checkProbe(entries, prefix, inside[from:]); err != nil {
			return err
		}
	}
	for i := range ops {
		ops[i].Kind = OpDelete
	}
	return wrapError("probe", w.write(ops))
}

// unsuitable blames the datastore for err, unless it is the disk's.
func unsuitable(doing string, err error) error {
	if err = wrapError(doing, err); errors.Is(err, ErrDiskFull) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnsuitable, err)
}

func checkProbe(entries []query.Entry, prefix string, want []string) error {
	var got []string
	for _, e := range entries {
		if e.Key != prefix+string(e.Value) {
			return fmt.Errorf("%w: %q holds %q", ErrUnsuitable, e.Key, e.Value)
		}
		got = append(got, string(e.Value))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: a query by prefix, order and lower bound finds %q, not %q", ErrUnsuitable, got, want)
	}
	return nil
}
