package storetest

import (
	"cmp"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/anabranchdb/anabranch/store"
)

// disk is a sound target in memory: the batches that were applied, and how many were waited for.
type disk struct {
	wrap         func(store.Backend) store.Backend // breaks a backend
	close, crash func(applied []*batch, waited int) []*batch

	mu      sync.Mutex
	epoch   int // of power losses
	applied []*batch
	waited  int
}

func (d *disk) target() Target { return Target{Open: d.open, Crash: d.lose} }

func (d *disk) open() (store.Backend, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := store.NewMemoryBackend()
	for _, b := range d.applied {
		if _, err := m.Apply(&b.Batch); err != nil {
			return nil, err
		}
	}
	d.waited = len(d.applied)
	var b store.Backend = &journal{MemoryBackend: m, disk: d, epoch: d.epoch}
	if d.wrap != nil {
		b = d.wrap(b)
	}
	return b, nil
}

// lose keeps what was waited for and half of the rest.
func (d *disk) lose(uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	if d.crash != nil {
		d.applied = d.crash(d.applied, d.waited)
	} else {
		d.applied = d.applied[:(d.waited+len(d.applied)+1)/2]
	}
	return nil
}

type journal struct {
	*store.MemoryBackend
	disk  *disk
	epoch int
}

func (j *journal) Apply(b *store.Batch) (func() error, error) {
	j.disk.mu.Lock()
	defer j.disk.mu.Unlock()
	if _, err := j.MemoryBackend.Apply(b); err != nil || j.epoch != j.disk.epoch {
		return func() error { return nil }, err
	}
	j.disk.applied = append(j.disk.applied, clone(b))
	n := len(j.disk.applied)
	return func() error {
		j.disk.mu.Lock()
		defer j.disk.mu.Unlock()
		if j.epoch == j.disk.epoch {
			j.disk.waited = max(j.disk.waited, n)
		}
		return nil
	}, nil
}

func (j *journal) Close() error {
	j.disk.mu.Lock()
	defer j.disk.mu.Unlock()
	if err := j.MemoryBackend.Close(); err != nil {
		return err
	}
	if j.disk.close != nil && j.epoch == j.disk.epoch {
		j.disk.applied = j.disk.close(j.disk.applied, j.disk.waited)
	}
	return nil
}

func add(b *batch, o store.Op) {
	switch o.Kind {
	case store.OpPut:
		b.put(o.Key, string(o.Value))
	case store.OpDelete:
		b.del(o.Key)
	case store.OpDeleteRange:
		b.delRange(o.Key, o.Upper)
	}
}

func collect(ops iter.Seq[store.Op]) *batch {
	b := &batch{}
	for o := range ops {
		add(b, o)
	}
	return b
}

func clone(b *store.Batch) *batch { return collect(b.Ops()) }

// rewriter changes batches on their way.
type rewriter struct {
	store.Backend
	rewrite func(ops []store.Op) []store.Op
}

func (r rewriter) Apply(b *store.Batch) (func() error, error) {
	return r.Backend.Apply(&collect(slices.Values(r.rewrite(slices.Collect(b.Ops())))).Batch)
}

func backwards(b store.Backend) store.Backend {
	return rewriter{b, func(ops []store.Op) []store.Op { slices.Reverse(ops); return ops }}
}

func spare(b store.Backend) store.Backend {
	return rewriter{b, func(ops []store.Op) []store.Op {
		slices.SortStableFunc(ops, func(a, b store.Op) int { return -cmp.Compare(a.Kind, b.Kind) })
		return ops
	}}
}

func greedy(b store.Backend) store.Backend {
	return eachOp(b, func(o *store.Op) { o.Upper += "\x00" })
}

func truncate(b store.Backend) store.Backend {
	return eachOp(b, func(o *store.Op) { o.Value = o.Value[:min(len(o.Value), 64<<10)] })
}

func lower(b store.Backend) store.Backend {
	return eachOp(b, func(o *store.Op) { o.Key = strings.ToLower(o.Key) })
}

func eachOp(b store.Backend, change func(o *store.Op)) store.Backend {
	return rewriter{b, func(ops []store.Op) []store.Op {
		for i := range ops {
			change(&ops[i])
		}
		return ops
	}}
}

func cut(b store.Backend) store.Backend {
	return rewriter{b, func(ops []store.Op) []store.Op { return ops[:min(len(ops), 10_000)] }}
}

// tear applies a batch in two, and lets readers in between.
func tear(b store.Backend) store.Backend { return &tearing{Backend: b} }

type tearing struct {
	store.Backend
	reads atomic.Int64
}

func (r *tearing) Apply(b *store.Batch) (func() error, error) {
	ops := slices.Collect(b.Ops())
	if _, err := r.Backend.Apply(&collect(slices.Values(ops[:len(ops)/2])).Batch); err != nil {
		return nil, err
	}
	before := r.reads.Load()
	for i := 0; i < 10_000 && r.reads.Load() < before+4; i++ { // not for ever: there may be no reader
		runtime.Gosched()
	}
	return r.Backend.Apply(&collect(slices.Values(ops[len(ops)/2:])).Batch)
}

func (r *tearing) Get(key string) ([]byte, bool, error) {
	defer r.reads.Add(1)
	return r.Backend.Get(key)
}

func (r *tearing) Snapshot() (store.Snapshot, error) {
	defer r.reads.Add(1)
	return r.Backend.Snapshot()
}

// late applies a batch together with the next one.
func late(b store.Backend) store.Backend { return &lagging{Backend: b} }

type lagging struct {
	store.Backend
	last *batch
}

func (l *lagging) Apply(b *store.Batch) (func() error, error) {
	before := l.last
	if l.last = clone(b); before == nil {
		before = &batch{}
	}
	return l.Backend.Apply(&before.Batch)
}

// keep reads values through the slices that were in the batch.
func keep(b store.Backend) store.Backend { return &keeping{Backend: b, values: map[string][]byte{}} }

type keeping struct {
	store.Backend
	values map[string][]byte
}

func (k *keeping) Apply(b *store.Batch) (func() error, error) {
	for o := range b.Ops() {
		k.values[o.Key] = o.Value
	}
	return k.Backend.Apply(b)
}

func (k *keeping) Get(key string) ([]byte, bool, error) {
	if value, ok := k.values[key]; ok {
		return slices.Clone(value), true, nil
	}
	return k.Backend.Get(key)
}

// lend answers with the same slice again.
func lend(b store.Backend) store.Backend { return &lending{Backend: b, lent: map[string][]byte{}} }

type lending struct {
	store.Backend
	lent map[string][]byte
}

func (l *lending) Get(key string) ([]byte, bool, error) {
	if value, ok := l.lent[key]; ok {
		return value, true, nil
	}
	value, ok, err := l.Backend.Get(key)
	l.lent[key] = value
	return value, ok, err
}

// snapshots changes what Snapshot returns.
type snapshots struct {
	store.Backend
	change func(b store.Backend, s store.Snapshot) (store.Snapshot, error)
}

func (b snapshots) Snapshot() (store.Snapshot, error) {
	s, err := b.Backend.Snapshot()
	if err != nil {
		return nil, err
	}
	return b.change(b.Backend, s)
}

// see has snapshots that are none.
func see(b store.Backend) store.Backend {
	return snapshots{b, func(b store.Backend, s store.Snapshot) (store.Snapshot, error) { return seeing{s, b}, nil }}
}

type seeing struct {
	store.Snapshot
	b store.Backend
}

func (s seeing) Get(key string) ([]byte, bool, error) { return s.b.Get(key) }

func (s seeing) Iterate(lower, upper string) (store.Iterator, error) {
	return &live{s.b, pair{key: lower}, lower, upper, false, nil}, nil
}

// live looks for the next key in what there is now.
type live struct {
	b            store.Backend
	at           pair
	lower, upper string
	started      bool
	err          error
}

func (l *live) Next() bool {
	s, err := l.b.Snapshot()
	if err != nil {
		l.err = err
		return false
	}
	from := l.lower
	if l.started {
		from = l.at.key + "\x00"
	}
	pairs, err := list(s, from, l.upper)
	if l.err = errors.Join(err, s.Close()); l.err != nil || len(pairs) == 0 {
		return false
	}
	l.at, l.started = pairs[0], true
	return true
}

func (l *live) Key() string   { return l.at.key }
func (l *live) Value() []byte { return []byte(l.at.value) }
func (l *live) Err() error    { return l.err }
func (l *live) Close() error  { return l.err }

// drift has iterators that begin with what there is now.
func drift(b store.Backend) store.Backend {
	return snapshots{b, func(b store.Backend, s store.Snapshot) (store.Snapshot, error) {
		return iterating{s, func(_ store.Snapshot, lower, upper string) (store.Iterator, error) {
			now, err := b.Snapshot()
			if err != nil {
				return nil, err
			}
			return now.Iterate(lower, upper)
		}}, nil
	}}
}

// few has no more than 16 snapshots at once.
func few(b store.Backend) store.Backend {
	n := 0
	return snapshots{b, func(_ store.Backend, s store.Snapshot) (store.Snapshot, error) {
		if n++; n > 16 {
			return nil, errors.New("too many snapshots")
		}
		return s, nil
	}}
}

// iterating changes what Iterate returns.
type iterating struct {
	store.Snapshot
	iterate func(s store.Snapshot, lower, upper string) (store.Iterator, error)
}

func (i iterating) Iterate(lower, upper string) (store.Iterator, error) {
	return i.iterate(i.Snapshot, lower, upper)
}

// ends finds the last key within others.
func ends(change func(lower, upper string) (string, string)) func(store.Backend) store.Backend {
	return func(b store.Backend) store.Backend {
		return snapshots{b, func(_ store.Backend, s store.Snapshot) (store.Snapshot, error) { return ending{s, change}, nil }}
	}
}

type ending struct {
	store.Snapshot
	change func(lower, upper string) (string, string)
}

func (e ending) Last(lower, upper string) (string, bool, error) {
	return e.Snapshot.Last(e.change(lower, upper))
}

// bounds iterates within others.
func bounds(change func(lower, upper string) (string, string)) func(store.Backend) store.Backend {
	return func(b store.Backend) store.Backend {
		return snapshots{b, func(_ store.Backend, s store.Snapshot) (store.Snapshot, error) {
			return iterating{s, func(s store.Snapshot, lower, upper string) (store.Iterator, error) {
				return s.Iterate(change(lower, upper))
			}}, nil
		}}
	}
}

// shuffle iterates in another order.
func shuffle(order func([]pair)) func(store.Backend) store.Backend {
	return func(b store.Backend) store.Backend {
		return snapshots{b, func(_ store.Backend, s store.Snapshot) (store.Snapshot, error) {
			return iterating{s, func(s store.Snapshot, lower, upper string) (store.Iterator, error) {
				pairs, err := list(s, lower, upper)
				order(pairs)
				return &listed{pairs: pairs}, err
			}}, nil
		}}
	}
}

func bySegments(pairs []pair) {
	slices.SortFunc(pairs, func(a, b pair) int {
		return slices.Compare(strings.Split(a.key, "/"), strings.Split(b.key, "/"))
	})
}

type listed struct {
	pairs []pair
	at    pair
}

func (l *listed) Next() bool {
	if len(l.pairs) == 0 {
		return false
	}
	l.at, l.pairs = l.pairs[0], l.pairs[1:]
	return true
}

func (l *listed) Key() string   { return l.at.key }
func (l *listed) Value() []byte { return []byte(l.at.value) }
func (l *listed) Err() error    { return nil }
func (l *listed) Close() error  { return nil }

// goOn does not close.
func goOn(b store.Backend) store.Backend { return undying{b} }

type undying struct{ store.Backend }

func (undying) Close() error { return nil }
