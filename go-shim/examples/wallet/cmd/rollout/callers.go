package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/failures"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/poster"
)

const (
	connections = 4
	askTimeout  = 30 * time.Second
	surveyed    = 20_000
	postEvery   = 20 * time.Millisecond
)

// callers ask all the time, one question after another each, while somebody posts.
type callers struct {
	mix   *mix.Mix
	asked atomic.Int64
	// rest is how long each caller waits before its next question, in nanoseconds.
	rest   atomic.Int64
	failed failures.Failures
	poster poster.Poster
	group  sync.WaitGroup
	cancel context.CancelFunc
}

// start surveys the ledger and begins.
func (c *callers) start(ctx context.Context, target string, head uint64, askers int) error {
	ctx, c.cancel = context.WithCancel(ctx)
	first, err := ask.Dial(target)
	if err != nil {
		return err
	}
	wallet := walletv1.NewWalletServiceClient(first)
	random := rand.New(rand.NewPCG(1, 0))
	if c.mix, err = mix.Survey(ctx, wallet, head, surveyed, random); err != nil {
		return err
	}
	c.poster = poster.Poster{Wallet: wallet, Every: postEvery, Timeout: askTimeout, Next: c.transactions(random)}
	c.group.Go(func() { c.poster.Run(ctx) })
	for n := range askers {
		conn := first
		if n >= askers/connections {
			if conn, err = ask.Dial(target); err != nil {
				return err
			}
		}
		c.group.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(n)))
			for ctx.Err() == nil {
				question := c.mix.Any(random)
				limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
				answer := ask.Put(limited, conn, question, ask.Want())
				cancel()
				c.asked.Add(1)
				if !answer.Decided() {
					c.failed.Add("%s: %s", ask.Name(question.Method), answer)
				}
				time.Sleep(time.Duration(c.rest.Load()))
			}
			_ = conn.Close()
		})
	}
	return nil
}

// transactions credits accounts that are asked about, so that answers change meanwhile.
func (c *callers) transactions(random *rand.Rand) func() *walletv1.PostTransactionRequest {
	run, n := time.Now().UnixNano(), 0
	return func() *walletv1.PostTransactionRequest {
		n++
		place := c.mix.Place(random)
		return &walletv1.PostTransactionRequest{
			TransactionId: fmt.Sprintf("rollout-%d-%d", run, n), External: true, OccurredAtUs: c.mix.LastUs(),
			Entries: []*walletv1.Entry{{AccountId: place.Account, Asset: place.Asset, Amount: int64(n), Phase: walletv1.Phase_PHASE_POSTED, Kind: "rollout"}},
		}
	}
}

func (c *callers) stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.group.Wait()
}
