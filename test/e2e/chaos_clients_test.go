//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
