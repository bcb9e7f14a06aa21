//! Encoded requests in one buffer, picked by weight.

use crate::traffic::Request;

/// The most bytes of all pools together. A scenario that needs more is wrong.
const MAX_BYTES: usize = 1 << 30;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A pool per entry of the mix.
#[derive(Debug, Default)]
pub(super) struct Pools {
    arena: Vec<u8>,
    /// Where each request begins. It ends where the next one begins, or at the end of the arena.
    begins: Vec<u32>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    method: u16,
    /// The sum of the weights of all entries up to this one.
    weights: u64,
    first: usize,
    requests: u64,
}

impl Pools {
    /// Begins the pool of the next entry.
    pub(super) fn begin(&mut self, method: u16, weight: u32) {
        let before = self.entries.last().map_or(0, |entry| entry.weights);
        self.entries.push(Entry {
            method,
            weights: before + u64::from(weight),
            first: self.begins.len(),
            requests: 0,
        });
    }

    /// Adds a request to the pool that was begun last.
    pub(super) fn push(&mut self, message: &[u8]) -> Result<(), String> {
        let begin = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        if self.arena.len() + message.len() > MAX_BYTES {
            return Err("all requests together exceed 1 GiB: use smaller pools".to_owned());
        }
        self.begins.push(begin);
        self.arena.extend_from_slice(message);
        if let Some(entry) = self.entries.last_mut() {
            entry.requests += 1;
        }
        Ok(())
    }

    /// Picks a request by `number`, which must be uniformly random.
    #[inline]
    pub(super) fn pick(&self, number: u64) -> Request<'_> {
        let (high, low) = (number >> 32, number & u64::from(u32::MAX));
        let total = self.entries.last().map_or(0, |entry| entry.weights);
        let target = (high * total) >> 32;
        let found = self.entries.iter().find(|entry| target < entry.weights);
        let Some(entry) = found else {
            // There are no entries, which a checked scenario never has.
            return Request {
                method: 0,
                message: &[],
            };
        };
        let offset = usize::try_from((low * entry.requests) >> 32).unwrap_or_default();
        Request {
            method: entry.method,
            message: self.message(entry.first + offset),
        }
    }

    fn message(&self, index: usize) -> &[u8] {
        let begin = |index: usize| {
            let begin = self.begins.get(index);
            begin.map_or(self.arena.len(), |begin| *begin as usize)
        };
        &self.arena[begin(index)..begin(index + 1)]
    }
}

/// A pseudo-random number from a seed and a counter. Similar seeds give unrelated numbers.
#[inline]
pub(super) fn mixed(seed: u64, n: u64) -> u64 {
    splitmix(splitmix(seed).wrapping_add(n.wrapping_mul(GOLDEN)))
}

/// The step of `SplitMix64`.
#[inline]
fn splitmix(seed: u64) -> u64 {
    let z = seed.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
