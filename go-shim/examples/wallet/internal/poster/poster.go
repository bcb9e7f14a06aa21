// Package poster posts transactions to a walletd at a steady rate.
package poster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/failures"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

// Poster posts transactions at a steady rate, whatever else happens.
type Poster struct {
	Wallet walletv1.WalletServiceClient
	// Next makes a transaction. Only one goroutine calls it.
	Next  func() *walletv1.PostTransactionRequest
	Every time.Duration
	// Timeout bounds each post.
	Timeout time.Duration
	Failed  failures.Failures
	Posted  atomic.Int64
	newest  atomic.Uint64
}

// posting is the largest number of posts in flight. If the disk is slow, the poster falls behind and the queue stays
// short.
const posting = 16

// Newest returns the highest position of a posted transaction.
func (p *Poster) Newest() uint64 { return p.newest.Load() }

// Run posts until stop is done, then waits for the posts in flight.
func (p *Poster) Run(stop context.Context) {
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
		pace(stop, p.Every, func() { due <- struct{}{} })
	}()
	for range due {
		requests <- p.Next()
	}
	close(requests)
	workers.Wait()
}

func (p *Poster) post(request *walletv1.PostTransactionRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), p.Timeout)
	defer cancel()
	reply, err := p.Wallet.PostTransaction(ctx, request)
	if err != nil {
		p.Failed.Add("PostTransaction %s: %v", request.GetTransactionId(), err)
		return
	}
	p.Posted.Add(1)
	for newest := p.newest.Load(); newest < reply.GetPosition(); newest = p.newest.Load() {
		if p.newest.CompareAndSwap(newest, reply.GetPosition()) {
			return
		}
	}
}

// pace calls send at planned times. It leaves out no call that is late, so that the average rate stays the same.
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

// Transactions makes transactions for a Poster. It is not safe for concurrent use.
type Transactions struct {
	Mix    *mix.Mix
	Random *rand.Rand
	// NowUs is the time of the newest transaction.
	NowUs int64
	n     int
	// held has the holds that have not been captured, oldest first.
	held []*walletv1.Entry
}

// heldBefore is how many holds stay open. It is large, so that a hold is committed long before its capture is posted.
const heldBefore = 100

// Next returns a transaction. Most are transfers. One in ten holds money or captures an old hold. One in fifty is
// back-dated.
func (t *Transactions) Next() *walletv1.PostTransactionRequest {
	t.n++
	t.NowUs += 1_000_000
	request := &walletv1.PostTransactionRequest{
		TransactionId: fmt.Sprintf("demo-%d", t.n), OccurredAtUs: t.NowUs,
	}
	if t.Random.IntN(50) == 0 {
		request.OccurredAtUs -= t.Random.Int64N(30 * 24 * 3_600_000_000)
	}
	switch {
	case t.Random.IntN(10) > 0:
		request.Entries = t.transfer()
	case len(t.held) < heldBefore:
		request.External = true
		place := t.Mix.Place(t.Random)
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

func (t *Transactions) transfer() []*walletv1.Entry {
	from, to := t.Mix.Place(t.Random), t.Mix.Place(t.Random)
	if from.Account == to.Account {
		to.Account = fmt.Sprintf("demo-newcomer-%d", t.n)
	}
	amount := t.amount()
	return []*walletv1.Entry{
		entry(from.Account, from.Asset, -amount, walletv1.Phase_PHASE_POSTED, to.Account),
		entry(to.Account, from.Asset, amount, walletv1.Phase_PHASE_POSTED, from.Account),
	}
}

func (t *Transactions) amount() int64 { return 1 + t.Random.Int64N(50_000) }

func entry(account, asset string, amount int64, phase walletv1.Phase, counterparty string) *walletv1.Entry {
	return &walletv1.Entry{
		AccountId: account, Asset: asset, Amount: amount, Phase: phase, Kind: "demo", Counterparty: counterparty,
	}
}
