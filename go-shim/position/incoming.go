package position

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Read is FromIncoming that also returns the metadata, which must not be changed.
//
// metadata.FromIncomingContext would copy all of it: that was half of what the policy of a forwarded request cost, and a
// second look at every key a quarter of the rest (BenchmarkPolicy).
func Read(ctx context.Context) (Want, metadata.MD, error) {
	look := peek{Context: ctx}
	metadata.FromIncomingContext(&look)
	asked, odd := scan(look.md)
	if odd || look.md == nil {
		look.md, _ = metadata.FromIncomingContext(ctx)
		asked, _ = scan(look.md)
	}
	w, err := Want{Asked: asked}.read(look.md)
	return w, look.md, err
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

// scan says whether any key begins with Prefix, and whether one is written with capitals, as only an interceptor can
// that made the metadata by hand: a copy has it as it should be.
func scan(md metadata.MD) (asked, odd bool) {
	for key := range md {
		if key == "" {
			continue
		}
		if c := key[0]; c >= 'A' && c <= 'Z' {
			odd = true
		} else if c == Prefix[0] && len(key) >= len(Prefix) && strings.EqualFold(key[:len(Prefix)], Prefix) {
			asked = true
			odd = odd || strings.ToLower(key) != key
		}
	}
	return asked, odd
}
