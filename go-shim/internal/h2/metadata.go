package h2

import (
	"strings"

	"google.golang.org/grpc/metadata"
)

// Metadata is what grpc-go would give to a handler as incoming metadata. It must not be changed. May be called from any
// goroutine.
func (f *Fields) Metadata() metadata.MD {
	if known := f.metadata.Load(); known != nil {
		return *known
	}
	md := metadata.MD{}
	for rest := f.block; len(rest) > 0; {
		var w written
		w, rest = nextWritten(rest)
		if value, ok := w.metadata(); ok {
			md[w.name] = append(md[w.name], value)
		}
	}
	// grpc-go calls the host of HTTP/1 by its name in HTTP/2.
	if host := md["host"]; host != nil && md[":authority"] == nil {
		md[":authority"] = host
	}
	delete(md, "host")
	f.metadata.Store(&md)
	return md
}

// metadata is the field's value in metadata; false if it is none.
func (w *written) metadata() (string, bool) {
	switch w.kind {
	case method, scheme, path, te, timeout, encoding:
		return "", false
	case special:
		return w.value, w.name == "host" || w.name == "trailer"
	case contentType:
		return w.value, w.value == "application/grpc" ||
			strings.HasPrefix(w.value, "application/grpc+") || strings.HasPrefix(w.value, "application/grpc;")
	}
	if strings.HasPrefix(w.name, ":") && w.kind != authority {
		return "", false
	}
	if strings.HasSuffix(w.name, "-bin") {
		value, err := decodeBinary(w.value)
		return value, err == nil
	}
	return w.value, true
}
