package readmodel

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/generate"
)

// TestModelsAgreeOnALargeLedger compares the other models with Legacy. The oracle is too slow for many questions about
// accounts of thousands of entries, which Best keeps in more than one block and in runs. Legacy is fast enough, and
// another test compares it with the oracle on small accounts.
func TestModelsAgreeOnALargeLedger(t *testing.T) {
	const transactions = 20_000
	legacy, best, scan := NewLegacy(), NewBest(), NewBestScan()
	g := generate.New(generate.Options{Seed: 3, Accounts: 2000, Transactions: transactions})
	entries := make(map[string]int)
	var booked []*walletv1.Transaction
	var times []int64
	for p := uint64(1); p <= transactions; p++ {
		tx := g.Next()
		tx.Position = p
		legacy.Apply(tx)
		best.Apply(tx)
		scan.Apply(tx)
		booked = append(booked, tx)
		times = append(times, tx.GetOccurredAtUs())
		for _, e := range tx.GetEntries() {
			entries[e.GetAccountId()]++
		}
	}
	_, stored := openStored(t, booked)
	others := []ReadModel{best, scan, stored}
	for _, other := range others {
		if legacy.Size() != other.Size() || legacy.Position() != other.Position() {
			t.Fatalf("%+v at %d, %T: %+v at %d", legacy.Size(), legacy.Position(), other, other.Size(), other.Position())
		}
	}
	busiest := slices.SortedFunc(maps.Keys(entries), func(a, b string) int { return entries[b] - entries[a] })[:40]
	if entries[busiest[0]] < 3000 {
		t.Fatalf("the busiest account has only %d entries", entries[busiest[0]])
	}
	random := rand.New(rand.NewPCG(1, 1))
	questions := 150
	if testing.Short() {
		questions = 20
	}
	for range questions {
		at := Newest
		if random.IntN(2) == 0 {
			at = random.Uint64N(transactions + 1)
		}
		asked := inquiry{
			accounts: busiest[:1+random.IntN(len(busiest))],
			account:  busiest[random.IntN(1+random.IntN(len(busiest)))],
			asset:    []string{"GBP", "EUR", "USD", "COIN", "NONE"}[random.IntN(5)],
			from:     times[random.IntN(len(times))], to: times[random.IntN(len(times))],
			percentile: 1 + random.Uint32N(10_000), limit: 1 + random.Uint32N(100),
		}
		for _, other := range others {
			compareAll(t, legacy, other, at, asked)
		}
		if t.Failed() {
			return
		}
	}
}

// TestTheIndexEqualsAScanOfALongHistory compares Best with and without the index on one account with many
// counterparties, while the ledger grows, so that merges are done meanwhile.
func TestTheIndexEqualsAScanOfALongHistory(t *testing.T) {
	const transactions, questions = 60_000, 300
	random := rand.New(rand.NewPCG(4, 4))
	best, scan := NewBest(), NewBestScan()
	history := longHistory{random: random, entries: transactions, counterparties: 3000}
	var times []int64
	ask := func(at uint64) {
		asked := inquiry{
			accounts: []string{longAccount}, account: longAccount, asset: benchAsset,
			from: times[random.IntN(len(times))], to: times[random.IntN(len(times))],
			percentile: 1 + random.Uint32N(10_000), limit: 1 + random.Uint32N(100),
		}
		if random.IntN(4) == 0 {
			asked.from, asked.to = slices.Min(times), slices.Max(times)
		}
		compareAll(t, scan, best, at, asked)
	}
	for p := uint64(1); p <= transactions && !t.Failed(); p++ {
		tx := history.next(p)
		best.Apply(tx)
		scan.Apply(tx)
		times = append(times, tx.GetOccurredAtUs())
		if p%(transactions/questions) == 0 {
			ask(p - random.Uint64N(min(p, uint64(1)<<random.IntN(17))))
		}
	}
	best.ledger.Settle()
	for range 60 {
		ask(Newest)
	}
}

// inquiry holds the arguments for one question of each kind.
type inquiry struct {
	accounts          []string
	account, asset    string
	from, to          int64
	percentile, limit uint32
}

func compareAll(t *testing.T, legacy, other ReadModel, at uint64, i inquiry) {
	t.Helper()
	from, to := min(i.from, i.to), max(i.from, i.to)+1
	compare(t, at, legacy.GetBalance, other.GetBalance, &walletv1.GetBalanceRequest{AccountId: i.account})
	compare(t, at, legacy.GetBalance, other.GetBalance, &walletv1.GetBalanceRequest{AccountId: i.account, Asset: &i.asset, AsOfUs: &to})
	compare(t, at, legacy.BatchGetBalances, other.BatchGetBalances,
		&walletv1.BatchGetBalancesRequest{AccountIds: append([]string{"nobody"}, i.accounts...)})
	compare(t, at, legacy.BatchGetBalances, other.BatchGetBalances,
		&walletv1.BatchGetBalancesRequest{AccountIds: i.accounts, Asset: &i.asset})
	compare(t, at, legacy.GetStatistics, other.GetStatistics, &walletv1.GetStatisticsRequest{
		AccountId: i.account, Asset: i.asset, FromUs: from, ToUs: to, Percentiles: []uint32{9000, i.percentile, 1},
	})
	compare(t, at, legacy.GetTopCounterparties, other.GetTopCounterparties, &walletv1.GetTopCounterpartiesRequest{
		AccountId: i.account, Asset: i.asset, FromUs: from, ToUs: to, Limit: i.limit,
	})
	for _, step := range []walletv1.Step{walletv1.Step_STEP_WEEK, walletv1.Step_STEP_MONTH} {
		compare(t, at, legacy.GetTimeSeries, other.GetTimeSeries, &walletv1.GetTimeSeriesRequest{
			AccountId: i.account, Asset: i.asset, FromUs: from, ToUs: to, Step: step,
		})
	}
}

func compare[Req, Resp proto.Message](
	t *testing.T, at uint64, legacy, other func(uint64, Req) (Resp, uint64, error), req Req,
) {
	t.Helper()
	want, wantAt, wantErr := legacy(at, req)
	got, gotAt, gotErr := other(at, req)
	if gotAt != wantAt || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || wantErr == nil && !proto.Equal(want, got) {
		t.Errorf("at %d: %T %v\nlegacy at %d: %v, %v\nother at %d: %v, %v", at, req, req, wantAt, want, wantErr, gotAt, got, gotErr)
	}
}
