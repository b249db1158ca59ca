package http

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// An ETag names the last change of an object's live entries in this copy: the replica and the
// stamp of the change, in base64url, and the latest deadline that hides some of them. Two states of
// an object never share one; a copy that is made anew, or takes a new identity, has another replica id.

// opaqueTag returns an ETag without its quotes.
func opaqueTag(replica crdt.ReplicaID, h store.Head) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(replica))
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.Commit), h.Step)
	if h.Over > 0 {
		b = binary.AppendUvarint(b, uint64(h.Over))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// condition is If-Match or If-None-Match.
type condition struct {
	given bool
	any   bool // "*"
	tags  []entityTag
}

type entityTag struct {
	opaque string
	weak   bool
}

// conditions are what a request asks of an object (RFC 9110, section 13).
type conditions struct{ match, none condition }

func (c conditions) given() bool { return c.match.given || c.none.given }

// checkConditions reads If-Match and If-None-Match, where the route is about one whole object.
func (r *request) checkConditions() error {
	for name, to := range map[string]*condition{"If-Match": &r.match.match, "If-None-Match": &r.match.none} {
		lines, ok := r.http.Header[name]
		if !ok {
			continue
		}
		if !r.tagged() {
			return badRequest("the header %s has no meaning here: only whole objects have an ETag, not pages, shapes, members and fields", name)
		}
		var good bool
		if *to, good = parseCondition(strings.Join(lines, ",")); !good {
			return badRequest("the header %s is neither * nor a list of ETags, which have double quotes", name)
		}
	}
	return nil
}

// tagged reports whether the request is about one object that has an ETag: a write of it or of a
// part of it, or a read of the whole.
func (r *request) tagged() bool {
	return r.route.object != 0 && (r.route.method != http.MethodGet || len(r.query) == 0)
}

// parseCondition reads "*" or a list of entity tags, in which elements may be empty.
func parseCondition(s string) (condition, bool) {
	c := condition{given: true}
	if strings.Trim(s, " \t") == "*" {
		c.any = true
		return c, true
	}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return c, len(c.tags) > 0
		}
		tag, rest, ok := cutTag(s)
		if !ok {
			return c, false
		}
		c.tags = append(c.tags, tag)
		s = strings.TrimLeft(rest, " \t")
		if s != "" && s[0] != ',' {
			return c, false
		}
	}
}

// cutTag takes an entity tag from the front of s.
func cutTag(s string) (tag entityTag, rest string, ok bool) {
	s, tag.weak = strings.CutPrefix(s, "W/")
	if s, ok = strings.CutPrefix(s, `"`); !ok {
		return tag, s, false
	}
	tag.opaque, rest, ok = strings.Cut(s, `"`)
	return tag, rest, ok && !strings.ContainsFunc(tag.opaque, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// strong is the comparison of If-Match: no weak tag is equal to anything.
func (c condition) strong(opaque string) bool {
	for _, t := range c.tags {
		if !t.weak && t.opaque == opaque {
			return true
		}
	}
	return false
}

// weak is the comparison of If-None-Match.
func (c condition) weak(opaque string) bool {
	for _, t := range c.tags {
		if t.opaque == opaque {
			return true
		}
	}
	return false
}

// holds reports whether If-Match and If-None-Match hold for an object. An object without visible
// content is absent and has no tag.
func (c conditions) holds(replica crdt.ReplicaID, h store.Head) (match, none bool) {
	present, opaque := h.Visible > 0, ""
	if present {
		opaque = opaqueTag(replica, h)
	}
	match = !c.match.given || present && (c.match.any || c.match.strong(opaque))
	none = !c.none.given || !present || !c.none.any && !c.none.weak(opaque)
	return match, none
}

func (r *request) objectPath() crdt.Path { return crdt.Object(r.route.object, r.name("key")) }

func (r *request) failed(what string) error {
	return kindPrecondition.with("the %v %s %s", r.route.object, quoted(r.name("key")), what)
}

// readTag returns the ETag of the object that is read, "" when it has none, and whether the
// client has this state already. The conditions on an absent object do not count: it is 404.
func (r *request) readTag(v View) (etag string, fresh bool, err error) {
	if !r.tagged() {
		return "", false, nil
	}
	h, err := v.Head(r.objectPath())
	if err != nil || h.Visible == 0 {
		return "", false, err
	}
	match, none := r.match.holds(r.ns.Replica(), h)
	if !match {
		return "", false, r.failed("has none of the ETags in If-Match")
	}
	return quoteTag(opaqueTag(r.ns.Replica(), h)), !none, nil
}

func quoteTag(opaque string) string { return `"` + opaque + `"` }

// writtenTag notes the ETag of a counter as this transaction leaves it. What the store will purge
// at the end of the commit changes it once more: then it is not known here.
func (r *request) writtenTag(tx Tx, leaf crdt.Path) error {
	live, err := tx.Entries(leaf)
	if err != nil {
		return err
	}
	h, err := tx.Head(r.objectPath())
	if err == nil && h.Visible > 0 && crdt.Settle(live, leaf, crdt.Dot{Replica: r.ns.Replica()}, 0).Empty() {
		r.etag = quoteTag(opaqueTag(r.ns.Replica(), h))
	}
	return err
}

// checkWrite evaluates the conditions of a write within its commit: nothing comes between.
func (r *request) checkWrite(tx Tx) error {
	if !r.match.given() {
		return nil
	}
	h, err := tx.Head(r.objectPath())
	if err != nil {
		return err
	}
	match, none := r.match.holds(r.ns.Replica(), h)
	switch {
	case !match && h.Visible == 0:
		return r.failed("is absent")
	case !match:
		return r.failed("has none of the ETags in If-Match")
	case !none && r.match.none.any:
		return r.failed("exists")
	case !none:
		return r.failed("has an ETag in If-None-Match")
	}
	return nil
}
