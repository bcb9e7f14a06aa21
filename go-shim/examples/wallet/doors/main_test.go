// Package doors_test does to walletd's doors and to the sidecar's own what strangers on a public port may do: hold many
// connections, and attack. With the tag attack it does so in earnest (make attack).
package doors_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/doors"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/internal/attack"
)

// testTimeout bounds waits. They reach it only if something is broken.
const testTimeout = 3 * time.Minute

// binaries holds what TestMain found or built. walletd is built without the race detector, which takes memory of its own.
var binaries struct{ walletd, hotpathd string }

func TestMain(m *testing.M) { os.Exit(withBinaries(m)) }

func withBinaries(m *testing.M) int {
	dir, err := os.MkdirTemp("", "doors-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "doors:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binaries.hotpathd, err = rig.FindHotpathd(); err == nil {
		binaries.walletd, err = rig.FindWalletd(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: doors needs both binaries:", err)
		return 1
	}
	return m.Run()
}

// door is one that is open, with questions and their answers.
type door struct {
	*doors.Door
	hot, long, cold *attack.Call
}

// open opens a door to a ledger of one account.
func open(t *testing.T, kind doors.Kind, connections int) *door {
	t.Helper()
	dir, err := os.MkdirTemp("", "doors-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	opened, err := doors.Open(doors.Spec{Walletd: binaries.walletd, Hotpathd: binaries.hotpathd, Dir: dir, Connections: connections}, kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		opened.Stop()
		if t.Failed() {
			t.Logf("walletd of %q:\n%s", kind, proc.LastLines(opened.Walletd.Log(), 30))
		}
	})
	d := &door{Door: opened}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	reply, err := d.Wallet.PostTransaction(ctx, &walletv1.PostTransactionRequest{
		TransactionId: "t-1", External: true, OccurredAtUs: 1000, Entries: []*walletv1.Entry{{
			AccountId: "acc", Asset: "GBP", Amount: 7, Phase: walletv1.Phase_PHASE_POSTED, Kind: "gift",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Walletd.AwaitCaughtUp(testTimeout); err != nil {
		t.Fatal(err)
	}
	d.hot = d.call(t, ask.New(0, &walletv1.GetBalanceRequest{AccountId: "acc"}))
	d.long = d.call(t, ask.New(4, &walletv1.GetTimeSeriesRequest{AccountId: "acc", Asset: "GBP", ToUs: 10_000 * 3_600_000_000,
		Step: walletv1.Step_STEP_HOUR}))
	d.cold = &attack.Call{Path: "/grpc.health.v1.Health/Check", Reply: []byte{8, 1}}
	if kind.Direct() {
		return d
	}
	cold := ask.New(0, &walletv1.GetTransactionRequest{Key: &walletv1.GetTransactionRequest_Position{Position: reply.GetPosition()}})
	d.cold = &attack.Call{Path: walletv1.WalletService_GetTransaction_FullMethodName, Message: cold.Request}
	answer := ask.Call(ctx, d.Conn, d.cold.Path, d.cold.Message, nil)
	if d.cold.Reply = answer.Reply; len(answer.Reply) == 0 {
		t.Fatal(answer)
	}
	return d
}

// call returns a question with walletd's answer.
func (d *door) call(t *testing.T, q ask.Question) *attack.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	answer := ask.Put(ctx, d.Conn, q, ask.At(1))
	if answer.Code != 0 || len(answer.Reply) == 0 {
		t.Fatal(answer)
	}
	return &attack.Call{Path: ask.Hot[q.Method], Message: q.Request, Reply: answer.Reply}
}

// wrong asks once, and says what is wrong with the answer, or "".
func (d *door) wrong(ctx context.Context, t *testing.T, call *attack.Call) string {
	conn, err := ask.Dial(d.Addr)
	if err != nil {
		t.Error(err)
		return err.Error()
	}
	defer conn.Close()
	answer := ask.Call(ctx, conn, call.Path, call.Message, nil)
	if answer.Code != 0 || !bytes.Equal(answer.Reply, call.Reply) {
		return answer.String()
	}
	return ""
}
