//! Answers a unary call at once, for a front that has read its headers and its message itself. Whatever is not plain is left
//! to [`super::Serve::call`].

use super::{
    Answer, Asked, Core, Share, Turn, Verdict, WANTED, Wants, frame, refuse, trace, wants::POSITION,
};
use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    view::Resolved,
};
use hyper::http::{HeaderMap, HeaderValue};
use std::time::{Duration, Instant};
use tonic::{Code, Status};

/// A call whose headers are in order, and whose message has come.
pub(crate) struct Brief<'a> {
    pub(crate) method: usize,
    pub(crate) wants: &'a Wants,
    pub(crate) arrived: Instant,
    /// With its prefix.
    pub(crate) message: &'a [u8],
    /// What earlier replies take that the client's windows have no room for.
    pub(crate) unread: usize,
}

/// What became of a call.
pub(crate) enum Once {
    /// The reply was appended, with its prefix. If the caller asked, it is told the position. The call is in flight no more:
    /// one that has to wait for its client would keep the place from others. Its bytes count instead, see [`Core::keep`].
    Reply(Option<u64>, Share),
    /// The fields of a response without a reply.
    Status(HeaderMap),
    /// The call cannot be answered at once. Nothing was counted.
    Later,
}

impl<M: Model> Core<M> {
    /// Answers a call from this version. `began` is the time; returns the time at which it was done.
    pub(crate) fn at_once<'a>(
        &self,
        newest: &Resolved<M>,
        call: &Brief<'_>,
        began: Instant,
        reply: &mut Vec<u8>,
        traceparent: impl FnOnce() -> &'a str,
    ) -> (Once, Instant) {
        let Some(request) = frame::plain(call.message, self.config.max_message_bytes) else {
            return (Once::Later, began);
        };
        let start = reply.len();
        reply.resize(start + frame::PREFIX, 0);
        let asked = Asked {
            method: call.method,
            bounds: &call.wants.bounds,
            arrived: call.arrived,
            timeout: call.wants.timeout,
            given_up: &WANTED,
            request,
        };
        let room = self.has_room(call.unread);
        let turned = room.and_then(|()| self.admit()).map(|permit| {
            let turn = self.turn(newest, &asked, began, limits::INLINE_COST, reply);
            drop(permit);
            turn
        });
        let (code, once) = match turned {
            Err(full) => status(&full),
            Ok(Turn::Early(_) | Turn::Heavy) => {
                reply.truncate(start);
                return (Once::Later, began);
            }
            Ok(Turn::Done(Err(error))) => status(&error),
            Ok(Turn::Done(Ok(answer))) => {
                let settled = self.settle(answer, call.wants.asked, &mut reply[start..]);
                settled.unwrap_or_else(|error| status(&error))
            }
        };
        if !matches!(once, Once::Reply(..)) {
            reply.truncate(start);
        }
        (once, self.count(call.method, code, began, traceparent))
    }

    /// Counts all bytes of a reply that has to wait for its client, also of a short one.
    pub(crate) fn keep(&self, mut share: Share, bytes: usize) -> Share {
        self.budget.count(&mut share, bytes);
        share
    }

    /// Whether a client may have another reply while so many bytes of earlier ones wait for it: one client has a quarter of
    /// what there is for all, or one reply.
    fn has_room(&self, unread: usize) -> Result<(), Error> {
        let most = self.config.max_buffered_bytes;
        if unread == 0 || unread <= most / 4 && self.budget.held() <= most {
            return Ok(());
        }
        let text =
            format!("replies that are not read fill the {most} bytes that there are for them");
        Err(Error::new(Kind::Overloaded, text))
    }

    fn settle(&self, answer: Answer, tell: bool, reply: &mut [u8]) -> Result<(Code, Once), Error> {
        let position = tell.then_some(answer.position);
        if let Some(verdict) = answer.verdict {
            let Verdict {
                code,
                message,
                details,
            } = *verdict;
            let status = Status::with_details(code, message, details.into());
            let mut fields = status.into_http::<()>().into_parts().0.headers;
            if let Some(position) = position {
                fields.insert(POSITION, HeaderValue::from(position));
            }
            return Ok((code, Once::Status(fields)));
        }
        self.fits(reply.len() - frame::PREFIX)?;
        frame::fill_in(reply)?;
        let share = self.hold(reply.len())?;
        Ok((Code::Ok, Once::Reply(position, share)))
    }

    fn count<'a>(
        &self,
        method: usize,
        code: Code,
        began: Instant,
        traceparent: impl FnOnce() -> &'a str,
    ) -> Instant {
        let now = Instant::now();
        let took: Duration = now - began;
        self.meter.count(method, code, took);
        trace::ended(M::METHODS[method], code, took, traceparent);
        now
    }
}

fn status(error: &Error) -> (Code, Once) {
    let (code, response) = refuse(error);
    (code, Once::Status(response.into_parts().0.headers))
}
