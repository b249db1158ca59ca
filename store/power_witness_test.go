package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/anabranchdb/anabranch/delta"
)

// witness writes down every state of every copy that a store makes durable, in that order.
type witness struct {
	mu     sync.Mutex
	states map[string][]witnessed // by the id of the copy and the number of the commit
	latest map[string]int         // the last of each copy
	redo   map[string]bool        // copies in the midst of a large change
	last   int
}

type witnessed struct {
	at     int
	digest delta.Digest
}

func newWitness() *witness {
	return &witness{states: map[string][]witnessed{}, latest: map[string]int{}, redo: map[string]bool{}}
}

func (w *witness) note(id string, m meta) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	at := fmt.Sprint(id, ":", m.Commit)
	w.states[at], w.latest[id] = append(w.states[at], witnessed{w.last, m.Digest}), w.last
}

// saw reports whether a copy was found in one of the states from..to. Half of a large change has no digest.
func (w *witness) saw(f foundCopy, from, to int) bool {
	return slices.ContainsFunc(w.states[fmt.Sprint(f.id, ":", f.meta.Commit)], func(s witnessed) bool {
		return (f.redo || s.digest == f.meta.Digest) && from <= s.at && s.at <= to
	})
}

// watched is a backend that a witness sees.
type watched struct {
	Backend
	w *witness
}

func (b watched) Apply(batch *Batch) (func() error, error) {
	metas := map[string]meta{}
	for o := range batch.Ops() {
		id, key, _ := strings.Cut(strings.TrimPrefix(o.Key, "/"), "/")
		switch {
		case key == "m/redo":
			b.w.redo[id] = o.Kind == OpPut
		case key == "m/meta" && o.Kind == OpPut:
			m, err := decodeMeta(o.Value)
			if err != nil {
				return nil, err
			}
			metas[id] = m
		}
	}
	maps.DeleteFunc(metas, func(id string, _ meta) bool { return b.w.redo[id] })
	wait, err := b.Backend.Apply(batch)
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := wait(); err != nil {
			return err
		}
		for id, m := range metas {
			b.w.note(id, m)
		}
		return nil
	}, nil
}

// foundCopy is a registered copy as it is on disk before a store looks at it.
type foundCopy struct {
	id   string
	meta meta
	redo bool
}

func findCopies(b Backend) (map[string]foundCopy, error) {
	found := map[string]foundCopy{}
	err := (&Store{disk: b}).eachRegistered(func(name string, storage Storage, id string) error {
		keys := keyspace("/" + id)
		v, ok, err := b.Get(keys.meta())
		if err != nil || !ok {
			return fmt.Errorf("%s: meta: %t, %w", id, ok, err)
		}
		f := foundCopy{id: id}
		if f.meta, err = decodeMeta(v); err == nil {
			_, f.redo, err = b.Get(keys.redo())
		}
		found[name] = f
		return err
	})
	return found, err
}
