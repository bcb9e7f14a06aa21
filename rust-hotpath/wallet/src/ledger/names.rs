//! Interning. Each id and each name of an asset gets a dense slot, in order of first appearance, and keeps it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use im::OrdMap;

use super::array::Array;

/// A dense number for a name.
pub type Slot = u32;

/// The slot of a place that is free.
const NONE: Slot = Slot::MAX;
/// Places for names in a bucket.
const PLACES: usize = 7;
/// Names per bucket on average. When there are more, a bucket is added.
const LOAD: usize = 4;
/// Most overflow buckets linked from one bucket. Unless callers choose their names so that they meet in a bucket, such
/// a chain holds them all.
const CHAIN: usize = 4;
/// Most bytes of a name that is stored in place. With its length and a tag, such a name takes 24 bytes.
const SHORT_BYTES: usize = 22;

/// A persistent two-way map between names and slots.
///
/// Slots are found by linear hashing: buckets are split one at a time, so that growing never stops the writer. A lookup
/// takes one cache line for the bucket, and one to compare the name.
///
/// ```text
///  hash ──> buckets[i] ── full ──> overflow: at most CHAIN buckets ── full ──> overflow_tree: a tree
///  slot ──> names[slot]
/// ```
///
/// Ids come from callers, who could choose them so that they all meet in one bucket. So the seed of the hash is a
/// secret of the ledger (slots do not depend on it). And even if the seed were known, no chain gets longer than
/// `CHAIN`: further names go into a tree.
#[derive(Clone, Default)]
pub struct Names {
    seeds: ahash::RandomState,
    buckets: Array<Bucket, 15>,
    /// Full buckets, linked from `buckets`.
    overflow: Array<Bucket, 15>,
    /// The first unused bucket of `overflow`. Unused buckets are linked too.
    unused: Option<u32>,
    /// Names that came when the chain of their bucket was full. It is nearly always empty.
    overflow_tree: OrdMap<Name, Slot>,
    names: Array<Name, 64>,
}

/// A bucket, which is one cache line. It keeps only 32 bits of each hash. They choose the bucket, and they save
/// comparing names.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    hashes: [u32; PLACES],
    slots: [Slot; PLACES],
    next: Option<u32>,
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// A name. Most ids are short enough to be stored in place, so they need no allocation and no pointer to follow.
#[derive(Clone, Debug)]
enum Name {
    Short(u8, [u8; SHORT_BYTES]),
    Long(Arc<str>),
}

const _: () = assert!(size_of::<Name>() == 24);

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
        self.find(name, self.hash(name))
    }

    /// The name of a slot. Empty for a slot that was never given out.
    #[must_use]
    pub fn name(&self, slot: Slot) -> &str {
        self.names.get(slot as usize).map_or("", Name::text)
    }

    /// Returns the slot of `name`, and gives it one if it has none. There must be room: see [`Names::has_room`].
    pub fn intern(&mut self, name: &str) -> Slot {
        let hash = self.hash(name);
        if let Some(slot) = self.find(name, hash) {
            return slot;
        }
        let slot = Slot::try_from(self.names.len()).unwrap_or(NONE);
        self.names.push(Name::new(name));
        self.put_or_split(hash, slot);
        slot
    }

    /// True if `count` more names can be interned. The last slot is never given out, because it means "none".
    #[must_use]
    pub fn has_room(&self, count: usize) -> bool {
        self.names.len() + count < NONE as usize
    }

    fn hash(&self, name: &str) -> u32 {
        let mut hasher = self.seeds.build_hasher();
        hasher.write(name.as_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "32 of its bits are a hash too"
        )]
        let short = hasher.finish() as u32;
        short
    }

    fn find(&self, name: &str, hash: u32) -> Option<Slot> {
        let mut bucket = self.buckets.get(self.bucket_of(hash))?;
        loop {
            let mut places = bucket.places(hash);
            while places != 0 {
                let slot = bucket.slots[places.trailing_zeros() as usize % PLACES];
                // The slot of a free place has no name.
                if self
                    .names
                    .get(slot as usize)
                    .is_some_and(|n| n.bytes() == name.as_bytes())
                {
                    return Some(slot);
                }
                places &= places - 1;
            }
            let Some(next) = bucket.next else {
                return self.find_crowded(name);
            };
            bucket = self.overflow.get(next as usize)?;
        }
    }

    #[inline]
    fn find_crowded(&self, name: &str) -> Option<Slot> {
        if self.overflow_tree.is_empty() {
            return None;
        }
        self.overflow_tree.get(name.as_bytes()).copied()
    }

    /// Returns the bucket of a hash. It takes as many bits of the hash as all buckets need. If there is no such bucket
    /// yet, its names are still in the bucket that one bit less gives.
    fn bucket_of(&self, hash: u32) -> usize {
        let buckets = self.buckets.len();
        let mask = buckets.next_power_of_two() - 1;
        let bucket = hash as usize & mask;
        if bucket < buckets {
            bucket
        } else {
            bucket & mask >> 1
        }
    }

    fn put_or_split(&mut self, hash: u32, slot: Slot) {
        if self.names.len() > LOAD * self.buckets.len() {
            self.split();
        }
        self.put(hash, slot);
    }

    /// Adds a bucket, and divides the names of one old bucket between the old one and the new one.
    fn split(&mut self) {
        let new = self.buckets.len();
        self.buckets.push(Bucket::default());
        let Some(bits) = new.checked_ilog2() else {
            return;
        };
        let mut names = Vec::new();
        let mut emptied = self.take(new - (1 << bits));
        loop {
            names.extend(emptied.hashes.into_iter().zip(emptied.slots));
            let Some(index) = emptied.next else { break };
            emptied = self.take_overflow(index);
        }
        for (hash, slot) in names.into_iter().filter(|&(_, slot)| slot != NONE) {
            self.put(hash, slot);
        }
    }

    fn take(&mut self, index: usize) -> Bucket {
        let bucket = self.buckets.get_mut(index);
        bucket.map(std::mem::take).unwrap_or_default()
    }

    fn take_overflow(&mut self, index: u32) -> Bucket {
        let unused = self.unused.replace(index);
        let Some(bucket) = self.overflow.get_mut(index as usize) else {
            return Bucket::default();
        };
        let next = Bucket {
            next: unused,
            ..Bucket::default()
        };
        std::mem::replace(bucket, next)
    }

    fn put(&mut self, hash: u32, slot: Slot) {
        let home = self.bucket_of(hash);
        let Some(bucket) = self.buckets.get_mut(home) else {
            return;
        };
        if bucket.add(hash, slot) {
            return;
        }
        if self.linked(home) == CHAIN {
            let name = self.names.get(slot as usize).cloned();
            self.overflow_tree.insert(name.unwrap_or_default(), slot);
            return;
        }
        if let Some(bucket) = self.buckets.get_mut(home) {
            let full = std::mem::take(bucket);
            bucket.add(hash, slot);
            let next = Some(self.keep(full));
            if let Some(bucket) = self.buckets.get_mut(home) {
                bucket.next = next;
            }
        }
    }

    /// How many buckets are linked from this one.
    fn linked(&self, home: usize) -> usize {
        let mut next = self.buckets.get(home).and_then(|bucket| bucket.next);
        let mut linked = 0;
        while let Some(bucket) = next.and_then(|index| self.overflow.get(index as usize)) {
            linked += 1;
            next = bucket.next;
        }
        linked
    }

    /// Moves a full bucket to the overflow, and returns its index there.
    fn keep(&mut self, full: Bucket) -> u32 {
        if let Some(index) = self.unused
            && let Some(bucket) = self.overflow.get_mut(index as usize)
        {
            self.unused = bucket.next;
            *bucket = full;
            return index;
        }
        self.overflow.push(full);
        // There are fewer overflow buckets than names, so the index fits.
        u32::try_from(self.overflow.len() - 1).unwrap_or(NONE)
    }
}

impl Bucket {
    /// The places with this hash, as bits.
    fn places(&self, hash: u32) -> u32 {
        // There are no branches here, because nothing can predict at which place a name is.
        let equal = self.hashes.iter().enumerate();
        equal.fold(0, |bits, (place, &other)| {
            bits | u32::from(other == hash) << place
        })
    }

    /// Adds a name. Returns false if the bucket is full.
    fn add(&mut self, hash: u32, slot: Slot) -> bool {
        let Some(place) = self.slots.iter().position(|&slot| slot == NONE) else {
            return false;
        };
        (self.hashes[place], self.slots[place]) = (hash, slot);
        true
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            hashes: [0; PLACES],
            slots: [NONE; PLACES],
            next: None,
        }
    }
}

impl Name {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(short)) => {
                short.copy_from_slice(text.as_bytes());
                Self::Short(len, bytes)
            }
            _ => Self::Long(Arc::from(text)),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..usize::from(*len)],
            Self::Long(text) => text.as_bytes(),
        }
    }

    fn text(&self) -> &str {
        match self {
            // The bytes came from a text, so they are UTF-8.
            Self::Short(..) => std::str::from_utf8(self.bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::Short(0, [0; SHORT_BYTES])
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Name {}

#[cfg(test)]
mod tests;
