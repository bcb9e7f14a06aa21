package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

// poster posts transactions at a steady rate, whatever else happens.
type poster struct {
	wallet walletv1.WalletServiceClient
	next   func() *walletv1.PostTransactionRequest
	every  time.Duration
	failed failures
	posted atomic.Int64
}

const (
	// posting bounds the transactions in flight: a slow disk makes the poster late, not the queue long.
	posting     = 16
	postTimeout = 10 * time.Second
)

// run posts until stop is done, then waits for those in flight.
func (p *poster) run(stop context.Context) {
	due := make(chan struct{})
	var workers sync.WaitGroup
	requests := make(chan *walletv1.PostTransactionRequest)
	for range posting {
		workers.Go(func() {
			for request := range requests {
				p.post(request)
			}
		})
	}
	go func() {
		defer close(due)
		pace(stop, p.every, func() { due <- struct{}{} })
	}()
	for range due {
		requests <- p.next()
	}
	close(requests)
	workers.Wait()
}

func (p *poster) post(request *walletv1.PostTransactionRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), postTimeout)
	defer cancel()
	if _, err := p.wallet.PostTransaction(ctx, request); err != nil {
		p.failed.add("PostTransaction %s: %v", request.GetTransactionId(), err)
		return
	}
	p.posted.Add(1)
}

// pace calls send at planned times; one that is late is not left out, so that the rate holds on average.
func pace(stop context.Context, every time.Duration, send func()) {
	start := time.Now()
	for n := time.Duration(1); ; n++ {
		select {
		case <-stop.Done():
			return
		case <-time.After(time.Until(start.Add(n * every))):
			send()
		}
	}
}

// transactions makes what the poster posts. It is not safe for several goroutines.
type transactions struct {
	mix    *mix.Mix
	random *rand.Rand
	n      int
	nowUs  int64
	// held are holds that have not been captured.
	held []*walletv1.Entry
}

// heldBefore is how many holds stay open: by then the oldest is long since committed.
const heldBefore = 100

// next is mostly a transfer; one in ten holds money, or captures what was held a while ago; one in fifty is late.
func (t *transactions) next() *walletv1.PostTransactionRequest {
	t.n++
	t.nowUs += 1_000_000
	request := &walletv1.PostTransactionRequest{
		TransactionId: fmt.Sprintf("demo-%d", t.n), OccurredAtUs: t.nowUs,
	}
	if t.random.IntN(50) == 0 {
		request.OccurredAtUs -= t.random.Int64N(30 * 24 * 3_600_000_000)
	}
	switch {
	case t.random.IntN(10) > 0:
		request.Entries = t.transfer()
	case len(t.held) < heldBefore:
		request.External = true
		place := t.mix.Place(t.random)
		hold := entry(place.Account, place.Asset, -t.amount(), walletv1.Phase_PHASE_HOLD, "")
		t.held = append(t.held, hold)
		request.Entries = []*walletv1.Entry{hold}
	default:
		request.External = true
		hold := t.held[0]
		t.held = t.held[1:]
		request.Entries = []*walletv1.Entry{
			entry(hold.AccountId, hold.Asset, hold.Amount, walletv1.Phase_PHASE_RELEASE, ""),
			entry(hold.AccountId, hold.Asset, hold.Amount, walletv1.Phase_PHASE_POSTED, "shop"),
		}
	}
	return request
}

func (t *transactions) transfer() []*walletv1.Entry {
	from, to := t.mix.Place(t.random), t.mix.Place(t.random)
	if from.Account == to.Account {
		to.Account = fmt.Sprintf("demo-newcomer-%d", t.n)
	}
	amount := t.amount()
	return []*walletv1.Entry{
		entry(from.Account, from.Asset, -amount, walletv1.Phase_PHASE_POSTED, to.Account),
		entry(to.Account, from.Asset, amount, walletv1.Phase_PHASE_POSTED, from.Account),
	}
}

func (t *transactions) amount() int64 { return 1 + t.random.Int64N(50_000) }

func entry(account, asset string, amount int64, phase walletv1.Phase, counterparty string) *walletv1.Entry {
	return &walletv1.Entry{
		AccountId: account, Asset: asset, Amount: amount, Phase: phase, Kind: "demo", Counterparty: counterparty,
	}
}
