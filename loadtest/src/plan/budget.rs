//! The time that windows may take together.

use std::time::Duration;

/// What a window takes beyond its length until the first has shown it: answers to wait for, processes to look at.
const EXCESS_AT_FIRST: Duration = Duration::from_millis(200);

/// Rounds of equal load without which their median and their spread say little.
const ROUNDS_WANTED: usize = 3;
/// Most of the budget that is kept for them.
const ROUNDS_SHARE: f64 = 0.6;

/// What windows are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a search: those that break take longer, since their last answers come late or never.
    Search,
    /// All others.
    Calm,
}

/// A budget, and what was spent of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<Duration>,
    total: Duration,
    search: Account,
    calm: Account,
}

/// Windows of one kind, and what they took beyond their length.
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
            calm: Account::default(),
        }
    }

    pub(super) fn spent(&mut self, kind: Kind, planned: Duration, took: Duration) {
        self.total += took;
        let account = match kind {
            Kind::Search => &mut self.search,
            Kind::Calm => &mut self.calm,
        };
        account.excess += took.saturating_sub(planned);
        account.windows += 1;
    }

    pub(super) fn total(&self) -> Duration {
        self.total
    }

    pub(super) fn windows(&self) -> u32 {
        self.search.windows + self.calm.windows
    }

    pub(super) fn share(&self) -> Option<f64> {
        let limit = self.limit?.as_secs_f64();
        Some((self.total.as_secs_f64() / limit.max(1e-9)).min(1.0))
    }

    /// What so many windows will take, as far as those of their kind have shown.
    pub(super) fn cost(&self, kind: Kind, window: Duration, count: usize) -> Duration {
        let account = match kind {
            Kind::Search if self.search.windows > 0 => &self.search,
            _ => &self.calm,
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

    /// Whether after `cost` there is still room for the rounds of equal load: for all of them up to half of the budget, for
    /// three in any case, or for as many as [`ROUNDS_SHARE`] of it holds, and for one if it is shorter still.
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
    fn windows_that_break_make_the_calm_ones_no_longer() {
        let second = Duration::from_secs(1);
        let mut budget = Budget::new(None);
        assert_eq!(
            budget.cost(Kind::Calm, second, 2),
            2 * (second + EXCESS_AT_FIRST)
        );
        budget.spent(Kind::Calm, second, second);
        assert_eq!(budget.cost(Kind::Search, second, 1), second);
        budget.spent(Kind::Search, second, 3 * second);
        assert_eq!(budget.cost(Kind::Search, second, 1), 3 * second);
        assert_eq!(budget.cost(Kind::Calm, second, 1), second);
        assert_eq!((budget.total(), budget.windows()), (4 * second, 2));
    }
}
