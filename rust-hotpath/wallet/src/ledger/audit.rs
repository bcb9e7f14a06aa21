//! Checks the invariants of a ledger, for tests and debug builds.

use super::{Account, Counters, Holding, Ledger, Log, Memory, Outside, Phase};

impl Ledger {
    /// True if, for each asset, the accounts hold exactly what came from outside. This reads all accounts, but not
    /// their entries.
    #[must_use]
    pub fn conserves_money(&self) -> bool {
        let mut held = vec![Outside::default(); self.assets.len()];
        for holding in self.accounts.iter().flat_map(Account::holdings) {
            if let Some(sum) = held.get_mut(holding.asset as usize) {
                sum.posted += holding.counters.posted();
                sum.pending += holding.counters.pending();
            }
        }
        let outside = |asset| self.outside.get(asset).copied().unwrap_or_default();
        held.iter()
            .enumerate()
            .all(|(asset, sum)| *sum == outside(asset))
    }

    /// The accounts and assets whose entries are indexed.
    pub fn indexed(&self) -> impl Iterator<Item = (&str, &str)> {
        let accounts = (0..).zip(self.accounts.iter());
        accounts.flat_map(move |(slot, account)| {
            let indexed = account
                .holdings()
                .filter(|holding| holding.log.history().is_some());
            indexed.map(move |of| (self.ids.name(slot), self.assets.name(of.asset)))
        })
    }

    /// The entries of an account in one asset.
    #[must_use]
    pub fn log(&self, account_id: &str, asset: &str) -> Option<&Log> {
        let asset = self.assets.slot(asset)?;
        let holding = self.account(account_id)?.holding(asset)?;
        Some(holding.log)
    }

    /// This version, but with all entries of one account kept as for [`Keeping::Scan`](super::Keeping::Scan). Every
    /// answer must be the same. It takes as long as copying the entries.
    #[must_use]
    pub fn scanned(&self, account_id: &str) -> Self {
        let mut copy = self.clone();
        let slot = self.ids.slot(account_id);
        if let Some(account) = slot.and_then(|slot| copy.accounts.get_mut(slot as usize)) {
            account.scan();
        }
        copy
    }

    /// Checks every figure that is stored and also follows from others, entry by entry.
    ///
    /// # Errors
    /// The first figures that do not agree.
    pub fn audit(&self) -> Result<(), String> {
        let (mut accounts, mut entries) = (0, 0);
        let mut memory = Memory::default();
        for account in self.accounts.iter().filter(|account| !account.is_empty()) {
            accounts += 1;
            for holding in account.holdings() {
                entries += holding.log.len() as u64;
                memory = memory + of_runs(holding.log);
                audit_holding(&holding)?;
            }
        }
        if (accounts, entries) != (self.account_count, self.entry_count) {
            return Err(format!(
                "{accounts} accounts with {entries} entries were found"
            ));
        }
        if memory != self.memory {
            return Err(format!("the runs take {memory:?}, not {:?}", self.memory));
        }
        if !self.conserves_money() {
            return Err("the accounts do not sum to what came from outside".to_owned());
        }
        Ok(())
    }
}

/// What the runs of a log take, each looked at.
fn of_runs(log: &Log) -> Memory {
    let histories = log.history().into_iter();
    let runs =
        histories.flat_map(|history| Phase::ALL.into_iter().flat_map(move |of| history.runs(of)));
    runs.map(|run| run.memory()).sum()
}

fn audit_holding(holding: &Holding<'_>) -> Result<(), String> {
    let mut counters = Counters::default();
    for entry in holding.log.entries() {
        counters.count(entry.amount, entry.phase);
    }
    let last = holding
        .log
        .entries()
        .map(|entry| entry.occurred_at_us)
        .max();
    if holding.log.len() as u64 != holding.entry_count {
        return Err(format!("{} entries were counted", holding.entry_count));
    }
    if counters != holding.counters || last != Some(holding.last_occurred_at_us) {
        return Err(format!("the log gives {counters:?}, last at {last:?}"));
    }
    if counters.credits_pending < 0 || counters.debits_pending < 0 {
        return Err(format!("a pending counter is negative: {counters:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, DraftEntry};
    use super::*;

    fn funded() -> Ledger {
        let entry = DraftEntry {
            account_id: "a".into(),
            asset: "GBP".into(),
            amount: 5,
            phase: 1,
            ..DraftEntry::default()
        };
        let draft = Draft {
            position: 1,
            transaction_id: "t".into(),
            external: true,
            entries: vec![entry],
            ..Draft::default()
        };
        let mut ledger = Ledger::default();
        let transaction = draft.check().expect("a good transaction");
        ledger.apply(&transaction).expect("a good transaction");
        ledger
    }

    #[test]
    fn money_that_appears_is_noticed() {
        let mut ledger = funded();
        assert!(ledger.conserves_money());
        ledger.outside.get_mut(0).expect("an asset").posted += 1;
        assert!(!ledger.conserves_money());
        assert!(ledger.audit().is_err());
    }

    #[test]
    fn a_wrong_count_is_noticed() {
        let mut ledger = funded();
        ledger.audit().expect("a sound ledger");
        ledger.entry_count += 1;
        assert!(ledger.audit().is_err());
    }
}
