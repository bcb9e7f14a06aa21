package oracle

import (
	"math/big"
	"sort"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// posted returns the rows that statistics include: POSTED rows of the asset with from <= time < to.
func posted(rows []row, asset string, from, to int64) (selected []row) {
	for _, r := range rows {
		if r.GetPhase() == walletv1.Phase_PHASE_POSTED && r.GetAsset() == asset && from <= r.time && r.time < to {
			selected = append(selected, r)
		}
	}
	return selected
}

func (o *Oracle) statistics(position uint64, req *walletv1.GetStatisticsRequest) proto.Message {
	checkWindow(req.GetAccountId(), req.GetAsset(), req.GetFromUs(), req.GetToUs())
	checkPercentiles(req.GetPercentiles())
	rows := posted(o.mustHave(position, req.GetAccountId()), req.GetAsset(), req.GetFromUs(), req.GetToUs())

	resp := &walletv1.GetStatisticsResponse{}
	names := map[string]bool{}
	var sizes []int64
	for _, r := range rows {
		if r.GetAmount() > 0 {
			resp.CreditCount++
		} else {
			resp.DebitCount++
		}
		if r.GetCounterparty() != "" {
			names[r.GetCounterparty()] = true
		}
		sizes = append(sizes, max(r.GetAmount(), -r.GetAmount()))
	}
	resp.DistinctCounterparties = uint64(len(names))
	resp.CreditSum = fit("credit_sum", credits(rows))
	resp.DebitSum = fit("debit_sum", debits(rows))
	net := new(big.Int).Sub(credits(rows), debits(rows))
	resp.Net = fit("net", net)
	if len(rows) == 0 {
		return resp
	}
	byAmount := sorted(rows, func(a, b row) bool { return a.GetAmount() < b.GetAmount() })
	byTime := sorted(rows, func(a, b row) bool { return a.time < b.time })
	resp.Min = proto.Int64(byAmount[0].GetAmount())
	resp.Max = proto.Int64(byAmount[len(rows)-1].GetAmount())
	resp.FirstOccurredAtUs = proto.Int64(byTime[0].time)
	resp.LastOccurredAtUs = proto.Int64(byTime[len(rows)-1].time)
	resp.Mean = proto.Int64(halfEven(net, int64(len(rows))))
	resp.Stddev = proto.Int64(deviation(rows, net))
	sort.Slice(sizes, func(i, j int) bool { return sizes[i] < sizes[j] })
	for _, p := range req.GetPercentiles() {
		resp.Percentiles = append(resp.Percentiles, &walletv1.Percentile{BasisPoints: p, Value: nearest(sizes, int(p))})
	}
	return resp
}

func sorted(rows []row, less func(a, b row) bool) []row {
	ordered := append([]row(nil), rows...)
	sort.Slice(ordered, func(i, j int) bool { return less(ordered[i], ordered[j]) })
	return ordered
}

// nearest returns the smallest value v such that at least p/10,000 of the values are at most v.
func nearest(ascending []int64, p int) int64 {
	for i, v := range ascending {
		if (i+1)*10_000 >= p*len(ascending) {
			return v
		}
	}
	panic("p is at most 10,000")
}

// halfEven rounds the exact fraction sum/n to the nearest integer, and a half to the even one.
func halfEven(sum *big.Int, n int64) int64 {
	exact := new(big.Rat).SetFrac(sum, big.NewInt(n))
	floor := new(big.Int).Div(exact.Num(), exact.Denom())
	rest := new(big.Rat).Sub(exact, new(big.Rat).SetInt(floor))
	up := rest.Cmp(big.NewRat(1, 2))
	if up > 0 || up == 0 && floor.Bit(0) == 1 {
		floor.Add(floor, big.NewInt(1))
	}
	return floor.Int64()
}

// deviation returns the largest d with (n*d)^2 <= n*sum(x^2) - sum(x)^2. It searches by bisection.
func deviation(rows []row, net *big.Int) int64 {
	n := big.NewInt(int64(len(rows)))
	target := new(big.Int)
	for _, r := range rows {
		x := big.NewInt(r.GetAmount())
		target.Add(target, x.Mul(x, x))
	}
	target.Mul(target, n)
	target.Sub(target, new(big.Int).Mul(net, net))
	low, high := int64(0), int64(2_000_000_000_000_000)
	for low < high {
		middle := (low + high + 1) / 2
		nd := new(big.Int).Mul(n, big.NewInt(middle))
		if nd.Mul(nd, nd).Cmp(target) <= 0 {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

func (o *Oracle) top(position uint64, req *walletv1.GetTopCounterpartiesRequest) proto.Message {
	checkWindow(req.GetAccountId(), req.GetAsset(), req.GetFromUs(), req.GetToUs())
	if req.GetLimit() < 1 || req.GetLimit() > 100 {
		refuse(codes.InvalidArgument, "limit: must be 1-100")
	}
	rows := posted(o.mustHave(position, req.GetAccountId()), req.GetAsset(), req.GetFromUs(), req.GetToUs())
	groups := map[string][]row{}
	var names []string
	for _, r := range rows {
		if name := r.GetCounterparty(); name != "" {
			if groups[name] == nil {
				names = append(names, name)
			}
			groups[name] = append(groups[name], r)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := groups[names[i]], groups[names[j]]
		order := new(big.Int).Add(credits(a), debits(a)).Cmp(new(big.Int).Add(credits(b), debits(b)))
		return order > 0 || order == 0 && names[i] < names[j]
	})
	resp := &walletv1.GetTopCounterpartiesResponse{}
	for i, name := range names {
		if i == int(req.GetLimit()) {
			break
		}
		resp.Counterparties = append(resp.Counterparties, &walletv1.CounterpartyTotal{
			Counterparty: name,
			Count:        uint64(len(groups[name])),
			CreditSum:    fit("credit_sum", credits(groups[name])),
			DebitSum:     fit("debit_sum", debits(groups[name])),
		})
	}
	return resp
}

func (o *Oracle) series(position uint64, req *walletv1.GetTimeSeriesRequest) proto.Message {
	from, to := req.GetFromUs(), req.GetToUs()
	checkWindow(req.GetAccountId(), req.GetAsset(), from, to)
	if req.GetStep() < 1 || req.GetStep() > 4 {
		refuse(codes.InvalidArgument, "step: must be HOUR, DAY, WEEK or MONTH")
	}
	var starts []time.Time
	start := beginning(req.GetStep(), time.UnixMicro(from).UTC())
	for ; start.UnixMicro() < to; start = following(req.GetStep(), start) {
		if starts = append(starts, start); len(starts) > 10_000 {
			refuse(codes.InvalidArgument, "step: must give at most 10000 buckets")
		}
	}
	rows := o.mustHave(position, req.GetAccountId())
	resp := &walletv1.GetTimeSeriesResponse{}
	for _, start := range starts {
		end := min(following(req.GetStep(), start).UnixMicro(), to)
		inside := posted(rows, req.GetAsset(), max(start.UnixMicro(), from), end)
		before := posted(rows, req.GetAsset(), -1<<63, end)
		resp.Buckets = append(resp.Buckets, &walletv1.TimeBucket{
			StartUs:        start.UnixMicro(),
			Count:          uint64(len(inside)),
			CreditSum:      fit("credit_sum", credits(inside)),
			DebitSum:       fit("debit_sum", debits(inside)),
			ClosingBalance: fit("closing_balance", new(big.Int).Sub(credits(before), debits(before))),
		})
	}
	return resp
}

func beginning(step walletv1.Step, t time.Time) time.Time {
	switch step {
	case walletv1.Step_STEP_HOUR:
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, time.UTC)
	case walletv1.Step_STEP_MONTH:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	for step == walletv1.Step_STEP_WEEK && day.Weekday() != time.Monday {
		day = day.AddDate(0, 0, -1)
	}
	return day
}

func following(step walletv1.Step, start time.Time) time.Time {
	switch step {
	case walletv1.Step_STEP_HOUR:
		return start.Add(time.Hour)
	case walletv1.Step_STEP_DAY:
		return start.AddDate(0, 0, 1)
	case walletv1.Step_STEP_WEEK:
		return start.AddDate(0, 0, 7)
	default:
		return start.AddDate(0, 1, 0)
	}
}
