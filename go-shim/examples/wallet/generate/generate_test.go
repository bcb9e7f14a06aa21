package generate_test

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/generate"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/store"
)

func make10k(seed uint64) (txs []*walletv1.Transaction) {
	g := generate.New(generate.Options{Seed: seed, Accounts: 1000, Transactions: 10_000})
	for range 10_000 {
		txs = append(txs, g.Next())
	}
	return txs
}

func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	var first, second, other []byte
	for _, tx := range make10k(1) {
		first = ledger.AppendBody(first, tx)
	}
	for _, tx := range make10k(1) {
		second = ledger.AppendBody(second, tx)
	}
	for _, tx := range make10k(2) {
		other = ledger.AppendBody(other, tx)
	}
	if !bytes.Equal(first, second) || bytes.Equal(first, other) {
		t.Error("one seed, one ledger")
	}
}

func TestEveryShapeOccurs(t *testing.T) {
	kinds, assets, phases, entries := map[string]int{}, map[string]int{}, map[walletv1.Phase]int{}, map[string]int{}
	backDated, external := 0, 0
	var latest int64
	for _, tx := range make10k(3) {
		if err := ledger.Validate(tx); err != nil {
			t.Fatal(err)
		}
		if tx.GetOccurredAtUs() < latest {
			backDated++
		}
		latest = max(latest, tx.GetOccurredAtUs())
		if tx.GetExternal() {
			external++
		}
		for _, e := range tx.GetEntries() {
			kinds[e.GetKind()]++
			assets[e.GetAsset()]++
			phases[e.GetPhase()]++
			entries[e.GetAccountId()]++
		}
	}
	for _, kind := range []string{"payment", "gift", "deposit", "withdrawal", "card", "credit_note", "exchange"} {
		if kinds[kind] == 0 {
			t.Errorf("nothing of kind %s", kind)
		}
	}
	if len(assets) < 4 || len(phases) != 3 || backDated < 50 || external < 500 {
		t.Errorf("assets %v, phases %v, %d back-dated, %d external", assets, phases, backDated, external)
	}
	largest, total := 0, 0
	for _, n := range entries {
		largest = max(largest, n)
		total += n
	}
	if largest < 20*total/len(entries) || len(entries) < 700 {
		t.Errorf("the largest of %d accounts has %d of %d entries", len(entries), largest, total)
	}
}

// TestSpendingIsSkewedLikeTheRealOne makes a tenth of the ledger that the load generator's scenario large uses.
func TestSpendingIsSkewedLikeTheRealOne(t *testing.T) {
	const transactions = 210_000
	g := generate.New(generate.Options{Seed: 1, Accounts: 44_000, Transactions: transactions, Shape: generate.Spending})
	payments := map[string]int{}
	for range transactions {
		tx := g.Next()
		if entries := tx.GetEntries(); entries[0].GetKind() != "exchange" && len(entries) == 2 && entries[0].GetAmount() < 0 {
			payments[entries[0].GetAccountId()]++
		}
	}
	counts := slices.Sorted(maps.Values(payments))
	most, median := counts[len(counts)-1], counts[len(counts)/2]
	if most < 50_000 || most > 80_000 || median > 3 || len(counts) < 1_000 || len(counts) > 2_750 {
		t.Errorf("%d payers, the median has %d payments, one has %d", len(counts), median, most)
	}
	if hundredth := counts[len(counts)-len(counts)/100]; hundredth < 300 || hundredth > 1_500 {
		t.Errorf("one payer in a hundred has more than %d payments", hundredth)
	}
}

func TestTheLedgerAcceptsAllOfIt(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "wallet.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, options := range []generate.Options{
		{Seed: 1, Accounts: 1, Transactions: 1},
		{Seed: 2, Accounts: 2, Transactions: 300},
		{Seed: 3, Accounts: 100, Transactions: 5000},
		{Seed: 4, Accounts: 100, Transactions: 5000, Shape: generate.Spending},
		{Seed: 5, Accounts: 2, Transactions: 300, Shape: generate.Spending},
	} {
		done, err := generate.Run(t.Context(), s, options)
		if err != nil || done.Posted != options.Transactions {
			t.Errorf("%+v: %+v, %v", options, done, err)
		}
	}
	options := generate.Options{Seed: 3, Accounts: 101, Transactions: 5000}
	if _, err := generate.Run(t.Context(), s, options); err == nil {
		t.Error("another ledger under the same ids must be refused")
	}
}
