package readmodel

import (
	"errors"
	"maps"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// GetBalance implements [ReadModel].
func (m *Legacy) GetBalance(at uint64, req *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	position := m.resolve(at)
	balances, err := m.balances(req.GetAccountId(), position, req.Asset, req.AsOfUs)
	if err != nil {
		return nil, position, err
	}
	return &walletv1.GetBalanceResponse{Balances: balances}, position, nil
}

// BatchGetBalances implements [ReadModel]. It holds the lock throughout, so all rows are of one position.
func (m *Legacy) BatchGetBalances(at uint64, req *walletv1.BatchGetBalancesRequest) (*walletv1.BatchGetBalancesResponse, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	position := m.resolve(at)
	resp := &walletv1.BatchGetBalancesResponse{Accounts: make([]*walletv1.AccountBalances, len(req.GetAccountIds()))}
	for i, id := range req.GetAccountIds() {
		row := &walletv1.AccountBalances{AccountId: id}
		balances, err := m.balances(id, position, req.Asset, nil)
		switch {
		case err == nil:
			row.Found, row.Balances = true, balances
		case !errors.Is(err, ledger.ErrNoEntries):
			return nil, position, err
		}
		resp.Accounts[i] = row
	}
	return resp, position, nil
}

func (m *Legacy) balances(accountID string, position uint64, asset *string, asOfUS *int64) ([]*walletv1.Balance, error) {
	held, err := m.entriesAt(accountID, position)
	if err != nil {
		return nil, err
	}
	byAsset := m.accounts[accountID].counters
	if position < m.position || asOfUS != nil {
		byAsset = recount(held, asOfUS)
	}
	assets := []string{}
	if asset != nil {
		assets = append(assets, *asset)
	} else {
		assets = slices.Sorted(maps.Keys(byAsset))
	}
	rows := make([]*walletv1.Balance, len(assets))
	for i, name := range assets {
		c := byAsset[name]
		if c == nil {
			c = new(counters)
		}
		if rows[i], err = c.balance(name); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// recount adds up entries, for questions that the running counters cannot answer. Every asset among them gets a row,
// even if all of its entries occurred too late to count.
func recount(held []entry, asOfUS *int64) map[string]*counters {
	byAsset := make(map[string]*counters)
	for i := range held {
		e := &held[i]
		c := byAsset[e.asset]
		if c == nil {
			c = new(counters)
			byAsset[e.asset] = c
		}
		if asOfUS == nil || e.occurredAtUS < *asOfUS {
			c.add(e)
		}
	}
	return byAsset
}
