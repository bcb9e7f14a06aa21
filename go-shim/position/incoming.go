package position

import (
	"context"
	"maps"
	"strings"
	"sync"

	"google.golang.org/grpc/metadata"
)

// Read is FromIncoming that also returns the metadata, which must not be changed.
//
// metadata.FromIncomingContext would copy all of it: that was half of what the policy of a forwarded request cost, and a
// second look at every key a quarter of the rest (BenchmarkPolicy).
func Read(ctx context.Context) (Want, metadata.MD, error) {
	look := peek{Context: ctx}
	metadata.FromIncomingContext(&look)
	return read(ctx, look.md)
}

func read(ctx context.Context, md metadata.MD) (Want, metadata.MD, error) {
	asked, odd := scan(md)
	if odd || md == nil {
		md, _ = metadata.FromIncomingContext(ctx)
		asked, _ = scan(md)
	}
	w, err := Want{Asked: asked}.read(md)
	return w, md, err
}

// Reader does the same again and again without the one allocation of Read. Its zero value is ready for use, from any
// goroutine.
type Reader struct{ peeks sync.Pool }

// Read is Read.
func (r *Reader) Read(ctx context.Context) (Want, metadata.MD, error) { return read(ctx, r.look(ctx)) }

// Without is a context whose incoming metadata has no key with Prefix; ctx itself if it has none.
func (r *Reader) Without(ctx context.Context) context.Context {
	// One that is written oddly may be among them.
	if asked, odd := scan(r.look(ctx)); !asked && !odd {
		return ctx
	}
	md, _ := metadata.FromIncomingContext(ctx)
	maps.DeleteFunc(md, func(key string, _ []string) bool { return strings.HasPrefix(key, Prefix) })
	return metadata.NewIncomingContext(ctx, md)
}

func (r *Reader) look(ctx context.Context) metadata.MD {
	look, ok := r.peeks.Get().(*peek)
	if !ok {
		look = new(peek)
	}
	look.Context = ctx
	metadata.FromIncomingContext(look)
	md := look.md
	*look = peek{} // it must keep nothing alive
	r.peeks.Put(look)
	return md
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
