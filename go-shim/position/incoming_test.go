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

func TestNothingOfPositionsIsLeft(t *testing.T) {
	var reader position.Reader
	for name, c := range map[string]struct {
		md   metadata.MD
		left []string
	}{
		"every key": {metadata.Pairs(position.Key, "want", position.MinKey, "1", position.AtKey, "2",
			position.Prefix+"later", "x", position.Prefix, "x", "x-hotpat", "kept", "b", "2"), []string{"b", "x-hotpat"}},
		"capitals of an interceptor": {metadata.MD{"X-Hotpath-Position": {"1"}, "x-Hotpath-min-Position": {"1"}, "B": {"2"}},
			[]string{"b"}},
		"none but these": {metadata.Pairs(position.AtKey, "2"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(c.md)
			md, _ := metadata.FromIncomingContext(reader.Without(metadata.NewIncomingContext(t.Context(), c.md)))
			if got := slices.Sorted(maps.Keys(md)); !slices.Equal(got, c.left) {
				t.Errorf("%v is left", got)
			}
			if !maps.EqualFunc(c.md, before, slices.Equal) {
				t.Errorf("what others see is changed to %v", c.md)
			}
		})
	}
	for _, ctx := range []context.Context{t.Context(), metadata.NewIncomingContext(t.Context(), metadata.Pairs("a", "1"))} {
		if reader.Without(ctx) != ctx {
			t.Error("made anew without need")
		}
	}
}

func TestReaderAllocatesNothing(t *testing.T) {
	var reader position.Reader
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(":authority", "localhost", "user-agent", "grpc-go"))
	n := testing.AllocsPerRun(1000, func() {
		_, _, _ = reader.Read(reader.Without(ctx))
	})
	// AllocsPerRun rounds down. A garbage collection may empty the pool, and the race detector makes the pool forget
	// things on purpose, but both cause less than one allocation per run.
	if n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// More allocations mean that grpc-go now keeps the metadata in another way, and that Read copies it.
func TestReadCopiesNothing(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(":authority", "localhost", "user-agent", "grpc-go"))
	if n := testing.AllocsPerRun(100, func() { _, _, _ = position.Read(ctx) }); n > 1 {
		t.Fatalf("%v allocations", n)
	}
}
