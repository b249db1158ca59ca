package http

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// equalJSON reports whether two JSON values are the same, whatever the order of members, the
// escapes in strings and the spelling of numbers: 1.0 is 1. The values were checked by jsonReader.
func equalJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if jsonClass(a) != jsonClass(b) || jsonClass(a) == 0 {
		return false
	}
	return bytes.Equal(appendCanonical(nil, &jsonReader{b: a}), appendCanonical(nil, &jsonReader{b: b}))
}

// jsonClass is the same for values of one type, and 0 for what is none.
func jsonClass(v []byte) byte {
	if len(v) == 0 {
		return 0
	}
	if v[0] == '-' || '0' <= v[0] && v[0] <= '9' {
		return '0'
	}
	return v[0]
}

// appendCanonical appends a form of the next value that is the same for equal values. The reader
// stops where the value is not JSON.
func appendCanonical(b []byte, d *jsonReader) []byte {
	switch c := d.peek(); {
	case c == '{':
		return appendCanonicalObject(b, d)
	case c == '[':
		b = append(b, '[')
		_ = d.array(func() error {
			b = append(appendCanonical(b, d), ',')
			return nil
		})
		return append(b, ']')
	case c == '"':
		s, _ := d.str()
		return appendQuoted(b, s)
	case c == '-' || '0' <= c && c <= '9':
		n, _ := d.number()
		return append(b, canonicalNumber(string(n))...)
	}
	b, _ = d.appendValue(b)
	return b
}

func appendCanonicalObject(b []byte, d *jsonReader) []byte {
	type member struct {
		name  string
		value []byte
	}
	var members []member
	_ = d.object(func(name string) error {
		members = append(members, member{name, appendCanonical(nil, d)})
		return nil
	})
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	b = append(b, '{')
	for _, m := range members {
		b = append(append(append(appendQuoted(b, m.name), ':'), m.value...), ',')
	}
	return append(b, '}')
}

// canonicalNumber writes a JSON number as its digits behind the point, without zeros at either
// end, and an exponent. An exponent beyond 18 digits stays as it is.
func canonicalNumber(s string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	point := int64(len(whole)) - int64(len(whole+fraction)-len(digits))
	digits = strings.TrimRight(digits, "0")
	shift := int64(0)
	if exponent != "" {
		if len(strings.TrimLeft(exponent, "+-0")) > 18 {
			return s
		}
		shift, _ = strconv.ParseInt(exponent, 10, 64)
	}
	return sign + digits + "e" + strconv.FormatInt(point+shift, 10)
}
