//! Lanes below hyper: nobody can tell but by what they cost.

use crate::{
    counter::proto::{ListRequest, ListResponse, counter_service_client::CounterServiceClient},
    exchange::metric,
    front::{SPLICED, STOCK, narrow, seen, wire},
    harness::{Engine, SOON, added, batch},
    lane::{Lane, frame_bytes, get, list},
    wire::{DATA, HEADERS, RST_STREAM, call, cancel, data, head_of, window_update},
};
use hotpath::{
    exchange::PATH,
    proto::hotpath::{ExchangeResponse, ReplyFrame},
};
use prost::Message as _;
use std::collections::BTreeSet;
use tokio::{task::JoinSet, time::timeout};

const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// Behind the front hyper has no table of headers, so its own would be longer.
#[tokio::test]
async fn its_headers_are_the_fronts() {
    let (engine, _feed) = Engine::fed(&SPLICED, 1).await;
    let mut wire = wire(&engine).await;
    wire.send(&call(1)).await;
    while !wire.said_of(&[HEADERS]).await.unwrap().ended {}
    wire.send(&head_of(PATH, 3, "localhost", &[])).await;
    let said = wire.said_of(&[HEADERS]).await.unwrap();
    assert_eq!((said.stream, said.payload.len(), said.ended), (3, 2, false));
    metric(&engine, "hotpathd_lanes 1").await;
    wire.send(&cancel(3)).await;
    metric(&engine, "hotpathd_lanes 0").await;
    wire.send(&call(5)).await;
    let said = wire.said_of(&[DATA, RST_STREAM]).await.unwrap();
    assert_eq!(
        (said.kind, said.stream),
        (DATA, 5),
        "the connection goes on"
    );
}

/// All that a lane replies when its requests come byte by byte, and its side then ends.
async fn replied_byte_by_byte(front: &[&str]) -> Vec<ReplyFrame> {
    let (engine, _feed) = Engine::fed(front, 1).await;
    let mut wire = wire(&engine).await;
    let first = frame_bytes([get(1, "a"), list(2, ""), get(3, "nobody")]);
    let second = frame_bytes([get(4, "status-5"), get(5, "")]);
    let mut bytes = head_of(PATH, 1, "localhost", &[]);
    for byte in first.iter().chain(&second) {
        bytes.extend(data(1, &[*byte], false));
    }
    bytes.extend(data(1, &[], true));
    wire.send(&bytes).await;
    let mut told = Vec::new();
    loop {
        let said = wire.said_of(&[HEADERS, DATA, RST_STREAM]).await.unwrap();
        match said.kind {
            DATA => told.extend(said.payload),
            HEADERS if !said.ended => {}
            HEADERS => break,
            _ => panic!("a reset"),
        }
    }
    replies_of(&told)
}

/// The replies of gRPC messages. How many replies are in a message depends on when each was ready.
fn replies_of(messages: &[u8]) -> Vec<ReplyFrame> {
    let (mut rest, mut replies) = (messages, Vec::new());
    while let Some((prefix, more)) = rest.split_first_chunk::<5>() {
        let [0, length @ ..] = *prefix else {
            panic!("a compressed message");
        };
        let (message, more) = more.split_at(u32::from_be_bytes(length) as usize);
        replies.extend(ExchangeResponse::decode(message).unwrap().replies);
        rest = more;
    }
    replies
}

#[tokio::test]
async fn its_replies_are_the_same_if_each_byte_comes_alone() {
    let replies = replied_byte_by_byte(&SPLICED).await;
    assert_eq!(replies.len(), 5);
    assert_eq!(replies, replied_byte_by_byte(&STOCK).await);
}

#[tokio::test]
async fn the_shim_sees_the_same_of_both() {
    let calls: [&[(&str, &str)]; 9] = [
        &[GRPC],
        &[("content-type", "application/grpc+proto")],
        &[("content-type", "text/html")],
        &[],
        &[GRPC, ("grpc-timeout", "5S")],
        &[GRPC, ("grpc-timeout", "0S")],
        &[GRPC, ("grpc-encoding", "gzip")],
        &[GRPC, ("x-bin", "!")],
        &[GRPC, ("x-hotpath-at-position", "x")],
    ];
    let good = frame_bytes([get(1, "a"), get(2, "nobody"), list(3, "")]);
    let twice = frame_bytes([get(1, "a"), get(1, "a")]);
    let bodies: [&[u8]; 10] = [
        b"",
        &good,
        &twice,
        b"\0\0\0\0\0",
        b"\0\0\0\0\x02\xff\xff",
        b"\0\0\0\0\x02\x08\x05",
        b"\0\0\0\0\x09",
        b"\0\0",
        b"\x01\0\0\0\0",
        b"\0\xff\xff\xff\xff",
    ];
    let (stock, _stock_feed) = Engine::fed(&STOCK, 1).await;
    let (spliced, _spliced_feed) = Engine::fed(&SPLICED, 1).await;
    let (mut ours, mut hypers) = (spliced.channel().await, stock.channel().await);
    let mut compared = 0;
    for fields in calls {
        for body in bodies {
            let [mine, theirs] = [
                seen(&mut ours, PATH, fields, body).await,
                seen(&mut hypers, PATH, fields, body).await,
            ]
            .map(|seen| {
                seen.map(|(status, headers, told, trailers)| {
                    (status, headers, replies_of(&told), trailers)
                })
            });
            assert!(
                mine == theirs || mine.is_none() || theirs.is_none(),
                "{fields:?} {body:?}: {mine:?} {theirs:?}"
            );
            compared += usize::from(mine.is_some() && theirs.is_some());
        }
    }
    // Those that are refused before anything is read are the fewer.
    assert!(compared >= 50, "{compared}");
    metric(&spliced, "hotpathd_lanes 0").await;
}

#[tokio::test]
async fn nothing_is_computed_that_its_client_does_not_take() {
    let (engine, mut feed) = Engine::fed(&SPLICED, 1).await;
    let rows = (2..=601).map(|at| added(at, &format!("row-{at:050}"), 1));
    feed.send(batch(2, rows)).await;
    feed.reached(601).await;
    let mut wire = wire(&engine).await;
    let asked = frame_bytes((1..=20).map(|id| list(id, "row-")));
    let opening = head_of(PATH, 1, "localhost", &[]);
    wire.send(&[opening, data(1, &asked, false)].concat()).await;
    let mut taken = 0;
    // A window has 65,535 bytes at first, which is more than one of these replies and less than two.
    for window in [65_535, 65_545, 65_555] {
        while taken < window {
            taken += wire.said_of(&[DATA]).await.unwrap().payload.len();
        }
        assert_eq!(taken, window);
        metric(&engine, "hotpathd_lane_requests_total 2").await;
        wire.send(&[window_update(0, 10), window_update(1, 10)].concat())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_and_calls_share_one_connection_whatever_its_windows() {
    let (engine, mut feed) = Engine::fed(&SPLICED, 1).await;
    let rows = (2..=501).map(|at| added(at, &format!("row-{at:050}"), 1));
    feed.send(batch(2, rows)).await;
    feed.reached(501).await;
    for window in [1_000, 20_000, 1 << 20] {
        let channel = narrow(&engine, window).await;
        let mut calls = JoinSet::new();
        for _ in 0..10 {
            let mut client = CounterServiceClient::new(channel.clone());
            calls.spawn(async move {
                let prefix = "row-".to_owned();
                let rows = client.list(ListRequest { prefix }).await.unwrap();
                rows.into_inner().rows.len()
            });
        }
        for _ in 0..2 {
            let channel = channel.clone();
            calls.spawn(async move {
                let mut lane = Lane::open(channel).await.unwrap();
                lane.send((1..=10).map(|id| list(id, "row-"))).await;
                let mut left = (1..=10).collect::<BTreeSet<u64>>();
                while !left.is_empty() {
                    let reply = lane.reply().await;
                    assert!(left.remove(&reply.id) && reply.position == Some(501));
                    let listed = ListResponse::decode(&*reply.body).unwrap();
                    assert_eq!(listed.rows.len(), 500);
                }
                lane.half_close();
                assert_eq!(lane.next().await.unwrap(), None, "an end that is OK");
                500
            });
        }
        while let Some(rows) = timeout(SOON, calls.join_next()).await.unwrap() {
            assert_eq!(rows.unwrap(), 500);
        }
    }
    engine.stop().await;
}
