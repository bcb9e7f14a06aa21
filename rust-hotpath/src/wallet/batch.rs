//! `BatchGetBalances`.

use super::{balance, check, codec};
use crate::ledger::Ledger;
use crate::model::Refusal;
use crate::proto::wallet::{AccountBalances, BatchGetBalancesRequest, BatchGetBalancesResponse};

pub(super) fn parse(request: &[u8]) -> Result<BatchGetBalancesRequest, Refusal> {
    let request: BatchGetBalancesRequest = codec::decode(request)?;
    check::account_ids(&request.account_ids)?;
    check::optional_asset(request.asset.as_deref())?;
    Ok(request)
}

pub(super) fn answer(
    ledger: &Ledger,
    query: &BatchGetBalancesRequest,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let rows = query.account_ids.iter();
    let accounts = rows
        .map(|id| row(ledger, id, query.asset.as_deref()))
        .collect::<Result<_, _>>()?;
    codec::encode(&BatchGetBalancesResponse { accounts }, reply)
}

fn row(ledger: &Ledger, id: &str, asset: Option<&str>) -> Result<AccountBalances, Refusal> {
    let account = ledger.account(id);
    Ok(AccountBalances {
        account_id: id.to_owned(),
        found: account.is_some(),
        balances: match account {
            Some(account) => balance::rows(ledger, account, asset, None)?,
            None => Vec::new(),
        },
    })
}
