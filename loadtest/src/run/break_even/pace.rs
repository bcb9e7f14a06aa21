//! The lengths and the number of windows, for the time that there is.

use super::{VISIT, Visit, too_short};
use crate::{error::Result, report::break_even::model::Load, topology::burn::Answer};
use std::time::Duration;

/// The number of warm-up windows of each answer.
pub(super) const WARM_UPS: u32 = 2;
/// A closed loop has no rate.
pub(super) const NO_RATE: f64 = 0.0;
/// Even gaps of 0.5 ms. No answer takes that long, so one request at a time is under way.
const ALONE_QPS: f64 = 2000.0;

const WARM_UP: Duration = Duration::from_millis(1500);
const WINDOW: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// The time from the end of a window to the beginning of the next, which includes opening the connections.
const BETWEEN: Duration = Duration::from_millis(60);
/// The time to start the servers and to write the report.
const AROUND: Duration = Duration::from_secs(5);
/// Instead of windows shorter than this, there is one pass only.
const SHORT: Duration = Duration::from_millis(400);
/// The number of passes over all costs, if there is time.
const PASSES: u32 = 2;

/// The windows to run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pace {
    pub(super) passes: u32,
    window: Duration,
    works_us: Vec<f64>,
}

/// Returns the length of a warm-up window.
pub(super) fn warm_up(budget: Duration) -> Duration {
    WARM_UP.min(budget / 40).max(WINDOW.0)
}

/// Fails if not even the shortest windows fit into the budget.
pub(super) fn fits(works_us: &[f64], budget: Duration) -> Result<()> {
    let answers = u32::try_from(Answer::ALL.len()).unwrap_or(u32::MAX);
    let warm_ups = warm_up(budget) * answers * WARM_UPS;
    let least = (WINDOW.0 + BETWEEN) * windows(works_us) + warm_ups + AROUND;
    if budget < least {
        return Err(too_short(least));
    }
    Ok(())
}

/// Returns the number of windows of one pass.
fn windows(works_us: &[f64]) -> u32 {
    let each = works_us.iter().map(|work| members(Load::Full, *work));
    (each.sum::<u32>() + members(Load::OneInFlight, 0.0)) * VISIT
}

/// Returns the number of targets: the answers, the baseline again, and the baseline without work if there is work.
fn members(load: Load, work_us: f64) -> u32 {
    let answers = u32::try_from(Answer::ALL.len()).unwrap_or(u32::MAX);
    answers + 1 + u32::from(load == Load::Full && work_us > 0.0)
}

impl Pace {
    /// Chooses the lengths for the time that is left.
    pub(super) fn new(works_us: &[f64], left: Duration) -> Self {
        let left = left.saturating_sub(AROUND / 2);
        let window = |passes: u32| {
            let each = left / (windows(works_us) * passes).max(1);
            each.saturating_sub(BETWEEN).clamp(WINDOW.0, WINDOW.1)
        };
        let passes = if window(PASSES) < SHORT { 1 } else { PASSES };
        Self {
            passes,
            window: window(passes),
            works_us: works_us.to_vec(),
        }
    }

    /// Returns the visits of one pass. Every second pass runs backwards.
    pub(super) fn visits(&self, pass: u32) -> Vec<Visit> {
        let visit = |load, work_us, qps| Visit {
            load,
            work_us,
            qps,
            window: self.window,
            pass,
        };
        let alone = visit(Load::OneInFlight, 0.0, ALONE_QPS);
        let full = self.works_us.iter();
        let full = full.map(|work_us| visit(Load::Full, *work_us, NO_RATE));
        let mut visits: Vec<_> = full.chain([alone]).collect();
        if pass % 2 == 1 {
            visits.reverse();
        }
        visits
    }

    /// Returns how long a visit takes.
    pub(super) fn cost(&self, visit: &Visit) -> Duration {
        (self.window + BETWEEN) * members(visit.load, visit.work_us) * VISIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: [f64; 3] = [0.0, 10.0, 100.0];

    #[test]
    fn all_windows_fit_into_the_time() {
        for seconds in [20, 60, 240] {
            let left = Duration::from_secs(seconds);
            let pace = Pace::new(&WORKS, left);
            let visits = (0..pace.passes).flat_map(|pass| pace.visits(pass));
            let all: Duration = visits.map(|visit| pace.cost(&visit)).sum();
            assert!(all <= left, "{all:?} in {left:?}");
        }
    }

    #[test]
    fn every_second_pass_goes_backwards() {
        let pace = Pace::new(&WORKS, Duration::from_secs(240));
        assert_eq!(pace.passes, 2);
        let order = |pass| -> Vec<(Load, u64)> {
            let visits = pace.visits(pass).into_iter();
            visits.map(|v| (v.load, v.work_us.to_bits())).collect()
        };
        let back: Vec<_> = order(1).into_iter().rev().collect();
        assert_eq!(order(0), back);
    }

    #[test]
    fn a_budget_without_room_is_refused_with_the_least() {
        let error = fits(&WORKS, Duration::from_secs(4))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("--budget: is too short"), "{error}");
        assert!(fits(&WORKS, Duration::from_secs(30)).is_ok());
    }
}
