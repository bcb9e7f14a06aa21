//! From names in a request to what the ledger holds.

use crate::ledger::{Account, Ledger, Log};
use hotpath::model::{Refusal, VerdictCode};

/// The account, which must have had an entry.
pub(super) fn account<'a>(ledger: &'a Ledger, id: &str) -> Result<&'a Account, Refusal> {
    let unknown = || Refusal::verdict(VerdictCode::NotFound, "account_id: has no entries");
    ledger.account(id).ok_or_else(unknown)
}

/// The entries of an account in one asset; `None` if that asset never occurred on it.
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

/// How many entries a question about one asset is about.
pub(super) fn entries(ledger: &Ledger, account_id: &str, asset: &str) -> usize {
    log(ledger, account_id, asset).map_or(0, |log| log.map_or(0, Log::len))
}

/// The row of one asset among many (its name, sorting, encoding) takes about as long as scanning so many entries.
pub(super) const ENTRIES_PER_ASSET: usize = 40;

/// From here on a question is moved away from cheap ones, so it need not be known how expensive it is.
pub(super) const EXPENSIVE: usize = 100_000;

/// What the rows of all assets of an account cost, each `row` at least; up to about [`EXPENSIVE`].
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

/// Whether rows of all assets can be many: that is known without looking at an account.
pub(super) fn may_be_many(ledger: &Ledger) -> bool {
    ledger.assets().len() > FEW_ASSETS
}

/// Their rows take some 10 µs.
const FEW_ASSETS: usize = 50;
