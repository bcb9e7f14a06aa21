//! Who was on the other side.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::Window;
use crate::ledger::{Log, Names, Slot};

/// Sets of slots are bit maps if they are at least this dense, else sorted lists.
const SLOTS_PER_ENTRY: usize = 64;

/// What passed between an account and one counterparty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Entries.
    pub count: u64,
    /// Sum of the credits.
    pub credit_sum: i128,
    /// Sum of |amount| of the debits.
    pub debit_sum: i128,
}

impl Total {
    fn size(&self) -> i128 {
        self.credit_sum + self.debit_sum
    }

    fn add(&mut self, amount: i64) {
        let side = if amount > 0 {
            &mut self.credit_sum
        } else {
            &mut self.debit_sum
        };
        *side += i128::from(amount.unsigned_abs());
        self.count += 1;
    }
}

/// How many different counterparties a window names; nobody is not one.
#[must_use]
pub fn distinct(log: &Log, window: Window) -> u64 {
    let slots = window.entries(log).filter_map(|entry| entry.counterparty());
    let mut slots: Vec<Slot> = slots.collect();
    let Some(&highest) = slots.iter().max() else {
        return 0;
    };
    if highest as usize / SLOTS_PER_ENTRY > slots.len() {
        slots.sort_unstable();
        slots.dedup();
        return slots.len() as u64;
    }
    let mut seen = vec![0_u64; highest as usize / 64 + 1];
    for slot in slots {
        seen[slot as usize / 64] |= 1 << (slot % 64);
    }
    seen.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// The counterparties with the largest sum of |amount|, largest first, equals by the bytes of their id.
#[must_use]
pub fn top<'a>(log: &Log, window: Window, limit: usize, ids: &'a Names) -> Vec<(&'a str, Total)> {
    let mut totals = HashMap::<Slot, Total, ahash::RandomState>::default();
    for entry in window.entries(log) {
        if let Some(slot) = entry.counterparty() {
            totals.entry(slot).or_default().add(entry.amount);
        }
    }
    let mut totals: Vec<(Slot, Total)> = totals.into_iter().collect();
    // Names differ, so this is a total order and the map's own order leaves no trace.
    let rank = |a: &(Slot, Total), b: &(Slot, Total)| {
        let by_size = Reverse(a.1.size()).cmp(&Reverse(b.1.size()));
        by_size.then_with(|| ids.name(a.0).cmp(ids.name(b.0)))
    };
    if limit < totals.len() {
        totals.select_nth_unstable_by(limit, rank);
        totals.truncate(limit);
    }
    totals.sort_unstable_by(rank);
    let named = totals.into_iter();
    named.map(|(slot, total)| (ids.name(slot), total)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALWAYS, Event, ledger, log};
    use super::*;
    use crate::ledger::Phase::{Hold, Posted};

    fn ranked(events: &[Event], limit: usize) -> Vec<(String, u64, i128, i128)> {
        let ledger = ledger(events);
        let rows = top(log(&ledger), ALWAYS, limit, ledger.ids());
        rows.into_iter()
            .map(|(id, t)| (id.to_owned(), t.count, t.credit_sum, t.debit_sum))
            .collect()
    }

    #[test]
    fn the_largest_come_first_and_equals_by_id() {
        let events = [
            (0, 5, Posted, "zoe"),
            (0, -5, Posted, "bob"),
            (0, 2, Posted, "Bob"),
            (0, -3, Posted, "Bob"),
            (0, 9, Posted, ""),
            (0, 99, Hold, "held"),
            (0, -6, Posted, "eve"),
        ];
        let all = [
            ("eve".to_owned(), 1, 0, 6),
            ("Bob".to_owned(), 2, 2, 3),
            ("bob".to_owned(), 1, 0, 5),
            ("zoe".to_owned(), 1, 5, 0),
        ];
        for limit in 1..=5 {
            assert_eq!(ranked(&events, limit), all[..limit.min(4)]);
        }
    }

    #[test]
    fn an_empty_window_has_nobody() {
        let ledger = ledger(&[(0, 5, Posted, "zoe")]);
        let nowhere = Window {
            from_us: 1,
            to_us: 2,
        };
        assert!(top(log(&ledger), nowhere, 5, ledger.ids()).is_empty());
        assert_eq!(distinct(log(&ledger), nowhere), 0);
    }

    #[test]
    fn sparse_and_dense_sets_count_alike() {
        let names: Vec<String> = (0..1_000).map(|n| format!("c{n}")).collect();
        let all: Vec<Event> = (0..)
            .zip(&names)
            .map(|(t, n)| (t, 1, Posted, &**n))
            .collect();
        let mut events = all.clone();
        events.extend(&all[990..]);
        events.push((0, 1, Posted, ""));
        let ledger = ledger(&events);
        assert_eq!(distinct(log(&ledger), ALWAYS), 1_000);
        for (from_us, to_us, expected) in [(998, 1_000, 2), (500, 1_000, 500), (0, 1, 1)] {
            let window = Window { from_us, to_us };
            assert_eq!(distinct(log(&ledger), window), expected);
        }
    }
}
