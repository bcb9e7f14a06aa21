//! Bodies that pass the proxy and are inspected on the way.

use super::{
    journal::Call,
    message::{Counter, Single},
};
use bytes::Bytes;
use hyper::{
    HeaderMap,
    body::{Body, Frame, Incoming},
    header::HeaderValue,
};
use std::{
    error::Error as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

type Passed = Option<Result<Frame<Bytes>, hyper::Error>>;

/// gRPC's status UNAVAILABLE, which means that the server can't be reached.
pub(super) const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// A caller's stream. It does not report its size, because hyper would add a header that the caller did not send.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: Incoming,
    single: Single,
    /// The call; `None` once the stream is complete.
    call: Option<Arc<Call>>,
}

/// The target's stream; it is empty if the proxy answers itself.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inner: Option<Incoming>,
    counter: Counter,
    call: Option<Arc<Call>>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, call: Arc<Call>) -> Self {
        let mut body = Self {
            single: Single::new(call.max_message_bytes()),
            call: Some(call),
            inner,
        };
        body.look(None);
        body
    }

    /// Inspects a frame. Only with its last frame, or even after it, is a stream known to be complete.
    fn look(&mut self, passed: Option<&Passed>) {
        let over = match passed {
            Some(Some(Ok(frame))) => {
                if let Some(piece) = frame.data_ref() {
                    self.single.feed(piece);
                }
                frame.is_trailers() || self.inner.is_end_stream()
            }
            Some(Some(Err(_))) => false,
            Some(None) => true,
            None => self.inner.is_end_stream(),
        };
        if over && let Some(call) = self.call.take() {
            call.requested(self.single.take());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Passed> {
        let passed = ready!(Pin::new(&mut self.inner).poll_frame(context));
        self.look(Some(&passed));
        Poll::Ready(passed)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

impl ResponseBody {
    pub(super) fn new(inner: Incoming, call: Arc<Call>) -> Self {
        let mut body = Self {
            inner: Some(inner),
            counter: Counter::default(),
            call: Some(call),
        };
        body.look(None);
        body
    }

    pub(super) fn none() -> Self {
        Self {
            inner: None,
            counter: Counter::default(),
            call: None,
        }
    }

    fn look(&mut self, passed: Option<&Passed>) {
        let at_end = self.inner.as_ref().is_none_or(Body::is_end_stream);
        let over = match passed {
            Some(Some(Ok(frame))) => {
                if let Some(piece) = frame.data_ref() {
                    self.counter.feed(piece);
                }
                frame.is_trailers() || at_end
            }
            Some(Some(Err(_))) => false,
            Some(None) => true,
            None => at_end,
        };
        if over && let Some(call) = self.call.take() {
            call.answered(self.counter.messages());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Passed> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let passed = ready!(Pin::new(inner).poll_frame(context));
        self.look(Some(&passed));
        match passed {
            Some(Err(error)) if !is_reset(&error) => {
                // A reset would tell the caller of a defect in the target, but the target went away.
                self.inner = None;
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", UNAVAILABLE);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            passed => Poll::Ready(passed),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }
}

/// Whether the target reset this one stream. The caller's stream is then reset for the same reason.
pub(super) fn is_reset(error: &hyper::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(h2::Error::is_reset)
}
