package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

const (
	problemPrefix    = "urn:anabranch:problem:"
	mediaTypeProblem = "application/problem+json"
)

// Problem is an error as RFC 9457 wants it told: the reply to a request that failed.
type Problem struct {
	Type   string `json:"type" doc:"What kind of problem it is; programs decide by this."`
	Title  string `json:"title" doc:"The kind in words."`
	Status int    `json:"status" doc:"The HTTP status."`
	Detail string `json:"detail" doc:"What happened this time, for people."`
	// Limit is set for too-large.
	Limit int `json:"limit,omitempty" doc:"With too-large: the limit that was passed, in the unit that the detail names."`
	// Missing is set for not-yet-visible.
	Missing uint64 `json:"missing,omitempty" doc:"With not-yet-visible: how many changes of the token are missing here."`

	// Rights and Value are set for insufficient-rights.
	Rights *number `json:"rights,omitempty" doc:"With insufficient-rights: how much may be taken at this daemon."`
	Value  *number `json:"value,omitempty" doc:"With insufficient-rights: the value of the bounded counter as this daemon sees it."`

	lacks  crdt.Int128 // the rights that are missing, 0 for all other kinds
	header http.Header
}

// Error returns the kind and the detail.
func (p *Problem) Error() string { return p.Type[len(problemPrefix):] + ": " + p.Detail }

// setHeader adds a header to the reply that tells p.
func (p *Problem) setHeader(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

func (p *Problem) appendJSON(b []byte) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(b, body...)
}

func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	body := append(p.appendJSON(nil), '\n')
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", mediaTypeProblem)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone needs no answer
	}
}

// kind is one row of the table of problem types.
type kind struct {
	name   string
	status int
	title  string
}

// The problem types that this version answers with.
var (
	kindBadRequest        = kind{"bad-request", 400, "The request is malformed"}
	kindBadContext        = kind{"bad-context", 400, "The context token is malformed or belongs to another namespace"}
	kindBadCursor         = kind{"bad-cursor", 400, "The cursor is malformed or belongs to another query"}
	kindForbidden         = kind{"forbidden", 403, "The request is not allowed"}
	kindNotFound          = kind{"not-found", 404, "There is nothing here"}
	kindNamespaceNotFound = kind{"namespace-not-found", 404, "This daemon does not hold the namespace"}
	kindMethodNotAllowed  = kind{"method-not-allowed", 405, "The resource has no such method"}
	kindNotAcceptable     = kind{"not-acceptable", 406, "The resource has no representation that is accepted"}
	kindInProgress        = kind{"idempotency-in-progress", 409, "The request with this idempotency key is still running"}
	kindRights            = kind{"insufficient-rights", 409, "This daemon has no rights to take that much"}
	kindCursorExpired     = kind{"cursor-expired", 410, "The cursor is too old"}
	kindPrecondition      = kind{"precondition-failed", 412, "The object is not as the request asks for"}
	kindTooLarge          = kind{"too-large", 413, "A limit is exceeded"}
	kindMediaType         = kind{"unsupported-media-type", 415, "The body has a media type that is not taken here"}
	kindKeyReused         = kind{"idempotency-key-reused", 422, "The idempotency key belongs to another request"}
	kindOverflow          = kind{"overflow", 422, "The counter would leave its range"}
	kindWrongType         = kind{"wrong-type-op", 422, "The type has no such action"}
	kindRateLimited       = kind{"rate-limited", 429, "Too many requests at the same time"}
	kindInternal          = kind{"internal", 500, "The daemon failed"}
	kindNotYetVisible     = kind{"not-yet-visible", 503, "Changes that the token covers have not arrived yet"}
	kindShuttingDown      = kind{"shutting-down", 503, "The daemon is shutting down"}
	kindStoreBusy         = kind{"store-busy", 503, "The store cannot answer now"}
	kindDiskFull          = kind{"disk-full", 507, "The disk is full"}
)

// kinds are all of them, in the order of their statuses.
var kinds = []kind{
	kindBadRequest, kindBadContext, kindBadCursor, kindForbidden, kindNotFound, kindNamespaceNotFound, kindMethodNotAllowed, kindNotAcceptable,
	kindInProgress, kindRights, kindCursorExpired, kindPrecondition, kindTooLarge, kindMediaType, kindKeyReused, kindOverflow, kindWrongType, kindRateLimited, kindInternal,
	kindNotYetVisible, kindShuttingDown, kindStoreBusy, kindDiskFull,
}

// kindMembers are the members that a problem of a kind may have besides those that all have.
var kindMembers = map[kind][]string{
	kindTooLarge:      {"limit"},
	kindNotYetVisible: {"missing"},
	kindRights:        {"rights", "value"},
}

func (k kind) with(format string, args ...any) *Problem {
	return &Problem{Type: problemPrefix + k.name, Title: k.title, Status: k.status, Detail: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *Problem { return kindBadRequest.with(format, args...) }

// tooLarge tells a limit that was passed; the detail names what and in which unit.
func tooLarge(limit int, format string, args ...any) *Problem {
	p := kindTooLarge.with(format, args...)
	p.Limit = limit
	return p
}

// rows says what the errors of other packages become. The first row that matches counts; what
// matches none is internal.
var rows = []struct {
	err    error
	kind   kind
	limit  int
	detail string
}{
	{store.ErrNamespaceNotFound, kindNamespaceNotFound, 0, "this daemon holds no namespace of that name; PUT /v1/ns/NAME makes one"},
	{store.ErrNamespaceName, kindBadRequest, 0, "a namespace is named by 1 to 63 of a-z, 0-9, '.', '_', '-', and begins with a letter or a digit"},
	{store.ErrNamespaceStorage, kindBadRequest, 0, "the namespace exists with the other kind of storage"},
	{store.ErrNotMemory, kindForbidden, 0, "presence is for namespaces whose copy here is in memory: what is announced ends with the daemon"},
	{store.ErrTooManyNamespaces, kindTooLarge, store.MaxNamespaces, "a daemon holds at most 4096 namespaces"},
	{store.ErrLargeSide, kindTooLarge, store.MaxSideValueBytes, "the reply has more bytes than are kept for an idempotency key: change less in one request, or send no key"},
	{store.ErrTooLarge, kindTooLarge, 0, "this is more than one change can carry: delete the counters of the map in parts"},
	{crdt.ErrOverflow, kindOverflow, 0, "the value of the counter, as this daemon sees it, would leave the range of 64-bit integers"},
	{crdt.ErrRights, kindRights, 0, "this daemon has no rights to all that would be taken of a bounded counter"},
	{crdt.ErrTooLarge, kindTooLarge, crdt.MaxValueBytes, "a value has at most 262144 bytes"},
	{crdt.ErrLongName, kindTooLarge, crdt.MaxNameBytes, "a key, a member or a field name has at most 1024 bytes"},
	{crdt.ErrNoElement, kindNotFound, 0, "the list has no such item"},
	{crdt.ErrBadPosition, kindBadRequest, 0, "an id of an item is malformed"},
	{crdt.ErrNoPosition, kindTooLarge, crdt.MaxNameBytes, "the id of an item has at most 1024 bytes, and there is no shorter one at this place: too many items were inserted one within the other. Move or delete some of them"},
	{crdt.ErrDeepPath, kindTooLarge, crdt.MaxPathDepth, "a path has at most 32 fields"},
	{crdt.ErrEmptyName, kindBadRequest, 0, "a key, a member or a field name must not be empty"},
	{crdt.ErrNotUTF8, kindBadRequest, 0, "a key, a member or a field name must be valid UTF-8"},
	{store.ErrCursorExpired, kindCursorExpired, 0, expiredDetail},
	{store.ErrDiskFull, kindDiskFull, 0, "there is no space for this write; reads, removals and replication go on"},
	{store.ErrClosed, kindShuttingDown, 0, "the store is closed"},
	{store.ErrDamaged, kindStoreBusy, 0, "the data here is damaged and is being fetched again from other replicas"},
	{store.ErrJoining, kindStoreBusy, 0, "the copy was damaged, or its replica id was in use twice; it begins anew, and answers once it has joined a daemon that holds the namespace; if there is none any more, start this one with --accept-loss NAMESPACE"},
	{crdt.ErrDamaged, kindStoreBusy, 0, "the data here is damaged and is being fetched again from other replicas"},
	{store.ErrSnapshotLost, kindStoreBusy, 0, "too much was written while this was read: ask again"},
	{context.DeadlineExceeded, kindStoreBusy, 0, "the store did not answer in time"},
	{context.Canceled, kindStoreBusy, 0, "the request was cancelled"},
}

// problemOf returns the problem that tells err. It never tells more of an error of our own
// making than its kind: those are for the log.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var body *http.MaxBytesError
	if errors.As(err, &body) {
		return tooLarge(int(body.Limit), "the body has more than %d bytes", body.Limit)
	}
	for _, row := range rows {
		if errors.Is(err, row.err) {
			p := row.kind.with("%s", row.detail)
			p.Limit = row.limit
			if p.Status == http.StatusServiceUnavailable {
				p.setHeader("Retry-After", "1")
			}
			return p
		}
	}
	return kindInternal.with("an error that is no fault of the request; the daemon's log has it")
}
