package position_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/position"
)

// headers is the stream of a call, as far as Report uses it.
type headers struct {
	grpc.ServerTransportStream
	set metadata.MD
}

func (h *headers) SetHeader(md metadata.MD) error {
	h.set = metadata.Join(h.set, md)
	return nil
}

func TestReportTellsTheCallerIfAskedAndTheShimAlways(t *testing.T) {
	for _, asked := range []bool{false, true} {
		stream := &headers{}
		ctx, seen := position.Observe(grpc.NewContextWithServerTransportStream(t.Context(), stream))
		if _, reported := seen.At(); reported {
			t.Fatal("reported before anything was")
		}
		position.Report(ctx, position.Want{Asked: asked}, 7)
		if at, reported := seen.At(); !reported || at != 7 {
			t.Errorf("the shim sees %d, %v", at, reported)
		}
		if got := stream.set.Get(position.Key); asked != (len(got) == 1) || asked && got[0] != "7" {
			t.Errorf("asked %v: the caller sees %v", asked, got)
		}
	}
	// Without a shim, and without a call, nothing happens.
	position.Report(context.Background(), position.Want{Asked: true}, 7)
}
