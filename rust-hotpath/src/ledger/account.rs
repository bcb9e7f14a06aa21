//! An account: what it holds of each asset.

use std::slice;
use std::sync::Arc;

use super::log::{Log, Logged};
use super::names::Slot;
use super::transaction::Phase;

/// Sums over the entries of one (account, asset). They may pass `i64`: only an answer is bound to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Posted credits, >= 0.
    pub credits_posted: i128,
    /// Posted debits as |amount|, >= 0.
    pub debits_posted: i128,
    /// Credits held less credits released.
    pub credits_pending: i128,
    /// Debits held less debits released, as |amount|.
    pub debits_pending: i128,
}

/// One account's share of one asset.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The asset.
    pub asset: Slot,
    /// Over all entries.
    pub counters: Counters,
    /// The latest time of any entry, not that of the last one booked.
    pub last_occurred_at_us: i64,
    /// All entries.
    pub log: Log,
}

/// What an account holds, ascending by asset slot. Nearly every account has one asset, and an id that is only ever
/// a counterparty has none; both take 16 bytes here.
#[derive(Clone, Debug, Default)]
pub enum Account {
    /// No entry yet.
    #[default]
    Empty,
    /// One asset.
    One(Arc<Holding>),
    /// Two or more.
    Many(Arc<Vec<Arc<Holding>>>),
}

const _: () = assert!(size_of::<Account>() == 16);

impl Counters {
    /// Counts one entry.
    pub fn count(&mut self, amount: i64, phase: Phase) {
        let (posted, pending) = if amount > 0 {
            (&mut self.credits_posted, &mut self.credits_pending)
        } else {
            (&mut self.debits_posted, &mut self.debits_pending)
        };
        let size = i128::from(amount.unsigned_abs());
        match phase {
            Phase::Posted => *posted += size,
            Phase::Hold => *pending += size,
            Phase::Release => *pending -= size,
        }
    }

    /// Posted credits less posted debits.
    #[must_use]
    pub fn posted(&self) -> i128 {
        self.credits_posted - self.debits_posted
    }

    /// What is posted and not held.
    #[must_use]
    pub fn available(&self) -> i128 {
        self.posted() - self.debits_pending
    }

    /// Pending credits less pending debits.
    #[must_use]
    pub fn pending(&self) -> i128 {
        self.credits_pending - self.debits_pending
    }
}

impl Holding {
    fn new(asset: Slot) -> Self {
        Self {
            asset,
            counters: Counters::default(),
            last_occurred_at_us: i64::MIN,
            log: Log::default(),
        }
    }

    pub(super) fn book(&mut self, entry: Logged) {
        self.counters.count(entry.amount, entry.phase);
        self.last_occurred_at_us = self.last_occurred_at_us.max(entry.occurred_at_us);
        self.log.push(entry);
    }
}

impl Account {
    /// Every holding, ascending by asset slot.
    #[must_use]
    pub fn holdings(&self) -> &[Arc<Holding>] {
        match self {
            Self::Empty => &[],
            Self::One(holding) => slice::from_ref(holding),
            Self::Many(holdings) => holdings,
        }
    }

    /// The holding of one asset.
    #[must_use]
    pub fn holding(&self, asset: Slot) -> Option<&Holding> {
        let holdings = self.holdings();
        let index = holdings.binary_search_by_key(&asset, |h| h.asset).ok()?;
        holdings.get(index).map(AsRef::as_ref)
    }

    /// True if it never had an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Books an entry, copying only what an older version still shares.
    pub(super) fn book(&mut self, asset: Slot, entry: Logged) {
        self.make_room(asset);
        match self {
            Self::Empty => {}
            Self::One(holding) => Arc::make_mut(holding).book(entry),
            Self::Many(holdings) => {
                let holdings = Arc::make_mut(holdings);
                if let Ok(index) = holdings.binary_search_by_key(&asset, |h| h.asset) {
                    Arc::make_mut(&mut holdings[index]).book(entry);
                }
            }
        }
    }

    fn make_room(&mut self, asset: Slot) {
        match self {
            Self::Empty => *self = Self::One(Arc::new(Holding::new(asset))),
            Self::One(first) if first.asset == asset => {}
            Self::One(first) => {
                let mut both = vec![Arc::clone(first), Arc::new(Holding::new(asset))];
                both.sort_by_key(|h| h.asset);
                *self = Self::Many(Arc::new(both));
            }
            Self::Many(holdings) => {
                if let Err(index) = holdings.binary_search_by_key(&asset, |h| h.asset) {
                    Arc::make_mut(holdings).insert(index, Arc::new(Holding::new(asset)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(amount: i64, phase: Phase, at: i64) -> Logged {
        Logged::new(at, amount, None, phase)
    }

    #[test]
    fn each_phase_and_sign_has_its_counter() {
        let mut counters = Counters::default();
        for (amount, phase) in [
            (10, Phase::Posted),
            (-3, Phase::Posted),
            (7, Phase::Hold),
            (-5, Phase::Hold),
            (2, Phase::Release),
            (-1, Phase::Release),
        ] {
            counters.count(amount, phase);
        }
        assert_eq!(
            counters,
            Counters {
                credits_posted: 10,
                debits_posted: 3,
                credits_pending: 5,
                debits_pending: 4
            }
        );
        assert_eq!((counters.posted(), counters.available()), (7, 3));
    }

    #[test]
    fn counters_pass_int64() {
        let mut counters = Counters::default();
        (0..20_000).for_each(|_| counters.count(1_000_000_000_000_000, Phase::Posted));
        assert!(counters.posted() > i128::from(i64::MAX));
    }

    #[test]
    fn holdings_are_found_whatever_the_order_of_their_first_entry() {
        let mut account = Account::default();
        for asset in [5, 1, 9, 1, 3] {
            account.book(asset, logged(i64::from(asset), Phase::Posted, 0));
        }
        let assets: Vec<Slot> = account.holdings().iter().map(|h| h.asset).collect();
        assert_eq!(assets, [1, 3, 5, 9]);
        assert_eq!(account.holding(1).map(|h| h.counters.posted()), Some(2));
        assert!(account.holding(2).is_none());
    }

    #[test]
    fn an_old_clone_keeps_its_figures() {
        let mut account = Account::default();
        account.book(0, logged(5, Phase::Posted, 9));
        let old = account.clone();
        account.book(0, logged(5, Phase::Posted, 3));
        account.book(1, logged(5, Phase::Posted, 3));
        let seen = |a: &Account| a.holding(0).map(|h| (h.log.len(), h.last_occurred_at_us));
        assert_eq!((seen(&old), old.holdings().len()), (Some((1, 9)), 1));
        assert_eq!(
            (seen(&account), account.holdings().len()),
            (Some((2, 9)), 2)
        );
    }
}
