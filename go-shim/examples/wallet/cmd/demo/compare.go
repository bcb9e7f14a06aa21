package main

import (
	"context"
	"sync"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
)

// tally counts comparisons.
type tally struct {
	equal, different [methods]int
}

func (t *tally) merge(other tally) {
	for m := range methods {
		t.equal[m] += other.equal[m]
		t.different[m] += other.different[m]
	}
}

func (t *tally) compared() int {
	n := 0
	for m := range methods {
		n += t.equal[m] + t.different[m]
	}
	return n
}

func (t *tally) unequal() int {
	n := 0
	for _, different := range t.different {
		n += different
	}
	return n
}

// compare asks the questions of samples again, each at the position of its answer, until all are asked or stop is done.
// first says who gave the answers in samples, and second who answers now.
func (t *traffic) compare(stop context.Context, samples [methods][]ask.Sample, found *ask.Differences, first, second string) tally {
	queue := make(chan ask.Sample)
	go func() {
		defer close(queue)
		for _, s := range interleave(samples) {
			select {
			case queue <- s:
			case <-stop.Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	var all tally
	var group sync.WaitGroup
	for n := range t.comparers {
		group.Go(func() {
			for s := range queue {
				mu.Lock()
				t.asked[s.Question.Method]++
				mu.Unlock()
				again := t.put(t.conns[n%len(t.conns)], s.Question, true, s.Answer.Position)
				if !again.Decided() {
					t.failed.Add("%s at position %d: %s", ask.Name(s.Question.Method), s.Answer.Position, again)
					continue
				}
				what := ask.Differ(s.Answer, again)
				mu.Lock()
				if what == "" {
					all.equal[s.Question.Method]++
				} else {
					all.different[s.Question.Method]++
					found.Save(ask.Difference{Sample: s, Again: again, What: what, First: first, Second: second})
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return all
}

// interleave takes one sample of each method in turn, so that a compare that runs out of time has compared all methods.
func interleave(samples [methods][]ask.Sample) []ask.Sample {
	var all []ask.Sample
	for n := 0; ; n++ {
		before := len(all)
		for m := range methods {
			if n < len(samples[m]) {
				all = append(all, samples[m][n])
			}
		}
		if len(all) == before {
			return all
		}
	}
}
