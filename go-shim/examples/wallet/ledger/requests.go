package ledger

import (
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// CheckGetBalance checks the arguments, in the order of the fields.
func CheckGetBalance(req *walletv1.GetBalanceRequest) error {
	if err := checkAccount("account_id", req.GetAccountId()); err != nil {
		return err
	}
	if err := checkOptionalAsset(req.Asset); err != nil {
		return err
	}
	if req.AsOfUs != nil {
		return checkTime("as_of_us", req.GetAsOfUs())
	}
	return nil
}

// CheckBatchGetBalances checks the arguments, in the order of the fields.
func CheckBatchGetBalances(req *walletv1.BatchGetBalancesRequest) error {
	if len(req.GetAccountIds()) > MaxBatchAccounts {
		return invalid("account_ids", "must be at most 1000")
	}
	seen := make(map[string]struct{}, len(req.GetAccountIds()))
	for i, id := range req.GetAccountIds() {
		if !isToken(id, MaxAccountIDBytes) {
			return invalid(fmt.Sprintf("account_ids[%d]", i), ruleAccount)
		}
		if _, repeated := seen[id]; repeated {
			return invalid(fmt.Sprintf("account_ids[%d]", i), "must not repeat")
		}
		seen[id] = struct{}{}
	}
	return checkOptionalAsset(req.Asset)
}

// CheckGetStatistics checks the arguments in the order of the fields. The order of the window's two ends is checked
// before the percentiles.
func CheckGetStatistics(req *walletv1.GetStatisticsRequest) error {
	if err := checkWindow(req); err != nil {
		return err
	}
	if len(req.GetPercentiles()) > MaxPercentiles {
		return invalid("percentiles", "must be at most 100")
	}
	seen := make(map[uint32]struct{}, len(req.GetPercentiles()))
	for i, p := range req.GetPercentiles() {
		if p < 1 || p > MaxBasisPoints {
			return invalid(fmt.Sprintf("percentiles[%d]", i), "must be 1-10000 basis points")
		}
		if _, repeated := seen[p]; repeated {
			return invalid(fmt.Sprintf("percentiles[%d]", i), "must not repeat")
		}
		seen[p] = struct{}{}
	}
	return nil
}

// CheckGetTopCounterparties checks the arguments.
func CheckGetTopCounterparties(req *walletv1.GetTopCounterpartiesRequest) error {
	if err := checkWindow(req); err != nil {
		return err
	}
	if req.GetLimit() < 1 || req.GetLimit() > MaxCounterparties {
		return invalid("limit", "must be 1-100")
	}
	return nil
}

// CheckGetTimeSeries checks the arguments.
func CheckGetTimeSeries(req *walletv1.GetTimeSeriesRequest) error {
	if err := checkWindow(req); err != nil {
		return err
	}
	if !KnownStep(req.GetStep()) {
		return invalid("step", "must be HOUR, DAY, WEEK or MONTH")
	}
	if Buckets(req.GetStep(), req.GetFromUs(), req.GetToUs()) > MaxBuckets {
		return invalid("step", "must give at most 10000 buckets")
	}
	return nil
}

// CheckGetTransaction checks the arguments.
func CheckGetTransaction(req *walletv1.GetTransactionRequest) error {
	switch key := req.GetKey().(type) {
	case *walletv1.GetTransactionRequest_TransactionId:
		return checkTransactionID(key.TransactionId)
	case *walletv1.GetTransactionRequest_Position:
		if key.Position < 1 {
			return invalid("position", "must be at least 1")
		}
		return nil
	default:
		return invalid("key", "must be transaction_id or position")
	}
}

// CheckListEntries checks the arguments except the page token, which only the store can read.
func CheckListEntries(req *walletv1.ListEntriesRequest) error {
	if err := checkAccount("account_id", req.GetAccountId()); err != nil {
		return err
	}
	if err := checkOptionalAsset(req.Asset); err != nil {
		return err
	}
	if req.GetPageSize() < 1 || req.GetPageSize() > MaxPageSize {
		return invalid("page_size", "must be 1-1000")
	}
	return nil
}

// ErrBadPageToken means that the page token is not one that the store made. Ask again with the next_page_token of the
// page before, or start again without a token.
var ErrBadPageToken = invalid("page_token", "must be empty or the next_page_token of the page before")

type windowed interface {
	GetAccountId() string
	GetAsset() string
	GetFromUs() int64
	GetToUs() int64
}

func checkWindow(req windowed) error {
	if err := checkAccount("account_id", req.GetAccountId()); err != nil {
		return err
	}
	if err := checkAsset(req.GetAsset()); err != nil {
		return err
	}
	if err := checkTime("from_us", req.GetFromUs()); err != nil {
		return err
	}
	if err := checkTime("to_us", req.GetToUs()); err != nil {
		return err
	}
	if req.GetFromUs() >= req.GetToUs() {
		return invalid("from_us", "must be before to_us")
	}
	return nil
}

func checkOptionalAsset(asset *string) error {
	if asset == nil {
		return nil
	}
	return checkAsset(*asset)
}
