package store

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/ipfs/go-datastore/query"
	"github.com/tidwall/btree"
)

// undo is what a key held when a snapshot was taken.
type undo struct {
	value   []byte
	present bool
}

// wrapSnapshot reads the datastore of today, and its undos first. An undo is there before the write
// that makes it necessary, so that whoever reads the datastore and then looks for an undo is right,
// whatever happened in between.
type wrapSnapshot struct {
	w *WrappedBackend

	// Guarded by w.mu.
	undos  btree.Map[string, undo]
	bytes  int // of all keys and values in undos
	lost   bool
	closed bool
}

// Snapshot implements Backend.
func (w *WrappedBackend) Snapshot() (Snapshot, error) {
	if err := w.enter(); err != nil {
		return nil, err
	}
	defer w.gate.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil, w.broken
	}
	s := &wrapSnapshot{w: w}
	w.snapshots[s] = struct{}{}
	return s, nil
}

// remember leaves what ops are about to overwrite with every snapshot. The caller holds w.mu. A
// snapshot whose undo cannot be read is lost: the batch is not to fail because of it.
func (w *WrappedBackend) remember(ops []Op) {
	for _, o := range ops {
		var before undo
		read := false
		for s := range w.snapshots {
			if _, has := s.undos.Get(o.Key); has {
				continue
			}
			if !read {
				value, ok, err := w.get(o.Key)
				if err != nil {
					s.lose()
					continue
				}
				before, read = undo{value: value, present: ok}, true
			}
			s.keep(o.Key, before)
		}
	}
}

func (s *wrapSnapshot) keep(key string, u undo) {
	if s.bytes += len(key) + len(u.value); s.bytes > s.w.undoBytes {
		s.lose()
		return
	}
	s.undos.Set(key, u)
}

func (s *wrapSnapshot) lose() {
	s.lost = true
	s.undos = btree.Map[string, undo]{}
	delete(s.w.snapshots, s)
}

// err says why there is nothing to read. The caller holds w.mu.
func (s *wrapSnapshot) err() error {
	switch {
	case s.closed:
		return ErrClosed
	case s.w.broken != nil:
		return s.w.broken
	case s.lost:
		return ErrSnapshotLost
	}
	return nil
}

func (s *wrapSnapshot) Get(key string) ([]byte, bool, error) {
	if err := s.w.enter(); err != nil {
		return nil, false, err
	}
	defer s.w.gate.RUnlock()
	s.w.mu.RLock()
	defer s.w.mu.RUnlock()
	if err := s.err(); err != nil {
		return nil, false, err
	}
	if u, ok := s.undos.Get(key); ok {
		return bytes.Clone(u.value), u.present, nil
	}
	return s.w.get(key)
}

func (s *wrapSnapshot) Iterate(lower, upper string) (Iterator, error) {
	if err := s.w.enter(); err != nil {
		return nil, err
	}
	defer s.w.gate.RUnlock()
	s.w.mu.RLock()
	err := s.err()
	s.w.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	c, err := s.w.scan(lower, upper, false)
	if err != nil {
		return nil, err
	}
	i := &wrapIterator{s: s, cursor: c, from: lower, upper: upper}
	s.w.iterators.add(i)
	return i, nil
}

// Last walks over all keys of the range: go-datastore knows no other way.
func (s *wrapSnapshot) Last(lower, upper string) (key string, ok bool, err error) {
	it, err := s.Iterate(lower, upper)
	if err != nil {
		return "", false, err
	}
	for it.Next() {
		key, ok = it.Key(), true
	}
	return key, ok, it.Close()
}

func (s *wrapSnapshot) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.closed = true
	s.undos = btree.Map[string, undo]{}
	delete(s.w.snapshots, s)
	return nil
}

// wrapIterator merges a scan of the datastore with the undos of its snapshot.
type wrapIterator struct {
	s      *wrapSnapshot
	cursor *scan // nil after the end
	from   string
	upper  string

	ahead bool // entry is the cursor's next one
	entry query.Entry

	key   string
	value lentValue
	err   error
}

// Next reads the cursor without w.mu, which may take a scan, and then looks for undos.
func (i *wrapIterator) Next() bool {
	if err := i.s.w.enter(); err != nil {
		i.err = err
		return false
	}
	defer i.s.w.gate.RUnlock()
	for i.err == nil {
		if i.cursor == nil {
			i.err = ErrClosed
			return false
		}
		if !i.ahead {
			if i.entry, i.ahead, i.err = i.cursor.next(); i.err != nil {
				return false
			}
		}
		if found, again := i.step(); !again {
			return found
		}
	}
	return false
}

// step takes the smallest of the cursor's entry and the undos from i.from on. It asks to be called
// again after it has dropped an entry that the snapshot must not see.
func (i *wrapIterator) step() (found, again bool) {
	i.s.w.mu.RLock()
	defer i.s.w.mu.RUnlock()
	if i.err = i.s.err(); i.err != nil {
		return false, false
	}
	if i.ahead {
		if u, ok := i.s.undos.Get(i.entry.Key); ok && !u.present {
			i.ahead = false
			return false, true
		}
	}
	i.s.undos.Ascend(i.from, func(key string, u undo) bool {
		if (i.upper != "" && key >= i.upper) || (i.ahead && key > i.entry.Key) {
			return false
		}
		if found = u.present; found {
			i.ahead = i.ahead && key != i.entry.Key
			i.show(key, u.value)
		}
		return !found
	})
	if !found && i.ahead {
		found, i.ahead = true, false
		i.show(i.entry.Key, i.entry.Value)
	}
	return found, false
}

func (i *wrapIterator) show(key string, value []byte) {
	i.key, i.from = key, key+"\x00"
	i.value.share(value)
}

func (i *wrapIterator) Key() string   { return i.key }
func (i *wrapIterator) Value() []byte { return i.value.bytes }
func (i *wrapIterator) Err() error    { return i.err }

func (i *wrapIterator) Close() error {
	i.value.end()
	i.s.w.gate.RLock()
	defer i.s.w.gate.RUnlock()
	i.s.w.iterators.remove(i)
	i.end()
	return i.err
}

func (i *wrapIterator) end() {
	if i.cursor != nil {
		if err := i.cursor.close(); err != nil && i.err == nil {
			i.err = fmt.Errorf("store: iterate: %w", err)
		}
		i.cursor = nil
	}
}

// iteratorSet holds the open iterators of a backend.
type iteratorSet struct {
	mu  sync.Mutex
	all map[*wrapIterator]struct{}
}

func (s *iteratorSet) add(i *wrapIterator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*wrapIterator]struct{}{}
	}
	s.all[i] = struct{}{}
}

func (s *iteratorSet) remove(i *wrapIterator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, i)
}

// end ends them all. Nobody may be using one.
func (s *iteratorSet) end() {
	for i := range s.all {
		i.end()
	}
	s.all = nil
}
