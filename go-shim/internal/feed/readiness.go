package feed

import (
	"sync"
	"sync/atomic"
	"time"
)

// Readiness decides from a feed's progress whether the sidecar may be asked. The sidecar is not ready until it has
// published the head named when the feed opened. Later it stops being ready if it makes no progress towards a newer
// head for longer than StaleAfter. It must then reach that head to be ready again.
type Readiness struct {
	StaleAfter time.Duration
	// Changed is called with the lock held, when readiness changes.
	Changed func(ready bool)

	watermark atomic.Uint64

	mu       sync.Mutex
	ready    bool
	opened   bool
	lost     bool      // no feed may open: feeds that still run belong to a session that is over
	target   uint64    // the head to reach
	progress time.Time // when target was set or the watermark last rose
}

// Position returns the newest watermark heard.
func (r *Readiness) Position() uint64 { return r.watermark.Load() }

// Ready returns the present verdict.
func (r *Readiness) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Begin begins a new session. Everything that could report for the session before must have ended.
func (r *Readiness) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = false
}

// Open starts over with a new feed.
func (r *Readiness) Open(now time.Time, head, watermark uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost {
		return
	}
	r.opened, r.target, r.progress = true, head, now
	r.watermark.Store(watermark)
	r.set(watermark >= head)
}

// Watermark records the sidecar's progress.
func (r *Readiness) Watermark(now time.Time, position uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if position > r.watermark.Load() {
		r.progress = now
	}
	r.watermark.Store(position)
	if r.opened && position >= r.target {
		r.set(true)
	}
}

// Tick looks at the head. Call it a few times per StaleAfter.
func (r *Readiness) Tick(now time.Time, head uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		return
	}
	if r.watermark.Load() >= r.target {
		if head > r.target {
			r.target, r.progress = head, now
		}
		return
	}
	if now.Sub(r.progress) > r.StaleAfter {
		r.set(false)
	}
}

// Lose ends a session. Nothing makes the sidecar ready until the next one begins.
func (r *Readiness) Lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened, r.lost = false, true
	r.set(false)
}

func (r *Readiness) set(ready bool) {
	if r.ready != ready {
		r.ready = ready
		r.Changed(ready)
	}
}
