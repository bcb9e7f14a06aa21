package golden

import (
	"fmt"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	hour  = walletv1.Step_STEP_HOUR
	day   = walletv1.Step_STEP_DAY
	week  = walletv1.Step_STEP_WEEK
	month = walletv1.Step_STEP_MONTH

	hourUS = 3_600_000_000
)

func series() *scenario {
	s := &scenario{name: "series", description: "GetTimeSeries: borders of the calendar, closing balances, limits, checks."}
	for i, when := range []string{
		"2023-12-31T23:59:59.999999", "2024-01-01", "2024-01-07T23:59:59.999999", "2024-01-08",
		"2024-02-28T23:59:59.999999", "2024-02-29", "2024-02-29T23:59:59.999999", "2024-03-01", "2024-03-31T12:00:00",
		"2023-02-28T23:59:59.999999", "2023-03-01", "2024-01-01T00:59:59.999999", "2024-01-01T01:00:00",
	} {
		s.book(when, gbp("borders", int64(1)<<i), on("borders", "EUR", 1, posted, ""), on("borders", "GBP", -1, hold, ""))
	}
	s.book("0001-01-01", gbp("ancient", 1))
	s.book("0001-01-07T23:59:59.999999", gbp("ancient", 2))
	s.book("9999-12-31T23:59:59.999998", gbp("ancient", 4))
	s.book("9999-12-31T23:59:59.999999", gbp("ancient", 8))
	s.book("1969-12-31T23:59:59.999999", gbp("epoch", 1))
	s.book("1970-01-01", gbp("epoch", -2))
	s.book("2200-06-15", gbp("future", 1))
	s.book("2300-06-15", gbp("future", 2))

	get := func(account string, from, to int64, step walletv1.Step) *walletv1.GetTimeSeriesRequest {
		return &walletv1.GetTimeSeriesRequest{AccountId: account, Asset: "GBP", FromUs: from, ToUs: to, Step: step}
	}
	windows := []struct {
		name     string
		from, to int64
	}{
		{"whole days", at("2023-12-31"), at("2024-01-02")},
		{"across a week and a year", at("2023-12-31T23:30:00"), at("2024-01-08T00:00:00.000001")},
		{"the window cuts both buckets", at("2024-01-01T00:30:00"), at("2024-01-01T01:00:00.000001")},
		{"one microsecond", at("2024-02-29"), at("2024-02-29T00:00:00.000001")},
	}
	for _, w := range windows {
		for _, step := range []walletv1.Step{hour, day, week, month} {
			s.ask(w.name+", "+strings.TrimPrefix(step.String(), "STEP_"), get("borders", w.from, w.to, step))
		}
	}
	s.ask("leap year, DAY", get("borders", at("2024-02-27"), at("2024-03-02"), day))
	s.ask("no leap year, DAY", get("borders", at("2023-02-27"), at("2023-03-02"), day))
	s.ask("months", get("borders", at("2023-02-15"), at("2024-04-15"), month))
	s.ask("an empty window has a balance", get("borders", at("2025-01-01"), at("2025-01-03"), day))
	s.ask("before everything", get("borders", at("2000-01-01"), at("2000-01-03"), day))
	s.ask("across the epoch, HOUR", get("epoch", -hourUS, hourUS, hour))
	s.ask("across the epoch, WEEK", get("epoch", -1, 1, week))
	s.ask("year 1, WEEK", get("ancient", begin, at("0001-01-15"), week))
	s.ask("year 1, MONTH", get("ancient", begin, begin+1, month))
	s.ask("year 1, HOUR", get("ancient", begin, begin+1, hour))
	s.ask("year 9999, WEEK", get("ancient", at("9999-12-26"), end, week))
	s.ask("year 9999, MONTH", get("ancient", at("9999-11-30"), end, month))
	s.ask("year 9999, HOUR", get("ancient", end-1, end, hour))
	s.ask("months past 2262", get("future", at("2200-06-01"), at("2300-07-01"), month))
	s.askAt("an older position", 4, get("borders", at("2023-12-31"), at("2024-01-09"), week))
	s.ask("ten thousand buckets", get("epoch", 0, 10_000*hourUS, hour))
	s.ask("ten thousand and one buckets", get("epoch", 0, 10_000*hourUS+1, hour))
	s.ask("ten thousand and one buckets, cut at both ends", get("epoch", -1, 9_999*hourUS+1, hour))
	s.ask("too many months", get("ancient", begin, end, month))
	s.ask("too many buckets of an unknown account", get("nobody", begin, end, hour))
	for _, step := range []walletv1.Step{0, 5, -1, 1<<31 - 1} {
		s.ask(fmt.Sprintf("step %d", step), get("borders", 0, 1, step))
	}
	yen := get("borders", at("2024-01-01"), at("2024-01-02"), day)
	yen.Asset = "JPY"
	s.ask("an asset that the account never had", yen)
	s.ask("unknown account", get("nobody", 0, 1, day))
	s.askAt("the empty ledger", 0, get("borders", 0, 1, day))
	for _, w := range badWindows() {
		s.ask(w.name, &walletv1.GetTimeSeriesRequest{AccountId: w.account, Asset: w.asset, FromUs: w.from, ToUs: w.to})
	}
	s.askRaw("unknown field", s.head(), get("", 0, 0, 0), unknownField(marshal(get("epoch", 0, 1, day))))
	return s
}
