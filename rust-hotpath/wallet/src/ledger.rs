//! The ledger at one position: persistent maps, so that a clone costs nothing and an old one keeps its answers.
//!
//! Ids (accounts and counterparties alike) and asset names are interned to dense slots; accounts live in a vector by
//! slot. Pure: nothing here knows of clocks, sockets or encodings.

pub mod account;
pub mod apply;
pub mod array;
pub mod audit;
pub mod log;
pub mod names;
pub mod rules;
pub mod transaction;

use array::Array;

pub use account::{Account, Counters, Holding};
pub use log::{Log, Logged};
pub use names::{Names, Slot};
pub use transaction::{Draft, DraftEntry, Phase, Refusal, Transaction};

/// A leaf is copied once a version shares it, and a reference to each of its logs counted, so it is small. With its
/// header it fills an allocator's size class (512 bytes).
type Accounts = Array<Account, 7>;

/// All accounts as of one position; `default()` is the empty ledger at position 0.
#[derive(Clone, Default)]
pub struct Ledger {
    position: u64,
    ids: Names,
    assets: Names,
    /// By id slot; ids that have no entries may be missing at the end.
    accounts: Accounts,
    /// By asset slot.
    outside: Array<Outside, 16>,
    account_count: u64,
    entry_count: u64,
}

/// What came into the ledger of one asset from outside, less what left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outside {
    posted: i128,
    pending: i128,
}

impl Ledger {
    /// The position of the last transaction.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The account of this id, if it ever had an entry: being a counterparty is not existing.
    #[must_use]
    pub fn account(&self, id: &str) -> Option<&Account> {
        let account = self.accounts.get(self.ids.slot(id)? as usize)?;
        (!account.is_empty()).then_some(account)
    }

    /// All ids, of accounts and counterparties.
    #[must_use]
    pub fn ids(&self) -> &Names {
        &self.ids
    }

    /// All assets.
    #[must_use]
    pub fn assets(&self) -> &Names {
        &self.assets
    }

    /// How many accounts have entries.
    #[must_use]
    pub fn account_count(&self) -> u64 {
        self.account_count
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.entry_count
    }
}
