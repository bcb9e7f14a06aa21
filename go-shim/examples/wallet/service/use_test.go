package service_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/position"
)

// waiting is a ledger that does something while a read waits for a position.
type waiting struct {
	service.Ledger
	meanwhile func()
}

func (w *waiting) Head() uint64 { return 0 }
func (w *waiting) WaitHead(context.Context, uint64) error {
	w.meanwhile()
	return nil
}

// TestAReadThatWaitedAsksTheModelInForce replaces the model while a read waits. The old one never gets the position.
func TestAReadThatWaitedAsksTheModelInForce(t *testing.T) {
	next := readmodel.NewBest()
	next.Apply(&walletv1.Transaction{Position: 1, TransactionId: "t", External: true, Entries: []*walletv1.Entry{
		{AccountId: "alice", Asset: "GBP", Amount: 5, Phase: walletv1.Phase_PHASE_POSTED},
	}})
	for _, key := range []string{position.MinKey, position.AtKey} {
		ledger := &waiting{}
		wallet := service.New(ledger, readmodel.NewLegacy())
		ledger.meanwhile = func() { wallet.Use(next) }
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(key, "1"))
		balance, err := wallet.GetBalance(ctx, &walletv1.GetBalanceRequest{AccountId: "alice"})
		if err != nil || balance.GetBalances()[0].GetPosted() != 5 {
			t.Errorf("%s: %v, %v", key, balance, err)
		}
	}
}
