//! `GetStatistics`.

use super::{check, codec, lookup};
use crate::ledger::{Ledger, Log};
use crate::proto::{GetStatisticsRequest, GetStatisticsResponse, Percentile};
use crate::stats::percentile::percentiles;
use crate::stats::window::Summary;
use crate::stats::{Selection, Window, counterparties};
use hotpath::model::Refusal;

/// A checked request.
#[derive(Debug)]
pub struct Query {
    request: GetStatisticsRequest,
    window: Window,
}

pub(super) fn parse(request: &[u8]) -> Result<Query, Refusal> {
    let request: GetStatisticsRequest = codec::decode(request)?;
    check::account_id(&request.account_id)?;
    check::asset(&request.asset)?;
    let window = check::window(request.from_us, request.to_us)?;
    check::percentiles(&request.percentiles)?;
    Ok(Query { request, window })
}

/// Estimates the cost. Selecting percentiles of scanned entries takes as long as all the rest. In an indexed run, a
/// percentile takes up to 50 ranks of some 10 ns, and the sums take some 500 ns.
pub(super) fn cost(ledger: &Ledger, query: &Query) -> usize {
    let shape = lookup::shape(ledger, &query.request.account_id, &query.request.asset);
    let percentiles = query.request.percentiles.len();
    let sums = shape.scanned * if percentiles == 0 { 1 } else { 2 };
    sums + shape.indexed_runs * 100 * (1 + percentiles) + shape.codes / CODES_PER_UNIT
}

/// Counterparties are counted as bits.
const CODES_PER_UNIT: usize = 16;

pub(super) fn answer(ledger: &Ledger, query: &Query, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    let log = lookup::log(ledger, &query.request.account_id, &query.request.asset)?;
    let response = match log {
        Some(log) => statistics(log, query)?,
        None => GetStatisticsResponse::default(),
    };
    codec::encode(&response, reply)
}

fn statistics(log: &Log, query: &Query) -> Result<GetStatisticsResponse, Refusal> {
    let selection = Selection::of(log, query.window);
    let summary = Summary::over(&selection);
    let extremes = summary.extremes;
    Ok(GetStatisticsResponse {
        credit_count: summary.credit_count,
        debit_count: summary.debit_count,
        credit_sum: check::fit("credit_sum", summary.credit_sum)?,
        debit_sum: check::fit("debit_sum", summary.debit_sum)?,
        net: check::fit("net", summary.net())?,
        min: extremes.map(|e| e.min),
        max: extremes.map(|e| e.max),
        mean: summary.mean(),
        stddev: summary.stddev(),
        percentiles: rows(&selection, query)?,
        distinct_counterparties: counterparties::distinct(&selection),
        first_occurred_at_us: extremes.map(|e| e.first_occurred_at_us),
        last_occurred_at_us: extremes.map(|e| e.last_occurred_at_us),
    })
}

fn rows(selection: &Selection<'_>, query: &Query) -> Result<Vec<Percentile>, Refusal> {
    let basis_points = &query.request.percentiles;
    let values = percentiles(selection, basis_points);
    let rows = basis_points.iter().zip(values);
    rows.map(|(&basis_points, value)| {
        Ok(Percentile {
            basis_points,
            value: check::fit("value", i128::from(value))?,
        })
    })
    .collect()
}
