// Package rows has what the read models keep of an entry, and sums of entries.
package rows

import (
	"math"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

const phaseBits = 2

// Phases is one more than the highest phase.
const Phases = int(walletv1.Phase_PHASE_RELEASE) + 1

// Nobody is the slot, and the code, of the empty name: of no counterparty.
const Nobody uint32 = 0

// Entry is what the statistics need of an entry, in 24 bytes without pointers.
type Entry struct {
	OccurredAtUS int64
	// packed is amount<<phaseBits | phase.
	packed int64
	// Counterparty is the counterparty's slot, or Nobody. In long indexed histories it is a code instead of a slot.
	Counterparty uint32
	// Since is the position less the position of the first entry of the block that this entry lies in.
	Since uint32
}

// These constants fail to compile if a shifted amount does not fit, or a phase does not fit the bits below it.
const (
	_ = uint64(math.MaxInt64>>phaseBits - ledger.MaxAmount)
	_ = uint64(1<<phaseBits - Phases)
)

// New returns an entry, the first of its block.
func New(occurredAtUS, amount int64, phase walletv1.Phase, counterparty uint32) Entry {
	return Entry{OccurredAtUS: occurredAtUS, packed: amount<<phaseBits | int64(phase), Counterparty: counterparty}
}

// Amount returns the signed amount, in minor units.
func (e *Entry) Amount() int64 { return e.packed >> phaseBits }

// Phase returns the entry's phase.
func (e *Entry) Phase() walletv1.Phase { return walletv1.Phase(e.packed & (1<<phaseBits - 1)) }

// IsPosted returns whether statistics include the entry.
func (e *Entry) IsPosted() bool {
	return e.packed&(1<<phaseBits-1) == int64(walletv1.Phase_PHASE_POSTED)
}

// Split returns an amount's sign, 0 for a credit and 1 for a debit, and its |amount|. It has no branch, because a
// processor cannot predict signs.
func Split(amount int64) (debit, size int64) {
	sign := amount >> 63
	return -sign, (amount ^ sign) - sign
}
