//! The front of each connection: hot unary calls and lanes are parsed, answered and written below hyper, on the thread that
//! serves the connection. All else passes to hyper on the same connection, and back.
//!
//! ```text
//!  connection ── the socket and the time ─┬─> splice ─┬─ frame, hpack (meaning, table, huffman): what the client says
//!                                         │           ├─ queues: hot calls whose messages are on their way
//!                                         │           ├─ inbound: what has come on a lane and was not taken
//!                                         │           ├─ windows: who may send what, and what is held
//!                                         │           └─ reply: header blocks towards the client
//!                                         ├─> serve::core: the answers
//!                                         ├─> exchange: what lanes say
//!                                         └─> inner: hyper over a pipe in memory
//! ```
//!
//! `splice` and what is below it know no time and no socket. Start there: it has a picture of a call's ways.

mod clock;
mod connection;
mod frame;
mod hpack;
mod huffman;
mod inbound;
mod inner;
mod meaning;
mod queues;
mod reply;
mod splice;
mod table;
mod windows;

use crate::{
    exchange::{self, Exchange},
    listen::Bare,
    model::Model,
    serve::{Core, Serve},
};
use connection::{End, Session};
use hyper::{
    body::{Body, Incoming},
    http::{Request, Response},
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;
use inner::Inner;
pub(crate) use splice::Rules;
use std::{
    convert::Infallible,
    error::Error,
    future::{pending, poll_fn, ready},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// What answers below hyper.
pub(crate) struct Below<M: Model> {
    /// Hot calls.
    pub(crate) core: Arc<Core<M>>,
    /// Lanes, where there are any.
    pub(crate) exchange: Option<Exchange<M>>,
}

/// Serves a connection until it ends: hot calls and lanes by `below`, all others by `service`. Once `draining` completes, the
/// connection accepts no more requests and ends with the last one.
pub(crate) async fn serve<M, S, B>(
    bare: Bare,
    rules: Rules,
    below: Below<M>,
    service: S,
    draining: impl Future<Output = ()>,
) where
    M: Model,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let settings = crate::listen::settings_below(rules.header_bytes);
    let begin =
        move || Inner::new(|pipe| Box::pin(settings.serve_connection(TokioIo::new(pipe), service)));
    let mut session = Session::new(bare, below, rules, begin);
    let (mut draining, mut is_draining) = (pin!(draining), false);
    let end = poll_fn(|cx| {
        if !is_draining && draining.as_mut().poll(cx).is_ready() {
            is_draining = true;
            if !session.drain(cx) {
                return Poll::Ready(End::Over);
            }
        }
        session.turn(cx)
    })
    .await;
    match end {
        End::Over => {}
        End::Io(error) => tracing::debug!("a connection ended: {error}"),
        End::Rule(broken) => tracing::debug!("a connection ended: {}", broken.rule),
        End::Silent => tracing::debug!("a connection ended: the client was silent for too long"),
        End::Flood(most) => tracing::warn!(
            "a connection was ended: more than {most} calls cancelled within a second"
        ),
    }
}

/// Serves a connection that nobody accepted: hot calls and lanes, and by hyper the lanes that are not plain. It ends with its
/// client.
pub async fn serve_over<M: Model>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    calls: &Serve<M>,
    exchange: Exchange<M>,
) {
    let below = Below {
        core: Arc::clone(calls.core()),
        exchange: Some(exchange.clone()),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        ready(Ok::<_, Infallible>(
            exchange.call(request.map(tonic::body::Body::new)),
        ))
    });
    let rules = Rules::new::<M>(65_536, true);
    if let Some(bare) = Bare::over(stream) {
        serve(bare, rules, below, service, pending()).await;
    }
}

impl Rules {
    /// The rules for a model's hot methods, and for lanes if there are any.
    pub(crate) fn new<M: Model>(header_bytes: u32, lanes: bool) -> Self {
        let methods = M::METHODS
            .iter()
            .map(|method| format!("/{}/{method}", M::SERVICE));
        let lane = lanes.then_some(M::METHODS.len());
        let paths = methods.chain(lane.map(|_| exchange::PATH.to_owned()));
        Self {
            paths: paths.collect(),
            lane,
            header_bytes,
        }
    }
}
