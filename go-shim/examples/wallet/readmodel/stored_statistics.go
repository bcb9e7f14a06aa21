package readmodel

import (
	"cmp"
	"math/bits"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/passes"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// GetStatistics implements [ReadModel].
func (m Stored) GetStatistics(at uint64, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, uint64, error) {
	return look(m, at, func(v *store.View) (*walletv1.GetStatisticsResponse, error) {
		return storedStatistics(v, req)
	})
}

func storedStatistics(v *store.View, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, error) {
	var sum moments
	var seen numberSet
	sizes := passes.New(passes.DefaultKeep)
	ranked := len(req.GetPercentiles()) > 0
	err := scan(v, req.GetAccountId(), req.GetAsset(), req.GetFromUs(), req.GetToUs(), func(occurredAtUS, amount, counterparty int64) {
		sum.add(occurredAtUS, amount)
		seen.add(counterparty)
		if ranked {
			sizes.Add(int64(ledger.Magnitude(amount)))
		}
	})
	if err != nil {
		return nil, err
	}
	resp, err := sum.response(seen.count())
	if err != nil || sum.count() == 0 || !ranked {
		return resp, err
	}
	resp.Percentiles, err = storedPercentiles(v, req, sizes)
	return resp, err
}

// storedPercentiles returns the percentiles. Percentile p of n sizes is the ceil(p*n/10,000)-th smallest.
func storedPercentiles(v *store.View, req *walletv1.GetStatisticsRequest, sizes *passes.Selection) ([]*walletv1.Percentile, error) {
	ranks := make([]uint64, len(req.GetPercentiles()))
	for i, p := range req.GetPercentiles() {
		ranks[i] = (uint64(p)*sizes.Total()+ledger.MaxBasisPoints-1)/ledger.MaxBasisPoints - 1
	}
	values, err := sizes.Find(ranks, func(visit func(int64)) error {
		return scan(v, req.GetAccountId(), req.GetAsset(), req.GetFromUs(), req.GetToUs(), func(_, amount, _ int64) {
			visit(int64(ledger.Magnitude(amount)))
		})
	})
	if err != nil {
		return nil, err
	}
	answers := make([]*walletv1.Percentile, len(values))
	for i, p := range req.GetPercentiles() {
		answers[i] = &walletv1.Percentile{BasisPoints: p, Value: values[i]}
	}
	return answers, nil
}

// numberSet is a set of the numbers of counterparties. They are given out without gaps, so a bit for each is enough.
type numberSet []uint64

// add adds a number. It ignores 0, which stands for no counterparty.
func (s *numberSet) add(number int64) {
	if number == 0 {
		return
	}
	word := int(number / 64)
	if word >= len(*s) {
		*s = append(*s, make([]uint64, word+1-len(*s))...)
	}
	(*s)[word] |= 1 << (number % 64)
}

func (s numberSet) count() (n uint64) {
	for _, word := range s {
		n += uint64(bits.OnesCount64(word))
	}
	return n
}

// GetTopCounterparties implements [ReadModel].
func (m Stored) GetTopCounterparties(at uint64, req *walletv1.GetTopCounterpartiesRequest) (*walletv1.GetTopCounterpartiesResponse, uint64, error) {
	return look(m, at, func(v *store.View) (*walletv1.GetTopCounterpartiesResponse, error) {
		totals, err := storedTotals(v, req)
		if err != nil {
			return nil, err
		}
		return topResponse(totals, int(req.GetLimit()))
	})
}

// numberedTotal is the total of a counterparty whose name is not known yet.
type numberedTotal struct {
	counterpartyTotal
	number int64
}

// storedTotals returns the totals that may be in the answer: those of the largest counterparties, and those that are
// equal to the last of them. Only these need names.
func storedTotals(v *store.View, req *walletv1.GetTopCounterpartiesRequest) ([]*counterpartyTotal, error) {
	places := make(map[int64]int)
	var totals []numberedTotal
	err := scan(v, req.GetAccountId(), req.GetAsset(), req.GetFromUs(), req.GetToUs(), func(_, amount, counterparty int64) {
		if counterparty == 0 {
			return
		}
		place, ok := places[counterparty]
		if !ok {
			place = len(totals)
			places[counterparty] = place
			totals = append(totals, numberedTotal{number: counterparty})
		}
		totals[place].count++
		totals[place].sums.add(amount)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(totals, func(a, b numberedTotal) int {
		return cmp.Or(b.sums.total().Cmp(a.sums.total()), cmp.Compare(a.number, b.number))
	})
	var largest []*counterpartyTotal
	for i := range totals {
		t := &totals[i]
		if limit := int(req.GetLimit()); i >= limit && t.sums.total() != totals[limit-1].sums.total() {
			break
		}
		if t.id, err = v.Counterparty(t.number); err != nil {
			return nil, err
		}
		largest = append(largest, &t.counterpartyTotal)
	}
	return largest, nil
}

// GetTimeSeries implements [ReadModel].
func (m Stored) GetTimeSeries(at uint64, req *walletv1.GetTimeSeriesRequest) (*walletv1.GetTimeSeriesResponse, uint64, error) {
	return look(m, at, func(v *store.View) (*walletv1.GetTimeSeriesResponse, error) {
		step, first := req.GetStep(), ledger.BucketIndex(req.GetStep(), req.GetFromUs())
		buckets := make([]bucket, ledger.Buckets(step, req.GetFromUs(), req.GetToUs()))
		var before sides
		err := scan(v, req.GetAccountId(), req.GetAsset(), ledger.MinTimeUS, req.GetToUs(), func(occurredAtUS, amount, _ int64) {
			if occurredAtUS < req.GetFromUs() {
				before.add(amount)
				return
			}
			b := &buckets[ledger.BucketIndex(step, occurredAtUS)-first]
			b.count++
			b.sums.add(amount)
		})
		if err != nil {
			return nil, err
		}
		return seriesResponse(step, first, buckets, before.net())
	})
}
