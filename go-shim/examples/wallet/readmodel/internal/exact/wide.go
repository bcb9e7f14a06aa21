package exact

import (
	"math/bits"

	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// wide is an unsigned 256-bit integer, lowest word first. It has only the operations that a standard deviation needs.
type wide [4]uint64

// square returns the square of high*2^64 + low.
func square(high, low uint64) wide {
	var w wide
	w[1], w[0] = bits.Mul64(low, low)
	w[3], w[2] = bits.Mul64(high, high)
	crossHigh, crossLow := bits.Mul64(high, low)
	// The cross product counts twice.
	for range 2 {
		var carry uint64
		w[1], carry = bits.Add64(w[1], crossLow, 0)
		w[2], carry = bits.Add64(w[2], crossHigh, carry)
		w[3] += carry
	}
	return w
}

// squared returns v². v may be negative.
func squared(v ledger.Int128) wide {
	if v.Sign() < 0 {
		v = ledger.Int128{}.Sub(v)
	}
	return square(v.Words())
}

// plus returns w + high*2^64 + low.
func (w wide) plus(high, low uint64) wide {
	var carry uint64
	w[0], carry = bits.Add64(w[0], low, 0)
	w[1], carry = bits.Add64(w[1], high, carry)
	w[2], carry = bits.Add64(w[2], 0, carry)
	w[3] += carry
	return w
}

// times returns w*n, which must fit.
func (w wide) times(n uint64) wide {
	var product wide
	var carry uint64
	for i, word := range w {
		high, low := bits.Mul64(word, n)
		var c uint64
		product[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
	return product
}

// minus returns w - v, which must not be negative.
func (w wide) minus(v wide) wide {
	var borrow uint64
	for i := range w {
		w[i], borrow = bits.Sub64(w[i], v[i], borrow)
	}
	return w
}

func (w wide) less(v wide) bool {
	var borrow uint64
	for i := range w {
		_, borrow = bits.Sub64(w[i], v[i], borrow)
	}
	return borrow != 0
}

// float returns w as a float, which is not exact.
func (w wide) float() float64 {
	var f float64
	for i := len(w) - 1; i >= 0; i-- {
		f = f*(1<<64) + float64(w[i])
	}
	return f
}
