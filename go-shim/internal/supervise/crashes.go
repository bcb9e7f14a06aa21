package supervise

import (
	"context"
	"time"

	"hotpath.dev/go-shim/internal/backoff"
)

// budget counts the ends of a sidecar that nobody asked for. Each start costs CPU and a refill, and one that lives for a moment
// may take requests with it when it dies.
type budget struct {
	most   int
	within time.Duration
	// ends are the last ones, at most most of them.
	ends []time.Time
	// spent is true in a crash loop. slow spaces the starts meanwhile.
	spent bool
	slow  backoff.Backoff
}

func newBudget(cfg Config) budget {
	return budget{most: cfg.Crashes, within: cfg.CrashWindow, slow: backoff.Backoff{Min: cfg.SlowMin, Max: cfg.SlowMax}}
}

// spend counts an end. It returns true if the budget is spent, after the long wait that follows.
func (s *Supervisor) spend(ctx context.Context, l life) bool {
	b, now := &s.budget, s.clock.Now()
	b.ends = append(b.ends[max(0, len(b.ends)-b.most+1):], now)
	began := !b.spent && len(b.ends) == b.most && now.Sub(b.ends[0]) <= b.within
	if !b.spent && !began {
		return false
	}
	b.spent = true
	pause := b.slow.Next()
	in := pause.Round(time.Millisecond)
	if began {
		s.cfg.CrashLooping(true)
		s.cfg.Log.Error("the sidecar keeps ending, and is started again only after long waits until it has been up for a while",
			"cause", l.err, "said", l.said, "ends", b.most, "within", b.within, "in", in)
	} else {
		s.cfg.Log.Warn("the sidecar has ended once more; starting it again later", "cause", l.err, "in", in)
	}
	s.rest(ctx, pause)
	return true
}

// rest waits. It returns early if what the sidecar starts with changes, which may be the cure.
func (s *Supervisor) rest(ctx context.Context, pause time.Duration) {
	before := s.configuration()
	over, stop := s.clock.After(pause)
	defer stop()
	for {
		look, end := s.clock.After(lookEvery)
		select {
		case <-look:
			if s.configuration() != before {
				s.cfg.Log.Info("what the sidecar starts with has changed; starting it again", "program", s.path)
				return
			}
		case <-over:
			end()
			return
		case <-ctx.Done():
			end()
			return
		}
	}
}

// stayedUp ends a crash loop if the sidecar has been up for long enough.
func (s *Supervisor) stayedUp(d time.Duration) {
	b := &s.budget
	if !b.spent || d < b.within {
		return
	}
	b.spent, b.ends = false, nil
	b.slow.Reset()
	s.cfg.CrashLooping(false)
	s.cfg.Log.Info("the sidecar has stayed up", "for", d.Round(time.Second))
}
