package main

import (
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

func TestEveryHotReadIsToldByItsAccount(t *testing.T) {
	asset, at := "GBP", int64(7)
	for _, request := range []proto.Message{
		&walletv1.GetBalanceRequest{AccountId: "alice", Asset: &asset, AsOfUs: &at},
		&walletv1.BatchGetBalancesRequest{AccountIds: []string{"alice", "bob"}, Asset: &asset},
		&walletv1.GetStatisticsRequest{AccountId: "alice", Asset: asset, ToUs: 9, Percentiles: []uint32{5}},
		&walletv1.GetTopCounterpartiesRequest{AccountId: "alice", Asset: asset, Limit: 3},
		&walletv1.GetTimeSeriesRequest{AccountId: "alice", Asset: asset, Step: walletv1.Step_STEP_DAY},
	} {
		body, err := proto.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		// Fields may come in any order, and unknown ones are skipped.
		for _, before := range []string{"", "\x78\x01", "\x7a\x03abc", "\x79\x00\x00\x00\x00\x00\x00\x00\x00"} {
			if got := accountOf("", append([]byte(before), body...)); string(got) != "alice" {
				t.Errorf("%T after %q: %q", request, before, got)
			}
		}
	}
	for _, broken := range []string{"", "\x0a", "\x0a\x05ali", "\xff", "\x78", "\x08\x01"} {
		if got := accountOf("", []byte(broken)); got != nil {
			t.Errorf("%q: %q", broken, got)
		}
	}
}
