package readmodel

import (
	"cmp"
	"slices"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

type counterpartyTotal struct {
	id    string
	count uint64
	sums  sides
}

// GetTopCounterparties implements [ReadModel].
func (m *Legacy) GetTopCounterparties(at uint64, req *walletv1.GetTopCounterpartiesRequest) (*walletv1.GetTopCounterpartiesResponse, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	position := m.resolve(at)
	held, err := m.entriesAt(req.GetAccountId(), position)
	if err != nil {
		return nil, position, err
	}
	resp, err := topResponse(totalByCounterparty(held, req), int(req.GetLimit()))
	return resp, position, err
}

// topResponse sorts the totals and returns the answer.
func topResponse(totals []*counterpartyTotal, limit int) (*walletv1.GetTopCounterpartiesResponse, error) {
	slices.SortFunc(totals, func(a, b *counterpartyTotal) int {
		return cmp.Or(b.sums.total().Cmp(a.sums.total()), strings.Compare(a.id, b.id))
	})
	totals = totals[:min(len(totals), limit)]

	var n narrow
	resp := &walletv1.GetTopCounterpartiesResponse{Counterparties: make([]*walletv1.CounterpartyTotal, len(totals))}
	for i, t := range totals {
		resp.Counterparties[i] = &walletv1.CounterpartyTotal{
			Counterparty: t.id,
			Count:        t.count,
			CreditSum:    n.fit("credit_sum", t.sums.credits),
			DebitSum:     n.fit("debit_sum", t.sums.debits),
		}
	}
	if n.err != nil {
		return nil, n.err
	}
	return resp, nil
}

func totalByCounterparty(held []entry, req *walletv1.GetTopCounterpartiesRequest) []*counterpartyTotal {
	byID := make(map[string]*counterpartyTotal)
	var totals []*counterpartyTotal
	for i := range held {
		e := &held[i]
		if e.counterparty == "" || !e.isPosted(req.GetAsset()) ||
			e.occurredAtUS < req.GetFromUs() || e.occurredAtUS >= req.GetToUs() {
			continue
		}
		t := byID[e.counterparty]
		if t == nil {
			t = &counterpartyTotal{id: e.counterparty}
			byID[t.id] = t
			totals = append(totals, t)
		}
		t.count++
		t.sums.add(e.amount)
	}
	return totals
}
