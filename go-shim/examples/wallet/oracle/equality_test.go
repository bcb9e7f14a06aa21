package oracle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/modeltest"
	"hotpath.dev/go-shim/examples/wallet/oracle"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/examples/wallet/store"
	"hotpath.dev/go-shim/examples/wallet/walletgen"
	"hotpath.dev/go-shim/position"
)

func TestServiceEqualsOracle(t *testing.T) {
	for _, model := range readmodel.AllNames() {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s-%d", model, seed), func(t *testing.T) {
				t.Parallel()
				comparison{t: t, model: model, seed: seed, posts: 150, questions: 400}.run()
			})
		}
	}
}

func TestServiceEqualsOracleBeyondInt64(t *testing.T) {
	for _, model := range readmodel.AllNames() {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			comparison{t: t, model: model, seed: 99, posts: 400, questions: 150, heavy: true}.run()
		})
	}
}

// comparison sends the same posts and questions to the service and to the oracle. The seed in a failure reproduces it.
type comparison struct {
	t                *testing.T
	model            string
	seed             uint64
	posts, questions int
	heavy            bool
}

func (c comparison) run() {
	c.t.Helper()
	ledger, wallet := newWallet(c.t, c.model)
	truth := &oracle.Oracle{}
	gen := walletgen.New(c.seed, c.heavy)
	random := rand.New(rand.NewPCG(c.seed, 1))
	seen := map[codes.Code]int{}
	for range c.posts {
		req := gen.Post()
		want := truth.Post(proto.CloneOf(req))
		got := answerOf(wallet.PostTransaction(c.t.Context(), req))
		c.compare("post", req, want, got)
		seen[got.Code]++
	}
	if ledger.Head() != truth.Position() {
		c.t.Fatalf("%s, seed %d: the ledger is at %d, the oracle at %d", c.model, c.seed, ledger.Head(), truth.Position())
	}
	for range c.questions {
		at := random.Uint64N(truth.Position() + 1)
		if random.IntN(3) == 0 {
			at = truth.Position()
		}
		question := gen.Question()
		want := truth.Ask(at, question.Method, question.Encoded)
		got := ask(wallet, at, at == truth.Position() && random.IntN(2) == 0, question)
		c.compare(question.Method, question.Request, want, got)
		seen[got.Code]++
	}
	if seen[codes.OK] < c.questions/2 || seen[codes.InvalidArgument] == 0 || seen[codes.NotFound] == 0 {
		c.t.Errorf("%s, seed %d: the questions prove little: %v", c.model, c.seed, seen)
	}
	if c.heavy && seen[codes.OutOfRange] == 0 {
		c.t.Errorf("%s, seed %d: nothing passed int64: %v", c.model, c.seed, seen)
	}
}

func (c comparison) compare(what string, req proto.Message, want, got oracle.Answer) {
	c.t.Helper()
	if want.Code != got.Code || want.Message != got.Message || !bytes.Equal(want.Response, got.Response) {
		c.t.Fatalf("%s, seed %d: %s %v\noracle:  %v %q %x\nservice: %v %q %x", c.model, c.seed, what, req,
			want.Code, want.Message, want.Response, got.Code, got.Message, got.Response)
	}
}

func newWallet(t *testing.T, name string) (*store.Store, *service.Service) {
	t.Helper()
	ledger := modeltest.Open(t)
	model := modeltest.Load(t, ledger, name)
	return ledger, service.New(ledger, model)
}

// ask calls the service through the generated method table, as gRPC does. If newest is true it leaves the position's
// key out.
func ask(wallet *service.Service, at uint64, newest bool, question walletgen.Question) oracle.Answer {
	ctx := context.Background()
	if !newest {
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(position.AtKey, uintText(at)))
	}
	return call(ctx, wallet, discard{}, question)
}

func call(ctx context.Context, wallet *service.Service, stream grpc.ServerTransportStream, question walletgen.Question) oracle.Answer {
	for _, method := range walletv1.WalletService_ServiceDesc.Methods {
		if "/"+walletv1.WalletService_ServiceDesc.ServiceName+"/"+method.MethodName == question.Method {
			decode := func(into any) error { return proto.Unmarshal(question.Encoded, into.(proto.Message)) }
			resp, err := method.Handler(wallet, grpc.NewContextWithServerTransportStream(ctx, stream), decode, nil)
			message, _ := resp.(proto.Message)
			return answerOf(message, err)
		}
	}
	return answerOf[proto.Message](nil, errors.New("no such method"))
}

func answerOf[M proto.Message](resp M, err error) oracle.Answer {
	if err != nil {
		return oracle.Answer{Code: status.Code(err), Message: status.Convert(err).Message()}
	}
	encoded, err := proto.Marshal(resp)
	if err != nil {
		return oracle.Answer{Code: codes.Internal, Message: err.Error()}
	}
	return oracle.Answer{Response: encoded}
}
