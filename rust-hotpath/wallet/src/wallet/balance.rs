//! `GetBalance`.

use std::borrow::Cow;

use super::row;
use super::{check, codec, lookup};
use crate::ledger::{Account, Holding, Ledger};
use crate::proto::GetBalanceRequest;
use crate::stats::asof::Standing;
use hotpath::model::Refusal;

/// A checked request.
#[derive(Debug, Default)]
pub struct Query<'a> {
    account_id: Cow<'a, str>,
    asset: Option<Cow<'a, str>>,
    as_of_us: Option<i64>,
}

/// The key of the list in a reply.
const BALANCES: u8 = 1 << 3 | 2;

pub(super) fn parse(request: &[u8]) -> Result<Query<'_>, Refusal> {
    let query = match Query::in_place(request) {
        Some(query) => query,
        None => codec::decode::<GetBalanceRequest>(request)?.into(),
    };
    check::account_id(&query.account_id)?;
    check::optional_asset(query.asset.as_deref())?;
    if let Some(as_of_us) = query.as_of_us {
        check::time("as_of_us", as_of_us)?;
    }
    Ok(query)
}

pub(super) fn cost(ledger: &Ledger, query: &Query<'_>) -> usize {
    let account = || ledger.account(&query.account_id);
    match (query.asset.as_deref(), query.as_of_us) {
        // The answer is found by key. A second look at the account, to estimate it, would take as long as the answer.
        (Some(_), None) => 0,
        (None, None) if !lookup::may_be_many(ledger) => 0,
        (None, None) => account().map_or(0, |account| lookup::all_assets(account, |_| 0)),
        (Some(asset), Some(_)) => {
            let log = lookup::log(ledger, &query.account_id, asset).unwrap_or(None);
            log.map_or(0, lookup::past)
        }
        (None, Some(_)) => account().map_or(0, |account| lookup::all_assets(account, lookup::past)),
    }
}

pub(super) fn answer(
    ledger: &Ledger,
    query: &Query<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let account = lookup::account(ledger, &query.account_id)?;
    let asset = query.asset.as_deref();
    append_rows(BALANCES, ledger, account, asset, query.as_of_us, reply)
}

/// Appends a list with this key: the named asset, or all that the account has had, ascending by the bytes of the names.
pub(super) fn append_rows(
    key: u8,
    ledger: &Ledger,
    account: &Account,
    asset: Option<&str>,
    as_of_us: Option<i64>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let assets = ledger.assets();
    if let Some(name) = asset {
        let holding = assets.slot(name).and_then(|slot| account.holding(slot));
        return append_row(key, name, holding, as_of_us, reply);
    }
    if let Some(only) = account.only() {
        let name = assets.name(only.asset);
        return append_row(key, name, Some(only), as_of_us, reply);
    }
    let holdings = account.holdings();
    let mut named: Vec<(&str, Holding<'_>)> = holdings
        .map(|holding| (assets.name(holding.asset), holding))
        .collect();
    named.sort_unstable_by_key(|&(name, _)| name);
    for (name, holding) in named {
        append_row(key, name, Some(holding), as_of_us, reply)?;
    }
    Ok(())
}

fn append_row(
    key: u8,
    asset: &str,
    holding: Option<Holding<'_>>,
    as_of_us: Option<i64>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let standing = match (holding, as_of_us) {
        (None, _) => Standing::default(),
        (Some(holding), None) => Standing::now(&holding),
        (Some(holding), Some(as_of_us)) => Standing::before(&holding, as_of_us),
    };
    let row = row::balance(key, asset, &standing)?;
    reply.extend_from_slice(row.bytes());
    Ok(())
}

impl<'a> Query<'a> {
    /// Reads the fields that nearly every caller sends, without copying them. Returns `None` if the request has
    /// anything else.
    fn in_place(mut rest: &'a [u8]) -> Option<Self> {
        let mut query = Self::default();
        while let [key, after @ ..] = rest {
            rest = after;
            match key {
                0x0a => query.account_id = Cow::Borrowed(codec::text(&mut rest)?),
                0x12 => query.asset = Some(Cow::Borrowed(codec::text(&mut rest)?)),
                0x18 => query.as_of_us = Some(codec::int64(&mut rest)?),
                _ => return None,
            }
        }
        Some(query)
    }
}

impl From<GetBalanceRequest> for Query<'_> {
    fn from(request: GetBalanceRequest) -> Self {
        Self {
            account_id: Cow::Owned(request.account_id),
            asset: request.asset.map(Cow::Owned),
            as_of_us: request.as_of_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;

    #[test]
    fn what_is_unusual_is_left_to_the_generated_code() {
        let good = [&[0x0a, 1, b'a'][..], &[0x18, 5]].concat();
        let odd: [&[u8]; 7] = [
            &[0x20, 0],
            &[0x0a, 1],
            &[0x0a, 1, 0xff],
            &[0x08, 7],
            &[0x8a, 0x00, 1, b'a'],
            &[0x0a, 0x81, 0x00, b'a'],
            &[0x18, 0x80],
        ];
        assert!(Query::in_place(&good).is_some());
        for field in odd {
            assert!(
                Query::in_place(&[&good, field].concat()).is_none(),
                "{field:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_request_in_place_is_the_generated_one(
            fields in prop::collection::vec((0..3_usize, "[a-\u{e9}]{0,70}", any::<i64>()), 0..5),
        ) {
            let mut bytes = Vec::new();
            for (field, text, number) in fields {
                let request = GetBalanceRequest {
                    account_id: if field == 0 { text.clone() } else { String::new() },
                    asset: (field == 1).then_some(text),
                    as_of_us: (field == 2).then_some(number),
                };
                request.encode(&mut bytes).expect("room");
            }
            let decoded = GetBalanceRequest::decode(&*bytes).expect("a request");
            if let Some(query) = Query::in_place(&bytes) {
                prop_assert_eq!(&*query.account_id, &*decoded.account_id);
                prop_assert_eq!(query.asset.as_deref(), decoded.asset.as_deref());
                prop_assert_eq!(query.as_of_us, decoded.as_of_us);
            }
        }
    }
}
