package golden

import (
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	largest = 1_000_000_000_000_000
	// passes is how many full transactions of the largest amount exceed int64. 9,224 entries do, and a transaction
	// holds 1,000.
	passes = 10
)

// overflow needs a large ledger, because 9,223 entries of the largest amount still fit int64.
func overflow() *scenario {
	s := &scenario{name: "overflow", description: "Figures beyond int64: OUT_OF_RANGE names the first of them."}
	s.flood("C", largest, posted, "2024-01")
	s.flood("C", largest, hold, "2023-12")
	s.flood("D", -largest, posted, "2024-01")
	s.flood("D", -largest, hold, "2023-12")
	s.book("2024-06-01", on("small", "X", 1, posted, "p"))

	asOf := func(account, when string) *walletv1.GetBalanceRequest {
		us := at(when)
		return &walletv1.GetBalanceRequest{AccountId: account, AsOfUs: &us}
	}
	// Every transaction of a flood occurs a day after the one before. The holds are back-dated by a month, so that an
	// as_of can leave the postings out.
	for _, account := range []string{"C", "D"} {
		s.ask(account+" balance", &walletv1.GetBalanceRequest{AccountId: account})
		for p := uint64(passes - 1); p < s.head(); p += passes {
			s.askAt(fmt.Sprintf("%s one transaction earlier, at %d", account, p), p, &walletv1.GetBalanceRequest{AccountId: account})
			s.askAt(fmt.Sprintf("%s at %d", account, p+1), p+1, &walletv1.GetBalanceRequest{AccountId: account})
		}
		s.ask(account+" as of the day after", asOf(account, "2024-01-11"))
		s.ask(account+" as of the day before", asOf(account, "2024-01-10"))
		s.ask(account+" as of the postings", asOf(account, "2024-01-01"))
		s.ask(account+" as of nine holds", asOf(account, "2023-12-10"))
		s.ask(account+" in a batch fails the batch", &walletv1.BatchGetBalancesRequest{AccountIds: []string{"small", account}})
		s.overflowOf(account)
	}
	// Half of the postings and half of the holds fit, but not together.
	s.askAt("D available, one transaction earlier", s.head()-7, asOf("D", "2024-01-06"))
	s.askAt("D available", s.head()-6, asOf("D", "2024-01-06"))
	s.ask("the first row that does not fit is named", &walletv1.BatchGetBalancesRequest{AccountIds: []string{"D", "C"}})
	s.ask("a batch without it", &walletv1.BatchGetBalancesRequest{AccountIds: []string{"small", "none"}})
	return s
}

func (s *scenario) flood(account string, amount int64, phase walletv1.Phase, month string) {
	for i := range passes {
		entries := make([]*walletv1.Entry, 1000)
		for j := range entries {
			entries[j] = &walletv1.Entry{AccountId: account, Asset: "X", Amount: amount, Phase: phase}
			if phase == posted {
				entries[j].Counterparty = "p"
			}
		}
		s.book(fmt.Sprintf("%s-%02d", month, i+1), entries...)
	}
}

func (s *scenario) overflowOf(account string) {
	for _, w := range []struct {
		name, from, to string
	}{
		{"all", "2024-01-01", "2024-02-01"},
		{"what fits", "2024-01-01", "2024-01-10"},
		{"the end", "2024-01-09", "2024-02-01"},
	} {
		from, to, name := at(w.from), at(w.to), account+" "+w.name
		s.ask(name+", statistics", &walletv1.GetStatisticsRequest{
			AccountId: account, Asset: "X", FromUs: from, ToUs: to, Percentiles: []uint32{1, 5000, 10_000},
		})
		s.ask(name+", counterparties", &walletv1.GetTopCounterpartiesRequest{
			AccountId: account, Asset: "X", FromUs: from, ToUs: to, Limit: 1,
		})
		s.ask(name+", days", &walletv1.GetTimeSeriesRequest{AccountId: account, Asset: "X", FromUs: from, ToUs: to, Step: day})
		s.ask(name+", months", &walletv1.GetTimeSeriesRequest{AccountId: account, Asset: "X", FromUs: from, ToUs: to, Step: month})
	}
}
