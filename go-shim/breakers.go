package shim

import (
	"log/slog"

	"hotpath.dev/go-shim/internal/breaker"
	"hotpath.dev/go-shim/internal/budget"
)

func (c *sidecar) newBreakers() *breaker.Breakers {
	cfg := &c.side.cfg
	return breaker.New(breaker.Config{Methods: cfg.Methods, Failures: cfg.Breaker.Failures,
		MinBackoff: cfg.Breaker.MinBackoff, MaxBackoff: cfg.Breaker.MaxBackoff, Changed: c.breakerChanged})
}

func (c *sidecar) newBudgets() []*budget.Budget {
	budgets := make([]*budget.Budget, len(c.side.cfg.Methods))
	for i := range budgets {
		budgets[i] = budget.New(max(0, c.side.cfg.Breaker.Budget))
	}
	return budgets
}

// greeted forgets what another session did.
func (c *sidecar) greeted() {
	c.breaker.Reset("a new session")
	for _, b := range c.budgets {
		b.Reset()
	}
}

// breakerChanged counts each transition. It logs at most one of a kind per second, because a short backoff makes many.
func (c *sidecar) breakerChanged(change breaker.Change) {
	c.metrics.BreakerChanged(change.Breaker, change.To.String())
	level, message := slog.LevelInfo, "a breaker closed: the sidecar is asked again"
	args := []any{"breaker", change.Breaker, "from", change.From.String(), "to", change.To.String(), "why", change.Why,
		"failures", change.Failures, "failed_probes", change.FailedProbes}
	switch change.To {
	case breaker.HalfOpen:
		message = "a breaker lets one request through as a probe"
	case breaker.Open:
		message = "a breaker opened: the calls that it guards are answered locally"
		if c.other != nil {
			message = "a breaker opened: the calls that it guards are given to the other sidecar, or answered locally"
		}
		args = append(args, "for", change.For)
		if change.From == breaker.Closed {
			level = slog.LevelWarn
		}
	}
	c.quiet.Log(level, "breaker "+change.Breaker+" "+change.From.String()+" "+change.To.String(), message, args...)
	c.side.chooser.Look()
}
