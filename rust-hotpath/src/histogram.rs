//! Lock-free histograms of durations, as `/metrics` shows them.

use std::{
    array::from_fn,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets, in microseconds. One more bucket has no bound.
pub const BOUNDS_US: [u64; 16] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    1_000_000, 5_000_000,
];

/// What was counted by duration.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    total_ns: AtomicU64,
}

/// The counts of a histogram at one moment.
#[derive(Clone, Debug)]
pub struct Durations {
    /// How many there were in each bucket; see [`BOUNDS_US`].
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// All durations together.
    pub total: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn count(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.total_ns.fetch_add(ns, Relaxed);
    }

    /// What was counted.
    #[must_use]
    pub fn read(&self) -> Durations {
        Durations {
            buckets: from_fn(|index| self.buckets[index].load(Relaxed)),
            total: Duration::from_nanos(self.total_ns.load(Relaxed)),
        }
    }
}

impl Durations {
    /// How many there were in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for us in [0, 10, 11, 5_000_000, 5_000_001] {
            histogram.count(Duration::from_micros(us));
        }
        let read = histogram.read();
        assert_eq!((read.buckets[0], read.buckets[1]), (2, 1));
        assert_eq!((read.buckets[15], read.buckets[16]), (1, 1));
        assert_eq!(read.count(), 5);
        assert_eq!(read.total, Duration::from_micros(10_000_022));
    }
}
