package feed

import (
	"sync"
	"sync/atomic"
	"time"
)

// Readiness decides from a feed's progress whether the sidecar may be asked. Until it has published the head named at
// the opening it is not ready; later it stops being so while it makes no progress towards a head that has been
// waiting for longer than StaleAfter, and must reach that head to be trusted again.
type Readiness struct {
	StaleAfter time.Duration
	// Changed is called with the lock held, when readiness changes.
	Changed func(ready bool)

	watermark atomic.Uint64

	mu       sync.Mutex
	ready    bool
	opened   bool
	lost     bool      // no feed may open: those that are left are of a session that is over
	target   uint64    // the head to reach
	progress time.Time // when target was set or the watermark last rose
}

// Position is the newest watermark heard.
func (r *Readiness) Position() uint64 { return r.watermark.Load() }

// Ready is the present verdict.
func (r *Readiness) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Begin is for a new session, once all that could speak for the one before has ended.
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

// Tick looks at the head, a few times per StaleAfter.
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

// Lose is for a lost session: until the next one begins, nothing makes it ready.
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
