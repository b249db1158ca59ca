package client

import (
	"net/http"
	"strconv"
	"time"
)

// Option changes a call, or with Client.Namespace all calls of a namespace. Later ones count.
type Option func(*Request)

// In has a call carry the tokens of a session and keep the new ones there.
func In(s *Session) Option { return func(r *Request) { r.session = s } }

// WithContext asks for a state at least as fresh as this token stands for, and has a removal or a
// value take the place of exactly what it covers. It goes before the token of a session.
func WithContext(token string) Option { return func(r *Request) { r.Context = token } }

// Wait is how long the daemon may wait for what a token stands for, for Acks, or in a Barrier: at
// most a minute, in steps of a second. Without it the daemon does not wait.
func Wait(d time.Duration) Option { return func(r *Request) { r.Wait = d } }

// Acks has a write answered once n peers have told that they hold it on their disks, as long as Wait
// allows. It is no error when fewer have by then: the write stands and spreads. Meta.Acks counts them.
func Acks(n int) Option { return func(r *Request) { r.Acks = n } }

// IfMatch has a write happen only while the object at this daemon has this ETag, or exists for "*";
// ErrPreconditionFailed otherwise. It says nothing of what other daemons hold.
func IfMatch(etag string) Option { return func(r *Request) { r.IfMatch = etag } }

// IfAbsent has a write happen only while the object is absent at this daemon.
func IfAbsent() Option { return func(r *Request) { r.IfNoneMatch = "*" } }

// IfNoneMatch has a read return ErrNotModified while the object at this daemon has this ETag.
func IfNoneMatch(etag string) Option { return func(r *Request) { r.IfNoneMatch = etag } }

// TTL has what a call writes be over after d, everywhere, by the clock of the daemon that is asked. A later
// write without it is not. It is for values, members of sets, flags and items of lists.
func TTL(d time.Duration) Option { return query("ttl", d.String()) }

// Expires has what a call writes be over at a moment, as TTL does.
func Expires(at time.Time) Option { return query("expires", at.UTC().Format(time.RFC3339Nano)) }

// IdempotencyKey names what a write is to do, for one that is to be done once even if the program is
// started anew in between: the daemon does it once in 24 hours. Without it, the retries of each call
// have a key of their own. Another daemon does not know it.
func IdempotencyKey(key string) Option { return func(r *Request) { r.IdempotencyKey = key } }

// Prefix leaves only the members, or keys, that begin with a text.
func Prefix(text string) Option { return query("prefix", text) }

// OfType leaves only objects of a type.
func OfType(t Type) Option { return query("type", string(t)) }

// PageSize is how many items are asked for at a time where a list pages by itself; 1000 without it,
// which is the most.
func PageSize(n int) Option { return query("limit", strconv.Itoa(n)) }

// FromCursor goes on with a list from a cursor.
func FromCursor(cursor string) Option { return query("cursor", cursor) }

// WithMeta has a call tell of its reply. Errors of a daemon have one too.
func WithMeta(m *Meta) Option { return func(r *Request) { r.meta = m } }

func query(name, value string) Option {
	return func(r *Request) {
		r.Query = cloned(r.Query)
		r.Query.Set(name, value)
	}
}

// Meta tells of a reply what its value does not.
type Meta struct {
	Status int
	// Context is the token; empty when the reply has none.
	Context string
	// ETag is that of the object, for reads of whole objects; else empty.
	ETag string
	// Acks is how many peers have told that they hold the write, when Acks asked for some.
	Acks int
	// Replayed is set when the daemon had done the call before, under the same idempotency key.
	Replayed bool
}

func (m *Meta) read(resp *http.Response) {
	h := resp.Header
	*m = Meta{Status: resp.StatusCode, Context: h.Get(ContextHeader), ETag: h.Get("ETag"), Replayed: h.Get("Idempotency-Replayed") != ""}
	if n, err := strconv.Atoi(h.Get("Anabranch-Acks")); err == nil {
		m.Acks = n
	}
}
