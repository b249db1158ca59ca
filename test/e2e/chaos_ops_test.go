//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/internal/history"
)

func (c *caller) addMember() {
	key, e := "s"+c.key(2), c.x.element()
	c.call(history.Op{Name: "set add", Writes: adds("set/"+key, e)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		_, err := ns.Set(key).Add(ctx, e, opts...)
		return err
	})
}

func (c *caller) removeMember() {
	object, e := c.pick("set")
	if object == "" {
		return
	}
	c.call(history.Op{Name: "set remove", Writes: removes(object, e)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		_, err := ns.Set(keyOf(object)).Remove(ctx, e, opts...)
		return err
	})
}

func (c *caller) readSet() { c.readObject("set/s" + c.key(2)) }
func (c *caller) readMap() { c.readObject("map/m" + c.key(2)) }
func (c *caller) readList() {
	c.readObject("list/l" + c.key(2))
}
func (c *caller) readRegister() { c.readObject("register/r" + c.key(2)) }
func (c *caller) readCounter()  { c.readObject("counter/c" + c.key(1)) }
func (c *caller) readBounded()  { c.readObject("bounded/b" + c.key(1)) }

// readObject reads an object, and keeps what it saw.
func (c *caller) readObject(object string) {
	var r history.Read
	ids := map[string]string{}
	done := c.call(history.Op{Name: "read"}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) (err error) {
		r, err = readObject(ctx, ns, object, ids, opts...)
		o.Reads = []history.Read{r}
		return err
	})
	if done {
		c.saw(object, r.Elements)
		for e, id := range ids {
			c.items[e] = id
		}
	}
}

// readObject reads an object in one request. It fills the ids of list items.
func readObject(ctx context.Context, ns *client.Namespace, object string, ids map[string]string, opts ...client.Option) (r history.Read, err error) {
	r.Object = object
	typ, key, _ := strings.Cut(object, "/")
	switch typ {
	case "set":
		for m, err := range ns.Set(key).Members(ctx, opts...) {
			if err != nil {
				return r, err
			}
			r.Elements = append(r.Elements, m)
		}
	case "map":
		var v client.Value
		if v, err = ns.Map(key).Get(ctx, opts...); err == nil {
			r.Elements, err = names(v.JSON)
		}
	case "list":
		for i, err := range ns.List(key).Items(ctx, opts...) {
			if err != nil {
				return r, err
			}
			e := unquote(i.Value)
			r.Elements = append(r.Elements, e)
			ids[e] = i.ID
		}
	case "flag":
		var on bool
		if on, err = ns.Flag(key).Get(ctx, opts...); on {
			r.Elements = []string{"on"}
		}
	case "register":
		var v client.Value
		if v, err = ns.Register(key).Get(ctx, opts...); err == nil {
			r.Elements = values(v)
		}
	case "counter":
		r.Sum, err = ns.Counter(key).Get(ctx, opts...)
	case "bounded":
		var v client.Rights
		if v, err = ns.Bounded(key).Get(ctx, opts...); err == nil {
			r.Sum, err = v.Value.Int64()
		}
	default:
		return r, fmt.Errorf("no such type: %s", object)
	}
	if errors.Is(err, client.ErrNotFound) {
		err = nil
	}
	if len(r.Elements) >= mostMembers {
		return r, fmt.Errorf("%s has more than a page", object)
	}
	return r, err
}

// names are the members of a JSON object.
func names(object json.RawMessage) ([]string, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(object, &fields)
	all := make([]string, 0, len(fields))
	for name := range fields {
		all = append(all, name)
	}
	slices.Sort(all)
	return all, err
}

func unquote(text json.RawMessage) string {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return string(text) // which nobody wrote
	}
	return s
}

func values(v client.Value) (all []string) {
	for _, text := range v.All() {
		all = append(all, unquote(text))
	}
	return all
}

func (c *caller) setField() {
	key, e := "m"+c.key(2), c.x.element()
	c.call(history.Op{Name: "map set", Writes: adds("map/"+key, e)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		_, err := ns.Map(key).Edit(ctx, func(m client.MapOps) { m.At(e).Set(e) }, opts...)
		return err
	})
}

func (c *caller) removeField() {
	object, e := c.pick("map")
	if object == "" {
		return
	}
	c.call(history.Op{Name: "map remove", Writes: removes(object, e)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		_, err := ns.Map(keyOf(object)).Edit(ctx, func(m client.MapOps) { m.At(e).Delete() }, opts...)
		return err
	})
}

func (c *caller) appendItem() {
	key, e := "l"+c.key(2), c.x.element()
	c.call(history.Op{Name: "list append", Writes: adds("list/"+key, e)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		_, err := ns.List(key).Append(ctx, e, opts...)
		return err
	})
}

func (c *caller) removeItem() {
	object, e := c.pick("list")
	if object == "" {
		return
	}
	id := c.items[e]
	c.call(history.Op{Name: "list remove", Writes: removes(object, e)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		return ns.List(keyOf(object)).Remove(ctx, id, opts...)
	})
}

// flag turns a new flag on, or looks at one, or turns it off.
func (c *caller) flag() {
	object, _ := c.pick("flag")
	if object == "" {
		key := c.x.element()
		if c.call(history.Op{Name: "flag on", Writes: adds("flag/"+key, "on")}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
			return ns.Flag(key).Enable(ctx, opts...)
		}) {
			c.saw("flag/"+key, []string{"on"})
		}
		return
	}
	if c.chance(0.5) {
		c.readObject(object)
		return
	}
	c.call(history.Op{Name: "flag off", Writes: removes(object, "on")}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		return ns.Flag(keyOf(object)).Disable(ctx, opts...)
	})
}

// writeRegister reads a register and writes it in the place of what it read; half of the time under the
// condition that it is as it was.
func (c *caller) writeRegister() {
	key := "r" + c.key(2)
	var v client.Value
	var meta client.Meta
	if !c.call(history.Op{Name: "read"}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) (err error) {
		v = client.Value{}
		v, err = ns.Register(key).Get(ctx, append(opts, client.WithMeta(&meta))...)
		r := history.Read{Object: "register/" + key}
		if err == nil {
			r.Elements = values(v)
		}
		o.Reads = []history.Read{r}
		if errors.Is(err, client.ErrNotFound) {
			v, err = client.Value{Context: meta.Context}, nil
		}
		return err
	}) {
		return
	}
	e := c.x.element()
	o := history.Op{Name: "register set", Writes: adds("register/"+key, e)}
	opts := []client.Option{client.WithContext(v.Context)}
	if v.JSON != nil {
		o.Writes[0].Remove = values(v)
		if c.chance(0.5) {
			o.ETag, o.Name = v.ETag, "register set if"
			opts = append(opts, client.IfMatch(v.ETag))
		}
	}
	c.call(o, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		return ns.Register(key).Set(ctx, e, opts...)
	}, opts...)
}

func (c *caller) count() {
	key, n := "c"+c.key(1), int64(c.random.IntN(20)-7)
	if n == 0 {
		n = 100
	}
	object := "counter/" + key
	c.call(history.Op{Name: "counter inc", Writes: []history.Write{{Object: object, Inc: n}}}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) error {
		v, err := ns.Counter(key).Inc(ctx, n, opts...)
		o.Reads = []history.Read{{Object: object, Sum: v}}
		return err
	})
}

// trade puts something into a bounded counter, or takes something; it waits for rights, or not.
func (c *caller) trade() {
	if !c.x.asking.TryRLock() {
		return
	}
	defer c.x.asking.RUnlock()
	if c.at.forked.Load() {
		return // the rights that a rolled-back image has were given away after it was made
	}
	key, n := "b"+c.key(1), int64(1+c.random.IntN(5))
	if c.chance(0.6) {
		n = -n
	}
	object, name := "bounded/"+key, "bounded put"
	var opts []client.Option
	if n < 0 {
		name = "bounded take"
		if c.chance(0.5) {
			opts = append(opts, client.Wait(2*time.Second))
		}
	}
	c.call(history.Op{Name: name, Writes: []history.Write{{Object: object, Inc: n}}}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) error {
		v, err := ns.Bounded(key).Inc(ctx, n, opts...)
		if err == nil {
			var sum int64
			sum, err = v.Value.Int64()
			o.Reads = []history.Read{{Object: object, Sum: sum}}
		}
		return err
	}, opts...)
}

// batch puts the same element into three objects and counts it.
func (c *caller) batch() {
	key, e := c.key(1), c.x.element()
	set, mp, list, counter := "set/bs"+key, "map/bm"+key, "list/bl"+key, "counter/bc"+key
	o := history.Op{Name: "batch", Writes: []history.Write{{Object: set, Add: []string{e}}, {Object: mp, Add: []string{e}},
		{Object: list, Add: []string{e}}, {Object: counter, Inc: 1}}}
	c.call(o, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		b := ns.Batch()
		b.Set(keyOf(set)).Add(e)
		b.Map(keyOf(mp)).At(e).Set(e)
		b.List(keyOf(list)).Append(e)
		b.Counter(keyOf(counter)).Inc(1)
		return b.Commit(ctx, opts...)
	})
}

// export reads all that a daemon holds, in one state.
func (c *caller) export() {
	c.call(history.Op{Name: "export", Whole: true}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) error {
		var text bytes.Buffer
		err := ns.Export(ctx, &text, opts...)
		if err == nil {
			o.Reads, err = parseExport(text.Bytes())
		}
		return err
	})
}

// parseExport returns the objects of an export. Of a register it shows the newest value only.
func parseExport(text []byte) (all []history.Read, err error) {
	at := map[string]int{}
	for line := range bytes.Lines(text) {
		var op struct {
			Bounded, Counter, Flag, List, Set, Register, Map *string
			Path                                             []string
			Inc                                              int64
			Add                                              []string
			Insert                                           []json.RawMessage
			Value                                            json.RawMessage
		}
		if err := json.Unmarshal(line, &op); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		r := history.Read{Sum: op.Inc}
		switch {
		case op.Bounded != nil:
			r.Object = "bounded/" + *op.Bounded
		case op.Counter != nil:
			r.Object = "counter/" + *op.Counter
		case op.Flag != nil:
			r.Object, r.Elements = "flag/"+*op.Flag, []string{"on"}
		case op.List != nil:
			r.Object = "list/" + *op.List
			for _, v := range op.Insert {
				r.Elements = append(r.Elements, unquote(v))
			}
		case op.Set != nil:
			r.Object, r.Elements = "set/"+*op.Set, op.Add
		case op.Register != nil:
			r.Object, r.Elements, r.Partial = "register/"+*op.Register, []string{unquote(op.Value)}, true
		case op.Map != nil && len(op.Path) == 1:
			r.Object, r.Elements = "map/"+*op.Map, op.Path
		default:
			return nil, fmt.Errorf("unknown: %s", line)
		}
		if i, ok := at[r.Object]; ok {
			all[i].Elements = append(all[i].Elements, r.Elements...)
			continue
		}
		at[r.Object] = len(all)
		all = append(all, r)
	}
	return all, nil
}

// barrier waits until another daemon has told that it holds what this one holds.
func (c *caller) barrier() {
	if c.at.enter(c.epoch, c.at.keys.Load()) {
		defer c.at.gate.RUnlock()
		c.x.barrier(c.at, c.x.hosts[c.random.IntN(len(c.x.hosts))], 3*time.Second)
	}
}

// sweep removes all that an object of an old generation has, as it reads it, and nothing else.
func (c *caller) sweep() {
	old := int(c.x.since()/generation) - sweptBehind - c.random.IntN(4)
	if old < 0 {
		return
	}
	typ := []string{"set", "map", "list"}[c.random.IntN(3)]
	key := fmt.Sprintf("%c%d-%d", typ[0], old, c.random.IntN(2))
	object := typ + "/" + key
	var r history.Read
	var meta client.Meta
	if !c.call(history.Op{Name: "read"}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) (err error) {
		r, err = readObject(ctx, ns, object, map[string]string{}, append(opts, client.WithMeta(&meta))...)
		o.Reads = []history.Read{r}
		return err
	}) || len(r.Elements) == 0 {
		return
	}
	c.call(history.Op{Name: "sweep", Writes: removes(object, r.Elements...)}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		switch typ {
		case "set":
			return ns.Set(key).Delete(ctx, opts...)
		case "map":
			return ns.Map(key).Delete(ctx, opts...)
		}
		return ns.List(key).Delete(ctx, opts...)
	}, client.WithContext(meta.Context))
}

// sweepBatches removes in one batch what the batches of an old generation have written, as an export
// shows it, but for what they counted.
func (c *caller) sweepBatches() {
	old := int(c.x.since()/generation) - sweptBehind - c.random.IntN(4)
	if old < 0 {
		return
	}
	key := strconv.Itoa(old) + "-0"
	var reads []history.Read
	var meta client.Meta
	if !c.call(history.Op{Name: "export", Whole: true}, func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) error {
		var text bytes.Buffer
		err := ns.Export(ctx, &text, append(opts, client.WithMeta(&meta))...)
		if err == nil {
			reads, err = parseExport(text.Bytes())
			o.Reads = reads
		}
		return err
	}) {
		return
	}
	var writes []history.Write
	for _, r := range reads {
		if r.Object == "set/bs"+key || r.Object == "map/bm"+key || r.Object == "list/bl"+key {
			writes = append(writes, removes(r.Object, r.Elements...)...)
		}
	}
	if len(writes) == 0 {
		return
	}
	c.call(history.Op{Name: "sweep batch", Writes: writes}, func(ctx context.Context, ns *client.Namespace, _ *history.Op, opts ...client.Option) error {
		b := ns.Batch()
		b.Set("bs" + key).Delete()
		b.Map("bm" + key).Delete()
		b.List("bl" + key).Delete()
		return b.Commit(ctx, opts...)
	}, client.WithContext(meta.Context))
}
