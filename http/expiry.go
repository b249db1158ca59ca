package http

import (
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
)

// Query parameters, and members of an op, that give what is written a deadline.
const (
	ttlParam     = "ttl"
	expiresParam = "expires"
)

var lifetimeParams = []string{ttlParam, expiresParam}

// ttlPattern is about what time.ParseDuration takes, without signs.
const ttlPattern = `^([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+$`

// maxLifetime bounds how far ahead a deadline may be: a number in another unit is found out.
const maxLifetime = 100 * 366 * 24 * time.Hour

// lifetime is how long what is written is to be seen: for some time, or until a deadline. The zero
// lifetime is for ever.
type lifetime struct {
	ttl time.Duration
	at  crdt.Deadline
}

func (l lifetime) given() bool { return l != lifetime{} }

// set reads one of the two members.
func (l *lifetime) set(name, text string) error {
	if l.given() {
		return badRequest("there is either ttl or expires, once")
	}
	if name == ttlParam {
		ttl, err := time.ParseDuration(text)
		if err != nil || ttl <= 0 || ttl > maxLifetime {
			return badRequest("ttl is a duration such as 90s, 15m or 36h, more than 0 and at most 100 years")
		}
		l.ttl = max(ttl, time.Millisecond)
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.UnixMilli() <= 0 || at.After(crdt.MaxDeadline.Time()) {
		return badRequest("expires is a time of RFC 3339 such as 2030-01-31T12:00:00Z, after 1970")
	}
	l.at = crdt.DeadlineOf(at)
	return nil
}

// deadline is when it ends for what is written now; 0 is never. A time that has passed is a deadline like
// any other: an import may come late.
func (l lifetime) deadline(now crdt.Deadline) (crdt.Deadline, error) {
	at := l.at
	if l.ttl > 0 {
		at = now + crdt.Deadline(l.ttl.Milliseconds())
	}
	if at > now+crdt.Deadline(maxLifetime.Milliseconds()) || at > crdt.MaxDeadline {
		return 0, badRequest("a deadline is at most 100 years ahead")
	}
	return at, nil
}

// writeFor runs write with the deadline of what it writes.
func writeFor[T any](tx Tx, l lifetime, write func() (T, error)) (T, error) {
	if !l.given() {
		return write()
	}
	at, err := l.deadline(tx.Now())
	if err != nil {
		var none T
		return none, err
	}
	tx.Until(at)
	defer tx.Until(0)
	return write()
}

// readLifetime reads ttl and expires in the query of a route that has them.
func (r *request) readLifetime() error {
	for _, name := range lifetimeParams {
		if text, ok := r.param(name); ok {
			if err := r.life.set(name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// readLifetime reads a member of an op that is one of the two.
func (o *op) readLifetime(d *jsonReader, name string) error {
	text, err := d.str()
	if err != nil {
		return err
	}
	return o.life.set(name, text)
}

// checkLifetime makes sure that the op writes something that can have a deadline.
func (o *op) checkLifetime() error {
	writes := o.action&expiring != 0 && !(o.action == actMembers && len(o.add) == 0) && !(o.action == actEnable && !o.enable)
	if o.life.given() && !writes {
		return badRequest("ttl and expires are for what an op writes by value, add, enable or insert")
	}
	return nil
}

// expiring are the actions that write something that can have a deadline.
const expiring = actEnable | actValue | actMembers | actInsert | actSetItem

// timestamp is a deadline in a reply; "" is none.
type timestamp string

func timestampOf(d crdt.Deadline) timestamp {
	if d == 0 {
		return ""
	}
	return timestamp(d.Time().Format(time.RFC3339Nano))
}

// Schema describes it.
func (timestamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "When it is hidden, in UTC, to the millisecond."}
}

// newestDeadline is that of the value that a register shows.
func newestDeadline(live []crdt.Entry) crdt.Deadline {
	for _, e := range live { // newest first
		if e.Kind == crdt.KindValue {
			return e.Expires
		}
	}
	return 0
}

// appendExpires appends the member of an op that gives what it writes a deadline.
func appendExpires(b []byte, d crdt.Deadline) []byte {
	if d == 0 {
		return b
	}
	return appendQuoted(append(b, `,"expires":`...), string(timestampOf(d)))
}
