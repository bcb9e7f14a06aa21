package golden_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/internal/schema"
)

const schemas = "../../../../proto/golden/schema.txt"

var hot = []string{
	walletv1.WalletService_GetBalance_FullMethodName,
	walletv1.WalletService_BatchGetBalances_FullMethodName,
	walletv1.WalletService_GetStatistics_FullMethodName,
	walletv1.WalletService_GetTopCounterparties_FullMethodName,
	walletv1.WalletService_GetTimeSeries_FullMethodName,
}

// TestTextOfGetBalance checks the text that the shim derives from the descriptors of one method.
func TestTextOfGetBalance(t *testing.T) {
	const want = `method /wallet.v1.WalletService/GetBalance wallet.v1.GetBalanceRequest wallet.v1.GetBalanceResponse
message wallet.v1.Balance
  1 asset string singular
  2 credits_posted int64 singular
  3 debits_posted int64 singular
  4 credits_pending int64 singular
  5 debits_pending int64 singular
  6 posted int64 singular
  7 available int64 singular
  8 entry_count uint64 singular
  9 last_occurred_at_us int64 optional
message wallet.v1.GetBalanceRequest
  1 account_id string singular
  2 asset string optional
  3 as_of_us int64 optional
message wallet.v1.GetBalanceResponse
  1 balances message wallet.v1.Balance repeated
`
	if got := text(t, walletv1.WalletService_GetBalance_FullMethodName); got != want {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
}

func text(t *testing.T, method string) string {
	t.Helper()
	descriptor, err := schema.Find(method)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Text(descriptor)
}

func TestTextOfEnumsAndOneofs(t *testing.T) {
	for method, wants := range map[string][]string{
		walletv1.WalletService_GetTimeSeries_FullMethodName: {"\n  5 step enum wallet.v1.Step singular\n",
			"\nenum wallet.v1.Step\n  0 STEP_UNSPECIFIED\n  1 STEP_HOUR\n"},
		walletv1.WalletService_GetTransaction_FullMethodName: {"\n  1 transaction_id string oneof key\n",
			"\n  1 transaction message wallet.v1.Transaction singular\n"},
		walletv1.WalletService_GetStatistics_FullMethodName: {"\n  5 percentiles uint32 repeated\n"},
	} {
		got := text(t, method)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", method, want, got)
			}
		}
	}
}

// TestHashesAreThoseOfTheGoldenFile compares with a file that the sidecar's tests compare with too: the sidecar
// computes the same lines from its own copy of the descriptors.
func TestHashesAreThoseOfTheGoldenFile(t *testing.T) {
	var lines strings.Builder
	for _, method := range slices.Sorted(slices.Values(hot)) {
		descriptor, err := schema.Find(method)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s %x\n", method, schema.Hash(descriptor))
	}
	want, err := os.ReadFile(schemas)
	if err != nil {
		t.Fatalf("%v; it must hold:\n%s", err, &lines)
	}
	if lines.String() != string(want) {
		t.Fatalf("computed:\n%sin %s:\n%s", &lines, schemas, want)
	}
}
