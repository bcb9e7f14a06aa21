//! Exact statistics over one version of the ledger. They use integers only, and each figure depends on nothing but the
//! entries.

pub mod asof;
pub mod calendar;
pub mod counterparties;
pub mod percentile;
pub mod selection;
pub mod series;
pub mod wide;
pub mod window;

use crate::ledger::{Logged, Phase};

pub use selection::Selection;

/// A span of time. The start belongs to it, the end does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Inclusive start, in microseconds since the epoch.
    pub from_us: i64,
    /// Exclusive end, in microseconds since the epoch.
    pub to_us: i64,
}

impl Window {
    /// True if `time_us` is inside.
    #[must_use]
    pub fn contains(&self, time_us: i64) -> bool {
        self.from_us <= time_us && time_us < self.to_us
    }

    /// True if the statistics count this entry: it is posted, and inside.
    fn takes(&self, entry: &Logged) -> bool {
        entry.phase == Phase::Posted && self.contains(entry.occurred_at_us)
    }
}

/// A sum of amounts as a signed number. It fits, because a history has far fewer than 2^64 entries.
fn signed(sum: u128) -> i128 {
    i128::try_from(sum).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Draft, DraftEntry, Keeping, Ledger, Log};

    /// An entry of account "a" in asset "GBP": time, amount, phase, counterparty.
    pub(super) type Event<'a> = (i64, i64, Phase, &'a str);

    /// A ledger with exactly these entries, booked in this order.
    pub(super) fn ledger(events: &[Event]) -> Ledger {
        kept(Keeping::default(), events)
    }

    pub(super) fn kept(keeping: Keeping, events: &[Event]) -> Ledger {
        let mut ledger = Ledger::keeping(keeping);
        for (position, &(at, amount, phase, counterparty)) in (1..).zip(events) {
            let draft = Draft {
                position,
                transaction_id: "t".into(),
                occurred_at_us: at,
                external: true,
                entries: vec![DraftEntry {
                    account_id: "a".into(),
                    asset: "GBP".into(),
                    amount,
                    phase: phase as i32,
                    counterparty: counterparty.into(),
                    ..DraftEntry::default()
                }],
            };
            let transaction = draft.check().expect("a good transaction");
            ledger.apply(&transaction).expect("a good transaction");
        }
        ledger
    }

    pub(super) fn log(ledger: &Ledger) -> &Log {
        let account = ledger.account("a").expect("an account");
        account.holding(0).expect("a holding").log
    }

    /// Entries posted at the times 0, 1, 2, …
    pub(super) fn posted(amounts: &[i64]) -> Ledger {
        let events = (0..).zip(amounts);
        let events: Vec<Event> = events.map(|(at, &x)| (at, x, Phase::Posted, "")).collect();
        ledger(&events)
    }

    pub(super) fn select<'a>(ledger: &'a Ledger, window: Window) -> Selection<'a> {
        Selection::of(log(ledger), window)
    }

    pub(super) const ALWAYS: Window = Window {
        from_us: i64::MIN,
        to_us: i64::MAX,
    };

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        let window = Window {
            from_us: -1,
            to_us: 1,
        };
        let inside = [-2, -1, 0, 1].map(|t| window.contains(t));
        assert_eq!(inside, [false, true, true, false]);
    }

    #[test]
    fn only_posted_entries_are_taken() {
        let ledger = ledger(&[
            (0, 1, Phase::Posted, ""),
            (0, 2, Phase::Hold, ""),
            (0, 2, Phase::Release, ""),
        ]);
        assert_eq!(select(&ledger, ALWAYS).scanned().count(), 1);
    }
}
