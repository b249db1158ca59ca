package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// Errors that do not come from a daemon.
var (
	// ErrUnreachable is returned, wrapped, when no daemon answered: it refused the connection, it
	// closed it before the reply was complete, or the context ended first. A write may or may not
	// have happened. context.Canceled and context.DeadlineExceeded are found in it.
	ErrUnreachable = errors.New("no answer from the daemon")
	// ErrAddr is returned, wrapped, for an address that is neither a URL nor unix:PATH.
	ErrAddr = errors.New("not an address of a daemon")
	// ErrName is returned, wrapped, for a key, member or field that is not UTF-8: JSON would change it
	// silently.
	ErrName = errors.New("not a name")
	// ErrReply is returned, wrapped, when a reply is not what the API promises.
	ErrReply = errors.New("the reply is not what the API promises")
	// ErrRange is returned, wrapped, for a counter whose value does not fit the type that was asked
	// for. What the call was to do is done; Counter.Big reads every value.
	ErrRange = errors.New("the value of the counter does not fit")
)

// kind is a sentinel of problems: errors.Is finds the name of the problem's type.
type kind string

func (k kind) Error() string { return "anabranch: " + string(k) }

// What a daemon answers in place of a result, for errors.Is. docs/API.md tells when.
var (
	ErrNotFound           error = kind("not-found")               // nothing is there
	ErrNamespaceNotFound  error = kind("namespace-not-found")     // this daemon does not hold the namespace
	ErrBadRequest         error = kind("bad-request")             // malformed, or unknown to this daemon
	ErrBadContext         error = kind("bad-context")             // not a token, or one of another namespace
	ErrBadCursor          error = kind("bad-cursor")              // not a cursor, or one of another query
	ErrForbidden          error = kind("forbidden")               // not allowed here
	ErrCursorExpired      error = kind("cursor-expired")          // the feed has forgotten what followed; see Namespace.Changes
	ErrPreconditionFailed error = kind("precondition-failed")     // IfMatch, IfAbsent or a condition of a batch
	ErrTooLarge           error = kind("too-large")               // a limit, which the extension "limit" has
	ErrInsufficientRights error = kind("insufficient-rights")     // a bounded counter: this daemon may not take so much
	ErrInProgress         error = kind("idempotency-in-progress") // the first call with this key is still running
	ErrKeyReused          error = kind("idempotency-key-reused")  // the key was used for another call
	ErrOverflow           error = kind("overflow")                // the counter would leave 64 bits
	ErrWrongType          error = kind("wrong-type-op")           // the type has no such action
	ErrRateLimited        error = kind("rate-limited")            // too many readers of the feed
	ErrNotYetVisible      error = kind("not-yet-visible")         // the token covers what has not arrived; "missing" counts it
	ErrShuttingDown       error = kind("shutting-down")           // the daemon is stopping
	ErrStoreBusy          error = kind("store-busy")              // its store does not answer now
	ErrDiskFull           error = kind("disk-full")               // no space for additions; removals go on
	ErrInternal           error = kind("internal")                // a fault of the daemon
)

// Groups of what a daemon answers, for errors.Is.
var (
	// ErrConflict is every problem of the status 409: not in the present state of things.
	ErrConflict = errors.New("anabranch: conflict")
	// ErrNotModified is returned for a read with IfNoneMatch of an object that has that ETag still.
	ErrNotModified = errors.New("anabranch: not modified")
)

// unreachable is an ErrUnreachable with its cause.
type unreachable struct {
	addr  string
	cause error
}

func (e *unreachable) Error() string {
	why := e.cause.Error()
	if errors.Is(e.cause, context.DeadlineExceeded) {
		why = "the time is over"
	}
	return fmt.Sprintf("%v at %s: %s", ErrUnreachable, e.addr, why)
}

func (e *unreachable) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

func (c *Client) unreachable(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &unreachable{c.addr, err}
}

func (c *Client) brokenOff(err error) error {
	return c.unreachable(fmt.Errorf("the reply broke off: %w", err))
}
