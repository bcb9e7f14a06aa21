//! Lock-free counters of hot requests.

use std::{
    array::from_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tonic::Code;

const CODES: usize = 17;

/// Upper bounds of the histogram's buckets, in microseconds. One more bucket has no bound.
pub const BOUNDS_US: [u64; 16] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    1_000_000, 5_000_000,
];

/// Counters per method.
#[derive(Debug)]
pub struct Meter {
    methods: Arc<[Counters]>,
}

/// The counts of one method.
#[derive(Clone, Debug)]
pub struct MethodCounts {
    /// Requests by status code; codes that never occurred are absent.
    pub codes: Vec<(Code, u64)>,
    /// Requests by duration; see [`BOUNDS_US`].
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// Duration of all requests together.
    pub total: Duration,
}

#[derive(Debug)]
struct Counters {
    codes: [AtomicU64; CODES],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    total_ns: AtomicU64,
}

/// One request under way. If it is dropped before [`Self::end`], the client has left.
pub(super) struct Call {
    methods: Arc<[Counters]>,
    method: usize,
    started: Instant,
    took: Option<Duration>,
    code: Code,
}

impl Meter {
    pub(super) fn new(methods: usize) -> Self {
        let counters = (0..methods).map(|_| Counters {
            codes: from_fn(|_| AtomicU64::new(0)),
            buckets: from_fn(|_| AtomicU64::new(0)),
            total_ns: AtomicU64::new(0),
        });
        Self {
            methods: counters.collect(),
        }
    }

    pub(super) fn start(&self, method: usize) -> Call {
        Call {
            methods: Arc::clone(&self.methods),
            method,
            started: Instant::now(),
            took: None,
            code: Code::Cancelled,
        }
    }

    /// Counts one request that has ended.
    pub(crate) fn count(&self, method: usize, code: Code, took: Duration) {
        self.methods[method].count(code, took);
    }

    /// Counts of each method, in the order of `Model::METHODS`.
    pub fn counts(&self) -> impl Iterator<Item = MethodCounts> {
        self.methods.iter().map(|counters| {
            let codes = (0_i32..).zip(&counters.codes);
            let codes = codes.map(|(code, count)| (Code::from_i32(code), count.load(Relaxed)));
            MethodCounts {
                codes: codes.filter(|(_, count)| *count > 0).collect(),
                buckets: from_fn(|index| counters.buckets[index].load(Relaxed)),
                total: Duration::from_nanos(counters.total_ns.load(Relaxed)),
            }
        })
    }
}

impl Call {
    /// The duration, which is measured once, because reading the clock costs as much as all the counting.
    pub(super) fn took(&mut self) -> Duration {
        *self.took.get_or_insert_with(|| self.started.elapsed())
    }

    pub(super) fn end<T>(mut self, (code, response): (Code, T)) -> T {
        self.code = code;
        response
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.took();
        self.methods[self.method].count(self.code, took);
    }
}

impl Counters {
    fn count(&self, code: Code, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let code = usize::try_from(i32::from(code)).unwrap_or(0);
        self.codes[code].fetch_add(1, Relaxed);
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.total_ns.fetch_add(ns, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_code_and_vanished_ones_as_cancelled() {
        let meter = Meter::new(2);
        meter.start(1).end((Code::Ok, ()));
        drop(meter.start(1));
        let counts: Vec<_> = meter.counts().collect();
        assert!(counts[0].codes.is_empty());
        assert_eq!(counts[1].codes, [(Code::Ok, 1), (Code::Cancelled, 1)]);
        assert_eq!(counts[1].buckets.iter().sum::<u64>(), 2);
    }
}
