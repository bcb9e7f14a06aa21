//! Tests how a lane opens.

use crate::{
    harness::{Engine, SOON},
    lane::{frame_bytes, get},
};
use bytes::Bytes;
use hotpath::proto::hotpath::ExchangeResponse;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use prost::Message as _;
use std::{convert::Infallible, future::poll_fn};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{body::Body, codegen::http::Request};
use tower_service::Service as _;

/// The shim takes the headers as the sign that the lane is open.
#[tokio::test]
async fn its_headers_come_before_anything_is_asked() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut channel = engine.channel().await;
    let (requests, stream) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = Body::new(StreamBody::new(ReceiverStream::new(stream)));
    let request = Request::post(format!("http://localhost{}", hotpath::exchange::PATH))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let opened = timeout(SOON, channel.call(request)).await;
    let mut response = opened.expect("headers in time").unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert!(!response.headers().contains_key("grpc-status"));
    requests
        .send(Ok(Frame::data(frame_bytes([get(1, "a")]))))
        .await
        .unwrap();
    let reply = timeout(SOON, response.frame()).await;
    let reply = reply.expect("a reply in time").unwrap().unwrap();
    let message = reply.into_data().expect("data").slice(5..);
    let replies = ExchangeResponse::decode(message).unwrap().replies;
    assert_eq!(replies[0].id, 1);
}
