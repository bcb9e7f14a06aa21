package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/failures"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
)

const (
	methods = len(ask.Hot)
	// mixed, in place of a method, asks all methods by weight.
	mixed = -1

	connections = 4
	// Each asker waits for an answer before it asks again, so the number of askers bounds the load. Few askers show the
	// latency of a call. Many keep both processes busy, so that little of the CPU time goes into waking up.
	fewAskers  = 8
	manyAskers = 32
	askTimeout = 5 * time.Second
)

// trafficResult holds the results of a stretch of traffic.
type trafficResult struct {
	asked   [methods]int
	latency [methods][]time.Duration
	samples [methods][]ask.Sample
	took    time.Duration
}

func (h *trafficResult) total() int {
	n := 0
	for _, asked := range h.asked {
		n += asked
	}
	return n
}

// merge adds the results of another stretch or of another asker.
func (h *trafficResult) merge(other trafficResult) {
	for m := range methods {
		h.asked[m] += other.asked[m]
		h.latency[m] = append(h.latency[m], other.latency[m]...)
		h.samples[m] = append(h.samples[m], other.samples[m]...)
	}
	h.took += other.took
}

// traffic asks questions over a few connections.
type traffic struct {
	conns  []*grpc.ClientConn
	mix    *mix.Mix
	seed   uint64
	failed failures.Failures
	// comparers is how many questions are in flight when answers are compared.
	comparers int
	// stretches numbers the stretches. It is part of the seed, so that each stretch asks other questions.
	stretches uint64
	// asked counts all questions, including those of comparisons.
	asked [methods]int
}

// ask asks questions of one method, or mixed ones, until stop is done. It keeps about keep answers per method at most.
func (t *traffic) ask(stop context.Context, askers, method, keep int) trafficResult {
	t.stretches++
	var mu sync.Mutex
	var all trafficResult
	var group sync.WaitGroup
	start := time.Now()
	for n := range askers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(t.seed, t.stretches<<16|uint64(n)))
			own := t.asker(stop, random, t.conns[n%len(t.conns)], method, (keep+askers-1)/askers)
			mu.Lock()
			defer mu.Unlock()
			all.merge(own)
		})
	}
	group.Wait()
	all.took = time.Since(start)
	for m := range methods {
		t.asked[m] += all.asked[m]
	}
	return all
}

func (t *traffic) asker(stop context.Context, random *rand.Rand, conn *grpc.ClientConn, method, keep int) trafficResult {
	var h trafficResult
	for stop.Err() == nil {
		var q ask.Question
		if method == mixed {
			q = t.mix.Any(random)
		} else {
			q = t.mix.Question(random, method)
		}
		start := time.Now()
		answer := t.put(conn, q, false, 0)
		h.latency[q.Method] = append(h.latency[q.Method], time.Since(start))
		h.asked[q.Method]++
		if !answer.Decided() {
			t.failed.Add("%s: %s", ask.Name(q.Method), answer)
			continue
		}
		h.keep(random, ask.Sample{Question: q, Answer: answer}, keep)
	}
	return h
}

// keep keeps a sample by reservoir sampling: each answer of a method has the same chance to stay.
func (h *trafficResult) keep(random *rand.Rand, s ask.Sample, atMost int) {
	m := s.Question.Method
	if len(h.samples[m]) < atMost {
		h.samples[m] = append(h.samples[m], s)
		return
	}
	if at := random.IntN(h.asked[m]); at < atMost {
		h.samples[m][at] = s
	}
}

func (t *traffic) put(conn *grpc.ClientConn, q ask.Question, exact bool, at uint64) ask.Answer {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if exact {
		return ask.Put(ctx, conn, q, ask.At(at))
	}
	return ask.Put(ctx, conn, q, ask.Want())
}
