//! The front below hyper: it is there, and nobody can tell but by what it costs.

use crate::{
    counter::proto::{ListRequest, counter_service_client::CounterServiceClient},
    harness::{Engine, SOON, added, batch, get, plain, position, until},
    wire::{DATA, GET, GOAWAY, HEADERS, WINDOW_UPDATE, Wire, call, head, message},
};
use http_body_util::{BodyExt as _, Full};
use std::{collections::BTreeMap, future::poll_fn};
use tokio::{net::UnixStream, task::JoinSet, time::timeout};
use tonic::{
    body::Body,
    codegen::{Bytes, http},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower_service::Service as _;

const SETTINGS: u8 = 4;
pub const STOCK: [&str; 2] = ["--front", "stock"];
pub const SPLICED: [&str; 2] = ["--front", "spliced"];

pub async fn wire(engine: &Engine) -> Wire<UnixStream> {
    Wire::open(UnixStream::connect(engine.socket()).await.unwrap()).await
}

#[tokio::test]
async fn it_greets_as_hyper_does() {
    let mut greetings = Vec::new();
    for front in [STOCK, SPLICED] {
        let engine = Engine::start(&front).await;
        let mut wire = wire(&engine).await;
        let settings = wire.said_of(&[SETTINGS]).await.unwrap().payload;
        let mut settings: Vec<_> = settings.chunks(6).map(<[u8]>::to_vec).collect();
        settings.sort();
        let window = wire.said_of(&[WINDOW_UPDATE]).await.unwrap();
        assert_eq!(window.stream, 0);
        greetings.push((settings, window.payload));
    }
    assert_eq!(greetings[0], greetings[1]);
}

#[tokio::test]
async fn its_replies_are_a_few_bytes() {
    let (engine, _feed) = Engine::fed(&SPLICED, 1).await;
    let mut wire = wire(&engine).await;
    let mut lengths = Vec::new();
    for stream in [1, 3] {
        wire.send(&call(stream)).await;
        for kind in [HEADERS, DATA, HEADERS] {
            let said = wire.said_of(&[HEADERS, DATA]).await.unwrap();
            assert_eq!((said.kind, said.stream), (kind, stream));
            lengths.push(said.payload.len());
        }
    }
    assert_eq!(lengths[3..], [2, lengths[1], 1]);
}

#[tokio::test]
async fn a_rule_that_is_broken_ends_the_connection_with_a_goaway() {
    let (engine, _feed) = Engine::fed(&SPLICED, 1).await;
    let mut wire = wire(&engine).await;
    wire.send(&[&call(1)[..], &head(2, "localhost", &[])].concat())
        .await;
    let said = wire.said_of(&[GOAWAY]).await.unwrap();
    assert_eq!(
        said.payload,
        [0, 0, 0, 1, 0, 0, 0, 1],
        "its last stream, PROTOCOL_ERROR"
    );
    assert!(wire.said().await.is_none());
}

/// What a client sees of one call.
pub type Seen = (
    u16,
    BTreeMap<String, String>,
    Vec<u8>,
    BTreeMap<String, String>,
);

/// A call that is refused before its message is read is reset behind its answer, of which the client may then tell nothing.
pub async fn seen(
    channel: &mut Channel,
    path: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Option<Seen> {
    for _ in 0..50 {
        if let Ok(seen) = try_seen(channel, path, fields, body).await {
            return Some(seen);
        }
    }
    None
}

async fn try_seen(
    channel: &mut Channel,
    path: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Result<Seen, ()> {
    let mut request = http::Request::post(format!("http://localhost{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = Bytes::copy_from_slice(body);
    let request = request.body(Body::new(Full::new(body))).unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.map_err(drop)?;
    let response = timeout(SOON, channel.call(request))
        .await
        .unwrap()
        .map_err(drop)?;
    let (parts, body) = response.into_parts();
    let texts = |map: &http::HeaderMap| {
        let texts = map.iter().map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        texts.collect()
    };
    let collected = body.collect().await.map_err(drop)?;
    let trailers = collected.trailers().map(texts).unwrap_or_default();
    let body = collected.to_bytes().to_vec();
    Ok((parts.status.as_u16(), texts(&parts.headers), body, trailers))
}

/// Messages with their prefixes, some of them broken.
const MESSAGES: [&[u8]; 10] = [
    b"\0\0\0\0\x03\x0a\x01a",
    b"\0\0\0\0\x08\x0a\x06nobody",
    b"\0\0\0\0\0",
    b"\0\0\0\0\x07\x0a\x05panic",
    b"\0\0\0\0\x02\x0a\x01",
    b"\0\0\0\0\x03\x0a\x01",
    b"\x01\0\0\0\x03\x0a\x01a",
    b"\x02\0\0\0\x03\x0a\x01a",
    b"\0\0\0\0\x03\x0a\x01a\0",
    b"",
];

#[tokio::test]
async fn callers_see_the_same_of_both() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    let calls: [&[(&str, &str)]; 21] = [
        &[GRPC],
        &[("content-type", "application/grpc+proto")],
        &[("content-type", "text/html")],
        &[],
        &[GRPC, GRPC],
        &[GRPC, ("grpc-timeout", "5S")],
        &[GRPC, ("grpc-timeout", "0S")],
        &[GRPC, ("grpc-timeout", "5x")],
        &[GRPC, ("grpc-timeout", "5S"), ("grpc-timeout", "6S")],
        &[GRPC, ("x-hotpath-position", "")],
        &[GRPC, ("x-hotpath-min-position", "2")],
        &[
            GRPC,
            ("x-hotpath-min-position", "9"),
            ("grpc-timeout", "30m"),
        ],
        &[GRPC, ("x-hotpath-min-position", "x")],
        &[
            GRPC,
            ("x-hotpath-min-position", "1"),
            ("x-hotpath-min-position", "1"),
        ],
        &[GRPC, ("x-hotpath-at-position", "3")],
        &[GRPC, ("x-hotpath-at-position", "1")],
        &[GRPC, ("x-bin", "AA==")],
        &[GRPC, ("x-bin", "!")],
        &[GRPC, ("grpc-encoding", "identity")],
        &[GRPC, ("grpc-encoding", "snappy")],
        &[
            GRPC,
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
        ],
    ];
    let (stock, mut stock_feed) = Engine::fed(&STOCK, 1).await;
    let (spliced, mut spliced_feed) = Engine::fed(&SPLICED, 1).await;
    for feed in [&mut stock_feed, &mut spliced_feed] {
        feed.send(plain(2..=3)).await;
        feed.reached(3).await;
    }
    let (mut ours, mut hypers) = (spliced.channel().await, stock.channel().await);
    let mut compared = 0;
    for fields in calls {
        for message in MESSAGES {
            let (mine, theirs) = (
                seen(&mut ours, GET, fields, message).await,
                seen(&mut hypers, GET, fields, message).await,
            );
            assert!(
                mine == theirs || mine.is_none() || theirs.is_none(),
                "{fields:?} {message:?}"
            );
            compared += usize::from(mine.is_some() && theirs.is_some());
        }
    }
    // Those that are refused before their messages are read are the fewer.
    assert!(compared >= 100, "{compared}");
}

/// A connection with small windows.
pub async fn narrow(engine: &Engine, bytes: u32) -> Channel {
    let uri = format!("unix:{}", engine.socket().to_str().unwrap());
    let endpoint = Endpoint::from_shared(uri).unwrap();
    let endpoint = endpoint
        .initial_stream_window_size(bytes)
        .initial_connection_window_size(bytes.max(65_535));
    endpoint.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_and_cold_calls_share_one_connection_whatever_its_windows() {
    let (engine, mut feed) = Engine::fed(&SPLICED, 1).await;
    let rows = (2..=501).map(|at| added(at, &format!("row-{at:050}"), 1));
    feed.send(batch(2, rows)).await;
    feed.reached(501).await;
    for window in [1_000, 20_000, 1 << 20] {
        let channel = narrow(&engine, window).await;
        let mut health = HealthClient::new(channel.clone());
        let watch = health.watch(HealthCheckRequest::default()).await;
        let mut watch = watch.unwrap().into_inner();
        watch.message().await.unwrap().unwrap();
        let mut calls = JoinSet::new();
        for number in 0..200 {
            let channel = channel.clone();
            calls.spawn(async move {
                let mut client = CounterServiceClient::new(channel.clone());
                match number % 4 {
                    0 => {
                        let prefix = "row-".to_owned();
                        let rows = client.list(ListRequest { prefix }).await.unwrap();
                        assert_eq!(rows.into_inner().rows.len(), 500);
                    }
                    1 => {
                        let mut health = HealthClient::new(channel);
                        health.check(HealthCheckRequest::default()).await.unwrap();
                    }
                    2 => {
                        let long = "x".repeat(20_000);
                        client.get(get(&long, &[])).await.unwrap_err();
                    }
                    _ => {
                        let reply = client.get(get("a", &[("x-hotpath-position", "")])).await;
                        assert_eq!(position(&reply), Some(501));
                        assert_eq!(reply.unwrap().into_inner().value, 1);
                    }
                }
            });
        }
        while let Some(ended) = timeout(SOON, calls.join_next()).await.unwrap() {
            ended.unwrap();
        }
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_message_whose_rest_comes_late_is_answered() {
    let (engine, _feed) = Engine::fed(&SPLICED, 1).await;
    let mut wire = wire(&engine).await;
    wire.send(&head(1, "localhost", &[])).await;
    // Until hyper has the call: a place is taken then.
    until("the call is in flight", || async {
        let admin = engine.running.addresses.admin;
        let (_, metrics) = crate::admin::fetch_text(admin, "/metrics").await;
        metrics.contains("hotpathd_in_flight 1\n").then_some(())
    })
    .await;
    wire.send(&message(1, "a")).await;
    let said = wire.said_of(&[DATA]).await.unwrap();
    assert_eq!(said.stream, 1);
    engine.stop().await;
}

#[tokio::test]
async fn what_is_answered_when_the_drain_begins_arrives_and_the_connection_ends() {
    let (engine, _feed) = Engine::fed(&SPLICED, 1).await;
    let mut wire = wire(&engine).await;
    for stream in (1..200).step_by(2) {
        wire.send(&call(stream)).await;
    }
    let mut ended = 0;
    while ended < 100 {
        ended += usize::from(wire.said_of(&[HEADERS]).await.unwrap().ended);
    }
    engine.running.stop();
    let said = wire.said_of(&[GOAWAY]).await.unwrap();
    assert_eq!(said.payload[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
}
