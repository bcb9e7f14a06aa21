//! The clock of a generator: nanoseconds since the generator was made.

use rustix::{
    thread::nanosleep,
    time::{ClockId, Timespec, clock_gettime},
};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        let origin = Instant::now();
        Self { origin }
    }

    pub(super) fn now(self) -> u64 {
        ns(self.origin.elapsed())
    }
}

/// A duration in nanoseconds; durations over 584 years become `u64::MAX`.
pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The same time in `rustix`'s type.
pub(super) fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0),
    }
}

/// Sleeps without looking at sockets.
pub(super) fn sleep(ns: u64) {
    // A signal may end the sleep early; the loop looks at the clock again.
    let _ = nanosleep(&timespec(ns));
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
