package position_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/position"
)

func TestMetadataIsWhatGrpcSaysItIs(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"none":            t.Context(),
		"empty":           metadata.NewIncomingContext(t.Context(), nil),
		"some":            metadata.NewIncomingContext(t.Context(), metadata.Pairs("A", "1", "b", "2", "b", "3")),
		"capitals within": metadata.NewIncomingContext(t.Context(), metadata.MD{"x-Hotpath-min-Position": {"1"}}),
		"capitals of an interceptor": metadata.NewIncomingContext(t.Context(),
			metadata.MD{"X-Hotpath-Position": {"1"}, "traceparent": {"t"}}),
		"outgoing": metadata.AppendToOutgoingContext(t.Context(), "a", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			want, _ := metadata.FromIncomingContext(ctx)
			_, got, err := position.Read(ctx)
			if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

// More allocations mean that grpc-go keeps the metadata in another way, and copies as before.
func TestReadCopiesNothing(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(":authority", "localhost", "user-agent", "grpc-go"))
	if n := testing.AllocsPerRun(100, func() { _, _, _ = position.Read(ctx) }); n > 1 {
		t.Fatalf("%v allocations", n)
	}
}
