//! `GetTimeSeries`.

use super::{check, codec, lookup, row};
use crate::ledger::Ledger;
use crate::proto::GetTimeSeriesRequest;
use crate::stats::Window;
use crate::stats::series::Buckets;
use hotpath::model::Refusal;

const MAX_BUCKETS: usize = 10_000;
/// The key of the list in a reply.
const BUCKETS: u8 = 1 << 3 | 2;

/// A checked request.
#[derive(Debug)]
pub struct Query {
    request: GetTimeSeriesRequest,
    window: Window,
    buckets: Buckets,
}

pub(super) fn parse(request: &[u8]) -> Result<Query, Refusal> {
    let request: GetTimeSeriesRequest = codec::decode(request)?;
    check::account_id(&request.account_id)?;
    check::asset(&request.asset)?;
    let window = check::window(request.from_us, request.to_us)?;
    let buckets = Buckets::of(window, check::step(request.step)?);
    if buckets.count() > MAX_BUCKETS {
        return Err(check::invalid("step: must give at most 10000 buckets"));
    }
    Ok(Query {
        request,
        window,
        buckets,
    })
}

/// Estimates the cost. A bucket, even an empty one, takes as long as ten entries, and twice that if its end must be
/// found in an index. In most ledgers, nearly every bucket lies in one run.
pub(super) fn cost(ledger: &Ledger, query: &Query) -> usize {
    let shape = lookup::shape(ledger, &query.request.account_id, &query.request.asset);
    let bucket = if shape.indexed_runs == 0 { 10 } else { 30 };
    shape.scanned + shape.indexed_runs * 100 + bucket * query.buckets.count()
}

pub(super) fn answer(ledger: &Ledger, query: &Query, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    let log = lookup::log(ledger, &query.request.account_id, &query.request.asset)?;
    for bucket in query.buckets.fill(log, query.window) {
        reply.extend_from_slice(row::bucket(BUCKETS, &bucket)?.bytes());
    }
    Ok(())
}
