//! The ledger at one position. It is made of persistent maps, so a clone costs nothing, and an old clone keeps its
//! answers.
//!
//! Ids (of accounts and counterparties alike) and names of assets are interned: each gets a dense number, its slot.
//! Accounts are stored by slot. This module is pure: it uses no clocks, sockets or encodings.

pub mod account;
pub mod apply;
pub mod array;
pub mod audit;
pub mod log;
pub mod merges;
pub mod names;
pub mod rules;
pub mod transaction;

use array::Array;

pub use crate::history::{Logged, Memory, Merging, Phase};
pub use account::{Account, Counters, Holding};
pub use log::{Keeping, Log};
pub use merges::{Done, Due};
pub use names::{Names, Slot};
pub use transaction::{Draft, DraftEntry, Refusal, Transaction};

/// The size of a leaf. An update copies a leaf that a version shares, and counts a reference to each of its logs, so
/// leaves are small. With its header a leaf fills an allocator's size class (512 bytes).
type Accounts = Array<Account, 7>;

/// All accounts as of one position. `default()` is the empty ledger at position 0.
#[derive(Clone, Default)]
pub struct Ledger {
    position: u64,
    ids: Names,
    assets: Names,
    /// By the slot of the id. Ids without entries may be missing at the end.
    accounts: Accounts,
    /// By the slot of the asset.
    outside: Array<Outside, 16>,
    account_count: u64,
    entry_count: u64,
    keeping: Keeping,
    /// What the runs of all histories take.
    memory: Memory,
    /// The (account, asset)s that have a long merge to be taken.
    due: Vec<(Slot, Slot)>,
}

/// The sums of one asset that came into the ledger from outside, minus those that left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outside {
    posted: i128,
    pending: i128,
}

impl Ledger {
    /// The empty ledger. `keeping` decides how long histories are kept; answers do not depend on it.
    #[must_use]
    pub fn keeping(keeping: Keeping) -> Self {
        Self {
            keeping,
            ..Self::default()
        }
    }

    /// The position of the last transaction.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The account with this id, if it ever had an entry. A counterparty without entries is no account.
    #[must_use]
    pub fn account(&self, id: &str) -> Option<&Account> {
        let account = self.accounts.get(self.ids.slot(id)? as usize)?;
        (!account.is_empty()).then_some(account)
    }

    /// The names of all accounts and counterparties.
    #[must_use]
    pub fn ids(&self) -> &Names {
        &self.ids
    }

    /// The names of all assets.
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

    /// What the runs of all histories take.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }
}
