package shim

import (
	"log/slog"

	"hotpath.dev/go-shim/internal/breaker"
)

func (s *Side) newBreakers() *breaker.Breakers {
	return breaker.New(breaker.Config{Methods: s.cfg.Methods, Failures: s.cfg.Breaker.Failures,
		MinBackoff: s.cfg.Breaker.MinBackoff, MaxBackoff: s.cfg.Breaker.MaxBackoff, Changed: s.breakerChanged})
}

// breakerChanged counts each transition. It logs at most one of a kind per second, because a short backoff makes many.
func (s *Side) breakerChanged(c breaker.Change) {
	s.metrics.BreakerChanged(c.Breaker, c.To.String())
	level, message := slog.LevelInfo, "a breaker closed: the sidecar is asked again"
	args := []any{"breaker", c.Breaker, "from", c.From.String(), "to", c.To.String(), "why", c.Why,
		"failures", c.Failures, "failed_probes", c.FailedProbes}
	switch c.To {
	case breaker.HalfOpen:
		message = "a breaker lets one request through as a probe"
	case breaker.Open:
		message = "a breaker opened: the calls that it guards are answered locally"
		args = append(args, "for", c.For)
		if c.From == breaker.Closed {
			level = slog.LevelWarn
		}
	}
	s.quiet.Log(level, "breaker "+c.Breaker+" "+c.From.String()+" "+c.To.String(), message, args...)
}
