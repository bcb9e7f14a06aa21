package h2

import (
	"math"
	"strconv"
	"time"
)

const (
	timeoutName = "grpc-timeout"
	// timeoutHuffman is timeoutName as most clients write it.
	timeoutHuffman = "\x9a\xca\xc8\xb2\x4d\x49\x4f\x6a\x7f"
	// maxTimeoutLen is the length of 8 digits and a unit.
	maxTimeoutLen = 9
	maxTimeout    = 100_000_000 - 1 // in any unit
)

// parseTimeout reads a value of grpc-timeout as grpc-go does. It is stricter in one point: grpc-go of old took a sign.
func parseTimeout(value []byte) (time.Duration, bool) {
	if len(value) < 2 || len(value) > maxTimeoutLen {
		return 0, false
	}
	n := int64(0)
	for _, c := range value[:len(value)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	unit := unitOf(value[len(value)-1])
	if unit == time.Hour && n > math.MaxInt64/int64(time.Hour) {
		return math.MaxInt64, true
	}
	return time.Duration(n) * unit, unit != 0
}

func unitOf(c byte) time.Duration {
	switch c {
	case 'H':
		return time.Hour
	case 'M':
		return time.Minute
	case 'S':
		return time.Second
	case 'm':
		return time.Millisecond
	case 'u':
		return time.Microsecond
	case 'n':
		return time.Nanosecond
	}
	return 0
}

// appendTimeout writes a timeout as grpc-go's clients do: in the smallest unit that needs no more than 8 digits, rounded
// up.
func appendTimeout(b []byte, d time.Duration) []byte {
	for _, unit := range [...]byte{'n', 'u', 'm', 'S', 'M'} {
		if n := roundUp(d, unitOf(unit)); n <= maxTimeout {
			return append(strconv.AppendInt(b, max(n, 0), 10), unit)
		}
	}
	return append(strconv.AppendInt(b, roundUp(d, time.Hour), 10), 'H')
}

func roundUp(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}
