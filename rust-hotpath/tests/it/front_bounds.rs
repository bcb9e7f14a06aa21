//! What one client of the front below hyper can take from the others.

use crate::{
    counter::proto::ListRequest,
    front::{SPLICED, wire},
    harness::{Engine, added, batch, get},
    wire::{DATA, HEADERS, bomb, call, data, head_of, initial_window, message, window_update},
};

const LIST: &str = "/counter.v1.CounterService/List";

/// Hyper gets 12 MB of headers for 20 KB of the client's, and all calls are answered, also those behind it.
#[tokio::test]
async fn calls_with_headers_that_swell_are_answered_in_turn() {
    let (engine, _feed) = Engine::fed(&SPLICED, 1).await;
    let mut wire = wire(&engine).await;
    let bombs = (0..200).flat_map(|number| {
        let stream = 2 * number + 1;
        [bomb(stream, number == 0, 14), message(stream, "a")].concat()
    });
    let bytes = [bombs.collect(), call(401)].concat();
    wire.send(&bytes).await;
    let reply = engine.get("a", &[]).await.unwrap().into_inner();
    assert_eq!(reply.value, 1);
    let mut answered = Vec::new();
    while answered.len() < 201 {
        let said = wire.said_of(&[DATA]).await.unwrap();
        answered.push(said.stream);
    }
    answered.sort_unstable();
    let all: Vec<u32> = (0..201).map(|number| 2 * number + 1).collect();
    assert_eq!(answered, all);
    engine.stop().await;
}

#[tokio::test]
async fn replies_that_are_not_read_take_no_places_from_other_callers() {
    let args = [&SPLICED[..], &["--max-in-flight", "16"]].concat();
    let (engine, _feed) = Engine::fed(&args, 1).await;
    let mut wire = wire(&engine).await;
    wire.send(&initial_window(0)).await;
    for stream in (1..200).step_by(2) {
        wire.send(&call(stream)).await;
    }
    for _ in 0..100 {
        let said = wire.said_of(&[HEADERS]).await.unwrap();
        assert!(!said.ended, "a reply will follow");
    }
    let reply = engine.get("a", &[]).await.unwrap().into_inner();
    assert_eq!(reply.value, 1);
    wire.send(&initial_window(65_535)).await;
    let mut ended = 0;
    while ended < 100 {
        ended += usize::from(wire.said_of(&[HEADERS]).await.unwrap().ended);
    }
    engine.stop().await;
}

/// Some 250 KB of replies may wait for one client here, of 1 MiB in all.
#[tokio::test]
async fn a_client_that_reads_no_replies_gets_no_more_of_them_and_others_do() {
    const BYTES: [&str; 4] = [
        "--max-message-bytes",
        "1048576",
        "--max-buffered-bytes",
        "1048576",
    ];
    let args = [&SPLICED[..], &BYTES[..]].concat();
    let (engine, mut feed) = Engine::fed(&args, 1).await;
    let rows = (2..=501).map(|at| added(at, &format!("row-{at:050}"), 1));
    feed.send(batch(2, rows)).await;
    feed.reached(501).await;
    let mut wire = wire(&engine).await;
    wire.send(&initial_window(0)).await;
    let list = |stream| {
        let head = head_of(LIST, stream, "localhost", &[]);
        [head, data(stream, b"\0\0\0\0\0", true)].concat()
    };
    for stream in (1..200).step_by(2) {
        wire.send(&list(stream)).await;
    }
    let (mut held, mut refused) = (0, 0);
    for _ in 0..100 {
        match wire.said_of(&[HEADERS]).await.unwrap().ended {
            true => refused += 1,
            false => held += 1,
        }
    }
    assert!((2..20).contains(&held) && refused > 0, "{held}, {refused}");
    let mut other = engine.client().await;
    for _ in 0..100 {
        let prefix = "row-".to_owned();
        let rows = other.list(ListRequest { prefix }).await.unwrap();
        assert_eq!(rows.into_inner().rows.len(), 500);
        other.get(get("a", &[])).await.unwrap();
    }
    wire.send(&window_update(0, 1 << 30)).await;
    wire.send(&initial_window(1 << 20)).await;
    for _ in 0..held {
        while !wire.said_of(&[HEADERS]).await.unwrap().ended {}
    }
    wire.send(&list(201)).await;
    assert!(!wire.said_of(&[HEADERS]).await.unwrap().ended);
    engine.stop().await;
}
