//! Fuzzes a whole lane with any bytes. It must end for the right reason, and reply to all requests that it took.
//!
//! The target judges the bytes by the rules (`judge`), runs a lane on them (`run`), and compares the two.

pub(crate) mod model;

use crate::stream::{End, chunks, told};
use bytes::Bytes;
use hotpath::{
    error::{Error, Kind},
    exchange::{Cursor, Exchange, Item, PATH, RequestFrame},
    limits,
    model::Model as _,
    proto::hotpath::{ExchangeResponse, ReplyFrame},
    readiness::{self, Readiness},
    serve::{self, Serve},
    shutdown::Shutdown,
    view,
};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as HttpBody, Frame},
    http::Request,
};
use model::{Echo, HEAD};
use prost::Message as _;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tonic::{Code, body::Body};

const PREFIX: usize = 5;
/// Nothing takes this long unless it is broken.
const SOON: Duration = Duration::from_secs(60);

/// A request that keeps to the rules.
struct Taken {
    id: u64,
    /// The reply, if it depends on nothing but the request.
    prompt: Option<ReplyFrame>,
    /// Whether other replies may overtake this one.
    is_late: bool,
}

/// What the rules say about a stream.
struct Judged {
    taken: Vec<Taken>,
    fault: Option<Kind>,
}

/// What a lane replied, and how it ended.
pub(crate) struct Said {
    replies: HashMap<u64, VecDeque<ReplyFrame>>,
    /// The reply that has not left whole.
    under_way: Option<u64>,
    pub(crate) code: Code,
}

/// Tests one input. Its first byte says how to split the others.
pub(crate) fn keeps_its_word(data: &[u8]) {
    let Some((split, stream)) = data.split_first() else {
        return;
    };
    let stream = Bytes::copy_from_slice(stream);
    let said = run(chunks(*split, &stream).collect());
    check(&stream, said);
}

/// Tests what a lane said to this stream.
pub(crate) fn check(stream: &Bytes, said: Said) {
    // The rules leave open when a late reply leaves, and therefore when its id may come again.
    let [earliest, latest] = [true, false].map(|at_once| judge(stream, at_once));
    let code = |fault: Option<Kind>| fault.map_or(Code::Ok, |kind| Error::new(kind, "").code());
    let codes = [code(earliest.fault), code(latest.fault)];
    assert!(codes.contains(&said.code), "{:?} of {codes:?}", said.code);
    if earliest.fault == latest.fault && earliest.taken.len() == latest.taken.len() {
        compare(&earliest.taken, said);
    }
}

/// Judges a stream by the rules. If `at_once` is true, late replies leave before anything more is read. Otherwise they
/// never leave.
fn judge(stream: &Bytes, at_once: bool) -> Judged {
    let told = told(stream);
    let (mut taken, mut late) = (Vec::new(), HashSet::new());
    for message in &told.messages {
        if let Err(kind) = admit(message, at_once, &mut late, &mut taken) {
            let fault = Some(kind);
            return Judged { taken, fault };
        }
    }
    let fault = match told.end {
        End::Whole => None,
        End::Within => Some(Kind::Argument),
        End::Fault(kind) => Some(kind),
    };
    Judged { taken, fault }
}

fn admit(
    message: &[u8],
    at_once: bool,
    late: &mut HashSet<u64>,
    taken: &mut Vec<Taken>,
) -> Result<(), Kind> {
    let (mut cursor, mut ids, before) = (Cursor::default(), HashSet::new(), late.len());
    while let Some(item) = cursor.next(message).map_err(|error| error.kind())? {
        let frame = match item {
            Item::Cancelled(id) => {
                late.remove(&id);
                continue;
            }
            Item::Request(frame) => frame,
        };
        frame
            .check(Echo::METHODS.len())
            .map_err(|error| error.kind())?;
        if !ids.insert(frame.id) || late.contains(&frame.id) {
            return Err(Kind::Argument);
        }
        if ids.len() + before > limits::EXCHANGE_IN_FLIGHT {
            return Err(Kind::Overloaded);
        }
        let prompt = prompt(&frame);
        // A long reply leaves in pieces.
        let is_long = |reply: &ReplyFrame| reply.body.len() > limits::EXCHANGE_BODY_BYTES;
        let is_late = prompt.as_ref().is_none_or(is_long);
        if is_late && !at_once {
            late.insert(frame.id);
        }
        let id = frame.id;
        taken.push(Taken {
            id,
            prompt,
            is_late,
        });
    }
    Ok(())
}

/// The reply to a request that need not wait. `None` if the request may have to wait.
fn prompt(frame: &RequestFrame<'_>) -> Option<ReplyFrame> {
    let bounded = frame.at_position.is_some() || frame.min_position > HEAD;
    if bounded || frame.method == model::EXPENSIVE {
        return None;
    }
    let reply = ReplyFrame {
        id: frame.id,
        ..ReplyFrame::default()
    };
    let mut body = Vec::new();
    let verdict = model::reply(frame.method, frame.body, &mut body);
    let length = verdict.as_ref().map_or(0, String::len);
    if length > limits::STATUS_BYTES {
        let too_long = true;
        return Some(ReplyFrame { too_long, ..reply });
    }
    Some(ReplyFrame {
        position: Some(HEAD),
        status: verdict.as_ref().map_or(Code::Ok, |_| Code::NotFound) as u32,
        status_message: verdict.unwrap_or_default(),
        body,
        ..reply
    })
}

fn compare(taken: &[Taken], mut said: Said) {
    let of_late: HashSet<u64> = taken
        .iter()
        .filter(|request| request.is_late)
        .map(|request| request.id)
        .collect();
    for request in taken {
        let reply = said
            .replies
            .get_mut(&request.id)
            .and_then(VecDeque::pop_front);
        let Some(reply) = reply else {
            // When a lane ends by a fault, its late replies are lost.
            assert!(said.code != Code::Ok && of_late.contains(&request.id));
            continue;
        };
        let timely = reply.status != Code::DeadlineExceeded as u32;
        if let Some(expected) = &request.prompt
            && timely
            && !of_late.contains(&request.id)
        {
            assert_eq!(reply, *expected);
        }
    }
    assert!(said.replies.values().all(VecDeque::is_empty), "unasked");
}

fn run(chunks: VecDeque<Bytes>) -> Said {
    soon(collect(open(Chunks(chunks))))
}

/// Waits for what must not take long.
pub(crate) fn soon<T>(outcome: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(4)
            .build()
            .unwrap_or_else(|error| panic!("no runtime: {error}"));
    }
    let outcome = async { timeout(SOON, outcome).await };
    let outcome = RUNTIME.with(|runtime| runtime.block_on(outcome));
    outcome.unwrap_or_else(|_| panic!("it never ends"))
}

async fn collect(mut lane: Body) -> Said {
    let (mut said, mut end) = (Said::new(), None);
    while let Some(Ok(frame)) = lane.frame().await {
        assert!(end.is_none(), "nothing follows the trailers");
        match frame.into_data() {
            Ok(message) => said.add(message.slice(PREFIX..)),
            Err(frame) => end = frame.into_trailers().ok(),
        }
    }
    let code = end.and_then(|end| end.get("grpc-status").map(|code| code.as_bytes().into()));
    said.code = Code::from_bytes(&code.unwrap_or_else(Vec::new));
    said
}

impl Said {
    pub(crate) fn new() -> Self {
        Self {
            replies: HashMap::new(),
            under_way: None,
            code: Code::Unknown,
        }
    }

    /// Adds the replies of a message.
    pub(crate) fn add(&mut self, message: Bytes) {
        let response = ExchangeResponse::decode(message);
        for reply in response.unwrap_or_default().replies {
            if reply.more {
                assert!(*self.under_way.get_or_insert(reply.id) == reply.id);
                continue;
            }
            if self.under_way == Some(reply.id) {
                self.under_way = None;
            }
            self.replies.entry(reply.id).or_default().push_back(reply);
        }
    }
}

fn open(requests: Chunks) -> Body {
    let exchange = Exchange::new(&serving(), Shutdown::default());
    let mut request = Request::new(Body::new(requests));
    *request.uri_mut() = hyper::http::Uri::from_static(PATH);
    let grpc = hyper::http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", grpc);
    exchange.call(request).into_body()
}

/// The model, at its position.
pub(crate) fn serving() -> Serve<Echo> {
    let (mut publisher, view) = view::new::<Echo>(view::Config {
        retain_versions: 1,
        retain: Duration::ZERO,
        retain_events: 1,
    });
    publisher.restart(HEAD, HEAD, Instant::now());
    let stale_after = Duration::from_secs(5);
    let readiness = Arc::new(Readiness::new(readiness::Config { stale_after }));
    readiness.opened(HEAD);
    let config = serve::Config {
        max_message_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        max_in_flight: 1 << 16,
        max_buffered_bytes: 1 << 30,
    };
    Serve::new(config, view, readiness)
}

/// A request body that has arrived completely.
struct Chunks(VecDeque<Bytes>);

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}
