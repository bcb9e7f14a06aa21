//! Tests replies of lanes that are longer than a frame.

use crate::{
    counter::proto::Added,
    exchange::{lane, metric},
    harness::{Engine, Feed, added, batch},
    lane::{get, list, unary},
};
use tonic::Code::ResourceExhausted;

/// Starts an engine with `a` and 2,000 counters whose names have 56 bytes. A list of all of them has some 130 kB.
async fn long(settings: &[&str]) -> (Engine, Feed) {
    let (engine, mut feed) = Engine::fed(settings, 1).await;
    let names = (2..=2_001).map(|position| added(position, &format!("{position:056}"), 1));
    feed.send(batch(2, names.collect::<Vec<Added>>())).await;
    feed.reached(2_001).await;
    (engine, feed)
}

#[tokio::test]
async fn a_long_reply_leaves_in_pieces_and_is_computed_once() {
    let (engine, _feed) = long(&[]).await;
    let mut lane = lane(&engine).await;
    lane.send([get(1, "a"), list(2, ""), get(3, "a"), list(4, "")])
        .await;
    let mut whole = Vec::new();
    for id in [1, 3, 2, 4] {
        let reply = lane.reply().await;
        assert_eq!(
            (reply.id, reply.position),
            (id, Some(2_001)),
            "short ones first"
        );
        whole.push(reply.body);
    }
    assert!(
        lane.messages > 6,
        "{} messages: one piece each",
        lane.messages
    );
    metric(
        &engine,
        "hotpathd_requests_total{method=\"List\",code=\"OK\"} 2",
    )
    .await;
    metric(&engine, "hotpathd_lane_long_replies_total 2").await;
    metric(&engine, "hotpathd_lane_too_long_total 0").await;
    metric(&engine, "hotpathd_in_flight 0").await;
    metric(&engine, "hotpathd_buffered_bytes 0").await;
    let expected = unary(&mut engine.channel().await, &list(2, "")).await;
    assert!(expected.body.len() > 65_536);
    assert!(whole[2] == expected.body && whole[3] == expected.body);
    // Each of these replies fits into a frame, but all of them do not fit into one message.
    let prefix = format!("{:053}", 1);
    let before = lane.messages;
    lane.send((1..=30).map(|id| list(id, &prefix))).await;
    for id in 1..=30 {
        let reply = lane.reply().await;
        assert!(
            reply.id == id && reply.body.len() > 60_000,
            "{}",
            reply.body.len()
        );
    }
    let messages = lane.messages - before;
    assert!(messages > 10, "{messages} messages");
}

#[tokio::test]
async fn a_long_reply_that_breaks_a_limit_is_refused_as_that_of_a_unary_call() {
    let (engine, _feed) = long(&["--max-message-bytes", "65536"]).await;
    let mut lane = lane(&engine).await;
    let asked = list(1, "");
    lane.send([asked.clone()]).await;
    let refused = lane.reply().await;
    assert_eq!(refused.status, ResourceExhausted as u32);
    assert_eq!(refused, unary(&mut engine.channel().await, &asked).await);
}
