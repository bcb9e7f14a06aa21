package shim_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/shimtest"
)

// BenchmarkForward compares whole requests over Unix sockets, with client, service and sidecar in this process. It runs
// the plain service, the shim in mode legacy, and the shim that forwards, by either hop, to a sidecar that is grpc-go
// too. On a busy machine cpu-ns/op, which counts all three, tells more than the time.
func BenchmarkForward(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		run := func(served string, client func(b *testing.B) walletv1.WalletServiceClient) {
			b.Run(fmt.Sprintf("served=%s/inflight=%d", served, inFlight), func(b *testing.B) { measure(b, client(b), inFlight) })
		}
		run("plain", func(b *testing.B) walletv1.WalletServiceClient {
			server := grpc.NewServer(shim.FrontDoor()...)
			walletv1.RegisterWalletServiceServer(server, trivial{})
			return walletv1.NewWalletServiceClient(dial(b, server))
		})
		run("legacy", func(b *testing.B) walletv1.WalletServiceClient {
			return trivialClient(b, newRig(b, setup{config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }}))
		})
		run("legacy-intercepted", func(b *testing.B) walletv1.WalletServiceClient {
			r := newRig(b, setup{config: func(c *shim.Config) { c.DefaultMode, c.Interceptors = shim.Legacy, shim.Raw }})
			return trivialClient(b, r, passOn())
		})
		for _, hop := range []shim.Hop{shim.Batched, shim.Unary} {
			run(hop.String(), func(b *testing.B) walletv1.WalletServiceClient {
				r := newRig(b, setup{hop: hop})
				body := encode(b, balances("SIDECAR"))
				r.sidecar.Forget()
				r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} })
				return trivialClient(b, r)
			})
		}
	}
}

// BenchmarkCold calls a method that is not hot. With the shim it must cost what it costs without. It runs a service
// without interceptors and one with.
func BenchmarkCold(b *testing.B) {
	for _, intercepted := range []bool{false, true} {
		options := shim.FrontDoor()
		if intercepted {
			options = append(options, passOn())
		}
		b.Run(fmt.Sprintf("intercepted=%v/shim=false", intercepted), func(b *testing.B) {
			server := grpc.NewServer(options...)
			walletv1.RegisterWalletServiceServer(server, trivial{})
			post(b, walletv1.NewWalletServiceClient(dial(b, server)))
		})
		b.Run(fmt.Sprintf("intercepted=%v/shim=true", intercepted), func(b *testing.B) {
			r := newRig(b, setup{config: func(c *shim.Config) { c.Interceptors = shim.Raw }})
			post(b, trivialClient(b, r, options...))
		})
	}
}

func post(b *testing.B, client walletv1.WalletServiceClient) {
	request := &walletv1.PostTransactionRequest{TransactionId: "t"}
	concurrently(b, 64, func() error {
		_, err := client.PostTransaction(b.Context(), request)
		return err
	})
}

// trivial answers like service, but records nothing.
type trivial struct {
	walletv1.UnimplementedWalletServiceServer
}

func (trivial) GetBalance(context.Context, *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, error) {
	return balances("LOCAL"), nil
}

func (trivial) PostTransaction(context.Context, *walletv1.PostTransactionRequest) (*walletv1.PostTransactionResponse, error) {
	return &walletv1.PostTransactionResponse{Position: 7}, nil
}

func passOn() grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(ctx, request)
	})
}

func trivialClient(b *testing.B, r *rig, options ...grpc.ServerOption) walletv1.WalletServiceClient {
	options = append(shim.FrontDoor(), options...)
	server := grpc.NewServer(append(options, r.side.ServerOptions()...)...)
	walletv1.RegisterWalletServiceServer(r.side.Wrap(server), trivial{})
	return walletv1.NewWalletServiceClient(dial(b, server))
}

func measure(b *testing.B, client walletv1.WalletServiceClient, inFlight int) {
	request := &walletv1.GetBalanceRequest{AccountId: "account-1"}
	concurrently(b, inFlight, func() error {
		_, err := client.GetBalance(b.Context(), request)
		return err
	})
}

func concurrently(b *testing.B, inFlight int, ask func() error) {
	if err := ask(); err != nil { // also connects
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := shimtest.ProcessTime(b)
	var callers sync.WaitGroup
	for i := range inFlight {
		callers.Go(func() {
			for range (b.N + i) / inFlight {
				if err := ask(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(shimtest.ProcessTime(b)-before)/float64(b.N), "cpu-ns/op")
}
