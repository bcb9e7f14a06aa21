//go:build datatest

package data

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

const (
	// sealed entries become a run of both indexes, and mergedRuns of a tier become one of the next.
	sealed, mergedRuns = 63, 4
	// block is the number of values that the indexes pack together.
	block = 128
)

// edges makes questions about windows that begin and end where an index may go wrong: at the first and last entries of
// runs and blocks, or a microsecond from there.
type edges struct {
	places []mix.Place
	// booked has the times of each place's entries in the order of booking, sorted in the order of time.
	booked, sorted [][]int64
}

// edgesOf finds the histories that are long enough for a run.
func edgesOf(all []row, prefix, asset string, twoSided bool) *edges {
	times := make(map[string][]int64)
	for _, one := range all {
		if one.skipped {
			continue
		}
		times[one.account] = append(times[one.account], one.occurredAt)
		if twoSided {
			times[one.counterparty] = append(times[one.counterparty], one.occurredAt)
		}
	}
	e := &edges{}
	accounts := make([]string, 0, len(times))
	for account, of := range times {
		if len(of) >= sealed {
			accounts = append(accounts, account)
		}
	}
	slices.Sort(accounts)
	// Long histories come first, so that a draw can favor them.
	slices.SortStableFunc(accounts, func(a, b string) int { return len(times[b]) - len(times[a]) })
	for _, account := range accounts {
		e.places = append(e.places, mix.Place{Account: prefix + account, Asset: asset})
		e.booked = append(e.booked, times[account])
		e.sorted = append(e.sorted, slices.Sorted(slices.Values(times[account])))
	}
	return e
}

// time draws an edge of place n.
func (e *edges) time(random *rand.Rand, n int) int64 {
	all, step := e.sorted[n], block
	if random.IntN(2) == 0 {
		all, step = e.booked[n], sealed
		for random.IntN(2) == 0 && step*mergedRuns < len(all) {
			step *= mergedRuns
		}
	}
	at := step*random.IntN(len(all)/step+1) + random.IntN(3) - 1
	return all[min(max(at, 0), len(all)-1)] + int64(random.IntN(3)-1)
}

// question draws a question of ask.Hot[method], which must not be the one about many accounts: no window decides that.
func (e *edges) question(random *rand.Rand, method int) ask.Question {
	n := random.IntN(1 + random.IntN(len(e.places)))
	account, asset := e.places[n].Account, e.places[n].Asset
	one, other := e.time(random, n), e.time(random, n)
	from, to := min(one, other), max(one, other, min(one, other)+1)
	switch method {
	case 0:
		return ask.New(method, &walletv1.GetBalanceRequest{AccountId: account, AsOfUs: proto.Int64(one)})
	case 2:
		return ask.New(method, &walletv1.GetStatisticsRequest{
			AccountId: account, Asset: asset, FromUs: from, ToUs: to,
			Percentiles: []uint32{1, 500, 5000, 1 + random.Uint32N(4000), 9000 + random.Uint32N(999), 10_000},
		})
	case 3:
		return ask.New(method, &walletv1.GetTopCounterpartiesRequest{
			AccountId: account, Asset: asset, FromUs: from, ToUs: to, Limit: 1 + random.Uint32N(100),
		})
	case 4:
		steps := []walletv1.Step{walletv1.Step_STEP_MONTH, walletv1.Step_STEP_WEEK, walletv1.Step_STEP_DAY}
		return ask.New(method, &walletv1.GetTimeSeriesRequest{
			AccountId: account, Asset: asset, FromUs: from, ToUs: to, Step: steps[random.IntN(len(steps))],
		})
	}
	panic(fmt.Sprintf("method %d has no window", method))
}
