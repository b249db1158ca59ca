package store

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/anabranchdb/anabranch/internal/invariant"
)

// MemoryBackend is a Backend that forgets everything when it is closed: for tests and for memory
// namespaces. A snapshot is a copy on write of a B-tree and costs O(1); while there are any, a batch
// copies the tree's nodes that it changes.
type MemoryBackend struct {
	closed atomic.Bool

	mu    sync.RWMutex // Copy writes to the tree too, so that Snapshot needs the whole lock
	tree  btree.Map[string, []byte]
	bytes uint64 // of all keys and values in tree
}

// NewMemoryBackend returns an empty MemoryBackend.
func NewMemoryBackend() *MemoryBackend { return &MemoryBackend{} }

// Get implements Backend.
func (m *MemoryBackend) Get(key string) ([]byte, bool, error) {
	m.mu.RLock()
	value, ok := m.tree.Get(key)
	m.mu.RUnlock()
	if m.closed.Load() {
		return nil, false, ErrClosed
	}
	return bytes.Clone(value), ok, nil
}

// Snapshot implements Backend.
func (m *MemoryBackend) Snapshot() (Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return nil, ErrClosed
	}
	return &memorySnapshot{backend: m, tree: m.tree.Copy()}, nil
}

// Apply implements Backend. A batch is as durable as it will ever be when Apply returns.
func (m *MemoryBackend) Apply(b *Batch) (func() error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return nil, ErrClosed
	}
	for _, o := range b.ops {
		switch o.Kind {
		case OpPut:
			m.put(o.Key, o.Value)
		case OpDelete:
			m.delete(o.Key)
		case OpDeleteRange:
			m.deleteRange(o.Key, o.Upper)
		}
	}
	return durable, nil
}

// durable is the wait of an Apply that has nothing to wait for.
func durable() error { return nil }

func (m *MemoryBackend) put(key string, value []byte) {
	// Values in the tree are never written to again: snapshots share them.
	old, replaced := m.tree.Set(key, append(make([]byte, 0, len(value)), value...))
	if replaced {
		m.bytes -= uint64(len(key) + len(old))
	}
	m.bytes += uint64(len(key) + len(value))
}

func (m *MemoryBackend) delete(key string) {
	if old, ok := m.tree.Delete(key); ok {
		m.bytes -= uint64(len(key) + len(old))
	}
}

func (m *MemoryBackend) deleteRange(lower, upper string) {
	var keys []string
	m.tree.Ascend(lower, func(key string, _ []byte) bool {
		if key >= upper {
			return false
		}
		keys = append(keys, key)
		return true
	})
	for _, key := range keys {
		m.delete(key)
	}
}

// DiskBytes implements Backend: the bytes of all keys and values.
func (m *MemoryBackend) DiskBytes() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed.Load() {
		return 0, ErrClosed
	}
	return m.bytes, nil
}

// Close implements Backend.
func (m *MemoryBackend) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Swap(true) {
		return ErrClosed
	}
	m.tree, m.bytes = btree.Map[string, []byte]{}, 0
	return nil
}

// memorySnapshot reads a tree that nobody writes to.
type memorySnapshot struct {
	backend *MemoryBackend
	tree    *btree.Map[string, []byte]
	closed  atomic.Bool
}

func (s *memorySnapshot) err() error {
	if s.closed.Load() || s.backend.closed.Load() {
		return ErrClosed
	}
	return nil
}

func (s *memorySnapshot) Get(key string) ([]byte, bool, error) {
	if err := s.err(); err != nil {
		return nil, false, err
	}
	value, ok := s.tree.Get(key)
	return bytes.Clone(value), ok, nil
}

func (s *memorySnapshot) Iterate(lower, upper string) (Iterator, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return &memoryIterator{snapshot: s, iter: s.tree.Iter(), lower: lower, upper: upper}, nil
}

func (s *memorySnapshot) Last(lower, upper string) (key string, ok bool, err error) {
	if err := s.err(); err != nil {
		return "", false, err
	}
	found := func(k string, _ []byte) bool {
		if upper != "" && k >= upper {
			return true // upper itself
		}
		key, ok = k, k >= lower
		return false
	}
	if upper == "" {
		s.tree.Reverse(found)
	} else {
		s.tree.Descend(upper, found)
	}
	if !ok {
		return "", false, nil
	}
	return key, true, nil
}

func (s *memorySnapshot) Close() error {
	s.closed.Store(true)
	return nil
}

type memoryIterator struct {
	snapshot     *memorySnapshot
	iter         btree.MapIter[string, []byte]
	lower, upper string
	started      bool
	done         bool
	value        lentValue
	err          error
}

func (i *memoryIterator) Next() bool {
	if i.err == nil {
		i.err = i.snapshot.err()
	}
	if i.err != nil || i.done {
		return false
	}
	var ok bool
	if i.started {
		ok = i.iter.Next()
	} else {
		i.started, ok = true, i.iter.Seek(i.lower)
	}
	if !ok || (i.upper != "" && i.iter.Key() >= i.upper) {
		i.done = true
		return false
	}
	i.value.share(i.iter.Value())
	return true
}

func (i *memoryIterator) Key() string   { return i.iter.Key() }
func (i *memoryIterator) Value() []byte { return i.value.bytes }
func (i *memoryIterator) Err() error    { return i.err }

func (i *memoryIterator) Close() error {
	i.value.end()
	return i.err
}

// lentValue is the value that an iterator shows until it moves on.
type lentValue struct {
	bytes []byte
	owned bool
}

// share shows b, which nobody writes to. With invariants on it is a copy, to be spoiled later.
func (v *lentValue) share(b []byte) {
	v.end()
	if invariant.Enabled {
		b, v.owned = append([]byte{}, b...), true
	}
	v.bytes = b
}

// copy shows a copy of b, which is valid only now.
func (v *lentValue) copy(b []byte) {
	v.end()
	if invariant.Enabled {
		v.bytes = nil
	}
	v.bytes, v.owned = append(v.bytes[:0], b...), true
}

// end takes back what was shown.
func (v *lentValue) end() {
	if invariant.Enabled && v.owned {
		for i := range v.bytes {
			v.bytes[i] = 0xdb
		}
	}
}
