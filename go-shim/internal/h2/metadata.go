package h2

import (
	"strings"

	"google.golang.org/grpc/metadata"
)

// Metadata is what grpc-go would give to a handler as incoming metadata, if Plain or Extra. It must not be changed. May be
// called from any goroutine.
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
	f.metadata.Store(&md)
	return md
}

// metadata is the field's value in metadata; false if it is none.
func (w *written) metadata() (string, bool) {
	switch w.kind {
	case method, scheme, path, te, timeout, encoding, special:
		return "", false
	}
	if strings.HasSuffix(w.name, "-bin") {
		value, err := decodeBinary(w.value)
		return value, err == nil
	}
	return w.value, true
}
