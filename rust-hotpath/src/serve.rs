//! Serves the hot methods: it turns request bytes into reply bytes at one position, below tonic's router and codecs.
//!
//! ```text
//!  unary call ── head: judge headers ── frame: read the message ─┐
//!                                                                ├─> core: one request against one version
//!  lane (`exchange`) ── parse a frame ───────────────────────────┘
//! ```
//!
//! `places` counts requests in flight, `budget` counts the bytes of long messages, and `wants` reads positions and
//! deadlines.

mod arrivals;
mod budget;
mod core;
mod frame;
mod gzip;
mod head;
mod heavy;
mod inline;
mod meter;
mod places;
mod trace;
mod wants;

pub(crate) use budget::Share;
pub(crate) use core::{Answer, Asked, Core, GiveUp, Turn, Verdict, WANTED};
pub(crate) use frame::{GRPC, PREFIX};
pub(crate) use head::{admit, is_base64, is_grpc};
pub(crate) use inline::{Brief, Once};
pub use meter::{Meter, MethodCounts, OTHER};
pub(crate) use places::Permit;
pub(crate) use trace::ended;
pub use wants::{Bounds, Wants};
pub(crate) use wants::{POSITION, duration, timeout_of};

use crate::{
    error::{Error, Kind},
    histogram::Durations,
    limits,
    model::Model,
    readiness::Readiness,
    settings::{Group, Setting, Settings},
    view::View,
};
use bytes::Bytes;
use frame::Encoding;
use hyper::{
    body::Body as HttpBody,
    http::{HeaderMap, HeaderValue, Request, Response},
};
use std::{
    convert::Infallible,
    error::Error as StdError,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{task::JoinError, time::timeout};
use tonic::{Code, Status, body::Body};

/// Header that lists the supported encodings when one is refused, as gRPC's specification asks.
const ENCODINGS: &str = "grpc-accept-encoding";

/// Limits of hot requests.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest request and longest reply, in bytes.
    pub max_message_bytes: usize,
    /// Longest wait for a position, if the caller has no earlier deadline.
    pub max_wait: Duration,
    /// Hot requests at once.
    pub max_in_flight: usize,
    /// Bytes of long requests and replies that may be held at once.
    pub max_buffered_bytes: usize,
}

/// A call whose message has arrived.
struct Unary {
    method: usize,
    wants: Wants,
    arrived: Instant,
    request: Bytes,
    permit: Permit,
    _share: Share,
}

/// An answer with its reply: a frame without its length, which is empty if there is a verdict.
type Answered = (Answer, Vec<u8>, Permit);

/// A response under construction.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The body of a request.
pub trait Incoming:
    HttpBody<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + Unpin + 'static
{
}

/// The service of the hot methods. Cloning is cheap.
pub struct Serve<M: Model> {
    core: Arc<Core<M>>,
}

impl<B> Incoming for B where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>
        + Send
        + Unpin
        + 'static
{
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Requests",
        settings: &[
            Setting::new(
                "max-message-bytes",
                "BYTES",
                "4194304",
                "Longest request and longest reply",
            )
            .within(&limits::MESSAGE_BYTES),
            Setting::new(
                "max-wait-ms",
                "MS",
                "5000",
                "Longest wait for x-hotpath-min-position without a nearer deadline",
            )
            .within(&limits::WAIT_MS),
            Setting::new(
                "max-in-flight",
                "N",
                "4096",
                "Hot requests at once, and as many that arrive; more are RESOURCE_EXHAUSTED",
            )
            .within(&limits::IN_FLIGHT),
            Setting::new(
                "max-buffered-bytes",
                "BYTES",
                "268435456",
                "Requests and replies over 8 KiB held; at least max-message-bytes",
            )
            .within(&limits::BUFFERED_BYTES),
        ],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let max_message_bytes = settings.size("max-message-bytes");
        let max_buffered_bytes = settings.size("max-buffered-bytes");
        if max_buffered_bytes < max_message_bytes {
            let rule = format!("must be at least max-message-bytes, {max_message_bytes}");
            settings.mistake("max-buffered-bytes", rule);
        }
        Self {
            max_message_bytes,
            max_buffered_bytes,
            max_wait: Duration::from_millis(settings.number("max-wait-ms")),
            max_in_flight: settings.size("max-in-flight"),
        }
    }
}

impl<M: Model> Serve<M> {
    /// Serves what `view` shows.
    #[must_use]
    pub fn new(config: Config, view: View<M>, readiness: Arc<Readiness>) -> Self {
        let core = Arc::new(Core::new(config, view, readiness));
        Self { core }
    }

    /// Accepts no more hot requests, and waits until none is in flight.
    pub async fn drain(&self) {
        self.core.in_flight.close().await;
    }

    /// Hot requests in flight at this moment.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.in_flight.taken()
    }

    /// Hot requests whose message has not arrived yet.
    #[must_use]
    pub fn arriving(&self) -> usize {
        self.core.arrivals.count()
    }

    /// Those that had to give way to newer ones.
    #[must_use]
    pub fn gave_way(&self) -> u64 {
        self.core.arrivals.gave_way()
    }

    /// Bytes of long requests and replies held at this moment.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.core.budget.held()
    }

    /// Unary calls that moved to another thread because they would have held up others.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.core.moved.load(Relaxed)
    }

    /// Expensive requests that wait for a thread at this moment.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.core.heavy.queued()
    }

    /// How long expensive requests waited for a thread.
    #[must_use]
    pub fn waited(&self) -> Durations {
        self.core.heavy.waited()
    }

    /// Expensive requests refused because their turn would have come too late.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.core.heavy.shed()
    }

    /// Counts per method.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.core.meter
    }

    pub(crate) fn core(&self) -> &Arc<Core<M>> {
        &self.core
    }

    /// Whether `path` names a method of the model's service, hot or not.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        Self::name(path).is_some()
    }

    fn method(path: &str) -> Option<usize> {
        let name = Self::name(path)?;
        M::METHODS.iter().position(|method| *method == name)
    }

    fn name(path: &str) -> Option<&str> {
        path.strip_prefix('/')?
            .strip_prefix(M::SERVICE)?
            .strip_prefix('/')
    }
}

impl<M: Model> Clone for Serve<M> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl<M: Model> Serve<M> {
    /// Answers one request to a method of the model's service.
    pub fn call<B: Incoming>(&self, request: Request<B>) -> Answering {
        let core = Arc::clone(&self.core);
        Box::pin(async move {
            Ok(match Self::method(request.uri().path()) {
                Some(method) => core.respond(method, request).await,
                None => {
                    let text = format!("{} is not served by the sidecar", request.uri().path());
                    Error::new(Kind::Unsupported, text).status().into_http()
                }
            })
        })
    }
}

impl<M: Model> Core<M> {
    async fn respond<B: Incoming>(
        self: Arc<Self>,
        method: usize,
        request: Request<B>,
    ) -> Response<Body> {
        let mut call = self.meter.start(method);
        let (parts, body) = request.into_parts();
        let wants = Wants::read(&parts.headers);
        let say_position = wants.asked;
        let ended = match self.answer(method, wants, &parts.headers, body).await {
            Ok(answered) => self.say(answered, say_position),
            Err(error) => refuse(&error),
        };
        trace::ended(M::METHODS[method], ended.0, call.took(), || {
            let traceparent = parts.headers.get(trace::TRACEPARENT);
            traceparent
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        });
        call.end(ended)
    }

    async fn answer<B: Incoming>(
        self: &Arc<Self>,
        method: usize,
        wants: Wants,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Answered, Error> {
        let arrived = Instant::now();
        let mut permit = self.admit()?;
        self.ready_at(self.view.position())?;
        let mut share = Share::default();
        let encoding = Encoding::of(headers)?;
        let request = self
            .receive(encoding, body, wants.timeout, &mut share, &mut permit)
            .await?;
        let call = Unary {
            method,
            wants,
            arrived,
            request,
            permit,
            _share: share,
        };
        let mut reply = frame::start();
        let (asked, most) = (call.asked(&WANTED), limits::INLINE_COST);
        let answered = match self.wait(&asked, most, &mut reply).await {
            Turn::Heavy => self.scan(call).await?,
            turn => (turn.settled()?, reply, call.permit),
        };
        self.fits(answered.1.len() - frame::PREFIX)?;
        match encoding {
            Encoding::Identity => Ok(answered),
            Encoding::Gzip => self.pack(answered).await,
        }
    }

    /// Answers on another thread. The call keeps its place and its share until the thread is done, even if the caller
    /// has left.
    async fn scan(self: &Arc<Self>, call: Unary) -> Result<Answered, Error> {
        self.moved.fetch_add(1, Relaxed);
        let (core, given_up) = (Arc::clone(self), Arc::new(AtomicBool::new(false)));
        let _give_up = GiveUp(Arc::clone(&given_up));
        let left = call.asked(&WANTED).left();
        self.in_time(left)?;
        let scanned = self.apart(move || {
            let mut reply = frame::start();
            let newest = core.view.newest();
            let (asked, now) = (call.asked(&given_up), Instant::now());
            let turn = core.turn(&newest, &asked, now, usize::MAX, &mut reply);
            drop(newest);
            Ok((turn.settled()?, reply, call.permit))
        });
        let scanned = match left {
            Some(left) => timeout(left, scanned).await,
            None => Ok(scanned.await),
        };
        let too_late = |_| Error::new(Kind::TooLate, "the caller's time is up");
        scanned
            .map_err(too_late)?
            .unwrap_or_else(|error| Err(thread_failed(error)))
    }

    async fn receive<B: Incoming>(
        &self,
        encoding: Encoding,
        body: B,
        left: Option<Duration>,
        share: &mut Share,
        permit: &mut Permit,
    ) -> Result<Bytes, Error> {
        let (message, is_packed) = {
            let grow = |bytes| self.budget.grow(share, bytes);
            let arrival = frame::read(encoding, body, self.config.max_message_bytes, grow);
            self.arrived(arrival, left, permit).await?
        };
        match is_packed {
            false => Ok(message),
            true => self.unpack(message, share).await,
        }
    }

    /// Waits for a message. Meanwhile its request rests, and gives way if too many wait.
    async fn arrived<T>(
        &self,
        arrival: impl Future<Output = Result<T, Error>>,
        left: Option<Duration>,
        permit: &mut Permit,
    ) -> Result<T, Error> {
        let most = left.map_or(limits::REQUEST_ARRIVAL, |time| {
            time.min(limits::REQUEST_ARRIVAL)
        });
        let mut arrival = pin!(timeout(most, arrival));
        let first_look = poll_fn(|cx| Poll::Ready(arrival.as_mut().poll(cx)));
        let arrived = match first_look.await {
            Poll::Ready(arrived) => arrived,
            Poll::Pending => {
                permit.rest();
                let arriving = self.arrivals.enter();
                let arrived = tokio::select! {
                    biased;
                    arrived = arrival => arrived,
                    () = arriving.crowded_out() => {
                        let text = "too many requests have not arrived whole, and this one has waited longest";
                        return Err(Error::new(Kind::Overloaded, text));
                    }
                };
                permit.resume()?;
                arrived
            }
        };
        arrived.map_err(|_| {
            let text = format!("the request did not arrive within {most:?}");
            Error::new(Kind::TooLate, text)
        })?
    }

    fn say(&self, (answer, reply, permit): Answered, say_position: bool) -> (Code, Response<Body>) {
        let (code, mut response) = match answer.verdict {
            Some(verdict) => {
                let Verdict {
                    code,
                    message,
                    details,
                } = *verdict;
                let status = Status::with_details(code, message, details.into());
                (code, status.into_http())
            }
            None => match self.framed(reply, permit) {
                Ok(response) => (Code::Ok, response),
                Err(error) => return refuse(&error),
            },
        };
        if say_position {
            let headers = response.headers_mut();
            headers.insert(wants::POSITION, HeaderValue::from(answer.position));
        }
        (code, response)
    }

    fn framed(&self, reply: Vec<u8>, permit: Permit) -> Result<Response<Body>, Error> {
        let reply = frame::finish(reply)?;
        let share = self.hold(reply.capacity())?;
        Ok(frame::response(reply, permit, share))
    }
}

impl Unary {
    fn asked<'a>(&'a self, given_up: &'a AtomicBool) -> Asked<'a> {
        Asked {
            method: self.method,
            bounds: &self.wants.bounds,
            arrived: self.arrived,
            timeout: self.wants.timeout,
            given_up,
            request: &self.request,
        }
    }
}

fn thread_failed(error: JoinError) -> Error {
    Error::new(Kind::Panicked, "the request's thread failed").because(error)
}

fn refuse(error: &Error) -> (Code, Response<Body>) {
    let status = error.status();
    let mut response = status.into_http();
    // The only thing that is unsupported here is an encoding.
    if error.kind() == Kind::Unsupported {
        let headers = response.headers_mut();
        headers.insert(ENCODINGS, HeaderValue::from_static("identity, gzip"));
    }
    (error.code(), response)
}
