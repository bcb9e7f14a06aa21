package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// compare asks the questions again, each at the position of its answer, until all are asked or stop is done. first
// says who gave the answers at hand, second who gives them now.
func (t *traffic) compare(stop context.Context, samples [methods][]sample, found *differences, first, second string) tally {
	queue := make(chan sample)
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
	for n := range manyAskers {
		group.Go(func() {
			for s := range queue {
				mu.Lock()
				t.asked[s.question.Method]++
				mu.Unlock()
				again := t.put(t.conns[n%len(t.conns)], s.question, true, s.answer.Position)
				if !again.Decided() {
					t.failed.add("%s at position %d: %s", ask.Name(s.question.Method), s.answer.Position, again)
					continue
				}
				what := ask.Differ(s.answer, again)
				mu.Lock()
				if what == "" {
					all.equal[s.question.Method]++
				} else {
					all.different[s.question.Method]++
					found.save(difference{s, again, what, first, second})
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return all
}

// interleave takes one of each method in turn, so that a compare that runs out of time has seen all of them.
func interleave(samples [methods][]sample) []sample {
	var all []sample
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

// difference is two answers that should have been one.
type difference struct {
	sample
	again         ask.Answer
	what          string
	first, second string
}

// differences keeps the first few as files. It is not safe for several goroutines.
type differences struct {
	dir   string
	saved int
	// problem is why one could not be saved.
	problem error
}

// mostSaved bounds the files; the counts go on.
const mostSaved = 20

func (d *differences) save(one difference) {
	if d.saved == mostSaved {
		return
	}
	d.saved++
	dir := filepath.Join(d.dir, fmt.Sprintf("%02d-%s", d.saved, ask.Name(one.question.Method)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.problem = err
		return
	}
	about := fmt.Sprintf("%s answered first, %s was then asked at position %d.\n%s\n",
		one.first, one.second, one.answer.Position, one.what)
	for name, content := range map[string]string{
		"about.txt":                about,
		"question.bin":             string(one.question.Request),
		"question.txt":             one.question.Text(),
		"1-" + one.first + ".bin":  string(one.answer.Reply),
		"1-" + one.first + ".txt":  one.question.AnswerText(one.answer),
		"2-" + one.second + ".bin": string(one.again.Reply),
		"2-" + one.second + ".txt": one.question.AnswerText(one.again),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			d.problem = err
		}
	}
}
