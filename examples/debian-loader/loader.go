package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// retries is how often a batch is sent again before the load is given up: the daemon may be restarted
// meanwhile.
const retries = 30

// loader sends records in batches, several at once. The first failure ends it.
type loader struct {
	ns *client.Namespace

	batch   *client.Batch
	pending int // records in it
	full    chan work
	wg      sync.WaitGroup
	begun   time.Time

	records, items, bytes, batches atomic.Int64

	mu     sync.Mutex
	failed error
}

// work is a batch that is to be sent.
type work struct {
	batch   *client.Batch
	records int
}

func newLoader(ctx context.Context, c *client.Client, ns string, writers int) *loader {
	l := &loader{ns: c.Namespace(ns), full: make(chan work, writers), begun: time.Now()}
	l.batch = l.ns.Batch()
	for range writers {
		l.wg.Go(func() {
			for w := range l.full {
				if l.failure() == nil {
					l.fail(l.send(ctx, w))
				}
			}
		})
	}
	return l
}

// add puts a record into the batch that is being made: whole, so that no reader sees half of it,
// unless it is too large for one batch.
func (l *loader) add(ctx context.Context, r record) error {
	if err := errors.Join(ctx.Err(), l.failure()); err != nil {
		return err
	}
	parts := l.parts(r)
	items, size := 0, 0
	for _, p := range parts {
		items += p.Items()
		size += p.Bytes()
	}
	if !l.fits(items, size) {
		l.flush()
	}
	for _, p := range parts {
		if !l.fits(p.Items(), p.Bytes()) {
			l.flush()
		}
		l.batch.Append(p)
	}
	l.pending++
	return nil
}

// parts returns what writes a record: an op for each field, several for a very large set.
func (l *loader) parts(r record) []*client.Batch {
	var parts []*client.Batch
	at := func(field string) client.FieldOps {
		b := l.ns.Batch()
		parts = append(parts, b)
		return b.Map(r.key).At(field)
	}
	for _, field := range slices.Sorted(maps.Keys(r.fields)) {
		members, ok := r.fields[field].([]string)
		if !ok {
			at(field).Set(r.fields[field])
			continue
		}
		for some := range slices.Chunk(members, client.MaxBatchItems/4) {
			at(field).Add(some...)
		}
	}
	return parts
}

// fits reports whether there is room for so many items and bytes more.
func (l *loader) fits(items, size int) bool {
	return l.batch.Items()+items <= client.MaxBatchItems && l.batch.Bytes()+size <= client.MaxBatchBytes
}

func (l *loader) flush() {
	if l.batch.Len() == 0 {
		return
	}
	l.full <- work{l.batch, l.pending}
	l.batch, l.pending = l.ns.Batch(), 0
}

// close sends what is left, and waits for all.
func (l *loader) close() error {
	if l.failure() == nil {
		l.flush()
	}
	close(l.full)
	l.wg.Wait()
	return l.failure()
}

func (l *loader) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = errors.Join(l.failed, err)
}

func (l *loader) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// send sends a batch until it is acknowledged.
func (l *loader) send(ctx context.Context, w work) error {
	if err := w.batch.Commit(ctx); err != nil {
		return err
	}
	l.records.Add(int64(w.records))
	l.items.Add(int64(w.batch.Items()))
	l.bytes.Add(int64(w.batch.Bytes()))
	l.batches.Add(1)
	return nil
}

// progress prints a line now and then, and the last one when it is stopped.
func (l *loader) progress(w io.Writer, every time.Duration) (stop func()) {
	line := func(end string) {
		t := time.Since(l.begun).Seconds()
		fmt.Fprintf(w, "\r%d records, %d entries, %.1f MB in %d batches, %.1f s: %.0f entries/s %s",
			l.records.Load(), l.items.Load(), float64(l.bytes.Load())/1e6, l.batches.Load(), t, float64(l.items.Load())/t, end)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				line("")
			case <-done:
				line("\n")
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
