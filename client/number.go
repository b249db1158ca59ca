package client

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxExact is the largest number that every reader of JSON keeps exactly.
const maxExact = 1<<53 - 1

// Number is the value of a counter, exact at any size. The zero value is 0. In JSON it is what the
// daemon writes, a number or beyond 2^53-1 a text of digits; so it may stand in a struct that a map
// with counters is read into.
type Number struct{ digits string }

// Int64 returns the number. ErrRange is returned when it is too large.
func (n Number) Int64() (int64, error) {
	if n.digits == "" {
		return 0, nil
	}
	v, err := strconv.ParseInt(n.digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w 64 bits: %s", ErrRange, n.digits)
	}
	return v, nil
}

// Big returns the number.
func (n Number) Big() *big.Int {
	v, _ := new(big.Int).SetString(n.String(), 10)
	return v
}

// String returns the decimal digits.
func (n Number) String() string {
	if n.digits == "" {
		return "0"
	}
	return n.digits
}

// MarshalJSON writes the number as the API does.
func (n Number) MarshalJSON() ([]byte, error) {
	if v, err := n.Int64(); err != nil || v > maxExact || v < -maxExact {
		return json.Marshal(n.String())
	}
	return []byte(n.String()), nil
}

// UnmarshalJSON reads both forms: 42 and "9007199254740993".
func (n *Number) UnmarshalJSON(text []byte) error {
	digits := strings.Trim(string(text), `"`)
	if _, ok := new(big.Int).SetString(digits, 10); !ok {
		return fmt.Errorf("%s is no whole number", text)
	}
	n.digits = digits
	return nil
}

// onWire writes an amount as the API does: as text beyond what every reader of JSON keeps.
func onWire(n int64) any {
	if n > maxExact || n < -maxExact {
		return strconv.FormatInt(n, 10)
	}
	return n
}
