package http

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/anabranchdb/anabranch/crdt"
)

// splitPath takes the escaped form of a request's path apart: at each "/" one name ends and the
// next begins, and only then is each decoded, once. Nothing is cleaned: an empty, "." or ".."
// segment is a problem, while "%2E%2E" and "a%2F" are names.
func splitPath(escaped string) ([]string, error) {
	if escaped == "" || escaped[0] != '/' {
		return nil, badRequest("the path does not begin with a slash")
	}
	names := strings.Split(escaped[1:], "/")
	for i, s := range names {
		switch s {
		case "":
			return nil, badRequest("the path has an empty segment; a name is never empty")
		case ".", "..":
			return nil, badRequest("the path has a segment %q, which is not resolved here; write %%2E for a dot that is a name", s)
		}
		name, err := url.PathUnescape(s)
		if err != nil {
			return nil, badRequest("the path has a malformed escape in segment %d", i+1)
		}
		if !utf8.ValidString(name) {
			return nil, badRequest("segment %d of the path is not valid UTF-8", i+1)
		}
		names[i] = name
	}
	return names, nil
}

// muxPath writes segments so that a ServeMux neither cleans nor splits them: plain ones as they
// are, others behind a "~" in base64url. The fields behind …/maps/{key}/fields become one
// segment, because a pattern has a fixed depth. nameOf and namesOf are the way back.
func muxPath(names []string) string {
	var b strings.Builder
	for i, s := range names {
		b.WriteByte('/')
		if i == fieldsAt && names[3] == "maps" && names[5] == "fields" {
			for _, f := range names[i:] {
				b.WriteString(quoteSegment(f))
			}
			break
		}
		if plainSegment(s) {
			b.WriteString(s)
		} else {
			b.WriteString(quoteSegment(s))
		}
	}
	return b.String()
}

// fieldsAt is the index of the first field in /v1/ns/{ns}/maps/{key}/fields/{f}/{f}…
const fieldsAt = 6

func quoteSegment(s string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(s)) }

func plainSegment(s string) bool {
	if s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return s != ""
}

// nameOf returns the name behind one segment of a path that muxPath wrote.
func nameOf(segment string) string {
	if names := namesOf(segment); len(names) == 1 {
		return names[0]
	}
	return segment
}

// namesOf returns the names behind a segment of quoted ones, nil for a plain segment.
func namesOf(segment string) []string {
	if !strings.HasPrefix(segment, "~") {
		return nil
	}
	names := strings.Split(segment[1:], "~")
	for i, s := range names {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			panic("http: a segment that muxPath did not write: " + segment)
		}
		names[i] = string(b)
	}
	return names
}

// checkNames applies the limits of names and of the depth of paths.
func checkNames(names ...string) error {
	for _, s := range names {
		if err := crdt.CheckName(s); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(names []string) error {
	if len(names) > crdt.MaxPathDepth {
		return crdt.ErrDeepPath
	}
	return checkNames(names...)
}
