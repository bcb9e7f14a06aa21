package readmodel

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/exact"
)

// statistics is an answer with the figures that its optional fields point to, so that one allocation makes all of it.
type statistics struct {
	response                                walletv1.GetStatisticsResponse
	min, max, mean, stddev, firstUS, lastUS int64
}

// GetStatistics implements [ReadModel].
func (m *Best) GetStatistics(at uint64, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, uint64, error) {
	v, position := m.resolve(at)
	held, err := m.holding(v, position, req.GetAccountId(), req.GetAsset())
	if err != nil {
		return nil, position, err
	}
	answer := new(statistics)
	switch {
	case held.Indexed:
		sum := exact.SummarizeRuns(held.Runs, windowOf(req), req.GetPercentiles(), v.Ids())
		err = answer.fill(&sum, req.GetPercentiles())
	case held.Log.Len() > 0:
		sum := exact.Summarize(held.Log, windowOf(req), req.GetPercentiles(), v.Ids())
		err = answer.fill(&sum, req.GetPercentiles())
	}
	return checked(&answer.response, position, err)
}

func (a *statistics) fill(sum *exact.Summary, percentiles []uint32) error {
	var n narrow
	r := &a.response
	r.CreditCount = sum.CreditCount
	r.DebitCount = sum.DebitCount
	r.CreditSum = n.fit("credit_sum", sum.Sums.Credits)
	r.DebitSum = n.fit("debit_sum", sum.Sums.Debits)
	r.Net = n.fit("net", sum.Sums.Net())
	r.DistinctCounterparties = sum.Counterparties
	if n.err != nil || sum.Count() == 0 {
		return n.err
	}
	a.min, a.max, a.firstUS, a.lastUS = sum.Min, sum.Max, sum.FirstUS, sum.LastUS
	a.mean, a.stddev = roundHalfEven(r.Net, sum.Count()), sum.Stddev()
	r.Min, r.Max, r.Mean, r.Stddev = &a.min, &a.max, &a.mean, &a.stddev
	r.FirstOccurredAtUs, r.LastOccurredAtUs = &a.firstUS, &a.lastUS
	if len(percentiles) == 0 {
		return nil
	}
	rows := make([]walletv1.Percentile, len(percentiles))
	r.Percentiles = make([]*walletv1.Percentile, len(percentiles))
	for i, p := range percentiles {
		rows[i].BasisPoints, rows[i].Value = p, sum.Ranked[i]
		r.Percentiles[i] = &rows[i]
	}
	return nil
}

// GetTopCounterparties implements [ReadModel].
func (m *Best) GetTopCounterparties(at uint64, req *walletv1.GetTopCounterpartiesRequest) (*walletv1.GetTopCounterpartiesResponse, uint64, error) {
	v, position := m.resolve(at)
	held, err := m.holding(v, position, req.GetAccountId(), req.GetAsset())
	if err != nil {
		return nil, position, err
	}
	var totals []exact.Total
	if held.Indexed {
		totals = exact.TopRuns(held.Runs, windowOf(req), int(req.GetLimit()), v.Ids(), v.Name)
	} else {
		totals = exact.Top(held.Log, windowOf(req), int(req.GetLimit()), v.Ids(), v.Name)
	}
	rows := make([]walletv1.CounterpartyTotal, len(totals))
	resp := &walletv1.GetTopCounterpartiesResponse{Counterparties: make([]*walletv1.CounterpartyTotal, len(totals))}
	var n narrow
	for i := range totals {
		t, row := &totals[i], &rows[i]
		row.Counterparty = string(v.Name(t.Slot))
		row.Count = t.Count
		row.CreditSum = n.fit("credit_sum", t.Credits())
		row.DebitSum = n.fit("debit_sum", t.Debits())
		resp.Counterparties[i] = row
	}
	return checked(resp, position, n.err)
}

// GetTimeSeries implements [ReadModel].
func (m *Best) GetTimeSeries(at uint64, req *walletv1.GetTimeSeriesRequest) (*walletv1.GetTimeSeriesResponse, uint64, error) {
	v, position := m.resolve(at)
	held, err := m.holding(v, position, req.GetAccountId(), req.GetAsset())
	if err != nil {
		return nil, position, err
	}
	resp := new(walletv1.GetTimeSeriesResponse)
	take := func(balance ledger.Int128, first int64, buckets []exact.Bucket) {
		resp.Buckets, err = bucketRows(req.GetStep(), balance, first, buckets)
	}
	if held.Indexed {
		exact.SeriesRuns(held.Runs, windowOf(req), req.GetStep(), take)
	} else {
		exact.Series(held.Log, windowOf(req), req.GetStep(), take)
	}
	return checked(resp, position, err)
}

func bucketRows(step walletv1.Step, balance ledger.Int128, first int64, buckets []exact.Bucket) ([]*walletv1.TimeBucket, error) {
	rows := make([]walletv1.TimeBucket, len(buckets))
	messages := make([]*walletv1.TimeBucket, len(buckets))
	var n narrow
	for i := range buckets {
		b, row := &buckets[i], &rows[i]
		balance = balance.Add(b.Net())
		row.StartUs = ledger.BucketStart(step, first+int64(i))
		row.Count = b.Count
		row.CreditSum = n.fit("credit_sum", b.Credits())
		row.DebitSum = n.fit("debit_sum", b.Debits())
		row.ClosingBalance = n.fit("closing_balance", balance)
		messages[i] = row
	}
	return messages, n.err
}
