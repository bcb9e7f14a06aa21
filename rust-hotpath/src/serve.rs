//! The hot methods: from request bytes to reply bytes at one position, below tonic's router and codecs.

mod budget;
mod core;
mod frame;
mod meter;
mod trace;
mod wants;

pub(crate) use budget::Share;
pub(crate) use core::{Answer, Asked, Core, Turn, WANTED};
pub(crate) use frame::{GRPC, PREFIX, is_grpc, unsupported_media};
pub use meter::{BOUNDS_US, Meter, MethodCounts};
pub(crate) use trace::ended;
pub use wants::{Bounds, Wants};

use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    readiness::Readiness,
    settings::{Group, Setting, Settings},
    view::View,
};
use bytes::Bytes;
use hyper::http::{HeaderMap, HeaderValue, Request, Response};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
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
    core: Arc<Core<M>>,
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
        let core = Arc::new(Core::new(config, view, readiness));
        Self { core }
    }

    /// Waits until no hot request is in flight.
    pub async fn idle(&self) {
        self.core.idle().await;
    }

    /// Hot requests at this moment.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Bytes of long requests and replies held at this moment.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.core.budget.held()
    }

    /// What was counted.
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
    async fn respond(&self, method: usize, request: Request<Body>) -> Response<Body> {
        if !is_grpc(request.headers()) {
            return unsupported_media();
        }
        let mut call = self.meter.start(method);
        let (parts, body) = request.into_parts();
        let wants = Wants::read(&parts.headers);
        let permit = match self.admit() {
            Ok(permit) => permit,
            Err(error) => return call.end(refuse(&error)),
        };
        let mut reply = frame::start();
        let ended = match self
            .answer(method, &wants, &parts.headers, body, &mut reply)
            .await
        {
            Ok(answer) => self.say(answer, reply, wants.asked, permit),
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

    async fn answer(
        &self,
        method: usize,
        wants: &Wants,
        headers: &HeaderMap,
        body: Body,
        reply: &mut Vec<u8>,
    ) -> Result<Answer, Error> {
        let arrived = Instant::now();
        self.ready_at(self.view.position())?;
        let mut share = Share::default();
        let request = self.receive(headers, body, &mut share).await?;
        let asked = Asked {
            method,
            bounds: &wants.bounds,
            arrived,
            timeout: wants.timeout,
            given_up: &WANTED,
            request: &request,
        };
        match self.wait(&asked, usize::MAX, reply).await {
            Turn::Done(outcome) => outcome,
            // Neither is left after a wait without a limit on the cost.
            Turn::Early(_) | Turn::Heavy => {
                Err(Error::new(Kind::NotReached, "the position was taken back"))
            }
        }
    }

    async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
        share: &mut Share,
    ) -> Result<Bytes, Error> {
        let grow = |bytes| self.budget.grow(share, bytes);
        let arrival = frame::read(headers, body, self.config.max_message_bytes, grow);
        let arrived = timeout(limits::REQUEST_ARRIVAL, arrival).await;
        arrived.map_err(|_| {
            let text = format!(
                "the request did not arrive within {:?}",
                limits::REQUEST_ARRIVAL
            );
            Error::new(Kind::Malformed, text)
        })?
    }

    fn say(
        &self,
        answer: Answer,
        reply: Vec<u8>,
        say_position: bool,
        permit: OwnedSemaphorePermit,
    ) -> (Code, Response<Body>) {
        let (code, mut response) = match answer.verdict {
            Some((code, message)) => (code, Status::new(code, message).into_http()),
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

    fn framed(
        &self,
        reply: Vec<u8>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, Error> {
        let reply = frame::finish(reply, self.config.max_message_bytes)?;
        let share = self.hold(reply.capacity())?;
        Ok(frame::response(reply, permit, share))
    }
}

fn refuse(error: &Error) -> (Code, Response<Body>) {
    let status = error.status();
    (status.code(), status.into_http())
}
