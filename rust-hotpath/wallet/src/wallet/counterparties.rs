//! `GetTopCounterparties`.

use super::{check, codec, lookup};
use crate::ledger::Ledger;
use crate::proto::{CounterpartyTotal, GetTopCounterpartiesRequest};
use crate::stats::counterparties::{Total, top};
use crate::stats::{Selection, Window};
use hotpath::model::Refusal;

/// A checked request.
#[derive(Debug)]
pub struct Query {
    request: GetTopCounterpartiesRequest,
    window: Window,
    limit: usize,
}

pub(super) fn parse(request: &[u8]) -> Result<Query, Refusal> {
    let request: GetTopCounterpartiesRequest = codec::decode(request)?;
    check::account_id(&request.account_id)?;
    check::asset(&request.asset)?;
    let window = check::window(request.from_us, request.to_us)?;
    let limit = check::limit(request.limit)?;
    Ok(Query {
        request,
        window,
        limit,
    })
}

/// Estimates the cost. Grouping an entry takes three times as long as adding it up. With an index, there is a sum for
/// each counterparty.
pub(super) fn cost(ledger: &Ledger, query: &Query) -> usize {
    let shape = lookup::shape(ledger, &query.request.account_id, &query.request.asset);
    3 * shape.scanned + shape.indexed_runs * 100 + shape.codes
}

pub(super) fn answer(ledger: &Ledger, query: &Query, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    let log = lookup::log(ledger, &query.request.account_id, &query.request.asset)?;
    let selection = log.map(|log| Selection::of(log, query.window));
    let totals = selection.map(|selection| top(&selection, query.limit, ledger.ids()));
    for total in totals.into_iter().flatten() {
        codec::append_row(&row(total)?, reply);
    }
    Ok(())
}

fn row((id, total): (&str, Total)) -> Result<CounterpartyTotal, Refusal> {
    Ok(CounterpartyTotal {
        counterparty: id.to_owned(),
        count: total.count,
        credit_sum: check::fit("credit_sum", total.credit_sum)?,
        debit_sum: check::fit("debit_sum", total.debit_sum)?,
    })
}
