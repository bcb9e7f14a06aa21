package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
)

const (
	balances, statistics = 0, 2 // indexes of ask.Hot
	// patience is long enough for any answer, and ends a run in which none comes.
	patience = 30 * time.Second
	// asset is the one in which accounts have nearly all of their entries.
	asset = "GBP"
)

// readers ask hotpathd on its own TCP port: half of the questions are for the statistics of the long account, over any
// window of its history, half for the balance of any account.
type readers struct {
	conns        []*grpc.ClientConn
	long         string
	accounts     []string
	fromUS, toUS int64
	seed         uint64
}

// dial makes a connection for each of n readers.
func dial(address string, n int) ([]*grpc.ClientConn, error) {
	var conns []*grpc.ClientConn
	for range n {
		conn, err := ask.Dial(address)
		if err != nil {
			hangUp(conns)
			return nil, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

func hangUp(conns []*grpc.ClientConn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// reads are how long answers took.
type reads struct{ balances, statistics times }

// run asks until stop is closed; the last answers are waited for, because an answer that takes long would else not count.
// Each reader begins a question every so often, or as soon as it has its answer if every is zero. An answer that is none
// ends the phase by fail.
func (r readers) run(ctx context.Context, stop <-chan struct{}, every time.Duration, fail func(error)) reads {
	each := make([]reads, len(r.conns))
	var group sync.WaitGroup
	for n, conn := range r.conns {
		group.Go(func() {
			random := rand.New(rand.NewPCG(r.seed, uint64(n)))
			next := time.Now()
			for over := false; !over; over = stopped(stop, time.Until(next)) {
				if err := each[n].ask(ctx, conn, r.draw(random)); err != nil {
					fail(err)
					return
				}
				next = next.Add(every)
			}
		})
	}
	group.Wait()
	var all reads
	for _, one := range each {
		all.balances = append(all.balances, one.balances...)
		all.statistics = append(all.statistics, one.statistics...)
	}
	return all
}

// stopped waits, and returns whether stop is closed.
func stopped(stop <-chan struct{}, wait time.Duration) bool {
	if wait <= 0 {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-stop:
		return true
	case <-timer.C:
		return false
	}
}

func (r readers) draw(random *rand.Rand) ask.Question {
	if random.IntN(2) == 0 {
		id := r.accounts[random.IntN(len(r.accounts))]
		return ask.New(balances, &walletv1.GetBalanceRequest{AccountId: id})
	}
	from := r.fromUS + random.Int64N(r.toUS-r.fromUS)
	return ask.New(statistics, &walletv1.GetStatisticsRequest{
		AccountId: r.long, Asset: asset, FromUs: from, ToUs: from + 1 + random.Int64N(r.toUS-from),
		Percentiles: []uint32{5_000, 7_500, 9_000, 9_900, 9_990},
	})
}

func (r *reads) ask(ctx context.Context, conn *grpc.ClientConn, question ask.Question) error {
	began := time.Now()
	_, err := answered(ctx, conn, question, nil)
	if took := time.Since(began); question.Method == balances {
		r.balances = append(r.balances, took)
	} else {
		r.statistics = append(r.statistics, took)
	}
	return err
}

// answered asks, and returns an error unless the answer is OK.
func answered(ctx context.Context, conn *grpc.ClientConn, question ask.Question, md metadata.MD) (ask.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := ask.Put(ctx, conn, question, md)
	if answer.Code != codes.OK {
		return answer, fmt.Errorf("%s was not answered: %v", ask.Hot[question.Method], answer)
	}
	return answer, nil
}
