//! Measures the reads of one account by the length of its history, scanned and indexed, from the bytes of a request to
//! the bytes of a reply.
//!
//! `cargo bench -p hotpath-wallet --bench history` takes about four minutes. `make lengths` runs it together with the
//! same bench of the Go read models, `BenchmarkByLength`, and draws both. The variable `HISTORY_UP_TO` leaves longer
//! histories out. A figure is named `KIND/WINDOW/KEEPING/LENGTH`:
//!
//! * `statistics`: `GetStatistics` with five percentiles and the distinct counterparties. `top`: the 100 largest
//!   counterparties. `series`: months. `as-of`: a balance at an instant.
//! * `years` is a window of nearly all ten years, whose ends lie within blocks. `month` is one month.
//! * `scan` reads every entry, `index` does not. The bench asserts that both give the same bytes. It prints a hash of them
//!   (FNV-1a), by which `make lengths` sees that Go gives these bytes too.
//! * `booking/KEEPING`: entries a second into one account, with a version published every 1,000 transactions, and with
//!   all merges done by the writer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    missing_docs,
    dead_code,
    unreachable_pub
)]

#[path = "fixture/ledger.rs"]
mod fixture;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hotpath::model::Model;
use hotpath_wallet::Wallet;
use hotpath_wallet::ledger::{Keeping, Ledger, Merging, Transaction};
use hotpath_wallet::proto as p;
use prost::Message;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LENGTHS: [u64; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
const KEEPINGS: [(&str, Keeping); 2] = [
    ("scan", Keeping::Scan),
    ("index", Keeping::Index(Merging::InPlace)),
];
const DAY_US: i64 = 86_400_000_000;

/// The longest history that is measured.
fn up_to() -> u64 {
    match std::env::var("HISTORY_UP_TO") {
        Ok(text) => text.parse().expect("HISTORY_UP_TO: a number"),
        Err(_) => u64::MAX,
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Payments of one account, by day as in public spending, one in twenty booked late. `BenchmarkByLength` makes the same. There are as many suppliers for an
/// entry as in the longest real history: 41,316 for 862,344.
fn payments(length: u64) -> impl Iterator<Item = Transaction> {
    let mut random = fixture::Random(length);
    let suppliers = (length / 20).max(5);
    (1..=length).map(move |position| {
        let day = 3_650 * position / length;
        let late = if random.below(20) == 0 {
            random.below(30)
        } else {
            0
        };
        let at = fixture::START_US + (day as i64 - late as i64) * DAY_US;
        let other = format!("supplier-{:06}", random.skewed(suppliers));
        let amount = 1 + random.skewed(100_000_000) as i64;
        fixture::checked(fixture::payment(position, at, "rich", &other, amount))
    })
}

fn ledger(keeping: Keeping, length: u64) -> Ledger {
    let mut ledger = Ledger::keeping(keeping);
    for transaction in payments(length) {
        ledger.apply(&transaction).expect("a good transaction");
    }
    ledger
}

fn questions(from_us: i64, to_us: i64) -> [(&'static str, usize, Vec<u8>); 4] {
    let (account_id, asset) = ("rich".to_owned(), "GBP".to_owned());
    let statistics = p::GetStatisticsRequest {
        account_id: account_id.clone(),
        asset: asset.clone(),
        from_us,
        to_us,
        percentiles: vec![500, 2_500, 5_000, 9_000, 9_900],
    };
    let top = p::GetTopCounterpartiesRequest {
        account_id: account_id.clone(),
        asset: asset.clone(),
        from_us,
        to_us,
        limit: 100,
    };
    let series = p::GetTimeSeriesRequest {
        account_id: account_id.clone(),
        asset,
        from_us,
        to_us,
        step: p::Step::Month.into(),
    };
    let past = p::GetBalanceRequest {
        account_id,
        asset: None,
        as_of_us: Some(to_us),
    };
    [
        ("statistics", 2, statistics.encode_to_vec()),
        ("top", 3, top.encode_to_vec()),
        ("series", 4, series.encode_to_vec()),
        ("as-of", 0, past.encode_to_vec()),
    ]
}

fn answer(ledger: &Ledger, method: usize, request: &[u8], reply: &mut Vec<u8>) {
    reply.clear();
    let query = Wallet::parse(method, request).expect("a good request");
    Wallet::answer(ledger, &query, reply).expect("an answer");
}

fn reads(c: &mut Criterion) {
    let start = fixture::START_US;
    let windows = [
        ("years", start + 3 * DAY_US, start + 3_641 * DAY_US),
        ("month", start + 1_805 * DAY_US, start + 1_835 * DAY_US),
    ];
    let up_to = up_to();
    for length in LENGTHS.into_iter().filter(|length| *length <= up_to) {
        let kept = KEEPINGS.map(|(name, keeping)| (name, ledger(keeping, fixture::scaled(length))));
        for (window, from_us, to_us) in windows {
            for (kind, method, request) in questions(from_us, to_us) {
                let mut group = c.benchmark_group(format!("{kind}/{window}"));
                let mut replies = Vec::new();
                for (name, ledger) in &kept {
                    let mut reply = Vec::new();
                    group.bench_function(BenchmarkId::new(*name, length), |b| {
                        b.iter(|| answer(ledger, method, black_box(&request), &mut reply));
                    });
                    answer(ledger, method, &request, &mut reply);
                    replies.push(reply);
                }
                assert_eq!(replies[0], replies[1], "{kind} of {length}");
                let hash = fnv1a(&replies[0]);
                println!("reply {kind}/{window}/{length} {hash}");
                group.finish();
            }
        }
    }
}

fn booking(c: &mut Criterion) {
    let length = fixture::scaled(200_000);
    let payments: Vec<Transaction> = payments(length).collect();
    let mut group = c.benchmark_group("booking");
    group.throughput(Throughput::Elements(2 * length));
    for (name, keeping) in KEEPINGS {
        group.bench_function(name, |b| {
            b.iter_batched(
                || Ledger::keeping(keeping),
                |mut ledger| {
                    let mut published = ledger.clone();
                    for payment in &payments {
                        ledger.apply(payment).expect("a good transaction");
                        if ledger.position() % fixture::PUBLISH == 0 {
                            published = ledger.clone();
                        }
                    }
                    (ledger, published)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
}

criterion_group! {
    name = history;
    config = quick();
    targets = reads, booking
}
criterion_main!(history);
