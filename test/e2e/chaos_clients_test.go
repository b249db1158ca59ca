//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/internal/history"
)

const (
	callTimeout = 10 * time.Second
	maxTries    = 6
	// patience is how long a session waits for what its token stands for, before it is given up: the
	// only copy may have been lost.
	patience = 20 * time.Second
	// Objects are of a generation; later ones get other keys, and a while later they are swept away.
	generation  = 20 * time.Second
	sweptBehind = 3
	mostMembers = 1000 // a page
)

// caller is a client: it makes one call after the other.
type caller struct {
	x       *chaos
	name    string
	random  *rand.Rand
	roams   bool // from daemon to daemon, with its token
	tokens  bool // it sends a token
	sweeps  bool // it removes old objects
	at      *host
	epoch   int32
	waiting time.Duration // for what its token stands for

	sessions int
	session  *client.Session
	seen     map[string][]string // elements by object, of this session
	items    map[string]string   // ids of list items by element
}

func newCaller(x *chaos, name string, at *host, number uint64) *caller {
	c := &caller{x: x, name: name, at: at, random: rand.New(rand.NewPCG(*seed, number))}
	c.begin()
	return c
}

// begin begins a session.
func (c *caller) begin() {
	c.sessions++
	c.waiting = 0
	c.session, c.seen, c.items = &client.Session{}, map[string][]string{}, map[string]string{}
	c.epoch = c.at.epoch.Load()
}

func (c *caller) chance(p float64) bool { return c.random.Float64() < p }

// run makes calls until the end.
func (c *caller) run() {
	for {
		select {
		case <-c.x.done:
			return
		case <-time.After(time.Duration(40+c.random.IntN(220)) * time.Millisecond):
		}
		if c.roams && c.chance(0.1) {
			if to := c.x.hosts[c.random.IntN(len(c.x.hosts))]; !to.forked.Load() {
				c.at = to
				c.epoch = to.epoch.Load()
			}
		}
		switch {
		case c.roams && c.at.forked.Load():
			continue
		case c.epoch != c.at.epoch.Load() && c.roams:
			c.epoch = c.at.epoch.Load() // the token goes with it
		case c.epoch != c.at.epoch.Load(), c.waiting > patience:
			c.begin()
		}
		c.step()
	}
}

// key names an object of the present generation, one of some.
func (c *caller) key(shards int) string {
	return fmt.Sprintf("%d-%d", int(c.x.since()/generation), c.random.IntN(shards))
}

func (c *caller) step() {
	type step struct {
		weight int
		do     func()
	}
	steps := []step{
		{12, c.addMember}, {10, c.readSet}, {6, c.removeMember},
		{8, c.setField}, {7, c.readMap}, {4, c.removeField},
		{8, c.appendItem}, {7, c.readList}, {3, c.removeItem},
		{5, c.flag},
		{12, c.writeRegister}, {6, c.readRegister},
		{10, c.count}, {8, c.readCounter},
		{10, c.trade}, {5, c.readBounded},
		{10, c.batch}, {2, c.export}, {2, c.barrier},
	}
	if c.sweeps {
		steps = []step{{10, c.sweep}, {2, c.sweepBatches}}
	}
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	n := c.random.IntN(sum)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.do()
			return
		}
	}
}

// call makes one call, and sends it again with the same idempotency key as long as it is not known what
// came of it. f fills the reads of the op. It reports whether the call was done.
func (c *caller) call(o history.Op, f func(ctx context.Context, ns *client.Namespace, o *history.Op, opts ...client.Option) error, opts ...client.Option) bool {
	o.ID, o.Session, o.Daemon, o.Epoch, o.Start = c.x.id(), fmt.Sprintf("%s.%d", c.name, c.sessions), c.at.name, int(c.epoch), c.x.micros()
	keyed := len(o.Writes) > 0 && c.chance(0.7)
	var meta client.Meta
	opts = append(opts, client.WithMeta(&meta))
	if c.tokens {
		opts = append([]client.Option{client.In(c.session)}, opts...)
	}
	if keyed {
		opts = append(opts, client.IdempotencyKey(fmt.Sprintf("key-%d", o.ID)))
	}
	if len(o.Writes) > 0 && c.chance(0.1) {
		opts = append(opts, client.Acks(1), client.Wait(2*time.Second))
	} else if c.tokens && c.chance(0.5) {
		opts = append(opts, client.Wait(time.Duration(1+c.random.IntN(4))*time.Second))
	}
	keys := c.at.keys.Load()
	ns := c.at.client.Namespace("default")
	unknown := false
	for try := 1; c.at.enter(c.epoch, keys); try++ {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		o.Reads, meta = nil, client.Meta{}
		err := f(ctx, ns, &o, opts...)
		cancel()
		c.at.gate.RUnlock()
		o.Outcome, o.Why, o.Tries, o.Acks = outcome(err, keyed), "", try, meta.Acks
		if err != nil {
			o.Why = why(err)
			c.x.count("outcomes", string(o.Outcome)+" "+o.Why)
		} else {
			c.x.count("outcomes", "ok")
		}
		if meta.Replayed {
			o.Reads = nil // of then
			c.x.count("outcomes", "replayed")
		}
		if o.Outcome == history.Refused && unknown && !settled(err) {
			o.Outcome = history.Unknown
		}
		unknown = unknown || o.Outcome == history.Unknown
		if errors.Is(err, client.ErrNotYetVisible) {
			c.waiting += time.Duration(c.x.micros()-o.Start) * time.Microsecond
		} else if err == nil {
			c.waiting = 0
		}
		if o.Outcome != history.Unknown || !keyed || try == maxTries {
			break
		}
		select {
		case <-time.After(time.Duration(200+c.random.IntN(1500)) * time.Millisecond):
		case <-c.x.done:
		}
	}
	if o.Tries == 0 {
		return false // nothing was sent
	}
	o.End = c.x.micros()
	c.x.record(o)
	return o.Outcome == history.OK
}

// outcome says what an error tells of what happened. Where nobody was there, nothing did, unless the request
// had a key: then it may have been sent before, since Go's transport sends such a one again by itself.
func outcome(err error, keyed bool) history.Outcome {
	var p *client.Problem
	switch {
	case err == nil:
		return history.OK
	case errors.As(err, &p):
		if p.Status == 500 || errors.Is(err, client.ErrInProgress) || p.Name() == "" {
			return history.Unknown
		}
		return history.Refused
	case strings.Contains(err.Error(), "dial unix") && !keyed:
		return history.Refused
	}
	return history.Unknown
}

// settled reports whether a refusal is that of the transaction, which is what every try gets, and not
// of this try.
func settled(err error) bool {
	return errors.Is(err, client.ErrPreconditionFailed) || errors.Is(err, client.ErrInsufficientRights)
}

func why(err error) string {
	var p *client.Problem
	switch {
	case errors.As(err, &p):
		return p.Name()
	case strings.Contains(err.Error(), "dial unix"):
		return "nobody there"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, client.ErrUnreachable):
		return "broken off"
	}
	return err.Error()
}

// saw keeps what was shown, to remove some of it.
func (c *caller) saw(object string, elements []string) {
	if len(c.seen) > 50 {
		c.seen = map[string][]string{}
	}
	c.seen[object] = elements
}

// pick returns an element that this session saw in an object of a type, and no longer counts with it.
func (c *caller) pick(typ string) (object, element string) {
	var objects []string
	for o, elements := range c.seen {
		if strings.HasPrefix(o, typ+"/") && len(elements) > 0 {
			objects = append(objects, o)
		}
	}
	if len(objects) == 0 {
		return "", ""
	}
	slices.Sort(objects)
	object = objects[c.random.IntN(len(objects))]
	i := c.random.IntN(len(c.seen[object]))
	element = c.seen[object][i]
	c.seen[object] = slices.Delete(slices.Clone(c.seen[object]), i, i+1)
	return object, element
}

func keyOf(object string) string {
	_, key, _ := strings.Cut(object, "/")
	return key
}

func adds(object, element string) []history.Write {
	return []history.Write{{Object: object, Add: []string{element}}}
}

func removes(object string, elements ...string) []history.Write {
	return []history.Write{{Object: object, Remove: elements}}
}

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

// follow reads the feed of a daemon from its start, over and over, and records what it is told.
func (x *chaos) follow(h *host) {
	for {
		ctx, epoch := h.beginFeed()
		if ctx.Err() == nil {
			x.followOnce(ctx, h, fmt.Sprintf("feed-%s-%d-%d", h.name, epoch, x.id()), int(epoch))
		}
		h.feed.Unlock()
		if ctx.Err() != nil && !x.running() {
			return
		}
		<-time.After(300 * time.Millisecond)
	}
}

// followOnce is one reader. It ends when it can not go on, and the next one begins from the start.
func (x *chaos) followOnce(ctx context.Context, h *host, reader string, epoch int) {
	ns := h.feedClient.Namespace("default")
	told := map[string]bool{}  // objects that are there
	var listed map[string]bool // while the feed is resynchronised
	record := func(r history.Read) {
		told[r.Object] = len(r.Elements) > 0 || r.Sum != 0
		now := x.micros()
		x.record(history.Op{ID: x.id(), Kind: history.Feed, Session: reader, Daemon: h.name, Epoch: epoch, Start: now, End: now, Outcome: history.OK, Reads: []history.Read{r}})
	}
	for ch, err := range ns.Changes(ctx, client.Since(client.FromStart), client.Values()) {
		if err != nil {
			x.count("feeds", "ended: "+why(err))
			return
		}
		x.count("feeds", string(ch.Event))
		object := string(ch.Type) + "/" + ch.Key
		switch ch.Event {
		case client.EventResync:
			listed = map[string]bool{}
			continue
		case client.EventResynced:
			for o, there := range told {
				if there && !listed[o] {
					record(history.Read{Object: o, Later: true})
				}
			}
			continue
		case client.EventListed:
			listed[object] = true
		}
		if object == markerObject {
			var v string
			if json.Unmarshal(ch.Value, &v) == nil {
				h.marker.Store(&v)
			}
			continue
		}
		r, ok := readChange(ch, object)
		for try := 0; !ok; try++ {
			var err error
			if r, err = readObject(ctx, ns, object, map[string]string{}); err == nil {
				r.Later, ok = true, true
			} else if ctx.Err() != nil || try > 100 {
				x.count("feeds", "left")
				return
			}
		}
		record(r)
	}
}

// readChange returns the state that a change tells, and false if the object has to be read for it.
func readChange(ch client.Change, object string) (r history.Read, ok bool) {
	r.Object = object
	if ch.Event == client.EventRemoved {
		return r, true
	}
	if ch.Event != client.EventChanged || ch.Value == nil {
		return r, false
	}
	var err error
	switch ch.Type {
	case client.TypeSet:
		err = json.Unmarshal(ch.Value, &r.Elements)
	case client.TypeMap:
		r.Elements, err = names(ch.Value)
	case client.TypeFlag:
		r.Elements = []string{"on"}
	case client.TypeRegister:
		r.Elements = []string{unquote(ch.Value)}
	case client.TypeCounter, client.TypeBounded:
		err = json.Unmarshal(ch.Value, &r.Sum)
	default:
		return r, false
	}
	return r, err == nil
}
