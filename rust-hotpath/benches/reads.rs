//! The hot reads and the one write, over the model alone: bytes of a request in, bytes of a reply out.

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

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hotpath::ledger::{Ledger, Transaction};
use hotpath::model::Model;
use hotpath::proto::wallet as p;
use hotpath::wallet::Wallet;
use prost::Message;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: [u64; 3] = [100, 10_000, 100_000];
const ACCOUNTS: u64 = 50_000;
const END_US: i64 = fixture::START_US + fixture::SPAN_US;

/// 50,000 wallets of 8 entries, and `rich-N` with N entries each.
fn ledger() -> Ledger {
    let mut ledger = fixture::build(fixture::wallets(ACCOUNTS, 4));
    let mut random = fixture::Random(9);
    for rows in ROWS {
        let account = format!("rich-{rows}");
        for row in 0..rows {
            let at = fixture::START_US + (fixture::SPAN_US / rows as i64) * row as i64;
            let other = format!("wallet-{:08}", random.skewed(ACCOUNTS));
            let amount = 1 + random.skewed(1_000_000) as i64;
            let position = ledger.position() + 1;
            let draft = fixture::payment(position, at, &account, &other, amount);
            let applied = ledger.apply(&fixture::checked(draft));
            applied.expect("a good transaction");
        }
    }
    ledger
}

/// Asks the requests in turn, over and over.
fn ask(bench: &mut criterion::Bencher, ledger: &Ledger, method: usize, requests: &[Vec<u8>]) {
    let mut requests = requests.iter().cycle();
    let mut reply = Vec::new();
    bench.iter(|| {
        reply.clear();
        let request = requests.next().expect("requests");
        let query = Wallet::parse(method, request).expect("a good request");
        Wallet::answer(ledger, &query, &mut reply).expect("an answer");
        black_box(reply.len())
    });
}

fn wallet_ids(count: usize) -> Vec<String> {
    let mut random = fixture::Random(10);
    let ids = (0..count).map(|_| format!("wallet-{:08}", random.below(ACCOUNTS)));
    ids.collect()
}

fn balances(c: &mut Criterion) {
    let ledger = ledger();
    let request = |id: String, as_of_us| p::GetBalanceRequest {
        account_id: id,
        asset: None,
        as_of_us,
    };
    let ids = wallet_ids(4_096);
    let now = ids
        .iter()
        .map(|id| request(id.clone(), None).encode_to_vec());
    let now: Vec<_> = now.collect();
    c.bench_function("balance", |b| ask(b, &ledger, 0, &now));
    for rows in ROWS {
        let past = request(format!("rich-{rows}"), Some(END_US / 2)).encode_to_vec();
        c.bench_with_input(BenchmarkId::new("balance as of", rows), &past, |b, past| {
            ask(b, &ledger, 0, std::slice::from_ref(past));
        });
    }
    for accounts in [100_usize, 1_000] {
        let account_ids = (0..accounts)
            .map(|n| format!("wallet-{:08}", n * 37))
            .collect();
        let batch = p::BatchGetBalancesRequest {
            account_ids,
            asset: Some("GBP".into()),
        };
        c.bench_with_input(BenchmarkId::new("batch", accounts), &batch, |b, batch| {
            ask(b, &ledger, 1, &[batch.encode_to_vec()]);
        });
    }
}

fn windows(c: &mut Criterion) {
    let ledger = ledger();
    for rows in ROWS {
        let account_id = format!("rich-{rows}");
        let (from_us, to_us) = (fixture::START_US, END_US);
        let mut statistics = p::GetStatisticsRequest {
            account_id: account_id.clone(),
            asset: "GBP".into(),
            from_us,
            to_us,
            percentiles: vec![],
        };
        let plain = statistics.encode_to_vec();
        statistics.percentiles = vec![5_000, 9_000, 9_900];
        let percentiles = statistics.encode_to_vec();
        let top = p::GetTopCounterpartiesRequest {
            account_id: account_id.clone(),
            asset: "GBP".into(),
            from_us,
            to_us,
            limit: 10,
        };
        let series = |step: p::Step| {
            let request = p::GetTimeSeriesRequest {
                account_id: account_id.clone(),
                asset: "GBP".into(),
                from_us,
                to_us,
                step: step.into(),
            };
            request.encode_to_vec()
        };
        for (name, method, request) in [
            ("statistics", 2, plain),
            ("statistics with percentiles", 2, percentiles),
            ("top", 3, top.encode_to_vec()),
            ("series of days", 4, series(p::Step::Day)),
            ("series of months", 4, series(p::Step::Month)),
        ] {
            c.bench_with_input(BenchmarkId::new(name, rows), &request, |b, request| {
                ask(b, &ledger, method, std::slice::from_ref(request));
            });
        }
    }
}

/// 1,000 payments on top of a published version, so that each first touch copies its path.
fn apply(c: &mut Criterion) {
    let ledger = ledger();
    let mut random = fixture::Random(11);
    let payments: Vec<Transaction> = (1..=fixture::PUBLISH)
        .map(|n| {
            let [from, to] = [(); 2].map(|()| format!("wallet-{:08}", random.below(ACCOUNTS)));
            let position = ledger.position() + n;
            fixture::checked(fixture::payment(position, END_US, &from, &to, 5))
        })
        .collect();
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(2 * fixture::PUBLISH));
    group.bench_function("entries", |b| {
        b.iter_batched(
            || ledger.clone(),
            |mut next| {
                for payment in &payments {
                    next.apply(payment).expect("a good transaction");
                }
                next
            },
            BatchSize::PerIteration,
        );
    });
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

criterion_group!(reads, balances, windows, apply, decode);
criterion_main!(reads);
