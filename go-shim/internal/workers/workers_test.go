package workers

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const soon = time.Minute // bounds waits that end as soon as something happens

// rig is a pool whose jobs bring something that is to be flushed.
type rig struct {
	*Pool
	unsent, flushes atomic.Int64
	sent            chan struct{} // after each flush that had something to send
}

func newRig(t *testing.T, config Config) *rig {
	r := &rig{sent: make(chan struct{}, 1000)}
	config.Unsent = func() bool { return r.unsent.Load() > 0 }
	config.Flush = func() {
		if r.unsent.Swap(0) > 0 {
			r.flushes.Add(1)
			r.sent <- struct{}{}
		}
	}
	if config.Most == 0 {
		config.Most = 1000
	}
	r.Pool = New(config)
	t.Cleanup(func() {
		if !r.Close(soon) {
			t.Error("jobs are left")
		}
	})
	return r
}

// job brings something, and may block before.
type job struct {
	of     *rig
	until  <-chan struct{}
	expect time.Duration
	began  chan struct{}
	done   chan struct{}
}

func (r *rig) job() *job {
	return &job{of: r, began: make(chan struct{}), done: make(chan struct{})}
}

func (j *job) Expect() time.Duration { return j.expect }

func (j *job) Run() {
	close(j.began)
	if j.until != nil {
		<-j.until
	}
	j.of.unsent.Add(1)
	close(j.done)
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(soon):
		t.Fatal("never: " + what)
	}
}

func (r *rig) do(t *testing.T, jobs ...*job) {
	t.Helper()
	for _, j := range jobs {
		if !r.Do(j) {
			t.Fatal("refused")
		}
	}
}

func TestWhatAJobBringsIsSent(t *testing.T) {
	r := newRig(t, Config{Idle: 2})
	for range 100 {
		j := r.job()
		r.do(t, j)
		wait(t, "the job is done", j.done)
		wait(t, "it is flushed", r.sent)
	}
}

// A job that blocks makes neither others wait nor what they have brought.
func TestJobsThatBlockStallNothing(t *testing.T) {
	r := newRig(t, Config{Idle: 4, Hold: time.Hour})
	until := make(chan struct{})
	var blocked []*job
	for range 200 {
		j, quick := r.job(), r.job()
		j.until = until
		blocked = append(blocked, j)
		r.do(t, quick, j)
		wait(t, "the quick job is done", quick.done)
		wait(t, "it is flushed", r.sent)
		wait(t, "the other has begun", j.began)
	}
	close(until)
	for _, j := range blocked {
		wait(t, "a blocked job ends", j.done)
	}
}

// logging is a job that is expected to take so many milliseconds.
type logging struct {
	expect int
	log    *strings.Builder
}

func (l logging) Expect() time.Duration { return time.Duration(l.expect) * time.Millisecond }
func (l logging) Run()                  { l.log.WriteByte('j') }

// Jobs that are waiting together share a flush, unless they take long.
func TestQuickJobsShareAFlush(t *testing.T) {
	for want, expects := range map[string][]int{
		"": {}, "jjjj|": {0, 0, 0, 0}, "jjj|": {30, 30, 30}, "jj|j|": {40, 40, 40}, "j|": {200}, "j|jj|": {200, 10, 10},
		"j|j|j|": {10, 200, 10}, "jj|j|jj|": {0, 0, 101, 0, 100},
	} {
		var log strings.Builder
		unsent := func() bool { return strings.HasSuffix(log.String(), "j") }
		p := New(Config{Hold: 100 * time.Millisecond, Unsent: unsent, Flush: func() {
			if unsent() {
				log.WriteByte('|')
			}
		}})
		p.mu.Lock()
		p.coming = true // nobody else takes the jobs
		for _, expect := range expects {
			p.queue = append(p.queue, logging{expect, &log})
		}
		p.jobs = len(expects)
		p.serve()
		p.mu.Unlock()
		if log.String() != want {
			t.Errorf("%v: got %s, want %s", expects, log.String(), want)
		}
	}
}

func TestTooManyJobsAreRefused(t *testing.T) {
	r := newRig(t, Config{Most: 3})
	until := make(chan struct{})
	jobs := []*job{r.job(), r.job(), r.job()}
	for _, j := range jobs {
		j.until = until
	}
	r.do(t, jobs...)
	if r.Do(r.job()) {
		t.Fatal("a fourth job was taken")
	}
	close(until)
	for _, j := range jobs {
		wait(t, "a job is done", j.done)
	}
	for deadline := time.Now().Add(soon); !r.Do(r.job()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no room again")
		}
	}
}

func TestCloseWaitsForJobsAndEndsTheWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	r := newRig(t, Config{Idle: 4})
	until := make(chan struct{})
	for range 20 {
		j := r.job()
		j.until = until
		r.do(t, j)
		wait(t, "a job has begun", j.began)
	}
	if r.Close(time.Millisecond) {
		t.Fatal("Close does not wait")
	}
	if r.Do(r.job()) {
		t.Fatal("a job was taken after Close")
	}
	close(until)
	if !r.Close(soon) {
		t.Fatal("Close sees no end")
	}
	for deadline := time.Now().Add(soon); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// exiting ends its goroutine, as a test's FailNow does in a handler.
type exiting struct{ done chan struct{} }

func (exiting) Expect() time.Duration { return 0 }

func (e exiting) Run() {
	defer close(e.done)
	runtime.Goexit()
}

func TestAJobMayEndItsGoroutine(t *testing.T) {
	r := newRig(t, Config{Most: 1, Idle: 1})
	for range 50 {
		e, j := exiting{make(chan struct{})}, r.job()
		for deadline := time.Now().Add(soon); !r.Do(e); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a job that is over counts still")
			}
		}
		wait(t, "it ends", e.done)
		for deadline := time.Now().Add(soon); !r.Do(j); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a job that ended its goroutine counts still")
			}
		}
		wait(t, "another is done", j.done)
		wait(t, "it is flushed", r.sent)
	}
}

// Many callers, jobs that block now and then, and nothing is lost.
func TestNothingIsLost(t *testing.T) {
	r := newRig(t, Config{Most: 1 << 20, Idle: 3, Hold: 10 * time.Microsecond})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			var jobs []*job
			for n := range 2000 {
				j := r.job()
				j.expect = time.Duration(n%7) * time.Microsecond
				if n%13 == i {
					until := make(chan struct{})
					j.until = until
					time.AfterFunc(time.Duration(n%5)*time.Microsecond, func() { close(until) })
				}
				jobs = append(jobs, j)
				r.Do(j)
			}
			for _, j := range jobs {
				<-j.done
			}
		})
	}
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		callers.Wait()
		for r.unsent.Load() > 0 {
			runtime.Gosched()
		}
	}()
	for {
		select {
		case <-r.sent: // so that there is room
		case <-flushed:
			return
		case <-time.After(soon):
			t.Fatal("jobs, or what they brought, are left")
		}
	}
}

type empty struct{ group *sync.WaitGroup }

func (empty) Expect() time.Duration { return 0 }
func (e empty) Run()                { e.group.Done() }

// BenchmarkDo is what a job costs, compared with a new goroutine for each.
func BenchmarkDo(b *testing.B) {
	const together = 32
	pool := New(Config{Most: 1000, Idle: 100, Flush: func() {}, Unsent: func() bool { return false }})
	defer pool.Close(soon)
	var group sync.WaitGroup
	for name, do := range map[string]func(empty){"pool": func(e empty) { pool.Do(e) }, "go": func(e empty) { go e.Run() }} {
		b.Run(name, func(b *testing.B) {
			for i := 0; i < b.N; i += together {
				group.Add(together)
				for range together {
					do(empty{&group})
				}
				group.Wait()
			}
		})
	}
}
