// Package oracle is a slow but simple implementation of the wallet, which defines the right answers: one slice of all
// entries, big integers, loops. It shares no code with the service, so the two do not share a mistake in code.
package oracle

import (
	"fmt"
	"math/big"
	"sort"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Answer is a reply or a status, as a client would see it.
type Answer struct {
	Code     codes.Code
	Message  string
	Response []byte
}

// Oracle holds every entry ever booked.
type Oracle struct {
	rows         []row
	transactions []*walletv1.Transaction
}

type row struct {
	position uint64
	time     int64
	*walletv1.Entry
}

// verdict is a refusal. Code panics with it, and Ask and Post recover it, so that the definitions need no error
// handling.
type verdict struct {
	code    codes.Code
	message string
}

func refuse(code codes.Code, format string, args ...any) {
	panic(verdict{code, fmt.Sprintf(format, args...)})
}

func catch(answer *Answer) {
	switch thrown := recover().(type) {
	case nil:
	case verdict:
		*answer = Answer{Code: thrown.code, Message: thrown.message}
	default:
		panic(thrown)
	}
}

// Add books a transaction without checks.
func (o *Oracle) Add(tx *walletv1.Transaction) {
	o.transactions = append(o.transactions, tx)
	for _, e := range tx.GetEntries() {
		o.rows = append(o.rows, row{tx.GetPosition(), tx.GetOccurredAtUs(), e})
	}
}

// Position returns the position of the last transaction.
func (o *Oracle) Position() uint64 { return uint64(len(o.transactions)) }

// Methods returns the full names of the five reads that Ask answers.
func Methods() []string {
	const service = "/wallet.v1.WalletService/"
	return []string{
		service + "GetBalance", service + "BatchGetBalances", service + "GetStatistics",
		service + "GetTopCounterparties", service + "GetTimeSeries",
	}
}

// Ask answers an encoded request at a position.
func (o *Oracle) Ask(position uint64, method string, request []byte) (answer Answer) {
	defer catch(&answer)
	var response proto.Message
	switch method {
	case "/wallet.v1.WalletService/GetBalance":
		response = o.balance(position, decode(request, &walletv1.GetBalanceRequest{}))
	case "/wallet.v1.WalletService/BatchGetBalances":
		response = o.batch(position, decode(request, &walletv1.BatchGetBalancesRequest{}))
	case "/wallet.v1.WalletService/GetStatistics":
		response = o.statistics(position, decode(request, &walletv1.GetStatisticsRequest{}))
	case "/wallet.v1.WalletService/GetTopCounterparties":
		response = o.top(position, decode(request, &walletv1.GetTopCounterpartiesRequest{}))
	case "/wallet.v1.WalletService/GetTimeSeries":
		response = o.series(position, decode(request, &walletv1.GetTimeSeriesRequest{}))
	default:
		refuse(codes.Unimplemented, "the oracle does not know %s", method)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(response)
	if err != nil {
		refuse(codes.Internal, "encode: %v", err)
	}
	return Answer{Response: encoded}
}

func decode[M proto.Message](request []byte, into M) M {
	if err := proto.Unmarshal(request, into); err != nil {
		refuse(codes.Internal, "decode: %v", err)
	}
	return into
}

// of returns an account's rows up to a position.
func (o *Oracle) of(position uint64, account string) (selected []row) {
	for _, r := range o.rows {
		if r.position <= position && r.GetAccountId() == account {
			selected = append(selected, r)
		}
	}
	return selected
}

func (o *Oracle) mustHave(position uint64, account string) []row {
	selected := o.of(position, account)
	if len(selected) == 0 {
		refuse(codes.NotFound, "account_id: has no entries")
	}
	return selected
}

// total adds up |amount| of the rows that match.
func total(rows []row, match func(row) bool) *big.Int {
	sum := new(big.Int)
	for _, r := range rows {
		if match(r) {
			sum.Add(sum, new(big.Int).Abs(big.NewInt(r.GetAmount())))
		}
	}
	return sum
}

func fit(field string, figure *big.Int) int64 {
	if !figure.IsInt64() {
		refuse(codes.OutOfRange, "%s: does not fit int64", field)
	}
	return figure.Int64()
}

func side(credit bool, phase walletv1.Phase) func(row) bool {
	return func(r row) bool { return r.GetAmount() > 0 == credit && r.GetPhase() == phase }
}

func credits(rows []row) *big.Int { return total(rows, side(true, walletv1.Phase_PHASE_POSTED)) }
func debits(rows []row) *big.Int  { return total(rows, side(false, walletv1.Phase_PHASE_POSTED)) }

func pending(rows []row, credit bool) *big.Int {
	held := total(rows, side(credit, walletv1.Phase_PHASE_HOLD))
	return held.Sub(held, total(rows, side(credit, walletv1.Phase_PHASE_RELEASE)))
}

func (o *Oracle) balance(position uint64, req *walletv1.GetBalanceRequest) proto.Message {
	checkID("account_id", req.GetAccountId(), 64)
	checkAssetIfGiven(req.Asset)
	if req.AsOfUs != nil {
		checkTime("as_of_us", req.GetAsOfUs())
	}
	rows := o.mustHave(position, req.GetAccountId())
	return &walletv1.GetBalanceResponse{Balances: balances(rows, req.Asset, req.AsOfUs)}
}

func (o *Oracle) batch(position uint64, req *walletv1.BatchGetBalancesRequest) proto.Message {
	if len(req.GetAccountIds()) > 1000 {
		refuse(codes.InvalidArgument, "account_ids: must be at most 1000")
	}
	for i, id := range req.GetAccountIds() {
		name := fmt.Sprintf("account_ids[%d]", i)
		checkID(name, id, 64)
		for _, earlier := range req.GetAccountIds()[:i] {
			if earlier == id {
				refuse(codes.InvalidArgument, "%s: must not repeat", name)
			}
		}
	}
	checkAssetIfGiven(req.Asset)
	resp := &walletv1.BatchGetBalancesResponse{}
	for _, id := range req.GetAccountIds() {
		found := &walletv1.AccountBalances{AccountId: id}
		if rows := o.of(position, id); len(rows) > 0 {
			found.Found, found.Balances = true, balances(rows, req.Asset, nil)
		}
		resp.Accounts = append(resp.Accounts, found)
	}
	return resp
}

func balances(rows []row, asset *string, asOf *int64) (answer []*walletv1.Balance) {
	var assets []string
	if asset != nil {
		assets = []string{*asset}
	} else {
		seen := map[string]bool{}
		for _, r := range rows {
			if !seen[r.GetAsset()] {
				seen[r.GetAsset()] = true
				assets = append(assets, r.GetAsset())
			}
		}
		sort.Strings(assets)
	}
	for _, name := range assets {
		var counted []row
		for _, r := range rows {
			if r.GetAsset() == name && (asOf == nil || r.time < *asOf) {
				counted = append(counted, r)
			}
		}
		answer = append(answer, oneBalance(name, counted))
	}
	return answer
}

func oneBalance(asset string, rows []row) *walletv1.Balance {
	posted := new(big.Int).Sub(credits(rows), debits(rows))
	b := &walletv1.Balance{Asset: asset, EntryCount: uint64(len(rows))}
	b.CreditsPosted = fit("credits_posted", credits(rows))
	b.DebitsPosted = fit("debits_posted", debits(rows))
	b.CreditsPending = fit("credits_pending", pending(rows, true))
	b.DebitsPending = fit("debits_pending", pending(rows, false))
	b.Posted = fit("posted", posted)
	b.Available = fit("available", new(big.Int).Sub(posted, pending(rows, false)))
	for _, r := range rows {
		if b.LastOccurredAtUs == nil || r.time > *b.LastOccurredAtUs {
			b.LastOccurredAtUs = proto.Int64(r.time)
		}
	}
	return b
}
