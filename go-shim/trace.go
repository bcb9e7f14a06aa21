package shim

import (
	"encoding/hex"
	"strings"

	"google.golang.org/grpc/metadata"
)

// traceOf returns the caller's trace context as W3C writes it, or empty strings if it sent none.
func traceOf(incoming metadata.MD) (parent, state string) {
	if parent = only(incoming["traceparent"]); parent == "" {
		return fromBinary(only(incoming["grpc-trace-bin"])), ""
	}
	// tracestate is a list, which may come in several headers.
	return parent, strings.Join(incoming["tracestate"], ",")
}

// fromBinary converts gRPC's older, binary form. It holds 16 bytes of trace id, 8 of span id and 1 of flags, each after
// its number.
func fromBinary(b string) string {
	if len(b) != 29 || b[0] != 0 || b[1] != 0 || b[18] != 1 || b[27] != 2 {
		return ""
	}
	in := func(from, to int) string { return "-" + hex.EncodeToString([]byte(b[from:to])) }
	return "00" + in(2, 18) + in(19, 27) + in(28, 29)
}

// only returns the value of a header that may be given once, or nothing if it was given more often.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
