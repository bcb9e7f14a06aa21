package poster

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

func TestThePaceHoldsOnAverageThoughASendIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second+time.Millisecond)
		defer cancel()
		sent := 0
		pace(stop, 5*time.Millisecond, func() {
			if sent == 100 {
				time.Sleep(time.Second)
			}
			sent++
		})
		if sent != 2000 {
			t.Errorf("sent %d, not 2000", sent)
		}
	})
}

func TestTransactionsAreWithinTheRules(t *testing.T) {
	places := []mix.Place{{Account: "a", Asset: "GBP"}, {Account: "b", Asset: "EUR"}, {Account: "a", Asset: "EUR"}}
	makes := &Transactions{Mix: mix.New(places, []int64{0, 5}), Random: rand.New(rand.NewPCG(1, 2))}
	held := make(map[string]int64)
	ids := make(map[string]bool)
	for range 20_000 {
		request := makes.Next()
		if ids[request.TransactionId] {
			t.Fatalf("%s twice", request.TransactionId)
		}
		ids[request.TransactionId] = true
		var sum int64
		for _, e := range request.Entries {
			sum += e.Amount
			if e.Amount == 0 || e.AccountId == e.Counterparty {
				t.Fatalf("%v", e)
			}
			switch e.Phase {
			case walletv1.Phase_PHASE_HOLD:
				held[e.AccountId+e.Asset] += e.Amount
			case walletv1.Phase_PHASE_RELEASE:
				held[e.AccountId+e.Asset] -= e.Amount
			}
		}
		if sum != 0 && !request.External {
			t.Fatalf("does not sum to zero: %v", request)
		}
		for where, amount := range held {
			if amount > 0 {
				t.Fatalf("%s: more released than held", where)
			}
		}
	}
}
