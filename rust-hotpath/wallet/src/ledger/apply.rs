//! Applies a transaction to a version, which makes the next version. It checks everything first, and then books
//! everything.

use std::collections::BTreeMap;

use super::transaction::Entry;
use super::{Account, Ledger, Logged, Outside, Phase, Refusal, Transaction};

/// Debug builds check every so many transactions that no money was lost, because the check reads all accounts.
const TRANSACTIONS_TO_CHECK: u64 = 1 << 10;

/// One pending counter: the account, the asset, and whether it is the counter of the debits.
type PendingKey<'a> = (&'a str, &'a str, bool);

/// The effect of one transaction on a pending counter.
#[derive(Default)]
struct PendingChange {
    sum: i128,
    last_release: Option<usize>,
}

impl Ledger {
    /// Books a transaction, whole or not at all.
    ///
    /// # Errors
    /// The rule that it breaks. The ledger is then unchanged.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<(), Refusal> {
        self.check(transaction)?;
        for entry in &transaction.entries {
            self.book(transaction, entry);
        }
        self.position = transaction.position;
        debug_assert!(
            !self.position.is_multiple_of(TRANSACTIONS_TO_CHECK) || self.conserves_money(),
            "money was made or lost at position {}",
            self.position
        );
        Ok(())
    }

    fn check(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let due = self.position.saturating_add(1);
        if transaction.position != due {
            return Err(Refusal::Position {
                due,
                got: transaction.position,
            });
        }
        // Each entry brings at most two new ids and one new asset.
        let entries = transaction.entries.len();
        if !self.ids.has_room(2 * entries) || !self.assets.has_room(entries) {
            return Err(Refusal::Full);
        }
        match self.over_release(&transaction.entries) {
            Some(index) => Err(Refusal::Release(index)),
            None => Ok(()),
        }
    }

    /// Finds the release to name in a refusal. For each pending counter that would end up negative it takes the last
    /// release, and of these the one with the lowest index.
    fn over_release(&self, entries: &[Entry]) -> Option<usize> {
        if entries.iter().all(|entry| entry.phase != Phase::Release) {
            return None;
        }
        let mut changes = BTreeMap::<PendingKey, PendingChange>::new();
        for (index, entry) in entries.iter().enumerate() {
            let size = i128::from(entry.amount.unsigned_abs());
            let key = (&*entry.account_id, &*entry.asset, entry.amount < 0);
            match entry.phase {
                Phase::Posted => {}
                Phase::Hold => changes.entry(key).or_default().sum += size,
                Phase::Release => {
                    let change = changes.entry(key).or_default();
                    change.sum -= size;
                    change.last_release = Some(index);
                }
            }
        }
        let broken = changes
            .into_iter()
            .filter(|(key, change)| self.pending(key) + change.sum < 0);
        broken.filter_map(|(_, change)| change.last_release).min()
    }

    fn pending(&self, &(account_id, asset, debits): &PendingKey) -> i128 {
        let holding = self
            .account(account_id)
            .zip(self.assets.slot(asset))
            .and_then(|(account, asset)| account.holding(asset));
        match holding {
            None => 0,
            Some(holding) if debits => holding.counters.debits_pending,
            Some(holding) => holding.counters.credits_pending,
        }
    }

    fn book(&mut self, transaction: &Transaction, entry: &Entry) {
        let asset = self.assets.intern(&entry.asset);
        if transaction.external {
            self.count_outside(asset as usize, entry);
        }
        let id = self.ids.intern(&entry.account_id);
        let slot = id as usize;
        let counterparty =
            (!entry.counterparty.is_empty()).then(|| self.ids.intern(&entry.counterparty));
        while self.accounts.len() <= slot {
            self.accounts.push(Account::Empty);
        }
        if let Some(account) = self.accounts.get_mut(slot) {
            self.account_count += u64::from(account.is_empty());
            let at = transaction.occurred_at_us;
            let logged = Logged::new(at, entry.amount, counterparty, entry.phase);
            let effect = account.book(asset, logged, self.keeping);
            self.note((id, asset), effect);
        }
        self.entry_count += 1;
    }

    fn count_outside(&mut self, asset: usize, entry: &Entry) {
        while self.outside.len() <= asset {
            self.outside.push(Outside::default());
        }
        if let Some(outside) = self.outside.get_mut(asset) {
            let amount = i128::from(entry.amount);
            match entry.phase {
                Phase::Posted => outside.posted += amount,
                Phase::Hold => outside.pending += amount,
                Phase::Release => outside.pending -= amount,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, DraftEntry, rules};
    use super::*;

    const POSTED: i32 = 1;
    const HOLD: i32 = 2;
    const RELEASE: i32 = 3;

    fn transaction(position: u64, entries: &[(&str, i64, i32)]) -> Transaction {
        let entries = entries.iter().map(|&(account, amount, phase)| DraftEntry {
            account_id: account.into(),
            asset: "GBP".into(),
            amount,
            phase,
            counterparty: "shop".into(),
            ..DraftEntry::default()
        });
        let draft = Draft {
            position,
            transaction_id: format!("t{position}"),
            external: true,
            entries: entries.collect(),
            ..Draft::default()
        };
        draft.check().expect("a good transaction")
    }

    fn book(ledger: &mut Ledger, entries: &[(&str, i64, i32)]) -> Result<(), Refusal> {
        let result = ledger.apply(&transaction(ledger.position() + 1, entries));
        ledger.audit().expect("a sound ledger");
        result
    }

    #[test]
    fn only_the_next_position_is_taken() {
        let mut ledger = Ledger::default();
        for got in [0, 2, u64::MAX] {
            let refusal = ledger.apply(&transaction(got, &[("a", 1, POSTED)]));
            assert_eq!(refusal, Err(Refusal::Position { due: 1, got }));
        }
        book(&mut ledger, &[("a", 1, POSTED)]).expect("the first");
        let again = ledger.apply(&transaction(1, &[("a", 1, POSTED)]));
        assert_eq!(
            again.expect_err("a repeat").to_string(),
            "position: must be 2, not 1"
        );
    }

    #[test]
    fn a_release_is_judged_after_the_whole_transaction() {
        let mut ledger = Ledger::default();
        book(&mut ledger, &[("a", -5, RELEASE), ("a", -5, HOLD)]).expect("held in the end");
        let refused = book(&mut ledger, &[("a", -1, RELEASE)]);
        assert_eq!(refused, Err(Refusal::Release(0)));
    }

    #[test]
    fn a_release_only_undoes_holds_of_its_own_side_and_account() {
        let mut ledger = Ledger::default();
        book(&mut ledger, &[("a", 5, HOLD)]).expect("a hold");
        for stranger in [("a", -5, RELEASE), ("b", 5, RELEASE)] {
            assert_eq!(book(&mut ledger, &[stranger]), Err(Refusal::Release(0)));
        }
        book(&mut ledger, &[("a", 5, RELEASE)]).expect("its release");
    }

    #[test]
    fn the_lowest_last_release_of_a_broken_counter_is_named() {
        let mut ledger = Ledger::default();
        book(&mut ledger, &[("c", 1, HOLD)]).expect("a hold");
        let refused = book(
            &mut ledger,
            &[
                ("c", 1, RELEASE),
                ("b", 1, RELEASE),
                ("a", 1, RELEASE),
                ("a", 1, POSTED),
                ("b", 1, RELEASE),
                ("a", 1, RELEASE),
            ],
        );
        assert_eq!(refused, Err(Refusal::Release(4)));
    }

    #[test]
    fn a_refused_transaction_leaves_no_trace() {
        let mut ledger = Ledger::default();
        book(&mut ledger, &[("a", 5, HOLD)]).expect("a hold");
        let refused = book(&mut ledger, &[("new", 5, POSTED), ("a", 6, RELEASE)]);
        assert_eq!(refused, Err(Refusal::Release(1)));
        assert_eq!((ledger.position(), ledger.entry_count()), (1, 1));
        assert!(ledger.account("new").is_none());
        assert_eq!(ledger.ids().slot("new"), None);
    }

    #[test]
    fn a_counterparty_is_no_account() {
        let mut ledger = Ledger::default();
        book(&mut ledger, &[("a", 5, POSTED)]).expect("a deposit");
        assert!(ledger.account("shop").is_none());
        assert_eq!((ledger.account_count(), ledger.ids().len()), (1, 2));
        book(&mut ledger, &[("shop", 5, POSTED)]).expect("a deposit");
        assert!(ledger.account("shop").is_some());
        assert_eq!(ledger.account_count(), 2);
    }

    #[test]
    fn an_old_version_keeps_its_answers() {
        let mut ledger = Ledger::default();
        let mut versions = vec![ledger.clone()];
        for n in 1..=200 {
            book(&mut ledger, &[("a", n, POSTED), ("b", -n, POSTED)]).expect("a payment");
            versions.push(ledger.clone());
        }
        for (n, version) in versions.iter().enumerate() {
            version.audit().expect("a sound version");
            assert_eq!(version.position(), n as u64);
            assert_eq!(version.entry_count(), 2 * n as u64);
        }
    }

    #[test]
    fn the_extremes_are_booked() {
        let mut ledger = Ledger::default();
        for _ in 0..10 {
            book(
                &mut ledger,
                &[("a", rules::MAX_AMOUNT, POSTED); rules::MAX_ENTRIES],
            )
            .expect("large amounts");
        }
        let holding = ledger.account("a").and_then(|a| a.holding(0));
        let posted = holding.map(|h| h.counters.posted());
        assert_eq!(posted, Some(10_i128.pow(19)));
    }
}
