//! Measures the exchange without its socket. The figures mean:
//!
//! * `frame/…`: reading 32 frames of balances, or writing 32 replies of 48 bytes. `in place` is what a lane does, and
//!   `generated` is what prost would do. The time is that of all 32; the throughput counts frames.
//! * `view load`: taking the newest version.
//! * `lane/one account/N`, `lane/many accounts/N`: a message of N balances through a lane, from its bytes to the bytes
//!   of the replies. This is all that a request costs inside the sidecar except for HTTP/2 and the socket.
//! * `statistics/…`: statistics over 30,000 entries, computed at once, and by a lane that moves them to another thread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    dead_code,
    unreachable_pub
)]

#[path = "fixture/ledger.rs"]
mod fixture;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hotpath::{
    exchange::{Cursor, Exchange, Item, PATH, Replies},
    model::Model as _,
    proto::hotpath::{ExchangeRequest, ExchangeResponse, ReplyFrame, RequestFrame},
    readiness::{self, Readiness},
    serve::{self, Serve},
    shutdown::Shutdown,
    view::{self, Publisher, View},
};
use hotpath_wallet::{
    Wallet,
    ledger::{Keeping, Ledger},
    proto::{GetBalanceRequest, GetStatisticsRequest},
};
use hyper::{
    body::{Body as HttpBody, Frame},
    http::Request,
};
use prost::Message as _;
use std::{
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    hint::black_box,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tonic::body::Body;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCHES: [usize; 4] = [1, 8, 32, 128];
/// The number of entries of the account `rich`.
const RICH_ROWS: u64 = 30_000;
/// The number of different messages. Not all of them read the same accounts.
const MESSAGES: usize = 512;

/// A request body that yields what was put into it.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<VecDeque<Bytes>>>);

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.lock().unwrap().pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

fn frame(id: u64, method: u32, body: Vec<u8>) -> RequestFrame {
    RequestFrame {
        id: 1 << 32 | id,
        method,
        budget_us: 25_000,
        min_position: 1_000,
        body,
        ..RequestFrame::default()
    }
}

fn balance(id: u64, account: u64) -> RequestFrame {
    let request = GetBalanceRequest {
        account_id: format!("wallet-{account:08}"),
        asset: None,
        as_of_us: None,
    };
    frame(id, 0, request.encode_to_vec())
}

/// A message of `size` balances.
fn message(random: &mut fixture::Random, size: usize, accounts: u64) -> Vec<u8> {
    let requests = (1..=size as u64).map(|id| balance(id, random.below(accounts)));
    encoded(requests.collect())
}

fn encoded(requests: Vec<RequestFrame>) -> Vec<u8> {
    let cancelled = Vec::new();
    ExchangeRequest {
        requests,
        cancelled,
    }
    .encode_to_vec()
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    Bytes::from([&[0][..], &length, message].concat())
}

fn accounts() -> u64 {
    fixture::scaled(50_000)
}

static LEDGER: LazyLock<Ledger> = LazyLock::new(|| rich(Ledger::default()));

/// Wallets with 8 entries each on average, and the account `rich`.
fn rich(empty: Ledger) -> Ledger {
    let mut ledger = fixture::build_in(empty, fixture::wallets(accounts(), 4));
    for row in 0..RICH_ROWS {
        let (position, at) = (ledger.position() + 1, fixture::START_US + row as i64);
        let payment = fixture::payment(position, at, "rich", "wallet-00000000", 1);
        let applied = ledger.apply(&fixture::checked(payment));
        applied.expect("a good transaction");
    }
    ledger
}

fn serving(ledger: &Ledger) -> (Publisher<Wallet>, View<Wallet>, Serve<Wallet>) {
    let (mut publisher, view) = view::new::<Wallet>(view::Config {
        retain_versions: 16,
        retain: Duration::from_secs(1),
        retain_events: 1_000,
    });
    publisher.restart(ledger.position(), ledger.clone(), Instant::now());
    let readiness = Arc::new(Readiness::new(readiness::Config {
        stale_after: Duration::from_secs(5),
    }));
    readiness.opened(1);
    let config = serve::Config {
        max_message_bytes: 4 << 20,
        max_wait: Duration::from_secs(5),
        max_in_flight: 4_096,
        max_buffered_bytes: 256 << 20,
    };
    let serve = Serve::new(config, view.clone(), readiness);
    (publisher, view, serve)
}

fn frames(c: &mut Criterion) {
    let request = message(&mut fixture::Random(1), 32, accounts());
    let body = vec![7; 48];
    let mut group = c.benchmark_group("frame");
    group.throughput(Throughput::Elements(32));
    group.bench_function("parse in place", |b| {
        b.iter(|| {
            let (mut cursor, mut sum) = (Cursor::default(), 0);
            while let Some(item) = cursor.next(black_box(&request)).expect("a good message") {
                if let Item::Request(frame) = item {
                    frame.check(5).expect("a good request");
                    sum += frame.id + frame.body.len() as u64;
                }
            }
            sum
        });
    });
    group.bench_function("parse generated", |b| {
        b.iter(|| ExchangeRequest::decode(black_box(&request[..])).expect("a good message"));
    });
    group.bench_function("write in place", |b| {
        let mut replies = Replies::default();
        b.iter(|| {
            for id in 0..32_u64 {
                replies.body(1 << 32 | id, 1_000_000, black_box(&body));
            }
            replies.take()
        });
    });
    group.bench_function("write generated", |b| {
        b.iter(|| {
            let replies = (0..32_u64).map(|id| ReplyFrame {
                id: 1 << 32 | id,
                position: Some(1_000_000),
                body: black_box(&body).clone(),
                ..ReplyFrame::default()
            });
            let replies = replies.collect();
            ExchangeResponse { replies }.encode_to_vec()
        });
    });
    group.finish();
}

fn view_load(c: &mut Criterion) {
    let (_publisher, view, _serve) = serving(&LEDGER);
    c.bench_function("view load", |b| b.iter(|| view.newest().position()));
}

fn open(exchange: &Exchange<Wallet>) -> (Body, Pipe) {
    let pipe = Pipe::default();
    let request = Request::post(PATH)
        .header("content-type", "application/grpc")
        .body(Body::new(pipe.clone()))
        .expect("a request");
    (exchange.call(request).into_body(), pipe)
}

/// Measures balances of one account, which shows the cost of the lane, and of many accounts, which shows the cache
/// misses of the ledger.
fn lanes(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let (_publisher, _view, serve) = serving(&LEDGER);
    let exchange = Exchange::new(&serve, Shutdown::default());
    let mut group = c.benchmark_group("lane");
    for (name, among) in [("one account", 1), ("many accounts", accounts())] {
        for size in BATCHES {
            let mut random = fixture::Random(2);
            let messages: Vec<_> = (0..MESSAGES)
                .map(|_| framed(&message(&mut random, size, among)))
                .collect();
            let (mut lane, pipe) = open(&exchange);
            let mut turns = messages.iter().cycle();
            let mut cx = Context::from_waker(Waker::noop());
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| {
                    let next = turns.next().expect("messages").clone();
                    pipe.0.lock().unwrap().push_back(next);
                    match Pin::new(&mut lane).poll_frame(&mut cx) {
                        Poll::Ready(Some(Ok(frame))) => black_box(frame.into_data().expect("data")),
                        _ => panic!("no replies"),
                    }
                });
            });
        }
    }
    group.finish();
}

/// Measures what moving a request costs: the same statistics at once, and by a lane that moves them to another thread. They
/// are scanned, because no indexed ones are so expensive that they are moved.
fn offloading(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let scanning = rich(Ledger::keeping(Keeping::Scan));
    let (_publisher, view, serve) = serving(&scanning);
    let exchange = Exchange::new(&serve, Shutdown::default());
    let statistics = GetStatisticsRequest {
        account_id: "rich".to_owned(),
        asset: "GBP".to_owned(),
        from_us: fixture::START_US,
        to_us: fixture::START_US + fixture::SPAN_US,
        percentiles: Vec::new(),
    };
    let statistics = statistics.encode_to_vec();
    c.bench_function("statistics/at once", |b| {
        let mut reply = Vec::new();
        b.iter(|| {
            reply.clear();
            let query = Wallet::parse(2, &statistics).expect("a good request");
            Wallet::answer(view.newest().state(), &query, &mut reply).expect("an answer");
            reply.len()
        });
    });
    let (mut lane, pipe) = open(&exchange);
    let message = framed(&encoded(vec![frame(1, 2, statistics)]));
    c.bench_function("statistics/offloaded", |b| {
        b.iter(|| {
            pipe.0.lock().unwrap().push_back(message.clone());
            let reply = poll_fn(|cx| Pin::new(&mut lane).poll_frame(cx));
            runtime.block_on(reply).is_some()
        });
    });
    assert!(exchange.counts().offloaded() > 0);
}

criterion_group!(exchange, frames, view_load, lanes, offloading);
criterion_main!(exchange);
