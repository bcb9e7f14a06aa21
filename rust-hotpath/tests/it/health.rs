//! Tests what callers learn by standard means: the health of each service, and reflection.

use crate::harness::{
    Engine, Feed, LEDGER, PROTOCOL_VERSION, added, batch, head, open, plain, until,
};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const COUNTER: &str = "counter.v1.CounterService";

async fn serving(channel: &Channel, service: &str) -> bool {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let response = HealthClient::new(channel.clone())
        .check(request)
        .await
        .unwrap()
        .into_inner();
    response.status() == ServingStatus::Serving
}

async fn becomes(channel: &Channel, wanted: bool) {
    until("health changes", || async {
        let both = (serving(channel, "").await, serving(channel, COUNTER).await);
        (both == (wanted, wanted)).then_some(())
    })
    .await;
}

/// Feeds heads until the engine serves. On a busy machine the feed may already count as silent when health is asked
/// for; then the feed speaks again.
async fn serves_while_it_speaks(channel: &Channel, feed: &mut Feed, position: u64) {
    for _ in 0..3_000 {
        feed.send(head(position)).await;
        if serving(channel, "").await && serving(channel, COUNTER).await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never healthy");
}

async fn services(channel: Channel) -> Vec<String> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let stream = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap();
    let answer = stream
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("no list: {answer:?}");
    };
    let mut names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn health_follows_the_data() {
    let engine = Engine::start(&["--stale-after-ms", "300"]).await;
    let channel = engine.channel().await;
    becomes(&channel, false).await;
    for service in ["hotpath.v1.ControlService", "hotpath.v1.FeedService"] {
        assert!(
            serving(&channel, service).await,
            "{service} works before there is data"
        );
    }
    let mut feed = engine.feed(LEDGER, 2).await.unwrap();
    feed.send(plain(1..=1)).await;
    feed.reached(1).await;
    assert!(!serving(&channel, "").await, "half loaded");
    feed.send(plain(2..=2)).await;
    serves_while_it_speaks(&channel, &mut feed, 2).await;

    // The feed falls silent, and then a feed opens whose head is ahead.
    drop(feed);
    becomes(&channel, false).await;
    assert_eq!(
        engine.get("a", &[]).await.unwrap().into_inner().value,
        2,
        "reads go on"
    );
    let opening = || async {
        Feed::open(engine.channel().await, open(PROTOCOL_VERSION, LEDGER, 3))
            .await
            .ok()
    };
    let mut feed = until("the feed is let go", opening).await;
    feed.send(plain(3..=3)).await;
    serves_while_it_speaks(&channel, &mut feed, 3).await;
}

#[tokio::test]
async fn an_idle_feed_that_falls_silent_and_speaks_again() {
    let (engine, mut feed) = Engine::fed(&["--stale-after-ms", "300"], 1).await;
    let channel = engine.channel().await;
    serves_while_it_speaks(&channel, &mut feed, 1).await;
    becomes(&channel, false).await;
    serves_while_it_speaks(&channel, &mut feed, 1).await;
}

#[tokio::test]
async fn a_broken_model_is_not_healthy_until_fed_well() {
    let (engine, mut feed) = Engine::fed(&["--stale-after-ms", "600000"], 1).await;
    let channel = engine.channel().await;
    becomes(&channel, true).await;
    feed.send(batch(2, [added(2, "panic", 1)])).await;
    becomes(&channel, false).await;
    let mut feed = until("the feed is let go", || async {
        engine.feed(LEDGER, 2).await.ok()
    })
    .await;
    feed.send(plain(2..=2)).await;
    becomes(&channel, true).await;
}

#[tokio::test]
async fn an_empty_ledger_is_healthy_and_draining_is_not() {
    let (engine, _feed) = Engine::fed(&[], 0).await;
    let channel = engine.channel().await;
    becomes(&channel, true).await;
    let request = HealthCheckRequest {
        service: COUNTER.to_owned(),
    };
    let mut watch = HealthClient::new(channel.clone())
        .watch(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    engine.running.stop();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    // The drain may be reported twice. Then the watch ends, and delays nothing.
    while let Some(again) = watch.message().await.unwrap() {
        assert_eq!(again.status(), ServingStatus::NotServing);
    }
    engine.stop().await;
}

#[tokio::test]
async fn reflection_lists_what_each_listener_serves() {
    let engine = Engine::start(&["--listen", "127.0.0.1:0"]).await;
    let public = [
        "counter.v1.CounterService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    let private = [
        public[0],
        public[1],
        public[2],
        public[3],
        "hotpath.v1.ControlService",
        "hotpath.v1.ExchangeService",
        "hotpath.v1.FeedService",
    ];
    assert_eq!(services(engine.channel().await).await, private);
    let uri = format!("http://{}", engine.running.addresses.listen.unwrap());
    let direct = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    assert_eq!(services(direct).await, public);
}
