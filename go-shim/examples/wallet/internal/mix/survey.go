// Package mix makes questions such as a wallet's users ask: skewed towards busy accounts, over windows with entries,
// and sometimes wrong.
package mix

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Place is one account and one of its assets. Most questions are about a place.
type Place struct{ Account, Asset string }

// Mix makes questions about a ledger. It may be used by several goroutines.
type Mix struct {
	// places has a place for each entry that was found, so that a draw favors busy ones. accounts has each place once.
	places, accounts []Place
	firstUs, lastUs  int64
}

// ErrEmpty is returned for a ledger without transactions.
var ErrEmpty = errors.New("the ledger is empty: generate or import one first")

// Survey reads transactions at random positions up to head. So it needs no list of accounts, and finds each account as
// often as it is used.
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

// New returns a mix over places, each as likely as it is frequent, and over the span of the times.
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

// Accounts returns the number of different (account, asset) pairs.
func (m *Mix) Accounts() int { return len(m.accounts) }

// LastUs returns the newest time, in Unix microseconds.
func (m *Mix) LastUs() int64 { return m.lastUs }

// Place draws a place. In half of the cases busy places are more likely; in the others all are equally likely.
func (m *Mix) Place(random *rand.Rand) Place {
	from := m.places
	if random.IntN(2) == 0 {
		from = m.accounts
	}
	return from[random.IntN(len(from))]
}

// Busiest returns the n most frequent pairs, busiest first.
func (m *Mix) Busiest(n int) []Place {
	return busiest(m.places, m.accounts, n)
}
