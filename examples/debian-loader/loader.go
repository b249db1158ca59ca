package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What the API takes in one batch.
const (
	maxItems = 1000
	maxBytes = 512 << 10
)

// tries is how often a batch is sent before the load is given up.
const tries = 30

// loader sends records in batches, several at once. The first failure ends it.
type loader struct {
	url  string
	http *http.Client

	batch batch
	full  chan batch
	wg    sync.WaitGroup
	begun time.Time

	records, items, bytes, batches, retries atomic.Int64

	mu     sync.Mutex
	failed error
}

// batch is the body of a batch that is being made.
type batch struct {
	body    bytes.Buffer
	items   int
	records int
}

func newLoader(addr, ns string, writers int) *loader {
	tr := &http.Transport{MaxIdleConnsPerHost: writers}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		addr = "http://localhost"
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	l := &loader{
		url:   strings.TrimSuffix(addr, "/") + "/v1/ns/" + url.PathEscape(ns) + "/batch",
		http:  &http.Client{Transport: tr, Timeout: time.Minute},
		full:  make(chan batch, writers),
		begun: time.Now(),
	}
	for range writers {
		l.wg.Go(func() {
			for b := range l.full {
				if l.failure() == nil {
					l.fail(l.send(b))
				}
			}
		})
	}
	return l
}

// op is what a batch does to one field.
type op struct {
	Map   string   `json:"map"`
	Path  []string `json:"path"`
	Value any      `json:"value,omitempty"`
	Add   []string `json:"add,omitempty"`
}

// add puts a record into the batch that is being made: whole, so that no reader sees half of it,
// unless it is too large for one batch.
func (l *loader) add(ctx context.Context, r record) error {
	if err := errors.Join(ctx.Err(), l.failure()); err != nil {
		return err
	}
	parts, err := opsOf(r)
	if err != nil {
		return err
	}
	items, size := 0, 0
	for _, p := range parts {
		items += p.items
		size += len(p.json) + 1
	}
	if !l.batch.fits(items, size) {
		l.flush()
	}
	for _, p := range parts {
		if !l.batch.fits(p.items, len(p.json)+1) {
			l.flush()
		}
		l.batch.append(p)
	}
	l.batch.records++
	return nil
}

// part is one op, encoded.
type part struct {
	json  []byte
	items int
}

// opsOf returns the ops that write a record: one for each field, several for a very large set.
func opsOf(r record) ([]part, error) {
	var parts []part
	appendOp := func(o op, items int) error {
		line, err := json.Marshal(o)
		if len(line) > maxBytes/2 {
			err = fmt.Errorf("%s: %v is too large", r.key, o.Path)
		}
		parts = append(parts, part{line, items})
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		path := []string{name}
		members, ok := r.fields[name].([]string)
		if !ok {
			if err := appendOp(op{Map: r.key, Path: path, Value: r.fields[name]}, 1); err != nil {
				return nil, err
			}
			continue
		}
		for some := range slices.Chunk(members, maxItems/4) {
			if err := appendOp(op{Map: r.key, Path: path, Add: some}, len(some)); err != nil {
				return nil, err
			}
		}
	}
	return parts, nil
}

// fits reports whether there is room for so many items and bytes, and the brackets.
func (b *batch) fits(items, size int) bool {
	return b.items+items <= maxItems && b.body.Len()+size <= maxBytes-100
}

func (b *batch) append(p part) {
	if b.items == 0 {
		b.body.WriteString(`{"ops":[`)
	}
	b.body.Write(p.json)
	b.body.WriteByte(',')
	b.items += p.items
}

func (l *loader) flush() {
	if l.batch.items == 0 {
		return
	}
	l.batch.body.Truncate(l.batch.body.Len() - 1) // the last comma
	l.batch.body.WriteString("]}")
	l.full <- l.batch
	l.batch = batch{}
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

// send sends a batch until it is acknowledged. To send it twice does no harm: a register has the same
// value afterwards, a set the same members.
func (l *loader) send(b batch) error {
	var err error
	for range tries {
		var pause time.Duration
		if pause, err = l.post(b.body.Bytes()); err == nil {
			l.records.Add(int64(b.records))
			l.items.Add(int64(b.items))
			l.bytes.Add(int64(b.body.Len()))
			l.batches.Add(1)
			return nil
		}
		if pause == 0 {
			return err
		}
		l.retries.Add(1)
		time.Sleep(pause)
	}
	return fmt.Errorf("given up after %d tries: %w", tries, err)
}

// post sends a batch once. pause is how long to wait before it may be sent again, 0 for never.
func (l *loader) post(body []byte) (pause time.Duration, err error) {
	resp, err := l.http.Post(l.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return time.Second, err // the daemon may be restarting
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		_, err = io.Copy(io.Discard, resp.Body)
		return time.Second, err
	}
	var problem struct{ Type, Detail string }
	_ = json.NewDecoder(resp.Body).Decode(&problem)
	err = fmt.Errorf("%s: %s: %s", resp.Status, problem.Type, problem.Detail)
	if resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusInsufficientStorage {
		return 0, err
	}
	if s, aerr := strconv.Atoi(resp.Header.Get("Retry-After")); aerr == nil && s > 0 {
		return time.Duration(s) * time.Second, err
	}
	return time.Second, err
}

// progress prints a line now and then, and the last one when it is stopped.
func (l *loader) progress(w io.Writer, every time.Duration) (stop func()) {
	line := func(end string) {
		t := time.Since(l.begun).Seconds()
		fmt.Fprintf(w, "\r%d records, %d entries, %.1f MB in %d batches, %d retries, %.1f s: %.0f entries/s %s",
			l.records.Load(), l.items.Load(), float64(l.bytes.Load())/1e6, l.batches.Load(), l.retries.Load(), t, float64(l.items.Load())/t, end)
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
