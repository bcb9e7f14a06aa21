// Package workers runs jobs on goroutines that it keeps, because a new one would first have to grow its stack.
//
// Jobs that follow each other on one goroutine share a flush of what they have brought. No job may make others wait, nor
// what they have brought, not even one that blocks. So whoever begins a job calls another worker before, unless one is on
// its way already, if there are more jobs or something to flush:
//
//	      Do                 a worker begins a job, and more is to be done
//	       │                                 │
//	       v                                 v
//	call a worker: one that is idle, or a new one ──> it flushes, then takes jobs until there are none, and flushes again
//
// If the job does not block, the worker that was called finds nothing to do. It costs little: it runs on the same
// processor when the first one is done.
package workers

import (
	"sync"
	"time"
)

// Job is done once.
type Job interface {
	// Run does it.
	Run()
	// Expect is how long Run will take, as far as is known.
	Expect() time.Duration
}

// Config says how many workers there are, and who sends what they bring.
type Config struct {
	// Most bounds the jobs that wait or run. Idle bounds the workers that are kept without a job.
	Most, Idle int
	// Flush sends what jobs have brought. Unsent says whether there may be something to send.
	Flush  func()
	Unsent func() bool
	// Hold is how long a worker may be expected to be busy with jobs until it flushes.
	Hold time.Duration
}

// Pool is a group of workers. There are none until there is a job.
type Pool struct {
	config Config

	mu    sync.Mutex
	queue []Job
	taken int             // of queue, from its beginning
	idle  []chan struct{} // wakes a worker; the last one was busy last, so its stack is still in the cache
	// coming is true while a worker is on its way that was called.
	coming bool
	jobs   int // that wait or run
	closed bool
	empty  chan struct{} // closed when the last job is done, if somebody waits for that
}

// New makes a pool.
func New(config Config) *Pool { return &Pool{config: config} }

// Do has a worker do the job. It never waits. It returns false if there are too many jobs, or the pool is closed.
func (p *Pool) Do(job Job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.jobs >= p.config.Most {
		return false
	}
	p.jobs++
	if len(p.queue) == cap(p.queue) && p.taken > 0 {
		left := copy(p.queue, p.queue[p.taken:])
		clear(p.queue[left:])
		p.queue, p.taken = p.queue[:left], 0
	}
	p.queue = append(p.queue, job)
	p.call()
	return true
}

// call needs the lock, as all that follow.
func (p *Pool) call() {
	if p.coming {
		return
	}
	p.coming = true
	last := len(p.idle) - 1
	if last < 0 {
		go p.work()
		return
	}
	p.idle[last] <- struct{}{}
	p.idle = p.idle[:last]
}

func (p *Pool) work() {
	wake := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		p.coming = false
		p.serve()
		if p.closed || len(p.idle) >= p.config.Idle {
			return
		}
		p.idle = append(p.idle, wake)
		p.mu.Unlock()
		<-wake
		p.mu.Lock()
	}
}

// serve does jobs until there are none.
func (p *Pool) serve() {
	p.flush()
	var busy time.Duration
	for {
		job := p.next()
		if job == nil {
			if p.flush(); p.taken == len(p.queue) {
				return
			}
			busy = 0
			continue
		}
		expect := job.Expect()
		if busy += expect; busy > p.config.Hold && p.config.Unsent() {
			p.flush()
			busy = expect
		}
		if p.taken < len(p.queue) || p.config.Unsent() {
			p.call()
		}
		p.run(job)
		if busy > p.config.Hold {
			p.flush()
			busy = 0
		}
	}
}

func (p *Pool) next() Job {
	if p.taken == len(p.queue) {
		p.queue, p.taken = p.queue[:0], 0
		return nil
	}
	job := p.queue[p.taken]
	p.queue[p.taken] = nil
	p.taken++
	return job
}

func (p *Pool) flush() {
	p.mu.Unlock()
	defer p.mu.Lock()
	p.config.Flush()
}

func (p *Pool) run(job Job) {
	p.mu.Unlock()
	defer p.ran() // also if the job ends the goroutine
	job.Run()
}

func (p *Pool) ran() {
	p.mu.Lock()
	if p.jobs--; p.jobs == 0 && p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

// Close refuses further jobs, and waits until the others are done, but not for longer than that. It returns false if that
// was too short.
func (p *Pool) Close(longest time.Duration) bool {
	empty := p.close()
	if empty == nil {
		return true
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-empty:
		return true
	case <-timer.C:
		return false
	}
}

func (p *Pool) close() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, wake := range p.idle {
		wake <- struct{}{}
	}
	p.idle = nil
	if p.jobs > 0 {
		p.empty = make(chan struct{})
	}
	return p.empty
}
