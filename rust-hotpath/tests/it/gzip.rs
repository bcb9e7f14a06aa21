//! Tests compressed calls, as a client with `grpc-encoding: gzip` makes them.

use crate::{
    counter::proto::{Added, GetRequest, GetResponse, ListRequest, ListResponse},
    harness::{Engine, added, batch},
};
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use std::{
    future::poll_fn,
    io::{Read as _, Write as _},
};
use tonic::{Code, body::Body, codegen::http};
use tower_service::Service as _;

const PREFIX: usize = 5;

fn packed(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

struct Answer {
    code: Code,
    text: String,
    /// The `grpc-encoding` and `grpc-accept-encoding` of the response.
    encoding: Option<String>,
    accepted: Option<String>,
    flag: Option<u8>,
    message: Vec<u8>,
}

async fn call(engine: &Engine, method: &str, encoding: &str, body: Vec<u8>) -> Answer {
    let mut channel = engine.channel().await;
    let uri = format!("http://localhost/counter.v1.CounterService/{method}");
    let request = http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("grpc-encoding", encoding)
        .body(Body::new(Full::new(Bytes::from(body))))
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let (head, body) = channel.call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let said = |name: &str| {
        let value = head.headers.get(name).or_else(|| trailers.get(name))?;
        Some(value.to_str().unwrap().replace("%20", " "))
    };
    let data = body.to_bytes();
    let flag = data.first().copied();
    let mut message = data.get(PREFIX..).unwrap_or_default().to_vec();
    if flag == Some(1) {
        let mut plain = Vec::new();
        GzDecoder::new(&*message).read_to_end(&mut plain).unwrap();
        message = plain;
    }
    Answer {
        code: Code::from_bytes(said("grpc-status").unwrap().as_bytes()),
        text: said("grpc-message").unwrap_or_default(),
        encoding: said("grpc-encoding"),
        accepted: said("grpc-accept-encoding"),
        flag,
        message,
    }
}

fn get(name: &str) -> Vec<u8> {
    let name = name.to_owned();
    GetRequest { name }.encode_to_vec()
}

#[tokio::test]
async fn a_compressed_request_gets_a_compressed_reply() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    let names = (2..=2_001).map(|position| added(position, &format!("{position:056}"), 1));
    feed.send(batch(2, names.collect::<Vec<Added>>())).await;
    feed.reached(2_001).await;
    let short = call(&engine, "Get", "gzip", framed(1, &packed(&get("a")))).await;
    let value = GetResponse::decode(&*short.message).unwrap().value;
    let said = (short.code, short.encoding.as_deref(), short.flag, value);
    assert_eq!(said, (Code::Ok, Some("gzip"), Some(1), 1));
    let all = packed(&ListRequest::default().encode_to_vec());
    let long = call(&engine, "List", "gzip", framed(1, &all)).await;
    let rows = ListResponse::decode(&*long.message).unwrap().rows;
    assert_eq!(
        (long.code, long.flag, rows.len()),
        (Code::Ok, Some(1), 2_001)
    );
    // A caller need not compress a message for which it does not pay.
    let plain = call(&engine, "Get", "gzip", framed(0, &get("a"))).await;
    assert_eq!((plain.code, plain.flag), (Code::Ok, Some(1)));
    let verdict = call(&engine, "Get", "gzip", framed(1, &packed(&get("")))).await;
    assert_eq!((verdict.code, verdict.flag), (Code::InvalidArgument, None));
    // A request that has more than 8 KiB once decompressed is decompressed on another thread than the connection's.
    let name = "x".repeat(20_000);
    let prefix = ListRequest { prefix: name }.encode_to_vec();
    let none = call(&engine, "List", "gzip", framed(1, &packed(&prefix))).await;
    assert_eq!((none.code, none.message.len()), (Code::Ok, 0));
}

#[tokio::test]
async fn the_limit_is_that_of_the_message_once_decompressed() {
    let (engine, _feed) = Engine::fed(&["--max-message-bytes", "65536"], 1).await;
    let bomb = packed(&vec![0; 16 << 20]);
    assert!(bomb.len() < 65_536);
    let refused = call(&engine, "Get", "gzip", framed(1, &bomb)).await;
    assert_eq!(refused.code, Code::ResourceExhausted);
    assert_eq!(
        refused.text,
        "the request is longer than 65536 bytes once decompressed"
    );
    let damaged = call(&engine, "Get", "gzip", framed(1, b"no gzip")).await;
    assert_eq!(damaged.code, Code::Internal);
    assert_eq!(engine.get("a", &[]).await.unwrap().into_inner().value, 1);
}

#[tokio::test]
async fn another_encoding_is_refused_and_both_are_named() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let refused = call(&engine, "Get", "snappy", framed(1, b"abc")).await;
    assert_eq!(refused.code, Code::Unimplemented);
    assert_eq!(refused.accepted.as_deref(), Some("identity, gzip"));
    let unsaid = call(&engine, "Get", "identity", framed(1, b"abc")).await;
    assert_eq!(unsaid.code, Code::Internal);
}
