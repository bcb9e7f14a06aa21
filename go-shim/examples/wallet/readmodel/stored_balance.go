package readmodel

import (
	"errors"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// GetBalance implements [ReadModel].
func (m Stored) GetBalance(at uint64, req *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, uint64, error) {
	return look(m, at, func(v *store.View) (*walletv1.GetBalanceResponse, error) {
		balances, err := storedBalances(v, req.GetAccountId(), req.Asset, req.AsOfUs)
		return &walletv1.GetBalanceResponse{Balances: balances}, err
	})
}

// BatchGetBalances implements [ReadModel]. All rows come from one view, so they are of one position.
func (m Stored) BatchGetBalances(at uint64, req *walletv1.BatchGetBalancesRequest) (*walletv1.BatchGetBalancesResponse, uint64, error) {
	return look(m, at, func(v *store.View) (*walletv1.BatchGetBalancesResponse, error) {
		resp := &walletv1.BatchGetBalancesResponse{Accounts: make([]*walletv1.AccountBalances, len(req.GetAccountIds()))}
		for i, id := range req.GetAccountIds() {
			if err := m.ctx.Err(); err != nil {
				return nil, err
			}
			row := &walletv1.AccountBalances{AccountId: id}
			balances, err := storedBalances(v, id, req.Asset, nil)
			switch {
			case err == nil:
				row.Found, row.Balances = true, balances
			case !errors.Is(err, ledger.ErrNoEntries):
				return nil, err
			}
			resp.Accounts[i] = row
		}
		return resp, nil
	})
}

func storedBalances(v *store.View, accountID string, asset *string, asOfUS *int64) ([]*walletv1.Balance, error) {
	held, err := holdings(v, accountID)
	if err != nil {
		return nil, err
	}
	if asset != nil {
		held = sole(held, *asset)
	}
	rows := make([]*walletv1.Balance, len(held))
	for i := range held {
		c, err := countersAt(v, &held[i], asOfUS)
		if err != nil {
			return nil, err
		}
		if rows[i], err = c.balance(held[i].Asset); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// countersAt returns the counters of a holding at the view's position, of entries before asOfUS if that is given.
func countersAt(v *store.View, h *store.Holding, asOfUS *int64) (*counters, error) {
	if v.IsNewest() && asOfUS == nil {
		return &counters{
			posted:         sides{credits: h.CreditsPosted, debits: h.DebitsPosted},
			pending:        sides{credits: h.CreditsPending, debits: h.DebitsPending},
			entries:        h.Entries,
			lastOccurredUS: h.LastUS,
		}, nil
	}
	toUS := int64(ledger.MaxTimeUS + 1)
	if asOfUS != nil {
		toUS = *asOfUS
	}
	c := new(counters)
	err := v.Before(h, toUS, func(occurredAtUS, amount int64, phase walletv1.Phase) {
		c.add(&entry{occurredAtUS: occurredAtUS, amount: amount, phase: phase})
	})
	return c, err
}
