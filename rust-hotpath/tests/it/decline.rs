//! Tests requests that a model leaves to the service, and verdicts of every status code.

use crate::{
    counter::proto::counter_service_client::CounterServiceClient,
    exchange::{lane, metric},
    harness::{Engine, get as get_unary, position, reason},
    lane::{get, unary},
};
use tonic::{Code, transport::Endpoint};
use tonic_types::StatusExt as _;

const WANT: (&str, &str) = ("x-hotpath-position", "want");

#[tokio::test]
async fn a_declined_request_is_no_answer_and_says_why() {
    let (engine, _feed) = Engine::fed(&["--listen", "127.0.0.1:0"], 2).await;
    let uri = format!("http://{}", engine.running.addresses.listen.unwrap());
    let tcp = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    for channel in [engine.channel().await, tcp] {
        let mut client = CounterServiceClient::new(channel);
        let outcome = client.get(get_unary("a*", &[WANT])).await;
        assert_eq!(position(&outcome), None);
        let status = outcome.unwrap_err();
        let text = "the sidecar declined this request (pattern): ask the service itself";
        let expected = (Code::Unimplemented, "DECLINED".into(), text.into());
        assert_eq!(reason(&status), expected);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["why"], "pattern");
    }
    let mut lane = lane(&engine).await;
    lane.send([get(1, "a*"), get(2, "a"), get(3, "stray")])
        .await;
    let reply = lane.reply().await;
    assert_eq!(
        (reply.id, reply.position, reply.status),
        (1, None, Code::Unimplemented as u32)
    );
    assert!(!reply.status_details.is_empty());
    assert_eq!((lane.reply().await.status, lane.reply().await.id), (0, 3));
    for (method, why, count) in [
        ("Get", "pattern", 3),
        ("Get", "other", 1),
        ("List", "pattern", 0),
    ] {
        let labels = format!("method=\"{method}\",reason=\"{why}\"");
        metric(
            &engine,
            &format!("hotpathd_declined_total{{{labels}}} {count}"),
        )
        .await;
    }
    let counted = "hotpathd_requests_total{method=\"Get\",code=\"UNIMPLEMENTED\"} 4";
    metric(&engine, counted).await;
}

#[tokio::test]
async fn a_status_with_details_reaches_direct_callers_as_it_is() {
    let (engine, _feed) = Engine::fed(&["--listen", "127.0.0.1:0"], 2).await;
    let uri = format!("http://{}", engine.running.addresses.listen.unwrap());
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let mut client = CounterServiceClient::new(channel);
    for number in 1..=16 {
        let name = format!("status-{number}");
        let outcome = client.get(get_unary(&name, &[WANT])).await;
        assert_eq!(position(&outcome), Some(2), "{number}");
        let status = outcome.unwrap_err();
        let text = format!("name: is {:?} ☺\n", status.code());
        assert_eq!((status.code() as i32, status.message()), (number, &*text));
        // The details are a google.rpc.Status: code, message, and both details in this order.
        let info = b"\x1a\x2f\x0a(type.googleapis.com/google.rpc.ErrorInfo\x12\x03\x0a\x01R";
        let empty = b"\x1a\x2b\x0a)type.googleapis.com/google.protobuf.Empty";
        let head = [
            &[0x08, number as u8, 0x12, text.len() as u8],
            text.as_bytes(),
        ]
        .concat();
        let expected = [&head[..], info, empty].concat();
        assert_eq!(status.details(), expected, "{number}");
    }
}

/// If the status were cut short or lost its details, it would not be what the service says.
#[tokio::test]
async fn details_too_long_for_a_frame_are_fetched_by_a_unary_call() {
    let (engine, _feed) = Engine::fed(&[], 2).await;
    let mut lane = lane(&engine).await;
    lane.send([get(1, "long-9")]).await;
    let reply = lane.reply().await;
    assert_eq!((reply.id, reply.too_long, reply.position), (1, true, None));
    let whole = unary(&mut engine.channel().await, &get(1, "long-9")).await;
    assert_eq!((whole.status, whole.position), (9, Some(2)));
    assert!(whole.status_details.len() > 5_000);
}
