//! The time budget for all windows together.

use std::time::Duration;

/// The time that a window is taken to need beyond its length until the first has shown it: to wait for answers and to
/// look at the processes.
const EXCESS_AT_FIRST: Duration = Duration::from_millis(200);

/// With fewer rounds of equal load, their median and their spread say little.
const ROUNDS_WANTED: usize = 3;
/// The largest share of the budget that is kept for that many rounds.
const ROUNDS_SHARE: f64 = 0.6;

/// The largest share of the budget that is kept for rounds of full load.
const FULL_SHARE: f64 = 0.2;

/// Kinds of windows, by how long they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Windows of a search. Those that break take longer, because their last answers come late or never.
    Search,
    /// All other windows.
    Unloaded,
}

/// The budget, and what was spent of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<Duration>,
    total: Duration,
    search: Account,
    unloaded: Account,
}

/// How many windows of one kind there were, and what they took beyond their length.
#[derive(Debug, Default)]
struct Account {
    excess: Duration,
    windows: u32,
}

impl Budget {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            total: Duration::ZERO,
            search: Account::default(),
            unloaded: Account::default(),
        }
    }

    pub(super) fn spent(&mut self, kind: Kind, planned: Duration, took: Duration) {
        self.total += took;
        let account = match kind {
            Kind::Search => &mut self.search,
            Kind::Unloaded => &mut self.unloaded,
        };
        account.excess += took.saturating_sub(planned);
        account.windows += 1;
    }

    pub(super) fn total(&self) -> Duration {
        self.total
    }

    pub(super) fn windows(&self) -> u32 {
        self.search.windows + self.unloaded.windows
    }

    pub(super) fn share(&self) -> Option<f64> {
        let limit = self.limit?.as_secs_f64();
        Some((self.total.as_secs_f64() / limit.max(1e-9)).min(1.0))
    }

    /// Returns how long `count` windows will take, judging by earlier ones of their kind.
    pub(super) fn cost(&self, kind: Kind, window: Duration, count: usize) -> Duration {
        let account = match kind {
            Kind::Search if self.search.windows > 0 => &self.search,
            _ => &self.unloaded,
        };
        let excess = match account.windows {
            0 => EXCESS_AT_FIRST,
            windows => account.excess / windows,
        };
        (window + excess).saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub(super) fn fits(&self, cost: Duration) -> bool {
        self.limit.is_none_or(|limit| self.total + cost <= limit)
    }

    /// Returns for how many rounds of full load time is kept, if each takes as long as `round`.
    pub(super) fn rounds_for_full_load(&self, round: Duration, rounds: u32) -> u32 {
        let share = self.limit.map(|limit| limit.as_secs_f64() * FULL_SHARE);
        let fits = |&n: &u32| share.is_none_or(|share| round.as_secs_f64() * f64::from(n) <= share);
        (1..=rounds).take_while(fits).last().unwrap_or_default()
    }

    /// Whether enough time is left after `cost` for the rounds of equal load. Time is reserved for the largest of these
    /// numbers of rounds, but not for more than `rounds`: as many as fit into half of the budget; up to
    /// [`ROUNDS_WANTED`] that fit into [`ROUNDS_SHARE`] of it; one.
    pub(super) fn leaves(&self, cost: Duration, round: Duration, rounds: u32) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let fit = |share: f64| {
            let fit = limit.as_secs_f64() * share / round.as_secs_f64().max(1e-9);
            (1..=rounds).take_while(|&n| f64::from(n) <= fit).count()
        };
        let reserved = fit(0.5).max(fit(ROUNDS_SHARE).min(ROUNDS_WANTED)).max(1);
        let reserved = u32::try_from(reserved).unwrap_or(u32::MAX).min(rounds);
        self.fits(cost + round.saturating_mul(reserved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_break_make_the_unloaded_ones_no_longer() {
        let second = Duration::from_secs(1);
        let mut budget = Budget::new(None);
        assert_eq!(
            budget.cost(Kind::Unloaded, second, 2),
            2 * (second + EXCESS_AT_FIRST)
        );
        budget.spent(Kind::Unloaded, second, second);
        assert_eq!(budget.cost(Kind::Search, second, 1), second);
        budget.spent(Kind::Search, second, 3 * second);
        assert_eq!(budget.cost(Kind::Search, second, 1), 3 * second);
        assert_eq!(budget.cost(Kind::Unloaded, second, 1), second);
        assert_eq!((budget.total(), budget.windows()), (4 * second, 2));
    }
}
