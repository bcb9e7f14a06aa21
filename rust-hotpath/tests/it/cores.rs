//! Tests the threads that serve connections: any number of them works, and nothing long runs on them.

use crate::{
    harness::{Engine, added, batch, get, plain, position, until},
    moody::{begun, release},
};
use tonic::Code;

/// The value of a metric without labels.
async fn value(engine: &Engine, name: &str) -> u64 {
    let admin = engine.running.addresses.admin;
    let (_, metrics) = crate::admin::fetch_text(admin, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.expect(name).trim().parse().unwrap()
}

async fn reaches(engine: &Engine, name: &str, most: u64) {
    until(name, || async {
        (value(engine, name).await == most).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_thread_or_more_than_cores_serve_many_connections() {
    for threads in ["1", "7"] {
        let (engine, _feed) = Engine::fed(&["--threads", threads], 3).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(engine.client().await);
        }
        for client in &mut clients {
            let reply = client.get(get("a", &[])).await.unwrap();
            assert_eq!(reply.into_inner().value, 3);
        }
        engine.stop().await;
    }
}

#[tokio::test]
async fn a_long_unary_call_holds_up_nobody_on_the_only_thread() {
    let (engine, mut feed) = Engine::fed(&["--threads", "1"], 1).await;
    feed.send(batch(2, [added(2, "held-unary", 5)])).await;
    feed.reached(2).await;
    let mut client = engine.client().await;
    let mut same = client.clone();
    let long = tokio::spawn(async move { client.get(get("held-unary", &[])).await });
    reaches(&engine, "hotpathd_requests_offloaded_total", 1).await;
    assert_eq!(same.get(get("a", &[])).await.unwrap().into_inner().value, 1);
    let other = engine.get("a", &[]).await.unwrap();
    assert_eq!(other.into_inner().value, 1);
    assert!(!long.is_finished());
    release("held-unary");
    assert_eq!(long.await.unwrap().unwrap().into_inner().value, 5);
}

#[tokio::test]
async fn an_older_position_is_read_elsewhere_and_says_the_same() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    feed.send(plain(2..=3)).await;
    feed.reached(3).await;
    let older = engine.get("a", &[("x-hotpath-at-position", "2")]).await;
    assert_eq!(position(&older), Some(2));
    assert_eq!(older.unwrap().into_inner().value, 2);
    assert_eq!(value(&engine, "hotpathd_requests_offloaded_total").await, 1);
    let missing = engine.get("b", &[("x-hotpath-at-position", "2")]).await;
    assert_eq!(position(&missing), Some(2));
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_long_call_keeps_its_place_until_it_is_done_though_its_caller_has_gone() {
    let (engine, mut feed) = Engine::fed(&["--threads", "1"], 1).await;
    feed.send(batch(2, [added(2, "held-gone", 5)])).await;
    feed.reached(2).await;
    let mut client = engine.client().await;
    let long = tokio::spawn(async move { client.get(get("held-gone", &[])).await });
    until("it is being read", || async {
        (begun("held-gone") > 0).then_some(())
    })
    .await;
    long.abort();
    let counted = "hotpathd_requests_total{method=\"Get\",code=\"CANCELLED\"}";
    until("the cancellation is counted", || async {
        let (_, metrics) =
            crate::admin::fetch_text(engine.running.addresses.admin, "/metrics").await;
        metrics.contains(counted).then_some(())
    })
    .await;
    assert_eq!(value(&engine, "hotpathd_in_flight").await, 1);
    release("held-gone");
    reaches(&engine, "hotpathd_in_flight", 0).await;
}

#[tokio::test]
async fn a_panic_far_from_the_connection_ends_one_call() {
    let (engine, mut feed) = Engine::fed(&["--threads", "1"], 1).await;
    feed.send(batch(2, [added(2, "b", 5)])).await;
    feed.reached(2).await;
    let panicked = engine.get("panic", &[("x-hotpath-at-position", "1")]).await;
    assert_eq!(panicked.unwrap_err().code(), Code::Internal);
    let next = engine.get("b", &[]).await.unwrap();
    assert_eq!(next.into_inner().value, 5);
}
