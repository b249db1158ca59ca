package http

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth bounds how deep arrays and objects of a body may nest.
const maxJSONDepth = 128

// jsonReader reads a JSON text from the front. It is stricter than encoding/json, for the sake
// of those who read the values elsewhere: the text is valid UTF-8, no object has a name twice,
// no escape stands for half a surrogate pair, names are compared exactly. Every error is a
// problem of the kind bad-request that says where.
type jsonReader struct {
	b     []byte
	i     int
	depth int
	// rawName is the name that was read last, as it was written.
	rawName []byte
}

func (d *jsonReader) fail(what string) error {
	return badRequest("the body is not the JSON that is wanted here: %s, at byte %d", what, d.i)
}

// peek returns the next byte that is not white space, 0 at the end.
func (d *jsonReader) peek() byte {
	for ; d.i < len(d.b); d.i++ {
		switch c := d.b[d.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end reports what follows the text.
func (d *jsonReader) end() error {
	if d.peek() != 0 || d.i < len(d.b) {
		return d.fail("something follows its end")
	}
	return nil
}

// list reads what stands between two brackets, item by item.
func (d *jsonReader) list(end byte, item func() error) error {
	d.i++
	if d.depth++; d.depth > maxJSONDepth {
		return d.fail("it nests deeper than " + strconv.Itoa(maxJSONDepth) + " levels")
	}
	for more := d.peek() != end; more; {
		if err := item(); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.i++
		case end:
			more = false
		default:
			return d.fail("a comma or a closing bracket is missing")
		}
	}
	d.i++
	d.depth--
	return nil
}

// object reads an object and calls member behind each name; member must read the value.
func (d *jsonReader) object(member func(name string) error) error {
	if d.peek() != '{' {
		return d.fail("an object is wanted")
	}
	var seen nameSet
	return d.list('}', func() error {
		d.peek()
		start := d.i
		name, err := d.str()
		if err != nil {
			return err
		}
		d.rawName = d.b[start:d.i]
		if !seen.add(name) {
			return d.fail("the name " + strconv.Quote(name) + " stands twice in one object")
		}
		if d.peek() != ':' {
			return d.fail("a colon is missing")
		}
		d.i++
		return member(name)
	})
}

// array reads an array and calls element at each element, which must read it.
func (d *jsonReader) array(element func() error) error {
	if d.peek() != '[' {
		return d.fail("an array is wanted")
	}
	return d.list(']', element)
}

// strings reads an array of strings.
func (d *jsonReader) strings() ([]string, error) {
	list := []string{}
	err := d.array(func() error {
		s, err := d.str()
		list = append(list, s)
		return err
	})
	return list, err
}

// str reads a string and returns what it stands for.
func (d *jsonReader) str() (string, error) {
	if d.peek() != '"' {
		return "", d.fail("a string is wanted")
	}
	raw, err := d.rawString()
	if err != nil {
		return "", err
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), nil
	}
	return unescapeJSON(raw), nil
}

// isTrue reads the literal true, the only value of an action without an argument.
func (d *jsonReader) isTrue() error {
	d.peek()
	if !bytes.HasPrefix(d.b[d.i:], []byte("true")) {
		return d.fail("true is wanted")
	}
	d.i += len("true")
	return nil
}

// boolean reads true or false.
func (d *jsonReader) boolean() (bool, error) {
	d.peek()
	for _, literal := range []string{"true", "false"} {
		if bytes.HasPrefix(d.b[d.i:], []byte(literal)) {
			d.i += len(literal)
			return literal == "true", nil
		}
	}
	return false, d.fail("true or false is wanted")
}

// value reads any value and returns it without white space, but else as it was written. The
// result shares no memory with the body.
func (d *jsonReader) value() ([]byte, error) {
	b, err := d.appendValue(nil)
	return slices.Clip(b), err
}

func (d *jsonReader) appendValue(b []byte) ([]byte, error) {
	switch c := d.peek(); {
	case c == '{':
		return d.appendObject(b)
	case c == '[':
		return d.appendArray(b)
	case c == '"':
		s, err := d.rawString()
		return append(b, s...), err
	case c == '-' || '0' <= c && c <= '9':
		n, err := d.number()
		return append(b, n...), err
	}
	for _, literal := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(d.b[d.i:], []byte(literal)) {
			d.i += len(literal)
			return append(b, literal...), nil
		}
	}
	return b, d.fail("a value is wanted")
}

func (d *jsonReader) appendObject(b []byte) ([]byte, error) {
	b = append(b, '{')
	first := true
	err := d.object(func(string) error {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, d.rawName...)
		b = append(b, ':')
		var err error
		b, err = d.appendValue(b)
		return err
	})
	return append(b, '}'), err
}

func (d *jsonReader) appendArray(b []byte) ([]byte, error) {
	b = append(b, '[')
	first := true
	err := d.array(func() error {
		if !first {
			b = append(b, ',')
		}
		first = false
		var err error
		b, err = d.appendValue(b)
		return err
	})
	return append(b, ']'), err
}

// rawString reads a string and returns it as it was written, quotes included.
func (d *jsonReader) rawString() ([]byte, error) {
	start := d.i
	d.i++
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return d.b[start:d.i], nil
		case c < 0x20:
			return nil, d.fail("a control character in a string")
		case c == '\\':
			if err := d.escape(); err != nil {
				return nil, err
			}
		case c < utf8.RuneSelf:
			d.i++
		default:
			r, n := utf8.DecodeRune(d.b[d.i:])
			if r == utf8.RuneError && n == 1 {
				return nil, d.fail("a string that is not valid UTF-8")
			}
			d.i += n
		}
	}
	return nil, d.fail("a string without an end")
}

// escape steps over one escape, or over two that are a surrogate pair.
func (d *jsonReader) escape() error {
	rest := d.b[d.i:]
	if len(rest) >= 2 && bytes.IndexByte([]byte(`"\/bfnrt`), rest[1]) >= 0 {
		d.i += 2
		return nil
	}
	r, ok := hexEscape(rest)
	if !ok {
		return d.fail("an unknown escape in a string")
	}
	if utf16.IsSurrogate(r) {
		low, ok := hexEscape(rest[6:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return d.fail("half a surrogate pair in a string")
		}
		d.i += 6
	}
	d.i += 6
	return nil
}

// hexEscape reads \uXXXX at the front of b.
func hexEscape(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(v), err == nil
}

// unescapeJSON returns what the inside of a string stands for; rawString has checked it.
func unescapeJSON(raw []byte) string {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			i++
			continue
		}
		if at := bytes.IndexByte([]byte("bfnrt"), raw[i+1]); at >= 0 {
			b = append(b, "\b\f\n\r\t"[at])
			i += 2
			continue
		}
		r, ok := hexEscape(raw[i:])
		if !ok {
			b = append(b, raw[i+1])
			i += 2
			continue
		}
		i += 6
		if utf16.IsSurrogate(r) {
			low, _ := hexEscape(raw[i:])
			r = utf16.DecodeRune(r, low)
			i += 6
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// number reads a number and returns it as it was written.
func (d *jsonReader) number() ([]byte, error) {
	d.peek()
	start := d.i
	d.skip('-')
	switch {
	case d.skip('0'):
	case d.digits():
	default:
		return nil, d.fail("a number is wanted")
	}
	if d.skip('.') && !d.digits() {
		return nil, d.fail("digits are missing in a number")
	}
	if d.skip('e') || d.skip('E') {
		if !d.skip('+') {
			d.skip('-')
		}
		if !d.digits() {
			return nil, d.fail("digits are missing in a number")
		}
	}
	return d.b[start:d.i], nil
}

func (d *jsonReader) skip(c byte) bool {
	if d.i < len(d.b) && d.b[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *jsonReader) digits() bool {
	start := d.i
	for d.i < len(d.b) && '0' <= d.b[d.i] && d.b[d.i] <= '9' {
		d.i++
	}
	return d.i > start
}

// amount reads what inc takes: a number that is an integer, or a string of its decimal digits.
func (d *jsonReader) amount() (int64, error) {
	var text string
	var err error
	if d.peek() == '"' {
		if text, err = d.str(); err == nil && !decimal(text) {
			err = d.fail("an integer is wanted")
		}
	} else {
		var n []byte
		n, err = d.number()
		text = string(n)
	}
	if err != nil {
		return 0, err
	}
	v, err := parseInteger(text)
	switch {
	case errors.Is(err, errRange):
		return 0, kindOverflow.with("inc is beyond 64-bit integers: a counter steps by -9223372036854775808 to 9223372036854775807")
	case err != nil:
		return 0, d.fail("an integer is wanted")
	}
	return v, nil
}

// nameSet finds names that stand twice. Most objects are small: a map is made late.
type nameSet struct {
	few  []string
	many map[string]struct{}
}

func (s *nameSet) add(name string) bool {
	if s.many == nil {
		if slices.Contains(s.few, name) {
			return false
		}
		if s.few = append(s.few, name); len(s.few) > 16 {
			s.many = make(map[string]struct{}, 2*len(s.few))
			for _, n := range s.few {
				s.many[n] = struct{}{}
			}
		}
		return true
	}
	if _, ok := s.many[name]; ok {
		return false
	}
	s.many[name] = struct{}{}
	return true
}
