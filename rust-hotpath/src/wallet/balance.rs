//! `GetBalance`.

use super::{check, codec, lookup};
use crate::ledger::{Account, Holding, Ledger};
use crate::model::Refusal;
use crate::proto::wallet::{Balance, GetBalanceRequest};
use crate::stats::asof::Standing;

pub(super) fn parse(request: &[u8]) -> Result<GetBalanceRequest, Refusal> {
    let request: GetBalanceRequest = codec::decode(request)?;
    check::account_id(&request.account_id)?;
    check::optional_asset(request.asset.as_deref())?;
    if let Some(as_of_us) = request.as_of_us {
        check::time("as_of_us", as_of_us)?;
    }
    Ok(request)
}

pub(super) fn cost(ledger: &Ledger, query: &GetBalanceRequest) -> usize {
    match query.as_of_us {
        None => 0,
        Some(_) => lookup::entries(ledger, &query.account_id, query.asset.as_deref()),
    }
}

pub(super) fn answer(
    ledger: &Ledger,
    query: &GetBalanceRequest,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let account = lookup::account(ledger, &query.account_id)?;
    each_row(
        ledger,
        account,
        query.asset.as_deref(),
        query.as_of_us,
        |row| codec::append_row(&row, reply),
    )
}

/// The named asset, or all that the account has had, ascending by bytes.
pub(super) fn each_row(
    ledger: &Ledger,
    account: &Account,
    asset: Option<&str>,
    as_of_us: Option<i64>,
    mut take: impl FnMut(Balance),
) -> Result<(), Refusal> {
    let assets = ledger.assets();
    if let Some(name) = asset {
        let holding = assets.slot(name).and_then(|slot| account.holding(slot));
        take(row(name, holding, as_of_us)?);
        return Ok(());
    }
    if let [only] = account.holdings() {
        take(row(assets.name(only.asset), Some(only), as_of_us)?);
        return Ok(());
    }
    let holdings = account.holdings().iter();
    let mut named: Vec<(&str, &Holding)> = holdings
        .map(|holding| (assets.name(holding.asset), &**holding))
        .collect();
    named.sort_unstable_by_key(|&(name, _)| name);
    for (name, holding) in named {
        take(row(name, Some(holding), as_of_us)?);
    }
    Ok(())
}

fn row(asset: &str, holding: Option<&Holding>, as_of_us: Option<i64>) -> Result<Balance, Refusal> {
    let standing = match (holding, as_of_us) {
        (None, _) => Standing::default(),
        (Some(holding), None) => Standing::now(holding),
        (Some(holding), Some(as_of_us)) => Standing::before(holding, as_of_us),
    };
    let counters = standing.counters;
    Ok(Balance {
        asset: asset.to_owned(),
        credits_posted: check::fit("credits_posted", counters.credits_posted)?,
        debits_posted: check::fit("debits_posted", counters.debits_posted)?,
        credits_pending: check::fit("credits_pending", counters.credits_pending)?,
        debits_pending: check::fit("debits_pending", counters.debits_pending)?,
        posted: check::fit("posted", counters.posted())?,
        available: check::fit("available", counters.available())?,
        entry_count: standing.entry_count,
        last_occurred_at_us: standing.last_occurred_at_us,
    })
}
