//! Finds in the ledger what a request names.

use crate::history::Shape;
use crate::ledger::{Account, Ledger, Log};
use hotpath::model::{Refusal, VerdictCode};

/// The account with this id, which must have had an entry.
pub(super) fn account<'a>(ledger: &'a Ledger, id: &str) -> Result<&'a Account, Refusal> {
    let unknown = || Refusal::verdict(VerdictCode::NotFound, "account_id: has no entries");
    ledger.account(id).ok_or_else(unknown)
}

/// The entries of an account in one asset. `None` if the account never had the asset.
pub(super) fn log<'a>(
    ledger: &'a Ledger,
    account_id: &str,
    asset: &str,
) -> Result<Option<&'a Log>, Refusal> {
    let account = account(ledger, account_id)?;
    let asset = ledger.assets().slot(asset);
    Ok(asset
        .and_then(|asset| account.holding(asset))
        .map(|holding| holding.log))
}

/// What a request about one asset has to look at.
pub(super) fn shape(ledger: &Ledger, account_id: &str, asset: &str) -> Shape {
    let log = log(ledger, account_id, asset).unwrap_or(None);
    log.map(Log::shape).unwrap_or_default()
}

/// Estimates a balance at an instant: it reads what is not indexed, and takes some 200 ns for an indexed run.
pub(super) fn past(log: &Log) -> usize {
    let shape = log.shape();
    shape.scanned + 40 * shape.indexed_runs
}

/// The row of one asset among many (its name, sorting, encoding) takes about as long as scanning this many entries.
pub(super) const ENTRIES_PER_ASSET: usize = 40;

/// A request that costs this much is moved out of the way of cheap ones anyway, so its exact cost does not matter.
pub(super) const EXPENSIVE: usize = 100_000;

/// Estimates the rows of all assets of an account, counting `row` more for each. Stops at about [`EXPENSIVE`].
pub(super) fn all_assets(account: &Account, row: impl Fn(&Log) -> usize) -> usize {
    let mut cost = 0;
    for holding in account.holdings() {
        cost += ENTRIES_PER_ASSET + row(holding.log);
        if cost > EXPENSIVE {
            break;
        }
    }
    cost
}

/// Whether an account can have many rows. This is known without looking at the account.
pub(super) fn may_be_many(ledger: &Ledger) -> bool {
    ledger.assets().len() > FEW_ASSETS
}

/// The rows of this many assets take some 10 µs.
const FEW_ASSETS: usize = 50;
