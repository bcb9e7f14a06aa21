package position

import (
	"context"
	"maps"
	"strings"
	"sync"

	"google.golang.org/grpc/metadata"
)

// Read is like FromIncoming, and also returns the metadata. The caller must not change the metadata.
//
// Read avoids the copy that metadata.FromIncomingContext makes. The copy was half of what the policy of a forwarded
// request cost. A second look at every key was a quarter of the rest (BenchmarkPolicy).
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

// Reader reads the metadata of many requests, without the one allocation of the function Read. The zero value is ready
// for use, from any goroutine.
type Reader struct{ peeks sync.Pool }

// Read is like the function Read.
func (r *Reader) Read(ctx context.Context) (Want, metadata.MD, error) { return read(ctx, r.look(ctx)) }

// Without returns a context whose incoming metadata has no key that begins with Prefix. It returns ctx itself if there
// is no such key, and no key that begins with a capital.
func (r *Reader) Without(ctx context.Context) context.Context {
	// A key that begins with a capital may be one of them.
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

// peek is a context that keeps the metadata for itself when grpc-go asks for it. So grpc-go finds nothing to copy.
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

// scan says whether any key begins with Prefix, and whether a key that may begin so has capitals. Only an interceptor
// that made the metadata by hand can have written such a key. In a copy by grpc-go, all keys are in lower case.
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
