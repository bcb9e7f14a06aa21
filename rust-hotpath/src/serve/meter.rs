//! Lock-free counters of hot requests.

use crate::histogram::{Durations, Histogram};
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

/// The label of reasons that the model did not list.
pub const OTHER: &str = "other";

/// Counters per method.
#[derive(Debug)]
pub struct Meter {
    methods: Arc<[Counters]>,
    /// Of each method: requests declined by reason, those for another reason last.
    declines: Box<[Box<[AtomicU64]>]>,
}

/// The counts of one method.
#[derive(Clone, Debug)]
pub struct MethodCounts {
    /// Requests by status code; codes that never occurred are absent.
    pub codes: Vec<(Code, u64)>,
    /// Requests by duration.
    pub durations: Durations,
}

#[derive(Debug)]
struct Counters {
    codes: [AtomicU64; CODES],
    durations: Histogram,
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
    pub(super) fn new(methods: usize, reasons: usize) -> Self {
        let declines = (0..methods).map(|_| (0..=reasons).map(|_| AtomicU64::new(0)).collect());
        let counters = (0..methods).map(|_| Counters {
            codes: from_fn(|_| AtomicU64::new(0)),
            durations: Histogram::default(),
        });
        Self {
            methods: counters.collect(),
            declines: declines.collect(),
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

    /// One request that the model declined, for one of its reasons or for another.
    pub(super) fn decline(&self, method: usize, reason: Option<usize>) {
        let reasons = &self.declines[method];
        let index = reason.unwrap_or(reasons.len() - 1);
        reasons[index].fetch_add(1, Relaxed);
    }

    /// Requests declined of each method, by the index of the reason; those for [`OTHER`] reasons last.
    pub fn declines(&self) -> impl Iterator<Item = Vec<u64>> {
        let methods = self.declines.iter();
        methods.map(|reasons| reasons.iter().map(|count| count.load(Relaxed)).collect())
    }

    /// Counts of each method, in the order of `Model::METHODS`.
    pub fn counts(&self) -> impl Iterator<Item = MethodCounts> {
        self.methods.iter().map(|counters| {
            let codes = (0_i32..).zip(&counters.codes);
            let codes = codes.map(|(code, count)| (Code::from_i32(code), count.load(Relaxed)));
            MethodCounts {
                codes: codes.filter(|(_, count)| *count > 0).collect(),
                durations: counters.durations.read(),
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
        let code = usize::try_from(i32::from(code)).unwrap_or(0);
        self.codes[code].fetch_add(1, Relaxed);
        self.durations.count(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_code_and_vanished_ones_as_cancelled() {
        let meter = Meter::new(2, 0);
        meter.start(1).end((Code::Ok, ()));
        drop(meter.start(1));
        let counts: Vec<_> = meter.counts().collect();
        assert!(counts[0].codes.is_empty());
        assert_eq!(counts[1].codes, [(Code::Ok, 1), (Code::Cancelled, 1)]);
        assert_eq!(counts[1].durations.count(), 2);
    }
}
