package http

import (
	"errors"
	"strconv"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
)

// maxExact is the greatest integer up to which every JSON reader is exact: 2⁵³−1.
const maxExact = 1<<53 - 1

// number is a counter's value as the API writes it: a JSON number while every reader is exact,
// else a string of decimal digits.
type number crdt.Int128

// appendTo appends the JSON form to b.
func (n number) appendTo(b []byte) []byte {
	v := crdt.Int128(n)
	if i, ok := v.Int64(); ok && -maxExact <= i && i <= maxExact {
		return strconv.AppendInt(b, i, 10)
	}
	return append(append(append(b, '"'), v.String()...), '"')
}

// MarshalJSON returns the JSON form.
func (n number) MarshalJSON() ([]byte, error) { return n.appendTo(nil), nil }

// Schema describes the JSON form.
func (number) Schema(huma.Registry) *huma.Schema {
	low, high := float64(-maxExact), float64(maxExact)
	return &huma.Schema{
		Description: "An integer. Beyond ±(2⁵³−1) it is written as a string of decimal digits.",
		OneOf: []*huma.Schema{
			{Type: "integer", Minimum: &low, Maximum: &high},
			{Type: "string", Pattern: decimalPattern},
		},
	}
}

var (
	errRange   = errors.New("beyond int64")
	errInteger = errors.New("not an integer")
)

// parseInteger returns the integer that a JSON number stands for. 1.0 and 1e3 are integers, as
// they are to JSON Schema; 1.5 is errInteger, and what int64 does not hold is errRange.
func parseInteger(s string) (int64, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	digits, fraction, _ := strings.Cut(mantissa, ".")
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	digits = strings.TrimLeft(digits+fraction, "0")
	if digits == "" {
		return 0, nil
	}
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > 1<<20 || shift < -1<<20 {
			if strings.HasPrefix(exponent, "-") {
				return 0, errInteger
			}
			return 0, errRange
		}
	}
	shift -= len(fraction)
	for ; shift < 0 && strings.HasSuffix(digits, "0"); shift++ {
		digits = digits[:len(digits)-1]
	}
	if shift < 0 {
		return 0, errInteger
	}
	if len(digits)+shift > len("9223372036854775808") {
		return 0, errRange
	}
	v, err := strconv.ParseInt(sign+digits+strings.Repeat("0", shift), 10, 64)
	if err != nil {
		return 0, errRange
	}
	return v, nil
}

// decimal reports whether s is what strings of inc must be: an optional minus and digits.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}
