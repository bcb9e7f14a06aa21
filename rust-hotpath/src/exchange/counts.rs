//! Lock-free counters of the exchange.

use crate::error::Kind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters over all lanes.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) lanes: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) offloaded: AtomicU64,
    pub(super) waited: AtomicU64,
    pub(super) too_long: AtomicU64,
    pub(super) long: AtomicU64,
    errors: [AtomicU64; Kind::LANE.len()],
}

impl Counts {
    /// Lanes that are open at this moment.
    pub fn lanes(&self) -> u64 {
        self.lanes.load(Relaxed)
    }

    /// Requests that came over a lane.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Messages that carried these requests.
    pub fn batches(&self) -> u64 {
        self.batches.load(Relaxed)
    }

    /// Requests that moved to another thread because they would have held up others on their lane.
    pub fn offloaded(&self) -> u64 {
        self.offloaded.load(Relaxed)
    }

    /// Requests that waited for a position.
    pub fn waited(&self) -> u64 {
        self.waited.load(Relaxed)
    }

    /// Replies that were too long for a lane, so that the shim asks again by unary call.
    pub fn too_long(&self) -> u64 {
        self.too_long.load(Relaxed)
    }

    /// Replies that left in pieces.
    pub fn long(&self) -> u64 {
        self.long.load(Relaxed)
    }

    /// Lanes that ended with another status than OK, by reason.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = Kind::LANE.iter().map(|kind| kind.reason());
        reasons.zip(self.errors.iter().map(|count| count.load(Relaxed)))
    }

    pub(super) fn ended(&self, kind: Kind) {
        if let Some(index) = Kind::LANE.iter().position(|known| *known == kind) {
            self.errors[index].fetch_add(1, Relaxed);
        }
    }
}
