//! A second implementation, as naive as possible: a list of all entries, which is scanned for every question.

use std::collections::{BTreeMap, BTreeSet};

use hotpath_wallet::proto::{Entry, Transaction};

const POSTED: i32 = 1;
const HOLD: i32 = 2;
const RELEASE: i32 = 3;
pub const MIN_TIME: i64 = -62_135_596_800_000_000;
pub const MAX_TIME: i64 = 253_402_300_799_999_999;

/// Every accepted transaction, in order.
#[derive(Clone, Default)]
pub struct Oracle {
    pub transactions: Vec<Transaction>,
}

/// An entry, and when it occurred.
pub type Dated<'a> = (i64, &'a Entry);

pub fn token(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.chars().all(|c| ('!'..='~').contains(&c))
}

impl Oracle {
    /// All entries as of a position.
    pub fn entries(&self, position: u64) -> impl Iterator<Item = Dated<'_>> {
        let transactions = self.transactions.iter().take(position as usize);
        transactions.flat_map(|t| t.entries.iter().map(|e| (t.occurred_at_us, e)))
    }

    /// Posted entries of one (account, asset) as of a position.
    pub fn posted(&self, position: u64, account: &str, asset: &str) -> Vec<Dated<'_>> {
        self.entries(position)
            .filter(|(_, e)| e.account_id == account && e.asset == asset && e.phase == POSTED)
            .collect()
    }

    pub fn exists(&self, position: u64, account: &str) -> bool {
        self.entries(position).any(|(_, e)| e.account_id == account)
    }

    pub fn post(&mut self, transaction: &Transaction) -> Result<(), String> {
        self.judge(transaction)?;
        self.transactions.push(transaction.clone());
        Ok(())
    }

    fn judge(&self, transaction: &Transaction) -> Result<(), String> {
        if transaction.transaction_id.is_empty() || transaction.transaction_id.len() > 64 {
            return Err("transaction_id: must be 1-64 bytes".into());
        }
        if !(MIN_TIME..=MAX_TIME).contains(&transaction.occurred_at_us) {
            return Err("occurred_at_us: must be from 0001-01-01 to 9999-12-31 UTC".into());
        }
        if transaction.entries.is_empty() || transaction.entries.len() > 1_000 {
            return Err("entries: must be 1-1000".into());
        }
        for (i, entry) in transaction.entries.iter().enumerate() {
            judge_entry(entry).map_err(|rule| format!("entries[{i}].{rule}"))?;
        }
        if !transaction.external {
            judge_sums(&transaction.entries)?;
        }
        let due = self.transactions.len() as u64 + 1;
        if transaction.position != due {
            let got = transaction.position;
            return Err(format!("position: must be {due}, not {got}"));
        }
        self.judge_releases(&transaction.entries)
    }

    fn judge_releases(&self, entries: &[Entry]) -> Result<(), String> {
        let mut broken = BTreeSet::new();
        for (last, entry) in entries.iter().enumerate() {
            let same = |e: &Entry| {
                e.account_id == entry.account_id
                    && e.asset == entry.asset
                    && (e.amount < 0) == (entry.amount < 0)
            };
            let is_last = !entries[last + 1..]
                .iter()
                .any(|e| same(e) && e.phase == RELEASE);
            if entry.phase != RELEASE || !is_last {
                continue;
            }
            let booked = self.entries(u64::MAX).map(|(_, e)| e);
            let held: i128 = booked
                .chain(entries)
                .filter(|e| same(e))
                .map(|e| match e.phase {
                    HOLD => i128::from(e.amount).abs(),
                    RELEASE => -i128::from(e.amount).abs(),
                    _ => 0,
                })
                .sum();
            if held < 0 {
                broken.insert(last);
            }
        }
        match broken.first() {
            None => Ok(()),
            Some(i) => Err(format!("entries[{i}]: releases more than is held")),
        }
    }
}

fn judge_entry(entry: &Entry) -> Result<(), &'static str> {
    if !token(&entry.account_id, 64) {
        Err("account_id: must be 1-64 bytes of printable ASCII without spaces")
    } else if !token(&entry.asset, 16) {
        Err("asset: must be 1-16 bytes of printable ASCII without spaces")
    } else if entry.amount == 0 || i128::from(entry.amount).abs() > 10_i128.pow(15) {
        Err("amount: must be non-zero and at most 10^15 in size")
    } else if ![POSTED, HOLD, RELEASE].contains(&entry.phase) {
        Err("phase: must be POSTED, HOLD or RELEASE")
    } else if entry.kind.len() > 32 {
        Err("kind: must be at most 32 bytes")
    } else if !entry.counterparty.is_empty() && !token(&entry.counterparty, 64) {
        Err("counterparty: must be empty or 1-64 bytes of printable ASCII without spaces")
    } else {
        Ok(())
    }
}

fn judge_sums(entries: &[Entry]) -> Result<(), String> {
    let mut sums = BTreeMap::<(&[u8], i32), i128>::new();
    for e in entries {
        *sums.entry((e.asset.as_bytes(), e.phase)).or_default() += i128::from(e.amount);
    }
    for ((asset, phase), sum) in sums {
        if sum != 0 {
            let asset = String::from_utf8_lossy(asset);
            let phase = ["", "POSTED", "HOLD", "RELEASE"][phase as usize];
            return Err(format!(
                "entries: must sum to zero per asset and phase unless external ({asset} {phase} sums to {sum})"
            ));
        }
    }
    Ok(())
}
