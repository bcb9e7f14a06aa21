//! Observations such as the generator would make, for tests.

use crate::measure::{self, GeneratorObserved, MethodObserved, Observed, WritesObserved};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Held while a test writes a program and starts it. A process that another thread starts meanwhile briefly inherits
/// the file, open for writing, and the kernel does not start a file that is open for writing.
pub(crate) fn starting() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A window of one second in which all reads took the same time.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn observed(reads: u64, latency: Duration) -> Observed {
    let mut times = measure::latencies();
    let mut lag = measure::latencies();
    times.saturating_record_n(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX), reads);
    lag.saturating_record_n(20_000, reads);
    Observed {
        planned: reads,
        sent: reads,
        expired: 0,
        ok: reads,
        statuses: BTreeMap::from([(0, reads)]),
        elapsed: Duration::from_secs(1),
        achieved_qps: reads as f64,
        until_drained: Duration::from_secs(1),
        methods: vec![MethodObserved {
            planned: reads,
            errors: 0,
            from_planned: times.clone(),
        }],
        from_sent: times.clone(),
        from_planned: times,
        generator: GeneratorObserved {
            cpu_fraction: 0.3,
            lag,
            held_back: 0,
            in_flight_max: 4,
        },
        writes: WritesObserved {
            done: 0,
            failed: 0,
            last_failure: None,
            from_planned: measure::latencies(),
        },
        replies: None,
        interrupted: false,
    }
}
