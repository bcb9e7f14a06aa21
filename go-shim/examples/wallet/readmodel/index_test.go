package readmodel

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/oracle"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/runs"
)

const (
	indexAccount = "long"
	indexDayUS   = 86_400_000_000
)

// indexLedgers are kinds of ledgers with one long account. Each makes the time and the amount of an entry.
var indexLedgers = map[string]func(random *rand.Rand, i int) (us, amount int64){
	"ascending": func(random *rand.Rand, i int) (int64, int64) {
		return int64(i)*indexDayUS/9 + random.Int64N(indexDayUS/9), 1 + random.Int64N(1<<random.IntN(30))
	},
	"late": func(random *rand.Rand, i int) (int64, int64) {
		return int64(i)*indexDayUS/9 - random.Int64N(2)*random.Int64N(90*indexDayUS), 1 + random.Int64N(1<<random.IntN(30))
	},
	"days": func(random *rand.Rand, _ int) (int64, int64) {
		return random.Int64N(40) * indexDayUS, 100 * (1 + random.Int64N(5))
	},
	"one instant": func(random *rand.Rand, _ int) (int64, int64) {
		return 7, 1 + random.Int64N(3)
	},
	"heavy": func(random *rand.Rand, i int) (int64, int64) {
		return int64(i) * indexDayUS / 30, ledger.MaxAmount - random.Int64N(3)
	},
}

// post makes a transaction of one to four entries of the long account.
func post(random *rand.Rand, kind func(random *rand.Rand, i int) (us, amount int64), position uint64, heavy bool) *walletv1.Transaction {
	us, _ := kind(random, int(position))
	tx := &walletv1.Transaction{Position: position, OccurredAtUs: us}
	for range 1 + random.IntN(4) {
		_, amount := kind(random, int(position))
		if !heavy && random.IntN(2) == 0 || random.IntN(50) == 0 {
			amount = -amount
		}
		e := &walletv1.Entry{AccountId: indexAccount, Asset: "GBP", Amount: amount, Phase: walletv1.Phase_PHASE_POSTED}
		if random.IntN(9) == 0 {
			e.Phase = walletv1.Phase(1 + random.IntN(3))
		}
		if random.IntN(6) > 0 {
			e.Counterparty = fmt.Sprintf("c%d", random.IntN(1<<random.IntN(10)))
		}
		tx.Entries = append(tx.Entries, e)
	}
	return tx
}

// TestTheIndexEqualsTheOracle asks at every kind of position, for windows that begin and end at the times of entries,
// just before and just after, in ledgers with histories of many short runs and of few long ones.
func TestTheIndexEqualsTheOracle(t *testing.T) {
	shapes := []runs.Shape{{Tail: 3, Indexed: 8, Inline: 30}, {Tail: 32, Indexed: 64, Inline: 1 << 12}, runs.DefaultShape()}
	for name, kind := range indexLedgers {
		for i, shape := range shapes {
			t.Run(fmt.Sprintf("%s-%d", name, shape.Tail), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(uint64(i), 11))
				transactions, questions, every := uint64(500), 60, uint64(20)
				if name == "heavy" {
					transactions, questions, every = 4500, 20, 500 // their sums pass int64, and the oracle takes long
				}
				truth, model := new(oracle.Oracle), newIndexed(shape)
				var times []int64
				for p := uint64(1); p <= transactions; p++ {
					tx := post(random, kind, p, name == "heavy")
					truth.Add(tx)
					model.Apply(tx)
					times = append(times, tx.GetOccurredAtUs())
					if p%every == 0 || p < 20 {
						askAll(t, random, truth, model, times)
					}
				}
				model.ledger.Settle()
				for range questions {
					askAll(t, random, truth, model, times)
				}
			})
		}
	}
}

// askAll asks one question of each kind, at the newest position or an earlier one.
func askAll(t *testing.T, random *rand.Rand, truth *oracle.Oracle, model *Best, times []int64) {
	t.Helper()
	at := truth.Position()
	if random.IntN(3) == 0 {
		at = at - min(at-1, random.Uint64N(1<<random.IntN(12)))
	}
	from := times[random.IntN(len(times))] + random.Int64N(3) - 1
	to := times[random.IntN(len(times))] + random.Int64N(3) - 1
	switch random.IntN(4) {
	case 0:
		from, to = slices.Min(times), slices.Max(times)+1
	case 1:
		to = from
	}
	from, to = min(from, to), max(from, to)+random.Int64N(2)
	if from == to {
		to++
	}
	var percentiles []uint32
	for _, p := range random.Perm(10_000)[:random.IntN(7)] {
		percentiles = append(percentiles, uint32(p+1))
	}
	account, asset := indexAccount, "GBP"
	check(t, truth, at, model.GetBalance, "GetBalance", &walletv1.GetBalanceRequest{AccountId: account, AsOfUs: &to})
	check(t, truth, at, model.GetBalance, "GetBalance", &walletv1.GetBalanceRequest{AccountId: account, Asset: &asset})
	check(t, truth, at, model.GetStatistics, "GetStatistics", &walletv1.GetStatisticsRequest{
		AccountId: account, Asset: asset, FromUs: from, ToUs: to, Percentiles: percentiles,
	})
	check(t, truth, at, model.GetTopCounterparties, "GetTopCounterparties", &walletv1.GetTopCounterpartiesRequest{
		AccountId: account, Asset: asset, FromUs: from, ToUs: to, Limit: 1 + random.Uint32N(100),
	})
	step := random.IntN(3)
	few := []int64{20 * indexDayUS, 140 * indexDayUS, 600 * indexDayUS}[step]
	check(t, truth, at, model.GetTimeSeries, "GetTimeSeries", &walletv1.GetTimeSeriesRequest{
		AccountId: account, Asset: asset, FromUs: from, ToUs: min(to, from+few), Step: walletv1.Step_STEP_DAY + walletv1.Step(step),
	})
}

func check[Req, Resp proto.Message](
	t *testing.T, truth *oracle.Oracle, at uint64, read func(uint64, Req) (Resp, uint64, error), method string, req Req,
) {
	t.Helper()
	request, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	want := truth.Ask(at, "/wallet.v1.WalletService/"+method, request)
	resp, _, err := read(at, req)
	got := oracle.Answer{}
	var refused *ledger.Error
	switch {
	case err == nil:
		if got.Response, err = (proto.MarshalOptions{Deterministic: true}).Marshal(resp); err != nil {
			t.Fatal(err)
		}
	case errors.As(err, &refused):
		got.Code, got.Message = codes.OutOfRange, refused.Error()
	}
	if got.Code != want.Code || got.Message != want.Message || !bytes.Equal(got.Response, want.Response) {
		t.Fatalf("at %d of %d: %s %v\noracle: %v %q %x\nmodel:  %v %q %x", at, truth.Position(), method, req,
			want.Code, want.Message, want.Response, got.Code, got.Message, got.Response)
	}
}

// TestTotalsBeyondInt64OrderAnAnswer has a counterparty whose credits and debits fit int64, but whose total does not. It
// must still come first.
func TestTotalsBeyondInt64OrderAnAnswer(t *testing.T) {
	legacy, best := NewLegacy(), NewBest()
	for p := uint64(1); p <= 11_000; p++ {
		e := &walletv1.Entry{
			AccountId: indexAccount, Asset: "GBP", Amount: ledger.MaxAmount, Phase: walletv1.Phase_PHASE_POSTED, Counterparty: "most",
		}
		if p%11 == 0 {
			e.Counterparty = "less"
		}
		if p%2 == 0 {
			e.Amount = -e.Amount
		}
		tx := &walletv1.Transaction{Position: p, OccurredAtUs: int64(p), Entries: []*walletv1.Entry{e}}
		legacy.Apply(tx)
		best.Apply(tx)
	}
	best.ledger.Settle()
	req := &walletv1.GetTopCounterpartiesRequest{AccountId: indexAccount, Asset: "GBP", FromUs: 1, ToUs: 11_001, Limit: 2}
	compare(t, Newest, legacy.GetTopCounterparties, best.GetTopCounterparties, req)
	resp, _, err := best.GetTopCounterparties(Newest, req)
	if err != nil || resp.GetCounterparties()[0].GetCounterparty() != "most" {
		t.Errorf("%v, %v", resp, err)
	}
}
