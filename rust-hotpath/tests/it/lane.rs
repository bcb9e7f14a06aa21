//! The client's end of a lane, and the same requests as unary calls.

use crate::{
    counter::proto::{GetRequest, ListRequest},
    harness::SOON,
};
use bytes::Bytes;
use hotpath::proto::hotpath::{
    ExchangeRequest, ExchangeResponse, ReplyFrame, RequestFrame,
    exchange_service_client::ExchangeServiceClient,
};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use std::{collections::VecDeque, future::poll_fn};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, body::Body, codegen::http, transport::Channel};
use tower_service::Service as _;

pub const GET: u32 = 0;
pub const LIST: u32 = 1;

pub struct Lane {
    requests: mpsc::Sender<ExchangeRequest>,
    replies: Streaming<ExchangeResponse>,
    ready: VecDeque<ReplyFrame>,
    /// The id of a long reply, and the pieces of it that have come.
    pieces: (u64, Vec<u8>),
    /// Messages received.
    pub messages: usize,
}

impl Lane {
    pub async fn open(channel: Channel) -> Result<Self, Status> {
        let (requests, stream) = mpsc::channel(64);
        let mut client = ExchangeServiceClient::new(channel);
        let replies = client.exchange(ReceiverStream::new(stream)).await?;
        Ok(Self {
            requests,
            replies: replies.into_inner(),
            ready: VecDeque::new(),
            pieces: Default::default(),
            messages: 0,
        })
    }

    /// Sends one message.
    pub async fn send(&mut self, requests: impl IntoIterator<Item = RequestFrame>) {
        let requests = requests.into_iter().collect();
        let cancelled = Vec::new();
        let message = ExchangeRequest {
            requests,
            cancelled,
        };
        self.requests.send(message).await.expect("an open lane");
    }

    pub async fn cancel(&mut self, ids: &[u64]) {
        let message = ExchangeRequest {
            requests: Vec::new(),
            cancelled: ids.to_vec(),
        };
        self.requests.send(message).await.expect("an open lane");
    }

    /// The next reply, or `None` if the lane ended with OK. A reply that came in pieces is put together.
    pub async fn next(&mut self) -> Result<Option<ReplyFrame>, Status> {
        while let Some(mut frame) = self.next_frame().await? {
            let (of, pieces) = &mut self.pieces;
            if frame.more {
                assert!(
                    pieces.is_empty() || *of == frame.id,
                    "of two replies at once"
                );
                assert!(frame.position.is_none() && !frame.body.is_empty());
                *of = frame.id;
                pieces.append(&mut frame.body);
                continue;
            }
            if *of == frame.id {
                let mut pieces = std::mem::take(pieces);
                if frame.position.is_some() {
                    pieces.append(&mut frame.body);
                    frame.body = pieces;
                }
            }
            return Ok(Some(frame));
        }
        Ok(None)
    }

    /// The next frame as it came.
    pub async fn next_frame(&mut self) -> Result<Option<ReplyFrame>, Status> {
        while self.ready.is_empty() {
            let message = tokio::time::timeout(SOON, self.replies.message());
            let Some(message) = message.await.expect("a reply in time")? else {
                return Ok(None);
            };
            assert!(!message.replies.is_empty());
            self.messages += 1;
            self.ready.extend(message.replies);
        }
        Ok(self.ready.pop_front())
    }

    pub async fn reply(&mut self) -> ReplyFrame {
        self.next().await.expect("no refusal").expect("no end")
    }

    /// Waits for the end of the lane, and returns its code and text.
    pub async fn refusal(&mut self) -> (Code, String) {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the lane ended without a refusal"),
                Err(status) => return (status.code(), status.message().to_owned()),
            }
        }
    }

    /// Closes the requesting side. Replies may still come.
    pub fn half_close(&mut self) {
        self.requests = mpsc::channel(1).0;
    }
}

pub fn frame(id: u64, method: u32, body: Vec<u8>) -> RequestFrame {
    RequestFrame {
        id,
        method,
        budget_us: 60_000_000,
        body,
        ..RequestFrame::default()
    }
}

pub fn get(id: u64, name: &str) -> RequestFrame {
    let name = name.to_owned();
    frame(id, GET, GetRequest { name }.encode_to_vec())
}

pub fn get_from(id: u64, name: &str, min_position: u64) -> RequestFrame {
    RequestFrame {
        min_position,
        ..get(id, name)
    }
}

pub fn list(id: u64, prefix: &str) -> RequestFrame {
    let prefix = prefix.to_owned();
    frame(id, LIST, ListRequest { prefix }.encode_to_vec())
}

/// One message behind its prefix.
pub fn frame_bytes(requests: impl IntoIterator<Item = RequestFrame>) -> Bytes {
    let message = ExchangeRequest {
        requests: requests.into_iter().collect(),
        cancelled: Vec::new(),
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    Bytes::from([&[0][..], &length, &message].concat())
}

/// Sends the same request as a unary call. Returns the outcome as a reply with the same id.
pub async fn unary(channel: &mut Channel, asked: &RequestFrame) -> ReplyFrame {
    let method = ["Get", "List"][asked.method as usize];
    let uri = format!("http://localhost/counter.v1.CounterService/{method}");
    let mut request = http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", format!("{}u", asked.budget_us))
        .header("x-hotpath-min-position", asked.min_position);
    if let Some(at) = asked.at_position {
        request = request.header("x-hotpath-at-position", at);
    }
    let length = u32::try_from(asked.body.len()).unwrap().to_be_bytes();
    let body = Bytes::from([&[0][..], &length, &asked.body].concat());
    let request = request.body(Body::new(Full::new(body))).unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let (head, body) = channel.call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&head.headers)
        .or_else(|| Status::from_header_map(&trailers))
        .expect("a status");
    let position = head.headers.get("x-hotpath-position");
    ReplyFrame {
        id: asked.id,
        position: position.map(|value| value.to_str().unwrap().parse().unwrap()),
        status: status.code() as u32,
        status_message: status.message().to_owned(),
        status_details: status.details().to_vec(),
        body: body.to_bytes().get(5..).unwrap_or_default().to_vec(),
        too_long: false,
        more: false,
    }
}

/// Sends bytes as all of a lane's requests. Returns the status with which the lane ends.
pub async fn raw(channel: &mut Channel, bytes: &'static [u8]) -> Status {
    let request = http::Request::post(format!("http://localhost{}", hotpath::exchange::PATH))
        .header("content-type", "application/grpc")
        .body(Body::new(Full::new(Bytes::from_static(bytes))))
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    Status::from_header_map(body.trailers().expect("trailers")).expect("a status")
}
