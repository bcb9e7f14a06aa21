package oracle_test

import (
	"strconv"

	"google.golang.org/grpc/metadata"
)

// discard is a transport stream that drops all headers and trailers.
type discard struct{}

func (discard) Method() string               { return "" }
func (discard) SetHeader(metadata.MD) error  { return nil }
func (discard) SendHeader(metadata.MD) error { return nil }
func (discard) SetTrailer(metadata.MD) error { return nil }

// header is a transport stream that keeps the headers.
type header struct {
	discard
	md metadata.MD
}

func (h *header) SetHeader(md metadata.MD) error {
	h.md = metadata.Join(h.md, md)
	return nil
}

func uintText(v uint64) string { return strconv.FormatUint(v, 10) }
