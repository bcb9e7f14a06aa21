//! The entries of one (account, asset) in booking order. It is a persistent sequence that only grows.

use std::sync::Arc;

use super::names::Slot;
use super::transaction::Phase;

/// Entries of a sealed block. With its reference counts a block fills an allocator's size class (1,536 bytes). The open
/// tail, which every update copies once per published version, stays small.
pub const BLOCK: usize = 63;

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

/// Sealed blocks, which versions share, and a tail of fewer than [`BLOCK`] entries.
///
/// An `im::Vector` of entries would take more memory: it allocates up to four chunks of 64 once it has more than one
/// chunk, and most accounts have few entries. The vector of blocks is boxed for the same reason.
#[derive(Debug, Default)]
pub struct Log {
    sealed: Option<Box<im::Vector<Arc<[Logged; BLOCK]>>>>,
    tail: Vec<Logged>,
}

const _: () = assert!(size_of::<Logged>() == 24);

impl Logged {
    const NOBODY: Slot = Slot::MAX;

    pub(super) fn new(
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

impl Log {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sealed.as_ref().map_or(0, |sealed| sealed.len()) * BLOCK + self.tail.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in booking order, as contiguous runs of at most [`BLOCK`].
    pub fn runs(&self) -> impl Iterator<Item = &[Logged]> {
        let sealed = self.sealed.iter().flat_map(|sealed| sealed.leaves());
        let sealed = sealed.flatten().map(|block| block.as_slice());
        sealed.chain(std::iter::once(self.tail.as_slice()))
    }

    /// The entries in booking order.
    pub fn iter(&self) -> impl Iterator<Item = &Logged> {
        self.runs().flatten()
    }

    pub(super) fn push(&mut self, entry: Logged) {
        if self.tail.len() == self.tail.capacity() {
            self.tail.reserve_exact(spare(self.tail.len()));
        }
        self.tail.push(entry);
        if let Ok(block) = <[Logged; BLOCK]>::try_from(self.tail.as_slice()) {
            self.sealed
                .get_or_insert_default()
                .push_back(Arc::new(block));
            self.tail = Vec::new();
        }
    }
}

impl Clone for Log {
    /// A clone is made to be pushed to, so it has room for that.
    fn clone(&self) -> Self {
        let mut tail = Vec::with_capacity(self.tail.len() + spare(self.tail.len()));
        tail.extend_from_slice(&self.tail);
        Self {
            sealed: self.sealed.clone(),
            tail,
        }
    }
}

/// The room to add to a tail of `len` entries: a quarter, but never more than a block holds.
fn spare(len: usize) -> usize {
    (len / 4 + 1).min(BLOCK - len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> Logged {
        Logged::new(n as i64, 1, None, Phase::Posted)
    }

    #[test]
    fn entries_come_back_in_booking_order_across_blocks() {
        let mut log = Log::default();
        assert!(log.is_empty());
        for n in 0..BLOCK * 70 + 5 {
            assert_eq!(log.len(), n);
            log.push(entry(n));
        }
        let times: Vec<i64> = log.iter().map(|e| e.occurred_at_us).collect();
        assert_eq!(times, (0..(BLOCK * 70 + 5) as i64).collect::<Vec<_>>());
        assert!(log.runs().all(|run| run.len() <= BLOCK));
    }

    #[test]
    fn a_clone_keeps_its_entries_when_the_other_grows() {
        for before in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let mut log = Log::default();
            (0..before).for_each(|n| log.push(entry(n)));
            let old = log.clone();
            (0..2 * BLOCK).for_each(|n| log.push(entry(n)));
            assert_eq!((old.len(), old.iter().count()), (before, before));
            assert_eq!(log.len(), before + 2 * BLOCK);
        }
    }

    #[test]
    fn a_tail_has_little_room_to_spare() {
        let mut log = Log::default();
        for n in 0..BLOCK - 1 {
            log.push(entry(n));
            assert!(log.tail.capacity() <= (log.tail.len() * 5 / 4 + 1).min(BLOCK));
        }
    }
}
