package main

import (
	"cmp"
	"maps"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/generate"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// The load generator's scenario large has a ledger of this size. Others have accounts and transactions in proportion.
const (
	largeEntries, largeAccounts, largeTransactions = 4_140_000, 44_000, 2_100_000
	// fewestAccounts are enough for two payers.
	fewestAccounts = 32
)

// maker makes transactions and does its own arithmetic over them, by which hotpathd's answers are judged in the end.
type maker struct {
	generator *generate.Generator
	accounts  map[string]*account
	// made counts all entries.
	made int
	// fromUS and toUS enclose all times: fromUS is the earliest, toUS is after the latest.
	fromUS, toUS int64
}

type account struct {
	entries  int
	balances map[string]*walletv1.Balance
}

func newMaker(seed uint64, entries int) *maker {
	inProportion := func(n int) int { return int(int64(n) * int64(entries) / largeEntries) }
	return &maker{
		generator: generate.New(generate.Options{
			Seed: seed, Accounts: max(inProportion(largeAccounts), fewestAccounts), Transactions: inProportion(largeTransactions),
			Shape: generate.Spending,
		}),
		accounts: make(map[string]*account),
	}
}

// fill adds transactions until they have so many entries.
func (m *maker) fill(s *source, entries int) {
	for enough := m.made + entries; m.made < enough; {
		m.add(s)
	}
}

// add adds the next transaction.
func (m *maker) add(s *source) {
	tx := m.generator.Next()
	s.add(len(tx.GetEntries()), func(b []byte, position uint64) []byte {
		return ledger.AppendBody(ledger.AppendEvent(b, position, nil), tx)
	})
	if m.made == 0 {
		m.fromUS = tx.GetOccurredAtUs()
	}
	m.fromUS, m.toUS = min(m.fromUS, tx.GetOccurredAtUs()), max(m.toUS, tx.GetOccurredAtUs()+1)
	for _, entry := range tx.GetEntries() {
		m.book(entry, tx.GetOccurredAtUs())
	}
}

func (m *maker) book(entry *walletv1.Entry, us int64) {
	m.made++
	of := m.accounts[entry.GetAccountId()]
	if of == nil {
		of = &account{balances: make(map[string]*walletv1.Balance)}
		m.accounts[entry.GetAccountId()] = of
	}
	of.entries++
	b := of.balances[entry.GetAsset()]
	if b == nil {
		b = &walletv1.Balance{Asset: entry.GetAsset()}
		of.balances[entry.GetAsset()] = b
	}
	b.EntryCount++
	if b.LastOccurredAtUs == nil || *b.LastOccurredAtUs < us {
		latest := us
		b.LastOccurredAtUs = &latest
	}
	posted, pending, amount := &b.CreditsPosted, &b.CreditsPending, entry.GetAmount()
	if amount < 0 {
		posted, pending, amount = &b.DebitsPosted, &b.DebitsPending, -amount
	}
	switch entry.GetPhase() {
	case walletv1.Phase_PHASE_HOLD:
		*pending += amount
	case walletv1.Phase_PHASE_RELEASE:
		*pending -= amount
	default:
		*posted += amount
	}
	b.Posted = b.CreditsPosted - b.DebitsPosted
	b.Available = b.Posted - b.DebitsPending
}

// balances is what GetBalance has to answer about an account.
func (m *maker) balances(id string) *walletv1.GetBalanceResponse {
	answer := &walletv1.GetBalanceResponse{}
	for _, asset := range slices.Sorted(maps.Keys(m.accounts[id].balances)) {
		answer.Balances = append(answer.Balances, m.accounts[id].balances[asset])
	}
	return answer
}

// byLength returns all accounts, the one with the most entries first.
func (m *maker) byLength() []string {
	ids := slices.Collect(maps.Keys(m.accounts))
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(m.accounts[b].entries, m.accounts[a].entries), cmp.Compare(a, b))
	})
	return ids
}

// skew says how long the histories of accounts are.
type skew struct {
	Accounts int `json:"accounts"`
	Median   int `json:"median_entries"`
	P99      int `json:"p99_entries"`
	Longest  int `json:"longest_entries"`
}

func (m *maker) skew() skew {
	ids := m.byLength()
	n := len(ids)
	at := func(rank int) int { return m.accounts[ids[rank]].entries }
	return skew{Accounts: n, Median: at(n / 2), P99: at(n / 100), Longest: at(0)}
}
