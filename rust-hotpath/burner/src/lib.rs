//! Uses a known CPU time, by arithmetic that nothing can shorten.
//!
//! The Go burner (`go-shim/examples/burn/burner`) runs the same loop. Each process measures by itself how long a step
//! takes. Otherwise the compiler, an unrolled loop or the clock of the core could make one of them burn more than the
//! other.

use std::{
    hint::black_box,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Most nanoseconds that can be burnt at once: 100 ms.
pub const MAX_WORK_NS: u32 = 100_000_000;

/// Knuth's constants for MMIX. Each step needs the result of the one before, so a core can't do two at once.
const FACTOR: u64 = 6_364_136_223_846_793_005;
const SUMMAND: u64 = 1_442_695_040_888_963_407;

/// Steps of a timed run. It takes some 300 µs, so short that some of the runs are not interrupted.
const TIMED_STEPS: u64 = 200_000;
/// The number of timed runs. Only the fastest counts.
const TIMED_RUNS: u32 = 300;

/// A loop whose speed in this process is known.
#[derive(Debug, Clone, Copy)]
pub struct Burner {
    steps_per_ns: f64,
}

impl Burner {
    /// Times the loop, which takes about 0.1 s.
    #[must_use]
    pub fn calibrated() -> Self {
        let fastest = (0..TIMED_RUNS)
            .map(|_| timed())
            .min()
            .unwrap_or(Duration::MAX);
        Self::with(TIMED_STEPS, fastest)
    }

    #[allow(clippy::cast_precision_loss)]
    fn with(steps: u64, took: Duration) -> Self {
        let ns = took.as_nanos().max(1) as f64;
        Self {
            steps_per_ns: steps as f64 / ns,
        }
    }

    /// Uses `work_ns` of CPU.
    #[inline]
    pub fn burn(&self, work_ns: u32) {
        run(self.steps(work_ns));
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn steps(&self, work_ns: u32) -> u64 {
        (f64::from(work_ns) * self.steps_per_ns) as u64
    }
}

/// The burner of this process, calibrated by the first call.
pub fn shared() -> &'static Burner {
    static SHARED: OnceLock<Burner> = OnceLock::new();
    SHARED.get_or_init(Burner::calibrated)
}

/// Uses `work_ns` of CPU, for callers in C. The first call takes about 0.1 s more.
// The name must be that of Go's declaration. Nothing else in this workspace exports one like it.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn hotpath_burn(work_ns: u32) {
    shared().burn(work_ns);
}

fn timed() -> Duration {
    let begun = Instant::now();
    run(TIMED_STEPS);
    begun.elapsed()
}

// This is not inlined, so that the loop that burns is the one that was timed.
#[inline(never)]
fn run(steps: u64) {
    let mut state = black_box(steps);
    for _ in 0..steps {
        state = state.wrapping_mul(FACTOR).wrapping_add(SUMMAND);
    }
    black_box(state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_from_the_time_of_one() {
        let burner = Burner::with(1000, Duration::from_nanos(2000));
        assert_eq!(burner.steps(0), 0);
        assert_eq!(burner.steps(100), 50);
        assert_eq!(burner.steps(MAX_WORK_NS), 50_000_000);
    }

    #[test]
    fn calibrating_finds_a_time() {
        assert!(Burner::calibrated().steps(MAX_WORK_NS) > 0);
        hotpath_burn(1000);
    }
}
