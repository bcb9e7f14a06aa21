//! The entries of one (account, asset): a tail in booking order, and what was sealed before it.

use std::sync::Arc;

use crate::history::{History, Logged, Memory, Merge, Merged, Merging, Shape};

/// Entries that are sealed together. With its reference counts a sealed block fills an allocator's size class (1,536
/// bytes). The open tail, which every update copies once per published version, stays small.
pub const BLOCK: usize = 63;

/// How sealed entries are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// As they are, in booking order. Each question reads them all.
    Scan,
    /// In a [`History`].
    Index(Merging),
}

/// Sealed entries, which versions share, and a tail of fewer than [`BLOCK`] entries. Most accounts have few entries, so
/// they have a tail and nothing else.
///
/// ```text
///  Log ── tail: < 63 entries
///   └───> sealed: none yet, or blocks of 63 in booking order (Scan), or a History (Index)
/// ```
#[derive(Debug, Default)]
pub struct Log {
    tail: Vec<Logged>,
    sealed: Option<Arc<Sealed>>,
}

/// What a change of a log means for its ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effect {
    /// Whether a long merge is due, which can then be taken.
    pub merge_due: bool,
    /// By how much the runs have grown.
    pub grown: Memory,
}

#[derive(Clone, Debug)]
enum Sealed {
    Blocks(im::Vector<Arc<[Logged; BLOCK]>>),
    History(History),
}

const _: () = assert!(size_of::<Log>() == 32);

impl Default for Keeping {
    fn default() -> Self {
        Self::Index(Merging::InPlace)
    }
}

impl Effect {
    fn of(history: &mut History, change: impl FnOnce(&mut History) -> bool) -> Self {
        let before = history.memory();
        let merge_due = change(history);
        Self {
            merge_due,
            grown: history.memory() - before,
        }
    }
}

impl Log {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let sealed = match self.sealed.as_deref() {
            None => 0,
            Some(Sealed::Blocks(blocks)) => blocks.len() * BLOCK,
            Some(Sealed::History(history)) => history.len(),
        };
        sealed + self.tail.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries that a question must read, as contiguous parts of at most [`BLOCK`] in booking order: all but those
    /// of [`Self::history`].
    pub fn scanned(&self) -> impl Iterator<Item = &[Logged]> {
        let blocks = match self.sealed.as_deref() {
            Some(Sealed::Blocks(blocks)) => Some(blocks),
            _ => None,
        };
        let blocks = blocks.into_iter().flat_map(|blocks| blocks.leaves());
        let blocks = blocks.flatten().map(|block| block.as_slice());
        blocks.chain(std::iter::once(self.tail.as_slice()))
    }

    /// The sealed entries, if they are indexed.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        match self.sealed.as_deref() {
            Some(Sealed::History(history)) => Some(history),
            _ => None,
        }
    }

    /// The entries that are not sealed.
    #[must_use]
    pub fn tail(&self) -> &[Logged] {
        &self.tail
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = Logged> {
        let history = self.history().into_iter();
        let indexed = history.flat_map(|history| history.entries());
        indexed.chain(self.scanned().flatten().copied())
    }

    /// What a question has to look at.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self.history() {
            None => Shape {
                scanned: self.len(),
                ..Shape::default()
            },
            Some(history) => {
                let shape = history.shape();
                Shape {
                    scanned: shape.scanned + self.tail.len(),
                    ..shape
                }
            }
        }
    }

    /// The same entries without an index, as for [`Keeping::Scan`].
    pub(super) fn scanning(&self) -> Self {
        let mut copy = Self::default();
        for entry in self.entries() {
            copy.push(entry, Keeping::Scan);
        }
        copy
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entry: Logged, keeping: Keeping) -> Effect {
        if self.tail.len() == self.tail.capacity() {
            self.tail.reserve_exact(spare(self.tail.len()));
        }
        self.tail.push(entry);
        let Ok(block) = <[Logged; BLOCK]>::try_from(self.tail.as_slice()) else {
            return Effect::default();
        };
        self.tail = Vec::new();
        let empty = || match keeping {
            Keeping::Scan => Arc::new(Sealed::Blocks(im::Vector::new())),
            Keeping::Index(_) => Arc::new(Sealed::History(History::default())),
        };
        match Arc::make_mut(self.sealed.get_or_insert_with(empty)) {
            Sealed::Blocks(blocks) => {
                blocks.push_back(Arc::new(block));
                Effect::default()
            }
            Sealed::History(history) => {
                let merging = match keeping {
                    Keeping::Index(merging) => merging,
                    Keeping::Scan => Merging::InPlace,
                };
                Effect::of(history, |history| history.seal(&block, merging))
            }
        }
    }

    /// Takes a long merge that is due.
    pub(super) fn take_merge(&mut self) -> Option<Merge> {
        self.history_mut()?.take()
    }

    /// Swaps the result of a merge in.
    pub(super) fn swap(&mut self, merged: &Merged) -> Effect {
        let swap = |history: &mut History| Effect::of(history, |history| history.swap(merged));
        self.history_mut().map(swap).unwrap_or_default()
    }

    fn history_mut(&mut self) -> Option<&mut History> {
        match Arc::make_mut(self.sealed.as_mut()?) {
            Sealed::Blocks(_) => None,
            Sealed::History(history) => Some(history),
        }
    }
}

impl Clone for Log {
    /// A clone is made to be pushed to, so it has room for that.
    fn clone(&self) -> Self {
        let mut tail = Vec::with_capacity(self.tail.len() + spare(self.tail.len()));
        tail.extend_from_slice(&self.tail);
        Self {
            tail,
            sealed: self.sealed.clone(),
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
    use crate::history::Phase;

    const KEEPINGS: [Keeping; 3] = [
        Keeping::Scan,
        Keeping::Index(Merging::InPlace),
        Keeping::Index(Merging::Deferred),
    ];

    fn entry(n: usize) -> Logged {
        Logged::new(n as i64, 1, None, Phase::Posted)
    }

    fn times(log: &Log) -> Vec<i64> {
        let mut times: Vec<i64> = log.entries().map(|e| e.occurred_at_us).collect();
        times.sort_unstable();
        times
    }

    #[test]
    fn scanned_entries_come_back_in_booking_order_across_blocks() {
        let mut log = Log::default();
        assert!(log.is_empty());
        for n in 0..BLOCK * 70 + 5 {
            assert_eq!(log.len(), n);
            log.push(entry(n), Keeping::Scan);
        }
        let times: Vec<i64> = log.entries().map(|e| e.occurred_at_us).collect();
        assert_eq!(times, (0..(BLOCK * 70 + 5) as i64).collect::<Vec<_>>());
        assert!(log.scanned().all(|part| part.len() <= BLOCK));
        assert_eq!(log.shape().scanned, log.len());
    }

    #[test]
    fn an_indexed_log_has_every_entry_once() {
        let mut log = Log::default();
        for n in 0..BLOCK * 70 + 5 {
            assert_eq!(log.len(), n);
            log.push(entry(n), Keeping::Index(Merging::InPlace));
        }
        assert_eq!(
            times(&log),
            (0..(BLOCK * 70 + 5) as i64).collect::<Vec<_>>()
        );
        assert_eq!(log.scanned().flatten().count(), 5);
        assert!(log.shape().scanned < 600, "{:?}", log.shape());
    }

    #[test]
    fn a_clone_keeps_its_entries_when_the_other_grows() {
        for (keeping, before) in KEEPINGS
            .into_iter()
            .flat_map(|k| [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK].map(|n| (k, n)))
        {
            let mut log = Log::default();
            (0..before).for_each(|n| _ = log.push(entry(n), keeping));
            let old = log.clone();
            (0..2 * BLOCK).for_each(|n| _ = log.push(entry(n), keeping));
            assert_eq!((old.len(), old.entries().count()), (before, before));
            assert_eq!(log.len(), before + 2 * BLOCK);
        }
    }

    #[test]
    fn a_tail_has_little_room_to_spare() {
        let mut log = Log::default();
        for n in 0..BLOCK - 1 {
            log.push(entry(n), Keeping::default());
            assert!(log.tail.capacity() <= (log.tail.len() * 5 / 4 + 1).min(BLOCK));
        }
    }
}
