package position

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Incoming is the metadata of an incoming request, which must not be changed. metadata.FromIncomingContext alone copies
// all of it: that was half of what the policy of a forwarded request cost (BenchmarkPolicy).
func Incoming(ctx context.Context) metadata.MD {
	look := peek{Context: ctx}
	metadata.FromIncomingContext(&look)
	if look.md == nil || !lower(look.md) {
		look.md, _ = metadata.FromIncomingContext(ctx)
	}
	return look.md
}

// peek is a context that keeps what it is asked for to itself. So grpc-go finds nothing to copy.
type peek struct {
	context.Context
	md metadata.MD
}

func (p *peek) Value(key any) any {
	if md, ok := p.Context.Value(key).(metadata.MD); ok {
		p.md = md
	}
	return nil
}

// lower is false for metadata of an interceptor that did not use package metadata to make it: only a copy has the keys
// as they should be.
func lower(md metadata.MD) bool {
	for key := range md {
		if strings.ToLower(key) != key {
			return false
		}
	}
	return true
}
