package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// comparers is how many questions are asked again at a time.
const comparers = 8

// finish ends the callers and the service, and asks a walletd without a sidecar every question again.
func (s *stage) finish(ctx context.Context) error {
	s.quiet()
	last, err := s.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	sum := s.account(last)
	s.result.FellBack, s.result.Reasons = sum.Fallbacks, sum.Reasons
	s.result.BySidecar, s.result.ByGo = sum.Served[rig.SidecarMode], sum.Served[rig.Legacy]
	s.walletd.Stop(stopGrace)

	alone := s.path("alone")
	if err := os.MkdirAll(alone, 0o755); err != nil {
		return err
	}
	reference, err := rig.StartWalletd(rig.WalletdSpec{
		Bin: s.config.Walletd, Dir: alone, DB: s.path(command.LedgerFile), StartWithin: startWithin,
	})
	if err != nil {
		return fmt.Errorf("walletd without a sidecar: %w", err)
	}
	defer reference.Stop(stopGrace)
	return errors.Join(s.compare(ctx, reference.GRPC), ctx.Err())
}

// compare asks all questions again, each at the position of its answer.
func (s *stage) compare(ctx context.Context, address string) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	found := ask.Differences{Dir: s.path("differences")}
	queue := make(chan ask.Sample)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range comparers {
		group.Go(func() {
			for one := range queue {
				again, what := askAgain(ctx, func(ctx context.Context, at uint64) ask.Answer {
					return ask.Put(ctx, conn, one.Question, ask.At(at))
				}, one)
				mu.Lock()
				s.result.Compared++
				if what != "" {
					s.differs(&found, ask.Difference{Sample: one, Again: again, What: what, First: "caller", Second: "go-alone"})
				}
				mu.Unlock()
			}
		})
	}
	for _, one := range s.callers.samples {
		if ctx.Err() != nil {
			break
		}
		queue <- one
	}
	close(queue)
	group.Wait()
	return found.Problem
}

func (s *stage) differs(found *ask.Differences, one ask.Difference) {
	s.result.Wrong++
	found.Save(one)
	if s.result.Wrong <= 3 {
		s.result.examples = append(s.result.examples, fmt.Sprintf("%s at position %d: %s", ask.Name(one.Question.Method),
			one.Answer.Position, one.What))
	}
}

// askAgain asks a question at the position of an answer, and returns how the answers differ.
func askAgain(ctx context.Context, put func(context.Context, uint64) ask.Answer, one ask.Sample) (ask.Answer, string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	again := put(ctx, one.Answer.Position)
	return again, ask.Differ(again, one.Answer)
}
