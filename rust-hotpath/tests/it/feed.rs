//! Tests feeds: which are let in, which are refused, and what stays published.

use crate::harness::{
    Engine, Feed, LEDGER, PROTOCOL_VERSION, added, batch, head, kind, open, plain, reason, until,
};
use crate::moody::Moody;
use hotpath::model::Model as _;
use hotpath::proto::hotpath::{
    EventBatch, FeedRequest, HelloRequest, HotMethod, control_service_client::ControlServiceClient,
    feed_request::Kind,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::Code::{AlreadyExists, FailedPrecondition, Internal, InvalidArgument, Unavailable};

/// Feeds the positions 1 to 3, and then `bad`. Returns the refusal, and the position that the next feed is told.
async fn refuse(bad: FeedRequest) -> (tonic::Code, String, String, u64) {
    let (engine, mut feed) = Engine::fed(&[], 3).await;
    feed.send(bad).await;
    let (code, reason, text) = feed.refusal().await;
    let next = until("the feed is let go", || async {
        engine.feed(LEDGER, 1_000).await.ok()
    })
    .await;
    let value = engine.get("a", &[]).await.unwrap().into_inner().value;
    assert_eq!(
        value, next.first.position as i64,
        "what was published stays published"
    );
    (code, reason, text, next.first.position)
}

#[tokio::test]
async fn a_feed_is_told_where_to_start_and_what_is_seen() {
    let engine = Engine::start(&[]).await;
    let mut feed = engine.feed(LEDGER, 5).await.unwrap();
    assert_eq!(
        (feed.first.position, feed.first.ledger_id.as_str()),
        (0, LEDGER)
    );
    feed.send(plain(1..=5)).await;
    feed.send(head(5)).await;
    feed.reached(5).await;
    assert_eq!(engine.get("a", &[]).await.unwrap().into_inner().value, 5);
    drop(feed);
    let next = until("the feed is let go", || async {
        engine.feed(LEDGER, 5).await.ok()
    })
    .await;
    assert_eq!(next.first.position, 5);
    assert_eq!(
        next.first.event_sha256,
        Sha256::digest(added(5, "a", 1).encode_to_vec()).to_vec(),
        "by which the shim tells copies of a ledger apart"
    );
}

#[tokio::test]
async fn a_gap_is_refused() {
    let text = "a position was skipped: 4 is due, 5 came".to_owned();
    assert_eq!(
        refuse(plain(5..=6)).await,
        (FailedPrecondition, "FEED_GAP".to_owned(), text, 3)
    );
}

#[tokio::test]
async fn a_repeat_is_refused() {
    let text = "a position came again or out of order: 4 is due, 3 came".to_owned();
    assert_eq!(
        refuse(plain(3..=6)).await,
        (FailedPrecondition, "FEED_REPEAT".to_owned(), text, 3)
    );
}

#[tokio::test]
async fn reordering_within_a_batch_is_refused() {
    let swapped = [4, 6, 5].map(|position| added(position, "a", 1));
    let (code, reason, _, position) = refuse(batch(4, swapped)).await;
    assert_eq!(
        (code, reason.as_str(), position),
        (FailedPrecondition, "FEED_GAP", 4)
    );
}

#[tokio::test]
async fn an_event_that_breaks_a_rule_is_refused_and_those_before_it_count() {
    let text = "position 5: delta: must not be 0".to_owned();
    let bad = [added(4, "a", 1), added(5, "a", 0), added(6, "a", 1)];
    assert_eq!(
        refuse(batch(4, bad)).await,
        (InvalidArgument, "FEED_BAD_EVENT".to_owned(), text, 4)
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_refused() {
    let events = vec![vec![0xff; 9]];
    let (code, reason, text, _) = refuse(kind(Kind::Batch(EventBatch {
        first_position: 4,
        events,
    })))
    .await;
    assert_eq!((code, reason.as_str()), (InvalidArgument, "FEED_BAD_EVENT"));
    assert!(text.starts_with("position 4: "), "{text}");
}

#[tokio::test]
async fn messages_that_are_not_due_are_refused() {
    let empty = EventBatch {
        first_position: 4,
        events: vec![],
    };
    let large = EventBatch {
        first_position: 4,
        events: vec![vec![0; 3 << 20]; 2],
    };
    let cases = [
        (
            open(PROTOCOL_VERSION, LEDGER, 9),
            "open: must come first and only once",
        ),
        (FeedRequest { kind: None }, "kind: must be batch or head"),
        (
            batch(0, [added(0, "a", 1)]),
            "first_position: must be at least 1",
        ),
        (kind(Kind::Batch(empty)), "events: must be 1-10000"),
        (
            batch(4, (4..=10_004).map(|position| added(position, "a", 1))),
            "events: must be 1-10000",
        ),
        (
            kind(Kind::Batch(large)),
            "events: must be at most 4 MiB together",
        ),
    ];
    for (bad, rule) in cases {
        let outcome = refuse(bad).await;
        assert_eq!(
            outcome,
            (
                InvalidArgument,
                "FEED_BAD_MESSAGE".to_owned(),
                rule.to_owned(),
                3
            )
        );
    }
}

#[tokio::test]
async fn openings_that_do_not_fit_are_refused() {
    let (engine, feed) = Engine::fed(&[], 3).await;
    drop(feed);
    until("the feed is let go", || async {
        engine.feed(LEDGER, 3).await.ok()
    })
    .await;
    let cases = [
        (
            open(PROTOCOL_VERSION - 1, LEDGER, 3),
            FailedPrecondition,
            "PROTOCOL_MISMATCH",
        ),
        (
            open(PROTOCOL_VERSION, "ledger-2", 3),
            FailedPrecondition,
            "LEDGER_MISMATCH",
        ),
        (
            open(PROTOCOL_VERSION, "led ger", 3),
            InvalidArgument,
            "FEED_BAD_MESSAGE",
        ),
        (
            open(PROTOCOL_VERSION, "", 3),
            InvalidArgument,
            "FEED_BAD_MESSAGE",
        ),
        (head(3), InvalidArgument, "FEED_BAD_MESSAGE"),
    ];
    for (first, code, expected) in cases {
        let status = Feed::open(engine.channel().await, first)
            .await
            .err()
            .expect("refused");
        let (got, reason, text) = reason(&status);
        assert_eq!((got, reason.as_str()), (code, expected), "{text}");
    }
    let behind = until("the feed is let go", || async {
        let status = engine.feed(LEDGER, 2).await.err().expect("refused");
        let (code, reason, text) = reason(&status);
        (reason != "FEED_BUSY").then_some((code, reason, text))
    });
    let text = "the ledger is at 2, behind this sidecar's 3".to_owned();
    assert_eq!(
        behind.await,
        (FailedPrecondition, "FEED_BEHIND".to_owned(), text)
    );
}

#[tokio::test]
async fn one_feed_at_a_time_and_the_first_one_wins() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    let status = engine.feed(LEDGER, 1).await.err().expect("busy");
    assert_eq!(
        reason(&status),
        (
            AlreadyExists,
            "FEED_BUSY".to_owned(),
            "another feed is open".to_owned()
        )
    );
    feed.send(plain(2..=2)).await;
    feed.reached(2).await;
}

#[tokio::test]
async fn a_panicking_model_ends_the_feed_not_the_process() {
    let (code, reason, text, position) = refuse(batch(4, [added(4, "panic", 1)])).await;
    assert_eq!((code, reason.as_str(), position), (Internal, "", 3));
    assert_eq!(text, "position 4: the model panicked: bad mood");
}

#[tokio::test]
async fn a_sidecar_that_restarts_empty_is_filled_again() {
    let (engine, feed) = Engine::fed(&[], 3).await;
    drop(feed);
    let dir = engine.stop().await;
    let engine = Engine::start_in(dir, &[]).await.unwrap();
    let mut feed = engine
        .feed("ledger-2", 2)
        .await
        .expect("an empty one takes any ledger");
    assert_eq!(feed.first.position, 0);
    feed.send(plain(1..=2)).await;
    feed.reached(2).await;
}

#[tokio::test]
async fn many_small_batches_are_seen_as_few_watermarks() {
    let (_engine, mut feed) = Engine::fed(&[], 0).await;
    for position in 1..=2_000 {
        feed.send(plain(position..=position)).await;
    }
    let mut messages = 0;
    let mut seen = 0;
    while seen < 2_000 {
        let next = feed.watermarks.message().await.unwrap().unwrap().position;
        assert!(next > seen, "watermarks only grow: {next} after {seen}");
        (seen, messages) = (next, messages + 1);
    }
    assert!(messages <= 2_000);
}

#[tokio::test]
async fn draining_ends_the_feed_with_a_reason_to_try_elsewhere() {
    let (engine, feed) = Engine::fed(&[], 1).await;
    engine.running.stop();
    let (code, _, text) = feed.refusal().await;
    assert_eq!(
        (code, text.as_str()),
        (Unavailable, "the sidecar is shutting down")
    );
    engine.stop().await;
}

const GET: &str = "/counter.v1.CounterService/Get";

fn get_hash() -> Vec<u8> {
    let schema = hotpath::schema::Schema::decode(Moody::DESCRIPTORS).unwrap();
    schema.hash(GET).unwrap().to_vec()
}

fn method(name: &str, hash: &[u8]) -> HotMethod {
    HotMethod {
        full_method: name.to_owned(),
        schema_sha256: hash.to_vec(),
    }
}

fn hello(protocol_version: u32, ledger: &str, methods: Vec<HotMethod>) -> HelloRequest {
    HelloRequest {
        protocol_version,
        ledger_id: ledger.to_owned(),
        methods,
    }
}

#[tokio::test]
async fn hello_judges_method_by_method() {
    let (engine, _feed) = Engine::fed(&["--max-message-bytes", "65536"], 2).await;
    let mut control = ControlServiceClient::new(engine.channel().await);
    let cold = method("/counter.v1.CounterService/Add", &get_hash());
    let list = method("/counter.v1.CounterService/List", &[7; 32]);
    let methods = vec![method(GET, &get_hash()), cold, list];
    let answer = control
        .hello(hello(PROTOCOL_VERSION, LEDGER, methods))
        .await;
    let answer = answer.unwrap().into_inner();
    let accepted: Vec<_> = answer
        .methods
        .iter()
        .map(|verdict| verdict.accepted)
        .collect();
    assert_eq!(accepted, [true, false, false]);
    let indices: Vec<_> = answer.methods.iter().map(|verdict| verdict.index).collect();
    assert_eq!((indices[0], indices[2]), (0, 1), "as in METHODS");
    let refusals: Vec<_> = answer
        .methods
        .iter()
        .map(|verdict| verdict.refusal.as_str())
        .collect();
    assert_eq!(refusals[..2], ["", "is not served here"]);
    assert!(refusals[2].starts_with("has another schema: "));
    assert!(refusals[2].ends_with(" here, 07070707 there"));
    assert_eq!((answer.position, answer.max_message_bytes), (2, 65_536));
    assert_eq!(answer.ledger_id, LEDGER);
    assert_eq!(answer.build, "tester 1.2.3", "the program's own name");
}

#[tokio::test]
async fn hello_refuses_another_protocol_or_ledger_and_too_much() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut control = ControlServiceClient::new(engine.channel().await);
    let many = vec![method(GET, &get_hash()); 257];
    for (request, code, expected) in [
        (
            hello(1, LEDGER, vec![]),
            FailedPrecondition,
            "PROTOCOL_MISMATCH",
        ),
        (
            hello(PROTOCOL_VERSION, "ledger-2", vec![]),
            FailedPrecondition,
            "LEDGER_MISMATCH",
        ),
        (hello(PROTOCOL_VERSION, "", vec![]), InvalidArgument, ""),
        (hello(PROTOCOL_VERSION, LEDGER, many), InvalidArgument, ""),
    ] {
        let (got, reason, text) = reason(&control.hello(request).await.unwrap_err());
        assert_eq!((got, reason.as_str()), (code, expected), "{text}");
    }
}
