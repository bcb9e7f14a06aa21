//! Tests lanes without a connection: what they poll when, and what they do with any bytes.

mod given_up;
mod long;
mod rig;
mod schedules;

use super::*;
use crate::{
    counter::{
        Counter,
        proto::{Added, GetRequest, GetResponse, ListRequest},
    },
    exchange::{Exchange, PATH, stream::Stream},
    proto::hotpath as generated,
    readiness::{self, Readiness},
    serve::{self, PREFIX, Serve},
    shutdown::Shutdown,
    view,
};
use hyper::{
    body::{Body as HttpBody, Frame},
    http::Request,
};
use proptest::{collection::vec, prelude::*};
use prost::Message as _;
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::Waker,
    time::Duration,
};
use tonic::body::Body;

/// A request body under the test's control.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<(VecDeque<Bytes>, bool)>>);

impl Pipe {
    fn push(&self, bytes: impl Into<Bytes>) {
        self.0.lock().expect("alive").0.push_back(bytes.into());
    }

    fn end(&self) {
        self.0.lock().expect("alive").1 = true;
    }

    fn left(&self) -> usize {
        self.0.lock().expect("alive").0.len()
    }
}

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut inner = self.0.lock().expect("alive");
        match inner.0.pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if inner.1 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// A lane over a ledger in which `a` is 1 and 700 other counters have long names.
fn lane() -> (Body, Pipe) {
    let (lane, pipe, _) = lane_over(700);
    (lane, pipe)
}

fn lane_over(counters: usize) -> (Body, Pipe, Serve<Counter>) {
    let (mut publisher, view) = view::new::<Counter>(view::Config {
        retain_versions: 1,
        retain: Duration::ZERO,
        retain_events: 1,
    });
    let mut state = Default::default();
    let names = (2..).map(|n| format!("{n:060}")).take(counters);
    for (position, name) in (1..).zip(["a".to_owned()].into_iter().chain(names)) {
        let delta = 1;
        let event = Added {
            position,
            name,
            delta,
        };
        Counter::apply(&mut state, &event).expect("a good event");
    }
    let head = 1 + counters as u64;
    publisher.restart(head, state, Instant::now());
    let stale_after = Duration::from_secs(5);
    let readiness = Arc::new(Readiness::new(readiness::Config { stale_after }));
    readiness.opened(head);
    let config = serve::Config {
        max_message_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        max_in_flight: 4_096,
        max_buffered_bytes: 1 << 20,
    };
    let serve = Serve::new(config, view, readiness);
    let exchange = Exchange::new(&serve, Shutdown::default());
    let pipe = Pipe::default();
    let request = Request::post(PATH)
        .header("content-type", "application/grpc")
        .body(Body::new(pipe.clone()))
        .expect("a request");
    (exchange.call(request).into_body(), pipe, serve)
}

fn poll(lane: &mut Body) -> Poll<Option<Frame<Bytes>>> {
    let mut cx = Context::from_waker(Waker::noop());
    let polled = Pin::new(lane).poll_frame(&mut cx);
    polled.map(|frame| frame.map(|frame| frame.expect("infallible")))
}

fn frame(id: u64, method: u32, body: Vec<u8>) -> generated::RequestFrame {
    generated::RequestFrame {
        id,
        method,
        budget_us: 60_000_000,
        body,
        ..generated::RequestFrame::default()
    }
}

fn get(id: u64) -> generated::RequestFrame {
    let name = "a".to_owned();
    frame(id, 0, GetRequest { name }.encode_to_vec())
}

fn list(id: u64) -> generated::RequestFrame {
    frame(id, 1, ListRequest::default().encode_to_vec())
}

fn framed(requests: Vec<generated::RequestFrame>) -> Vec<u8> {
    framed_with(requests, Vec::new())
}

fn framed_with(requests: Vec<generated::RequestFrame>, cancelled: Vec<u64>) -> Vec<u8> {
    let message = generated::ExchangeRequest {
        requests,
        cancelled,
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0][..], &length, &message].concat()
}

fn replies(frame: Frame<Bytes>) -> Vec<generated::ReplyFrame> {
    let message = frame.into_data().expect("data").slice(PREFIX..);
    let response = generated::ExchangeResponse::decode(message);
    response.expect("a response").replies
}

#[test]
fn nothing_is_read_that_could_not_be_replied_to() {
    let (mut lane, pipe) = lane();
    for id in 1..=50 {
        pipe.push(framed(vec![list(id)]));
    }
    let mut got = 0;
    while let Poll::Ready(Some(frame)) = poll(&mut lane) {
        got += replies(frame).len();
        assert_eq!(50 - pipe.left(), got, "what was read was replied to");
        assert!(got <= 50);
    }
    assert_eq!(got, 50);
}

#[test]
fn a_message_of_replies_leaves_in_the_midst_of_a_batch() {
    let (mut lane, pipe) = lane();
    pipe.push(framed((1..=50).map(list).collect()));
    let mut got = Vec::new();
    while let Poll::Ready(Some(frame)) = poll(&mut lane) {
        let part = replies(frame);
        assert!(part.len() <= 2, "each is some 46 kB");
        got.extend(part.iter().map(|reply| reply.id));
    }
    assert_eq!(got, (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_lane_ends_once_its_peer_has_and_all_is_answered() {
    let (mut lane, pipe) = lane();
    for id in 1..=3 {
        pipe.push(framed(vec![get(id)]));
    }
    let mut got = Vec::new();
    while let Poll::Ready(Some(frame)) = poll(&mut lane) {
        got.extend(
            replies(frame)
                .into_iter()
                .map(|reply| (reply.id, reply.position)),
        );
    }
    assert_eq!(got, [(1, Some(701)), (2, Some(701)), (3, Some(701))]);
    pipe.end();
    let Poll::Ready(Some(frame)) = poll(&mut lane) else {
        panic!("an end")
    };
    assert_eq!(frame.into_trailers().expect("trailers")["grpc-status"], "0");
    assert!(matches!(poll(&mut lane), Poll::Ready(None)));
}

/// Runs a lane to its end. Returns its replies and its status.
fn run(lane: &mut Body) -> (Vec<generated::ReplyFrame>, String) {
    let mut all = Vec::new();
    loop {
        match poll(lane) {
            Poll::Ready(Some(frame)) if frame.is_data() => all.extend(replies(frame)),
            Poll::Ready(Some(frame)) => {
                let trailers = frame.into_trailers().expect("trailers");
                let code = trailers["grpc-status"].to_str().expect("digits");
                return (all, code.to_owned());
            }
            other => panic!("{other:?} before the end"),
        }
    }
}

fn split(bytes: Vec<u8>, sizes: &[usize], pipe: &Pipe) {
    let mut rest = Bytes::from(bytes);
    for size in sizes.iter().chain(std::iter::repeat(&50)) {
        if rest.is_empty() {
            break;
        }
        pipe.push(rest.split_to((*size).min(rest.len())));
    }
    pipe.end();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_request_is_replied_to_once_however_the_bytes_are_split(
        batches in vec(0..12_u64, 0..8),
        sizes in vec(1..200_usize, 0..40),
    ) {
        let (mut lane, pipe) = lane();
        let mut bytes = Vec::new();
        let mut next = 1_u64;
        for size in batches {
            bytes.extend(framed((next..next + size).map(get).collect()));
            next += size;
        }
        split(bytes, &sizes, &pipe);
        let (all, code) = run(&mut lane);
        prop_assert_eq!(code, "0");
        let expected = GetResponse { value: 1 }.encode_to_vec();
        prop_assert!(all.iter().all(|reply| reply.body == expected));
        let ids: Vec<u64> = all.iter().map(|reply| reply.id).collect();
        prop_assert_eq!(ids, (1..next).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_bytes_end_the_lane_and_never_panic(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        sizes in vec(1..100_usize, 0..20),
    ) {
        let (mut lane, pipe) = lane();
        let mut bytes = framed(vec![get(1), list(2), get(3)]);
        bytes.extend(framed(vec![get(4)]));
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        split(bytes, &sizes, &pipe);
        // A request with a damaged position may have to wait for it, which needs a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.expect("a runtime").block_on(async {
            std::future::poll_fn(|cx| loop {
                match Pin::new(&mut lane).poll_frame(cx) {
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Ready(Some(_)) => {}
                    Poll::Pending => return Poll::Pending,
                }
            })
            .await;
            true
        });
        prop_assert!(ended);
    }
}
