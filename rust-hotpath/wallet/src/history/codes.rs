//! The dictionary of an account's counterparties. Codes are dense, so that tables by code are short.
//!
//! Why: each run keeps the codes that first occur in it, and adjacent runs that are merged join theirs. So the whole
//! dictionary is a handful of sorted arrays that never change: it needs no map of its own, versions share it with the
//! runs, and a merge in the background cannot meet the writer there. (A log-structured merge, O'Neil et al. 1996, of
//! the names as well as of the rows.) The writer looks a slot up once in 63 entries, a reader only for what it shows.

use super::entry::Slot;

/// Codes that follow each other. 0 is no code: it means that an entry has no counterparty.
#[derive(Debug)]
pub(crate) struct Codes {
    first: u32,
    /// By code.
    slots: Box<[Slot]>,
    /// Ascending by slot.
    by_slot: Box<[(Slot, u32)]>,
}

impl Codes {
    /// Gives codes from `first` on to slots, in their order. None of them has a code yet.
    pub(crate) fn of(first: u32, slots: Vec<Slot>) -> Self {
        let mut by_slot: Vec<(Slot, u32)> = slots.iter().copied().zip(first..).collect();
        // Joined pieces are sorted in themselves. The stable sort finds that and merges them.
        by_slot.sort_by_key(|&(slot, _)| slot);
        Self {
            first,
            slots: slots.into_boxed_slice(),
            by_slot: by_slot.into_boxed_slice(),
        }
    }

    /// Joins pieces that follow each other.
    pub(crate) fn join<'a>(mut pieces: impl Iterator<Item = &'a Self>) -> Self {
        let Some(piece) = pieces.next() else {
            return Self::of(1, Vec::new());
        };
        let mut slots = piece.slots.to_vec();
        pieces.for_each(|piece| slots.extend_from_slice(&piece.slots));
        Self::of(piece.first, slots)
    }

    /// The first code after these.
    pub(crate) fn end(&self) -> u32 {
        // There are fewer codes than slots.
        self.first + u32::try_from(self.slots.len()).unwrap_or(0)
    }

    pub(crate) fn code(&self, slot: Slot) -> Option<u32> {
        let at = self.by_slot.binary_search_by_key(&slot, |&(slot, _)| slot);
        at.ok().map(|at| self.by_slot[at].1)
    }

    /// The slot of a code, if it is one of these.
    pub(crate) fn slot(&self, code: u32) -> Option<Slot> {
        let at = code.checked_sub(self.first)? as usize;
        self.slots.get(at).copied()
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.by_slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_pieces_keep_their_codes() {
        let pieces = [
            Codes::of(1, vec![7, 3]),
            Codes::of(3, vec![]),
            Codes::of(3, vec![5, 9, 1]),
        ];
        let all = Codes::join(pieces.iter());
        assert_eq!(all.end(), 6);
        for (slot, code) in [(7, 1), (3, 2), (5, 3), (9, 4), (1, 5)] {
            assert_eq!((all.code(slot), all.slot(code)), (Some(code), Some(slot)));
        }
        assert_eq!((all.code(2), all.slot(0), all.slot(6)), (None, None, None));
    }
}
