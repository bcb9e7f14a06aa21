package shim

import (
	"encoding/hex"
	"strings"

	"google.golang.org/grpc/metadata"
)

// traceOf is the caller's trace context as W3C writes it; empty if it sent none.
func traceOf(incoming metadata.MD) (parent, state string) {
	if parent = only(incoming["traceparent"]); parent == "" {
		return fromBinary(only(incoming["grpc-trace-bin"])), ""
	}
	// A list, which may come in several headers.
	return parent, strings.Join(incoming["tracestate"], ",")
}

// fromBinary writes gRPC's older, binary form anew. It holds, each behind its number: 16 bytes of trace id, 8 of span id,
// 1 of flags.
func fromBinary(b string) string {
	if len(b) != 29 || b[0] != 0 || b[1] != 0 || b[18] != 1 || b[27] != 2 {
		return ""
	}
	in := func(from, to int) string { return "-" + hex.EncodeToString([]byte(b[from:to])) }
	return "00" + in(2, 18) + in(19, 27) + in(28, 29)
}

// only is the value of a header that may be given once.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
