package crdt

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// Uint128 is a total of a counter's cell. A replica has fewer than 2⁶⁴ seqs and an amount is at
// most 2⁶³, so a total stays below 2¹²⁷.
type Uint128 struct{ Hi, Lo uint64 }

// Add returns u + v, and false if the sum does not fit.
func (u Uint128) Add(v Uint128) (sum Uint128, ok bool) {
	lo, carry := bits.Add64(u.Lo, v.Lo, 0)
	hi, carry := bits.Add64(u.Hi, v.Hi, carry)
	return Uint128{hi, lo}, carry == 0
}

// Sub returns u − v, or 0 if v is greater.
func (u Uint128) Sub(v Uint128) Uint128 {
	lo, borrow := bits.Sub64(u.Lo, v.Lo, 0)
	hi, borrow := bits.Sub64(u.Hi, v.Hi, borrow)
	if borrow != 0 {
		return Uint128{}
	}
	return Uint128{hi, lo}
}

// Cmp returns −1, 0 or +1 as u is less than, equal to or greater than v.
func (u Uint128) Cmp(v Uint128) int {
	if c := cmp.Compare(u.Hi, v.Hi); c != 0 {
		return c
	}
	return cmp.Compare(u.Lo, v.Lo)
}

// Max returns the greater of u and v.
func (u Uint128) Max(v Uint128) Uint128 {
	if u.Cmp(v) < 0 {
		return v
	}
	return u
}

// Min returns the lesser of u and v.
func (u Uint128) Min(v Uint128) Uint128 {
	if u.Cmp(v) > 0 {
		return v
	}
	return u
}

// IsZero reports whether u is 0.
func (u Uint128) IsZero() bool { return u == Uint128{} }

// String returns u in decimal.
func (u Uint128) String() string {
	const chunk = 1e19 // the greatest power of ten below 2⁶⁴
	if u.Hi == 0 {
		return strconv.FormatUint(u.Lo, 10)
	}
	hi, rem := bits.Div64(0, u.Hi, chunk)
	lo, rem := bits.Div64(rem, u.Lo, chunk)
	return fmt.Sprintf("%s%019d", Uint128{hi, lo}, rem)
}

// Int128 is the value of a counter, in two's complement; Hi carries the sign. Sums and
// differences wrap around at 2¹²⁷.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int128Of returns v.
func Int128Of(v int64) Int128 { return Int128{v >> 63, uint64(v)} }

// signed reads u as a two's complement number.
func (u Uint128) signed() Int128 { return Int128{int64(u.Hi), u.Lo} }

// Add returns i + j.
func (i Int128) Add(j Int128) Int128 {
	lo, carry := bits.Add64(i.Lo, j.Lo, 0)
	hi, _ := bits.Add64(uint64(i.Hi), uint64(j.Hi), carry)
	return Int128{int64(hi), lo}
}

// Sub returns i − j.
func (i Int128) Sub(j Int128) Int128 {
	lo, borrow := bits.Sub64(i.Lo, j.Lo, 0)
	hi, _ := bits.Sub64(uint64(i.Hi), uint64(j.Hi), borrow)
	return Int128{int64(hi), lo}
}

// Cmp returns −1, 0 or +1 as i is less than, equal to or greater than j.
func (i Int128) Cmp(j Int128) int {
	if c := cmp.Compare(i.Hi, j.Hi); c != 0 {
		return c
	}
	return cmp.Compare(i.Lo, j.Lo)
}

// IsZero reports whether i is 0.
func (i Int128) IsZero() bool { return i == Int128{} }

// Int64 returns i, and false if it does not fit.
func (i Int128) Int64() (v int64, ok bool) {
	v = int64(i.Lo)
	return v, v>>63 == i.Hi
}

// String returns i in decimal.
func (i Int128) String() string {
	if i.Hi >= 0 {
		return Uint128{uint64(i.Hi), i.Lo}.String()
	}
	j := Int128{}.Sub(i)
	return "-" + Uint128{uint64(j.Hi), j.Lo}.String()
}

// magnitude returns |v|, which for the least int64 is 2⁶³.
func magnitude(v int64) Uint128 {
	if v < 0 {
		return Uint128{0, -uint64(v)}
	}
	return Uint128{0, uint64(v)}
}

// mayStep reports whether a counter may go from one value to the other: to a value in int64,
// or, if a merge has left it outside, nearer to it.
func mayStep(from, to Int128) bool {
	least, most := Int128Of(math.MinInt64), Int128Of(math.MaxInt64)
	switch {
	case to.Cmp(most) > 0:
		return to.Cmp(from) < 0
	case to.Cmp(least) < 0:
		return to.Cmp(from) > 0
	}
	return true
}
