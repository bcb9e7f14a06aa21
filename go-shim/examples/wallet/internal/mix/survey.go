// Package mix asks the kind of questions that a wallet's users ask: skewed towards busy accounts, over windows that
// hold something, now and then wrong.
package mix

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Place is what most questions are about: one account and one of its assets.
type Place struct{ Account, Asset string }

// Mix makes questions about a ledger. It may be used by several goroutines.
type Mix struct {
	// places are drawn in proportion to an account's entries, accounts evenly.
	places, accounts []Place
	firstUs, lastUs  int64
}

// ErrEmpty is returned for a ledger without transactions.
var ErrEmpty = errors.New("the ledger is empty: generate or import one first")

// Survey learns about a ledger by reading transactions at random positions up to head: so it needs no list of
// accounts, and finds each account as often as it is used.
func Survey(
	ctx context.Context, wallet walletv1.WalletServiceClient, head uint64, samples int, random *rand.Rand,
) (*Mix, error) {
	if head == 0 {
		return nil, ErrEmpty
	}
	var places []Place
	var times []int64
	for range samples {
		at := 1 + random.Uint64N(head)
		reply, err := wallet.GetTransaction(ctx, &walletv1.GetTransactionRequest{
			Key: &walletv1.GetTransactionRequest_Position{Position: at},
		})
		if err != nil {
			return nil, fmt.Errorf("survey of position %d: %w", at, err)
		}
		times = append(times, reply.GetTransaction().GetOccurredAtUs())
		for _, entry := range reply.GetTransaction().GetEntries() {
			places = append(places, Place{entry.GetAccountId(), entry.GetAsset()})
		}
	}
	return New(places, times), nil
}

// New is a mix over places, each as likely as it is frequent, and the span of times.
func New(places []Place, times []int64) *Mix {
	m := &Mix{places: places, firstUs: times[0], lastUs: times[0]}
	seen := make(map[Place]bool)
	for _, place := range places {
		if !seen[place] {
			seen[place] = true
			m.accounts = append(m.accounts, place)
		}
	}
	for _, at := range times {
		m.firstUs, m.lastUs = min(m.firstUs, at), max(m.lastUs, at)
	}
	return m
}

// Accounts is how many (account, asset) pairs were found.
func (m *Mix) Accounts() int { return len(m.accounts) }

// LastUs is the newest time that was found.
func (m *Mix) LastUs() int64 { return m.lastUs }

// Place draws one: in half of the cases by use, else evenly.
func (m *Mix) Place(random *rand.Rand) Place {
	from := m.places
	if random.IntN(2) == 0 {
		from = m.accounts
	}
	return from[random.IntN(len(from))]
}

// Busiest are the n pairs found most often, busiest first.
func (m *Mix) Busiest(n int) []Place {
	return busiest(m.places, m.accounts, n)
}
