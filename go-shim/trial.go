package shim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hotpath.dev/go-shim/internal/transport"
)

// upgradeLook is how often an upgrade looks at what it waits for.
const upgradeLook = 10 * time.Millisecond

// lossLooks is how often it looks for the end of a process whose connections are lost.
const lossLooks = 50

// trial is the time until a new sidecar may stay. Whatever befalls it meanwhile ends the trial, and the sidecar. A sidecar that
// no upgrade has started has none, which is the same as having passed.
type trial struct {
	mu     sync.Mutex
	passed bool
	err    error
}

// fail returns false if the sidecar is on trial no more.
func (t *trial) fail(err error) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.passed && t.err == nil {
		t.err = err
	}
	return !t.passed
}

func (t *trial) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// pass ends the trial, unless it has failed.
func (t *trial) pass() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed = t.err == nil
	return t.err
}

func (t *trial) isOn() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.passed
}

func crashed(cause error, said string) error {
	if said == "" {
		return fmt.Errorf("%w: %w", ErrUpgradeCrashed, cause)
	}
	return fmt.Errorf("%w: %w; its last words were: %s", ErrUpgradeCrashed, cause, said)
}

func refused(why string) error { return fmt.Errorf("%w: %s", ErrUpgradeRefused, why) }

// catchUp waits until a new sidecar could take the place of the old one.
func (c *sidecar) catchUp(ctx context.Context, old *sidecar) error {
	within := c.side.cfg.Supervisor.UpgradeTimeout
	late := time.NewTimer(within)
	defer late.Stop()
	looks := time.NewTicker(upgradeLook)
	defer looks.Stop()
	for head := c.side.source.Head(); ; head = c.side.source.Head() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return fmt.Errorf("%w: after %v it is at position %d of %d", ErrUpgradeTooLate, within, c.link.Position(), head)
		case <-looks.C:
		}
		if err := errors.Join(c.trial.failure(), c.lessThan(old)); err != nil {
			return err
		}
		if c.isLevelWith(old, head) {
			return nil
		}
	}
}

// lessThan says what the new one would not answer and the old one does. If the old one never answered anything, that is nothing.
func (c *sidecar) lessThan(old *sidecar) error {
	if !c.link.Connected() || !old.wasReady.Load() {
		return nil
	}
	for i, name := range c.side.cfg.Methods {
		if why := c.refusal(i); why != "" && old.refusal(i) == "" {
			return refused("it refuses " + name + ", which the old one takes: " + why)
		}
	}
	session, was := c.link.Serving(), old.link.Serving()
	if session != nil && was != nil && session.MaxMessageBytes < was.MaxMessageBytes {
		return refused(fmt.Sprintf("it takes messages of %d bytes, the old one of %d", session.MaxMessageBytes, was.MaxMessageBytes))
	}
	return nil
}

// isLevelWith says whether requests would wait no longer for their positions than at the old one. head is what the ledger's
// newest position was one look ago.
func (c *sidecar) isLevelWith(old *sidecar, head uint64) bool {
	position := c.link.Position()
	if c.link.Serving() == nil {
		return false
	}
	return position >= head || old.link.Serving() != nil && position >= old.link.Position()
}

// settle waits while the new one is asked and the other one stands by. If the chooser prefers that one, or if more
// requests get no answer from the new one than from the old one, the new one is not well.
func (c *sidecar) settle(ctx context.Context, old *sidecar) error {
	over := time.NewTimer(c.side.cfg.Supervisor.UpgradeSettle)
	defer over.Stop()
	looks := time.NewTicker(upgradeLook)
	defer looks.Stop()
	for {
		done := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			done = true
		case <-looks.C:
		}
		switch ailment := c.ailment(); {
		case c.trial.failure() != nil:
			return c.trial.failure()
		case c.side.chooser.Asked() != c:
			return c.howItFailed(ctx, ailment)
		case c.spentMoreThan(old) != "":
			return fmt.Errorf("%w: too many requests of %s got no answer", ErrUpgradeUnwell, c.spentMoreThan(old))
		case done:
			return c.trial.pass()
		}
	}
}

// spentMoreThan names a method whose budget of hops in vain is spent, and was not spent at the old one.
func (c *sidecar) spentMoreThan(old *sidecar) string {
	for i, name := range c.side.cfg.Methods {
		if c.budgets[i].Spent() && !old.budgets[i].Spent() {
			return name
		}
	}
	return ""
}

// howItFailed waits a moment for the end of the process, which says more than the loss of its connections.
func (c *sidecar) howItFailed(ctx context.Context, ailment string) error {
	for range lossLooks {
		if err := c.trial.failure(); err != nil || c.link.Connected() || ctx.Err() != nil {
			break
		}
		time.Sleep(upgradeLook)
	}
	if err := c.trial.failure(); err != nil {
		return err
	}
	err := fmt.Errorf("%w: %s", ErrUpgradeUnwell, ailment)
	c.trial.fail(err)
	return err
}

// awaitIdle waits until the sidecar has answered all that it was asked, for as long as a drain may take.
func (c *sidecar) awaitIdle() {
	over := time.NewTimer(c.side.cfg.Supervisor.DrainTimeout)
	defer over.Stop()
	looks := time.NewTicker(upgradeLook)
	defer looks.Stop()
	// Somebody may have chosen this one just before it was taken out, and be about to ask.
	for idle := 0; idle < 2; {
		select {
		case <-over.C:
			return
		case <-c.side.life.Done():
			return
		case <-looks.C:
		}
		if c.isIdle() {
			idle++
		} else {
			idle = 0
		}
	}
}

func (c *sidecar) isIdle() bool {
	session := c.link.Serving()
	if session == nil {
		return true
	}
	counting, counts := session.Transport.(transport.Counting)
	return counts && counting.UnderWay() == 0
}
