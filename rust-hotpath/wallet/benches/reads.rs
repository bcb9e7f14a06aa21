//! Measures the hot reads and the one write over the model alone: from the bytes of a request to the bytes of a reply,
//! without a socket.
//!
//! `cargo bench -p hotpath-wallet --bench reads` takes about two minutes. The figures mean:
//!
//! * `view load`: taking the newest version, which a lane does once per batch.
//! * `balance/…/N`: one request for an account drawn at random among N. With 50,000 and 1,000,000 accounts the ledger's
//!   cache misses count, and with 1 there are none. `parse` goes from bytes to a checked request. `find` is finding the
//!   account by its id. `answer` is `find` and the bytes of the reply. `whole` is all that a read costs inside the
//!   sidecar, behind the exchange and with a view load of its own: load, parse, cost, answer.
//! * `batch/N`: `BatchGetBalances` of 100 such accounts. The throughput counts accounts.
//! * `statistics`, `percentiles`, `top`, `series` `/chosen/N` and `/naive/N`: the same request about N entries, as the
//!   model answers it and as one would write it first (`fixture/naive.rs`). The bench asserts first that both give the
//!   same bytes.
//! * `as of/N`: a balance at an instant in the past of N entries. The bench `history` compares it with a scan.
//! * `apply`, `decode`: the writer's work on top of a version that was just published. The throughput counts entries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    dead_code,
    unreachable_pub
)]

#[path = "fixture/ledger.rs"]
mod fixture;
#[path = "fixture/naive.rs"]
mod naive;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hotpath::model::Model;
use hotpath::view::{self, Publisher, View};
use hotpath_wallet::Wallet;
use hotpath_wallet::ledger::{Ledger, Transaction};
use hotpath_wallet::proto as p;
use naive::Naive;
use prost::Message;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: [u64; 3] = [100, 10_000, 100_000];
const END_US: i64 = fixture::START_US + fixture::SPAN_US;
/// The number of requests that take turns. When a request's turn comes again, the caches have forgotten it.
const REQUESTS: u64 = 1 << 18;

type Answering = fn(&Naive, &[u8]) -> Vec<u8>;

/// 50,000 wallets with 8 entries each on average, and for each N an account `rich-N` with N entries. The naive model
/// has the rich accounts too.
static SMALL: LazyLock<(Ledger, Naive)> = LazyLock::new(|| {
    let accounts = fixture::scaled(50_000);
    let mut ledger = fixture::build(fixture::wallets(accounts, 4));
    let mut naive = Naive::default();
    let mut random = fixture::Random(9);
    for rows in ROWS {
        let account = rich(rows);
        for row in 0..fixture::scaled(rows) {
            let at = fixture::START_US + (fixture::SPAN_US / rows as i64) * row as i64;
            let other = wallet(random.skewed(accounts));
            let amount = 1 + random.skewed(1_000_000) as i64;
            let position = ledger.position() + 1;
            let draft = fixture::payment(position, at, &account, &other, amount);
            let applied = ledger.apply(&fixture::checked(draft));
            applied.expect("a good transaction");
            let entry = naive::Entry {
                at_us: at,
                amount: -amount,
                counterparty: other,
            };
            naive.book(&account, "GBP", entry);
        }
    }
    (ledger, naive)
});

/// 1,000,000 wallets with 2 entries each on average.
static LARGE: LazyLock<Ledger> =
    LazyLock::new(|| fixture::build(fixture::wallets(fixture::scaled(1_000_000), 1)));

fn rich(rows: u64) -> String {
    format!("rich-{rows}")
}

fn wallet(number: u64) -> String {
    format!("wallet-{number:08}")
}

/// The name of each case, its ledger, and the number of its accounts among which requests are drawn.
fn ledgers() -> [(u64, &'static Ledger, u64); 3] {
    let small = &SMALL.0;
    [
        (1, small, 1),
        (50_000, small, fixture::scaled(50_000)),
        (1_000_000, &LARGE, fixture::scaled(1_000_000)),
    ]
}

/// Requests, end to end as in a lane's message, and the length of each.
fn balances_of(accounts: u64) -> (Vec<u8>, usize) {
    let mut random = fixture::Random(10);
    let requests = (0..fixture::scaled(REQUESTS)).map(|_| {
        let request = p::GetBalanceRequest {
            account_id: wallet(random.below(accounts)),
            ..p::GetBalanceRequest::default()
        };
        request.encode_to_vec()
    });
    let requests: Vec<_> = requests.collect();
    (requests.concat(), requests[0].len())
}

fn answer(ledger: &Ledger, method: usize, request: &[u8], reply: &mut Vec<u8>) {
    reply.clear();
    let query = Wallet::parse(method, request).expect("a good request");
    Wallet::answer(ledger, &query, reply).expect("an answer");
}

fn published(ledger: &Ledger) -> (Publisher<Wallet>, View<Wallet>) {
    let (mut publisher, view) = view::new::<Wallet>(view::Config {
        retain_versions: 16,
        retain: Duration::from_secs(1),
        retain_events: 1_000,
    });
    publisher.restart(ledger.position(), ledger.clone(), Instant::now());
    (publisher, view)
}

fn view_load(c: &mut Criterion) {
    let (_publisher, view) = published(&Ledger::default());
    c.bench_function("view load", |b| b.iter(|| view.newest().position()));
}

fn balances(c: &mut Criterion) {
    let mut group = c.benchmark_group("balance");
    for (name, ledger, accounts) in ledgers() {
        let (_publisher, view) = published(ledger);
        let (requests, len) = balances_of(accounts);
        let mut turns = requests.chunks_exact(len).cycle();
        let mut next = move || turns.next().expect("requests");
        let mut reply = Vec::with_capacity(256);
        group.bench_function(BenchmarkId::new("parse", name), |b| {
            b.iter(|| black_box(Wallet::parse(0, next())).is_ok());
        });
        group.bench_function(BenchmarkId::new("find", name), |b| {
            b.iter(|| {
                let id = str::from_utf8(&next()[2..]).expect("an id");
                black_box(ledger.account(id)).is_some()
            });
        });
        // Parsing is not timed.
        group.bench_function(BenchmarkId::new("answer", name), |b| {
            b.iter_batched_ref(
                || Wallet::parse(0, next()).expect("a good request"),
                |query| {
                    reply.clear();
                    Wallet::answer(ledger, query, &mut reply).expect("an answer");
                    reply.len()
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("whole", name), |b| {
            b.iter(|| {
                reply.clear();
                let newest = view.newest();
                let query = Wallet::parse(0, next()).expect("a good request");
                assert_eq!(Wallet::cost(newest.state(), &query), 0);
                Wallet::answer(newest.state(), &query, &mut reply).expect("an answer");
                reply.len()
            });
        });
    }
    group.finish();
}

fn batches(c: &mut Criterion) {
    const SIZE: u64 = 100;
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(SIZE));
    for (name, ledger, accounts) in &ledgers()[1..] {
        let mut random = fixture::Random(12);
        let mut request = || {
            // The accounts are so far apart that they are distinct.
            let (first, step) = (random.below(*accounts), accounts / SIZE);
            let ids = (0..SIZE).map(|n| wallet((first + n * step) % accounts));
            let request = p::BatchGetBalancesRequest {
                account_ids: ids.collect(),
                asset: None,
            };
            request.encode_to_vec()
        };
        let requests: Vec<_> = (0..fixture::scaled(4_096)).map(|_| request()).collect();
        let mut turns = requests.iter().cycle();
        let mut reply = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| answer(ledger, 1, turns.next().expect("requests"), &mut reply));
        });
    }
    group.finish();
}

fn questions(rows: u64) -> [(&'static str, usize, Vec<u8>, Answering); 4] {
    let (from_us, to_us) = (fixture::START_US, END_US);
    let (account_id, asset) = (rich(rows), "GBP".to_owned());
    let statistics = |percentiles| {
        let request = p::GetStatisticsRequest {
            account_id: account_id.clone(),
            asset: asset.clone(),
            from_us,
            to_us,
            percentiles,
        };
        request.encode_to_vec()
    };
    let top = p::GetTopCounterpartiesRequest {
        account_id: account_id.clone(),
        asset: asset.clone(),
        from_us,
        to_us,
        limit: 10,
    };
    let series = p::GetTimeSeriesRequest {
        account_id: account_id.clone(),
        asset: asset.clone(),
        from_us,
        to_us,
        step: p::Step::Day.into(),
    };
    let percentiles = statistics(vec![5_000, 9_000, 9_900]);
    [
        ("statistics", 2, statistics(vec![]), Naive::statistics),
        ("percentiles", 2, percentiles, Naive::statistics),
        ("top", 3, top.encode_to_vec(), Naive::top),
        ("series", 4, series.encode_to_vec(), Naive::series),
    ]
}

fn windows(c: &mut Criterion) {
    let (ledger, naive) = &*SMALL;
    for rows in ROWS {
        for (name, method, request, by_hand) in questions(rows) {
            let mut reply = Vec::new();
            answer(ledger, method, &request, &mut reply);
            assert_eq!(reply, by_hand(naive, &request), "{name} of {rows}");
            let mut group = c.benchmark_group(name);
            group.bench_function(BenchmarkId::new("chosen", rows), |b| {
                b.iter(|| answer(ledger, method, black_box(&request), &mut reply));
            });
            group.bench_function(BenchmarkId::new("naive", rows), |b| {
                b.iter(|| by_hand(naive, black_box(&request)));
            });
            group.finish();
        }
    }
}

fn past(c: &mut Criterion) {
    let ledger = &SMALL.0;
    for rows in ROWS {
        let request = p::GetBalanceRequest {
            account_id: rich(rows),
            asset: None,
            as_of_us: Some(fixture::START_US + fixture::SPAN_US / 2),
        };
        let request = request.encode_to_vec();
        let mut reply = Vec::new();
        c.bench_function(&format!("as of/{rows}"), |b| {
            b.iter(|| answer(ledger, 0, black_box(&request), &mut reply));
        });
    }
}

/// Measures 1,000 payments on top of a published version. Each first touch copies the path to what it changes.
fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(2 * fixture::PUBLISH));
    for (name, ledger, accounts) in &ledgers()[1..] {
        let mut random = fixture::Random(11);
        let payments: Vec<Transaction> = (1..=fixture::PUBLISH)
            .map(|n| {
                let [from, to] = [(); 2].map(|()| wallet(random.below(*accounts)));
                let position = ledger.position() + n;
                fixture::checked(fixture::payment(position, END_US, &from, &to, 5))
            })
            .collect();
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_batched(
                || (*ledger).clone(),
                |mut next| {
                    for payment in &payments {
                        next.apply(payment).expect("a good transaction");
                    }
                    next
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let entry = |account: &str, amount| p::Entry {
        account_id: account.into(),
        asset: "GBP".into(),
        amount,
        phase: 1,
        kind: "spend".into(),
        counterparty: "wallet-00000077".into(),
    };
    let event = p::Transaction {
        position: 1_000_000,
        transaction_id: "0191d1c4-7c1e-7a3c".into(),
        occurred_at_us: END_US,
        external: false,
        entries: vec![entry("wallet-00000001", 99), entry("wallet-00000002", -99)],
    };
    let event = event.encode_to_vec();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(2));
    group.bench_function("entries", |b| {
        b.iter(|| Wallet::decode_event(black_box(&event)).expect("a good event"));
    });
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = reads;
    config = quick();
    targets = view_load, balances, batches, windows, past, apply, decode
}
criterion_main!(reads);
