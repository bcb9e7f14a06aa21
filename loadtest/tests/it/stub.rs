//! A gRPC server of known behaviour, so that reports about it can be checked.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, runtime::Runtime};

/// What the server does with a request. By default it answers correctly and at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behaviour {
    /// Every answer takes this long.
    pub(crate) delay: Duration,
    /// Every n-th answer takes this long instead.
    pub(crate) slow: Option<(u64, Duration)>,
    /// Nothing is answered between these two times after the first request.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// The server answers this many requests a second, one after the other.
    pub(crate) cap: Option<f64>,
    /// Every n-th request is refused with this status.
    pub(crate) errs: Option<(u64, u32)>,
    /// Every n-th answer has other bytes.
    pub(crate) lies: Option<u64>,
    /// The position that is returned if the request asks for it.
    pub(crate) position: u64,
}

/// A running stub. It ends when this is dropped.
pub(crate) struct Stub {
    /// The address that it listens on, on loopback.
    pub(crate) address: SocketAddr,
    asked: Arc<Served>,
    _runtime: Runtime,
}

struct Served {
    behaviour: Behaviour,
    requests: AtomicU64,
    first: Mutex<Option<Instant>>,
    /// In a server that answers one request after the other: when the previous answer is ready.
    free_at: Mutex<Instant>,
}

impl Stub {
    /// Starts a stub on a free port.
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("its address");
        let served = Arc::new(Served {
            behaviour,
            requests: AtomicU64::new(0),
            first: Mutex::new(None),
            free_at: Mutex::new(Instant::now()),
        });
        runtime.spawn(accept(listener, served.clone()));
        Self {
            address,
            asked: served,
            _runtime: runtime,
        }
    }

    /// Returns the number of requests that came so far.
    pub(crate) fn requests(&self) -> u64 {
        self.asked.requests.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, served: Arc<Served>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("nodelay");
        let served = served.clone();
        tokio::spawn(async move {
            let service =
                hyper::service::service_fn(move |request| answer(served.clone(), request));
            // A generator that is stopped or interrupted closes connections without notice.
            let _gone = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Served {
    /// Returns when the `n`-th request (from 1), which came `now`, is to be answered.
    fn due(&self, n: u64, now: Instant) -> Instant {
        let behaviour = &self.behaviour;
        let first = *self.first.lock().unwrap().get_or_insert(now);
        let mut due = match behaviour.slow {
            Some((every, delay)) if n.is_multiple_of(every) => now + delay,
            _ => now + behaviour.delay,
        };
        if let Some(cap) = behaviour.cap {
            let mut free_at = self.free_at.lock().unwrap();
            *free_at = (*free_at).max(now) + Duration::from_secs_f64(1.0 / cap);
            due = due.max(*free_at + behaviour.delay);
        }
        match behaviour.stall {
            Some((from, to)) if due >= first + from && due < first + to => first + to,
            _ => due,
        }
    }
}

type Reply =
    Response<StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>>;

async fn answer(served: Arc<Served>, request: Request<Incoming>) -> Result<Reply, hyper::Error> {
    let asks_position = request.headers().contains_key("x-hotpath-position");
    let body = request.into_body().collect().await?.to_bytes();
    let n = served.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let due = served.due(n, Instant::now());
    if due > Instant::now() {
        tokio::time::sleep_until(due.into()).await;
    }
    let behaviour = &served.behaviour;
    let status = match behaviour.errs {
        Some((every, status)) if n.is_multiple_of(every) => status,
        _ => 0,
    };
    let mut frames = Vec::new();
    if status == 0 {
        let wrong = behaviour.lies.is_some_and(|every| n.is_multiple_of(every));
        frames.push(Ok(Frame::data(reply(&body, wrong))));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        http::HeaderValue::from_static("application/grpc"),
    );
    if asks_position {
        headers.insert("x-hotpath-position", behaviour.position.into());
    }
    Ok(response)
}

/// Returns the request's own message as a gRPC message. A wrong reply differs in its last byte.
fn reply(request: &[u8], wrong: bool) -> Bytes {
    let mut bytes = request.to_vec();
    if wrong && let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}
