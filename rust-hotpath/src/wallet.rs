//! The first model: the hot reads of `wallet.v1.WalletService`.
//!
//! One file per method, each with the same two functions: `parse` decodes and checks the request by itself, `answer`
//! looks things up and appends the reply.

mod balance;
mod batch;
mod check;
mod codec;
mod counterparties;
mod event;
mod lookup;
mod series;
mod statistics;

use crate::ledger::{Ledger, Transaction};
use crate::model::{Model, Refusal};
use crate::proto::wallet as proto;

/// Answers balances and statistics of a double-entry wallet.
#[derive(Clone, Copy, Debug)]
pub struct Wallet;

/// A checked request.
#[derive(Debug)]
pub enum Query {
    /// One account.
    Balance(proto::GetBalanceRequest),
    /// Many accounts at one position.
    Batch(proto::BatchGetBalancesRequest),
    /// Figures over a window.
    Statistics(statistics::Query),
    /// The other sides of a window.
    Counterparties(counterparties::Query),
    /// A window by calendar steps.
    Series(series::Query),
}

impl Model for Wallet {
    const SERVICE: &'static str = "wallet.v1.WalletService";
    const METHODS: &'static [&'static str] = &[
        "GetBalance",
        "BatchGetBalances",
        "GetStatistics",
        "GetTopCounterparties",
        "GetTimeSeries",
    ];
    const DESCRIPTORS: &'static [u8] = proto::DESCRIPTORS;

    type State = Ledger;
    type Event = Transaction;
    type Query<'a> = Query;

    fn decode_event(bytes: &[u8]) -> Result<Transaction, String> {
        event::decode(bytes)
    }

    fn position(event: &Transaction) -> u64 {
        event.position()
    }

    fn apply(state: &mut Ledger, event: &Transaction) -> Result<(), String> {
        state.apply(event).map_err(|refusal| refusal.to_string())
    }

    fn parse(method: usize, request: &[u8]) -> Result<Query, Refusal> {
        match method {
            0 => balance::parse(request).map(Query::Balance),
            1 => batch::parse(request).map(Query::Batch),
            2 => statistics::parse(request).map(Query::Statistics),
            3 => counterparties::parse(request).map(Query::Counterparties),
            4 => series::parse(request).map(Query::Series),
            _ => Err(Refusal::Malformed(format!("no hot method {method}"))),
        }
    }

    fn answer(ledger: &Ledger, query: &Query, reply: &mut Vec<u8>) -> Result<(), Refusal> {
        match query {
            Query::Balance(query) => balance::answer(ledger, query, reply),
            Query::Batch(query) => batch::answer(ledger, query, reply),
            Query::Statistics(query) => statistics::answer(ledger, query, reply),
            Query::Counterparties(query) => counterparties::answer(ledger, query, reply),
            Query::Series(query) => series::answer(ledger, query, reply),
        }
    }

    fn gauges(ledger: &Ledger) -> Vec<(&'static str, &'static str, u64)> {
        vec![
            ("accounts", "Accounts with entries", ledger.account_count()),
            (
                "assets",
                "Assets that occur in entries",
                ledger.assets().len() as u64,
            ),
            ("entries", "Entries of all accounts", ledger.entry_count()),
            (
                "ids",
                "Ids of accounts and counterparties",
                ledger.ids().len() as u64,
            ),
        ]
    }
}
