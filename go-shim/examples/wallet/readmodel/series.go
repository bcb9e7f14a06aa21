package readmodel

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

type bucket struct {
	count uint64
	sums  sides
}

// GetTimeSeries implements [ReadModel].
func (m *Legacy) GetTimeSeries(at uint64, req *walletv1.GetTimeSeriesRequest) (*walletv1.GetTimeSeriesResponse, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	position := m.resolve(at)
	held, err := m.entriesAt(req.GetAccountId(), position)
	if err != nil {
		return nil, position, err
	}
	step, first := req.GetStep(), ledger.BucketIndex(req.GetStep(), req.GetFromUs())
	buckets := make([]bucket, ledger.Buckets(step, req.GetFromUs(), req.GetToUs()))
	var before sides
	for i := range held {
		e := &held[i]
		switch {
		case !e.isPosted(req.GetAsset()) || e.occurredAtUS >= req.GetToUs():
		case e.occurredAtUS < req.GetFromUs():
			before.add(e.amount)
		default:
			b := &buckets[ledger.BucketIndex(step, e.occurredAtUS)-first]
			b.count++
			b.sums.add(e.amount)
		}
	}
	resp, err := seriesResponse(step, first, buckets, before.net())
	return resp, position, err
}

func seriesResponse(step walletv1.Step, first int64, buckets []bucket, balance ledger.Int128) (*walletv1.GetTimeSeriesResponse, error) {
	var n narrow
	resp := &walletv1.GetTimeSeriesResponse{Buckets: make([]*walletv1.TimeBucket, len(buckets))}
	for i := range buckets {
		b := &buckets[i]
		balance = balance.Add(b.sums.net())
		resp.Buckets[i] = &walletv1.TimeBucket{
			StartUs:        ledger.BucketStart(step, first+int64(i)),
			Count:          b.count,
			CreditSum:      n.fit("credit_sum", b.sums.credits),
			DebitSum:       n.fit("debit_sum", b.sums.debits),
			ClosingBalance: n.fit("closing_balance", balance),
		}
	}
	if n.err != nil {
		return nil, n.err
	}
	return resp, nil
}
