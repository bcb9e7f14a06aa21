//! Makes random transactions and questions, good and bad.

use hotpath::model::{Model, Refusal};
use hotpath_wallet::Wallet;
use hotpath_wallet::proto as p;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

use crate::oracle::{MAX_TIME, MIN_TIME, Oracle};

const DAY: i64 = 86_400_000_000;

/// A question about the ledger.
#[derive(Clone, Debug)]
pub enum Question {
    Balance(p::GetBalanceRequest),
    Batch(p::BatchGetBalancesRequest),
    Statistics(p::GetStatisticsRequest),
    Top(p::GetTopCounterpartiesRequest),
    Series(p::GetTimeSeriesRequest),
}

impl Question {
    /// Returns the oracle's answer, and then the model's.
    pub fn ask(
        &self,
        oracle: &Oracle,
        position: u64,
        state: &<Wallet as Model>::State,
    ) -> [Result<Vec<u8>, Refusal>; 2] {
        let (method, request, expected) = match self {
            Self::Balance(q) => (0, q.encode_to_vec(), encoded(oracle.balance(position, q))),
            Self::Batch(q) => (1, q.encode_to_vec(), encoded(oracle.batch(position, q))),
            Self::Statistics(q) => (
                2,
                q.encode_to_vec(),
                encoded(oracle.statistics(position, q)),
            ),
            Self::Top(q) => (3, q.encode_to_vec(), encoded(oracle.top(position, q))),
            Self::Series(q) => (4, q.encode_to_vec(), encoded(oracle.series(position, q))),
        };
        [expected, answer(state, method, &request)]
    }
}

/// The model's reply to the bytes of a request.
pub fn answer(
    state: &<Wallet as Model>::State,
    method: usize,
    request: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut reply = Vec::new();
    let query = Wallet::parse(method, request)?;
    Wallet::answer(state, &query, &mut reply).map(|()| reply)
}

fn encoded<M: Message>(answer: Result<M, Refusal>) -> Result<Vec<u8>, Refusal> {
    answer.map(|message| message.encode_to_vec())
}

fn account() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => select(vec!["ann", "bob", "cy", "Dee"]),
        1 => select(vec!["shop", "nobody", "", "a b", "caf\u{e9}"]),
    ]
    .prop_map(str::to_owned)
}

fn asset() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => select(vec!["GBP", "EUR"]),
        1 => select(vec!["aUSD", "XXX", "", "G P", "SEVENTEEN-LETTERS"]),
    ]
    .prop_map(str::to_owned)
}

/// A time near the epoch, near the ends of months and years, anywhere in a decade, or at the ends of time.
fn time() -> impl Strategy<Value = i64> {
    let near = |t: i64| (-3_i64..=3).prop_map(move |offset| t + offset);
    prop_oneof![
        8 => near(0),
        4 => near(-DAY),
        4 => near(1_709_251_200_000_000), // 2024-03-01
        4 => near(-2_208_988_800_000_000), // 1900-01-01
        8 => -40 * DAY..40 * DAY,
        8 => 0..3_650 * DAY,
        2 => select(vec![MIN_TIME, MAX_TIME, MIN_TIME + 1, MAX_TIME - 1]),
        1 => select(vec![MIN_TIME - 1, MAX_TIME + 1, i64::MIN, i64::MAX]),
    ]
}

fn window() -> impl Strategy<Value = (i64, i64)> {
    (time(), time(), prop::bool::weighted(0.9)).prop_map(|(a, b, ordered)| {
        if ordered {
            (a.min(b), a.max(b))
        } else {
            (a, b)
        }
    })
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 1_i64..5,
        4 => 1_i64..1_000_000,
        2 => select(vec![999_999_999_999_999_i64, 1_000_000_000_000_000]),
    ]
    .prop_flat_map(|size| select(vec![size, -size]))
}

fn entry() -> impl Strategy<Value = p::Entry> {
    let counterparty = prop_oneof![
        2 => Just(String::new()),
        8 => select(vec!["shop", "ann", "Zoe", "zoe", "eve"]).prop_map(str::to_owned),
    ];
    let phase = prop_oneof![6 => Just(1), 3 => Just(2), 1 => Just(3)];
    (account(), asset(), amount(), phase, counterparty).prop_map(
        |(account_id, asset, amount, phase, counterparty)| p::Entry {
            account_id: Some(account_id)
                .filter(|id| id.len() == 3)
                .unwrap_or("cy".into()),
            asset: Some(asset)
                .filter(|a| a.len() == 3 && a != "G P")
                .unwrap_or("aUSD".into()),
            amount,
            phase,
            kind: "gift".into(),
            counterparty,
        },
    )
}

/// Breaks one rule.
fn spoil(transaction: &mut p::Transaction, flaw: usize) {
    let last = transaction.entries.len() - 1;
    let entry = &mut transaction.entries[last];
    match flaw {
        0 => transaction.transaction_id = "t".repeat(65),
        1 => transaction.transaction_id.clear(),
        2 => transaction.occurred_at_us = MAX_TIME + 1,
        3 => transaction.entries.clear(),
        4 => transaction.entries = vec![entry.clone(); 1_001],
        5 => entry.account_id = "a b".into(),
        6 => entry.asset = "SEVENTEEN-LETTERS".into(),
        7 => entry.amount = 0,
        8 => entry.amount = -1_000_000_000_000_001,
        9 => entry.phase = 0,
        10 => entry.phase = 4,
        11 => entry.kind = "k".repeat(33),
        12 => entry.counterparty = "\u{7f}".into(),
        13 => transaction.position += 1,
        14 => transaction.position -= 1,
        15 => entry.amount = i64::MIN,
        _ => transaction.external = false,
    }
}

/// A transaction for [`crate::Pair::post`]. Its `position` is relative to the last one.
pub fn transaction() -> impl Strategy<Value = p::Transaction> {
    let flaw = prop_oneof![8 => Just(None), 2 => (0_usize..20).prop_map(Some)];
    // Long ones fill several blocks of a log.
    let entries = prop_oneof![
        9 => prop::collection::vec(entry(), 1..6),
        1 => prop::collection::vec(entry(), 100..400),
    ];
    (entries, time(), any::<bool>(), flaw).prop_map(|(mut entries, at, external, flaw)| {
        if !external {
            let mirrored = entries.clone().into_iter().map(|mut e| {
                std::mem::swap(&mut e.account_id, &mut e.counterparty);
                if e.account_id.is_empty() {
                    e.account_id = "cash".into();
                }
                e.amount = -e.amount;
                e
            });
            entries.extend(mirrored.collect::<Vec<_>>());
        }
        let mut transaction = p::Transaction {
            position: 1,
            transaction_id: "t".into(),
            occurred_at_us: at.clamp(MIN_TIME, MAX_TIME),
            external,
            entries,
        };
        if let Some(flaw) = flaw {
            spoil(&mut transaction, flaw);
        }
        transaction
    })
}

pub fn question() -> impl Strategy<Value = Question> {
    let points = prop_oneof![
        9 => prop_oneof![1_u32..=10_000, select(vec![1, 5_000, 10_000])],
        1 => select(vec![0, 10_001, u32::MAX]),
    ];
    let balance = (
        account(),
        prop::option::of(asset()),
        prop::option::of(time()),
    );
    let ids = prop::collection::vec(account(), 0..5);
    let percentiles = prop::collection::vec(points, 0..5);
    prop_oneof![
        balance.prop_map(
            |(account_id, asset, as_of_us)| Question::Balance(p::GetBalanceRequest {
                account_id,
                asset,
                as_of_us
            })
        ),
        (ids, prop::option::of(asset())).prop_map(|(account_ids, asset)| {
            Question::Batch(p::BatchGetBalancesRequest { account_ids, asset })
        }),
        (account(), asset(), window(), percentiles).prop_map(
            |(account_id, asset, (from_us, to_us), percentiles)| {
                Question::Statistics(p::GetStatisticsRequest {
                    account_id,
                    asset,
                    from_us,
                    to_us,
                    percentiles,
                })
            }
        ),
        (
            account(),
            asset(),
            window(),
            prop_oneof![9 => 1_u32..5, 1 => select(vec![0, 100, 101])]
        )
            .prop_map(|(account_id, asset, (from_us, to_us), limit)| {
                Question::Top(p::GetTopCounterpartiesRequest {
                    account_id,
                    asset,
                    from_us,
                    to_us,
                    limit,
                })
            }),
        (
            account(),
            asset(),
            window(),
            prop_oneof![19 => 1_i32..=4, 1 => select(vec![0, 5, -1])]
        )
            .prop_map(|(account_id, asset, (from_us, to_us), step)| {
                Question::Series(p::GetTimeSeriesRequest {
                    account_id,
                    asset,
                    from_us,
                    to_us,
                    step,
                })
            }),
    ]
}
