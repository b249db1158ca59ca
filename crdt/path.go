package crdt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Type is the type of an object or of a child of a map. Its letter stands in paths.
type Type byte

// The types. Their letters order as their names do.
const (
	Bounded  Type = 'b'
	Counter  Type = 'c'
	Flag     Type = 'f'
	List     Type = 'l'
	Map      Type = 'm'
	Presence Type = 'p'
	Register Type = 'r'
	Set      Type = 's'
)

// String returns the type's name, or its letter in quotes if the type is not known here.
func (t Type) String() string {
	switch t {
	case Bounded:
		return "bounded"
	case Counter:
		return "counter"
	case Flag:
		return "flag"
	case List:
		return "list"
	case Map:
		return "map"
	case Presence:
		return "presence"
	case Register:
		return "register"
	case Set:
		return "set"
	}
	return fmt.Sprintf("%q", string(rune(t)))
}

// ParseType is the inverse of String for the known types.
func ParseType(s string) (Type, bool) {
	for _, t := range []Type{Bounded, Counter, Flag, List, Map, Presence, Register, Set} {
		if t.String() == s {
			return t, true
		}
	}
	return 0, false
}

// Limits of names and paths.
const (
	MaxNameBytes = 1 << 10
	MaxPathDepth = 32
)

// Errors of CheckName and ParsePath.
var (
	ErrEmptyName = errors.New("crdt: a name must not be empty")
	ErrLongName  = fmt.Errorf("crdt: a name must not be longer than %d bytes", MaxNameBytes)
	ErrNotUTF8   = errors.New("crdt: a name must be valid UTF-8")
	ErrDeepPath  = fmt.Errorf("crdt: a path must not have more than %d fields", MaxPathDepth)
	ErrBadPath   = errors.New("crdt: malformed path")
)

// CheckName reports why s cannot be a key, a field or a member: ErrEmptyName, ErrLongName or
// ErrNotUTF8.
func CheckName(s string) error {
	switch {
	case s == "":
		return ErrEmptyName
	case len(s) > MaxNameBytes:
		return ErrLongName
	case !utf8.ValidString(s):
		return ErrNotUTF8
	}
	return nil
}

// Path is the canonical name of a place that holds entries, or the prefix of such names:
//
//	object = type name                        an object, and the prefix of everything in it
//	field  = object { "|" name }              a field of a map, and the prefix of its subtree
//	leaf   = field type                       a counter, a flag or a register, or all members of a set or a list
//	member = leaf name                        one member of a set, one position of a list
//
// where every name is escaped and ends in "!", and type is one letter. Top-level objects have a
// leaf too: register "a" is at "ra!r". The encoding keeps order (paths compare bytewise as
// their types, keys, fields and members do), no name is a prefix of another, prefixes of
// escaped names are the escapes of prefixes, and no byte is "/" or ".", so that a path is one
// segment of a datastore key.
type Path string

// The alphabet: '0'..'|' stand for themselves; the rest is escaped so that order is kept.
// nameEnd < escLow < literals < escHigh1 < escHigh2.
const (
	nameEnd   = '!'
	escLow    = '#' // then '0'+b for b < '0'
	fieldMark = '|'
	litLow    = '0'
	litHigh   = '|'
	escHigh1  = '}' // then '0'+(b-0x7d)
	escHigh2  = '~' // then '0'+(b-0x7d-highSpan)
	highSpan  = litHigh - litLow + 1
)

// EscapeName appends the escaped form of s, without the end mark, to b. It serves prefixes of
// names as well as whole names.
func EscapeName(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < litLow:
			b = append(b, escLow, litLow+c)
		case c <= litHigh:
			b = append(b, c)
		case int(c)-0x7d < highSpan:
			b = append(b, escHigh1, litLow+(c-0x7d))
		default:
			b = append(b, escHigh2, litLow+(c-0x7d-highSpan))
		}
	}
	return b
}

func appendName(b []byte, s string) []byte { return append(EscapeName(b, s), nameEnd) }

// Object returns the path of an object: the prefix of all that is in it.
func Object(t Type, key string) Path {
	b := make([]byte, 0, len(key)+8)
	return Path(appendName(append(b, byte(t)), key))
}

// Field returns the path of a field below a map or below another field.
func (p Path) Field(name string) Path {
	b := make([]byte, 0, len(p)+len(name)+8)
	return Path(appendName(append(append(b, p...), fieldMark), name))
}

// Fields returns the path of a field some levels down.
func (p Path) Fields(names ...string) Path {
	for _, n := range names {
		p = p.Field(n)
	}
	return p
}

// Leaf returns the path at which a child of type t stands: of a field, or of the object itself.
func (p Path) Leaf(t Type) Path { return p + Path(rune(t)) }

// Member returns the path of one member of the set, or of one position of the list, whose leaf is p.
func (p Path) Member(name string) Path {
	b := make([]byte, 0, len(p)+len(name)+8)
	return Path(appendName(append(b, p...), name))
}

// Contains reports whether q is p or lies under it.
func (p Path) Contains(q Path) bool { return strings.HasPrefix(string(q), string(p)) }

// Parts are what a path is made of.
type Parts struct {
	Type   Type     // of the object
	Key    string   // of the object
	Fields []string // from the object down; nil at the top
	Leaf   Type     // 0 when the path is an object's or a field's
	Member string   // "" when the path is not a member's
}

// Parse takes a path apart. It returns ErrBadPath, ErrDeepPath or an error of CheckName for
// what is not canonical, so a path that parses is the only encoding of its parts. Letters of
// types that are not known here are accepted.
func (p Path) Parse() (Parts, error) {
	var q Parts
	s := string(p)
	if s == "" || !isTypeLetter(s[0]) {
		return q, ErrBadPath
	}
	q.Type = Type(s[0])
	var err error
	if q.Key, s, err = cutName(s[1:]); err != nil {
		return q, err
	}
	for s != "" && s[0] == fieldMark {
		var f string
		if f, s, err = cutName(s[1:]); err != nil {
			return q, err
		}
		if q.Fields = append(q.Fields, f); len(q.Fields) > MaxPathDepth {
			return q, ErrDeepPath
		}
	}
	if s == "" {
		return q, nil
	}
	if !isTypeLetter(s[0]) {
		return q, ErrBadPath
	}
	q.Leaf = Type(s[0])
	if s = s[1:]; s == "" {
		return q, nil
	}
	if q.Member, s, err = cutName(s); err != nil {
		return q, err
	}
	if s != "" {
		return q, ErrBadPath
	}
	return q, nil
}

// ObjectPath returns the path of the object that p belongs to. p must be valid.
func (p Path) ObjectPath() Path {
	i := strings.IndexByte(string(p), nameEnd)
	return p[:i+1]
}

// SetLeaf returns the leaf of the set or list that p is a member of, and false if p is no member.
func (p Path) SetLeaf() (Path, bool) {
	s := string(p)
	if s == "" || s[len(s)-1] != nameEnd {
		return "", false
	}
	i := strings.LastIndexByte(s[:len(s)-1], nameEnd)
	if i < 0 || i+1 >= len(s) || s[i+1] == fieldMark {
		return "", false
	}
	return p[:i+2], true
}

// LeafType returns the type of the child that the leaf or member p belongs to, 0 for others.
func (p Path) LeafType() Type {
	if l, ok := p.SetLeaf(); ok {
		return Type(l[len(l)-1])
	}
	if s := string(p); len(s) > 1 && s[len(s)-1] != nameEnd {
		return Type(s[len(s)-1])
	}
	return 0
}

func isTypeLetter(c byte) bool { return 'a' <= c && c <= 'z' }

// cutName takes one escaped name and its end mark from the front of s.
func cutName(s string) (name, rest string, err error) {
	end := strings.IndexByte(s, nameEnd)
	if end < 0 {
		return "", "", ErrBadPath
	}
	if name, err = unescape(s[:end]); err != nil {
		return "", "", err
	}
	return name, s[end+1:], CheckName(name)
}

func unescape(s string) (string, error) {
	if len(s) > 2*MaxNameBytes {
		return "", ErrLongName
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if litLow <= c && c <= litHigh {
			b = append(b, c)
			continue
		}
		if i++; i == len(s) || s[i] < litLow || s[i] > litHigh {
			return "", ErrBadPath
		}
		v := int(s[i]) - litLow
		switch c {
		case escLow:
			if v >= litLow {
				return "", ErrBadPath
			}
		case escHigh1:
			v += 0x7d
		case escHigh2:
			v += 0x7d + highSpan
		default:
			return "", ErrBadPath
		}
		if v > 0xff {
			return "", ErrBadPath
		}
		b = append(b, byte(v))
	}
	return string(b), nil
}
