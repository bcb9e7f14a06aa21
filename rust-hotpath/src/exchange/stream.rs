//! A lane over hyper: the response body that answers a request body. The front has its own way to carry a lane.

use super::{
    Place,
    inbox::{Came, Source},
    lane::{Lane, Said},
};
use crate::{
    error::{Error, Kind},
    model::Model,
};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tonic::body::Body;

/// The connection polls this body for the next message of replies, and that call does all of the lane's work.
pub(super) struct Stream<M: Model> {
    pub(super) lane: Lane<M>,
    requests: Body,
    /// Whether the trailers have left.
    over: bool,
}

impl<M: Model> Stream<M> {
    pub(super) fn new(place: Place<M>, requests: Body) -> Self {
        Self {
            lane: Lane::new(place),
            requests,
            over: false,
        }
    }
}

impl<M: Model> HttpBody for Stream<M> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let stream = &mut *self;
        if stream.over {
            return Poll::Ready(None);
        }
        let frame = match ready!(stream.lane.poll(&mut stream.requests, cx)) {
            Said::Message => Frame::data(Bytes::from(std::mem::take(stream.lane.message()))),
            Said::End(trailers) => {
                stream.over = true;
                Frame::trailers(trailers)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Source for Body {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        loop {
            match ready!(Pin::new(&mut *self).poll_frame(cx)) {
                None => return Poll::Ready(Came::End),
                Some(Err(status)) => {
                    let lost = Error::new(Kind::LaneLost, "the lane broke off");
                    return Poll::Ready(Came::Lost(lost.because(status)));
                }
                Some(Ok(frame)) => {
                    // Trailers of a request have no meaning.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Came::Bytes(data));
                    }
                }
            }
        }
    }
}
