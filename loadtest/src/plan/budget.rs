//! The time that windows may take together.

use std::time::Duration;

/// What a window takes beyond its length until the first has shown it: answers to wait for, processes to look at.
const EXCESS_AT_FIRST: Duration = Duration::from_millis(200);

/// A budget, and what was spent of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<Duration>,
    total: Duration,
    excess: Duration,
    windows: u32,
}

impl Budget {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            total: Duration::ZERO,
            excess: Duration::ZERO,
            windows: 0,
        }
    }

    pub(super) fn spent(&mut self, planned: Duration, took: Duration) {
        self.total += took;
        self.excess += took.saturating_sub(planned);
        self.windows += 1;
    }

    pub(super) fn total(&self) -> Duration {
        self.total
    }

    pub(super) fn windows(&self) -> u32 {
        self.windows
    }

    pub(super) fn share(&self) -> Option<f64> {
        let limit = self.limit?.as_secs_f64();
        Some((self.total.as_secs_f64() / limit.max(1e-9)).min(1.0))
    }

    /// What so many windows will take, as far as those before have shown.
    pub(super) fn cost(&self, window: Duration, count: usize) -> Duration {
        let excess = match self.windows {
            0 => EXCESS_AT_FIRST,
            windows => self.excess / windows,
        };
        (window + excess).saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub(super) fn fits(&self, cost: Duration) -> bool {
        self.limit.is_none_or(|limit| self.total + cost <= limit)
    }

    /// Whether after `cost` there is still room for the rounds of equal load: for one in any case, for all of them up to
    /// half of the budget.
    pub(super) fn leaves(&self, cost: Duration, round: Duration, rounds: u32) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let all = round.saturating_mul(rounds).min(limit / 2);
        let reserve = if rounds == 0 {
            Duration::ZERO
        } else {
            all.max(round)
        };
        self.fits(cost + reserve)
    }
}
