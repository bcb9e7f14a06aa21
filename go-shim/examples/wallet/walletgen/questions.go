package walletgen

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// Question is a call of one of the five reads.
type Question struct {
	// Method is the full name, such as /wallet.v1.WalletService/GetBalance.
	Method string
	// Request is the message and Encoded its bytes. The bytes may have a field that the message does not have.
	Request proto.Message
	Encoded []byte
}

// Question makes a question. About one in eight is invalid.
func (g *Gen) Question() Question {
	method, request := g.read()
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		panic(fmt.Sprintf("walletgen: %v", err)) // this happens only for text that is not UTF-8, and there is none
	}
	if g.oneIn(20) {
		encoded = append(encoded, 0xfa, 0x3f, 1, 'u') // field 1,023
	}
	return Question{"/wallet.v1.WalletService/" + method, request, encoded}
}

func (g *Gen) read() (method string, request proto.Message) {
	switch g.random.IntN(5) {
	case 0:
		req := &walletv1.GetBalanceRequest{AccountId: g.askedAccount(), Asset: g.optionalAsset()}
		if g.oneIn(2) {
			req.AsOfUs = proto.Int64(g.askedTime())
		}
		return "GetBalance", req
	case 1:
		return "BatchGetBalances", g.batch()
	case 2:
		from, to := g.window()
		return "GetStatistics", &walletv1.GetStatisticsRequest{
			AccountId: g.askedAccount(), Asset: g.askedAsset(), FromUs: from, ToUs: to, Percentiles: g.percentiles(),
		}
	case 3:
		from, to := g.window()
		limit := uint32(1 + g.random.IntN(6))
		if g.oneIn(10) {
			limit = pick[uint32](g, 0, 100, 101, 1<<32-1)
		}
		return "GetTopCounterparties", &walletv1.GetTopCounterpartiesRequest{
			AccountId: g.askedAccount(), Asset: g.askedAsset(), FromUs: from, ToUs: to, Limit: limit,
		}
	default:
		return "GetTimeSeries", g.series()
	}
}

func (g *Gen) batch() *walletv1.BatchGetBalancesRequest {
	req := &walletv1.BatchGetBalancesRequest{Asset: g.optionalAsset()}
	order := g.random.Perm(8)
	for _, i := range order[:g.random.IntN(len(order))] {
		req.AccountIds = append(req.AccountIds, fmt.Sprintf("acct-%d", i))
	}
	switch g.random.IntN(20) {
	case 0:
		req.AccountIds = append(req.AccountIds, g.badID())
	case 1:
		req.AccountIds = append(req.AccountIds, "acct-1", "acct-1")
	case 2:
		for i := range ledger.MaxBatchAccounts + g.random.IntN(2) - len(req.GetAccountIds()) {
			req.AccountIds = append(req.AccountIds, fmt.Sprintf("other-%d", i))
		}
	}
	return req
}

// series asks for few buckets in most questions, and for many in some.
func (g *Gen) series() *walletv1.GetTimeSeriesRequest {
	step := pick(g, walletv1.Step_STEP_HOUR, walletv1.Step_STEP_DAY, walletv1.Step_STEP_WEEK, walletv1.Step_STEP_MONTH)
	from, to := g.window()
	if step == walletv1.Step_STEP_HOUR && !g.oneIn(10) {
		to = min(to, from+g.random.Int64N(4*dayUS)+1)
	}
	if g.oneIn(25) {
		step = pick[walletv1.Step](g, 0, 5, -1)
	}
	return &walletv1.GetTimeSeriesRequest{
		AccountId: g.askedAccount(), Asset: g.askedAsset(), FromUs: from, ToUs: to, Step: step,
	}
}

func (g *Gen) percentiles() (percentiles []uint32) {
	for range g.random.IntN(5) {
		percentiles = append(percentiles, 1+g.random.Uint32N(10_000))
	}
	switch g.random.IntN(20) {
	case 0:
		percentiles = append(percentiles, pick[uint32](g, 0, 10_001))
	case 1:
		percentiles = append(percentiles, 5000, 5000)
	case 2:
		for i := range uint32(100 + g.random.IntN(2)) {
			percentiles = append(percentiles[:i], 10_000-i)
		}
	case 3:
		percentiles = []uint32{10_000, 1, 5000, 9999}
	}
	return percentiles
}

func (g *Gen) askedAccount() string {
	switch g.random.IntN(30) {
	case 0:
		return g.badID()
	case 1:
		return "nobody"
	default:
		return g.account()
	}
}

func (g *Gen) askedAsset() string {
	if g.oneIn(40) {
		return pick(g, "", "seventeen-bytes-x", "G P")
	}
	if g.oneIn(20) {
		return "NONE"
	}
	return g.asset()
}

func (g *Gen) optionalAsset() *string {
	if g.oneIn(2) {
		return nil
	}
	return proto.String(g.askedAsset())
}

func (g *Gen) askedTime() int64 {
	if g.oneIn(30) {
		return pick[int64](g, ledger.MinTimeUS-1, ledger.MaxTimeUS+1)
	}
	// The times of transactions are the best test of a window's borders.
	if len(g.posted) > 0 && g.oneIn(3) {
		at := pick(g, g.posted...).GetOccurredAtUs() + int64(g.random.IntN(2))
		return max(min(at, ledger.MaxTimeUS), ledger.MinTimeUS)
	}
	return g.time()
}

func (g *Gen) window() (from, to int64) {
	from, to = g.askedTime(), g.askedTime()
	if from > to && !g.oneIn(15) {
		from, to = to, from
	}
	return from, to
}
