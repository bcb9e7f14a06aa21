//! Long merges of histories, which are done outside the writer's path.

use super::log::Effect;
use super::names::Slot;
use super::{Account, Ledger};
use crate::history::{Merge, Merged};

/// A merge, and whose history it is.
#[derive(Debug)]
pub struct Due {
    account: Slot,
    asset: Slot,
    merge: Merge,
}

/// A merge that is done.
#[derive(Debug)]
pub struct Done {
    account: Slot,
    asset: Slot,
    merged: Merged,
}

impl Due {
    /// Merges. The ledger is not needed for it.
    #[must_use]
    pub fn run(self) -> Done {
        Done {
            account: self.account,
            asset: self.asset,
            merged: self.merge.run(),
        }
    }

    /// How many entries are merged.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.merge.entries()
    }
}

impl Ledger {
    /// Takes the long merges that have become due. There are none unless merging is deferred.
    pub fn take_merges(&mut self) -> Vec<Due> {
        let mut taken = Vec::new();
        for (account, asset) in std::mem::take(&mut self.due) {
            let log = self.accounts.get_mut(account as usize);
            let Some(log) = log.and_then(|of| of.log_mut(asset)) else {
                continue;
            };
            while let Some(merge) = log.take_merge() {
                taken.push(Due {
                    account,
                    asset,
                    merge,
                });
            }
        }
        taken
    }

    /// Swaps the result of a merge in, if what it replaces is still there. No answer changes.
    pub fn swap(&mut self, done: &Done) {
        let account = self.accounts.get_mut(done.account as usize);
        let log = account.and_then(|account: &mut Account| account.log_mut(done.asset));
        let effect = log.map(|log| log.swap(&done.merged));
        self.note((done.account, done.asset), effect.unwrap_or_default());
    }

    /// Notes what a change of a log means for the ledger.
    pub(super) fn note(&mut self, whose: (Slot, Slot), effect: Effect) {
        self.memory = self.memory + effect.grown;
        if effect.merge_due {
            self.due.push(whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, DraftEntry, Keeping, Merging};
    use super::*;

    fn book(ledger: &mut Ledger, count: u64) {
        for _ in 0..count {
            let position = ledger.position() + 1;
            let draft = Draft {
                position,
                transaction_id: "t".into(),
                occurred_at_us: (position * 7_919 % 10_007).cast_signed(),
                external: true,
                entries: vec![DraftEntry {
                    account_id: "a".into(),
                    asset: "GBP".into(),
                    amount: 1 + (position % 900).cast_signed(),
                    phase: 1,
                    counterparty: format!("c{}", position % 50),
                    ..DraftEntry::default()
                }],
            };
            let transaction = draft.check().expect("a good transaction");
            ledger.apply(&transaction).expect("a good transaction");
        }
    }

    fn runs(ledger: &Ledger) -> usize {
        let holding = ledger.account("a").and_then(|a| a.holding(0));
        let history = holding.and_then(|holding| holding.log.history());
        history.map_or(0, |history| {
            history.runs(crate::history::Phase::Posted).len()
        })
    }

    #[test]
    fn merges_are_swapped_in_while_booking_goes_on() {
        let mut ledger = Ledger::keeping(Keeping::Index(Merging::Deferred));
        book(&mut ledger, 17_000);
        let taken = ledger.take_merges();
        assert_eq!(taken.len(), 1);
        assert!(taken[0].entries() > 15_000, "{taken:?}");
        assert!(ledger.take_merges().is_empty(), "one at a time");
        let old = ledger.clone();
        let done: Vec<Done> = taken.into_iter().map(Due::run).collect();
        book(&mut ledger, 1_000);
        let before = runs(&ledger);
        ledger.swap(&done[0]);
        assert!(runs(&ledger) < before);
        ledger.swap(&done[0]);
        for ledger in [&old, &ledger] {
            ledger.audit().expect("a sound ledger");
        }
    }

    #[test]
    fn a_merge_of_another_past_is_refused() {
        let mut ledger = Ledger::keeping(Keeping::Index(Merging::Deferred));
        book(&mut ledger, 15_000);
        let old = ledger.clone();
        book(&mut ledger, 2_000);
        let done: Vec<Done> = ledger.take_merges().into_iter().map(Due::run).collect();
        assert_eq!(done.len(), 1);
        let mut ledger = old;
        let before = runs(&ledger);
        ledger.swap(&done[0]);
        assert_eq!(runs(&ledger), before);
        ledger.audit().expect("a sound ledger");
    }

    #[test]
    fn nothing_is_due_when_the_writer_merges_itself_or_scans() {
        for keeping in [Keeping::Scan, Keeping::Index(Merging::InPlace)] {
            let mut ledger = Ledger::keeping(keeping);
            book(&mut ledger, 17_000);
            assert!(ledger.take_merges().is_empty());
            assert_eq!(runs(&ledger) > 0, keeping != Keeping::Scan);
        }
    }
}
