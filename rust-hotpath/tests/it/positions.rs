//! Tests positions: which one answers, what the reply says of it, and what happens to bounds that cannot be met.

use crate::{
    counter::proto::{GetResponse, ListRequest},
    harness::{Engine, added, batch, get, plain, position, reason, until},
};
use std::time::Duration;
use tonic::{
    Code::{FailedPrecondition, InvalidArgument, NotFound, OutOfRange},
    Response, Status,
};

const WANT: (&str, &str) = ("x-hotpath-position", "want");
const MIN: &str = "x-hotpath-min-position";
const AT: &str = "x-hotpath-at-position";

fn value(outcome: Result<Response<GetResponse>, Status>) -> (i64, Option<u64>) {
    let position = position(&outcome);
    (outcome.unwrap().into_inner().value, position)
}

#[tokio::test]
async fn the_position_is_said_only_if_asked_for() {
    let (engine, _feed) = Engine::fed(&[], 4).await;
    assert_eq!(value(engine.get("a", &[]).await), (4, None));
    assert_eq!(value(engine.get("a", &[WANT]).await), (4, Some(4)));
    assert_eq!(
        value(engine.get("a", &[("x-hotpath-other", "")]).await),
        (4, Some(4))
    );
}

#[tokio::test]
async fn every_verdict_of_the_model_carries_its_position() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    feed.send(batch(2, [added(2, "big", i64::MAX), added(3, "big", 1)]))
        .await;
    feed.reached(3).await;
    for (name, code, text) in [
        ("nobody", NotFound, "name: is not known"),
        ("", InvalidArgument, "name: must be 1-64 bytes"),
        ("big", OutOfRange, "value: does not fit int64"),
    ] {
        let outcome = engine.get(name, &[WANT]).await;
        assert_eq!(position(&outcome), Some(3), "{text}");
        let status = outcome.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text));
        assert_eq!(position(&engine.get(name, &[]).await), None);
    }
    let earlier = engine.get("big", &[(AT, "2")]).await;
    assert_eq!(value(earlier), (i64::MAX, Some(2)));
    let none = engine.get("a", &[(AT, "0")]).await;
    assert_eq!(
        (position(&none), none.unwrap_err().code()),
        (Some(0), NotFound)
    );
}

#[tokio::test]
async fn the_model_judges_arguments_before_metadata_is_judged() {
    let (engine, _feed) = Engine::fed(&[], 2).await;
    let bad = (MIN, "x");
    let outcome = engine.get("", &[bad]).await;
    assert_eq!(outcome.unwrap_err().message(), "name: must be 1-64 bytes");
    for (metadata, text) in [
        (
            vec![bad],
            "x-hotpath-min-position: must be an unsigned 64-bit decimal",
        ),
        (
            vec![(AT, "1"), (AT, "1")],
            "x-hotpath-at-position: must be given once",
        ),
        (
            vec![(AT, "1"), (MIN, "2")],
            "x-hotpath-at-position: must not be below x-hotpath-min-position",
        ),
    ] {
        let outcome = engine.get("a", &metadata).await;
        assert_eq!(position(&outcome), Some(2));
        let status = outcome.unwrap_err();
        assert_eq!((status.code(), status.message()), (InvalidArgument, text));
    }
}

/// A verdict of `parse` names a position that was asked for, or the shim would not believe it. Only for bad arguments
/// does the shim believe any position.
#[tokio::test]
async fn what_is_refused_unseen_names_a_position_that_was_asked_for() {
    let (engine, _feed) = Engine::fed(&["--max-wait-ms", "50"], 3).await;
    for (name, bound, expected) in [
        ("refused-7", (AT, "1"), Some(1)),
        ("refused-7", (MIN, "2"), Some(3)),
        ("refused-7", (MIN, "4"), None),
        ("refused-3", (AT, "1"), Some(3)),
        ("refused-3", (MIN, "4"), Some(3)),
    ] {
        let outcome = engine.get(name, &[bound]).await;
        assert_eq!(position(&outcome), expected, "{name} {bound:?}");
        let is_verdict = outcome.unwrap_err().message() == "name: is refused";
        assert_eq!(is_verdict, expected.is_some(), "{name} {bound:?}");
    }
}

#[tokio::test]
async fn any_retained_position_is_answered_exactly_however_versions_were_batched() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    for (from, to) in [(2, 2), (3, 50), (51, 300)] {
        feed.send(plain(from..=to)).await;
        feed.reached(to).await;
    }
    let mut client = engine.client().await;
    for at in 1..=300_u64 {
        let outcome = client.get(get("a", &[(AT, &at.to_string())])).await;
        assert_eq!(value(outcome), (at as i64, Some(at)));
    }
    let at_and_min = client.get(get("a", &[(AT, "7"), (MIN, "7")])).await;
    assert_eq!(value(at_and_min), (7, Some(7)));
}

#[tokio::test]
async fn a_dropped_position_is_refused_without_a_position() {
    let (engine, mut feed) = Engine::fed(&["--retain-versions", "1"], 1).await;
    feed.send(plain(2..=9)).await;
    feed.reached(9).await;
    let outcome = engine.get("a", &[(AT, "1")]).await;
    assert_eq!(position(&outcome), None);
    let text = "position 1 is no longer retained".to_owned();
    let expected = (FailedPrecondition, "POSITION_NOT_RETAINED".to_owned(), text);
    assert_eq!(reason(&outcome.unwrap_err()), expected);
    assert_eq!(value(engine.get("a", &[(AT, "9")]).await), (9, Some(9)));
    assert_eq!(
        engine.get("a", &[(AT, "0")]).await.unwrap_err().code(),
        NotFound
    );
}

#[tokio::test]
async fn a_bound_ahead_waits_for_the_feed() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    let mut client = engine.client().await;
    let min = tokio::spawn({
        let mut client = client.clone();
        async move { client.get(get("a", &[(MIN, "3")])).await }
    });
    let at = tokio::spawn(async move { client.get(get("a", &[(AT, "2")])).await });
    feed.send(plain(2..=2)).await;
    assert_eq!(value(at.await.unwrap()), (2, Some(2)));
    assert!(!min.is_finished());
    feed.send(plain(3..=3)).await;
    assert_eq!(value(min.await.unwrap()), (3, Some(3)));
}

#[tokio::test]
async fn a_wait_ends_with_the_callers_deadline_or_the_servers_limit() {
    let (engine, _feed) = Engine::fed(&["--max-wait-ms", "100"], 1).await;
    let expected = |asked| {
        let text = format!("position {asked} is not reached: the ledger is at 1");
        (FailedPrecondition, "POSITION_NOT_REACHED".to_owned(), text)
    };
    let outcome = engine.get("a", &[(MIN, "5")]).await;
    assert_eq!(position(&outcome), None);
    assert_eq!(reason(&outcome.unwrap_err()), expected(5));

    let (engine, _feed) = Engine::fed(&["--max-wait-ms", "600000"], 1).await;
    let client = engine.client().await;
    // On a busy machine the caller's own timer may fire first now and then. In the end the server's must.
    let refusal = until("the server refuses in time", || {
        let mut client = client.clone();
        async move {
            let mut request = get("a", &[(AT, "6")]);
            request.set_timeout(Duration::from_millis(300));
            let refusal = reason(&client.get(request).await.unwrap_err());
            (refusal.0 == FailedPrecondition).then_some(refusal)
        }
    });
    assert_eq!(refusal.await, expected(6));
}

#[tokio::test]
async fn every_hot_method_reads_at_positions() {
    let (engine, mut feed) = Engine::fed(&[], 2).await;
    feed.send(batch(3, [added(3, "b", 5)])).await;
    feed.reached(3).await;
    let mut client = engine.client().await;
    for (at, names) in [("2", vec!["a"]), ("3", vec!["a", "b"])] {
        let mut request = tonic::Request::new(ListRequest::default());
        request.metadata_mut().insert(AT, at.parse().unwrap());
        let rows = client.list(request).await.unwrap().into_inner().rows;
        assert_eq!(
            rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
            names
        );
    }
}
