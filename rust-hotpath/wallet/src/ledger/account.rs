//! An account and what it holds of each asset.

use std::num::TryFromIntError;
use std::sync::Arc;

use super::log::{Effect, Keeping, Log};
use super::names::Slot;
use crate::history::{Logged, Phase};

/// Sums over the entries of one (account, asset). They may exceed `i64`. Only an answer must fit it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Posted credits, >= 0.
    pub credits_posted: i128,
    /// Posted debits as |amount|, >= 0.
    pub debits_posted: i128,
    /// Credits held minus credits released.
    pub credits_pending: i128,
    /// Debits held minus debits released, as |amount|.
    pub debits_pending: i128,
}

/// What one account holds of one asset.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// The asset.
    pub asset: Slot,
    /// The sums over all entries.
    pub counters: Counters,
    /// How many entries there are.
    pub entry_count: u64,
    /// The latest time of any entry, which need not be the entry booked last. In microseconds since the epoch.
    pub last_occurred_at_us: i64,
    /// All entries.
    pub log: &'a Log,
}

/// What an account holds, ascending by asset slot. Nearly every account has one asset. Its figures are stored in place,
/// in one cache line, so that a balance needs no other.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub enum Account {
    /// There is no entry yet, as for an id that is only a counterparty.
    #[default]
    Empty,
    /// There is one asset, and its figures fit.
    One(Narrow),
    /// All other accounts.
    Many(Arc<Vec<Wide>>),
}

/// A holding whose sums fit 64 bits and whose count of entries fits 32.
#[derive(Clone, Debug)]
pub struct Narrow {
    asset: Slot,
    entry_count: u32,
    credits_posted: i64,
    debits_posted: i64,
    credits_pending: i64,
    debits_pending: i64,
    last_occurred_at_us: i64,
    log: Arc<Log>,
}

/// Any holding.
#[derive(Clone, Debug)]
pub struct Wide {
    asset: Slot,
    counters: Counters,
    last_occurred_at_us: i64,
    log: Arc<Log>,
}

const _: () = assert!(size_of::<Account>() == 64);

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

    /// Posted credits minus posted debits.
    #[must_use]
    pub fn posted(&self) -> i128 {
        self.credits_posted - self.debits_posted
    }

    /// The posted balance minus pending debits.
    #[must_use]
    pub fn available(&self) -> i128 {
        self.posted() - self.debits_pending
    }

    /// Pending credits minus pending debits.
    #[must_use]
    pub fn pending(&self) -> i128 {
        self.credits_pending - self.debits_pending
    }
}

impl Narrow {
    fn holding(&self) -> Holding<'_> {
        Holding {
            asset: self.asset,
            counters: Counters {
                credits_posted: self.credits_posted.into(),
                debits_posted: self.debits_posted.into(),
                credits_pending: self.credits_pending.into(),
                debits_pending: self.debits_pending.into(),
            },
            entry_count: self.entry_count.into(),
            last_occurred_at_us: self.last_occurred_at_us,
            log: &self.log,
        }
    }

    /// Books an entry. Returns `None`, and books nothing, if the figures would no longer fit.
    fn book(&mut self, entry: Logged, keeping: Keeping) -> Option<Effect> {
        let mut counters = self.holding().counters;
        counters.count(entry.amount, entry.phase);
        self.set(&counters).ok()?;
        self.last_occurred_at_us = self.last_occurred_at_us.max(entry.occurred_at_us);
        Some(Arc::make_mut(&mut self.log).push(entry, keeping))
    }

    /// Sets the counters, and counts one more entry.
    fn set(&mut self, counters: &Counters) -> Result<(), TryFromIntError> {
        let figures = [
            counters.credits_posted,
            counters.debits_posted,
            counters.credits_pending,
            counters.debits_pending,
        ];
        let entry_count = u32::try_from(u64::from(self.entry_count) + 1)?;
        let mut narrow = [0; 4];
        for (narrow, figure) in narrow.iter_mut().zip(figures) {
            *narrow = i64::try_from(figure)?;
        }
        self.entry_count = entry_count;
        [
            self.credits_posted,
            self.debits_posted,
            self.credits_pending,
            self.debits_pending,
        ] = narrow;
        Ok(())
    }

    fn widened(&self) -> Wide {
        Wide {
            asset: self.asset,
            counters: self.holding().counters,
            last_occurred_at_us: self.last_occurred_at_us,
            log: Arc::clone(&self.log),
        }
    }
}

impl Wide {
    fn new(asset: Slot) -> Self {
        Self {
            asset,
            counters: Counters::default(),
            last_occurred_at_us: i64::MIN,
            log: Arc::default(),
        }
    }

    fn holding(&self) -> Holding<'_> {
        Holding {
            asset: self.asset,
            counters: self.counters,
            entry_count: self.log.len() as u64,
            last_occurred_at_us: self.last_occurred_at_us,
            log: &self.log,
        }
    }

    fn book(&mut self, entry: Logged, keeping: Keeping) -> Effect {
        self.counters.count(entry.amount, entry.phase);
        self.last_occurred_at_us = self.last_occurred_at_us.max(entry.occurred_at_us);
        Arc::make_mut(&mut self.log).push(entry, keeping)
    }
}

impl Account {
    /// Every holding, ascending by asset slot.
    pub fn holdings(&self) -> impl Iterator<Item = Holding<'_>> {
        let many = match self {
            Self::Many(holdings) => holdings.as_slice(),
            _ => &[],
        };
        let one = match self {
            Self::One(narrow) => Some(narrow.holding()),
            _ => None,
        };
        one.into_iter().chain(many.iter().map(Wide::holding))
    }

    /// The holding of the only asset. `None` if the account is stored as [`Self::Many`] or has no entries.
    #[must_use]
    #[inline]
    pub fn only(&self) -> Option<Holding<'_>> {
        match self {
            Self::One(narrow) => Some(narrow.holding()),
            _ => None,
        }
    }

    /// The holding of one asset.
    #[must_use]
    pub fn holding(&self, asset: Slot) -> Option<Holding<'_>> {
        match self {
            Self::Empty => None,
            Self::One(narrow) => (narrow.asset == asset).then(|| narrow.holding()),
            Self::Many(holdings) => {
                let index = holdings.binary_search_by_key(&asset, |h| h.asset).ok()?;
                holdings.get(index).map(Wide::holding)
            }
        }
    }

    /// True if the account never had an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The log of one asset, to be changed. It first copies what an older version still shares.
    pub(super) fn log_mut(&mut self, asset: Slot) -> Option<&mut Log> {
        let log = match self {
            Self::Empty => return None,
            Self::One(narrow) => (narrow.asset == asset).then_some(&mut narrow.log)?,
            Self::Many(holdings) => {
                let holdings = Arc::make_mut(holdings);
                let index = holdings.binary_search_by_key(&asset, |h| h.asset).ok()?;
                &mut holdings[index].log
            }
        };
        Some(Arc::make_mut(log))
    }

    /// Keeps no index from now on: what is indexed is copied.
    pub(super) fn scan(&mut self) {
        let assets: Vec<Slot> = self.holdings().map(|holding| holding.asset).collect();
        for asset in assets {
            if let Some(log) = self.log_mut(asset) {
                *log = log.scanning();
            }
        }
    }

    /// Books an entry. Copies only what an older version still shares.
    pub(super) fn book(&mut self, asset: Slot, entry: Logged, keeping: Keeping) -> Effect {
        if let Self::Empty = self {
            *self = Self::One(Narrow {
                asset,
                entry_count: 0,
                credits_posted: 0,
                debits_posted: 0,
                credits_pending: 0,
                debits_pending: 0,
                last_occurred_at_us: i64::MIN,
                log: Arc::default(),
            });
        }
        if let Self::One(narrow) = self {
            if narrow.asset == asset
                && let Some(effect) = narrow.book(entry, keeping)
            {
                return effect;
            }
            *self = Self::Many(Arc::new(vec![narrow.widened()]));
        }
        let Self::Many(holdings) = self else {
            return Effect::default();
        };
        let holdings = Arc::make_mut(holdings);
        let index = match holdings.binary_search_by_key(&asset, |h| h.asset) {
            Ok(index) => index,
            Err(index) => {
                holdings.insert(index, Wide::new(asset));
                index
            }
        };
        holdings[index].book(entry, keeping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(amount: i64, phase: Phase, at: i64) -> Logged {
        Logged::new(at, amount, None, phase)
    }

    fn book(account: &mut Account, asset: Slot, entry: Logged) {
        account.book(asset, entry, Keeping::default());
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
            book(
                &mut account,
                asset,
                logged(i64::from(asset), Phase::Posted, 0),
            );
        }
        let assets: Vec<Slot> = account.holdings().map(|h| h.asset).collect();
        assert_eq!(assets, [1, 3, 5, 9]);
        assert_eq!(account.holding(1).map(|h| h.counters.posted()), Some(2));
        assert!(account.holding(2).is_none());
    }

    #[test]
    fn figures_that_outgrow_64_bits_go_on() {
        const MOST: i64 = 1_000_000_000_000_000;
        for (amount, phase) in [(MOST, Phase::Posted), (-MOST, Phase::Hold)] {
            let mut account = Account::default();
            let mut narrow = 0;
            for n in 1..=10_000_u64 {
                book(&mut account, 3, logged(amount, phase, 5));
                let holding = account.holding(3).expect("a holding");
                let counters = holding.counters;
                let sums = [
                    counters.credits_posted,
                    counters.debits_pending,
                    counters.debits_posted + counters.credits_pending,
                ];
                let size = i128::from(n) * i128::from(MOST);
                assert!(sums == [size, 0, 0] || sums == [0, size, 0], "{sums:?}");
                assert_eq!((holding.entry_count, holding.log.len() as u64), (n, n));
                narrow += u64::from(account.only().is_some());
            }
            assert_eq!(narrow, 9_223);
            assert_eq!(account.holdings().count(), 1);
            assert!(account.holding(2).is_none());
        }
    }

    #[test]
    fn an_old_clone_keeps_its_figures() {
        let mut account = Account::default();
        book(&mut account, 0, logged(5, Phase::Posted, 9));
        let old = account.clone();
        book(&mut account, 0, logged(5, Phase::Posted, 3));
        book(&mut account, 1, logged(5, Phase::Posted, 3));
        let seen = |a: &Account| a.holding(0).map(|h| (h.log.len(), h.last_occurred_at_us));
        assert_eq!((seen(&old), old.holdings().count()), (Some((1, 9)), 1));
        assert_eq!(
            (seen(&account), account.holdings().count()),
            (Some((2, 9)), 2)
        );
    }
}
