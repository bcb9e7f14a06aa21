package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/failures"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

const (
	callerCount = 6
	connections = 3
	// questions is how many a caller asks after each post and the read of its own balance.
	questions = 4
	// betweenRounds is a caller's pause. Without it, callers would take the processor from what they watch.
	betweenRounds = 15 * time.Millisecond
	// callTimeout is long: drills are about answers, not about how fast they come.
	callTimeout = 30 * time.Second
)

// tally is what callers saw.
type tally struct {
	failed, own failures.Failures

	mu                       sync.Mutex
	requests, posts, excused int
	samples                  []ask.Sample
	slowest                  time.Duration
}

// outage says when Go itself was down: while the number is odd.
type outage struct{ turns atomic.Int64 }

func (o *outage) begin() { o.turns.Add(1) }
func (o *outage) end()   { o.turns.Add(1) }

// met says whether a call that began at this turn may have met the outage.
func (o *outage) met(began int64) bool { return began%2 == 1 || o.turns.Load() != began }

// callers post and read, each about an account of its own, and ask random questions besides.
type callers struct {
	tally
	outage
	conns  []*grpc.ClientConn
	mix    *mix.Mix
	seed   uint64
	cancel context.CancelFunc
	group  sync.WaitGroup
	// flooding has the further callers of flood.
	flooding sync.WaitGroup
}

// dial connects to a walletd. A call waits until there is a connection, so that only what was under way is lost when
// walletd is killed.
func dial(address string) (*grpc.ClientConn, error) {
	return ask.Dial(address, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)), grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 250 * time.Millisecond},
		MinConnectTimeout: callTimeout,
	}))
}

// start begins to call.
func (c *callers) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	for n := range callerCount {
		c.group.Go(func() { c.caller(ctx, n) })
	}
}

// end stops all callers and returns when nothing is under way.
func (c *callers) end() {
	if c.cancel != nil {
		c.cancel()
	}
	c.group.Wait()
	c.flooding.Wait()
}

func (c *callers) caller(ctx context.Context, n int) {
	random := rand.New(rand.NewPCG(c.seed, uint64(n)))
	conn := c.conns[n%len(c.conns)]
	account := fmt.Sprintf("caller-%d", n)
	var sum int64
	for round := int64(1); ctx.Err() == nil; round++ {
		at, ok := c.post(ctx, conn, account, round)
		if !ok {
			return
		}
		sum += round
		answer := c.ask(conn, ask.New(0, &walletv1.GetBalanceRequest{AccountId: account}))
		if answer.Decided() {
			if wrong := holds(answer, sum, at); wrong != "" {
				c.own.Add("%s after post %d at position %d: %s", account, round, at, wrong)
			}
		}
		for range questions {
			c.ask(conn, c.mix.Any(random))
		}
		pause(ctx, betweenRounds)
	}
}

// post credits an account and returns the position. A post without an answer is repeated: it has effect only once.
func (c *callers) post(ctx context.Context, conn *grpc.ClientConn, account string, amount int64) (position uint64, ok bool) {
	request := &walletv1.PostTransactionRequest{
		TransactionId: fmt.Sprintf("%s-%d", account, amount), External: true, OccurredAtUs: amount * 1000,
		Entries: []*walletv1.Entry{{
			AccountId: account, Asset: "GBP", Amount: amount, Phase: walletv1.Phase_PHASE_POSTED, Kind: "drill",
		}},
	}
	for ctx.Err() == nil {
		began := c.turns.Load()
		calling, cancel := context.WithTimeout(context.Background(), callTimeout)
		reply, err := walletv1.NewWalletServiceClient(conn).PostTransaction(calling, request)
		cancel()
		if err == nil {
			c.mu.Lock()
			c.posts++
			c.mu.Unlock()
			return reply.GetPosition(), true
		}
		c.lost(began, "post %s: %v", request.GetTransactionId(), err)
		pause(ctx, betweenRounds)
	}
	return 0, false
}

// ask asks a question, and keeps the answer.
func (c *callers) ask(conn *grpc.ClientConn, q ask.Question) ask.Answer {
	began, start := c.turns.Load(), time.Now()
	calling, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answer := ask.Put(calling, conn, q, ask.Want())
	took := time.Since(start)
	if !answer.Decided() {
		c.lost(began, "%s: %s", ask.Name(q.Method), answer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.slowest = max(c.slowest, took)
	if answer.Decided() {
		c.samples = append(c.samples, ask.Sample{Question: q, Answer: answer})
	}
	return answer
}

// lost counts a call without an answer: as excused if Go was down meanwhile, else as failed.
func (c *callers) lost(began int64, format string, a ...any) {
	if c.met(began) {
		c.mu.Lock()
		c.excused++
		c.mu.Unlock()
		return
	}
	c.failed.Add(format, a...)
}

// flood asks the same questions over and over, without a pause, until stop is done.
func (c *callers) flood(stop context.Context, each int, next func(random *rand.Rand) ask.Question) {
	for n := range each {
		c.flooding.Go(func() {
			random := rand.New(rand.NewPCG(c.seed, uint64(1000+n)))
			for stop.Err() == nil {
				c.ask(c.conns[n%len(c.conns)], next(random))
			}
		})
	}
}

// holds returns why an answer is not this one balance from this position or a later one, or "".
func holds(answer ask.Answer, posted int64, least uint64) string {
	if answer.Position < least {
		return "an older answer: " + answer.String()
	}
	balance := new(walletv1.GetBalanceResponse)
	if err := proto.Unmarshal(answer.Reply, balance); err != nil {
		return err.Error()
	}
	if rows := balance.GetBalances(); len(rows) != 1 || rows[0].GetPosted() != posted {
		return fmt.Sprintf("%v, not %d (%s)", rows, posted, answer)
	}
	return ""
}

func pause(ctx context.Context, lasts time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(lasts):
	}
}
