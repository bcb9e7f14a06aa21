//! Interning: every id and asset name gets a dense slot, in order of first appearance, and keeps it.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;

use im::shared_ptr::DefaultSharedPtr;

/// A dense number for a name.
pub type Slot = u32;

/// Fixed, so that a ledger takes the same memory and time in every run.
const SEEDS: ahash::RandomState = ahash::RandomState::with_seeds(
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
);

/// A persistent two-way map between names and slots.
///
/// The map is from a 32-bit hash to a slot rather than from the name itself: an update copies tree nodes, and nodes of
/// plain numbers are a third of the size and have no reference counts to touch. A taken hash is retried with the next
/// attempt number; since names never leave, the first free one ends the search.
#[derive(Clone, Default)]
pub struct Names {
    slots: im::GenericHashMap<u32, Slot, BuildHasherDefault<Prehashed>, DefaultSharedPtr>,
    names: im::Vector<Arc<str>>,
}

/// The map's keys are hashes already.
#[derive(Clone, Copy, Default)]
struct Prehashed(u64);

impl Names {
    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The slot of `name`, if it was ever interned.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.find(name).ok()
    }

    /// The name of a slot; empty for a slot that was never given out.
    #[must_use]
    pub fn name(&self, slot: Slot) -> &str {
        self.names.get(slot as usize).map_or("", AsRef::as_ref)
    }

    /// The slot of `name`, a new one if need be. There must be room: see [`Names::has_room`].
    pub fn intern(&mut self, name: &str) -> Slot {
        match self.find(name) {
            Ok(slot) => slot,
            Err(free) => {
                let slot = Slot::try_from(self.names.len()).unwrap_or(Slot::MAX);
                self.slots.insert(free, slot);
                self.names.push_back(Arc::from(name));
                slot
            }
        }
    }

    /// True if `count` more names can be interned; the last slot is never given out, so that it can mean "none".
    #[must_use]
    pub fn has_room(&self, count: usize) -> bool {
        self.names.len() + count < Slot::MAX as usize
    }

    /// The slot, or the free key under which the name belongs.
    fn find(&self, name: &str) -> Result<Slot, u32> {
        let mut attempt = 0;
        loop {
            let key = hash(name, attempt);
            match self.slots.get(&key) {
                None => return Err(key),
                Some(&slot) if self.name(slot) == name => return Ok(slot),
                Some(_) => attempt += 1,
            }
        }
    }
}

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }
}

fn hash(name: &str, attempt: u32) -> u32 {
    let mut hasher = SEEDS.build_hasher();
    hasher.write(name.as_bytes());
    hasher.write_u32(attempt);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "32 of its bits are a hash too"
    )]
    let short = hasher.finish() as u32;
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_dense_and_stay() {
        let mut names = Names::default();
        assert_eq!(names.slot("a"), None);
        assert_eq!(
            ["a", "b", "a", "c"].map(|name| names.intern(name)),
            [0, 1, 0, 2]
        );
        assert_eq!((names.name(1), names.name(9), names.len()), ("b", "", 3));
    }

    #[test]
    fn an_old_clone_does_not_see_new_names() {
        let mut names = Names::default();
        names.intern("a");
        let old = names.clone();
        names.intern("b");
        assert_eq!((old.slot("b"), old.len()), (None, 1));
        assert_eq!(names.slot("b"), Some(1));
    }

    #[test]
    fn names_of_equal_hash_keep_their_own_slots() {
        const COUNT: u32 = 300_000;
        let mut names = Names::default();
        for n in 0..COUNT {
            assert_eq!(names.intern(&n.to_string()), n);
        }
        for n in 0..COUNT {
            assert_eq!(names.slot(&n.to_string()), Some(n));
        }
        let mut hashes: Vec<u32> = (0..COUNT).map(|n| hash(&n.to_string(), 0)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert!(
            hashes.len() < COUNT as usize,
            "too few names to meet a collision"
        );
    }
}
