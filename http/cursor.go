package http

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
)

// Limits of pages, in items.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// A cursor is sealed like a token: version (1) | binding to the query (8) | path of the last
// item. It names a place, not a moment: it holds across restarts and writes.
const cursorVersion = 1

// page is a part of an ordered list: the items strictly after a path.
type page struct {
	limit int
	after crdt.Path // "" for the first page
	query uint64    // binding of cursors
	asked bool      // limit or cursor was given
}

// page reads limit and cursor. The parts say which query it is: a cursor is good only for the
// same parts, and only if it stands under prefix.
func (r *request) page(prefix crdt.Path, parts ...string) (page, error) {
	p := page{limit: defaultLimit, query: binding(append([]string{r.route.pattern, r.name("ns")}, parts...)...)}
	if s, ok := r.param("limit"); ok {
		n, err := parseLimit(s)
		if err != nil {
			return p, err
		}
		p.limit, p.asked = n, true
	}
	if s, ok := r.param("cursor"); ok {
		after, ok := decodeCursor(p.query, s)
		if !ok || !prefix.Contains(after) {
			return p, kindBadCursor.with("the cursor is malformed or belongs to another query")
		}
		p.after, p.asked = after, true
	}
	return p, nil
}

func parseLimit(s string) (int, error) {
	digits := strings.TrimLeft(s, "0")
	if s == "" || strings.Trim(s, "0123456789") != "" || digits == "" {
		return 0, badRequest("limit is a whole number from 1; above %d counts as %d", maxLimit, maxLimit)
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > maxLimit {
		n = maxLimit // too long for an int is above the limit, too
	}
	return n, nil
}

// next returns the cursor of the page behind the item at last.
func (p page) next(last crdt.Path) string {
	b := binary.BigEndian.AppendUint64([]byte{cursorVersion}, p.query)
	return seal(append(b, last...))
}

func decodeCursor(query uint64, s string) (crdt.Path, bool) {
	b, ok := unseal(s)
	if !ok || len(b) < tokenHead || b[0] != cursorVersion || binary.BigEndian.Uint64(b[1:]) != query {
		return "", false
	}
	after := crdt.Path(b[tokenHead:])
	_, err := after.Parse()
	return after, err == nil
}
