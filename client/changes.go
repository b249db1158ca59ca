package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Event is what a Change tells.
type Event string

// The events.
const (
	EventChanged  Event = "changed"  // the object has changed, or appeared
	EventRemoved  Event = "removed"  // the object is absent now
	EventConflict Event = "conflict" // changed, and it holds more than one concurrent value
	EventBookmark Event = "bookmark" // names no object; see Bookmarks
	// EventResync says that the daemon has forgotten what came between: objects may have changed and
	// gone untold. What there is follows, an EventListed for every object, and then EventResynced: what
	// was not listed is gone. Only the last of them has a cursor.
	EventResync   Event = "resync"
	EventListed   Event = "listed"
	EventResynced Event = "resynced"
)

// Change names an object that has changed. States in between may be skipped, and a change may come
// twice; none is lost.
type Change struct {
	// Cursor goes on from behind this change, also in another process: see Since.
	Cursor string          `json:"cursor"`
	Event  Event           `json:"event"`
	Type   Type            `json:"type,omitempty"`
	Key    string          `json:"key,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"` // with Values; not of large sets and maps, nor in a list
}

// What a feed can begin at beside a cursor or a token.
const (
	FromNow   = "now"
	FromStart = "start" // everything; objects that are there already too
)

// maxChangeBytes bounds a line of the feed.
const maxChangeBytes = 16 << 20

// silence is how long a feed may say nothing, which is three heartbeats, until it is taken for cut off.
const silence = 45 * time.Second

// Since has a feed begin at FromNow, which is what it does without it, at FromStart, behind the cursor
// of a change, or behind what a token stands for.
func Since(where string) Option { return query("since", where) }

// Values has a feed tell values too.
func Values() Option { return query("include", "value") }

// Bookmarks has a feed yield bookmarks: cursors that tell how far it has come, for a reader who keeps
// the cursor and filters most changes out.
func Bookmarks() Option { return func(r *Request) { r.bookmarks = true } }

// Changes follows what changes in the namespace, until the loop is left, the context ends or the daemon
// refuses; then the last pair has the error. OfType and Prefix choose among the objects. A feed that was
// cut off is taken up where it stopped, for as long as the context lives; only the first connection
// is limited by Options.Retries.
func (ns *Namespace) Changes(ctx context.Context, opts ...Option) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		f := follower{ns: ns, req: ns.request(opts, http.MethodGet, "changes")}
		f.req.Accept, f.req.session = "application/x-ndjson", nil
		f.yield = func(c Change) bool { return yield(c, nil) }
		if err := f.follow(ctx); err != nil {
			yield(Change{}, err)
		}
	}
}

// follower reads a feed, connection after connection.
type follower struct {
	ns    *Namespace
	req   Request
	yield func(Change) bool
	begun bool // a connection has come about
	again int  // tries in a row that told nothing
}

// errLeft is returned when the caller has left the loop.
var errLeft = errors.New("left")

// follow returns nil when the caller has left the loop, and otherwise why there is no more.
func (f *follower) follow(ctx context.Context) error {
	for {
		err := f.connection(ctx)
		switch {
		case errors.Is(err, errLeft):
			return nil
		case errors.Is(err, ErrCursorExpired):
			err = f.resync(ctx)
		}
		switch {
		case errors.Is(err, errLeft):
			return nil
		case ctx.Err() != nil:
			return f.ns.c.unreachable(context.Cause(ctx))
		case err == nil:
			if f.again > 0 && !f.ns.c.rest(ctx, f.again, nil) {
				return f.ns.c.unreachable(context.DeadlineExceeded)
			}
		case !f.begun || !passing(&f.req, err) || !f.ns.c.rest(ctx, f.again, err):
			return err
		}
		f.again++
	}
}

// connection reads one connection to its end. An end without an error is none of the feed: the
// daemon says why when it is asked again.
func (f *follower) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := f.ns.c.open(ctx, &f.req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	f.begun = true
	silent := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing came in %v", silence)) })
	defer silent.Stop()
	lines := linesOf(resp.Body, maxChangeBytes)
	for lines.Scan() {
		silent.Reset(silence)
		if err := f.line(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return f.ns.c.brokenOff(err)
	}
	return f.ns.c.brokenOff(io.ErrUnexpectedEOF)
}

func (f *follower) line(text []byte) error {
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil
	}
	var c Change
	if err := decode(text, &c); err != nil {
		return err
	}
	f.again = 0
	f.goOn(c.Cursor)
	if c.Event == EventBookmark && !f.req.bookmarks {
		return nil
	}
	return f.tell(c)
}

func (f *follower) tell(c Change) error {
	if !f.yield(c) {
		return errLeft
	}
	return nil
}

func (f *follower) goOn(cursor string) {
	f.req.Query = cloned(f.req.Query)
	f.req.Query.Set("since", cursor)
	f.req.Context = ""
}

// resync lists what there is, and goes on from there.
func (f *follower) resync(ctx context.Context) error {
	f.begun = true
	if err := f.tell(Change{Event: EventResync}); err != nil {
		return err
	}
	list := Request{Method: http.MethodGet, Path: []string{"v1", "ns", f.ns.name, "keys"}, Query: url.Values{}}
	for _, name := range []string{"type", "prefix"} {
		if f.req.Query.Has(name) {
			list.Query.Set(name, f.req.Query.Get(name))
		}
	}
	feed := ""
	keys := pages(ctx, f.ns.c, list, func(body []byte) ([]Key, string, error) {
		var page struct {
			Keys []Key  `json:"keys"`
			Next string `json:"next"`
			Feed string `json:"feed"`
		}
		err := decode(body, &page)
		if feed == "" {
			feed = page.Feed
		}
		return page.Keys, page.Next, err
	})
	for k, err := range keys {
		if err != nil {
			return err
		}
		if err := f.tell(Change{Event: EventListed, Type: k.Type, Key: k.Key}); err != nil {
			return err
		}
	}
	f.goOn(feed)
	return f.tell(Change{Event: EventResynced, Cursor: feed})
}
