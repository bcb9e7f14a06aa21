//! Finds out who was on the other side of an account's entries.

use super::{Selection, signed};
use crate::history::PartySums;
use crate::ledger::{Logged, Names, Slot};

/// From this many slots per entry on, entries are sorted by slot. Below that, a table by slot is used.
const SLOTS_PER_ENTRY: usize = 16;

/// The entries between an account and one counterparty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The number of entries.
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

impl From<PartySums> for Total {
    fn from(sums: PartySums) -> Self {
        Self {
            count: sums.count,
            credit_sum: signed(sums.credit_sum),
            debit_sum: signed(sums.debit_sum),
        }
    }
}

/// Returns how many different counterparties a selection names. Entries without a counterparty do not count.
#[must_use]
pub fn distinct(selection: &Selection<'_>) -> u64 {
    if let Some(slices) = &selection.slices {
        return slices.distinct();
    }
    let slots = selection.scanned().filter_map(Logged::counterparty);
    let mut slots: Vec<Slot> = slots.collect();
    let highest = slots.iter().max().map_or(0, |&slot| slot as usize);
    if is_sparse(slots.len(), highest) {
        slots.sort_unstable();
        slots.dedup();
        return slots.len() as u64;
    }
    let mut seen = vec![0_u64; highest / 64 + 1];
    for slot in slots {
        seen[slot as usize / 64] |= 1 << (slot % 64);
    }
    seen.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Returns the `limit` counterparties with the largest sum of |amount|, the largest first. Equal sums are ordered by
/// the bytes of the ids.
#[must_use]
pub fn top<'a>(selection: &Selection<'_>, limit: usize, ids: &'a Names) -> Vec<(&'a str, Total)> {
    if let Some(slices) = &selection.slices {
        let found = slices.top(limit, |a, b| ids.name(a).cmp(ids.name(b)));
        let named = found.into_iter();
        return named
            .map(|(slot, sums)| (ids.name(slot), sums.into()))
            .collect();
    }
    let entries = selection.scanned();
    let amounts = entries.filter_map(|entry| Some((entry.counterparty()?, entry.amount)));
    let mut totals = totals(amounts.collect());
    // Names differ, so no two counterparties are equal in this order.
    let rank = |a: &(Slot, Total), b: &(Slot, Total)| {
        let by_size = b.1.size().cmp(&a.1.size());
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

/// Returns one total for each slot, in any order.
fn totals(mut amounts: Vec<(Slot, i64)>) -> Vec<(Slot, Total)> {
    let highest = amounts.iter().map(|&(slot, _)| slot as usize).max();
    let highest = highest.unwrap_or(0);
    let mut totals: Vec<(Slot, Total)> = Vec::new();
    if is_sparse(amounts.len(), highest) {
        amounts.sort_unstable_by_key(|&(slot, _)| slot);
        for same in amounts.chunk_by(|a, b| a.0 == b.0) {
            let mut total = Total::default();
            same.iter().for_each(|&(_, amount)| total.add(amount));
            totals.extend(same.first().map(|&(slot, _)| (slot, total)));
        }
        return totals;
    }
    // The index of each slot's total, counted from 1. 0 means that there is none yet.
    let mut places = vec![0; highest + 1];
    for (slot, amount) in amounts {
        let place: &mut usize = &mut places[slot as usize];
        if *place == 0 {
            totals.push((slot, Total::default()));
            *place = totals.len();
        }
        totals[*place - 1].1.add(amount);
    }
    totals
}

/// True if a table by slot would cost more than sorting the entries.
fn is_sparse(entries: usize, highest_slot: usize) -> bool {
    highest_slot / SLOTS_PER_ENTRY >= entries
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::super::tests::{ALWAYS, Event, kept, ledger, log, select};
    use super::*;
    use crate::ledger::Phase::{Hold, Posted};
    use crate::ledger::{Keeping, Ledger};

    fn ranked(events: &[Event], limit: usize) -> Vec<(String, u64, i128, i128)> {
        let ledger = ledger(events);
        let rows = top(&select(&ledger, ALWAYS), limit, ledger.ids());
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
        assert!(top(&select(&ledger, nowhere), 5, ledger.ids()).is_empty());
        assert_eq!(distinct(&select(&ledger, nowhere)), 0);
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
        for keeping in [Keeping::Scan, Keeping::default()] {
            check_counts(&kept(keeping, &events));
        }
    }

    fn check_counts(ledger: &Ledger) {
        assert_eq!(distinct(&select(ledger, ALWAYS)), 1_000);
        for (from_us, to_us, expected) in [(998, 1_000, 2), (500, 1_000, 500), (0, 1, 1)] {
            let window = Window { from_us, to_us };
            assert_eq!(distinct(&select(ledger, window)), expected);
            let rows = top(&select(ledger, window), 1_000, ledger.ids());
            assert_eq!(rows.len() as u64, expected);
            let counted: u64 = rows.iter().map(|(_, total)| total.count).sum();
            assert_eq!(
                counted,
                log(ledger)
                    .entries()
                    .filter(|e| window.takes(e) && e.counterparty().is_some())
                    .count() as u64
            );
        }
    }
}
