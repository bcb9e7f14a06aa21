//! One entry as the statistics see it.

/// A dense number for a name. The ledger gives them out.
pub type Slot = u32;

/// What an entry does to the counters of its (account, asset). The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Moves money.
    Posted = 1,
    /// Reserves money.
    Hold = 2,
    /// Undoes a hold. It has the sign of the hold.
    Release = 3,
}

/// The parts of an entry that the statistics need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Microseconds since the epoch.
    pub occurred_at_us: i64,
    /// In minor units. A credit is positive, a debit negative.
    pub amount: i64,
    /// The slot of the counterparty, or [`Logged::NOBODY`].
    counterparty: Slot,
    /// What the entry did.
    pub phase: Phase,
}

const _: () = assert!(size_of::<Logged>() == 24);

/// An entry of a run. Its phase is that of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) at: i64,
    /// The amount, folded by [`fold`].
    pub(crate) folded: u64,
    /// The code of the counterparty in the history's dictionary, or 0 for none.
    pub(crate) code: u32,
}

impl Phase {
    /// All phases, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Posted, Self::Hold, Self::Release];
}

impl Logged {
    const NOBODY: Slot = Slot::MAX;

    pub(crate) fn new(
        occurred_at_us: i64,
        amount: i64,
        counterparty: Option<Slot>,
        phase: Phase,
    ) -> Self {
        Self {
            occurred_at_us,
            amount,
            counterparty: counterparty.unwrap_or(Self::NOBODY),
            phase,
        }
    }

    /// The slot of the counterparty, if the entry names one.
    #[must_use]
    pub fn counterparty(&self) -> Option<Slot> {
        (self.counterparty != Self::NOBODY).then_some(self.counterparty)
    }
}

/// |amount| and the sign in one number, so that small amounts of either sign are small numbers. |amount| is below 2^63.
pub(crate) fn fold(amount: i64) -> u64 {
    amount.unsigned_abs() << 1 | u64::from(amount < 0)
}

/// The amount that was folded.
#[inline]
pub(crate) fn unfold(folded: u64) -> i64 {
    let size = (folded >> 1).cast_signed();
    if folded & 1 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_size_and_sign() {
        for amount in [1, -1, 2, -2, 1_000_000_000_000_000, i64::MAX, -i64::MAX] {
            assert_eq!(unfold(fold(amount)), amount);
            assert_eq!(fold(amount) >> 1, amount.unsigned_abs());
        }
    }
}
