package rows

import (
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// Sides holds the sum of credits and the sum of debits, both as |amount|.
type Sides struct{ Credits, Debits ledger.Int128 }

// Net returns the credits less the debits.
func (s *Sides) Net() ledger.Int128 { return s.Credits.Sub(s.Debits) }

// Plus returns the sums of both.
func (s *Sides) Plus(other *Sides) Sides {
	return Sides{s.Credits.Add(other.Credits), s.Debits.Add(other.Debits)}
}

// Minus returns the sums of the entries that other does not have.
func (s *Sides) Minus(other *Sides) Sides {
	return Sides{s.Credits.Sub(other.Credits), s.Debits.Sub(other.Debits)}
}

func (s *Sides) add(amount int64) {
	if amount > 0 {
		s.Credits = s.Credits.AddInt64(amount)
	} else {
		s.Debits = s.Debits.AddInt64(-amount)
	}
}

func (s *Sides) remove(amount int64) {
	if amount > 0 {
		s.Credits = s.Credits.AddInt64(-amount)
	} else {
		s.Debits = s.Debits.AddInt64(amount)
	}
}

// Standing sums up entries of one (account, asset).
type Standing struct {
	Posted, Pending Sides
	Entries         uint64
	// LastUS is the latest time of any entry, which need not be the one booked last. Without entries it has no meaning.
	LastUS int64
}

// Add counts several entries of a phase, of which the latest occurred at lastUS.
func (s *Standing) Add(phase walletv1.Phase, entries uint64, sums *Sides, lastUS int64) {
	switch phase {
	case walletv1.Phase_PHASE_POSTED:
		s.Posted = s.Posted.Plus(sums)
	case walletv1.Phase_PHASE_HOLD:
		s.Pending = s.Pending.Plus(sums)
	case walletv1.Phase_PHASE_RELEASE:
		s.Pending = s.Pending.Minus(sums)
	}
	if s.Entries == 0 || lastUS > s.LastUS {
		s.LastUS = lastUS
	}
	s.Entries += entries
}

// Count counts an entry.
func (s *Standing) Count(e *Entry) {
	switch e.Phase() {
	case walletv1.Phase_PHASE_POSTED:
		s.Posted.add(e.Amount())
	case walletv1.Phase_PHASE_HOLD:
		s.Pending.add(e.Amount())
	case walletv1.Phase_PHASE_RELEASE:
		s.Pending.remove(e.Amount())
	}
	if s.Entries == 0 || e.OccurredAtUS > s.LastUS {
		s.LastUS = e.OccurredAtUS
	}
	s.Entries++
}
