package ledger

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// Int128 is a signed 128-bit integer, for counters. A sum beyond int64 never makes a post fail; only a read that would
// have to return the sum fails. 2^63 entries of 10^15 still fit an Int128.
type Int128 struct {
	hi int64
	lo uint64
}

// Int128Of widens an int64.
func Int128Of(v int64) Int128 { return Int128{v >> 63, uint64(v)} }

// Add returns a + b.
func (a Int128) Add(b Int128) Int128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	return Int128{a.hi + b.hi + int64(carry), lo}
}

// Sub returns a - b.
func (a Int128) Sub(b Int128) Int128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	return Int128{a.hi - b.hi - int64(borrow), lo}
}

// AddInt64 returns a + b.
func (a Int128) AddInt64(b int64) Int128 { return a.Add(Int128Of(b)) }

// Sign returns -1, 0 or 1.
func (a Int128) Sign() int {
	switch {
	case a.hi < 0:
		return -1
	case a.hi == 0 && a.lo == 0:
		return 0
	default:
		return 1
	}
}

// Cmp returns -1 if a is less than b, 0 if they are equal, and 1 if a is greater.
func (a Int128) Cmp(b Int128) int { return a.Sub(b).Sign() }

// Int64 returns a as an int64, and false if a does not fit.
func (a Int128) Int64() (int64, bool) {
	v := int64(a.lo)
	return v, a.hi == v>>63
}

// Words returns the upper and the lower half of the two's complement form.
func (a Int128) Words() (high, low uint64) { return uint64(a.hi), a.lo }

// Big returns a as a [big.Int].
func (a Int128) Big() *big.Int {
	v := new(big.Int).Lsh(big.NewInt(a.hi), 64)
	return v.Add(v, new(big.Int).SetUint64(a.lo))
}

// Bytes returns the 16-byte big-endian two's complement form, for storage.
func (a Int128) Bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(a.hi))
	return binary.BigEndian.AppendUint64(b, a.lo)
}

// Int128FromBytes reads the form that [Int128.Bytes] writes. It returns false if b is not 16 bytes long.
func Int128FromBytes(b []byte) (Int128, bool) {
	if len(b) != 16 {
		return Int128{}, false
	}
	return Int128{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])}, true
}

// Magnitude returns |v|, exact even for the smallest int64.
func Magnitude(v int64) uint64 {
	if v == math.MinInt64 {
		return 1 << 63
	}
	if v < 0 {
		return uint64(-v)
	}
	return uint64(v)
}
