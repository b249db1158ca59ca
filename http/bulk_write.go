package http

import (
	"net/http"
	"sync"
	"time"
)

// maxUnread bounds the result lines of a bulk that the client has not taken yet.
const maxUnread = 4 << 20

// bulkWriter sends result lines while the bulk goes on, so that a client that reads late stops it as
// late as possible: what it does not take waits here. Only when that is full, and at the end, does the
// client have to take something within chunkTimeout.
//
// The bulk owns it: add, push and finish are called by one goroutine, and write runs in another until
// finish returns.
type bulkWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	ended   chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	unread  []byte
	pushed  bool // unread is to be sent
	urgent  bool // the client must take something now
	last    bool // nothing follows
	err     error
}

func newBulkWriter(w http.ResponseWriter, control *http.ResponseController) *bulkWriter {
	b := &bulkWriter{w: w, control: control, ended: make(chan struct{})}
	b.changed = sync.NewCond(&b.mu)
	go b.write()
	return b
}

// write is the goroutine that sends.
func (b *bulkWriter) write() {
	defer close(b.ended)
	var sending []byte
	for {
		b.mu.Lock()
		for !b.pushed && !b.last {
			b.changed.Wait()
		}
		if len(b.unread) == 0 {
			b.mu.Unlock()
			return // the last
		}
		sending, b.unread = b.unread, sending[:0]
		b.pushed = false
		b.mu.Unlock()
		err := b.send(sending)
		b.mu.Lock()
		b.err = err
		b.changed.Broadcast()
		b.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (b *bulkWriter) send(lines []byte) error {
	for len(lines) > 0 {
		b.mu.Lock()
		b.setDeadline()
		b.mu.Unlock()
		n, err := b.w.Write(lines[:min(len(lines), chunkBytes)])
		if err != nil {
			return err
		}
		lines = lines[n:]
	}
	return b.control.Flush()
}

// setDeadline is called under mu, by whoever begins a write, or changes what holds for one under way.
func (b *bulkWriter) setDeadline() {
	var at time.Time
	if b.urgent {
		at = time.Now().Add(chunkTimeout)
	}
	// A writer without deadlines, as in tests, has no slow clients.
	_ = b.control.SetWriteDeadline(at)
}

func (b *bulkWriter) setUrgent(urgent bool) {
	if b.urgent != urgent {
		b.urgent = urgent
		b.setDeadline()
	}
}

// add takes a line, and waits while too many have not been taken by the client. It returns the error
// of a connection that broke.
func (b *bulkWriter) add(line []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.unread) > maxUnread && b.err == nil {
		b.pushed = true
		b.setUrgent(true)
		b.changed.Broadcast()
		b.changed.Wait()
	}
	b.setUrgent(false)
	b.unread = append(append(b.unread, line...), '\n')
	return b.err
}

// push sends what was added.
func (b *bulkWriter) push() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.unread) > 0 {
		b.pushed = true
		b.changed.Broadcast()
	}
}

// finish sends the rest, and returns when the client has been given all, or the connection broke.
func (b *bulkWriter) finish() error {
	b.mu.Lock()
	b.last = true
	b.setUrgent(true)
	b.changed.Broadcast()
	b.mu.Unlock()
	<-b.ended
	return b.err
}
