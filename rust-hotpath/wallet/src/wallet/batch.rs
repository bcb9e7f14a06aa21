//! `BatchGetBalances`.

use std::borrow::Cow;

use super::{balance, check, codec, lookup};
use crate::ledger::{Account, Ledger};
use crate::proto::BatchGetBalancesRequest;
use hotpath::model::Refusal;

/// Looking up one account takes about as long as scanning this many entries.
const ENTRIES_PER_ACCOUNT: usize = 50;

/// If the rows cost no more than this together, it is not worth looking at the accounts.
const LITTLE: usize = 5_000;

/// Once the cost exceeds this, no more accounts are looked at. Each look takes a tenth of the time that it estimates.
const ENOUGH: usize = 25_000;

/// The key of the list in a reply. The keys of the fields of its rows follow.
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

pub(super) fn cost(ledger: &Ledger, query: &Query<'_>) -> usize {
    let ids = &query.account_ids;
    let mut cost = ids.len() * ENTRIES_PER_ACCOUNT;
    // The most that the rows can cost, if each account has every asset.
    let rows = ids.len() * ledger.assets().len() * lookup::ENTRIES_PER_ASSET;
    if query.asset.is_some() || rows <= LITTLE {
        return cost;
    }
    for account in ids.iter().filter_map(|id| ledger.account(id)) {
        if cost > ENOUGH {
            break;
        }
        if account.only().is_none() {
            cost += lookup::all_assets(account, |_| 0);
        }
    }
    cost
}

pub(super) fn answer(
    ledger: &Ledger,
    query: &Query<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let asset = query.asset.as_deref();
    // All accounts are found first, so that their cache misses overlap and do not wait for the rows in between.
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
    // The id was checked, so it has at most 64 bytes.
    reply.extend_from_slice(&[ACCOUNT_ID, u8::try_from(id.len()).unwrap_or(0)]);
    reply.extend_from_slice(id.as_bytes());
    if let Some(account) = account {
        reply.extend_from_slice(&[FOUND, 1]);
        balance::append_rows(BALANCES, ledger, account, asset, None, reply)?;
    }
    Ok(())
}

impl<'a> Query<'a> {
    /// Most ids that are kept. One too many is enough to refuse the request. An empty id takes two bytes of a request,
    /// but 24 here.
    const MOST_KEPT: usize = check::MAX_ACCOUNTS + 1;

    /// Reads the fields that nearly every caller sends, without copying them. Returns `None` if the request has
    /// anything else.
    fn in_place(mut rest: &'a [u8]) -> Option<Self> {
        let mut query = Self::default();
        // Most ids are as long as the first one.
        let first = rest.get(1).map_or(0, |length| usize::from(*length));
        let likely = rest.len() / (first + 2) + 1;
        query.account_ids.reserve(likely.min(Self::MOST_KEPT));
        while let [key, after @ ..] = rest {
            rest = after;
            match key {
                0x0a => {
                    let id = codec::text(&mut rest)?;
                    if query.account_ids.len() < Self::MOST_KEPT {
                        query.account_ids.push(Cow::Borrowed(id));
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;

    fn id(text: &str) -> BatchGetBalancesRequest {
        BatchGetBalancesRequest {
            account_ids: vec![text.to_owned()],
            asset: None,
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_generated_code() {
        let good = id("a").encode_to_vec();
        let odd: [&[u8]; 6] = [
            &[0x18, 0],
            &[0x0a],
            &[0x0a, 2, b'a'],
            &[0x0a, 1, 0xff],
            &[0x8a, 0x00, 1, b'a'],
            &[0x0a, 0x81, 0x00, b'a'],
        ];
        assert!(Query::in_place(&good).is_some());
        for field in odd {
            let bytes = [&good, field].concat();
            assert!(Query::in_place(&bytes).is_none(), "{field:?}");
        }
    }

    #[test]
    fn too_many_ids_are_refused_without_being_kept_but_read_to_the_end() {
        let mut many = [0x0a, 0].repeat(100_000);
        let query = Query::in_place(&many).expect("plain ids");
        assert!(query.account_ids.capacity() <= 2 * Query::MOST_KEPT);
        let refused = check::invalid("account_ids: must be at most 1000");
        assert_eq!(parse(&many).err(), Some(refused));
        many.push(0x0a);
        assert!(matches!(parse(&many), Err(Refusal::Malformed(_))));
    }

    proptest! {
        #[test]
        fn a_request_in_place_is_the_generated_one(
            fields in prop::collection::vec((any::<bool>(), "[a-\u{e9}]{0,70}"), 0..9),
        ) {
            let mut bytes = Vec::new();
            for (is_asset, text) in fields {
                let request = if is_asset {
                    BatchGetBalancesRequest { account_ids: Vec::new(), asset: Some(text) }
                } else {
                    id(&text)
                };
                request.encode(&mut bytes).expect("room");
            }
            let decoded = BatchGetBalancesRequest::decode(&*bytes).expect("a request");
            if let Some(query) = Query::in_place(&bytes) {
                prop_assert_eq!(query.account_ids, decoded.account_ids);
                prop_assert_eq!(query.asset.as_deref(), decoded.asset.as_deref());
            }
        }
    }
}
