//! `BatchGetBalances`.

use super::{balance, check, codec};
use crate::ledger::Ledger;
use crate::model::Refusal;
use crate::proto::wallet::{AccountBalances, BatchGetBalancesRequest};

/// Looking up one account takes about as long as scanning so many entries.
const ENTRIES_PER_ACCOUNT: usize = 50;

pub(super) fn parse(request: &[u8]) -> Result<BatchGetBalancesRequest, Refusal> {
    let request: BatchGetBalancesRequest = codec::decode(request)?;
    check::account_ids(&request.account_ids)?;
    check::optional_asset(request.asset.as_deref())?;
    Ok(request)
}

pub(super) fn cost(_ledger: &Ledger, query: &BatchGetBalancesRequest) -> usize {
    query.account_ids.len() * ENTRIES_PER_ACCOUNT
}

pub(super) fn answer(
    ledger: &Ledger,
    query: &BatchGetBalancesRequest,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    for id in &query.account_ids {
        codec::append_row(&row(ledger, id, query.asset.as_deref())?, reply);
    }
    Ok(())
}

fn row(ledger: &Ledger, id: &str, asset: Option<&str>) -> Result<AccountBalances, Refusal> {
    let account = ledger.account(id);
    let mut balances = Vec::new();
    if let Some(account) = account {
        balance::each_row(ledger, account, asset, None, |row| balances.push(row))?;
    }
    Ok(AccountBalances {
        account_id: id.to_owned(),
        found: account.is_some(),
        balances,
    })
}
