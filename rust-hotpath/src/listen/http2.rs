//! Serves HTTP/2 on one connection.

use super::Connection;
use crate::limits;
use hyper::{
    body::{Body, Incoming},
    http::{Request, Response},
    server::conn::http2,
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{error::Error, future::poll_fn, pin::pin, sync::Arc, task::Poll};

/// Serves a connection until it ends. Once `draining` completes, the connection accepts no more requests and ends with
/// the last one.
pub async fn serve<S, B>(connection: Connection, service: S, draining: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let outbox = connection.write.clone();
    let resets = Arc::clone(&connection.resets);
    let settings = settings(connection.header_bytes);
    let mut conversation = pin!(settings.serve_connection(TokioIo::new(connection), service));
    let (mut draining, mut is_draining) = (pin!(draining), false);
    let ended = poll_fn(|cx| {
        resets.begin_turn();
        if !is_draining && draining.as_mut().poll(cx).is_ready() {
            is_draining = true;
            conversation.as_mut().graceful_shutdown();
        }
        let ended = conversation.as_mut().poll(cx).map_err(Into::into);
        if let Some(most) = resets.flood() {
            tracing::warn!(
                "a connection was ended: more than {most} calls cancelled within a second"
            );
            outbox.say_go_away();
            let _ = outbox.poll_send(cx);
            return Poll::Ready(Err("a flood of resets".into()));
        }
        if resets.fill_the_turn() {
            cx.waker().wake_by_ref();
        }
        match outbox.poll_send(cx) {
            Poll::Ready(Err(error)) if ended.is_pending() => Poll::Ready(Err(error.into())),
            _ => ended,
        }
    })
    .await;
    let ended: Result<(), Box<dyn Error + Send + Sync>> = ended;
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// The same below the front, which asks silent peers itself.
pub(crate) fn settings_below(max_header_bytes: u32) -> http2::Builder<TokioExecutor> {
    let mut settings = settings(max_header_bytes);
    settings.keep_alive_interval(None);
    settings
}

fn settings(max_header_bytes: u32) -> http2::Builder<TokioExecutor> {
    let mut settings = http2::Builder::new(TokioExecutor::new());
    settings
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::STREAMS)
        // h2's own limits are no rates, so a caller that cancels now and then, or whose calls are malformed, would
        // reach them in the end.
        .max_pending_accept_reset_streams(limits::RESETS_PENDING)
        .max_local_error_reset_streams(None)
        .max_header_list_size(max_header_bytes.saturating_mul(limits::HEADER_ROOM))
        .keep_alive_interval(limits::KEEPALIVE)
        // The date costs a twentieth of a small call's CPU. grpc-go's server does not send it, so the metadata is the
        // same.
        .auto_date_header(false);
    settings
}
