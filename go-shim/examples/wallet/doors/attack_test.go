package doors_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/doors"
	"hotpath.dev/go-shim/internal/attack"
)

// TestAttacks lets clients without manners loose on every door. Meanwhile others must get right answers, from both programs
// as they were, and memory must stay within bounds. The table that it logs says what each attack cost, and what it got.
func TestAttacks(t *testing.T) {
	table := []string{fmt.Sprintf("%-52s %-17s %7s %7s %7s  %-18s  %s", "attack", "door", "MB more", "CPU s", "MB sent", "others, slowest ms", "what the attacker got")}
	shared := map[doors.Kind]*door{}
	for _, kind := range doors.Kinds {
		if !full {
			shared[kind] = open(t, kind, connections)
		}
	}
	for _, a := range attack.All() {
		t.Run(a.Name, func(of *testing.T) {
			for _, kind := range doors.Kinds {
				d := shared[kind]
				if full { // in earnest, each has a door of its own: so its memory is known
					d = open(of, kind, connections)
				}
				table = append(table, d.attacked(of, &a))
				if full {
					d.Stop()
				}
			}
		})
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// connections is how many the doors take: more than any attack makes.
const connections = 5_000

// attacked makes one attack, and returns a line of the table.
func (d *door) attacked(t *testing.T, a *attack.Attack) string {
	t.Helper()
	n := a.Quick
	if full {
		n = a.Full
	}
	run := attack.Run{Addr: d.Addr, N: n, Hot: d.hot, Long: d.long, Cold: d.cold, Pause: pause, Hold: hold, Patience: patience}
	watched, others := watch(t, d), d.others(t)
	outcome := run.Do(a)
	answers, slowest := others()
	growth, cpu := watched()
	name := fmt.Sprintf("%s, %s", a.Name, d.Kind)
	if growth > mostGrowth {
		t.Errorf("%s: %d MB more", name, growth>>20)
	}
	if outcome.Wrong > 0 || outcome.Stuck > 0 {
		t.Errorf("%s: wrong answers, or none: %v", name, outcome)
	}
	return fmt.Sprintf("%-52s %-17s %7d %7.2f %7.1f  %8d %9.1f  %v", a.Name, d.Kind, growth>>20, cpu.Seconds(), float64(outcome.Sent)/(1<<20),
		answers, float64(slowest.Microseconds())/1000, outcome)
}

// others lets other callers ask until the returned function is called, which says how many answers they had.
func (d *door) others(t *testing.T) func() (answers int64, slowest time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	var all sync.WaitGroup
	var answers, slowest atomic.Int64
	var stop atomic.Bool
	for _, call := range []*attack.Call{d.hot, d.cold} {
		all.Go(func() {
			// At least one call each, on a connection that is new.
			for first := true; first || !stop.Load(); first = false {
				began := time.Now()
				if wrong := d.wrong(ctx, t, call); wrong != "" {
					t.Errorf("another caller of %q got %s", d.Kind, wrong)
					return
				}
				answers.Add(1)
				if took := int64(time.Since(began)); took > slowest.Load() {
					slowest.Store(took)
				}
			}
		})
	}
	return func() (int64, time.Duration) {
		stop.Store(true)
		all.Wait()
		cancel()
		return answers.Load(), time.Duration(slowest.Load())
	}
}

// watch looks at the memory of both programs until the returned function is called, which says by how much it grew at most,
// and how much CPU was used.
func watch(t *testing.T, d *door) func() (growth int64, cpu time.Duration) {
	t.Helper()
	before, err := d.Account()
	if err != nil {
		t.Fatal(err)
	}
	done, over := make(chan struct{}), make(chan int64)
	go func() {
		most := before.RSS
		for {
			select {
			case <-done:
				over <- most
				return
			case <-time.After(5 * time.Millisecond):
				if now, err := d.Account(); err == nil {
					most = max(most, now.RSS)
				}
			}
		}
	}()
	return func() (int64, time.Duration) {
		close(done)
		most := <-over
		after, err := d.Account()
		if err != nil {
			t.Fatalf("%s: a program has ended: %v", d.Kind, err)
		}
		return most - before.RSS, after.CPU - before.CPU
	}
}
