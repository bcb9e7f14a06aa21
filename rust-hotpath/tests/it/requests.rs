//! Tests requests that are early, too long, broken or abandoned. Each ends alone.

use crate::admin::fetch_text;
use crate::exchange::metric;
use crate::{
    counter::proto::{Added, ListRequest},
    harness::{Engine, SOON, added, batch, get, position, until},
    moody::SLOW_READS,
};
use bytes::Bytes;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use std::{convert::Infallible, future::poll_fn, sync::atomic::Ordering::SeqCst};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use tonic::{
    Code::{self, Internal, ResourceExhausted, Unavailable, Unimplemented},
    body::Body,
    codegen::http,
    transport::{Channel, Endpoint},
};
use tower_service::Service as _;

const WANT: (&str, &str) = ("x-hotpath-position", "want");

/// Sends bytes as a request body. Returns the HTTP status and the gRPC status.
async fn raw(
    channel: &mut Channel,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static [u8],
) -> (u16, Option<Code>) {
    let mut request = http::Request::post(format!("http://localhost{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::new(Full::new(Bytes::from_static(body))))
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    let code = response
        .headers()
        .get("grpc-status")
        .map(|code| Code::from_bytes(code.as_bytes()));
    (response.status().as_u16(), code)
}

#[tokio::test]
async fn nothing_is_answered_before_the_first_head_is_published() {
    let engine = Engine::start(&["--listen", "127.0.0.1:0"]).await;
    let outcome = engine.get("a", &[WANT]).await;
    assert_eq!(
        (position(&outcome), outcome.unwrap_err().code()),
        (None, Unavailable)
    );
    let mut feed = engine.feed("l", 2).await.unwrap();
    feed.send(batch(1, [added(1, "a", 1)])).await;
    feed.reached(1).await;
    let status = engine.get("a", &[]).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Unavailable, "not ready: at position 1 of 2")
    );
    assert_eq!(
        engine.get("", &[]).await.unwrap_err().code(),
        Unavailable,
        "not even arguments are judged"
    );
    feed.send(batch(2, [added(2, "a", 1)])).await;
    feed.reached(2).await;
    assert_eq!(engine.get("a", &[]).await.unwrap().into_inner().value, 2);

    let uri = format!("http://{}", engine.running.addresses.listen.unwrap());
    let direct = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let mut direct =
        crate::counter::proto::counter_service_client::CounterServiceClient::new(direct);
    assert_eq!(
        direct.get(get("a", &[])).await.unwrap().into_inner().value,
        2
    );
}

#[tokio::test]
async fn the_feed_is_not_served_to_direct_callers() {
    let (engine, _feed) = Engine::fed(&["--listen", "127.0.0.1:0"], 1).await;
    let uri = format!("http://{}", engine.running.addresses.listen.unwrap());
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let first = crate::harness::open(crate::harness::PROTOCOL_VERSION, crate::harness::LEDGER, 1);
    let refused = crate::harness::Feed::open(channel, first)
        .await
        .err()
        .expect("refused");
    assert_eq!(refused.code(), Unimplemented);
}

#[tokio::test]
async fn long_requests_and_replies_are_refused_without_a_position() {
    let (engine, mut feed) = Engine::fed(&["--max-message-bytes", "65536"], 1).await;
    let outcome = engine.get(&"x".repeat(70_000), &[WANT]).await;
    assert_eq!(
        (position(&outcome), outcome.unwrap_err().code()),
        (None, ResourceExhausted)
    );
    let names = (2..=2_001).map(|position| added(position, &format!("{position:060}"), 1));
    feed.send(batch(2, names.collect::<Vec<Added>>())).await;
    feed.reached(2_001).await;
    let mut client = engine.client().await;
    let status = client.list(ListRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), ResourceExhausted);
    assert!(
        status.message().ends_with("bytes is longer than 65536"),
        "{}",
        status.message()
    );
    let prefix = format!("{:058}", 10);
    let rows = client
        .list(ListRequest { prefix })
        .await
        .unwrap()
        .into_inner()
        .rows;
    assert_eq!(rows.len(), 100, "the connection lives on");
}

#[tokio::test]
async fn what_is_no_proper_grpc_request_is_refused() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut channel = engine.channel().await;
    let path = "/counter.v1.CounterService/Get";
    let grpc = [("content-type", "application/grpc")];
    let cases: [(&[u8], Code); 5] = [
        (b"", Internal),
        (b"\0\0\0\0\x05\x0a", Internal),
        (b"\0\0\0\0\x01\x0a", Internal),
        (b"\0\0\0\0\0\0\0\0\0\0", Internal),
        (b"\x01\0\0\0\x03\x0a\x01a", Internal),
    ];
    for (body, code) in cases {
        assert_eq!(
            raw(&mut channel, path, &grpc, body).await,
            (200, Some(code)),
            "{body:?}"
        );
    }
    let zipped = [grpc[0], ("grpc-encoding", "snappy")];
    assert_eq!(
        raw(&mut channel, path, &zipped, b"\0\0\0\0\0").await,
        (200, Some(Unimplemented))
    );
    let gzip = [grpc[0], ("grpc-encoding", "gzip")];
    assert_eq!(
        raw(&mut channel, path, &gzip, b"\x01\0\0\0\x03abc").await,
        (200, Some(Internal))
    );
    assert_eq!(
        raw(&mut channel, path, &[("content-type", "text/html")], b"").await,
        (415, Some(Code::InvalidArgument))
    );
    for unknown in [
        "/counter.v1.CounterService/Add",
        "/counter.v1.CounterService/",
        "/other.Service/Get",
    ] {
        assert_eq!(
            raw(&mut channel, unknown, &grpc, b"\0\0\0\0\0").await,
            (200, Some(Unimplemented))
        );
    }
    assert_eq!(
        raw(&mut channel, path, &grpc, b"\0\0\0\0\x03\x0a\x01a").await,
        (200, None),
        "status in the trailers"
    );
}

#[tokio::test]
async fn a_panic_in_the_model_ends_one_request() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut client = engine.client().await;
    let outcome = client.get(get("panic", &[WANT])).await;
    assert_eq!(position(&outcome), None);
    let status = outcome.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Internal, "the model panicked: bad mood")
    );
    assert_eq!(
        client.get(get("a", &[])).await.unwrap().into_inner().value,
        1,
        "on the same connection"
    );
}

#[tokio::test]
async fn garbage_and_half_frames_harm_nobody() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut client = engine.client().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let half = [&preface[..], b"\0\0\x08\x04\0\0\0"].concat();
    let wrong = [
        &preface[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ]
    .concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\xff\xfe", &half, &wrong] {
        let mut stream = UnixStream::connect(engine.socket()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
        // The connection may end by a reset as well as by a close.
        let _ = closed.expect("the connection is closed");
        assert_eq!(
            client.get(get("a", &[])).await.unwrap().into_inner().value,
            1
        );
    }
}

#[tokio::test]
async fn a_client_that_vanishes_frees_its_place() {
    let (engine, _feed) =
        Engine::fed(&["--max-in-flight", "1", "--max-wait-ms", "600000"], 1).await;
    let mut client = engine.client().await;
    let waiting = tokio::spawn({
        let mut client = client.clone();
        // At first, the probe below may hold the only place.
        async move {
            while client
                .get(get("a", &[("x-hotpath-min-position", "9")]))
                .await
                .is_err()
            {}
        }
    });
    let full = until("the only place is taken", || {
        let mut client = client.clone();
        async move { client.get(get("a", &[])).await.err() }
    });
    assert_eq!(full.await.code(), ResourceExhausted);
    waiting.abort();
    until("its place is free", || {
        let mut client = client.clone();
        async move { client.get(get("a", &[])).await.ok() }
    })
    .await;
    assert!(client.get(get("a", &[])).await.is_ok());
}

#[tokio::test]
async fn long_requests_share_a_budget_and_short_ones_need_none() {
    let most = "1048576";
    let limits = ["--max-message-bytes", most, "--max-buffered-bytes", most];
    let (engine, mut feed) = Engine::fed(&limits, 1).await;
    let long = |min: &str| {
        let prefix = "x".repeat(700_000);
        let mut request = tonic::Request::new(ListRequest { prefix });
        let metadata = request.metadata_mut();
        metadata.insert("x-hotpath-min-position", min.parse().unwrap());
        request
    };
    let mut client = engine.client().await;
    let waiting = tokio::spawn({
        let mut client = client.clone();
        async move {
            // At first, the probe below may hold the budget.
            loop {
                match client.list(long("2")).await {
                    Err(status) if status.code() == ResourceExhausted => {}
                    answered => return answered.unwrap(),
                }
            }
        }
    });
    let full = until("the budget is used up", || {
        let mut client = client.clone();
        async move { client.list(long("1")).await.err() }
    });
    let full = full.await;
    assert_eq!(
        (full.code(), full.message()),
        (
            ResourceExhausted,
            "more than 1048576 bytes of messages are held"
        )
    );
    assert!(client.get(get("a", &[])).await.is_ok());
    feed.send(batch(2, [added(2, "a", 1)])).await;
    waiting.await.unwrap();
    client.list(long("2")).await.expect("given back");
}

/// Begins a request whose message never comes. Returns how it ends.
async fn half_open(engine: &Engine) -> impl Future<Output = http::Response<Body>> + use<> {
    let mut channel = engine.channel().await;
    let never = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = http::Request::post("http://localhost/counter.v1.CounterService/Get")
        .header("content-type", "application/grpc")
        .body(Body::new(never))
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = tokio::spawn(channel.call(request));
    async {
        let response = tokio::time::timeout(SOON, response).await;
        response.expect("an end").unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_request_that_never_arrives_is_ended() {
    let (engine, _feed) = Engine::fed(&["--max-in-flight", "1"], 1).await;
    let response = half_open(&engine).await.await;
    assert_eq!(response.headers()["grpc-status"], "4");
    assert!(engine.get("a", &[]).await.is_ok());
}

#[tokio::test]
async fn requests_that_never_arrive_shut_nobody_out() {
    for front in ["stock", "spliced"] {
        let (engine, _feed) = Engine::fed(&["--max-in-flight", "2", "--front", front], 1).await;
        let first = half_open(&engine).await;
        metric(&engine, "hotpathd_arriving 1").await;
        let _second = half_open(&engine).await;
        metric(&engine, "hotpathd_arriving 2").await;
        assert!(engine.get("a", &[]).await.is_ok(), "{front}");
        let _third = half_open(&engine).await;
        let crowded_out = first.await;
        assert_eq!(crowded_out.headers()["grpc-status"], "8", "{front}");
        metric(&engine, "hotpathd_arriving_refused_total 1").await;
        metric(&engine, "hotpathd_arriving 2").await;
        assert!(engine.get("a", &[]).await.is_ok(), "{front}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let engine = Engine::start(&["--max-connections", "1"]).await;
    let first = engine.channel().await;
    let mut second = UnixStream::connect(engine.socket()).await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(SOON, second.read_to_end(&mut rest)).await;
    assert_eq!(closed.expect("closed in time").unwrap_or(0), 0);
    drop(first);
    until("the place is free", || async {
        let mut stream = UnixStream::connect(engine.socket()).await.ok()?;
        // On a connection that the server keeps, it speaks first.
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .ok()?;
        let mut byte = [0];
        let read = tokio::time::timeout(SOON, stream.read(&mut byte))
            .await
            .ok()?;
        (read.ok()? == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn draining_lets_a_request_in_flight_finish_and_admits_no_new_connection() {
    let (engine, mut feed) = Engine::fed(&["--drain-ms", "60000"], 1).await;
    feed.send(batch(2, [added(2, "slow", 7)])).await;
    feed.reached(2).await;
    let mut client = engine.client().await;
    let before = SLOW_READS.load(SeqCst);
    let slow = tokio::spawn(async move { client.get(get("slow", &[])).await });
    until("the slow read has begun", || async {
        (SLOW_READS.load(SeqCst) > before).then_some(())
    })
    .await;
    engine.running.stop();
    until("the socket is closed", || async {
        UnixStream::connect(engine.socket()).await.err()
    })
    .await;
    assert_eq!(slow.await.unwrap().unwrap().into_inner().value, 7);
    let dir = engine.stop().await;
    assert!(
        !dir.path().join("s").exists(),
        "the socket's file is removed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn draining_gives_up_after_its_time() {
    let (engine, _feed) = Engine::fed(&["--drain-ms", "50", "--max-wait-ms", "600000"], 1).await;
    let mut client = engine.client().await;
    let waiting = tokio::spawn(async move {
        client
            .get(get("a", &[("x-hotpath-min-position", "9")]))
            .await
    });
    let admin = engine.running.addresses.admin;
    until("the request waits", || async {
        let (_, metrics) = fetch_text(admin, "/metrics").await;
        metrics.contains("\nhotpathd_in_flight 1\n").then_some(())
    })
    .await;
    engine.stop().await;
    waiting.abort();
}
