//! Computes counters as they were before an instant.

use super::signed;
use crate::history::History;
use crate::ledger::{Counters, Holding, Phase};

/// What a balance says about one holding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The sums of the counted entries. Because of back-dated entries a pending counter may be negative.
    pub counters: Counters,
    /// The number of counted entries, of any phase.
    pub entry_count: u64,
    /// The latest time of a counted entry, in microseconds since the epoch.
    pub last_occurred_at_us: Option<i64>,
}

impl Standing {
    /// Counts all entries.
    #[must_use]
    pub fn now(holding: &Holding<'_>) -> Self {
        Self {
            counters: holding.counters,
            entry_count: holding.entry_count,
            last_occurred_at_us: Some(holding.last_occurred_at_us),
        }
    }

    /// Counts the entries that occurred before `as_of_us`.
    #[must_use]
    pub fn before(holding: &Holding<'_>, as_of_us: i64) -> Self {
        if holding.last_occurred_at_us < as_of_us {
            return Self::now(holding);
        }
        let mut standing = match holding.log.history() {
            Some(history) => Self::indexed(history, as_of_us),
            None => Self::default(),
        };
        let entries = holding.log.scanned().flatten();
        for entry in entries.filter(|entry| entry.occurred_at_us < as_of_us) {
            standing.counters.count(entry.amount, entry.phase);
            standing.entry_count += 1;
            standing.last_occurred_at_us =
                standing.last_occurred_at_us.max(Some(entry.occurred_at_us));
        }
        standing
    }

    fn indexed(history: &History, as_of_us: i64) -> Self {
        let [posted, holds, releases] = [Phase::Posted, Phase::Hold, Phase::Release]
            .map(|phase| history.before(phase, as_of_us));
        let pending = |held: u128, released: u128| signed(held) - signed(released);
        let (held, released) = (holds.sums, releases.sums);
        Self {
            counters: Counters {
                credits_posted: signed(posted.sums.credit_sum),
                debits_posted: signed(posted.sums.debit_sum),
                credits_pending: pending(held.credit_sum, released.credit_sum),
                debits_pending: pending(held.debit_sum, released.debit_sum),
            },
            entry_count: posted.sums.count() + held.count() + released.count(),
            last_occurred_at_us: posted.last_us.max(holds.last_us).max(releases.last_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Event, ledger};
    use super::*;
    use crate::ledger::Phase::{Hold, Posted, Release};

    fn standing(events: &[Event], as_of_us: i64) -> Standing {
        let ledger = ledger(events);
        let holding = ledger.account("a").and_then(|a| a.holding(0));
        Standing::before(&holding.expect("a holding"), as_of_us)
    }

    #[test]
    fn entries_at_the_instant_are_not_counted() {
        let events = [(5, 10, Posted, ""), (9, 1, Posted, ""), (3, 2, Posted, "")];
        let seen = |as_of| {
            let s = standing(&events, as_of);
            (s.counters.posted(), s.entry_count, s.last_occurred_at_us)
        };
        assert_eq!(seen(3), (0, 0, None));
        assert_eq!(seen(4), (2, 1, Some(3)));
        assert_eq!(seen(9), (12, 2, Some(5)));
        assert_eq!(seen(10), (13, 3, Some(9)));
    }

    #[test]
    fn a_back_dated_release_can_make_a_pending_counter_negative() {
        let events = [(10, -5, Hold, ""), (2, -5, Release, "")];
        let before = standing(&events, 5).counters;
        assert_eq!((before.debits_pending, before.available()), (-5, 5));
        assert_eq!(standing(&events, 11).counters.debits_pending, 0);
    }
}
