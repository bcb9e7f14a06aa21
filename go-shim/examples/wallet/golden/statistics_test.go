package golden

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// bookOn books the amounts on one account, one a day, and uses the counterparties in turn.
func (s *scenario) bookOn(account string, amounts []int64, counterparties ...string) {
	for i, amount := range amounts {
		counterparty := ""
		if len(counterparties) > 0 {
			counterparty = counterparties[i%len(counterparties)]
		}
		s.book(fmt.Sprintf("2024-01-%02dT12:00:00", i+1), on(account, "GBP", amount, posted, counterparty))
	}
}

type sample struct {
	name    string
	amounts []int64
}

// samples returns accounts with a few amounts each. They test the figures that depend on all amounts of an account,
// such as the mean.
func samples() []sample {
	return []sample{
		{"one", []int64{7}},
		{"one-debit", []int64{-7}},
		{"mean-2.5", []int64{2, 3}},
		{"mean-3.5", []int64{3, 4}},
		{"mean-minus-2.5", []int64{-2, -3}},
		{"mean-minus-3.5", []int64{-3, -4}},
		{"mean-0.5", []int64{1, -1, 1, 1}},
		{"mean-minus-0.5", []int64{-1, 1, -1, -1}},
		{"mean-third", []int64{1, 1, 2}},
		{"mean-two-thirds", []int64{1, 2, 2}},
		{"mean-minus-two-thirds", []int64{-1, -2, -2}},
		{"deviation-floor", []int64{1, 2, 3, 4}},
		{"deviation-exact", []int64{2, 4, 4, 4, 5, 5, 7, 9}},
		{"deviation-zero", []int64{5, 5, 5}},
		{"largest", []int64{1_000_000_000_000_000, -1_000_000_000_000_000}},
		{"largest-uneven", []int64{1_000_000_000_000_000, -1_000_000_000_000_000, 999_999_999_999_999}},
		{"sides", []int64{10, -20, 30, -40, 50, -60, 70}},
	}
}

func statistics() *scenario {
	s := &scenario{name: "statistics", description: "GetStatistics: rounding, deviation, percentiles, windows, checks."}
	s.bookStatistics()
	get := statisticsOf
	for _, sample := range samples() {
		s.ask(sample.name, get(sample.name, begin, end, 1, 2500, 5000, 5001, 7500, 9900, 10_000))
	}
	s.ask("percentiles in the order asked", get("sides", begin, end, 10_000, 1, 9_999, 5_000, 1_429, 1_428))
	s.ask("no percentiles", get("sides", begin, end))
	s.ask("a hundred percentiles", get("sides", begin, end, upTo(100)...))
	s.ask("distinct counterparties", get("names", begin, end))
	s.ask("holds don't count", get("holds", begin, end, 5000))
	s.ask("the start is inside", get("sides", at("2024-01-02T12:00:00"), at("2024-01-03T12:00:00"), 5000))
	s.ask("the end is outside", get("sides", at("2024-01-02T12:00:00.000001"), at("2024-01-03T12:00:00"), 5000))
	s.ask("one microsecond", get("sides", at("2024-01-03T12:00:00"), at("2024-01-03T12:00:00.000001"), 5000))
	s.ask("year 1 to 9999", get("ancient", begin, end, 5000))
	s.ask("year 1 only", get("ancient", begin, begin+1))
	s.ask("back-dated entries are where they occurred", get("assets", at("2024-05-01"), at("2024-05-02")))
	s.ask("first and last at the epoch are present", get("epoch", -1, 1))
	s.ask("from unset is the epoch", get("epoch", 0, 1))
	s.askAt("an older position", s.head()-2, get("assets", begin, end, 5000))
	euro := get("assets", begin, end)
	euro.Asset = "EUR"
	s.ask("another asset", euro)
	yen := get("assets", begin, end, 5000)
	yen.Asset = "JPY"
	s.ask("an asset that the account never had", yen)
	s.ask("unknown account", get("nobody", begin, end))
	s.askAt("the empty ledger", 0, get("one", begin, end))
	s.badStatistics()
	return s
}

func (s *scenario) bookStatistics() {
	for _, sample := range samples() {
		s.bookOn(sample.name, sample.amounts)
	}
	s.bookOn("names", []int64{1, 2, 3, 4, 5, 6, 7}, "a", "", "b", "a", "A")
	s.book("2024-02-01", on("holds", "GBP", -5, hold, "x"), on("holds", "GBP", -5, release, "x"))
	s.book("0001-01-01", gbp("ancient", 1))
	s.book("9999-12-31T23:59:59.999999", gbp("ancient", -2))
	s.book("2024-06-01", on("assets", "GBP", 1, posted, ""), on("assets", "EUR", 2, posted, ""))
	s.book("2024-05-01", on("assets", "GBP", 3, posted, ""))
	s.book("1970-01-01", gbp("epoch", 1))
}

func statisticsOf(account string, from, to int64, percentiles ...uint32) *walletv1.GetStatisticsRequest {
	return &walletv1.GetStatisticsRequest{AccountId: account, Asset: "GBP", FromUs: from, ToUs: to, Percentiles: percentiles}
}

// badStatistics adds requests that break rules, and requests in unusual encodings, which all decoders must read alike.
func (s *scenario) badStatistics() {
	get := statisticsOf
	for _, w := range badWindows() {
		s.ask(w.name, &walletv1.GetStatisticsRequest{
			AccountId: w.account, Asset: w.asset, FromUs: w.from, ToUs: w.to, Percentiles: []uint32{0},
		})
	}
	s.ask("a hundred and one percentiles", get("one", begin, end, upTo(101)...))
	s.ask("percentile 0", get("one", begin, end, 5000, 0))
	s.ask("percentile above 10000", get("one", begin, end, 10_001))
	s.ask("percentile largest uint32", get("one", begin, end, 1<<32-1))
	s.ask("percentile repeated", get("one", begin, end, 1, 2, 3, 2))
	s.ask("the first bad percentile is named", get("one", begin, end, 1, 1, 0))
	s.ask("the range of a percentile is checked before repetition", get("one", begin, end, 0, 0))
	s.ask("too many percentiles is checked before each", get("one", begin, end, append(upTo(100), 0)...))
	unpacked := marshal(get("sides", begin, end))
	for _, p := range []uint64{9000, 1000} {
		unpacked = protowire.AppendVarint(protowire.AppendTag(unpacked, 5, protowire.VarintType), p)
	}
	s.askRaw("percentiles not packed", s.head(), get("", 0, 0), unpacked)
	s.askRaw("percentiles partly packed, with an unknown field", s.head(), get("", 0, 0),
		unknownField(append(unpacked, marshal(get("", 0, 0, 5000, 4000))...)))
}

func upTo(n uint32) (percentiles []uint32) {
	for p := range n {
		percentiles = append(percentiles, p+1)
	}
	return percentiles
}

func counterparties() *scenario {
	s := &scenario{name: "counterparties", description: "GetTopCounterparties: order, ties, limits, windows, checks."}
	s.bookOn("ties", []int64{100, -100, 60, 40, 50, -50, 100, 7}, "b", "a", "B", "B", "~", "~", "!", "")
	s.bookOn("mixed", []int64{5, -1_000, 995, 3, 1}, "x", "y", "x", "z", "z")
	for i := range 120 {
		s.book("2024-03-01", on("many", "GBP", int64(1+i%7), posted, fmt.Sprintf("c%03d", i)))
	}
	s.book("2024-04-01", on("mixed", "GBP", 1_000_000, hold, "held"), on("mixed", "EUR", 9, posted, "x"))
	s.book("2023-01-01", on("mixed", "GBP", 2, posted, "late"))
	s.book("2024-04-02", on("alone", "GBP", 2, posted, ""))
	get := func(account string, from, to int64, limit uint32) *walletv1.GetTopCounterpartiesRequest {
		return &walletv1.GetTopCounterpartiesRequest{AccountId: account, Asset: "GBP", FromUs: from, ToUs: to, Limit: limit}
	}
	for _, limit := range []uint32{1, 2, 3, 100} {
		s.ask(fmt.Sprintf("ties, %d", limit), get("ties", begin, end, limit))
		s.ask(fmt.Sprintf("mixed, %d", limit), get("mixed", begin, end, limit))
	}
	s.ask("a hundred of more", get("many", begin, end, 100))
	s.ask("the start is inside, the end outside", get("mixed", at("2024-01-01T12:00:00"), at("2024-01-03T12:00:00"), 10))
	s.ask("a window in the past", get("mixed", at("2022-01-01"), at("2024-01-01"), 10))
	s.ask("no counterparty", get("alone", begin, end, 10))
	s.ask("an empty window", get("many", begin, at("2024-01-01"), 10))
	s.askAt("an older position", s.head()-2, get("mixed", begin, end, 10))
	s.ask("unknown account", get("nobody", begin, end, 1))
	s.askAt("the empty ledger", 0, get("ties", begin, end, 1))
	for _, w := range badWindows() {
		s.ask(w.name, &walletv1.GetTopCounterpartiesRequest{AccountId: w.account, Asset: w.asset, FromUs: w.from, ToUs: w.to})
	}
	s.ask("limit unset", get("ties", begin, end, 0))
	s.ask("limit 101", get("ties", begin, end, 101))
	s.ask("limit largest uint32", get("ties", begin, end, 1<<32-1))
	s.askRaw("unknown field", s.head(), get("", 0, 0, 0), unknownField(marshal(get("ties", begin, end, 1))))
	return s
}
