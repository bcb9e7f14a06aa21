package readmodel

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// sides holds the sums of credits and of debits, as |amount|. They may exceed int64. Only answers must fit int64.
type sides struct {
	credits ledger.Int128
	debits  ledger.Int128
}

func (s *sides) add(amount int64) {
	if amount > 0 {
		s.credits = s.credits.AddInt64(amount)
	} else {
		s.debits = s.debits.AddInt64(-amount)
	}
}

func (s *sides) remove(amount int64) {
	if amount > 0 {
		s.credits = s.credits.AddInt64(-amount)
	} else {
		s.debits = s.debits.AddInt64(amount)
	}
}

func (s *sides) net() ledger.Int128   { return s.credits.Sub(s.debits) }
func (s *sides) total() ledger.Int128 { return s.credits.Add(s.debits) }

// counters holds the balance of one (account, asset).
type counters struct {
	posted         sides
	pending        sides
	entries        uint64
	lastOccurredUS int64
}

func (c *counters) add(e *entry) {
	switch e.phase {
	case walletv1.Phase_PHASE_POSTED:
		c.posted.add(e.amount)
	case walletv1.Phase_PHASE_HOLD:
		c.pending.add(e.amount)
	case walletv1.Phase_PHASE_RELEASE:
		c.pending.remove(e.amount)
	}
	if c.entries == 0 || e.occurredAtUS > c.lastOccurredUS {
		c.lastOccurredUS = e.occurredAtUS
	}
	c.entries++
}

func (c *counters) balance(asset string) (*walletv1.Balance, error) {
	var n narrow
	posted := c.posted.net()
	b := &walletv1.Balance{
		Asset:          asset,
		CreditsPosted:  n.fit("credits_posted", c.posted.credits),
		DebitsPosted:   n.fit("debits_posted", c.posted.debits),
		CreditsPending: n.fit("credits_pending", c.pending.credits),
		DebitsPending:  n.fit("debits_pending", c.pending.debits),
		Posted:         n.fit("posted", posted),
		Available:      n.fit("available", posted.Sub(c.pending.debits)),
		EntryCount:     c.entries,
	}
	if c.entries > 0 {
		// The answer needs a copy, because it outlives the lock.
		last := c.lastOccurredUS
		b.LastOccurredAtUs = &last
	}
	if n.err != nil {
		return nil, n.err
	}
	return b, nil
}

// narrow converts figures to the int64 of the answer and remembers the first that does not fit. Callers must convert in
// tag order, because the error must name the first such field.
type narrow struct{ err error }

func (n *narrow) fit(field string, v ledger.Int128) int64 {
	figure, ok := v.Int64()
	if !ok && n.err == nil {
		n.err = ledger.DoesNotFit(field)
	}
	return figure
}
