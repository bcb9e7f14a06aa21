//! The model of the hot reads of `wallet.v1.WalletService`.
//!
//! Each method has a file with the same three functions. `parse` decodes and checks the request by itself, `cost`
//! estimates the work, and `answer` looks things up and appends the reply.

mod audit;
mod balance;
mod batch;
mod check;
mod codec;
mod counterparties;
mod event;
mod lookup;
mod row;
mod series;
mod statistics;

use crate::ledger::{Due, Keeping, Ledger, Merging, Transaction};
use crate::proto;
use hotpath::model::{Audit, Choice, Chore, Finish, Model, Refusal};

/// Answers balances and statistics of a double-entry wallet.
#[derive(Clone, Copy, Debug)]
pub struct Wallet;

/// A checked request.
#[derive(Debug)]
pub enum Query<'a> {
    /// One account.
    Balance(balance::Query<'a>),
    /// Many accounts at one position.
    Batch(batch::Query<'a>),
    /// Figures over a window.
    Statistics(statistics::Query),
    /// The counterparties of a window.
    Counterparties(counterparties::Query),
    /// The calendar steps of a window.
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
    const CHOICES: &'static [Choice] = &[Choice {
        name: "statistics",
        values: "index|scan",
        help: "How windows of long accounts are answered: from an index, or by reading every entry",
    }];

    type State = Ledger;
    type Event = Transaction;
    type Query<'a> = Query<'a>;

    fn decode_event(bytes: &[u8]) -> Result<Transaction, String> {
        event::decode(bytes)
    }

    fn position(event: &Transaction) -> u64 {
        event.position()
    }

    fn apply(state: &mut Ledger, event: &Transaction) -> Result<(), String> {
        state.apply(event).map_err(|refusal| refusal.to_string())
    }

    fn begin(chosen: &[&'static str]) -> Ledger {
        Ledger::keeping(match chosen {
            ["scan", ..] => Keeping::Scan,
            _ => Keeping::Index(Merging::Deferred),
        })
    }

    fn chores(ledger: &mut Ledger) -> Vec<Chore<Ledger>> {
        let merge = |due: Due| -> Chore<Ledger> {
            Box::new(move || -> Finish<Ledger> {
                let done = due.run();
                Box::new(move |ledger| ledger.swap(&done))
            })
        };
        ledger.take_merges().into_iter().map(merge).collect()
    }

    fn parse(method: usize, request: &[u8]) -> Result<Query<'_>, Refusal> {
        match method {
            0 => balance::parse(request).map(Query::Balance),
            1 => batch::parse(request).map(Query::Batch),
            2 => statistics::parse(request).map(Query::Statistics),
            3 => counterparties::parse(request).map(Query::Counterparties),
            4 => series::parse(request).map(Query::Series),
            _ => Err(Refusal::Malformed(format!("no hot method {method}"))),
        }
    }

    fn answer(ledger: &Ledger, query: &Query<'_>, reply: &mut Vec<u8>) -> Result<(), Refusal> {
        match query {
            Query::Balance(query) => balance::answer(ledger, query, reply),
            Query::Batch(query) => batch::answer(ledger, query, reply),
            Query::Statistics(query) => statistics::answer(ledger, query, reply),
            Query::Counterparties(query) => counterparties::answer(ledger, query, reply),
            Query::Series(query) => series::answer(ledger, query, reply),
        }
    }

    fn cost(ledger: &Ledger, query: &Query<'_>) -> usize {
        match query {
            Query::Balance(query) => balance::cost(ledger, query),
            Query::Batch(query) => batch::cost(ledger, query),
            Query::Statistics(query) => statistics::cost(ledger, query),
            Query::Counterparties(query) => counterparties::cost(ledger, query),
            Query::Series(query) => series::cost(ledger, query),
        }
    }

    fn audit(
        ledger: &Ledger,
        seed: u64,
        questions: u64,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Audit> {
        Some(audit::audit(ledger, seed, questions, go_on))
    }

    fn gauges(ledger: &Ledger) -> Vec<(&'static str, &'static str, u64)> {
        let runs = ledger.memory();
        let gauge = |value: i64| u64::try_from(value).unwrap_or(0);
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
            (
                "runs",
                "Runs of entries in order of time, of all long accounts",
                gauge(runs.runs),
            ),
            ("run_entries", "Entries in runs", gauge(runs.entries)),
            (
                "run_columns_bytes",
                "Bytes of the entries in runs",
                gauge(runs.columns),
            ),
            (
                "run_sums_bytes",
                "Bytes of the prefix sums and extremes of runs",
                gauge(runs.sums),
            ),
            (
                "run_wavelets_bytes",
                "Bytes of the wavelet matrices of runs",
                gauge(runs.wavelets),
            ),
            (
                "run_counterparties_bytes",
                "Bytes of the dictionaries, sets and sums by counterparty of runs",
                gauge(runs.parties),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Draft, DraftEntry};

    const YEAR_US: i64 = 31_536_000_000_000;

    /// A ledger in which "a" has `entries` entries in GBP.
    fn ledger(entries: u64) -> Ledger {
        booked(Ledger::default(), entries)
    }

    fn booked(mut ledger: Ledger, entries: u64) -> Ledger {
        for position in 1..=entries {
            let draft = Draft {
                position,
                transaction_id: "t".into(),
                external: true,
                entries: vec![DraftEntry {
                    account_id: "a".into(),
                    asset: "GBP".into(),
                    amount: 1,
                    phase: 1,
                    ..DraftEntry::default()
                }],
                ..Draft::default()
            };
            let transaction = draft.check().expect("a good transaction");
            ledger.apply(&transaction).expect("a good transaction");
        }
        ledger
    }

    fn runs(ledger: &Ledger) -> Option<usize> {
        let holding = ledger.account("a").and_then(|account| account.only());
        let history = holding.and_then(|holding| holding.log.history());
        history.map(|history| history.runs(crate::ledger::Phase::Posted).len())
    }

    #[test]
    fn the_choice_decides_how_long_histories_are_kept() {
        assert_eq!(Wallet::CHOICES[0].default(), "index");
        for (chosen, indexed) in [(vec!["scan"], false), (vec!["index"], true), (vec![], true)] {
            let ledger = booked(Wallet::begin(&chosen), 100);
            assert_eq!(runs(&ledger).is_some(), indexed, "{chosen:?}");
        }
    }

    #[test]
    fn gauges_tell_what_runs_take() {
        let of = |ledger: &Ledger, name: &str| {
            let gauges = Wallet::gauges(ledger);
            let found = gauges.iter().find(|(other, ..)| *other == name);
            found.expect("a gauge of that name").2
        };
        let short = booked(Wallet::begin(&[]), 62);
        assert_eq!(
            (of(&short, "runs"), of(&short, "run_columns_bytes")),
            (0, 0)
        );
        let ledger = booked(Wallet::begin(&[]), 5_000);
        assert_eq!(
            Some(of(&ledger, "runs")),
            runs(&ledger).map(|runs| runs as u64)
        );
        assert_eq!(of(&ledger, "run_entries"), 5_000 / 63 * 63);
        for name in ["columns", "sums", "wavelets"] {
            let bytes = of(&ledger, &format!("run_{name}_bytes"));
            assert!((1..5_000 * 24).contains(&bytes), "{name}: {bytes}");
        }
        ledger.audit().expect("the sum of what each run takes");
    }

    #[test]
    fn chores_merge_long_runs() {
        let mut ledger = booked(Wallet::begin(&["index"]), 17_000);
        let before = runs(&ledger);
        let chores = Wallet::chores(&mut ledger);
        assert_eq!(chores.len(), 1);
        for chore in chores {
            chore()(&mut ledger);
        }
        assert!(runs(&ledger) < before);
        ledger.audit().expect("a sound ledger");
        assert!(Wallet::chores(&mut ledger).is_empty());
    }

    /// A ledger in which "many" has `count` assets with one entry each, and "b" has the first of these assets.
    fn assets(count: u64) -> Ledger {
        let mut ledger = Ledger::default();
        let pairs = (0..count).map(|n| ("many", n)).chain([("b", 0)]);
        for (position, (account, n)) in (1..).zip(pairs) {
            let draft = Draft {
                position,
                transaction_id: "t".into(),
                external: true,
                entries: vec![DraftEntry {
                    account_id: account.into(),
                    asset: format!("A{n}"),
                    amount: 1,
                    phase: 1,
                    ..DraftEntry::default()
                }],
                ..Draft::default()
            };
            let transaction = draft.check().expect("a good transaction");
            ledger.apply(&transaction).expect("a good transaction");
        }
        ledger
    }

    #[test]
    fn cost_grows_with_the_assets_that_are_shown() {
        let ledger = assets(2_000);
        let balance = |account: &str, asset: Option<&str>, as_of_us| {
            let request = proto::GetBalanceRequest {
                account_id: account.to_owned(),
                asset: asset.map(str::to_owned),
                as_of_us,
            };
            cost(&ledger, 0, &request)
        };
        assert!(
            balance("many", None, None) > 20_000,
            "beyond what is answered at once"
        );
        assert!(balance("many", None, Some(0)) > balance("many", None, None));
        assert!(balance("b", None, None) < 100);
        assert_eq!(balance("nobody", None, None), 0);
        assert_eq!(balance("many", Some("A7"), None), 0, "by key");
        assert_eq!(balance("many", Some("A7"), Some(0)), 1);
        let batch = |ids: &[&str], asset: Option<&str>| {
            let request = proto::BatchGetBalancesRequest {
                account_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
                asset: asset.map(str::to_owned),
            };
            cost(&ledger, 1, &request)
        };
        assert!(batch(&["b", "many"], None) > 20_000);
        assert_eq!(batch(&["b", "many"], Some("A7")), 100);
        assert_eq!(batch(&["b", "nobody"], None), 100);
        assert_eq!(
            cost(
                &assets(20),
                1,
                &proto::BatchGetBalancesRequest {
                    account_ids: vec!["many".to_owned()],
                    asset: None,
                }
            ),
            50,
            "few rows at the most"
        );
    }

    fn cost(ledger: &Ledger, method: usize, request: &impl prost::Message) -> usize {
        let bytes = request.encode_to_vec();
        let query = Wallet::parse(method, &bytes).expect("a good request");
        Wallet::cost(ledger, &query)
    }

    #[test]
    fn cost_grows_with_what_is_looked_at() {
        let ledger = ledger(100);
        let [account_id, asset] = ["a", "GBP"].map(str::to_owned);
        let now = proto::GetBalanceRequest {
            account_id: account_id.clone(),
            ..proto::GetBalanceRequest::default()
        };
        let past = proto::GetBalanceRequest {
            as_of_us: Some(0),
            ..now.clone()
        };
        assert_eq!((cost(&ledger, 0, &now), cost(&ledger, 0, &past)), (0, 140));
        let batch = proto::BatchGetBalancesRequest {
            account_ids: vec!["a".to_owned(), "b".to_owned()],
            asset: None,
        };
        assert_eq!(cost(&ledger, 1, &batch), 100);
        let mut statistics = proto::GetStatisticsRequest {
            account_id: account_id.clone(),
            asset: asset.clone(),
            to_us: YEAR_US,
            ..proto::GetStatisticsRequest::default()
        };
        assert_eq!(cost(&ledger, 2, &statistics), 100);
        statistics.percentiles = vec![5_000];
        assert_eq!(cost(&ledger, 2, &statistics), 200);
        statistics.asset = "EUR".to_owned();
        assert_eq!(cost(&ledger, 2, &statistics), 0);
        statistics.account_id = "nobody".to_owned();
        assert_eq!(cost(&ledger, 2, &statistics), 0);
        let top = proto::GetTopCounterpartiesRequest {
            account_id: account_id.clone(),
            asset: asset.clone(),
            to_us: YEAR_US,
            limit: 3,
            ..proto::GetTopCounterpartiesRequest::default()
        };
        assert_eq!(cost(&ledger, 3, &top), 300);
        let series = proto::GetTimeSeriesRequest {
            account_id,
            asset,
            to_us: YEAR_US,
            step: proto::Step::Day.into(),
            ..proto::GetTimeSeriesRequest::default()
        };
        assert_eq!(cost(&ledger, 4, &series), 100 + 3_650, "buckets count too");
    }
}
