package shim_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/shimtest"
)

// BenchmarkForward compares whole requests over Unix sockets, with client, service and sidecar in this process: the
// plain service, the shim out of the way, and the shim forwarding, either way, to a sidecar that is grpc-go too.
func BenchmarkForward(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		server := grpc.NewServer()
		walletv1.RegisterWalletServiceServer(server, trivial{})
		measure(b, walletv1.NewWalletServiceClient(dial(b, server)))
	})
	b.Run("legacy", func(b *testing.B) {
		r := newRig(b, setup{config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }})
		measure(b, trivialClient(b, r))
	})
	b.Run("legacy, raw interceptors", func(b *testing.B) {
		r := newRig(b, setup{config: func(c *shim.Config) { c.DefaultMode, c.Interceptors = shim.Legacy, shim.Raw }})
		measure(b, trivialClient(b, r, passOn()))
	})
	for _, hop := range []shim.Hop{shim.Batched, shim.Unary} {
		b.Run("sidecar, "+hop.String(), func(b *testing.B) {
			r := newRig(b, setup{hop: hop})
			body := encode(b, balances("SIDECAR"))
			r.sidecar.Forget()
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: body} })
			measure(b, trivialClient(b, r))
		})
	}
}

// BenchmarkCold is a method that is not hot: with the shim it must cost what it costs without. The options are those of
// a service without interceptors and of one with.
func BenchmarkCold(b *testing.B) {
	for name, options := range map[string][]grpc.ServerOption{"bare": nil, "intercepted": {passOn()}} {
		b.Run(name+"/plain", func(b *testing.B) {
			server := grpc.NewServer(options...)
			walletv1.RegisterWalletServiceServer(server, trivial{})
			post(b, walletv1.NewWalletServiceClient(dial(b, server)))
		})
		b.Run(name+"/shim", func(b *testing.B) {
			r := newRig(b, setup{config: func(c *shim.Config) { c.Interceptors = shim.Raw }})
			server := grpc.NewServer(append(options, r.side.ServerOptions()...)...)
			walletv1.RegisterWalletServiceServer(r.side.Wrap(server), trivial{})
			post(b, walletv1.NewWalletServiceClient(dial(b, server)))
		})
	}
}

func post(b *testing.B, client walletv1.WalletServiceClient) {
	request := &walletv1.PostTransactionRequest{TransactionId: "t"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.PostTransaction(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

// trivial answers without the bookkeeping of service.
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
	server := grpc.NewServer(append(options, r.side.ServerOptions()...)...)
	walletv1.RegisterWalletServiceServer(r.side.Wrap(server), trivial{})
	return walletv1.NewWalletServiceClient(dial(b, server))
}

func measure(b *testing.B, client walletv1.WalletServiceClient) {
	request := &walletv1.GetBalanceRequest{AccountId: "account-1"}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.GetBalance(b.Context(), request); err != nil {
				b.Error(err)
			}
		}
	})
}
