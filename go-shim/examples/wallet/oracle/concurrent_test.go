package oracle_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/modeltest"
	"hotpath.dev/go-shim/examples/wallet/oracle"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/examples/wallet/walletgen"
	"hotpath.dev/go-shim/position"
)

const (
	concurrentReaders   = 4
	concurrentQuestions = 500
	concurrentPosts     = 800
)

// TestAnswersEqualOracleWhileTheLedgerGrows checks that every answer equals the oracle's answer at the position that
// the answer names, while a writer adds transactions.
func TestAnswersEqualOracleWhileTheLedgerGrows(t *testing.T) {
	gen := walletgen.New(7, false)
	truth, ledger := bookAll(gen)
	questions := make([][]walletgen.Question, concurrentReaders)
	for i := range questions {
		for range concurrentQuestions {
			questions[i] = append(questions[i], gen.Question())
		}
	}
	for _, name := range readmodel.AllNames() {
		t.Run(name, func(t *testing.T) {
			model, book := modeltest.New(t, name)
			answered := make(chan struct{})
			var readers sync.WaitGroup
			for i := range questions {
				readers.Go(func() { askWhileItGrows(t, truth, model, questions[i], uint64(i), answered) })
			}
			go func() {
				readers.Wait()
				close(answered)
			}()
			// The writer adds one or two transactions for each answer, so that readers and writer are busy until the
			// end.
			next := 0
			for range answered {
				for range min(1+next%2, len(ledger)-next) {
					book(ledger[next])
					next++
				}
			}
			if model.Position() != truth.Position() {
				t.Errorf("at %d of %d: the readers were done too early", model.Position(), truth.Position())
			}
		})
	}
}

// bookAll posts transactions to an oracle. It returns the oracle and the transactions that it accepted.
func bookAll(gen *walletgen.Gen) (*oracle.Oracle, []*walletv1.Transaction) {
	truth := &oracle.Oracle{}
	var ledger []*walletv1.Transaction
	for range concurrentPosts {
		req := gen.Post()
		before := truth.Position()
		if truth.Post(proto.CloneOf(req)); truth.Position() == before {
			continue
		}
		ledger = append(ledger, &walletv1.Transaction{
			Position: truth.Position(), TransactionId: req.GetTransactionId(), OccurredAtUs: req.GetOccurredAtUs(),
			External: req.GetExternal(), Entries: req.GetEntries(),
		})
	}
	return truth, ledger
}

func askWhileItGrows(
	t *testing.T, truth *oracle.Oracle, model readmodel.ReadModel, questions []walletgen.Question, seed uint64,
	answered chan<- struct{},
) {
	wallet := service.New(nil, model)
	random := rand.New(rand.NewPCG(seed, 2))
	for _, question := range questions {
		asked := metadata.Pairs(position.Key, "want")
		if random.IntN(3) == 0 {
			asked = metadata.Pairs(position.AtKey, uintText(random.Uint64N(model.Position()+1)))
		}
		seen := new(header)
		got := call(metadata.NewIncomingContext(context.Background(), asked), wallet, seen, question)
		answered <- struct{}{}
		at, err := strconv.ParseUint(seen.md.Get(position.Key)[0], 10, 64)
		if err != nil {
			t.Error(err)
			continue
		}
		want := truth.Ask(at, question.Method, question.Encoded)
		if want.Code != got.Code || want.Message != got.Message || !bytes.Equal(want.Response, got.Response) {
			t.Errorf("%v at %d: %s %v\noracle:  %v %q %x\nservice: %v %q %x", asked, at, question.Method, question.Request,
				want.Code, want.Message, want.Response, got.Code, got.Message, got.Response)
		}
		if got.Code == codes.Unknown || got.Code == codes.Internal {
			t.Errorf("%v: %s", got.Code, got.Message)
		}
	}
}
