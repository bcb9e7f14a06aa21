//! From names in a request to what the ledger holds.

use crate::ledger::{Account, Ledger, Log};
use crate::model::{Refusal, VerdictCode};

/// The account, which must have had an entry.
pub(super) fn account<'a>(ledger: &'a Ledger, id: &str) -> Result<&'a Account, Refusal> {
    ledger.account(id).ok_or_else(|| Refusal::Verdict {
        code: VerdictCode::NotFound,
        message: "account_id: has no entries".to_owned(),
    })
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

/// How many entries such a question is about.
pub(super) fn entries(ledger: &Ledger, account_id: &str, asset: Option<&str>) -> usize {
    let Some(account) = ledger.account(account_id) else {
        return 0;
    };
    let slot = asset.map(|asset| ledger.assets().slot(asset));
    let holdings = account.holdings();
    let asked = holdings.filter(|holding| slot.is_none_or(|slot| slot == Some(holding.asset)));
    asked.map(|holding| holding.log.len()).sum()
}
