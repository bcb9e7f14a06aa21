//! A tonic server that passes bytes. Each method's name says what it does.

use loadtest::{
    generator::Address,
    traffic::{Method, Request, Window, Workload},
};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tonic::{
    Code, Response, Status,
    body::Body,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::Server,
};

/// A name with these addresses.
pub(crate) fn named(all: Vec<std::net::SocketAddr>) -> Address {
    let name = "somewhere:7".to_owned();
    Address::Named { name, all }
}

/// Returns the request.
pub(crate) const ECHO: u16 = 0;
/// Fails with ABORTED.
pub(crate) const FAIL: u16 = 1;
/// Never answers.
pub(crate) const NEVER: u16 = 2;
/// Answers with as many bytes as the first four bytes of the request say.
pub(crate) const BIG: u16 = 3;
/// Fails twice, and then every third time. Records the messages.
pub(crate) const WRITE: u16 = 4;
/// Always fails.
pub(crate) const REFUSE: u16 = 5;

/// Answers only once [`Seen::open`] is set.
pub(crate) const GATED: u16 = 6;

pub(crate) const NAMES: [&str; 7] = ["Echo", "Fail", "Never", "Big", "Write", "Refuse", "Gated"];

/// Windows with this seed are never answered.
pub(crate) const STUCK_SEED: u64 = 13;

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: AtomicU64,
    /// The requests in progress, and the most there ever were.
    pub(crate) now: AtomicU64,
    pub(crate) most: AtomicU64,
    /// Messages of successful writes.
    pub(crate) writes: Mutex<Vec<Vec<u8>>>,
    pub(crate) write_attempts: AtomicU64,
    pub(crate) open: AtomicBool,
}

#[derive(Clone)]
pub(crate) struct Raw(Arc<Seen>);

/// Serves until the test's process ends.
pub(crate) fn serve() -> (Address, Arc<Seen>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let raw = Raw(Arc::clone(&seen));
    in_background(move || async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = Server::builder().add_service(raw);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    (address, seen)
}

fn in_background<F: Future>(make: impl FnOnce() -> F + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(make());
    });
}

impl NamedService for Raw {
    const NAME: &'static str = "t.S";
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<http::Request<Body>> for Raw {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(request.headers()["te"], "trailers");
        assert!(request.headers().contains_key("grpc-timeout"));
        let wants_position = request.headers().contains_key("x-hotpath-position");
        let handler = Handler {
            seen: Arc::clone(&self.0),
            name,
            wants_position,
        };
        Box::pin(async move {
            let mut grpc = Grpc::new(Bytes)
                .max_decoding_message_size(usize::MAX)
                .max_encoding_message_size(usize::MAX);
            Ok(grpc.unary(handler, request).await)
        })
    }
}

struct Handler {
    seen: Arc<Seen>,
    name: String,
    wants_position: bool,
}

impl UnaryService<Vec<u8>> for Handler {
    type Response = Vec<u8>;
    type Future = Answer<Result<Response<Vec<u8>>, Status>>;

    fn call(&mut self, request: tonic::Request<Vec<u8>>) -> Self::Future {
        let seen = Arc::clone(&self.seen);
        let (name, wants_position) = (self.name.clone(), self.wants_position);
        Box::pin(async move {
            let number = seen.requests.fetch_add(1, Ordering::SeqCst);
            let now = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most.fetch_max(now, Ordering::SeqCst);
            let reply = reply(&seen, &name, request.into_inner()).await;
            seen.now.fetch_sub(1, Ordering::SeqCst);
            let mut response = Response::new(reply?);
            if wants_position {
                let position = (1000 + number).to_string().parse().unwrap();
                response
                    .metadata_mut()
                    .insert("x-hotpath-position", position);
            }
            Ok(response)
        })
    }
}

async fn reply(seen: &Seen, name: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    tokio::task::yield_now().await;
    match name {
        "Echo" => Ok(message),
        "Fail" => Err(Status::aborted("no: 100 % \u{e9}")),
        "Gated" if seen.open.load(Ordering::SeqCst) => Ok(message),
        "Never" | "Gated" => std::future::pending().await,
        "Big" => {
            let length = u32::from_le_bytes(message[..4].try_into().unwrap());
            Ok((0..length).map(|at| at.to_le_bytes()[0]).collect())
        }
        "Write" => {
            let attempt = seen.write_attempts.fetch_add(1, Ordering::SeqCst);
            if attempt < 2 || attempt.is_multiple_of(3) {
                return Err(Status::new(Code::Unavailable, "busy"));
            }
            seen.writes.lock().unwrap().push(message);
            Ok(Vec::new())
        }
        "Refuse" => Err(Status::failed_precondition("never")),
        other => Err(Status::unimplemented(other.to_owned())),
    }
}

#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, length).to_vec()))
    }
}

/// A workload that sends reads of the given methods in turn. `message` makes the `n`-th message.
pub(crate) struct Traffic {
    methods: Vec<Method>,
    reads: Vec<(u16, Vec<u8>)>,
    write: Option<u16>,
    times: Option<Vec<Duration>>,
}

impl Traffic {
    pub(crate) fn new(reads: Vec<(u16, Vec<u8>)>) -> Self {
        let method = |name: &&str| Method {
            path: format!("/t.S/{name}"),
            hot: *name == "Echo",
        };
        Self {
            methods: NAMES.iter().map(method).collect(),
            reads,
            write: None,
            times: None,
        }
    }

    pub(crate) fn writing(mut self, method: u16) -> Self {
        self.write = Some(method);
        self
    }

    /// Makes reads due at these times instead of the window's.
    pub(crate) fn at(mut self, times: Vec<Duration>) -> Self {
        self.times = Some(times);
        self
    }
}

impl Workload for Traffic {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    fn read(&self, seed: u64, n: u64) -> Request<'_> {
        if seed == STUCK_SEED {
            return Request {
                method: NEVER,
                message: &[],
            };
        }
        let at = usize::try_from(n).unwrap() % self.reads.len();
        let (method, message) = &self.reads[at];
        Request {
            method: *method,
            message,
        }
    }

    fn write(&self, k: u64) -> Option<(u16, Vec<u8>)> {
        Some((self.write?, k.to_le_bytes().to_vec()))
    }

    fn schedule(&self, window: &Window) -> Box<dyn Iterator<Item = Duration> + Send> {
        match &self.times {
            Some(times) => Box::new(times.clone().into_iter()),
            None => Box::new(loadtest::arrivals::Arrivals::new(window)),
        }
    }
}
