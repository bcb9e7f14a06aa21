package mix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
)

const (
	hourUs = int64(3_600_000_000)
	dayUs  = 24 * hourUs
)

// weights are the methods' shares of the mix in per cent, by index of ask.Hot. GetBalance is the most frequent.
var weights = [len(ask.Hot)]int{45, 10, 15, 15, 15}

// Any draws a method by weight, then a question.
func (m *Mix) Any(random *rand.Rand) ask.Question {
	n, method := random.IntN(100), 0
	for n >= weights[method] {
		n -= weights[method]
		method++
	}
	return m.Question(random, method)
}

// Question draws a question of ask.Hot[method]. A few in a hundred are about an unknown account or break a rule.
func (m *Mix) Question(random *rand.Rand, method int) ask.Question {
	place := m.odd(random, m.Place(random))
	return m.About(random, method, place)
}

// About draws a question of ask.Hot[method] about a place.
func (m *Mix) About(random *rand.Rand, method int, place Place) ask.Question {
	from, to := m.window(random)
	switch method {
	case 0:
		return ask.New(method, m.balance(random, place))
	case 1:
		return ask.New(method, m.batch(random, place))
	case 2:
		return ask.New(method, &walletv1.GetStatisticsRequest{
			AccountId: place.Account, Asset: place.Asset, FromUs: from, ToUs: to, Percentiles: percentiles(random),
		})
	case 3:
		return ask.New(method, &walletv1.GetTopCounterpartiesRequest{
			AccountId: place.Account, Asset: place.Asset, FromUs: from, ToUs: to,
			Limit: pick[uint32](random, 10, 10, 10, 10, 10, 3, 3, 100, 100, 100, 0, 101),
		})
	default:
		step := pick(random, walletv1.Step_STEP_MONTH, walletv1.Step_STEP_WEEK, walletv1.Step_STEP_DAY,
			walletv1.Step_STEP_HOUR)
		return ask.New(method, &walletv1.GetTimeSeriesRequest{
			AccountId: place.Account, Asset: place.Asset, Step: step,
			FromUs: shorten(random, from, to, step), ToUs: to,
		})
	}
}

// odd makes a few places wrong: an unknown account, an asset that the account never had, an id against the rules.
func (m *Mix) odd(random *rand.Rand, place Place) Place {
	switch random.IntN(60) {
	case 0, 1:
		place.Account = fmt.Sprintf("nobody-%d", random.IntN(1000))
	case 2:
		place.Asset = "NONE"
	case 3:
		place.Account = pick(random, "", "two words", strings.Repeat("x", 65), "tab\tbed")
	case 4:
		place.Asset = pick(random, "", "A SPACE", strings.Repeat("X", 17))
	}
	return place
}

func (m *Mix) balance(random *rand.Rand, place Place) proto.Message {
	request := &walletv1.GetBalanceRequest{AccountId: place.Account}
	if random.IntN(3) == 0 {
		request.Asset = proto.String(place.Asset)
	}
	if random.IntN(10) == 0 {
		request.AsOfUs = proto.Int64(m.moment(random))
	}
	return request
}

func (m *Mix) batch(random *rand.Rand, place Place) proto.Message {
	ids := []string{place.Account}
	seen := map[string]bool{place.Account: true}
	for range pick(random, 10, 10, 20, 50, 100) {
		id := m.Place(random).Account
		// A repeated id is against the rules. One in a thousand is kept.
		if !seen[id] || random.IntN(1000) == 0 {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	request := &walletv1.BatchGetBalancesRequest{AccountIds: ids}
	if random.IntN(4) == 0 {
		request.Asset = proto.String(place.Asset)
	}
	return request
}

// moment returns a time within the ledger, or up to a day before or after it.
func (m *Mix) moment(random *rand.Rand) int64 {
	return m.firstUs - dayUs + random.Int64N(m.lastUs-m.firstUs+2*dayUs)
}

// window returns all of the ledger's time or a part of it. One in fifty windows has its ends the wrong way round.
func (m *Mix) window(random *rand.Rand) (from, to int64) {
	switch random.IntN(50) {
	case 0:
		return m.lastUs, m.firstUs - 1
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
		return m.firstUs, m.lastUs + 1
	}
	from, to = m.moment(random), m.moment(random)
	return min(from, to), max(from, to) + 1
}

// shorten returns a start of the window that leaves at most 300 steps. One window in a hundred gets too many steps.
func shorten(random *rand.Rand, from, to int64, step walletv1.Step) int64 {
	width := map[walletv1.Step]int64{
		walletv1.Step_STEP_HOUR: hourUs, walletv1.Step_STEP_DAY: dayUs, walletv1.Step_STEP_WEEK: 7 * dayUs,
		walletv1.Step_STEP_MONTH: 31 * dayUs,
	}[step]
	if random.IntN(100) == 0 {
		return to - 10_100*width
	}
	return max(from, to-int64(1+random.IntN(300))*width)
}

func percentiles(random *rand.Rand) []uint32 {
	return pick(random, nil, nil, []uint32{5000}, []uint32{5000}, []uint32{5000, 9500, 9900}, []uint32{5000, 9500, 9900},
		[]uint32{9900, 1, 10000, 2500}, []uint32{9000, 9900, 9990},
		[]uint32{5000, 9500, 9900, 9990}, []uint32{100, 100}, []uint32{0})
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

func busiest(places, accounts []Place, n int) []Place {
	count := make(map[Place]int)
	for _, place := range places {
		count[place]++
	}
	sorted := slices.Clone(accounts)
	slices.SortStableFunc(sorted, func(a, b Place) int { return count[b] - count[a] })
	return sorted[:min(n, len(sorted))]
}
