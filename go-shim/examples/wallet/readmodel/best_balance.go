package readmodel

import (
	"sync"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/rows"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/versions"
)

// usualAssets is how many holdings of an account GetBalance collects without allocating.
const usualAssets = 8

// balanceRow is a row of an answer with all that it points to, so that one allocation makes both.
type balanceRow struct {
	message walletv1.Balance
	lastUS  int64
}

// soleBalance is an answer of one row, by far the most common kind. One allocation makes all of it.
type soleBalance struct {
	response walletv1.GetBalanceResponse
	row      balanceRow
	rows     [1]*walletv1.Balance
}

// GetBalance implements [ReadModel].
func (m *Best) GetBalance(at uint64, req *walletv1.GetBalanceRequest) (*walletv1.GetBalanceResponse, uint64, error) {
	v, position := m.resolve(at)
	account, ok := v.Account(req.GetAccountId(), position)
	if !ok {
		return nil, position, ledger.ErrNoEntries
	}
	var few [usualAssets]versions.Holding
	held := holdingsOf(account, req.Asset, few[:0])
	if len(held) == 1 {
		answer := new(soleBalance)
		answer.rows[0] = &answer.row.message
		answer.response.Balances = answer.rows[:]
		return checked(&answer.response, position, answer.row.fill(&held[0], req.AsOfUs))
	}
	answer := new(walletv1.GetBalanceResponse)
	var err error
	answer.Balances, err = balanceRows(held, req.AsOfUs)
	return checked(answer, position, err)
}

// checked returns the answer of a read, or only the error if there is one.
func checked[Resp any](resp *Resp, position uint64, err error) (*Resp, uint64, error) {
	if err != nil {
		return nil, position, err
	}
	return resp, position, nil
}

// holdingsOf appends the holdings for which an answer has a row: the one of the requested asset, or all.
func holdingsOf(account versions.Account, asset *string, to []versions.Holding) []versions.Holding {
	if asset == nil {
		return account.AppendHoldings(to)
	}
	held, ok := account.Holding(*asset)
	if !ok {
		held = versions.Holding{Asset: *asset}
	}
	return append(to, held)
}

func balanceRows(held []versions.Holding, asOfUS *int64) ([]*walletv1.Balance, error) {
	rows := make([]balanceRow, len(held))
	messages := make([]*walletv1.Balance, len(held))
	for i := range held {
		if err := rows[i].fill(&held[i], asOfUS); err != nil {
			return nil, err
		}
		messages[i] = &rows[i].message
	}
	return messages, nil
}

func (row *balanceRow) fill(held *versions.Holding, asOfUS *int64) error {
	var standing rows.Standing
	if asOfUS == nil {
		standing = held.Standing()
	} else {
		standing = held.Before(*asOfUS)
	}
	var n narrow
	posted := standing.Posted.Net()
	b := &row.message
	b.Asset = held.Asset
	b.CreditsPosted = n.fit("credits_posted", standing.Posted.Credits)
	b.DebitsPosted = n.fit("debits_posted", standing.Posted.Debits)
	b.CreditsPending = n.fit("credits_pending", standing.Pending.Credits)
	b.DebitsPending = n.fit("debits_pending", standing.Pending.Debits)
	b.Posted = n.fit("posted", posted)
	b.Available = n.fit("available", posted.Sub(standing.Pending.Debits))
	b.EntryCount = standing.Entries
	if standing.Entries > 0 {
		row.lastUS = standing.LastUS
		b.LastOccurredAtUs = &row.lastUS
	}
	return n.err
}

// holdingsPool keeps slices in which a batch collects holdings, because their number is not known beforehand.
var holdingsPool = sync.Pool{New: func() any { return new([]versions.Holding) }}

// BatchGetBalances implements [ReadModel]. It reads one version, so all rows are of one position.
func (m *Best) BatchGetBalances(at uint64, req *walletv1.BatchGetBalancesRequest) (*walletv1.BatchGetBalancesResponse, uint64, error) {
	v, position := m.resolve(at)
	ids := req.GetAccountIds()
	rows := make([]walletv1.AccountBalances, len(ids))
	resp := &walletv1.BatchGetBalancesResponse{Accounts: make([]*walletv1.AccountBalances, len(ids))}
	memory := holdingsPool.Get().(*[]versions.Holding)
	held := (*memory)[:0]
	ends := make([]int, len(ids))
	for i, id := range ids {
		row := &rows[i]
		resp.Accounts[i], row.AccountId = row, id
		if account, ok := v.Account(id, position); ok {
			row.Found = true
			held = holdingsOf(account, req.Asset, held)
		}
		ends[i] = len(held)
	}
	balances, err := balanceRows(held, nil)
	clear(held) // the pool must not keep versions alive
	*memory = held
	holdingsPool.Put(memory)
	if err != nil {
		return nil, position, err
	}
	start := 0
	for i, end := range ends {
		// The capacity is cut, so that an append to this slice cannot overwrite the rows of the next account.
		rows[i].Balances = balances[start:end:end]
		start = end
	}
	return resp, position, nil
}
