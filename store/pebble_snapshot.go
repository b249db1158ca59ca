package store

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
)

// pebbleReader is a snapshot of Pebble. Its Get returns an error that says "not found".
type pebbleReader interface {
	Get(key []byte) ([]byte, io.Closer, error)
	Close() error
}

// pebbleCursor is an iterator of Pebble, within its bounds.
type pebbleCursor interface {
	First() bool
	Last() bool
	Next() bool
	Key() []byte
	ValueAndErr() ([]byte, error)
	Error() error
	Close() error
}

// pebbleSnapshot ends by its own Close or by that of the backend, whichever comes first. mu keeps
// what Pebble lends out alive while it is copied.
type pebbleSnapshot struct {
	backend *PebbleBackend
	iterate func(lower, upper string) (pebbleCursor, error)

	mu        sync.RWMutex
	reader    pebbleReader // nil after the end
	iterators map[*pebbleIterator]struct{}
}

func (s *pebbleSnapshot) Get(key string) ([]byte, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.reader == nil {
		return nil, false, ErrClosed
	}
	value, closer, err := s.reader.Get([]byte(key))
	if err != nil {
		return nil, false, pebbleAbsent(err)
	}
	value = bytes.Clone(value)
	return value, true, pebbleError("get", closer.Close())
}

func (s *pebbleSnapshot) Iterate(lower, upper string) (Iterator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil {
		return nil, ErrClosed
	}
	cursor, err := s.iterate(lower, upper)
	if err != nil {
		return nil, pebbleError("iterate", err)
	}
	i := &pebbleIterator{snapshot: s, cursor: cursor}
	if s.iterators == nil {
		s.iterators = map[*pebbleIterator]struct{}{}
	}
	s.iterators[i] = struct{}{}
	return i, nil
}

func (s *pebbleSnapshot) Last(lower, upper string) (key string, ok bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.reader == nil {
		return "", false, ErrClosed
	}
	cursor, err := s.iterate(lower, upper)
	if err != nil {
		return "", false, pebbleError("last", err)
	}
	if ok = cursor.Last(); ok {
		key = string(cursor.Key())
	} else {
		err = cursor.Error()
	}
	return key, ok, pebbleError("last", errors.Join(err, cursor.Close()))
}

func (s *pebbleSnapshot) Close() error {
	err := s.end()
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	delete(s.backend.snapshots, s)
	return err
}

// end gives back what the snapshot and its iterators hold.
func (s *pebbleSnapshot) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil {
		return nil
	}
	for i := range s.iterators {
		i.end()
	}
	err := s.reader.Close()
	s.reader = nil
	return pebbleError("close snapshot", err)
}

// openSnapshots returns the snapshots that were not closed yet.
func (b *PebbleBackend) openSnapshots() []*pebbleSnapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.snapshots))
}

// pebbleIterator copies each key and value, so that no Close can pull them away under a reader.
type pebbleIterator struct {
	snapshot *pebbleSnapshot
	cursor   pebbleCursor // nil after the end; guarded by snapshot.mu
	started  bool
	key      []byte
	value    lentValue
	err      error
}

func (i *pebbleIterator) Next() bool {
	i.snapshot.mu.RLock()
	defer i.snapshot.mu.RUnlock()
	if i.cursor == nil {
		i.err = ErrClosed
		return false
	}
	var ok bool
	if i.started {
		ok = i.cursor.Next()
	} else {
		i.started, ok = true, i.cursor.First()
	}
	if !ok {
		i.err = pebbleError("iterate", i.cursor.Error())
		return false
	}
	value, err := i.cursor.ValueAndErr()
	if err != nil {
		i.err = pebbleError("iterate", err)
		return false
	}
	i.key = append(i.key[:0], i.cursor.Key()...)
	i.value.copy(value)
	return true
}

func (i *pebbleIterator) Key() string   { return string(i.key) }
func (i *pebbleIterator) Value() []byte { return i.value.bytes }
func (i *pebbleIterator) Err() error    { return i.err }

func (i *pebbleIterator) Close() error {
	i.value.end()
	i.snapshot.mu.Lock()
	defer i.snapshot.mu.Unlock()
	i.end()
	return i.err
}

// end gives back the cursor, whose error Next has seen. The caller holds snapshot.mu.
func (i *pebbleIterator) end() {
	if i.cursor != nil {
		_ = i.cursor.Close()
		i.cursor = nil
		delete(i.snapshot.iterators, i)
	}
}
