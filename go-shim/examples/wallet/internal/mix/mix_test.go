package mix

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
)

// ledger answers GetTransaction as a ledger in which the account "busy" is in every transaction.
type ledger struct {
	walletv1.WalletServiceClient
}

func (ledger) GetTransaction(
	_ context.Context, q *walletv1.GetTransactionRequest, _ ...grpc.CallOption,
) (*walletv1.GetTransactionResponse, error) {
	return &walletv1.GetTransactionResponse{Transaction: &walletv1.Transaction{
		OccurredAtUs: int64(q.GetPosition()) * dayUs,
		Entries: []*walletv1.Entry{
			{AccountId: "busy", Asset: "GBP"},
			{AccountId: string(rune('a' + q.GetPosition()%26)), Asset: "EUR"},
		},
	}}, nil
}

func surveyed(t *testing.T, seed uint64) (*Mix, *rand.Rand) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	m, err := Survey(context.Background(), ledger{}, 1000, 500, random)
	if err != nil {
		t.Fatal(err)
	}
	return m, random
}

func TestASurveyFindsWhoIsBusy(t *testing.T) {
	m, _ := surveyed(t, 1)
	if m.Accounts() != 27 {
		t.Errorf("accounts: %d", m.Accounts())
	}
	if got := m.Busiest(1); len(got) != 1 || got[0] != (Place{"busy", "GBP"}) {
		t.Errorf("busiest: %v", got)
	}
	if m.LastUs() <= m.firstUs || m.LastUs() > 1000*dayUs {
		t.Errorf("span: %d-%d", m.firstUs, m.lastUs)
	}
	if _, err := Survey(context.Background(), ledger{}, 0, 1, rand.New(rand.NewPCG(1, 0))); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty ledger: %v", err)
	}
}

func TestTheSameSeedAsksTheSameQuestions(t *testing.T) {
	a, randomA := surveyed(t, 7)
	b, randomB := surveyed(t, 7)
	for range 1000 {
		if x, y := a.Any(randomA), b.Any(randomB); x.Method != y.Method || string(x.Request) != string(y.Request) {
			t.Fatalf("%s\n%s", x.Text(), y.Text())
		}
	}
}

func TestTheMixHoldsEveryMethodInItsShare(t *testing.T) {
	m, random := surveyed(t, 2)
	var asked [len(ask.Hot)]int
	const n = 20_000
	for range n {
		asked[m.Any(random).Method]++
	}
	for method, weight := range weights {
		if got := asked[method] * 100 / n; got < weight-3 || got > weight+3 {
			t.Errorf("%s: %d%%, not %d%%", ask.Name(method), got, weight)
		}
	}
}

func TestQuestionsAreMostlyRightAndSometimesWrong(t *testing.T) {
	m, random := surveyed(t, 3)
	nobody, backwards, badLimit := 0, 0, 0
	const n = 3000
	for range n {
		request := new(walletv1.GetTopCounterpartiesRequest)
		if err := proto.Unmarshal(m.Question(random, 3).Request, request); err != nil {
			t.Fatal(err)
		}
		if len(request.AccountId) > 6 && request.AccountId[:6] == "nobody" {
			nobody++
		}
		if request.FromUs >= request.ToUs {
			backwards++
		}
		if request.Limit == 0 || request.Limit > 100 {
			badLimit++
		}
	}
	for name, got := range map[string]int{"nobody": nobody, "backwards": backwards, "limit": badLimit} {
		if got == 0 || got > n/2 {
			t.Errorf("%s: %d of %d", name, got, n)
		}
	}
}
