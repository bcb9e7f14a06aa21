//! A transaction that obeys every rule that can be checked without a ledger.

use std::collections::BTreeMap;
use std::fmt;

use super::rules;
use crate::history::Phase;

/// A transaction as it arrived, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Positions are 1, 2, 3, … without gaps.
    pub position: u64,
    /// The caller's idempotency key.
    pub transaction_id: String,
    /// Microseconds since the epoch.
    pub occurred_at_us: i64,
    /// True if money enters or leaves the ledger.
    pub external: bool,
    /// The entries in the order in which they were posted.
    pub entries: Vec<DraftEntry>,
}

/// One entry of a [`Draft`].
#[derive(Clone, Debug, Default)]
pub struct DraftEntry {
    /// The account.
    pub account_id: String,
    /// The unit of account.
    pub asset: String,
    /// In minor units. A credit is positive, a debit negative.
    pub amount: i64,
    /// The number of a [`Phase`].
    pub phase: i32,
    /// A free label.
    pub kind: String,
    /// The account on the other side. Empty if there is none.
    pub counterparty: String,
}

/// A checked transaction. Only [`Draft::check`] makes one.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub(super) position: u64,
    pub(super) occurred_at_us: i64,
    pub(super) external: bool,
    pub(super) entries: Vec<Entry>,
}

/// The parts of an entry that the ledger keeps.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) account_id: String,
    pub(super) asset: String,
    pub(super) amount: i64,
    pub(super) phase: Phase,
    pub(super) counterparty: String,
}

/// Why a transaction cannot be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field breaks a rule. The text is "<field>: <rule>".
    Field(String),
    /// The transaction is not the next one.
    Position {
        /// The position that is due.
        due: u64,
        /// The position that came.
        got: u64,
    },
    /// The entry with this index releases more than is held.
    Release(usize),
    /// There is no slot left for another id.
    Full,
}

impl Phase {
    /// The phase with this number in the contract.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Posted),
            2 => Some(Self::Hold),
            3 => Some(Self::Release),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Posted => "POSTED",
            Self::Hold => "HOLD",
            Self::Release => "RELEASE",
        }
    }
}

impl Draft {
    /// Checks every rule that needs no ledger.
    ///
    /// # Errors
    /// The first rule that is broken. Fields are checked in the order of the contract.
    pub fn check(self) -> Result<Transaction, Refusal> {
        require(
            rules::is_transaction_id(&self.transaction_id),
            "transaction_id: must be 1-64 bytes",
        )?;
        require(
            rules::is_time_us(self.occurred_at_us),
            "occurred_at_us: must be from 0001-01-01 to 9999-12-31 UTC",
        )?;
        require(
            (1..=rules::MAX_ENTRIES).contains(&self.entries.len()),
            "entries: must be 1-1000",
        )?;
        let entries = self.entries.into_iter().enumerate();
        let entries = entries
            .map(|(index, entry)| entry.check(index))
            .collect::<Result<Vec<_>, _>>()?;
        if !self.external {
            check_sums(&entries)?;
        }
        Ok(Transaction {
            position: self.position,
            occurred_at_us: self.occurred_at_us,
            external: self.external,
            entries,
        })
    }
}

impl DraftEntry {
    fn check(self, index: usize) -> Result<Entry, Refusal> {
        let broken = |rule: &str| Refusal::Field(format!("entries[{index}].{rule}"));
        if !rules::is_account_id(&self.account_id) {
            return Err(broken(
                "account_id: must be 1-64 bytes of printable ASCII without spaces",
            ));
        }
        if !rules::is_asset(&self.asset) {
            return Err(broken(
                "asset: must be 1-16 bytes of printable ASCII without spaces",
            ));
        }
        if !rules::is_amount(self.amount) {
            return Err(broken("amount: must be non-zero and at most 10^15 in size"));
        }
        let Some(phase) = Phase::from_number(self.phase) else {
            return Err(broken("phase: must be POSTED, HOLD or RELEASE"));
        };
        if !rules::is_kind(&self.kind) {
            return Err(broken("kind: must be at most 32 bytes"));
        }
        if !self.counterparty.is_empty() && !rules::is_account_id(&self.counterparty) {
            return Err(broken(
                "counterparty: must be empty or 1-64 bytes of printable ASCII without spaces",
            ));
        }
        Ok(Entry {
            account_id: self.account_id,
            asset: self.asset,
            amount: self.amount,
            phase,
            counterparty: self.counterparty,
        })
    }
}

impl Transaction {
    /// The position that the transaction claims.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many entries it has.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(text) => f.write_str(text),
            Self::Position { due, got } => write!(f, "position: must be {due}, not {got}"),
            Self::Release(index) => write!(f, "entries[{index}]: releases more than is held"),
            Self::Full => f.write_str("entries: no slot is left for another account id"),
        }
    }
}

impl std::error::Error for Refusal {}

fn require(holds: bool, text: &str) -> Result<(), Refusal> {
    if holds {
        return Ok(());
    }
    Err(Refusal::Field(text.to_owned()))
}

fn check_sums(entries: &[Entry]) -> Result<(), Refusal> {
    let mut sums = BTreeMap::<(&str, Phase), i64>::new();
    for entry in entries {
        // At most 1,000 amounts of at most 10^15 are far below the limit of i64.
        *sums.entry((&entry.asset, entry.phase)).or_default() += entry.amount;
    }
    match sums.into_iter().find(|&(_, sum)| sum != 0) {
        None => Ok(()),
        Some(((asset, phase), sum)) => Err(Refusal::Field(format!(
            "entries: must sum to zero per asset and phase unless external ({asset} {} sums to {sum})",
            phase.name()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(asset: &str, amount: i64, phase: i32) -> DraftEntry {
        DraftEntry {
            account_id: "a".into(),
            asset: asset.into(),
            amount,
            phase,
            ..DraftEntry::default()
        }
    }

    fn draft(entries: Vec<DraftEntry>) -> Draft {
        Draft {
            position: 1,
            transaction_id: "t".into(),
            external: true,
            entries,
            ..Draft::default()
        }
    }

    fn refusal(draft: Draft) -> String {
        draft.check().expect_err("must be refused").to_string()
    }

    #[test]
    fn each_field_is_checked_in_the_order_of_the_contract() {
        let good = draft(vec![entry("GBP", 5, 1)]);
        assert!(good.clone().check().is_ok());
        let mut bad = draft(vec![
            entry("GBP", 5, 1),
            DraftEntry {
                account_id: " ".into(),
                asset: String::new(),
                amount: 0,
                phase: 0,
                kind: "k".repeat(33),
                counterparty: " ".into(),
            },
        ]);
        bad.transaction_id = String::new();
        bad.occurred_at_us = i64::MAX;
        assert_eq!(refusal(bad.clone()), "transaction_id: must be 1-64 bytes");
        bad.transaction_id = "t".into();
        assert_eq!(
            refusal(bad.clone()),
            "occurred_at_us: must be from 0001-01-01 to 9999-12-31 UTC"
        );
        bad.occurred_at_us = 0;
        let expected = [
            "account_id: must be 1-64 bytes of printable ASCII without spaces",
            "asset: must be 1-16 bytes of printable ASCII without spaces",
            "amount: must be non-zero and at most 10^15 in size",
            "phase: must be POSTED, HOLD or RELEASE",
            "kind: must be at most 32 bytes",
            "counterparty: must be empty or 1-64 bytes of printable ASCII without spaces",
        ];
        let mends: [fn(&mut DraftEntry); 6] = [
            |e| e.account_id = "b".into(),
            |e| e.asset = "GBP".into(),
            |e| e.amount = rules::MAX_AMOUNT,
            |e| e.phase = 3,
            |e| e.kind.truncate(32),
            |e| e.counterparty = String::new(),
        ];
        for (rule, mend) in expected.iter().zip(mends) {
            assert_eq!(refusal(bad.clone()), format!("entries[1].{rule}"));
            mend(&mut bad.entries[1]);
        }
        assert!(bad.check().is_ok());
    }

    #[test]
    fn there_are_1_to_1000_entries() {
        assert_eq!(refusal(draft(vec![])), "entries: must be 1-1000");
        assert!(draft(vec![entry("A", 1, 1); 1_000]).check().is_ok());
        assert_eq!(
            refusal(draft(vec![entry("A", 1, 1); 1_001])),
            "entries: must be 1-1000"
        );
    }

    #[test]
    fn the_first_asset_and_phase_that_does_not_balance_is_named() {
        let mut draft = draft(vec![
            entry("Z", 1, 1),
            entry("B", -2, 3),
            entry("B", 7, 2),
            entry("B", -7, 1),
            entry("B", 7, 1),
        ]);
        draft.external = false;
        assert_eq!(
            refusal(draft.clone()),
            "entries: must sum to zero per asset and phase unless external (B HOLD sums to 7)"
        );
        draft.external = true;
        assert!(draft.check().is_ok());
    }
}
