package main

import (
	"context"
	"sync"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// comparers is how many questions are asked again at a time.
const comparers = 8

// compare asks Go alone the questions that were answered under load, each at the position of its answer, and compares.
func (s *soak) compare(ctx context.Context) error {
	if err := s.walletd.Switch(rig.Legacy, waitLimit); err != nil {
		return err
	}
	queue := make(chan ask.Sample)
	var mu sync.Mutex
	var group sync.WaitGroup
	for n := range comparers {
		group.Go(func() {
			for one := range queue {
				again, what := s.again(one, n)
				mu.Lock()
				s.tell(one, again, what)
				mu.Unlock()
			}
		})
	}
	for _, samples := range s.traffic.take() {
		for _, one := range samples {
			queue <- one
		}
	}
	close(queue)
	group.Wait()
	if err := s.walletd.Switch(rig.SidecarMode, waitLimit); err != nil {
		return err
	}
	return ctx.Err()
}

func (s *soak) again(one ask.Sample, n int) (again ask.Answer, what string) {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	again = ask.Put(ctx, s.traffic.conns[n%connections], one.Question, ask.At(one.Answer.Position))
	return again, ask.Differ(one.Answer, again)
}

func (s *soak) tell(one ask.Sample, again ask.Answer, what string) {
	m := one.Question.Method
	if what == "" {
		s.counted.equal[m]++
		return
	}
	s.counted.different[m]++
	s.found.Save(ask.Difference{Sample: one, Again: again, What: what, First: "under-load", Second: "legacy"})
}
