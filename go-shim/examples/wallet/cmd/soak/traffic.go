package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/failures"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/poster"
)

const (
	methods     = len(ask.Hot)
	connections = 4
	// keep is the largest number of answers per method that a stretch keeps to compare.
	keep = 60
	// longReplyBytes is the length in bytes above which a lane sends a reply in pieces.
	longReplyBytes = 64 << 10
)

// counts counts requests by manner.
type counts struct {
	asked [manners]int
	// gone counts requests whose caller went away or whose deadline passed.
	gone [manners]int
	// long counts replies of more than longReplyBytes bytes.
	long int
}

func (c counts) all() int {
	n := 0
	for _, asked := range c.asked {
		n += asked
	}
	return n
}

// missing names what must happen in a run and has not happened yet.
func (c counts) missing() []string {
	var missing []string
	for m := range manners {
		if c.asked[m] == 0 {
			missing = append(missing, mannerNames[m])
		}
	}
	for _, m := range []manner{cancelling, hurried} {
		if c.gone[m] == 0 {
			missing = append(missing, m.String()+" in time")
		}
	}
	if c.long == 0 {
		missing = append(missing, "replies above 64 KiB")
	}
	return missing
}

// traffic asks over a few connections that stay open for the whole run.
type traffic struct {
	conns  []*grpc.ClientConn
	mix    *mix.Mix
	poster *poster.Poster
	// crowd has a thousand accounts, or as many as the survey found.
	crowd []string
	// head is the position that the ledger began with.
	head uint64
	// bad has malformed requests with Go's answers.
	bad   []request
	seed  uint64
	wrong failures.Failures

	mu      sync.Mutex
	counts  counts
	samples [methods][]ask.Sample
	// seen counts the answers that could be kept, by method, since the last take.
	seen [methods]int
}

// posted returns a position that every later answer must include.
func (t *traffic) posted() uint64 { return max(t.head, t.poster.Newest()) }

// total returns a copy of the counts.
func (t *traffic) total() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// complete returns whether requests of every manner and a post have happened, and there is an answer of every method to
// compare.
func (t *traffic) complete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.counts.missing()) == 0 && t.poster.Posted.Load() > 0 && !slices.Contains(t.seen[:], 0)
}

// take returns the answers that were kept since the last take.
func (t *traffic) take() [methods][]ask.Sample {
	t.mu.Lock()
	defer t.mu.Unlock()
	samples := t.samples
	t.samples, t.seen = [methods][]ask.Sample{}, [methods]int{}
	return samples
}

// run asks and posts until stop is done, and returns when nothing is in flight.
func (t *traffic) run(stop context.Context, callers, stretch int) {
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(t.seed, uint64(stretch)<<16|uint64(n)))
			t.caller(stop, random, t.conns[n%len(t.conns)])
		})
	}
	group.Go(func() { t.poster.Run(stop) })
	group.Wait()
}

func (t *traffic) caller(stop context.Context, random *rand.Rand, conn *grpc.ClientConn) {
	for stop.Err() == nil {
		m := anyManner(random)
		if m == cold {
			t.askCold(random, conn)
		} else {
			t.ask(random, conn, t.request(random, m))
		}
	}
}

func (t *traffic) request(random *rand.Rand, m manner) request {
	if m == malformed {
		return t.bad[random.IntN(len(t.bad))]
	}
	// A caller that asks after a post was answered must see it.
	r := request{manner: m, question: t.mix.Any(random), md: ask.Want(), least: t.posted()}
	switch m {
	case large:
		r.question = t.largeQuestion(random)
	case ahead:
		r.least += 1 + random.Uint64N(4)
		r.md = atLeast(r.least)
	case expiring:
		r.least += 1_000_000
		r.md = atLeast(r.least)
	}
	return r
}

func (t *traffic) ask(random *rand.Rand, conn *grpc.ClientConn, r request) {
	ctx, cancel := r.context(random)
	defer cancel()
	answer := ask.Put(ctx, conn, r.question, r.md)
	wrong := r.wrong(answer)
	if wrong != "" {
		t.wrong.Add("%s, %s: %s", ask.Name(r.question.Method), r.manner, wrong)
	}
	t.count(random, r, answer, wrong == "" && r.manner != malformed && answer.Decided())
}

func (t *traffic) count(random *rand.Rand, r request, answer ask.Answer, comparable bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.asked[r.manner]++
	if answer.Code == codes.Canceled || answer.Code == codes.DeadlineExceeded {
		t.counts.gone[r.manner]++
	}
	if len(answer.Reply) > longReplyBytes {
		t.counts.long++
	}
	if !comparable {
		return
	}
	// Reservoir sampling: each answer of a method has the same chance to stay.
	m := r.question.Method
	t.seen[m]++
	if len(t.samples[m]) < keep {
		t.samples[m] = append(t.samples[m], ask.Sample{Question: r.question, Answer: answer})
	} else if at := random.IntN(t.seen[m]); at < keep {
		t.samples[m][at] = ask.Sample{Question: r.question, Answer: answer}
	}
}

// askCold makes a call that reads the store. The store must have every position that was posted.
func (t *traffic) askCold(random *rand.Rand, conn *grpc.ClientConn) {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	wallet := walletv1.NewWalletServiceClient(conn)
	var err error
	if random.IntN(2) == 0 {
		_, err = wallet.GetTransaction(ctx, &walletv1.GetTransactionRequest{
			Key: &walletv1.GetTransactionRequest_Position{Position: 1 + random.Uint64N(t.posted())},
		})
	} else {
		place := t.mix.Place(random)
		_, err = wallet.ListEntries(ctx, &walletv1.ListEntriesRequest{AccountId: place.Account, PageSize: 50})
	}
	if err != nil {
		t.wrong.Add("cold: %v", err)
	}
	t.mu.Lock()
	t.counts.asked[cold]++
	t.mu.Unlock()
}
