package e2e

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// compressedReplies is a stats handler that counts compressed replies.
type compressedReplies struct{ replies atomic.Int64 }

func (s *compressedReplies) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return ctx
}
func (s *compressedReplies) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (s *compressedReplies) HandleConn(context.Context, stats.ConnStats) {}
func (s *compressedReplies) HandleRPC(_ context.Context, rpc stats.RPCStats) {
	if in, ok := rpc.(*stats.InPayload); ok && in.CompressedLength < in.Length {
		s.replies.Add(1)
	}
}

// compressingClient returns a client that compresses its requests, and a count of the replies that come compressed.
func compressingClient(t *testing.T, target string) (walletv1.WalletServiceClient, *compressedReplies) {
	t.Helper()
	seen := &compressedReplies{}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(seen), grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return walletv1.NewWalletServiceClient(conn), seen
}

// TestCompressedCallsAreAnsweredCompressed checks that compressed calls get the same answers as plain ones, but
// compressed, on every way.
func TestCompressedCallsAreAnsweredCompressed(t *testing.T) {
	t.Parallel()
	for _, hop := range []string{"batched", "unary"} {
		t.Run(hop, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			// The limits are small, so that a small bomb exceeds them. Even a busy machine compresses it within the
			// time in which a request must arrive.
			sidecar := p.hotpathd("--max-message-bytes", "65536")
			s := p.walletd(rig.Attach, "--hop", hop, "--max-message-bytes", "65536")
			s.caughtUp()
			s.post("t-1", "acc", 7)
			s.mustServe("acc")
			ways := map[string]string{"through the shim": s.GRPC, "direct": sidecar.Listen}
			for name, target := range ways {
				client, seen := compressingClient(t, target)
				plain := walletv1.NewWalletServiceClient(dial(t, target))
				for range 20 {
					sameAnswer(t, name, client, plain)
				}
				if n := seen.replies.Load(); n < 20 {
					t.Errorf("%s: %d of 20 long replies came compressed", name, n)
				}
				bomb := &walletv1.GetBalanceRequest{AccountId: strings.Repeat("x", 128<<10)}
				ctx, cancel := withTimeout()
				_, err := client.GetBalance(ctx, bomb)
				cancel()
				if status.Code(err) != codes.ResourceExhausted {
					t.Errorf("%s: 128 KiB that are less than 1 KiB compressed: %v", name, err)
				}
			}
			if served := s.shim().Served[rig.SidecarMode]; served < 40 {
				t.Errorf("the sidecar answered %d", served)
			}
		})
	}
}

func sameAnswer(t *testing.T, name string, client, plain walletv1.WalletServiceClient) {
	t.Helper()
	ctx, cancel := withTimeout()
	defer cancel()
	balance := &walletv1.GetBalanceRequest{AccountId: "acc"}
	got, err := client.GetBalance(ctx, balance)
	want, err2 := plain.GetBalance(ctx, balance)
	if err != nil || err2 != nil || !proto.Equal(got, want) {
		t.Fatalf("%s: got %v (%v), plain %v (%v)", name, got, err, want, err2)
	}
	series := &walletv1.GetTimeSeriesRequest{AccountId: "acc", Asset: "GBP", ToUs: 500 * 86_400_000_000,
		Step: walletv1.Step_STEP_DAY}
	long, err := client.GetTimeSeries(ctx, series)
	wanted, err2 := plain.GetTimeSeries(ctx, series)
	if err != nil || err2 != nil || !proto.Equal(long, wanted) {
		t.Fatalf("%s: got %d buckets (%v), plain %d (%v)", name, len(long.GetBuckets()), err, len(wanted.GetBuckets()), err2)
	}
	if _, err := client.GetBalance(ctx, &walletv1.GetBalanceRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Fatalf("%s: %v", name, err)
	}
}
