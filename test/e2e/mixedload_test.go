//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// A mixedLoad makes requests of every kind to one daemon, at a steady rate, of objects of which there is a
// bounded number.
type mixedLoad struct {
	d      *daemon
	strict bool // the daemon stays: whatever it does not answer is an error
	client *client.Client
	http   *timed
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	counted map[string]int
	errors  int
}

// Each daemon gets workers times perSecond requests.
const (
	soakWorkers   = 5
	soakPerSecond = 5
)

func newMixedLoad(d *daemon, seed uint64, strict bool) *mixedLoad {
	l := &mixedLoad{d: d, strict: strict, http: &timed{next: d.http.Transport}, counted: map[string]int{}}
	c, err := client.New("http://localhost", client.Options{Transport: l.http})
	if err != nil {
		d.t.Fatal(err)
	}
	l.client = c
	// Without keys: the replies that would be kept for them in memory take a day to reach their bound.
	unkeyed, err := client.New("http://localhost", client.Options{Transport: l.http, Retries: -1})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for i := range soakWorkers {
		w := &worker{load: l, disk: c.Namespace("default"), live: unkeyed.Namespace("live"), session: &client.Session{},
			random: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint(d.name, i)}
		l.wg.Go(func() { w.work(ctx) })
	}
	for _, ns := range []*client.Namespace{c.Namespace("default", client.Values()), c.Namespace("default", client.OfType(client.TypeSet)), c.Namespace("live", client.Values())} {
		l.wg.Go(func() { l.follow(ctx, ns) })
	}
	return l
}

func (l *mixedLoad) stop() {
	l.cancel()
	l.wg.Wait()
}

// end stops the load and returns how many requests of each kind were answered.
func (l *mixedLoad) end() map[string]int {
	l.stop()
	return l.counted
}

// note counts an answer. Errors that the load must expect count as answers.
func (l *mixedLoad) note(ctx context.Context, what string, err error) {
	for _, fine := range []error{client.ErrNotFound, client.ErrInsufficientRights, client.ErrPreconditionFailed, client.ErrNotModified, client.ErrNotYetVisible} {
		if errors.Is(err, fine) {
			err = nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.counted[what]++
		return
	}
	if l.errors++; l.strict && ctx.Err() == nil && l.errors < 10 {
		l.d.t.Errorf("%s: %s: %v", l.d.name, what, err)
	}
}

// follow holds a feed.
func (l *mixedLoad) follow(ctx context.Context, ns *client.Namespace) {
	for _, err := range ns.Changes(ctx) {
		l.note(ctx, "feed", err)
	}
}

// A worker makes one request at a time.
type worker struct {
	load       *mixedLoad
	disk, live *client.Namespace
	session    *client.Session
	random     *rand.Rand
	name       string
}

func (w *worker) work(ctx context.Context) {
	tick := time.NewTicker(time.Second / soakPerSecond)
	defer tick.Stop()
	total := 0
	for _, k := range kindsOfLoad {
		total += k.weight
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n := w.random.IntN(total)
		for _, k := range kindsOfLoad {
			if n -= k.weight; n < 0 {
				w.load.note(ctx, k.name, k.do(w, ctx))
				break
			}
		}
	}
}

func (w *worker) key(prefix string, of int) string { return fmt.Sprint(prefix, w.random.IntN(of)) }

// text returns text that does not get smaller by packing.
func (w *worker) text(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[w.random.IntN(64)]
	}
	return string(b)
}

// one reports true once in n.
func (w *worker) one(n int) bool { return w.random.IntN(n) == 0 }

// expiry returns a deadline some seconds ahead.
func (w *worker) expiry() client.Option {
	return client.TTL(time.Duration(2+w.random.IntN(10)) * time.Second)
}

// kindsOfLoad is what the load does, and how often. Its sizes fill the log and the idempotency records of a
// daemon to their limits within some minutes.
var kindsOfLoad = []struct {
	name   string
	weight int
	do     func(*worker, context.Context) error
}{
	{"feed", 0, nil},
	{"register", 8, func(w *worker, ctx context.Context) error {
		r := w.disk.Register(w.key("r", 200))
		switch {
		case w.one(5):
			return r.Delete(ctx)
		case w.one(5):
			_, err := r.Get(ctx)
			return err
		}
		return r.Set(ctx, w.text(4096+w.random.IntN(4096)))
	}},
	{"set", 8, func(w *worker, ctx context.Context) error {
		s := w.disk.Set(w.key("s", 20))
		if w.one(50) {
			return s.Delete(ctx)
		}
		add, remove := make([]string, 5), make([]string, 5)
		for i := range add {
			add[i], remove[i] = w.key("m", 1000), w.key("m", 1000)
		}
		_, _, err := s.Change(ctx, add, remove)
		return err
	}},
	{"counter", 8, func(w *worker, ctx context.Context) error {
		c := w.disk.Counter(w.key("c", 50))
		if w.one(20) {
			return c.Reset(ctx)
		}
		_, err := c.Inc(ctx, int64(w.random.IntN(20)-10))
		return err
	}},
	{"map", 10, func(w *worker, ctx context.Context) error {
		m := w.disk.Map(w.key("m", 20))
		if w.one(100) {
			return m.Delete(ctx)
		}
		_, err := m.Edit(ctx, func(e client.MapOps) {
			e.At(w.key("big", 12)).Set(w.text(4096))
			e.At("n", w.key("c", 3)).Inc(1)
			e.At("tags").Add(w.key("t", 20))
			e.At("tags").Remove(w.key("t", 20))
			e.At("on").Enable()
			if w.one(10) {
				e.At("n").Delete()
			}
		})
		return err
	}},
	{"list", 6, func(w *worker, ctx context.Context) error {
		l := w.disk.List(w.key("l", 10))
		if w.one(2) {
			at := client.End
			if w.one(4) {
				at = client.Start
			}
			_, err := l.Insert(ctx, at, []any{w.text(20), w.random.IntN(100)})
			return err
		}
		var ids []string
		for item, err := range l.Items(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, item.ID)
		}
		if len(ids) < 3 {
			return nil
		}
		if err := l.Move(ctx, ids[w.random.IntN(len(ids))], client.Start); err != nil {
			return err
		}
		if err := l.Set(ctx, ids[w.random.IntN(len(ids))], w.text(30)); err != nil {
			return err
		}
		for _, id := range ids[max(0, min(len(ids)-4, 60)):] { // four, and all beyond sixty
			if err := l.Remove(ctx, id); err != nil {
				return err
			}
		}
		return nil
	}},
	{"flag", 3, func(w *worker, ctx context.Context) error {
		f := w.disk.Flag(w.key("f", 30))
		if w.one(2) {
			return f.Disable(ctx)
		}
		return f.Enable(ctx)
	}},
	{"bounded", 3, func(w *worker, ctx context.Context) error {
		if w.load.d.name[0] == 'f' {
			return nil // whoever leaves for good would take rights along
		}
		b := w.disk.Bounded(w.key("b", 10))
		if w.one(3) {
			_, _, err := b.Ask(ctx, 2, client.Wait(time.Second))
			return err
		}
		_, err := b.Inc(ctx, int64(w.random.IntN(9)-4))
		return err
	}},
	{"expiry", 4, func(w *worker, ctx context.Context) error {
		if w.one(2) {
			return w.disk.Register(w.key("x", 100)).Set(ctx, w.text(100), w.expiry())
		}
		_, err := w.disk.Set(w.key("xs", 5)).Add(ctx, w.key("m", 200), w.expiry())
		return err
	}},
	{"batch", 4, func(w *worker, ctx context.Context) error {
		b := w.disk.Batch()
		key := w.key("r", 200)
		b.Register(key).Set(w.text(500))
		b.Set(w.key("s", 20)).Add(w.key("m", 1000))
		b.Counter(w.key("c", 50)).Inc(1)
		b.Map(w.key("m", 20)).At("n", "c0").Inc(1)
		if w.one(3) {
			b.IfAbsent(client.TypeRegister, key)
		}
		return b.Commit(ctx)
	}},
	{"session", 3, func(w *worker, ctx context.Context) error {
		key := w.key("r", 200)
		if err := w.disk.Register(key).Set(ctx, w.text(100), client.In(w.session)); err != nil {
			return err
		}
		_, err := w.disk.Register(key).Get(ctx, client.In(w.session), client.Wait(5*time.Second))
		return err
	}},
	{"acks", 1, func(w *worker, ctx context.Context) error {
		_, err := w.disk.Counter(w.key("c", 50)).Inc(ctx, 1, client.Acks(1), client.Wait(time.Second))
		return err
	}},
	{"barrier", 1, func(w *worker, ctx context.Context) error {
		_, err := w.disk.Barrier(ctx, client.Pull, "*", time.Second)
		return err
	}},
	{"memory", 12, func(w *worker, ctx context.Context) error {
		r := w.live.Register(w.key("r", 100))
		if w.one(5) {
			return r.Delete(ctx)
		}
		return r.Set(ctx, w.text(4096+w.random.IntN(8192)))
	}},
	{"presence", 4, func(w *worker, ctx context.Context) error {
		p := w.live.Presence(w.key("group", 3))
		member := w.name + w.key("-", 5)
		switch w.random.IntN(4) {
		case 0:
			return p.Withdraw(ctx, member)
		case 1:
			return p.Announce(ctx, member, w.text(20), w.expiry())
		case 2:
			for _, err := range p.Members(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}
		return p.Announce(ctx, member, w.text(20))
	}},
}

// timed measures how long requests take that need not wait for others.
type timed struct {
	next http.RoundTripper

	mu   sync.Mutex
	took []time.Duration // since they were taken last
}

func (r *timed) RoundTrip(rq *http.Request) (*http.Response, error) {
	begin := time.Now()
	resp, err := r.next.RoundTrip(rq)
	if err == nil && rq.Header.Get("Prefer") == "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.took = append(r.took, time.Since(begin))
	}
	return resp, err
}

func (r *timed) take() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := r.took
	r.took = nil
	return took
}
