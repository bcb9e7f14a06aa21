//! The hot methods: from request bytes to reply bytes at one position, below tonic's router and codecs.
//!
//! The order of checks is the contract's: readiness, the model's arguments, position metadata, position, answer.

mod budget;
mod frame;
mod meter;
mod wants;

pub use meter::{BOUNDS_US, Meter, MethodCounts};
pub use wants::Wants;

use crate::{
    error::{Error, Kind, panic_text},
    limits,
    model::{Model, Refusal, VerdictCode},
    readiness::Readiness,
    settings::{Group, Setting, Settings},
    view::{Resolved, View},
};
use budget::{Budget, Share};
use hyper::http::{HeaderMap, HeaderValue, Request, Response};
use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tonic::{Code, Status, body::Body, server::NamedService};
use tower_service::Service;

/// Limits of hot requests.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest request and longest reply.
    pub max_message_bytes: usize,
    /// Longest wait for a position, if the caller has no nearer deadline.
    pub max_wait: Duration,
    /// Hot requests at once.
    pub max_in_flight: usize,
    /// Bytes of long requests and replies held at once.
    pub max_buffered_bytes: usize,
}

/// The service. Cloning is cheap.
pub struct Serve<M: Model> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: Model> {
    config: Config,
    view: View<M>,
    readiness: Arc<Readiness>,
    in_flight: Arc<Semaphore>,
    budget: Arc<Budget>,
    meter: Meter,
}

/// What the model decided, at one position.
struct Answer {
    position: u64,
    /// A whole gRPC frame, or the model's verdict.
    reply: Result<Vec<u8>, Status>,
    /// Of the reply's bytes.
    share: Share,
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
                "Longest request and longest reply, 64 KiB to 64 MiB",
            ),
            Setting::new(
                "max-wait-ms",
                "MS",
                "5000",
                "Longest wait for x-hotpath-min-position without a nearer deadline",
            ),
            Setting::new(
                "max-in-flight",
                "N",
                "4096",
                "Hot requests at once; more are RESOURCE_EXHAUSTED",
            ),
            Setting::new(
                "max-buffered-bytes",
                "BYTES",
                "268435456",
                "Requests and replies over 8 KiB held at once; more are RESOURCE_EXHAUSTED",
            ),
        ],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let max_message_bytes = settings.size("max-message-bytes", limits::MESSAGE_BYTES);
        let max_buffered_bytes = settings.size("max-buffered-bytes", limits::BUFFERED_BYTES);
        if max_buffered_bytes < max_message_bytes {
            let rule = format!("must be at least max-message-bytes, {max_message_bytes}");
            settings.mistake("max-buffered-bytes", rule);
        }
        Self {
            max_message_bytes,
            max_buffered_bytes,
            max_wait: Duration::from_millis(settings.number("max-wait-ms", limits::WAIT_MS)),
            max_in_flight: settings.size("max-in-flight", limits::IN_FLIGHT),
        }
    }
}

impl<M: Model> Serve<M> {
    /// Serves what `view` shows.
    #[must_use]
    pub fn new(config: Config, view: View<M>, readiness: Arc<Readiness>) -> Self {
        let in_flight = Arc::new(Semaphore::new(config.max_in_flight));
        let shared = Arc::new(Shared {
            budget: Arc::new(Budget::new(config.max_buffered_bytes)),
            config,
            view,
            readiness,
            in_flight,
            meter: Meter::new(M::METHODS.len()),
        });
        Self { shared }
    }

    /// Waits until no hot request is in flight.
    pub async fn idle(&self) {
        let all = u32::try_from(self.shared.config.max_in_flight).unwrap_or(u32::MAX);
        let _ = self.shared.in_flight.acquire_many(all).await;
    }

    /// Hot requests at this moment.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.config.max_in_flight - self.shared.in_flight.available_permits()
    }

    /// Bytes of long requests and replies held at this moment.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.shared.budget.held()
    }

    /// What was counted.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
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
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Model> NamedService for Serve<M> {
    const NAME: &'static str = M::SERVICE;
}

impl<M: Model> Service<Request<Body>> for Serve<M> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            Ok(match Self::method(request.uri().path()) {
                Some(method) => shared.respond(method, request).await,
                None => {
                    let text = format!("{} is not served by the sidecar", request.uri().path());
                    Error::new(Kind::Unsupported, text).status().into_http()
                }
            })
        })
    }
}

impl<M: Model> Shared<M> {
    async fn respond(&self, method: usize, request: Request<Body>) -> Response<Body> {
        if !frame::is_grpc(request.headers()) {
            return frame::unsupported_media();
        }
        let call = self.meter.start(method);
        let (parts, body) = request.into_parts();
        let wants = Wants::read(&parts.headers);
        let permit = match Arc::clone(&self.in_flight).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let text = format!("more than {} requests in flight", self.config.max_in_flight);
                return call.end(refuse(&Error::new(Kind::Overloaded, text)));
            }
        };
        match self.answer(method, &wants, &parts.headers, body).await {
            Ok(answer) => call.end(answer.into_response(wants.asked, permit)),
            Err(error) => call.end(refuse(&error)),
        }
    }

    async fn answer(
        &self,
        method: usize,
        wants: &Wants,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Answer, Error> {
        let started = Instant::now();
        self.ready()?;
        let mut held = Share::default();
        let grow = |bytes| self.budget.grow(&mut held, bytes);
        let arrival = frame::read(headers, body, self.config.max_message_bytes, grow);
        let arrived = timeout(limits::REQUEST_ARRIVAL, arrival).await;
        let request = arrived.map_err(|_| {
            let text = format!(
                "the request did not arrive within {:?}",
                limits::REQUEST_ARRIVAL
            );
            Error::new(Kind::Malformed, text)
        })??;
        let query = match guarded(|| M::parse(method, &request))? {
            Ok(query) => query,
            Err(refusal) => return self.verdict(self.view.position(), refusal),
        };
        let bounds = match &wants.bounds {
            Ok(bounds) => bounds,
            Err(rule) => {
                let refusal = Refusal::Verdict {
                    code: VerdictCode::InvalidArgument,
                    message: rule.clone(),
                };
                return self.verdict(self.view.position(), refusal);
            }
        };
        let budget = wants.wait_budget(self.config.max_wait, started.elapsed());
        self.view.reached(bounds.target(), budget).await?;
        self.look_up(bounds.at, &query)
    }

    /// From here on nothing waits: one version, one answer.
    fn look_up(&self, at: Option<u64>, query: &M::Query<'_>) -> Result<Answer, Error> {
        guarded(|| {
            let resolved: Resolved<M> = match at {
                Some(position) => self.view.at(position)?,
                None => self.view.newest(),
            };
            let mut reply = frame::start();
            match M::answer(resolved.state(), query, &mut reply) {
                Ok(()) => {
                    let reply = frame::finish(reply, self.config.max_message_bytes)?;
                    let mut share = Share::default();
                    self.budget.grow(&mut share, reply.capacity())?;
                    Ok(Answer {
                        position: resolved.position(),
                        reply: Ok(reply),
                        share,
                    })
                }
                Err(refusal) => self.verdict(resolved.position(), refusal),
            }
        })?
    }

    fn verdict(&self, position: u64, refusal: Refusal) -> Result<Answer, Error> {
        match refusal {
            Refusal::Malformed(text) => Err(Error::new(Kind::Malformed, text)),
            Refusal::Verdict { code, message } => Ok(Answer {
                position,
                reply: Err(Status::new(grpc_code(code), message)),
                share: Share::default(),
            }),
        }
    }

    fn ready(&self) -> Result<(), Error> {
        let position = self.view.position();
        if self.readiness.answers_at(position) {
            return Ok(());
        }
        let text = format!(
            "not ready: at position {position} of {}",
            self.readiness.known_head()
        );
        Err(Error::new(Kind::NotReady, text))
    }
}

impl Answer {
    fn into_response(
        self,
        say_position: bool,
        permit: OwnedSemaphorePermit,
    ) -> (Code, Response<Body>) {
        let (code, mut response) = match self.reply {
            Ok(frame) => (Code::Ok, frame::response(frame, permit, self.share)),
            Err(status) => (status.code(), status.into_http()),
        };
        if say_position {
            let headers = response.headers_mut();
            headers.insert(wants::POSITION, HeaderValue::from(self.position));
        }
        (code, response)
    }
}

fn refuse(error: &Error) -> (Code, Response<Body>) {
    let status = error.status();
    (status.code(), status.into_http())
}

/// A panic of the model ends this request only.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = format!("the model panicked: {}", panic_text(&*panic));
        Error::new(Kind::Panicked, text)
    })
}

fn grpc_code(code: VerdictCode) -> Code {
    match code {
        VerdictCode::InvalidArgument => Code::InvalidArgument,
        VerdictCode::NotFound => Code::NotFound,
        VerdictCode::OutOfRange => Code::OutOfRange,
    }
}
