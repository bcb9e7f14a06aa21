//! `BatchGetBalances`.

use std::borrow::Cow;

use super::{balance, check, codec};
use crate::ledger::{Account, Ledger};
use crate::model::Refusal;
use crate::proto::wallet::BatchGetBalancesRequest;

/// Looking up one account takes about as long as scanning so many entries.
const ENTRIES_PER_ACCOUNT: usize = 50;

/// The list of a reply, and the fields of its rows.
const ACCOUNTS: u8 = 1 << 3 | 2;
const ACCOUNT_ID: u8 = 1 << 3 | 2;
const FOUND: u8 = 2 << 3;
const BALANCES: u8 = 3 << 3 | 2;

/// A checked request.
#[derive(Debug, Default)]
pub struct Query<'a> {
    account_ids: Vec<Cow<'a, str>>,
    asset: Option<Cow<'a, str>>,
}

pub(super) fn parse(request: &[u8]) -> Result<Query<'_>, Refusal> {
    let query = match Query::in_place(request) {
        Some(query) => query,
        None => codec::decode::<BatchGetBalancesRequest>(request)?.into(),
    };
    check::account_ids(&query.account_ids)?;
    check::optional_asset(query.asset.as_deref())?;
    Ok(query)
}

pub(super) fn cost(_ledger: &Ledger, query: &Query<'_>) -> usize {
    query.account_ids.len() * ENTRIES_PER_ACCOUNT
}

pub(super) fn answer(
    ledger: &Ledger,
    query: &Query<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let asset = query.asset.as_deref();
    // All first, so that the cache misses of one do not wait for the row of another.
    let accounts = query.account_ids.iter().map(|id| ledger.account(id));
    let accounts: Vec<Option<&Account>> = accounts.collect();
    for (id, account) in query.account_ids.iter().zip(accounts) {
        codec::delimited(ACCOUNTS, reply, |reply| {
            append_row(ledger, id, account, asset, reply)
        })?;
    }
    Ok(())
}

fn append_row(
    ledger: &Ledger,
    id: &str,
    account: Option<&Account>,
    asset: Option<&str>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    // Checked: at most 64 bytes.
    reply.extend_from_slice(&[ACCOUNT_ID, u8::try_from(id.len()).unwrap_or(0)]);
    reply.extend_from_slice(id.as_bytes());
    if let Some(account) = account {
        reply.extend_from_slice(&[FOUND, 1]);
        balance::append_rows(BALANCES, ledger, account, asset, None, reply)?;
    }
    Ok(())
}

impl<'a> Query<'a> {
    /// Reads what nearly every caller sends, without copying; `None` if there is anything else in it.
    fn in_place(mut rest: &'a [u8]) -> Option<Self> {
        let mut query = Self::default();
        // Ids are mostly as long as the first.
        let first = rest.get(1).map_or(0, |length| usize::from(*length));
        query.account_ids.reserve(rest.len() / (first + 2) + 1);
        while let [key, after @ ..] = rest {
            rest = after;
            match key {
                0x0a => query
                    .account_ids
                    .push(Cow::Borrowed(codec::text(&mut rest)?)),
                0x12 => query.asset = Some(Cow::Borrowed(codec::text(&mut rest)?)),
                _ => return None,
            }
        }
        Some(query)
    }
}

impl From<BatchGetBalancesRequest> for Query<'_> {
    fn from(request: BatchGetBalancesRequest) -> Self {
        let account_ids = request.account_ids.into_iter();
        Self {
            account_ids: account_ids.map(Cow::Owned).collect(),
            asset: request.asset.map(Cow::Owned),
        }
    }
}
