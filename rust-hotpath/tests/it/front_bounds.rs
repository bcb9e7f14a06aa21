//! What one client of the front below hyper can take from the others.

use crate::{
    front::{SPLICED, wire},
    harness::Engine,
    wire::{DATA, bomb, call, message},
};

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
