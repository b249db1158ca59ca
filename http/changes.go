package http

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Limits of the feed.
const (
	// maxFeeds bounds the readers that a daemon serves at the same time.
	maxFeeds = 1024
	// maxFeedScan bounds the records that are looked at for one page.
	maxFeedScan  = 20_000
	maxFeedBytes = 1 << 20 // of a poll; it ends behind the change that passes it
	// maxStreamBytes bounds a page of a stream: what a stalled reader makes the daemon hold.
	maxStreamBytes = 64 << 10
	// defaultPoll is how long a poll without a timeout waits.
	defaultPoll = 30 * time.Second
	maxPoll     = 60 * time.Second
)

// Events of the feed.
const (
	eventChanged  = "changed"
	eventRemoved  = "removed"
	eventConflict = "conflict"
	eventBookmark = "bookmark"
)

// Changes is the reply to a poll of the feed.
type Changes struct {
	Changes []Change `json:"changes" doc:"The latest state of what has changed, the oldest change first. Empty when the time was over."`
	Cursor  string   `json:"cursor" doc:"Where to go on."`
}

// Change tells of one object, or, as a bookmark, only how far the reader has come.
type Change struct {
	Cursor string     `json:"cursor" doc:"Behind this change."`
	Event  string     `json:"event" enum:"changed,removed,conflict,bookmark"`
	Type   string     `json:"type,omitempty" enum:"bounded,counter,flag,list,map,presence,register,set"`
	Key    string     `json:"key,omitempty"`
	Value  *jsonValue `json:"value,omitempty" doc:"With include=value, unless the object is removed or is a list, set or map above 64 KiB."`
}

const expiredDetail = "the log here does not tell what came behind that place: list /keys, which has the cursor to follow from as feed, and read what it names"

// feed is one reader of the changes of a namespace.
type feed struct {
	r       *request
	ns      Namespace
	replica crdt.ReplicaID
	at      store.Position
	query   uint64
	of      crdt.Path // objects of this type, "" for all
	prefix  string
	values  bool
	seen    crdt.VersionVector // of the last view
	commit  uint64             // of the last view
}

// A cursor of the feed is sealed like a token: version (2) | binding to the query (8) | replica (8)
// | commit, run, piece, index (uvarints).
const feedCursorVersion = 2

func (f *feed) cursor(at store.Position) string {
	b := binary.BigEndian.AppendUint64([]byte{feedCursorVersion}, f.query)
	b = binary.BigEndian.AppendUint64(b, uint64(f.replica))
	for _, n := range []uint64{at.Commit, at.Run, at.Piece, at.Index} {
		b = binary.AppendUvarint(b, n)
	}
	return seal(b)
}

func (f *feed) parseCursor(s string) (replica crdt.ReplicaID, at store.Position, err error) {
	bad := kindBadCursor.with("the cursor is malformed or belongs to another query")
	b, ok := unseal(s)
	if !ok || len(b) < tokenHead+8 || b[0] != feedCursorVersion || binary.BigEndian.Uint64(b[1:]) != f.query {
		return 0, at, bad
	}
	replica = crdt.ReplicaID(binary.BigEndian.Uint64(b[tokenHead:]))
	b = b[tokenHead+8:]
	for _, to := range []*uint64{&at.Commit, &at.Run, &at.Piece, &at.Index} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, at, bad
		}
		*to, b = v, b[n:]
	}
	if len(b) > 0 {
		return 0, at, bad
	}
	return replica, at, nil
}

// feedQuery is what cursors of the feed are bound to.
func feedQuery(ns, typ, prefix string) uint64 { return binding(changesPattern, ns, typ, prefix) }

const mediaTypeSSE = "text/event-stream"

// feedMedia picks the form of the reply: of those that are accepted the one that is named, and
// JSON before the streams.
func (r *request) feedMedia() (string, error) {
	accept := strings.Join(r.http.Header["Accept"], ",")
	all := []string{mediaTypeJSON, mediaTypeSSE, mediaTypeNDJSON}
	if accept == "" {
		return mediaTypeJSON, nil
	}
	for _, named := range []bool{true, false} {
		for _, media := range all {
			if accepts(accept, media) && (!named || strings.Contains(strings.ToLower(accept), media)) {
				return media, nil
			}
		}
	}
	return "", kindNotAcceptable.with("the reply is %s, which the Accept header leaves out", strings.Join(all, " or "))
}

func getChanges(r *request) (*reply, error) {
	media, err := r.feedMedia()
	if err != nil {
		return nil, err
	}
	f, err := r.feed()
	if err != nil {
		return nil, err
	}
	limit := maxLimit
	if s, ok := r.param("limit"); ok {
		if limit, err = parseLimit(s); err != nil {
			return nil, err
		}
	} else if media == mediaTypeJSON {
		limit = defaultLimit
	}
	timeout, err := r.pollTimeout(media)
	if err != nil {
		return nil, err
	}
	if !r.handler.enterFeed() {
		return nil, kindRateLimited.with("%d readers follow changes here already", maxFeeds).setHeader("Retry-After", "5")
	}
	rep, err := f.start(media, limit, timeout)
	if err != nil || rep.close == nil {
		r.handler.feeds.Add(-1)
	}
	return rep, err
}

// enterFeed counts a reader in. It returns false when there are too many.
func (h *Handler) enterFeed() bool {
	if h.feeds.Add(1) > maxFeeds {
		h.feeds.Add(-1)
		return false
	}
	return true
}

// start answers a poll, or makes the reply that streams.
func (f *feed) start(media string, limit int, timeout time.Duration) (*reply, error) {
	// The limit of time for a request ends the wait of a handler, too.
	_ = f.r.control.SetReadDeadline(time.Time{})
	if err := f.begin(); err != nil {
		return nil, err
	}
	if media == mediaTypeJSON {
		body, err := f.poll(limit, timeout)
		if err != nil {
			return nil, err
		}
		return &reply{status: http.StatusOK, token: encodeToken(f.ns.Name(), f.seen), body: body}, nil
	}
	rep := &reply{status: http.StatusOK, token: encodeToken(f.ns.Name(), f.seen), media: media}
	s := &feedStream{feed: f, sse: media == mediaTypeSSE}
	if _, ok := f.r.param("limit"); ok {
		s.rest = limit
	}
	key := sharedKey{query: f.query, replica: f.replica, values: f.values, sse: s.sse}
	shared := &f.r.handler.shared
	s.shared = shared.join(key)
	rep.close = func() {
		shared.leave(key)
		f.r.handler.feeds.Add(-1)
	}
	rep.stream = func(out *lines) error {
		s.out = out
		return s.run()
	}
	return rep, nil
}

// feed reads the query, all but where it begins.
func (r *request) feed() (*feed, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	f := &feed{r: r, ns: ns, prefix: r.prefix()}
	typ, given := r.param("type")
	if given {
		t, err := parseType(typ)
		if err != nil {
			return nil, err
		}
		f.of = crdt.Path(rune(t))
	}
	if include, ok := r.param("include"); ok {
		if f.values = include == "value"; !f.values {
			return nil, badRequest("include is value")
		}
	}
	f.query = feedQuery(ns.Name(), typ, f.prefix)
	return f, nil
}

func (r *request) pollTimeout(media string) (time.Duration, error) {
	s, ok := r.param("timeout")
	switch {
	case r.http.Method == http.MethodHead:
		return 0, nil
	case !ok:
		return defaultPoll, nil
	}
	if media != mediaTypeJSON {
		return 0, badRequest("timeout is for polls: a stream has no end")
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxPoll {
		return 0, badRequest("timeout is a time from 0s to 60s, with its unit")
	}
	return d, nil
}

// begin finds out where the reader begins: by Last-Event-ID, by since, or by a token.
func (f *feed) begin() error {
	v, err := f.ns.View(f.r.http.Context())
	if err != nil {
		return err
	}
	defer v.Close()
	f.replica, f.seen, f.commit = v.Replica(), v.Clock(), v.End().Commit-1
	tokens := f.r.http.Header[contextHeader]
	since, given := f.r.param("since")
	if id := f.r.http.Header.Get("Last-Event-ID"); id != "" {
		since, given, tokens = id, true, nil
	}
	switch {
	case len(tokens) > 1:
		return kindBadContext.with("the header %s stands twice", contextHeader)
	case len(tokens) == 1 && given:
		return badRequest("since and the header %s both say where to begin", contextHeader)
	case len(tokens) == 1:
		return f.beginAfter(v, tokens[0])
	case !given || since == "now":
		f.at = v.End()
		return nil
	case since == "start":
		f.at = store.Start
	default:
		if b, ok := unseal(since); ok && len(b) >= tokenHead && b[0] == tokenVersion {
			return f.beginAfter(v, since)
		}
		replica, at, err := f.parseCursor(since)
		if err != nil {
			return err
		}
		if replica != f.replica {
			return store.ErrCursorExpired
		}
		f.at = at
	}
	for _, err := range v.Changes(f.at) {
		return err // whether the place is there is known at once
	}
	return nil
}

func (f *feed) beginAfter(v View, token string) error {
	clock, err := decodeToken(f.ns.Name(), token)
	if err != nil {
		return err
	}
	f.at, err = v.After(clock)
	return err
}

// poll waits until there is a change, or the time is over.
func (f *feed) poll(limit int, timeout time.Duration) (Changes, error) {
	ctx, cancel := context.WithTimeout(f.r.http.Context(), timeout)
	defer cancel()
	defer context.AfterFunc(f.r.handler.drained, cancel)()
	for {
		changes, more, err := f.page(limit, maxFeedBytes, 0)
		if err != nil {
			return Changes{}, err
		}
		if len(changes) == 0 && !more {
			err = f.ns.WaitCommit(ctx, f.commit+1)
		}
		switch {
		case len(changes) > 0 || errors.Is(ctx.Err(), context.DeadlineExceeded):
			return Changes{Changes: changes, Cursor: f.cursor(f.at)}, nil
		case f.r.handler.drained.Err() != nil:
			return Changes{}, kindShuttingDown.with("the daemon is shutting down").setHeader("Retry-After", "1")
		case err != nil:
			return Changes{}, err
		}
	}
}

// page reads what comes next, from one view, and moves on. It ends behind limit changes, behind the
// change that passes maxBytes, and before a commit, 0 for none. more says that there is more
// already.
func (f *feed) page(limit, maxBytes int, until uint64) (changes []Change, more bool, err error) {
	v, err := f.ns.View(f.r.http.Context())
	if err != nil {
		return nil, false, err
	}
	defer v.Close()
	f.seen, f.commit = v.Clock(), v.End().Commit-1
	changes = []Change{}
	seen, bytes, scanned := map[crdt.Path]bool{}, 0, 0
	for c, err := range v.Changes(f.at) {
		if err == nil {
			err = f.r.http.Context().Err()
		}
		if err != nil {
			return nil, false, err
		}
		if until > 0 && c.Commit >= until {
			f.at = store.Position{Commit: until}
			return changes, true, nil
		}
		if len(changes) == limit || bytes > maxBytes || scanned == maxFeedScan {
			return changes, true, nil
		}
		scanned++
		f.at = c.Next
		if c.Object == "" || !f.of.Contains(c.Object) || seen[c.Object] {
			continue
		}
		change, ok, err := f.change(v, c)
		if err != nil {
			return nil, false, err
		}
		if ok {
			seen[c.Object] = true
			changes = append(changes, change)
			bytes += change.size()
		}
	}
	f.at = v.End()
	return changes, false, nil
}

// size is about how much room the change takes.
func (c Change) size() int {
	n := len(c.Cursor) + len(c.Key)
	if c.Value != nil {
		n += len(*c.Value)
	}
	return n
}

// change tells of an object as it is in the view. It returns false for one that is not asked for,
// and for one that a later commit touched: it comes up there.
func (f *feed) change(v View, c store.Change) (Change, bool, error) {
	parts, err := c.Object.Parse()
	known := slices.Contains(types, parts.Type) // leases are no objects, and a later version may have others
	if err != nil || !known || !strings.HasPrefix(parts.Key, f.prefix) {
		return Change{}, false, err
	}
	h, err := v.Head(c.Object)
	if err != nil || h.Entries > 0 && h.Commit > c.Commit {
		return Change{}, false, err
	}
	change := Change{Cursor: f.cursor(c.Next), Event: eventChanged, Type: parts.Type.String(), Key: parts.Key}
	if h.Visible == 0 {
		change.Event = eventRemoved
		return change, true, nil
	}
	conflict, err := inConflict(v, c.Object, h, f.r.http.Context().Err)
	if err != nil {
		return change, false, err
	}
	if conflict {
		change.Event = eventConflict
	}
	if f.values {
		change.Value, err = feedValue(v, c.Object, h)
	}
	return change, true, err
}
