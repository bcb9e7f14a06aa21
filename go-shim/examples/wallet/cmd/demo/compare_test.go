package main

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/position"
)

// liar gives the right answer to a request without a position, at position 7. To a request for exactly that position it
// gives a wrong answer for the account "lied-about", and fails for "lost".
type liar struct {
	walletv1.UnimplementedWalletServiceServer
}

func (liar) GetBalance(ctx context.Context, q *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, error) {
	want, err := position.FromIncoming(ctx)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if want.HasAt && q.GetAccountId() == "lost" {
		return nil, status.Error(codes.Unavailable, "gone")
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs(position.Key, "7"))
	posted := int64(1)
	if want.HasAt && (want.At != 7 || q.GetAccountId() == "lied-about") {
		posted = 2
	}
	return &walletv1.GetBalanceResponse{Balances: []*walletv1.Balance{{Asset: "GBP", Posted: posted}}}, nil
}

func TestDifferentAnswersAndFailuresAreCounted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	walletv1.RegisterWalletServiceServer(server, liar{})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := ask.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	tr := &traffic{conns: []*grpc.ClientConn{conn}, comparers: 4, mix: mix.New([]mix.Place{{Account: "a"}}, []int64{0})}
	var samples [methods][]ask.Sample
	for _, account := range []string{"honest", "lied-about", "honest", "lost", "lied-about", "honest"} {
		q := ask.New(0, &walletv1.GetBalanceRequest{AccountId: account})
		samples[0] = append(samples[0], ask.Sample{Question: q, Answer: tr.put(conn, q, false, 0)})
	}
	found := ask.Differences{Dir: filepath.Join(t.TempDir(), "differences")}
	got := tr.compare(t.Context(), samples, &found, "sidecar", "legacy")
	if got.equal[0] != 3 || got.different[0] != 2 || tr.failed.Count() != 1 || tr.asked[0] != 6 {
		t.Errorf("%+v, %d failed, %d asked: %v", got, tr.failed.Count(), tr.asked[0], tr.failed.Messages())
	}
	if saved, err := os.ReadDir(found.Dir); err != nil || len(saved) != 2 {
		t.Errorf("%d saved, %v", len(saved), err)
	}
}

func TestTrafficAsksUntilItIsStopped(t *testing.T) {
	// Nobody listens, so every question fails. All of them must be counted.
	conn, err := ask.Dial("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tr := &traffic{conns: []*grpc.ClientConn{conn}, comparers: 4, mix: mix.New([]mix.Place{{Account: "a"}}, []int64{0})}
	stop, cancel := context.WithCancel(t.Context())
	go func() {
		for tr.failed.Count() < 50 {
			pause(stop, time.Millisecond)
		}
		cancel()
	}()
	got := tr.ask(stop, fewAskers, mixed, 10)
	if got.total() < 50 || got.total() != tr.failed.Count() || len(got.samples[0]) > 0 {
		t.Errorf("%d asked, %d failed", got.total(), tr.failed.Count())
	}
}
